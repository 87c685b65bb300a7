//! Service messages, by which TeamCity learns of every test.

use crate::model::outcome::Outcome;
use crate::model::printable::printable;
use crate::model::reason::Reason;
use crate::model::verdict::{Attempt, Verdict};
use crate::report::failure_summary::FailureSummary;
use crate::report::markdown_text::abridged;

/// What is sent of one text.
const LINES: usize = 1_000;
const BYTES: usize = 64 * 1024;

/// Before the first test: one that fails first and passes later has passed.
pub const RETRIES: &str = "##teamcity[testRetrySupport enabled='true']\n";

/// The messages about a test that has its verdict. `summary` tells about an attempt that failed.
///
/// Each test is a flow of its own, so that others may end at the same time.
pub fn test(
    id: &str,
    verdict: &Verdict,
    summary: impl Fn(Outcome, Option<&Reason>, &crate::model::output::Output) -> FailureSummary,
) -> String {
    let id = attribute(id);
    let about = format!("name='{id}' flowId='{id}'");
    if verdict.outcome == Outcome::Ignored {
        let reason = verdict.reason.as_ref().map(Reason::to_string).unwrap_or_default();
        return format!("##teamcity[testIgnored {about} message='{}']\n", attribute(&reason));
    }
    let started = format!("##teamcity[testStarted {about} captureStandardOutput='false']\n");
    let finished = |took: Option<std::time::Duration>| {
        let milliseconds = took.unwrap_or_default().as_millis();
        format!("##teamcity[testFinished {about} duration='{milliseconds}']\n")
    };
    let failed = |outcome: Outcome, reason: Option<&Reason>, output: &_| {
        let summary = summary(outcome, reason, output);
        failed(&about, outcome, &summary)
    };
    let mut text = String::new();
    for Attempt { outcome, reason, output, took, .. } in &verdict.failed_before {
        text += &[&*started, &failed(*outcome, reason.as_ref(), output), &finished(*took)].concat();
    }
    let last = match verdict.outcome {
        Outcome::Passed => String::new(),
        outcome => failed(outcome, verdict.reason.as_ref(), &verdict.output),
    };
    text + &started + &last + &finished(verdict.took)
}

fn failed(about: &str, outcome: Outcome, summary: &FailureSummary) -> String {
    let FailureSummary { message, place, printed, notes } = summary;
    let mut text = String::new();
    if !printed.is_empty() {
        let printed = attribute(&abridged(printed, LINES, BYTES));
        text += &format!("##teamcity[testStdOut {about} out='{printed}']\n");
    }
    let place = place.as_ref().map(ToString::to_string).unwrap_or_default();
    let details = [&*place, &**message, &**notes].join("\n");
    let details = attribute(abridged(&details, LINES, BYTES).trim());
    let message = message.lines().next().unwrap_or(outcome.as_str());
    let message = attribute(&abridged(message, LINES, BYTES));
    text + &format!("##teamcity[testFailed {about} message='{message}' details='{details}']\n")
}

/// Text as the value of an attribute.
pub fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text.as_bytes()).chars() {
        match c {
            '\n' => escaped.push_str("|n"),
            '\r' => escaped.push_str("|r"),
            '\u{85}' => escaped.push_str("|x"),
            '\u{2028}' => escaped.push_str("|l"),
            '\u{2029}' => escaped.push_str("|p"),
            '|' | '\'' | '[' | ']' => escaped.extend(['|', c]),
            c if !c.is_ascii() => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units).iter();
                escaped.extend(units.map(|unit| format!("|0x{unit:04X}")));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_an_attribute_is_escaped() {
        assert_eq!(attribute("it's [a] | b\r\nc\u{2028}"), "it|'s |[a|] || b|nc|l");
        assert_eq!(attribute("ä😀\u{1b}[1mx"), "|0x00E4|0xD83D|0xDE00x");
    }
}
