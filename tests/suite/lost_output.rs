//! What a test printed is in the report, whatever ended it; and where it cannot be, the report says
//! so.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use crate::fixture::{Package, Ran, text};

const CALLS: &str = r#"
    unsafe extern "C" {
        fn raise(signal: i32) -> i32;
        fn _exit(code: i32) -> !;
        fn getpid() -> i32;
        fn kill(process: i32, signal: i32) -> i32;
        fn puts(text: *const u8) -> i32;
    }
"#;

/// Tests that print a line and a part of one, and end in different ways.
fn shop(manifest: &str, tests: &str) -> Package {
    Package::shop(manifest, &format!("#![cfg(test)]\n#![allow(dead_code)]\n{CALLS}\n{tests}"))
}

const ENDS: &str = r#"
    macro_rules! prints {
        ($name:ident, $end:expr) => {
            #[test]
            fn $name() {
                println!("first of {}", stringify!($name));
                eprint!("half of {}", stringify!($name));
                $end;
            }
        };
    }

    fn overflow(depth: u64) -> u64 {
        let page = std::hint::black_box([depth; 512]);
        overflow(depth + 1) + page[3]
    }

    prints!(aborts, std::process::abort());
    prints!(exits, std::process::exit(0));
    prints!(exits_at_once, unsafe { _exit(3) });
    prints!(crashes, unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) });
    prints!(overflows, print!("{}", overflow(0)));
    prints!(panics_twice, {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("second panic");
            }
        }
        let _bomb = Bomb;
        panic!("first panic");
    });
    prints!(ends_in_a_thread, {
        let thread = std::thread::spawn(|| {
            println!("from a thread");
            std::process::abort()
        });
        thread.join().unwrap()
    });
    prints!(passes, ());
"#;

#[track_caller]
fn assert_printed(ran: &Ran, name: &str, outcome: &str) -> String {
    let test = ran.test(&format!("shop::{name}"));
    assert_eq!(test["outcome"], outcome, "{name}; {ran}");
    let output = text(&test["output"]);
    let expected = format!("first of {name}\nhalf of {name}");
    assert!(output.starts_with(&expected), "{name}: {output:?}; {ran}");
    assert_eq!(test.get("output-lost"), None, "{name}; {ran}");
    let others = output.matches("half of").count();
    assert_eq!(others, 1, "{name}: a line of another test; {ran}");
    output.to_owned()
}

const DYING: [&str; 7] = [
    "aborts",
    "exits",
    "exits_at_once",
    "crashes",
    "overflows",
    "panics_twice",
    "ends_in_a_thread",
];

#[test]
fn a_test_that_ends_its_process_has_its_output() {
    let package = shop("", ENDS);
    for flags in ["-j2", "-j2 --isolate"] {
        let ran = package.partest().args(flags).json().run().exits(100);
        for name in DYING {
            assert_printed(&ran, name, "aborted");
        }
        let twice = assert_printed(&ran, "panics_twice", "aborted");
        assert!(twice.contains("first panic") && twice.contains("second panic"), "{ran}");
        let thread = assert_printed(&ran, "ends_in_a_thread", "aborted");
        assert!(thread.contains("from a thread\n"), "{ran}");
        let overflows = assert_printed(&ran, "overflows", "aborted");
        assert!(overflows.contains("has overflowed its stack"), "{ran}");
    }
    let ran = package.partest().run().exits(100);
    assert!(ran.stdout.contains("  | first of crashes\n  | half of crashes\n"), "{ran}");
    assert!(!ran.stdout.contains("output lost"), "{ran}");
}

const HANGS: &str = r#"
    #[test]
    fn sleeps() {
        println!("first of sleeps");
        print!("half of sleeps");
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    #[test]
    fn prints() {
        println!("first of prints");
        println!("half of prints");
        loop {
            println!("on and on");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    #[test]
    fn stops() {
        println!("first of stops");
        // SAFETY: a signal that stops the process.
        unsafe { raise(19) };
    }
"#;

#[test]
fn a_test_that_hangs_has_its_output() {
    let package = shop("", HANGS);
    let ran = package.partest().args("--timeout 1s -j2 sleeps prints").json().run().exits(100);
    let sleeps = assert_printed(&ran, "sleeps", "timed-out");
    assert!(sleeps.contains("half of sleeps\nthread `"), "its own lines, then where it was; {ran}");
    let prints = assert_printed(&ran, "prints", "timed-out");
    assert!(prints.contains("on and on\non and on\n"), "{ran}");

    let ran = package.partest().args("--timeout 1s stops").json().run().exits(100);
    let stops = ran.test("shop::stops");
    assert_eq!(stops["output-lost"], "its process did not respond", "{ran}");
}

const KILLED: &str = r#"
    #[test]
    fn is_killed() {
        println!("first of is_killed");
        std::process::Command::new("sh").args(["-c", "kill -9 $PPID"]).status().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    #[test]
    fn kills_itself() {
        println!("first of kills_itself");
        print!("half of kills_itself");
        // SAFETY: ends the process.
        unsafe { kill(getpid(), 9) };
    }
"#;

#[test]
fn what_is_lost_when_a_process_is_killed_is_said() {
    let package = shop("", KILLED);
    let ran = package.partest().json().args("--isolate").run().exits(100);
    let killed = ran.test("shop::is_killed");
    assert_eq!(killed["output-lost"], "SIGKILL ended its process at once", "{ran}");
    assert_eq!(killed["output"], "", "{ran}");
    assert_printed(&ran, "kills_itself", "aborted");
    let ran = package.partest().args("is_killed").run().exits(100);
    let said = "\n  output lost: SIGKILL ended its process at once\n";
    assert!(ran.stdout.contains(said), "{ran}");
}

#[test]
fn without_symbols_the_output_is_lost_and_that_is_said() {
    let package = shop("[profile.test]\nstrip = true\n", ENDS);
    let ran = package.partest().args("aborts passes").json().run().exits(100);
    let lost = text(&ran.test("shop::aborts")["output-lost"]).to_owned();
    assert!(lost.contains("no symbol by which it is found"), "{ran}");
    assert_eq!(ran.test("shop::passes").get("output-lost"), None, "{ran}");
}

#[test]
fn without_the_agent_the_output_is_lost_and_that_is_said() {
    let package = shop("", ENDS);
    let ran = package.partest().args("--no-agent -j1 aborts passes").json().run().exits(100);
    let lost = text(&ran.test("shop::aborts")["output-lost"]).to_owned();
    assert!(lost.contains("without the agent"), "{ran}");
}

/// With another owner, what libtest keeps looks as no version of Rust has kept it so far.
const UNKNOWN: &str = r#"
    #[test]
    fn is_kept_in_another_way() {
        let capture = std::io::set_output_capture(None).unwrap();
        std::mem::forget(std::sync::Arc::downgrade(&capture));
        std::io::set_output_capture(Some(capture));
        println!("nobody finds this");
        std::process::abort();
    }
    #[test]
    fn passes() {
        println!("this is told by libtest");
    }
"#;

#[test]
fn a_layout_that_is_not_known_is_said() {
    let tests = format!("#![feature(internal_output_capture)]\n#![cfg(test)]\n{UNKNOWN}");
    let package = Package::shop("", &tests);
    let partest = || package.partest().env("RUSTC_BOOTSTRAP", "1");
    let ran = partest().json().run().exits(100);
    let test = ran.test("shop::is_kept_in_another_way");
    let lost = text(&test["output-lost"]);
    assert_eq!(lost, "this version of Rust keeps it in memory in an unknown way", "{ran}");
    assert!(!text(&test["output"]).contains("nobody finds this"), "{ran}");
    assert_eq!(ran.test("shop::passes").get("output-lost"), None, "{ran}");
    let ran = partest().args("is_kept").run().exits(100);
    assert!(ran.stdout.contains("\n  output lost: this version of Rust keeps it"), "{ran}");
}

const PIPES: &str = r#"
    use std::io::Write;
    fn child(text: &str) {
        let line = format!("echo out of {text}; echo err of {text} >&2");
        std::process::Command::new("sh").args(["-c", &line]).status().unwrap();
    }
    #[test]
    fn fails() {
        println!("first of fails");
        child("fails");
        // SAFETY: a text that ends in a zero byte.
        unsafe { puts(c"of C".as_ptr().cast()) };
        panic!("on purpose");
    }
    #[test]
    fn passes() {
        child("passes");
    }
    #[test]
    fn writes() {
        println!("one");
        std::io::stdout().write_all(b"two\n").unwrap();
        print!("thr");
        std::io::stderr().write_all(b"ee\n").unwrap();
        std::thread::spawn(|| std::io::stdout().write_all(b"four\n").unwrap()).join().unwrap();
        println!("five");
        panic!("six");
    }
    #[test]
    fn writes_and_aborts() {
        println!("one");
        std::io::stdout().write_all(b"two\n").unwrap();
        println!("three");
        std::process::abort();
    }
"#;

#[test]
fn what_a_child_prints_is_the_output_of_the_only_test_in_the_process() {
    let package = shop("", PIPES);
    let calls = [
        ("--isolate fails passes", true),
        ("fails", true),
        ("--isolate --no-agent fails passes", false),
    ];
    for (flags, has_agent) in calls {
        let ran = package.partest().args(flags).json().run().exits(100);
        let fails = ran.test("shop::fails");
        let output = text(&fails["output"]);
        let expected =
            ["first of fails\n", "out of fails\n", "err of fails\n", "of C\n", "on purpose"];
        for part in expected {
            // libc writes that at the end of the process, after libtest's own last line.
            let expected = usize::from(has_agent || part != "of C\n");
            assert_eq!(output.matches(part).count(), expected, "{part}; {ran}");
        }
        assert!(!output.contains("test result") && !output.contains("{ \"type\""), "{ran}");
        assert!(ran.events().iter().all(|event| event["event"] != "worker-output"), "{ran}");
        if has_agent && flags.contains("passes") {
            let passes = ran.test("shop::passes");
            assert_eq!(passes["output"], "out of passes\nerr of passes\n", "{ran}");
        }
    }
}

#[test]
fn what_children_print_is_beside_the_tests_that_share_a_process() {
    let package = shop("", PIPES);
    let ran = package.partest().args("-j1 --policy unit fails passes").json().run().exits(100);
    let events = ran.events();
    let outputs: Vec<_> = events.iter().filter(|event| event["event"] == "worker-output").collect();
    let [output] = outputs[..] else { panic!("one of them; {ran}") };
    assert_eq!(output["worker"], ran.test("shop::fails")["worker"], "{ran}");
    assert_eq!(output["ids"].as_array().unwrap().len(), 2, "{ran}");
    for part in ["out of fails\n", "err of fails\n", "of C\n", "out of passes\n"] {
        assert!(text(&output["output"]).contains(part), "{part}; {ran}");
    }
    assert!(!text(&ran.test("shop::fails")["output"]).contains("of C"), "{ran}");

    let ran = package.partest().args("-j1 --policy unit fails passes").run().exits(100);
    let heading = "\noutput of worker 0, of one of: shop::fails, shop::passes\n  | ";
    assert!(ran.stdout.contains(heading), "{ran}");
    assert!(ran.stdout.contains("  | err of fails\n"), "{ran}");
}

#[test]
fn tests_that_pass_together_have_no_such_block() {
    let package = shop("", &PIPES.replace("panic!(\"on purpose\");", ""));
    let ran = package.partest().args("-j1 --policy unit fails passes").json().run().exits(0);
    assert!(ran.events().iter().all(|event| event["event"] != "worker-output"), "{ran}");
}

#[test]
fn direct_writes_keep_their_place_among_captured_lines() {
    let package = shop("", PIPES);
    let ran = package.partest().args("-j1 writes").json().run().exits(100);
    let writes = ran.test("shop::writes");
    let output = text(&writes["output"]);
    assert!(output.starts_with("one\ntwo\nthree\nfour\nfive\n\nthread 'writes'"), "{ran}");
    let aborts = ran.test("shop::writes_and_aborts");
    assert!(text(&aborts["output"]).starts_with("one\ntwo\nthree\n"), "{ran}");
}
