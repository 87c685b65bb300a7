//! What the page says of the tests that did not pass, of those that flicker, and of leaks, in plain
//! markup.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::markup::{escaped, styled};
use super::timeline::{TestRun, Timeline};
use crate::model::duration::brief;
use crate::model::event::{Event, FixtureEvent};
use crate::model::leak::{Leak, LeakAction, LeakKind};
use crate::model::outcome::Outcome;
use crate::model::printable::printable;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::report::human::failure;
use crate::report::human::leak_list::{LeakList, Owner};
use crate::report::human::page::Page;
use crate::report::messages;
use crate::report::text::Paint;
use crate::report::view::View;

/// More of them are listed by their names alone: who reads more?
const MOST: usize = 200;
/// All that the blocks of failures may take together.
const LARGEST: usize = 1 << 21;
/// What one of them may take.
const LARGEST_BLOCK: usize = 1 << 16;
const MOST_NAMES: usize = 2000;
const MOST_LEAKS: usize = 500;
/// So many are shown open.
const OPEN: usize = 3;

/// What is to be told in words.
#[derive(Debug, Default)]
pub struct Failures {
    verdicts: Vec<(TestId, Verdict)>,
    fixtures: Vec<(String, String, Vec<u8>)>,
    /// What kept tests from running.
    problems: Vec<String>,
    leaks: LeakList,
    /// With every use of a pool.
    listed_leaks: usize,
    leak_counts: LeakCounts,
}

/// How many leaks there are, with those that are not listed. A pool is one, as in [`LeakList`].
#[derive(Debug, Default)]
struct LeakCounts {
    others: usize,
    denied_others: usize,
    /// Each with whether it is denied to any test.
    pools: BTreeMap<String, bool>,
}

impl LeakCounts {
    fn add(&mut self, leak: &Leak) {
        let is_denied = leak.action == LeakAction::Deny;
        if leak.kind == LeakKind::Pool {
            *self.pools.entry(leak.what.clone()).or_default() |= is_denied;
        } else {
            self.others += 1;
            self.denied_others += usize::from(is_denied);
        }
    }

    fn all(&self) -> usize {
        self.others + self.pools.len()
    }

    fn denied(&self) -> usize {
        self.denied_others + self.pools.values().filter(|is_denied| **is_denied).count()
    }
}

impl Failures {
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::TestFinished { test, verdict } => {
                self.add_leaks(&Owner::Test(*test), &verdict.leaks);
                let has_passed = verdict.outcome.is_success()
                    && verdict.flakiness().is_none()
                    && verdict.interference.is_none();
                if !has_passed {
                    self.verdicts.push((*test, verdict.clone()));
                }
            }
            Event::LeftBehind { by, leaks } => self.add_leaks(&by.into(), leaks),
            Event::Fixture { instance, what, .. } => {
                let (FixtureEvent::Failed { leaks, .. } | FixtureEvent::Stopped { leaks, .. }) =
                    what
                else {
                    return;
                };
                if let FixtureEvent::Failed { why, output, .. } = what {
                    let failed = (instance.to_string(), why.to_string(), output.clone());
                    self.fixtures.push(failed);
                }
                self.add_leaks(&Owner::Fixture(instance.to_string()), leaks);
            }
            Event::Warning(
                warning @ (Warning::ListFailed(_)
                | Warning::InterruptedWhileListing { .. }
                | Warning::TooManyCrashes { .. }
                | Warning::InternalError { .. }),
            ) => self.problems.push(messages::warning(warning)),
            _ => {}
        }
    }

    fn add_leaks(&mut self, owner: &Owner, leaks: &[Leak]) {
        let room = MOST_LEAKS - self.listed_leaks;
        let listed = &leaks[..leaks.len().min(room)];
        self.listed_leaks += listed.len();
        leaks.iter().for_each(|leak| self.leak_counts.add(leak));
        let leaks: Vec<Leak> = listed.iter().cloned().map(without_library).collect();
        self.leaks.add(owner, &leaks);
    }

    /// Failures first, then what passed in the end; each with the index of its test.
    pub fn markup(&mut self, view: &View<'_>, index: impl Fn(TestId) -> usize) -> String {
        self.verdicts.sort_by(|(a, one), (b, other)| {
            let rank = |verdict: &Verdict| {
                (verdict.outcome.is_success(), verdict.outcome == Outcome::Blocked)
            };
            rank(one).cmp(&rank(other)).then(view.compare(*a, *b))
        });
        let mut markup = String::new();
        for problem in self.problems.iter().take(MOST) {
            markup.push_str(&card("error", "", problem));
        }
        for (name, why, output) in self.fixtures.iter().take(MOST) {
            markup.push_str(&fixture(name, why, output));
        }
        let mut shown = 0;
        for (at, (test, verdict)) in self.verdicts.iter().take(MOST).enumerate() {
            if markup.len() > LARGEST {
                break;
            }
            shown += 1;
            markup.push_str(&block(view, *test, verdict, index(*test), at < OPEN));
        }
        let others = &self.verdicts[shown..];
        if !others.is_empty() {
            let names = others.iter().take(MOST_NAMES).map(|(test, verdict)| {
                let word = verdict.outcome.as_str();
                format!("<li><code>{}</code> {word}</li>", escaped(&view.id(*test)))
            });
            let more = messages::count(others.len(), "more test");
            let _ = write!(markup, "<details><summary>{more}</summary><ul class=\"names\">");
            markup.extend(names);
            markup.push_str("</ul></details>");
        }
        markup
    }

    /// What was left behind, in the words of the report for people.
    pub fn leaks_markup(&mut self, view: &View<'_>) -> String {
        let mut page = Page::new(Paint(true), None);
        self.leaks.show(&mut page, view, true);
        let text = page.into_text();
        let Some((_, text)) = text.split_once('\n') else { return String::new() };
        let more = match self.leak_counts.all() - self.leaks.count().0 {
            0 => String::new(),
            more => format!("\n… and {}", messages::count(more, "more leak")),
        };
        format!("<pre>{}{more}</pre>", styled(text.trim_end()))
    }

    /// How many leaks there are, and how many of them are denied.
    pub fn count_leaks(&self) -> (usize, usize) {
        (self.leak_counts.all(), self.leak_counts.denied())
    }

    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty() && self.fixtures.is_empty() && self.problems.is_empty()
    }
}

/// A leak with the calls of its stack that are not the standard library's.
fn without_library(leak: Leak) -> Leak {
    let is_own = |call: &String| call.contains(" at ") && !call.contains(" at library/");
    let stack = leak.stack.into_iter().filter(is_own).collect();
    Leak { stack, ..leak }
}

fn fixture(name: &str, why: &str, output: &[u8]) -> String {
    let end = &output[output.len().saturating_sub(LARGEST_BLOCK / 4)..];
    card("fixture", name, &format!("{why}\n\n{}", String::from_utf8_lossy(end)))
}

fn card(kind: &str, name: &str, text: &str) -> String {
    format!(
        "<details class=\"card bad\" open><summary><span class=\"mark\">{kind}</span> \
         <code><b>{}</b></code></summary><pre>{}</pre></details>\n",
        escaped(name),
        escaped(printable(text.as_bytes()).trim_end())
    )
}

fn block(view: &View<'_>, test: TestId, verdict: &Verdict, index: usize, is_open: bool) -> String {
    let mut page = Page::new(Paint(true), None);
    let (kind, word) = match (verdict.flakiness(), &verdict.interference) {
        // One that is flaky as well failed of itself later.
        (_, Some(found)) if verdict.outcome.is_success() => {
            failure::show_interfered(&mut page, view, test, verdict, found);
            ("flaky", "interfered with")
        }
        (Some(flakiness), _) => {
            failure::show_flaky(&mut page, view, test, verdict, flakiness);
            (if verdict.outcome.is_success() { "flaky" } else { "bad" }, "flaky")
        }
        (None, _) => {
            failure::show(&mut page, view, test, verdict);
            ("bad", verdict.outcome.as_str())
        }
    };
    let text = page.into_text();
    // The first line is in the summary.
    let text = text.trim_start_matches('\n').split_once('\n').map_or("", |(_, text)| text);
    let text = match text.char_indices().nth(LARGEST_BLOCK) {
        Some((at, _)) => format!("{}\x1b[0m…", &text[..at]),
        None => text.to_owned(),
    };
    let took = verdict.took.map(brief).unwrap_or_default();
    let id = view.id(test);
    let (path, name) = id.split_at(id.rfind("::").map_or(0, |at| at + 2));
    format!(
        "<details class=\"card {kind}\" id=\"t{index}\"{}><summary><span class=\"mark\">{word}</span> \
         <code><span class=\"path\">{}</span><b>{}</b></code> <span class=\"took\">{took}</span>\
         </summary><pre>{}</pre></details>\n",
        if is_open { " open" } else { "" },
        escaped(path),
        escaped(name),
        styled(text.trim_end())
    )
}

/// A table of tests for readers without a script: all of them where they are few, else those that
/// did not pass and the slowest.
pub fn table(view: &View<'_>, timeline: &Timeline) -> String {
    const FEW: usize = 1000;
    let mut runs: Vec<_> = timeline.runs.iter().filter(|run| run.is_last).collect();
    let all = runs.len();
    runs.sort_by(|one, other| {
        let rank = |run: &TestRun| (run.outcome.is_success(), std::cmp::Reverse(run.took));
        rank(one).cmp(&rank(other)).then_with(|| view.compare(one.test, other.test))
    });
    runs.truncate(FEW);
    let mut table = String::from(
        "<table><thead><tr><th scope=\"col\">Verdict</th><th scope=\"col\">Test</th>\
         <th scope=\"col\">Time</th></tr></thead><tbody>\n",
    );
    for run in &runs {
        let took = run.took.map(brief).unwrap_or_default();
        let (word, id) = (run.outcome.as_str(), escaped(&view.id(run.test)));
        let _ = writeln!(
            table,
            "<tr class=\"{word}\"><td>{word}</td><td><code>{id}</code></td><td>{took}</td></tr>"
        );
    }
    table.push_str("</tbody></table>");
    if all > FEW {
        let _ = write!(
            table,
            "<p>These are {FEW} of {all} tests: what did not pass, and the slowest.</p>"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(kind: LeakKind, action: LeakAction) -> Leak {
        let (what, detail) = ("worker".to_owned(), "still alive".to_owned());
        let (place, stack, rule) = (None, Vec::new(), "default".to_owned());
        Leak { kind, what, place, detail, lived_on: None, stack, action, rule }
    }

    #[test]
    fn leaks_that_are_not_listed_count_and_a_pool_does_so_once() {
        use LeakAction::{Deny, Warn};
        let mut failures = Failures::default();
        let mut add = |kind, action| failures.add_leaks(&Owner::Run, &[leak(kind, action)]);
        (0..MOST_LEAKS).for_each(|_| add(LeakKind::Thread, Warn));
        [Warn, Deny, Warn].into_iter().for_each(|action| add(LeakKind::Pool, action));
        add(LeakKind::Thread, Deny);
        assert_eq!(failures.count_leaks(), (MOST_LEAKS + 2, 2));
        assert_eq!(failures.leaks.count().0, MOST_LEAKS);
    }
}
