//! The report as JUnit XML: what each outcome comes out as, and that the file is whole or not there.

#![cfg(target_os = "linux")]

use crate::fixture::outcomes::{KEYS, LIBRARY};
use crate::fixture::{Package, Ran};
use quick_junit::{FlakyOrRerun, NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// A file that must be valid XML, and whose counts must be those of its cases.
#[track_caller]
fn read(package: &Package, path: &str, ran: &Ran) -> Report {
    let text = std::fs::read_to_string(package.path(path));
    let text = text.unwrap_or_else(|error| panic!("{path}: {error}; {ran}"));
    Report::deserialize_from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn suite<'r>(report: &'r Report, name: &str) -> &'r TestSuite {
    let found = report.test_suites.iter().find(|suite| suite.name == *name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#?}"))
}

#[track_caller]
fn case<'r>(report: &'r Report, suite: &str, name: &str) -> &'r TestCase {
    let found = self::suite(report, suite).test_cases.iter().find(|case| case.name == *name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#?}"))
}

/// `failure failed`, `error timed-out`, `skipped`, `passed`
fn word(case: &TestCase) -> String {
    match &case.status {
        TestCaseStatus::Success { .. } => "passed".to_owned(),
        TestCaseStatus::Skipped { .. } => "skipped".to_owned(),
        TestCaseStatus::NonSuccess { kind, ty, .. } => {
            let kind = if *kind == NonSuccessKind::Failure { "failure" } else { "error" };
            format!("{kind} {}", ty.as_deref().unwrap_or_default())
        }
    }
}

/// The schema that Jenkins publishes (junit-10.xsd of its xUnit plugin) has less than what some
/// writers of JUnit write: these attributes, and properties of nothing but suites.
fn keeps_to_the_schema(text: &str) -> Result<(), String> {
    const KNOWN: [(&str, &str); 15] = [
        ("testsuites", "name time tests failures errors"),
        (
            "testsuite",
            "name tests failures errors group time skipped timestamp hostname id package file log url",
        ),
        ("testcase", "name time classname group"),
        ("failure", "type message"),
        ("error", "type message"),
        ("skipped", "type message"),
        ("rerunFailure", "type message"),
        ("rerunError", "type message"),
        ("flakyFailure", "type message"),
        ("flakyError", "type message"),
        ("stackTrace", ""),
        ("properties", ""),
        ("property", "name value"),
        ("system-out", ""),
        ("system-err", ""),
    ];
    let mut open: Vec<&str> = Vec::new();
    // In texts and values, `<` and `"` are escaped.
    for piece in text.split('<').skip(1).filter(|piece| !piece.starts_with(['?', '!'])) {
        let (tag, _) = piece.split_once('>').ok_or("a tag has no end")?;
        if let Some(name) = tag.strip_prefix('/') {
            open.pop_if(|last| *last == name).ok_or(format!("</{name}> ends nothing"))?;
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let (_, attributes) = known.ok_or(format!("unknown <{name}>"))?;
        for attribute in tag.split('"').step_by(2).filter_map(|text| text.strip_suffix('=')) {
            let attribute = attribute.rsplit(' ').next().unwrap_or_default();
            if !attributes.split(' ').any(|known| known == attribute) {
                return Err(format!("unknown `{attribute}` of <{name}>"));
            }
        }
        let parent = open.last().copied();
        if (name == "properties" && parent != Some("testsuite"))
            || (name == "testcase" && parent != Some("testsuite"))
        {
            return Err(format!("<{name}> in {parent:?}"));
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("not ended: {open:?}")) }
}

#[test]
fn each_outcome_has_its_element() {
    let package = Package::shop(KEYS, LIBRARY);
    let ran = package.partest().args("--junit new/j.xml").run().exits(100);
    let report = read(&package, "new/j.xml", &ran);
    let shop = suite(&report, "shop");
    let words: Vec<String> = shop
        .test_cases
        .iter()
        .map(|case| format!("{} {}", case.name.as_str(), word(case)))
        .collect();
    let expected = [
        "tests::aborts error aborted",
        "tests::fails failure failed",
        "tests::flickers passed",
        "tests::floods failure failed",
        "tests::hangs error timed-out",
        "tests::ignored skipped",
        "tests::leaks passed",
        "tests::needs_a_fixture error blocked",
        "tests::passes passed",
    ];
    assert_eq!(words, expected, "{ran}");
    assert!(shop.test_cases.iter().all(|case| case.classname.as_deref() == Some("shop")));
    assert_eq!((report.tests, report.failures, report.errors, shop.skipped), (9, 2, 3, 1));
    let text = std::fs::read_to_string(package.path("new/j.xml")).unwrap();
    keeps_to_the_schema(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));

    let fails = case(&report, "shop", "tests::fails");
    let out = fails.system_out.as_deref().unwrap();
    let bytes = "\u{fffd}\u{fffd} \u{fffd}\u{fffd} \u{fffd}\u{fffd}\u{fffd} bytes";
    let cleaned = format!("before red   \u{7f}   <&> ]]> \n \u{1f600}\n{bytes}\n");
    assert!(out.starts_with(&cleaned), "{out:?}");
    let TestCaseStatus::NonSuccess { message, reruns, .. } = &fails.status else { panic!() };
    assert!(message.is_some(), "{fails:?}");
    assert_eq!(reruns.runs.len(), 1, "{fails:?}");
    let flickers = &case(&report, "shop", "tests::flickers").status;
    let TestCaseStatus::Success { flaky_runs } = flickers else { panic!("{flickers:?}") };
    assert_eq!(flaky_runs.len(), 1);
    assert!(flaky_runs[0].system_out.as_deref().unwrap().contains("not yet"));

    let leaks = case(&report, "shop", "tests::leaks");
    for name in ["leak.thread", "leak.thread.2"] {
        let thread = shop.properties.iter().find(|property| property.name == *name);
        assert_eq!(thread.unwrap().value, *"tests::leaks: stray <&", "{shop:?}");
    }
    assert!(leaks.system_err.as_deref().unwrap().contains("`stray <&`"), "{leaks:?}");
}

#[test]
fn a_test_that_passed_too_late_is_a_failure_with_flaky_attempts() {
    let keys = "[package.metadata.partest]\nretries = { count = 1, flaky = \"fail\" }\n\
                modules = { \"shop::tests\" = { policy = \"unit\", threads = 1 } }\n";
    let library = r#"
        #[cfg(test)]
        mod tests {
            static DIRTY: std::sync::OnceLock<()> = std::sync::OnceLock::new();
            #[test] fn a_first() { DIRTY.set(()).unwrap(); }
            #[test] fn b_alone() { assert!(DIRTY.get().is_none(), "somebody was here"); }
        }
    "#;
    let package = Package::shop(keys, library);
    let ran = package.partest().args("--junit j.xml").run().exits(100);
    let report = read(&package, "j.xml", &ran);
    let alone = case(&report, "shop", "tests::b_alone");
    assert_eq!(word(alone), "failure failed", "{ran}");
    let TestCaseStatus::NonSuccess { reruns, .. } = &alone.status else { panic!() };
    assert_eq!((reruns.kind, reruns.runs.len()), (FlakyOrRerun::Flaky, 1), "{alone:?}");
}

#[test]
fn two_targets_of_one_name_stay_apart() {
    let package = Package::shop("", "#[test] fn one() {}\n");
    package.write("src/main.rs", "#[test] fn one() {}\nfn main() {}\n");
    let ran = package.partest().args("--junit j.xml").run().exits(0);
    let report = read(&package, "j.xml", &ran);
    let names: Vec<&str> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["shop (lib)", "shop (bin)"], "{ran}");
    case(&report, "shop (bin)", "one");
}

#[test]
fn the_key_is_relative_to_the_workspace_and_a_run_of_nothing_writes_it_too() {
    let keys = "[package.metadata.partest.reports]\njunit = \"out/j.xml\"\n";
    let package = Package::shop(keys, "#[test] fn one() {}\n");
    let ran = package.partest().within("src").run().exits(0);
    assert_eq!(read(&package, "out/j.xml", &ran).tests, 1);
    let ran = package.partest().args("nothing_like_it").run().exits(4);
    assert_eq!(read(&package, "out/j.xml", &ran).tests, 0);
    let ran = package.partest().within("src").args("--junit own.xml").run().exits(0);
    assert_eq!(read(&package, "src/own.xml", &ran).tests, 1);
    assert_eq!(read(&package, "out/j.xml", &ran).tests, 0, "the flag replaces the key");
    let left = std::fs::read_dir(package.path("out")).unwrap().count();
    assert_eq!(left, 1, "no temporary file is left");
}

/// What cannot be written from the beginning is an error before the build.
#[test]
fn what_cannot_be_written_any_more_costs_no_verdict() {
    let library = "
        fn stands_in_the_way() { std::fs::create_dir(\"j.xml\").unwrap() }
        #[test] fn fine() { stands_in_the_way() }
        #[test] fn bad() { stands_in_the_way(); panic!() }
    ";
    let package = Package::shop("", library);
    for (filter, code) in [("fine", 1), ("bad", 100)] {
        let call = package.partest().json().args("--junit j.xml").args(filter);
        let ran = call.run().exits(code);
        assert!(ran.stderr.contains("cannot write the report `j.xml`: "), "{ran}");
        assert_eq!(ran.tests().len(), 1, "{ran}");
        ran.finished();
        std::fs::remove_dir(package.path("j.xml")).unwrap();
    }
}

#[test]
fn an_interrupted_run_is_reported() {
    let library = r#"
        #[test] fn a_passes() {}
        #[test] fn b_hangs() {
            let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
            std::fs::write(log.join("hangs"), "now\n").unwrap();
            loop { std::thread::park(); }
        }
        #[test] fn c_waits() {}
    "#;
    let keys = "[package.metadata.partest]\npolicy = \"unit\"\nthreads = 1\n";
    let package = Package::shop(keys, library);
    let running = package.partest().args("-j1 --junit j.xml").start();
    running.await_log("hangs");
    running.send(rustix::process::Signal::INT);
    let ran = running.wait().exits(130);
    let report = read(&package, "j.xml", &ran);
    assert_eq!(word(case(&report, "shop", "a_passes")), "passed");
    assert_eq!(word(case(&report, "shop", "b_hangs")), "error interrupted");
    let waits = case(&report, "shop", "c_waits");
    assert_eq!(reason_of_skip(waits), "not run: the run was interrupted", "{ran}");
}

#[track_caller]
fn reason_of_skip(case: &TestCase) -> &str {
    let TestCaseStatus::Skipped { message, .. } = &case.status else { panic!("{case:?}") };
    message.as_deref().unwrap()
}

#[test]
fn what_was_stopped_or_not_listed_has_a_case_too() {
    let package = Package::with_a_lost_list();
    package.write("src/lib.rs", "#[test] fn a_fails() { panic!() }\n#[test] fn b_waits() {}\n");
    package.write("tests/c.rs", "#[test] fn c_waits() {}\n");
    let ran = package.partest().args("-j1 -p shop --policy unit --fail-fast --junit j.xml").run();
    let report = read(&package, "j.xml", &ran.exits(100));
    let lost = case(&report, "lost", "list of tests");
    assert_eq!(word(lost), "error not-listed");
    let TestCaseStatus::NonSuccess { message, .. } = &lost.status else { panic!() };
    assert!(message.as_deref().unwrap().contains("no file catalogue.txt"), "{message:?}");
    let after_a_failure = "not run: the run was stopped after a failure";
    assert_eq!(reason_of_skip(case(&report, "c", "c_waits")), after_a_failure);
    let text = std::fs::read_to_string(package.path("j.xml")).unwrap();
    keeps_to_the_schema(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
}
