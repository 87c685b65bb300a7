//! One test in a debugger or under a tracer, and profiles of coverage: programs that watch tests.

#![cfg(all(feature = "command", target_os = "linux"))]

mod fixture;

use std::process::Command;

use fixture::{Call, Package, skip};

/// Some names that overlap, a test that takes longer than it may, and one that needs a server.
const SHOP: &str = r#"
fn note(text: &str) {
    let log = std::env::var("FIXTURE_LOG").unwrap();
    std::fs::write(log + "/noted", text).unwrap();
}
#[test] fn opens() {
    let told = ["LD_PRELOAD", "PARTEST", "PARTEST_SLOT", "OF_NODE", "CARGO_PKG_NAME"];
    note(&format!("{} {:?}", std::process::id(), told.map(|name| std::env::var(name).ok())));
    println!("printed at once");
}
#[test] fn opens_again() { panic!("closed") }
#[test] #[ignore] fn takes_long() {}
#[test] fn asks() { note(&std::env::var("ADDRESS").unwrap()) }
"#;

const KEYS: &str = r#"
[package.metadata.partest]
timeout = "1ms"
env = { OF_NODE = "yes" }
[package.metadata.partest.modules]
"shop::asks" = { fixture = "server" }
[package.metadata.partest.fixtures.server]
start = ["sh", "-c", "echo ADDRESS=here >$PARTEST_ENV; echo PARTEST_READY; cat"]
"#;

fn shop() -> Package {
    Package::shop(KEYS, SHOP)
}

/// Notes its process and its words, waits longer than the test may take, and becomes the test.
const WAITS: &str = "sh -c 'echo $$ >$FIXTURE_LOG/pid; echo \"$@\" >$FIXTURE_LOG/words; \
                     sleep 0.1; exec \"$@\"' tracer";

fn under(call: Call, flag: &str, program: &str) -> Call {
    call.arg(flag).arg(program)
}

#[test]
fn a_test_runs_in_the_place_of_the_runner_without_limit_or_capture() {
    let package = shop();
    for flag in ["--debugger", "--tracer"] {
        let running = under(package.partest(), flag, WAITS).args("-- --exact opens").start();
        let pid = running.pid().as_raw_pid().to_string();
        let ran = running.wait().exits(0);
        assert_eq!(ran.log("pid"), [&*pid], "{ran}");
        let words = ran.log("words").concat();
        assert!(words.contains("/shop-") && words.contains("--nocapture --exact opens"), "{ran}");
        let told = "[None, Some(\"1\"), Some(\"0\"), Some(\"yes\"), Some(\"shop\")]";
        assert_eq!(ran.log("noted"), [format!("{pid} {told}")], "{ran}");
        assert!(ran.stdout.contains("printed at once\n"), "{ran}");
        assert!(ran.stderr.contains(" Running sh -c "), "{ran}");
    }
    // The exit code is that of the program, here libtest's.
    under(package.partest(), "--tracer", "env").args("opens_again").run().exits(101);
}

#[test]
fn anything_but_one_test_is_an_error_that_says_what_to_type() {
    let package = shop();
    let refused = |words: &str, code: i32| {
        let ran = under(package.partest(), "--debugger", "false").args(words).run().exits(code);
        ran.stderr
    };
    let several = refused("opens", 2);
    let expected = "error: one test can run in a debugger or tracer, and 2 are chosen; name one of \
                    them, behind `-- --exact`:\n  shop::opens\n  shop::opens_again\n";
    assert!(several.contains(expected), "{several}");
    assert!(refused("nothing", 4).contains("error: no test matches `nothing`"));
    let ignored = refused("takes_long", 2);
    assert!(ignored.contains("`shop::takes_long` is ignored; add `-- --ignored`"), "{ignored}");
    let missing = under(package.partest(), "--debugger", "no-such-debugger --args");
    let missing = missing.args("takes_long -- --ignored").run().exits(1);
    assert!(missing.stderr.contains("error: cannot start `no-such-debugger`: "), "{missing}");
    let both = under(under(package.partest(), "--debugger", "a"), "--tracer", "b").run().exits(2);
    assert!(both.stderr.contains("cannot be used with"), "{both}");
}

#[test]
fn a_fixture_has_to_be_running() {
    let package = shop();
    let call = || under(package.partest(), "--tracer", "env").args("asks");
    let without = call().run().exits(2);
    assert!(
        without.stderr.contains("start it with `cargo partest fixtures start server`"),
        "{without}"
    );
    package.partest().args("fixtures start").run().exits(0);
    let with = call().run();
    package.partest().args("fixtures stop").run().exits(0);
    assert_eq!(with.exits(0).log("noted"), ["here"]);
}

#[test]
fn strace_follows_a_test() {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !works.is_ok_and(|ran| ran.status.success()) {
        return skip("strace is not installed, or may not trace here");
    }
    let package = shop();
    let trace = package.path("trace");
    let tracer = format!("strace -f -e trace=openat -o {}", trace.display());
    under(package.partest(), "--tracer", &tracer).args("-- --exact opens").run().exits(0);
    let text = std::fs::read_to_string(trace).unwrap();
    assert!(text.contains("/noted\", O_WRONLY"), "{text}");
}

/// Each notes its process. More tests than a fork server is worth, a failure, and one without end.
const COVERED: &str = r#"
fn note() {
    use std::io::Write;
    let log = std::env::var("FIXTURE_LOG").unwrap() + "/pids";
    let file = std::fs::OpenOptions::new().append(true).create(true).open(log);
    writeln!(file.unwrap(), "{}", std::process::id()).unwrap();
}
#[test] fn a() { note() }
#[test] fn b() { note() }
#[test] fn c() { note() }
#[test] fn d() { note() }
#[test] fn e() { note() }
#[test] fn fails() { note(); panic!() }
#[test] fn hangs() { note(); loop { std::thread::park() } }
"#;

#[test]
fn every_process_leaves_its_own_profile_of_coverage() {
    let keys = "[package.metadata.partest]\nisolate = true\n\
                [package.metadata.partest.modules]\n\"shop::hangs\" = { timeout = \"3s\" }\n";
    let package = Package::shop(keys, COVERED);
    // Counters in memory that the file is mapped to outlive a process that is killed.
    let flags = "-C instrument-coverage -C llvm-args=-runtime-counter-relocation";
    let call = |pattern: &str| {
        let call = package.partest().env("RUSTFLAGS", flags);
        call.env("LLVM_PROFILE_FILE", package.path("profiles").join(pattern))
    };
    let built = call("%p-%m.profraw").args("--no-run").run();
    if built.stderr.contains("profiler_builtins") {
        return skip("this toolchain has no runtime for coverage");
    }
    built.exits(0);
    for (pattern, end, words, tests) in
        [("%p-%m.profraw", "-", "-- --skip hangs", 6), ("%p%c.profraw", ".", "", 7)]
    {
        let ran = call(pattern).args(words).run().exits(100);
        let pids = ran.log("pids");
        // One that failed beside others may have run again.
        assert!(pids.len() >= tests, "{ran}");
        let profiles: Vec<(String, u64)> = std::fs::read_dir(package.path("profiles"))
            .unwrap()
            .map(Result::unwrap)
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
            })
            .collect();
        for pid in pids {
            let is_its = |(name, size): &(String, u64)| {
                name.starts_with(&format!("{pid}{end}")) && *size > 0
            };
            assert!(profiles.iter().any(is_its), "{pid} in {profiles:?}; {ran}");
        }
    }
}
