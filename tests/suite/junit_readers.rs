//! What others make of the JUnit that a run writes: the schema that Jenkins publishes, two readers
//! (one is Codecov's), and a viewer. `tests/suite/fixture/tools.rs` says where they are.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::Path;

use crate::fixture::outcomes::{KEYS, LIBRARY};
use crate::fixture::tools::{python, tool};
use crate::fixture::{Package, Ran, text};
use serde_json::{Value, json};

/// What the schema and the readers find in a file; none where they are not there.
struct Found(Value);

impl Found {
    fn of(path: &Path) -> Option<Found> {
        let mut command = python("junitparser")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/junit_readers/read.py");
        command.arg(script).arg(path).arg(tool("junit-10.xsd")?);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Some(Found(serde_json::from_slice(&ran.stdout).unwrap()))
    }

    /// The file keeps to the schema, every reader finds these cases, and the viewer shows their names.
    #[track_caller]
    fn is_as_expected(&self, cases: &Cases) {
        assert_eq!(self.0["schema"], json!([]));
        for (reader, found) in self.0["cases"].as_object().unwrap() {
            let found: Vec<[String; 3]> = serde_json::from_value(found.clone()).unwrap();
            let count = found.len();
            let found = found.into_iter().map(|[suite, name, outcome]| ((suite, name), outcome));
            let found: Cases = found.collect();
            assert_eq!(count, cases.len(), "{reader} finds no case twice");
            // A whole map would be unreadable.
            for (case, outcome) in cases {
                assert_eq!(found.get(case), Some(outcome), "{case:?} by {reader}");
            }
        }
        let page = text(&self.0["html"]);
        // Of very many, some are enough.
        for (_, name) in cases.keys().step_by(cases.len() / 100 + 1) {
            let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let name = name.replace('"', "&#34;").replace('\'', "&#39;");
            assert!(page.contains(&name), "no {name} in the page");
        }
    }
}

/// The outcome of each case, by its suite and its name.
type Cases = BTreeMap<(String, String), String>;

/// What a stream of JSON says of each test, in the words of JUnit.
fn cases(ran: &Ran, suite: impl Fn(&Value) -> String) -> Cases {
    let word = |test: &Value| match test["outcome"].as_str().unwrap() {
        "passed" => "passed",
        "ignored" => "skipped",
        "failed" => "failure",
        _ => "error",
    };
    let case = |test: &Value| ((suite(test), text(&test["name"])), word(test).to_owned());
    ran.tests().iter().map(case).collect()
}

/// A library and a program of one name.
fn shop() -> Package {
    let package = Package::shop(KEYS, LIBRARY);
    package.write("src/main.rs", "#[test] fn passes() {}\nfn main() {}\n");
    package
}

fn suite_of_two(test: &Value) -> String {
    format!("shop ({})", text(&test["kind"]))
}

#[test]
fn every_outcome_and_any_output_is_read() {
    let package = shop();
    let ran = package.partest().json().args("--junit j.xml").run().exits(100);
    let Some(found) = Found::of(&package.path("j.xml")) else { return };
    let cases = cases(&ran, suite_of_two);
    assert_eq!(cases.len(), 10, "{ran}");
    found.is_as_expected(&cases);
    let properties = &found.0["properties"]["shop (lib)"];
    for name in ["leak.thread", "leak.thread.2"] {
        assert_eq!(properties[name], "tests::leaks: stray <&", "{properties}");
    }
}

#[test]
fn shards_that_were_merged_are_read_like_a_whole_run() {
    let package = shop();
    let stream = |words: &str, path: &str| {
        let log = tempfile::tempdir().unwrap();
        let ran = package.partest().json().args(words).env("FIXTURE_LOG", log.path()).run();
        package.write(path, &ran.stdout);
        ran
    };
    let whole = stream("", "whole.json").exits(100);
    stream("--shard 1/2", "1.json");
    stream("--shard 2/2", "2.json");
    package.partest().args("merge 1.json 2.json --junit j.xml").run().exits(100);
    let Some(found) = Found::of(&package.path("j.xml")) else { return };
    found.is_as_expected(&cases(&whole, suite_of_two));
}

/// As another run has left it: no test of these is built.
#[test]
fn twenty_thousand_tests_are_read() {
    let mut stream = String::from(
        "{\"event\":\"run-started\",\"run\":\"1\",\"tests\":20000,\"binaries\":2,\"slots\":2}\n",
    );
    for number in 0..20_000 {
        let (outcome, reason) = match number % 97 {
            0 => ("failed", json!("panicked at src/lib.rs:1:1")),
            1 => ("aborted", json!("SIGSEGV")),
            2 => ("ignored", Value::Null),
            _ => ("passed", Value::Null),
        };
        // As a harness of one's own may call them.
        let name = format!("m{}::odd <{number}> & \"é\" 'x' 😀", number % 20);
        let binary = ["one", "two"][number / 10_000];
        let output = if reason.is_null() { "" } else { "a\u{1b}[1mb\u{0}]]>\u{fffe}\n" };
        let test = json!({
            "event": "test", "id": format!("{binary}::{name}"), "package": "shop",
            "binary": binary, "kind": "test", "name": name, "outcome": outcome,
            "seconds": 0.001, "cpu-seconds": null, "attempt": 1, "worker": null,
            "reason": reason, "flaky": false, "order-dependent": false, "leaks": [],
            "output": output,
        });
        stream += &format!("{test}\n");
    }
    let finished = json!({
        "event": "run-finished", "passed": 0, "failed": 0, "ignored": 0, "timed-out": 0,
        "aborted": 0, "interrupted-tests": 0, "blocked": 0, "missing": 0, "flaky": 0,
        "order-dependent": 0, "leaks": 0, "denied-leaks": 0, "not-run": 0, "filtered-out": 0,
        "list-failures": 0, "failed-fixtures": 0, "processes": 1, "interrupted": false,
        "run-timed-out": false, "internal-error": false, "seconds": 1234.5678,
    });
    stream += &format!("{finished}\n");
    let package = Package::new(&[("run.json", &stream)]);
    let ran = package.partest().args("merge run.json --junit j.xml").json().run().exits(100);
    let Some(found) = Found::of(&package.path("j.xml")) else { return };
    let cases = cases(&ran, |test| text(&test["binary"]));
    assert_eq!(cases.len(), 20_000);
    found.is_as_expected(&cases);
}
