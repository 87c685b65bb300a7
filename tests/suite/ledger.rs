//! libtest's log, by which verdicts are learnt without the agent: neither a test that closes it nor
//! one that has others write to it changes what its tests come to.

#![cfg(target_os = "linux")]

use crate::fixture::Package;

/// Without the agent above all, and with it: both ways give the same verdicts.
const ANYHOW: [&str; 9] = [
    "",
    "-j1",
    "--no-agent",
    "-j1 --no-agent",
    "-j8 --no-agent",
    "--no-agent --isolate",
    "--no-agent --policy unit",
    "--no-agent -- --nocapture",
    "--no-agent -- --show-output",
];

/// However the tests are spread, they come to this: a line for each, `NAME OUTCOME`.
#[track_caller]
fn comes_to(library: &str, expected: &[(&str, &str)], times: usize) {
    let package = Package::shop("", library);
    for way in ANYHOW {
        for _ in 0..times {
            let ran = package.partest().json().args(way).run().exits(100);
            let expected = expected
                .iter()
                .map(|(name, outcome)| (format!("shop::{name}"), (*outcome).to_owned()));
            assert_eq!(ran.verdicts(), expected.collect(), "{way}; {ran}");
        }
    }
}

#[test]
fn a_test_that_closes_every_descriptor_is_judged_alone() {
    let library = r#"
        unsafe extern "C" { fn close(descriptor: i32) -> i32; }
        fn close_all() { (3..256).for_each(|descriptor| { unsafe { close(descriptor) }; }) }
        /// What libtest writes next goes there.
        fn open_others() {
            (0..8).for_each(|_| std::mem::forget(std::fs::File::create("/dev/null").unwrap()));
        }
        #[test] fn a_opens() {}
        #[test] fn b_closes() { close_all() }
        #[test] fn c_closes_and_opens() { close_all(); open_others() }
        #[test] fn d_closes_and_fails() { close_all(); open_others(); panic!("no key") }
        #[test] fn e_takes_its_time() { std::thread::sleep(std::time::Duration::from_millis(30)) }
        #[test] fn f_closes_last() { close_all(); open_others() }
    "#;
    let expected = [
        ("a_opens", "passed"),
        ("b_closes", "passed"),
        ("c_closes_and_opens", "passed"),
        ("d_closes_and_fails", "failed"),
        ("e_takes_its_time", "passed"),
        ("f_closes_last", "passed"),
    ];
    comes_to(library, &expected, 1);
}

/// A test binary that starts itself with its own arguments, `--logfile` among them.
#[test]
fn verdicts_that_another_process_writes_are_not_the_tests() {
    let library = r#"
        use std::process::{Child, Command, Stdio};
        /// The same tests once more: there all of them come to this.
        fn again(outcome: &str) -> Child {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(std::env::args_os().skip(1)).env("OUTCOME", outcome);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        }
        fn is_again() -> bool {
            let outcome = std::env::var("OUTCOME");
            assert_ne!(outcome.as_deref(), Ok("failed"));
            outcome.is_ok()
        }
        #[test] fn a_aborts() {
            if is_again() { return }
            assert!(again("passed").wait().unwrap().success());
            std::process::abort();
        }
        #[test] fn b_expects_a_failure() {
            if is_again() { return }
            assert!(!again("failed").wait().unwrap().success());
        }
        #[test] fn c_fails() {
            if is_again() { return }
            assert!(again("passed").wait().unwrap().success());
            panic!("nothing left");
        }
        #[test] fn d_passes() { is_again(); }
        #[test] fn e_ends_the_process() {
            if is_again() { return }
            assert!(again("passed").wait().unwrap().success());
            std::process::exit(0);
        }
        #[test] fn f_fails_beside_it() {
            if is_again() { return }
            let mut child = again("passed");
            let has_ended = child.wait().is_ok();
            assert!(!has_ended);
        }
    "#;
    let expected = [
        ("a_aborts", "aborted"),
        ("b_expects_a_failure", "passed"),
        ("c_fails", "failed"),
        ("d_passes", "passed"),
        ("e_ends_the_process", "aborted"),
        ("f_fails_beside_it", "failed"),
    ];
    comes_to(library, &expected, 2);
}
