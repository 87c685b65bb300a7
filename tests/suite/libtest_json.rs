//! libtest's JSON: that ours says what libtest says of the same tests, and that a tool which reads
//! libtest's reads ours.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::fixture::{self, tools::tool};
use crate::fixture::{Package, Ran};
use quick_junit::TestCaseStatus;
use serde_json::{Value, json};

const TESTS: &str = r#"#[cfg(test)]
mod tests {
    #[test] fn fails() { println!("said \"so\"\t\u{1b}"); panic!("a <reason>"); }
    #[test] #[ignore] fn ignored() {}
    #[test] fn passes() { println!("said"); }
    #[test] fn returns_an_error() -> Result<(), String> { Err("no".into()) }
    #[test] #[should_panic] fn should_panic() { panic!("expected"); }
    #[test] #[should_panic] fn does_not_panic() {}
}
"#;

fn package() -> Package {
    let package = Package::shop("", TESTS);
    package.write("tests/api.rs", "#[test] fn answers() {}\n#[test] fn other() {}\n");
    package
}

/// What a stream says of each suite, by its tests: the events without what differs from run to run.
#[track_caller]
fn suites(ran: &Ran) -> BTreeMap<Vec<String>, Vec<Value>> {
    let mut suites = BTreeMap::new();
    let (mut events, mut names): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for line in ran.stdout.lines().filter(|line| line.starts_with('{')) {
        let mut event: Value = serde_json::from_str(line).unwrap();
        let fields = event.as_object_mut().unwrap();
        assert!(fields.get("exec_time").is_none_or(Value::is_f64), "{line}");
        if let Some(time) = fields.get_mut("exec_time") {
            *time = Value::Null;
        }
        if let Some(name) = fields.get_mut("name") {
            let full = name.as_str().unwrap();
            // libtest says so in the name.
            let bare = full.rsplit('$').next().unwrap().trim_end_matches(" - should panic");
            names.push(bare.to_owned());
            *name = json!(bare);
        }
        if let Some(out) = fields.get_mut("stdout") {
            *out = json!(lasting(out.as_str().unwrap()));
        }
        let is_end = event["type"] == "suite" && event["event"] != "started";
        events.push(event);
        if is_end {
            // The order of tests is free.
            events.sort_by_key(|event| (event["name"].to_string(), event["event"] != "started"));
            names.sort();
            names.dedup();
            suites.insert(std::mem::take(&mut names), std::mem::take(&mut events));
        }
    }
    assert!(events.is_empty(), "the last suite has no end: {ran}");
    suites
}

/// Output without the number of the thread and the hint that a process gives once.
fn lasting(output: &str) -> String {
    let lines = output.lines().filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
    let lines: Vec<String> = lines
        .map(|line| line.replace(|c: char| c.is_ascii_digit(), "").trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

#[test]
fn it_says_what_libtest_says() {
    let package = package();
    let ours = package.partest().args("--message-format libtest-json -- --skip other").run();
    let ours = ours.exits(100);
    let theirs = package
        .cargo()
        .args("test --no-fail-fast --lib --test api --")
        .args("-Z unstable-options --format json --report-time --skip other --test-threads 1");
    let theirs = theirs.env("RUSTC_BOOTSTRAP", "1").run().exits(101);
    let (own, others) = (suites(&ours), suites(&theirs));
    assert_eq!(
        own.keys().collect::<Vec<_>>(),
        others.keys().collect::<Vec<_>>(),
        "{ours}\n{theirs}"
    );
    for (tests, events) in &own {
        assert_eq!(events, &others[tests], "{ours}\n{theirs}");
    }
    for name in ["shop::shop$tests::fails", "shop::api$answers"] {
        assert!(ours.stdout.contains(&format!("\"name\":\"{name}\"")), "{ours}");
    }
    assert!(!ours.stdout.contains("\"nextest\""), "{ours}");
}

#[test]
fn the_plus_format_says_which_binary_a_suite_is() {
    let ran = package().partest().args("--message-format libtest-json-plus --test api").run();
    let ran = ran.exits(0);
    let lines: Vec<Value> = ran.events();
    let binary = json!({ "crate": "shop", "test_binary": "api", "kind": "test" });
    assert_eq!(lines.len(), 6, "{ran}");
    assert_eq!((&lines[0]["nextest"], &lines[5]["nextest"]), (&binary, &binary), "{ran}");
    assert_eq!(lines[5]["event"], "ok", "{ran}");
}

const TROUBLE: &str = r#"
#[cfg(test)]
mod tests {
    #[test] fn aborts() { std::process::abort(); }
    #[test] fn hangs() { loop { std::thread::park(); } }
    #[test] fn flickers() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join("f");
        assert!(std::fs::write(&log, std::fs::read(&log).map_or(vec![1], |_| vec![])).is_ok());
        assert!(std::fs::read(&log).unwrap().is_empty(), "not yet");
    }
}
"#;

const KEYS: &str = r#"
[package.metadata.partest]
policy = "split"
isolate = true
[package.metadata.partest.modules]
"shop::tests::hangs" = { timeout = "200ms" }
"shop::tests::flickers" = { retries = 1 }
"#;

#[test]
fn what_libtest_has_no_word_for_has_failed_and_a_retry_is_in_the_name() {
    let package = Package::shop(KEYS, TROUBLE);
    let ran = package.partest().args("--message-format libtest-json").run().exits(100);
    let events = ran.events();
    let of = |name: &str| {
        let is_it = |event: &&Value| event["name"] == format!("shop::shop$tests::{name}");
        events.iter().filter(is_it).cloned().collect::<Vec<_>>()
    };
    let [started, ended] = &of("aborts")[..] else { panic!("{ran}") };
    assert_eq!(
        (&started["event"], &ended["event"]),
        (&json!("started"), &json!("failed")),
        "{ran}"
    );
    assert!(ended["stdout"].as_str().unwrap().contains("SIGABRT"), "{ran}");
    assert_eq!(of("hangs")[1]["reason"], "time limit exceeded", "{ran}");
    assert!(of("hangs")[1]["stdout"].as_str().unwrap().contains("timed out after 200ms"), "{ran}");
    // Readers look for the end of what has begun.
    let flickers: Vec<Value> =
        of("flickers#2").iter().map(|event| event["event"].clone()).collect();
    assert_eq!(flickers, ["started", "ok"], "{ran}");
    let last = events.last().unwrap();
    assert_eq!((&last["passed"], &last["failed"]), (&json!(1), &json!(2)), "{ran}");
}

#[test]
fn commands_that_run_nothing_do_not_have_it() {
    for command in ["list", "plan", "fixtures"] {
        let ran = fixture::partest("passes").args(command).args("--message-format libtest-json");
        let ran = ran.run().exits(2);
        assert!(ran.stderr.contains("use `--message-format json` here"), "{ran}");
    }
}

/// Output that JSON and XML have to escape, and more of it than is kept.
const AWKWARD: &str = r#"
#[cfg(test)]
mod awkward {
    use std::io::Write;
    #[test] fn floods() {
        for line in 0..40_000 { println!("{line} \u{1b}[31m <&\"\\ \u{1}"); }
        panic!("too much");
    }
    #[test] fn prints_no_text() {
        std::io::stdout().write_all(b"\xff\xfe \xed\xa0\x80 \0 \r\n\r \xf0\x9f\x98\x80\n").unwrap();
        panic!("no \u{0}\u{fffe} text");
    }
    #[test] #[ignore = "a <reason>"] fn ignored() {}
}
"#;

#[test]
fn a_converter_to_junit_reads_it() {
    let Some(converter) = tool("bin/cargo2junit") else { return };
    let package = Package::shop(KEYS, &format!("{TROUBLE}{AWKWARD}"));
    // Of the same name.
    package.write("src/main.rs", "#[test] fn passes() {}\nfn main() {}\n");
    let ran = package.partest().args("--message-format libtest-json").run().exits(100);
    let mut command = Command::new("timeout");
    command.arg("60").arg(converter).stdin(Stdio::piped()).stdout(Stdio::piped());
    // It cuts longer texts wherever that is, and so within a character.
    command.env("TEST_STDOUT_STDERR_MAX_LEN", "10000000");
    let mut converter = command.spawn().unwrap();
    let (mut input, stream) = (converter.stdin.take().unwrap(), ran.stdout.clone());
    let feeds = std::thread::spawn(move || input.write_all(stream.as_bytes()));
    let read = converter.wait_with_output().unwrap();
    feeds.join().unwrap().unwrap();
    let xml = String::from_utf8(read.stdout).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    let mut cases: Vec<(String, &str)> = Vec::new();
    for case in report.test_suites.iter().flat_map(|suite| &suite.test_cases) {
        let word = match case.status {
            TestCaseStatus::Success { .. } => "passed",
            TestCaseStatus::Skipped { .. } => "skipped",
            TestCaseStatus::NonSuccess { .. } => "failed",
        };
        cases.push((case.name.as_str().rsplit(['$', ':']).next().unwrap().to_owned(), word));
    }
    cases.sort_unstable();
    let expected = [
        ("aborts", "failed"),
        ("flickers#2", "passed"),
        ("floods", "failed"),
        ("hangs", "failed"),
        ("ignored", "skipped"),
        ("passes", "passed"),
        ("prints_no_text", "failed"),
    ];
    assert_eq!(cases, expected.map(|(name, word)| (name.to_owned(), word)), "{xml}");
    assert_eq!(report.test_suites.len(), 2, "{xml}");
}
