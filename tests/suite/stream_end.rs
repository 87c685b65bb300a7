//! The JSON stream always ends with an event: `run-finished`, or the one that says why there is none.

#![cfg(unix)]

use crate::fixture::{Package, Ran, partest, text};
use rustix::process::Signal;
use serde_json::{Value, json};

const PASSING: &str = "#[test] fn opens() {}\n";

/// The only event, which must be of this kind.
#[track_caller]
fn only(ran: &Ran, event: &str) -> Value {
    let mut events = ran.events();
    assert_eq!(events.len(), 1, "{ran}");
    assert_eq!(events[0]["event"], event, "{ran}");
    events.remove(0)
}

#[test]
fn a_build_that_fails_is_told_with_the_errors_of_the_compiler() {
    let ran = partest("does_not_build").json().run().exits(101);
    let end = only(&ran, "build-failed");
    assert_eq!((&end["reason"], &end["exit-code"]), (&json!("the build failed"), &json!(101)));
    let errors: Vec<String> = end["errors"].as_array().unwrap().iter().map(text).collect();
    let [first, .., last] = &errors[..] else { panic!("two errors; {ran}") };
    assert!(first.starts_with("error[E0308]: mismatched types\n --> src/lib.rs:7:5\n"), "{ran}");
    assert!(first.contains("expected `") && !first.contains('\u{1b}'), "{ran}");
    assert!(last.starts_with("error: could not compile `does_not_build`"), "{ran}");
    // People still see them as they come, and cargo's colors.
    assert!(
        ran.stderr.contains("\nerror[E0308]: mismatched types\n --> src/lib.rs:7:5\n"),
        "{ran}"
    );
    let colored = partest("does_not_build").json().args("--color always").run().exits(101);
    let plain = text(&only(&colored, "build-failed")["errors"][0]);
    assert!(
        plain.starts_with("error[E0308]: mismatched types\n --> src/lib.rs:7:5\n"),
        "{colored}"
    );
    assert!(colored.stderr.contains('\u{1b}'), "{colored}");
}

#[test]
fn what_cargo_refuses_is_told_with_its_words() {
    let broken = Package::new(&[("Cargo.toml", "[package\nname = 1")]);
    let package = Package::shop("", PASSING);
    let table = [
        (broken.partest(), "unclosed table"),
        (package.partest().args("-p bank"), "`bank`"),
        (package.partest().args("--test till"), "`till`"),
        (broken.partest().args("list"), "unclosed table"),
        (package.partest().args("plan -p bank"), "`bank`"),
    ];
    for (call, words) in table {
        let ran = call.json().run().exits(101);
        let end = only(&ran, "build-failed");
        let errors = end["errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| text(error).contains(words)), "{words}: {ran}");
    }
}

#[test]
fn mistakes_in_the_metadata_are_told_with_their_places() {
    for task in ["", "plan", "list"] {
        let ran = partest("wrong_keys").args(task).json().run().exits(2);
        let end = only(&ran, "usage-error");
        assert_eq!(end["reason"], "aborting due to 10 previous errors", "{ran}");
        assert_eq!(end["exit-code"], 2, "{ran}");
        let errors = end["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 10, "{ran}");
        let first = json!({
            "place": "Cargo.toml:9:1",
            "message": "unknown key `treads`",
            "help": "did you mean `threads`?",
        });
        assert_eq!(errors[0], first, "{ran}");
    }
    // One that is found only when the tests are known.
    let package = Package::shop(
        "[package.metadata.partest.fixtures.till]\ntest = \"shop::opens\"\n",
        PASSING,
    );
    let ran = package.partest().json().run().exits(2);
    assert_eq!(only(&ran, "usage-error")["errors"][0]["place"], "Cargo.toml:6:8", "{ran}");
    let package = Package::shop("", PASSING);
    package.write("partest-baseline.toml", "[[leak]]\ntest = 1\n");
    let ran = package.partest().json().run().exits(2);
    assert!(text(&only(&ran, "usage-error")["reason"]).contains("cannot read"), "{ran}");
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    let table = [
        ("--no-fail-fats", "unexpected argument '--no-fail-fats' found", "--no-fail-fast"),
        ("--polcy unit", "unexpected argument '--polcy' found", "--policy"),
        ("--policy spilt", "invalid value 'spilt' for '--policy <POLICY>'", "split"),
        ("list -- --exat", "unexpected argument '--exat' found", "--exact"),
    ];
    for (words, message, help) in table {
        for format in ["--message-format json", "--message-format=json"] {
            let ran = partest("passes").args(format).args(words).run().exits(2);
            let end = only(&ran, "usage-error");
            let error = &end["errors"][0];
            assert_eq!((&error["place"], text(&error["message"])), (&Value::Null, message.into()));
            assert!(text(&error["help"]).contains(help), "{ran}");
        }
    }
    let ran = partest("passes").args("--nonsense -- --message-format json").run().exits(2);
    assert_eq!(ran.stdout, "", "{ran}");
    let ran = partest("passes").args("--message-format json --help").run().exits(0);
    assert!(ran.stdout.contains("Usage:") && !ran.stdout.contains("usage-error"), "{ran}");
}

#[test]
fn an_error_of_the_runner_is_told() {
    let ran = partest("passes").env("CARGO", "/nowhere/cargo").json().run().exits(1);
    let end = only(&ran, "error");
    assert!(text(&end["reason"]).contains("/nowhere/cargo"), "{ran}");
    assert_eq!(end["exit-code"], 1, "{ran}");
    let ran = Package::with_a_lost_list().partest().args("list").json().run().exits(1);
    let events = ran.events();
    let [.., listed, end] = &events[..] else { panic!("two events; {ran}") };
    assert_eq!((&listed["event"], &end["event"]), (&json!("listed"), &json!("error")), "{ran}");
    assert!(text(&end["reason"]).contains("cannot list the tests of `lost`"), "{ran}");
}

#[test]
fn a_run_without_tests_is_finished_and_so_is_a_build_alone() {
    let ran = partest("passes").args("nowhere").json().run().exits(4);
    assert_eq!(ran.finished()["passed"], 0, "{ran}");
    let ran = partest("no_tests").json().run().exits(4);
    assert_eq!(ran.finished()["passed"], 0, "{ran}");
    let package = Package::shop("", PASSING);
    let ran = package.partest().args("--no-run").json().run().exits(0);
    assert_eq!(only(&ran, "build-finished")["binaries"], 1, "{ran}");
}

#[test]
fn an_interrupt_before_the_first_test_is_told() {
    let package = Package::shop("", "");
    let stays = r#"fn main() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        std::fs::write(log.join("half"), "builds\n").unwrap();
        std::fs::rename(log.join("half"), log.join("builds")).unwrap();
        loop { std::thread::park() }
    }"#;
    package.write("build.rs", stays);
    let run = package.partest().json().start();
    run.await_log("builds");
    run.send(Signal::INT);
    let ran = run.wait().exits(130);
    let end = only(&ran, "interrupted");
    assert_eq!((&end["reason"], &end["exit-code"]), (&json!("interrupted"), &json!(130)), "{ran}");
}
