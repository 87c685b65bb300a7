//! What this machine could not test, in one line at the end: `cargo test` starts test programs in the
//! order of their names, so this is the last one.

#![cfg(all(feature = "command", unix))]

#[path = "suite/fixture/left_out.rs"]
mod left_out;

use std::collections::BTreeMap;
use std::io::Write;

/// `SKIPPED TEST: REASON` for each test.
fn left_out(lines: &str) -> Result<String, String> {
    let mut tests_by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines.lines() {
        let test = line.strip_prefix("SKIPPED ").and_then(|line| line.split_once(": "));
        let (test, reason) = test.ok_or_else(|| format!("not a test and a reason: {line}"))?;
        tests_by_reason.entry(reason).or_default().push(test);
    }
    let reasons = tests_by_reason.iter().map(|(reason, tests)| match tests[..] {
        [test] => format!("{test}: {reason}"),
        _ => format!("{} tests: {reason}", tests.len()),
    });
    Ok(reasons.collect::<Vec<_>>().join("; "))
}

#[test]
fn is_said_at_the_end() {
    let Ok(lines) = std::fs::read_to_string(left_out::PATH) else { return };
    std::fs::remove_file(left_out::PATH).unwrap();
    // Past libtest's capture.
    let line = format!("\nLEFT OUT {}\n\n", left_out(&lines).unwrap());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

#[test]
fn is_told_by_reason() {
    let lines =
        "SKIPPED database::a: no server\nSKIPPED b: old kernel\nSKIPPED database::c: no server\n";
    assert_eq!(left_out(lines).unwrap(), "2 tests: no server; b: old kernel");
    assert!(left_out("nothing\n").is_err());
}
