//! What happens before the first test: a build or a list that hangs is named, whoever asks.

#![cfg(target_os = "linux")]

use crate::fixture::{Package, Running};
use rustix::process::Signal;

/// Says that it is there, and stays.
const STAYS: &str = r#"
fn stay(name: &str) {
    let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
    std::fs::write(log.join("half"), format!("{}\n", std::process::id())).unwrap();
    std::fs::rename(log.join("half"), log.join(name)).unwrap();
    loop { std::thread::park() }
}
"#;

fn builds_for_ever() -> (Package, Running) {
    let package = Package::shop("", "");
    package.write("build.rs", &format!("{STAYS} fn main() {{ stay(\"builds\") }}"));
    let run = package.partest().start();
    run.await_log("builds");
    (package, run)
}

fn lists_for_ever(flags: &str) -> (Package, Running) {
    let till = "[package.metadata.partest]\nlist-timeout = \"1h\"\nearly = false\n\
        [[test]]\nname = \"till\"\nharness = false\n";
    let package = Package::shop(till, "");
    let main = "fn main() { assert!(std::env::args().any(|word| word == \"--list\" || word == \"terse\")); stay(\"lists\") }";
    package.write("tests/till.rs", &format!("{STAYS}{main}"));
    let run = package.partest().args(flags).start();
    run.await_log("lists");
    (package, run)
}

const BUILDS: &str = "no test is running yet: cargo is building: `";
const LISTS: &str = "no test is running yet: listing tests: `";

#[test]
fn a_build_that_hangs_is_named_to_who_asks_and_to_who_interrupts_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let (_package, run) = builds_for_ever();
        run.send_until_stderr(Signal::USR1, BUILDS);
        run.send(signal);
        let ran = run.wait().exits(130);
        let told = "interrupted while cargo was building, before the first test: `";
        for words in [BUILDS, told] {
            let line = ran.stderr.lines().find(|line| line.starts_with(words));
            let line = line.unwrap_or_else(|| panic!("no `{words}`; {ran}"));
            assert!(line.contains("/build-script-build` for "), "{ran}");
        }
    }
}

#[test]
fn a_list_that_hangs_is_named_to_who_asks_and_to_who_interrupts_it() {
    let (_package, run) = lists_for_ever("");
    // It runs before it is known to do so, and others may be listed still.
    run.send_until_stderr(Signal::USR1, "/till-");
    run.send(Signal::INT);
    let ran = run.wait().exits(130);
    let told = "interrupted while tests were being listed, before the first test: `";
    for words in [LISTS, told] {
        let mut lines = ran.stderr.lines().filter(|line| line.starts_with(words));
        let line = lines.find(|line| line.contains("/till-"));
        let line = line.unwrap_or_else(|| panic!("no `{words}`; {ran}"));
        assert!(line.contains(" --list --format terse` for "), "{ran}");
    }
}

#[test]
fn a_list_that_takes_long_is_named_unasked() {
    let (_package, run) = lists_for_ever("");
    run.await_stderr("Waiting for tests to be listed: `");
    run.send(Signal::INT);
    let ran = run.wait().exits(130);
    let line = ran.stderr.lines().find(|line| line.contains("for tests to be listed")).unwrap();
    assert!(line.contains("/till-") && line.ends_with("(limited by `list-timeout`)"), "{ran}");
}
