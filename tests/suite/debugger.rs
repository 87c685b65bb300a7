//! One test in a debugger or under a tracer, and profiles of coverage: programs that watch tests.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::tools::{path_with, tool};
use crate::fixture::{self, Call, Package, skip};

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
    // In one call, since others write there at the same time.
    file.unwrap().write_all(format!("{}\n", std::process::id()).as_bytes()).unwrap();
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

/// Each function runs in a process that ends in its own way, or in none.
const ENDS: &str = r#"
pub fn in_a_unit() {}
pub fn in_a_failure() {}
pub fn in_a_process_of_its_own() {}
pub fn in_a_child() {}
pub fn in_an_abort() {}
pub fn in_a_timeout() {}
pub fn in_a_child_that_is_terminated() {}
pub fn in_no_process() {}
#[test] fn passes() { in_a_unit() }
#[test] fn fails() { in_a_failure(); panic!() }
mod alone {
    #[test] fn aborts() { super::in_an_abort(); std::process::abort() }
    #[test] fn hangs() { super::in_a_timeout(); loop { std::thread::park() } }
    #[test] fn a() { super::in_a_process_of_its_own() }
    #[test] fn b() {}
    #[test] fn c() {}
    #[test] fn d() {}
}
"#;

const PROGRAM_OF_ENDS: &str = r#"
fn main() {
    match std::env::args().nth(1) {
        None => shop::in_a_child(),
        Some(_) => {
            shop::in_a_child_that_is_terminated();
            println!("ready");
            loop { std::thread::park() }
        }
    }
}
"#;

const CHILDREN_OF_ENDS: &str = r#"
use std::io::Read;
use std::process::{Command, Stdio};
#[test] fn child_ends() {
    assert!(Command::new(env!("CARGO_BIN_EXE_shop")).status().unwrap().success());
}
#[test] fn child_is_terminated() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shop"));
    let mut child = child.arg("waits").stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    child.wait().unwrap();
}
"#;

/// The variables by which cargo-llvm-cov finds programs of the compiler's version of LLVM; none where
/// it finds them by itself.
fn llvm_tools() -> Option<Vec<(&'static str, PathBuf)>> {
    let rustc = |words: &[&str]| {
        let ran = Command::new("rustc").args(words).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let about = rustc(&["-vV"]);
    let about = |key: &str| about.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let sysroot = rustc(&["--print", "sysroot"]);
    let component = format!("lib/rustlib/{}/bin/llvm-cov", about("host: "));
    if Path::new(sysroot.trim()).join(component).exists() {
        return Some(Vec::new());
    }
    let (version, _) = about("LLVM version: ").split_once('.').unwrap();
    let place = PathBuf::from(format!("/usr/lib/llvm-{version}/bin"));
    let tools = ["LLVM_COV", "LLVM_PROFDATA"].into_iter().zip(["llvm-cov", "llvm-profdata"]);
    let tools: Vec<_> = tools.map(|(variable, name)| (variable, place.join(name))).collect();
    tools.iter().all(|(_, tool)| tool.exists()).then_some(tools)
}

/// The lines of the page on coverage: how a report is made, and what is added for processes that are
/// killed.
fn lines_of_the_page() -> (Vec<&'static str>, Vec<&'static str>) {
    let page = include_str!("../../docs/reports-and-ci.md");
    let (_, section) = page.split_once("\n## Coverage\n").unwrap();
    let mut blocks = section.split("```text\n").skip(1);
    let mut lines = || blocks.next().unwrap().lines().take_while(|line| *line != "```").collect();
    (lines(), lines())
}

#[test]
fn cargo_llvm_cov_reports_what_every_process_has_run() {
    let Some(program) = tool("bin/cargo-llvm-cov") else { return };
    let Some(tools) = llvm_tools() else {
        return skip("LLVM's tools are not installed in the version of the compiler's");
    };
    let keys = "[package.metadata.partest.modules]\n\"shop::alone\" = { isolate = true }\n\
                \"shop::alone::hangs\" = { timeout = \"3s\" }\n";
    let package = Package::shop(keys, ENDS);
    package.write("src/main.rs", PROGRAM_OF_ENDS);
    package.write("tests/children.rs", CHILDREN_OF_ENDS);
    let (steps, for_killed) = lines_of_the_page();
    let at_their_end = ["in_a_unit", "in_a_failure", "in_a_process_of_its_own", "in_a_child"];
    let killed = ["in_an_abort", "in_a_timeout", "in_a_child_that_is_terminated"];
    for (more, expected) in
        [(Vec::new(), at_their_end.to_vec()), (for_killed, [&at_their_end[..], &killed].concat())]
    {
        let mut lines = [&steps[..1], &more, &steps[1..]].concat();
        lines.push("cargo llvm-cov report --lcov --output-path report.lcov");
        package.write("steps", &lines.join("\n"));
        let mut call = package.cargo().shell("bash steps");
        let here = Path::new(fixture::PROGRAM).parent().unwrap();
        call = call.env("PATH", path_with(&[here, program.parent().unwrap()]));
        call = tools.iter().fold(call, |call, (name, tool)| call.env(name, tool));
        let ran = call.run().exits(0);
        assert!(ran.stdout.contains("1 failed, 1 timed out, 1 aborted, 7 passed"), "{ran}");
        let report = std::fs::read_to_string(package.path("report.lcov")).unwrap();
        let all = at_their_end.iter().chain(&killed).chain(&["in_no_process"]);
        let has_run = |name: &&&str| {
            // Of several crates that have the function, one has run it.
            let end = format!("{}{name}", name.len());
            let mut lines = report.lines().filter_map(|line| line.strip_prefix("FNDA:"));
            lines.any(|line| line.ends_with(&end) && !line.starts_with("0,"))
        };
        let covered: Vec<&str> = all.filter(has_run).copied().collect();
        assert_eq!(covered, expected, "{ran}\n{report}");
    }
}
