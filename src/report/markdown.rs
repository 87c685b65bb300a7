//! The report as Markdown: the counts, failures, flaky tests, leaks and the slowest tests, for the
//! summary of a CI job or a comment.

use std::io::{self, Write};
use std::time::Duration;

use super::document::Document;
use super::failure_summary::FailureSummary;
use super::human::leak_list::{LeakList, Owner};
use super::human::totals;
use super::markdown_text::{BoundedText, block, code};
use super::messages;
use super::rerun;
use super::sharing_messages;
use super::text::Paint;
use super::view::View;
use crate::model::duration::brief;
use crate::model::event::{Event, FixtureEvent};
use crate::model::interference::Interference;
use crate::model::leak::{Leak, LeakKind};
use crate::model::outcome::Flakiness;
use crate::model::printable::printable;
use crate::model::reason::Reason;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;

/// What GitHub accepts as the summary of a step.
pub const LIMIT: usize = 1024 * 1024;

/// How many of the slowest tests are listed, unless the user has set a number.
const SLOWEST: usize = 5;

/// The shares of the sections in the limit. The rest is for headings and the lines of counts.
const FAILURES: f64 = 0.5;
const MORE_FAILURES: f64 = 0.25;
const OTHERS: f64 = 0.04;

pub struct Markdown<'r> {
    view: View<'r>,
    failed: Vec<(TestId, Verdict)>,
    flaky: Vec<(TestId, Verdict, Flakiness)>,
    interfered: Vec<(TestId, Verdict, Interference)>,
    slowest: Vec<(Duration, TestId)>,
    leaks: LeakList,
    /// What else went wrong, as Markdown.
    problems: Vec<String>,
}

impl<'r> Markdown<'r> {
    pub fn new(view: View<'r>) -> Markdown<'r> {
        Markdown {
            view,
            failed: Vec::new(),
            flaky: Vec::new(),
            interfered: Vec::new(),
            slowest: Vec::new(),
            leaks: LeakList::default(),
            problems: Vec::new(),
        }
    }

    fn test_finished(&mut self, test: TestId, verdict: &Verdict) {
        match verdict.flakiness() {
            Some(flakiness) => self.flaky.push((test, verdict.clone(), flakiness)),
            None if !verdict.outcome.is_success() => self.failed.push((test, verdict.clone())),
            None => {}
        }
        if let Some(found) = &verdict.interference {
            self.interfered.push((test, verdict.clone(), found.clone()));
        }
        self.leaks.add(&Owner::Test(test), &verdict.leaks);
        let took = verdict.took.filter(|took| *took >= messages::NOTICEABLE);
        self.slowest.extend(took.map(|took| (took, test)));
    }

    fn fixture(&mut self, instance: &str, what: &FixtureEvent) {
        match what {
            FixtureEvent::Failed { why, output, leaks } => {
                let text = [why.to_string(), printable(output)].join("\n");
                self.problems.push(format!(
                    "Fixture {} failed:\n\n{}\n",
                    code(instance),
                    block(&text)
                ));
                self.leaks.add(&Owner::Fixture(instance.to_owned()), leaks);
            }
            FixtureEvent::Stopped { leaks, .. } => {
                self.leaks.add(&Owner::Fixture(instance.to_owned()), leaks);
            }
            _ => {}
        }
    }

    fn sort(&mut self) {
        let view = self.view;
        self.failed.sort_by(|(a, _), (b, _)| view.compare(*a, *b));
        self.flaky.sort_by(|(a, ..), (b, ..)| view.compare(*a, *b));
        self.interfered.sort_by(|(a, ..), (b, ..)| view.compare(*a, *b));
        self.slowest.sort_by(|(a, one), (b, other)| b.cmp(a).then(view.compare(*one, *other)));
        let most = view.settings.durations.unwrap_or(SLOWEST);
        self.slowest.truncate(if most == 0 { usize::MAX } else { most });
    }

    /// All of it, in no more bytes than that.
    pub fn text(&mut self, summary: &Summary, limit: usize) -> String {
        self.sort();
        let mut text = BoundedText::new(limit);
        if !text.add(&self.heading(summary)) {
            return String::new();
        }
        self.failures(&mut text);
        let flaky = self.flaky.iter().map(|(test, verdict, flakiness)| {
            let said = messages::flakiness(*flakiness, verdict);
            format!("- {}: {said}\n", self.code_of(*test)) + &self.first_failure(*test, verdict)
        });
        section(&mut text, "Flaky", flaky.collect());
        let interfered = self.interfered.iter();
        let interfered =
            interfered.map(|(test, verdict, found)| self.victim(*test, verdict, found));
        section(&mut text, "Interfered with", interfered.collect());
        section(&mut text, "Other problems", self.problems.clone());
        section(&mut text, "Leaks", self.leak_lines());
        let slowest = self.slowest.iter();
        let slowest =
            slowest.map(|(took, test)| format!("- {} {}\n", brief(*took), self.code_of(*test)));
        section(&mut text, "Slowest", slowest.collect());
        text.into_text()
    }

    fn heading(&self, summary: &Summary) -> String {
        let word = match summary.is_success() {
            false => "Tests failed",
            true if summary.total() == 0 => "No tests",
            true => "Tests passed",
        };
        let totals = totals::line(summary, self.leaks.count(), Paint(false));
        format!("## {word}\n\n**{totals}**\n\n")
    }

    /// The first ones with all that is known of them, others with their messages, and a number for
    /// those that do not fit.
    fn failures(&self, text: &mut BoundedText) {
        if self.failed.is_empty() {
            return;
        }
        text.add("### Failures\n\n");
        let whole = self.failed.iter().map(|(test, verdict)| self.failure(*test, verdict));
        let shown = text.add_all(FAILURES, whole);
        let more =
            self.failed[shown..].iter().map(|(test, verdict)| self.failure_line(*test, verdict));
        let shown = shown + text.add_all(MORE_FAILURES, more);
        and_more(text, self.failed.len() - shown);
    }

    fn failure(&self, test: TestId, verdict: &Verdict) -> String {
        let word = messages::verdict_word(verdict.outcome);
        let took = verdict.took.map(messages::in_brackets).unwrap_or_default();
        let mut text = format!("#### {word} {}{took}\n\n", self.code_of(test));
        let attempt = (verdict.outcome, verdict.reason.as_ref());
        let failure = FailureSummary::new(&self.view, test, attempt, &verdict.output);
        if let Some(place) = &failure.place {
            text += &format!("{}\n\n", code(&place.to_string()));
        }
        if !failure.message.is_empty() {
            text += &format!("{}\n", block(&failure.message));
        }
        let printed = [&*failure.printed, &*failure.notes].join("\n");
        if !printed.trim().is_empty() {
            let printed = block(&printed);
            text += &format!("<details><summary>Output</summary>\n\n{printed}\n</details>\n\n");
        }
        let listing = &self.view.inventory.listings[test.listing];
        let listed = &listing.tests[test.test];
        let binary = &listing.binary;
        let again = rerun::alone(self.view.settings, binary, &listed.name, listed.is_ignored);
        text + &format!("{}\n\n", code(&again))
    }

    fn failure_line(&self, test: TestId, verdict: &Verdict) -> String {
        let word = messages::verdict_word(verdict.outcome);
        let reason = verdict.reason.as_ref().map(Reason::to_string).unwrap_or_default();
        let reason = printable(reason.as_bytes());
        let reason = reason.lines().next().map(|line| format!(": {}", code(&cut(line))));
        format!("- {word} {}{}\n", self.code_of(test), reason.unwrap_or_default())
    }

    /// A test that another one has made fail, and what keeps the two apart.
    fn victim(&self, test: TestId, verdict: &Verdict, found: &Interference) -> String {
        let shown = |text: &str| code(&printable(text.as_bytes()));
        let other = shown(&self.view.interferer(found));
        let thing = shown(&found.thing.to_string());
        let why = sharing_messages::interference(&other, &thing, found.kind);
        let [_, lock] = sharing_messages::interfered(&self.view, test, found);
        let first = self.first_failure(test, verdict);
        format!("- {}: {why}\n{first}  - {}\n", self.code_of(test), code(&lock))
    }

    fn first_failure(&self, test: TestId, verdict: &Verdict) -> String {
        let Some(first) = verdict.failed_before.first() else { return String::new() };
        let attempt = (first.outcome, first.reason.as_ref());
        let failure = FailureSummary::new(&self.view, test, attempt, &first.output);
        let place = failure.place.map(|place| code(&place.to_string()));
        let message = failure.message.lines().next().map(|line| code(&cut(line)));
        let parts: Vec<String> = place.into_iter().chain(message).collect();
        if parts.is_empty() { String::new() } else { format!("  - {}\n", parts.join(": ")) }
    }

    fn leak_lines(&mut self) -> Vec<String> {
        let mut leaks = std::mem::take(&mut self.leaks);
        let leaks = leaks.sorted(&self.view);
        leaks.into_iter().map(|(owner, leak, sharers)| self.leak(owner, leak, sharers)).collect()
    }

    fn leak(&self, owner: &Owner, leak: &Leak, sharers: usize) -> String {
        let of = match owner {
            Owner::Test(test) => self.code_of(*test),
            Owner::Unit(node) => format!("a test of {}", code(node)),
            Owner::Fixture(name) => format!("fixture {}", code(name)),
            Owner::Run => "a test of this run".to_owned(),
        };
        let Leak { kind, action, detail, .. } = leak;
        let (kind, verb) = match kind {
            LeakKind::Panic => ("unobserved panic", "at"),
            kind => (kind.as_str(), "started at"),
        };
        let place = leak.place.as_ref().map(|place| format!(" {verb} {}", code(place)));
        let what = code(&cut(&printable(leak.what.as_bytes())));
        let shared = if sharers > 1 { format!(", used by {sharers} tests") } else { String::new() };
        let (place, action) = (place.unwrap_or_default(), action.as_str());
        format!("- {of}: {kind} {what}{place}, {detail}{shared} ({action})\n")
    }

    fn code_of(&self, test: TestId) -> String {
        code(&self.view.shown_id(test))
    }
}

impl Document for Markdown<'_> {
    fn take(&mut self, event: &Event) {
        match event {
            Event::TestFinished { test, verdict } => self.test_finished(*test, verdict),
            Event::Fixture { instance, what, .. } => self.fixture(&instance.to_string(), what),
            Event::LeftBehind { by, leaks } => self.leaks.add(&by.into(), leaks),
            Event::Warning(
                warning @ (Warning::ListFailed(_)
                | Warning::InterruptedWhileListing { .. }
                | Warning::RunTimedOut { .. }
                | Warning::TooManyCrashes { .. }
                | Warning::InternalError { .. }),
            ) => {
                let text = printable(messages::warning(warning).as_bytes());
                self.problems.push(format!("{}\n", block(&text)));
            }
            _ => {}
        }
    }

    fn write(&mut self, summary: &Summary, file: &mut dyn Write) -> io::Result<()> {
        file.write_all(self.text(summary, LIMIT).as_bytes())
    }
}

/// A heading and what is below it, as far as there is something.
fn section(text: &mut BoundedText, heading: &str, items: Vec<String>) {
    let number = items.len();
    if number == 0 {
        return;
    }
    text.add(&format!("### {heading}\n\n"));
    let shown = text.add_all(OTHERS, items);
    and_more(text, number - shown);
}

fn and_more(text: &mut BoundedText, left_out: usize) {
    if left_out > 0 {
        text.add(&format!("- … and {left_out} more\n"));
    }
    text.gap();
}

/// The beginning of what stands in one line.
fn cut(line: &str) -> String {
    const CHARACTERS: usize = 200;
    match line.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
