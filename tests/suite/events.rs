//! Verdicts and culprits are right whatever tests print around libtest's events, and whatever
//! order things come in.

use std::collections::BTreeMap;

use crate::fixture::{Package, partest};

/// All ways in which a verdict can be heard.
const WAYS: [&str; 7] =
    ["", "-j1", "-j8", "--isolate", "--no-agent", "-- --nocapture", "-- --show-output"];

/// What tests leave in the buffer of stdout, in which libtest's events are written too.
const PRINTING: &str = r####"
#[cfg(test)]
mod tests {
    use std::io::{Write, stdout};

    fn says(event: &str, name: &str) -> String {
        format!("{{ \"type\": \"test\", \"name\": \"tests::{name}\", \"event\": \"{event}\" }}")
    }

    #[test] fn a_word() { write!(stdout(), "word").unwrap() }
    #[test] fn b_word_and_failure() { write!(stdout(), "word").unwrap(); panic!("b") }
    #[test] fn c_captured_word() { print!("word") }
    #[test] fn d_own_verdict() {
        write!(stdout(), "{}", says("ok", "d_own_verdict")).unwrap();
        panic!("d")
    }
    #[test] fn e_other_verdict() {
        write!(stdout(), "{}", says("ok", "b_word_and_failure")).unwrap()
    }
    #[test] fn f_beginning_of_an_event() {
        write!(stdout(), "{{ \"type\": \"test\", \"event\": \"started\", ").unwrap()
    }
    #[test] fn g_lines() { (0..300).for_each(|at| println!("line {at} of many")) }
    #[test] fn h_long_failure() { panic!("{}", "long ".repeat(3000)) }
    #[test] #[ignore] fn i_ignored() {}
    #[test] fn j_end_of_the_suite() {
        let end = "{ \"type\": \"suite\", \"event\": \"ok\", \"passed\": 99, \"failed\": 0 }";
        write!(stdout(), "{end}").unwrap()
    }
    #[test] fn k_nothing() {}
}
"####;

#[test]
fn no_verdict_is_lost_in_what_tests_print() {
    let package = Package::shop("", PRINTING);
    let failed = ["b_word_and_failure", "d_own_verdict", "h_long_failure"];
    let failed = failed.map(|test| format!("shop::tests::{test}"));
    for way in WAYS {
        let ran = package.partest().json().args(way).run().exits(100);
        assert_eq!(ran.ids("failed"), failed, "{way:?}\n{}", ran.stderr);
        assert_eq!(ran.ids("passed").len(), 7, "{way:?}\n{}", ran.stderr);
        assert_eq!(ran.ids("ignored").len(), 1, "{way:?}\n{}", ran.stderr);
    }
}

/// Threads write lines while libtest's main thread has an event in the buffer: each run meets
/// other moments.
#[test]
fn no_verdict_is_lost_where_threads_write_out_each_others_lines() {
    let test = |at: usize| {
        let end = if at.is_multiple_of(5) { "panic!()" } else { "" };
        format!(
            "#[test] fn t{at:02}() {{ for _ in 0..200 {{ println!(\"x\"); print!(\"y\") }} {end} }}\n"
        )
    };
    let tests: String = (0..40).map(test).collect();
    let unit =
        "[package.metadata.partest.modules]\n\"shop\" = { policy = \"unit\", threads = 4 }\n";
    let package = Package::shop(unit, &tests);
    for _ in 0..5 {
        let ran = package.partest().json().args("-j4 -- --nocapture").run().exits(100);
        assert_eq!(ran.ids("failed").len(), 8, "{}", ran.stderr);
        assert_eq!(ran.ids("passed").len(), 32, "{}", ran.stderr);
    }
}

#[test]
fn a_thread_that_outlives_its_test_and_ends_the_process_is_that_tests() {
    for (end, how) in
        [("std::process::abort()", "SIGABRT"), ("std::process::exit(0)", "exit code 0")]
    {
        let package = Package::shop(
            "[package.metadata.partest.modules]\n\"shop\" = { policy = \"unit\", threads = 1 }\n",
            // `b` runs until the process is over, or until it runs without `a`.
            &format!(
                "use std::sync::atomic::{{AtomicBool, Ordering::SeqCst}};\n\
                static A_RAN: AtomicBool = AtomicBool::new(false);\n\
                static B_RUNS: AtomicBool = AtomicBool::new(false);\n\
                #[test] fn a() {{\n\
                    A_RAN.store(true, SeqCst);\n\
                    std::thread::spawn(|| {{ while !B_RUNS.load(SeqCst) {{}} {end} }});\n\
                }}\n\
                #[test] fn b() {{ B_RUNS.store(true, SeqCst); while A_RAN.load(SeqCst) {{}} }}\n"
            ),
        );
        for way in ["", "-j1", "-j8"] {
            let ran = package.partest().json().args(way).run().exits(100);
            assert_eq!(ran.ids("aborted"), ["shop::a"], "{way:?}\n{}", ran.stderr);
            assert_eq!(ran.ids("passed"), ["shop::b"], "{way:?}\n{}", ran.stderr);
            let reason = ran.test("shop::a")["reason"].as_str().unwrap().to_owned();
            assert!(reason.starts_with(how) && reason.contains("that it leaked"), "{reason}");
        }
    }
}

/// Eighteen tests of one unit end its process, beside others: their own verdicts are held against
/// the table of fixtures elsewhere.
#[test]
fn an_innocent_test_begins_three_times_at_the_most() {
    for way in ["-j1", "-j2", "-j8"] {
        let ran = partest("dies_among_many").json().args(way).run().exits(100);
        let mut starts: BTreeMap<String, usize> = BTreeMap::new();
        ran.log("starts").into_iter().for_each(|test| *starts.entry(test).or_default() += 1);
        assert_eq!(starts.len(), 48, "{way}");
        assert!(starts.values().all(|times| *times <= 3), "{way}: {starts:?}");
        for test in ran.tests().iter().filter(|test| test["outcome"] == "aborted") {
            assert!(test["attempt"].as_u64().unwrap() <= 3, "{way}: {test}");
        }
    }
}
