//! One JSON object per line on stdout as libtest writes them, for tools that read those.
//!
//! Such tools take what stands between the beginning and the end of a suite as its tests. So each
//! binary is one block, which is written when the last of its tests has a verdict. Names are those of
//! nextest: the package, the target and the test.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::human::failure_output::LIBTESTS_NOTES;
use super::messages;
use super::text::print;
use super::view::View;
use crate::cargo::binary::Binary;
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;

pub struct LibtestJson<'r> {
    view: View<'r>,
    /// Whether suites say which binary they are.
    is_plus: bool,
    /// By listing: how many of its tests are selected.
    selected: Vec<usize>,
    /// By listing, as long as its suite is not complete.
    suites: BTreeMap<usize, Vec<(TestId, Verdict)>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'l> {
    Suite(SuiteLine<'l>),
    Test(TestLine<'l>),
}

#[derive(Serialize)]
struct SuiteLine<'l> {
    event: &'static str,
    #[serde(flatten)]
    of: SuiteCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    nextest: Option<BinaryLine<'l>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SuiteCounts {
    Started {
        test_count: usize,
    },
    Finished {
        passed: usize,
        failed: usize,
        ignored: usize,
        measured: usize,
        filtered_out: usize,
        exec_time: f64,
    },
}

/// As nextest has it.
#[derive(Serialize)]
struct BinaryLine<'l> {
    #[serde(rename = "crate")]
    package: &'l str,
    test_binary: &'l str,
    kind: &'l str,
}

#[derive(Serialize, Default)]
struct TestLine<'l> {
    event: &'static str,
    name: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exec_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<String>,
    /// What libtest itself has to say of `#[should_panic]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'r> LibtestJson<'r> {
    pub fn new(view: View<'r>, is_plus: bool) -> LibtestJson<'r> {
        LibtestJson { view, is_plus, selected: Vec::new(), suites: BTreeMap::new() }
    }

    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted { selected, .. } => self.selected.clone_from(selected),
            Event::TestFinished { test, verdict } => {
                let suite = self.suites.entry(test.listing).or_default();
                suite.push((*test, verdict.clone()));
                let is_complete = self.selected.get(test.listing) == Some(&suite.len());
                if is_complete && !self.view.settings.ordered {
                    let tests = std::mem::take(suite);
                    self.suites.remove(&test.listing);
                    return self.suite(test.listing, tests);
                }
            }
            Event::RunFinished(_) => {
                let mut suites: Vec<_> = std::mem::take(&mut self.suites).into_iter().collect();
                let binary = |listing: usize| &self.view.inventory.listings[listing].binary;
                suites.sort_by(|(a, _), (b, _)| binary(*a).compare(binary(*b)));
                return suites
                    .into_iter()
                    .try_for_each(|(listing, tests)| self.suite(listing, tests));
            }
            _ => {}
        }
        Ok(())
    }

    /// The block of one binary.
    fn suite(&self, listing: usize, mut tests: Vec<(TestId, Verdict)>) -> io::Result<()> {
        tests.sort_by_key(|(test, _)| test.test);
        let listed = &self.view.inventory.listings[listing];
        let mut text = String::new();
        let started = SuiteCounts::Started { test_count: tests.len() };
        push(&mut text, &self.suite_line("started", started, &listed.binary))?;
        for (test, verdict) in &tests {
            let name = name(&listed.binary, &listed.tests[test.test].name, verdict);
            push(
                &mut text,
                &Line::Test(TestLine { event: "started", name: &name, ..TestLine::default() }),
            )?;
            push(&mut text, &Line::Test(self.test_line(&name, verdict)))?;
        }
        let count = |is_it: fn(Outcome) -> bool| {
            tests.iter().filter(|(_, verdict)| is_it(verdict.outcome)).count()
        };
        let failed = count(|outcome| !outcome.is_success());
        let times = tests.iter().filter_map(|(_, verdict)| verdict.took);
        let finished = SuiteCounts::Finished {
            passed: count(|outcome| outcome == Outcome::Passed),
            failed,
            ignored: count(|outcome| outcome == Outcome::Ignored),
            measured: 0,
            // Those that were not run are among them.
            filtered_out: listed.tests.len() - tests.len(),
            exec_time: times.map(|took| took.as_secs_f64()).sum(),
        };
        let event = if failed > 0 { "failed" } else { "ok" };
        push(&mut text, &self.suite_line(event, finished, &listed.binary))?;
        print(&text)
    }

    fn suite_line<'l>(&self, event: &'static str, of: SuiteCounts, binary: &'l Binary) -> Line<'l> {
        let Binary { package_name, target, kind, .. } = binary;
        let nextest = BinaryLine { package: package_name, test_binary: target, kind };
        Line::Suite(SuiteLine { event, of, nextest: self.is_plus.then_some(nextest) })
    }

    fn test_line<'l>(&self, name: &'l str, verdict: &Verdict) -> TestLine<'l> {
        let exec_time = verdict.took.map(|took| took.as_secs_f64());
        match verdict.outcome {
            Outcome::Ignored => TestLine { event: "ignored", name, ..TestLine::default() },
            Outcome::Passed => {
                let is_shown = self.view.settings.show_output() && !verdict.output.is_empty();
                let stdout =
                    is_shown.then(|| String::from_utf8_lossy(&verdict.output).into_owned());
                TestLine { event: "ok", name, exec_time, stdout, ..TestLine::default() }
            }
            outcome => {
                let (output, message) = split_message(output_of_failure(verdict));
                let stdout = Some(output).filter(|output| !output.is_empty());
                let reason = match outcome {
                    Outcome::TimedOut => Some("time limit exceeded"),
                    _ if verdict.is_flaky_failure => Some("flaky test treated as failure"),
                    _ => None,
                };
                TestLine { event: "failed", name, exec_time, stdout, message, reason }
            }
        }
    }
}

/// `web::api$auth::rejects`; with the number of attempts, if there were several: `…#2`.
fn name(binary: &Binary, test: &str, verdict: &Verdict) -> String {
    let attempts = match verdict.failed_before.len() {
        0 => String::new(),
        failed => format!("#{}", failed + 1),
    };
    format!("{}::{}${test}{attempts}", binary.package_name, binary.target)
}

/// What the test has printed, and the reason where it did not end by itself: otherwise its output
/// has it.
fn output_of_failure(verdict: &Verdict) -> String {
    let mut lines = String::from_utf8_lossy(&verdict.output).into_owned();
    let ended_by_itself = verdict.outcome == Outcome::Failed && !verdict.is_flaky_failure;
    let reason = verdict.reason.as_ref().filter(|_| !ended_by_itself || lines.is_empty());
    let lost = verdict.output_lost.as_ref().map(messages::output_lost);
    for line in reason.map(Reason::to_string).into_iter().chain(lost) {
        if !lines.is_empty() && !lines.ends_with('\n') {
            lines.push('\n');
        }
        lines += &line;
        lines.push('\n');
    }
    lines
}

/// Splits libtest's own message off the end of an output.
fn split_message(output: String) -> (String, Option<String>) {
    let start = LIBTESTS_NOTES.iter().filter_map(|note| output.rfind(note)).max();
    let start = start.filter(|at| *at == 0 || output[..*at].ends_with('\n'));
    let Some(start) = start else { return (output, None) };
    let message = output[start..].trim_end().trim_start_matches("note: ").to_owned();
    (output[..start].to_owned(), Some(message))
}

fn push(text: &mut String, line: &Line<'_>) -> io::Result<()> {
    text.push_str(&serde_json::to_string(line)?);
    text.push('\n');
    Ok(())
}
