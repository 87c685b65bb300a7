//! The final report for people, on stdout. Tests are sorted by package, binary and name,
//! independent of the order in which they finished.

use std::cmp::{Ordering, Reverse};
use std::fmt::Write;
use std::io;
use std::time::Duration;

use super::messages;
use crate::cli::settings::Verbosity;
use crate::model::duration::seconds;
use crate::model::event::{Event, FixtureEvent, LeakedBy};
use crate::model::fixture::FixtureInstance;
use crate::model::leak::{Leak, LeakAction, LeakKind};
use crate::model::outcome::{Flakiness, Outcome};
use crate::model::output::Output;
use crate::model::printable::printable;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::report::text::{Paint, is_quiet, print};
use crate::report::view::View;

/// How many of the slowest tests are listed, and how long a test takes to be one.
const SLOWEST: usize = 5;
const SLOW: Duration = Duration::from_secs(1);

/// The most leaks to list without `-v`.
const LEAKS: usize = 20;

/// The most lines of a test's output to show; the output file and JSON have all of them.
const LINES: usize = 200;

/// The origin of a leak.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Test(TestId),
    Unit(String),
    Fixture(String),
    Run,
}

impl Owner {
    /// The order in the report: tests first.
    fn compare(&self, other: &Owner, view: &View<'_>) -> Ordering {
        match (self, other) {
            (Owner::Test(one), Owner::Test(other)) => view.compare(*one, *other),
            (Owner::Unit(one), Owner::Unit(other)) => one.cmp(other),
            (Owner::Fixture(one), Owner::Fixture(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> usize {
        match self {
            Owner::Test(_) => 0,
            Owner::Unit(_) => 1,
            Owner::Fixture(_) => 2,
            Owner::Run => 3,
        }
    }
}

pub struct Human<'r> {
    view: View<'r>,
    paint: Paint,
    verdicts: Vec<(TestId, Verdict)>,
    slowest: Vec<(Duration, TestId)>,
    leaks: Vec<(Owner, Leak)>,
    /// Fixtures that failed: why, and their output.
    failed_fixtures: Vec<(String, Vec<u8>)>,
    /// Shown in one line each above the last one.
    remarks: Vec<Warning>,
}

impl<'r> Human<'r> {
    pub fn new(view: View<'r>) -> Self {
        let paint = Paint(view.settings.color.stdout);
        Human {
            view,
            paint,
            verdicts: Vec::new(),
            slowest: Vec::new(),
            leaks: Vec::new(),
            failed_fixtures: Vec::new(),
            remarks: Vec::new(),
        }
    }

    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::TestFinished { test, verdict } => self.test_finished(*test, verdict),
            Event::Fixture { instance, what } => self.fixture(instance, what),
            Event::LeftBehind { by, leaks } => {
                let owner = match by {
                    LeakedBy::Test(test) => Owner::Test(*test),
                    LeakedBy::Unit(node) => Owner::Unit(node.clone()),
                    LeakedBy::Run => Owner::Run,
                };
                self.leaks.extend(leaks.iter().map(|leak| (owner.clone(), leak.clone())));
            }
            Event::Warning(
                warning @ (Warning::DoctestsNotRun { .. }
                | Warning::NoLeakCheck { .. }
                | Warning::FixturesKept { .. }),
            ) => {
                self.remarks.push(warning.clone());
            }
            Event::RunFinished(summary) => return print(&self.report(summary)),
            _ => {}
        }
        Ok(())
    }

    fn fixture(&mut self, instance: &FixtureInstance, what: &FixtureEvent) {
        let (FixtureEvent::Failed { leaks, .. } | FixtureEvent::Stopped { leaks, .. }) = what
        else {
            return;
        };
        if let FixtureEvent::Failed { why, output, .. } = what {
            self.failed_fixtures
                .push((format!("fixture {instance} failed: {why}"), output.clone()));
        }
        let owned = leaks.iter().map(|leak| (Owner::Fixture(instance.to_string()), leak.clone()));
        self.leaks.extend(owned);
    }

    fn test_finished(&mut self, test: TestId, verdict: &Verdict) {
        let is_shown = !verdict.outcome.is_success()
            || verdict.flakiness().is_some()
            || (self.view.settings.show_output && !verdict.output.is_empty());
        if is_shown {
            self.verdicts.push((test, verdict.clone()));
        }
        self.leaks.extend(verdict.leaks.iter().map(|leak| (Owner::Test(test), leak.clone())));
        let Some(took) = verdict.took else { return };
        let is_slow = took >= SLOW || self.view.settings.verbosity == Verbosity::Verbose;
        if is_slow {
            self.slowest.push((took, test));
            let view = self.view;
            self.slowest.sort_by(|(a, one), (b, other)| b.cmp(a).then(view.compare(*one, *other)));
            self.slowest.truncate(SLOWEST);
        }
    }

    fn report(&mut self, summary: &Summary) -> String {
        let mut text = String::new();
        for (why, output) in &self.failed_fixtures {
            line(&mut text, &format!("{} {}", self.paint.bad("FAILED"), printable(why.as_bytes())));
            self.output(&mut text, output);
            line(&mut text, "");
        }
        let view = self.view;
        self.verdicts.sort_by(|(a, _), (b, _)| view.compare(*a, *b));
        for (test, verdict) in &self.verdicts {
            self.verdict(&mut text, *test, verdict);
        }
        self.leak_summary(&mut text);
        if !is_quiet(self.view.settings) {
            self.slowest(&mut text);
            for remark in &self.remarks {
                line(&mut text, &self.paint.faint(&messages::warning(remark)));
            }
            if let Some(longest) = &summary.longest {
                line(&mut text, &self.paint.faint(&messages::longest(longest, summary)));
            }
            if !self.remarks.is_empty() || summary.longest.is_some() {
                line(&mut text, "");
            }
        }
        self.last_line(&mut text, summary);
        text
    }

    fn verdict(&self, text: &mut String, test: TestId, verdict: &Verdict) {
        let listing = &self.view.inventory.listings[test.listing];
        let listed = &listing.tests[test.test];
        if let Some(flakiness) = verdict.flakiness() {
            return self.flakiness(text, test, verdict, flakiness);
        }
        let word = messages::verdict_word(verdict.outcome);
        let word = match verdict.outcome.is_success() {
            true => self.paint.good(word),
            false => self.paint.bad(word),
        };
        let id = self.paint.strong(&self.view.id(test));
        let took = verdict.took.map(messages::in_brackets).unwrap_or_default();
        let reason = match &verdict.reason {
            Some(reason) => {
                format!(": {}", printable(reason.to_string().as_bytes()).replace('\n', " "))
            }
            None => String::new(),
        };
        line(text, &format!("{word} {id}{took}{reason}"));
        if verdict.outcome == Outcome::Blocked {
            // The reason is reported once, for the fixture.
            return;
        }
        self.output(text, &verdict.output);
        self.output_files(text, &verdict.output);
        if !verdict.outcome.is_success() {
            let settings = self.view.settings;
            let again = messages::again(settings, &listing.binary, &listed.name, listed.is_ignored);
            line(text, &self.paint.faint(&format!("  again: {again}")));
        }
        line(text, "");
    }

    /// A test that failed first and passed later, with the output of its first failure and the
    /// commands to reproduce it.
    fn flakiness(&self, text: &mut String, test: TestId, verdict: &Verdict, flakiness: Flakiness) {
        let listing = &self.view.inventory.listings[test.listing];
        let listed = &listing.tests[test.test];
        let word = match flakiness {
            Flakiness::Flaky => "FLAKY",
            Flakiness::OrderDependent => "ORDER DEPENDENT",
        };
        let word = match verdict.outcome.is_success() {
            true => self.paint.warn(word),
            false => self.paint.bad(word),
        };
        let id = self.paint.strong(&self.view.id(test));
        let what = messages::flakiness(flakiness, verdict);
        let what = printable(what.as_bytes()).replace('\n', " ");
        line(text, &format!("{word} {id}: {what}"));
        if let Some(first) = verdict.failed_before.first() {
            self.output(text, &first.output);
            self.output_files(text, &first.output);
        }
        let settings = self.view.settings;
        let again = messages::again(settings, &listing.binary, &listed.name, listed.is_ignored);
        line(text, &self.paint.faint(&format!("  alone: {again}")));
        if flakiness == Flakiness::OrderDependent {
            let beside = messages::beside_others(settings, &listing.binary);
            line(text, &self.paint.faint(&format!("  beside others: {beside}")));
        }
        line(text, "");
    }

    /// Each line has a bar in front, so that a test cannot imitate the report.
    fn output(&self, text: &mut String, output: &[u8]) {
        let shown = printable(output);
        let lines = lines(&shown);
        let surplus = lines.len().saturating_sub(LINES);
        let bar = self.paint.faint("  |");
        for (at, output) in lines.iter().enumerate() {
            if surplus > 0 && at == LINES / 2 {
                line(text, &self.paint.faint(&format!("  | … {surplus} more lines …")));
            }
            let is_cut = surplus > 0 && (LINES / 2..LINES / 2 + surplus).contains(&at);
            if !is_cut {
                line(text, format!("{bar} {output}").trim_end());
            }
        }
    }

    fn output_files(&self, text: &mut String, output: &Output) {
        for (file, path) in output.kept() {
            let whole = printable(messages::whole(file, path).as_bytes());
            line(text, &self.paint.faint(&format!("  {whole}")));
        }
    }

    fn slowest(&self, text: &mut String) {
        if self.slowest.is_empty() {
            return;
        }
        line(text, "slowest:");
        for (took, test) in &self.slowest {
            line(text, &format!("{:>10} s  {}", seconds(*took), self.view.id(*test)));
        }
        line(text, "");
    }

    /// Leaks by test, the most severe first.
    fn leak_summary(&mut self, text: &mut String) {
        if self.leaks.is_empty() {
            return;
        }
        let view = self.view;
        let grave = |leak: &Leak| (Reverse(leak.action), leak.kind == LeakKind::Pool);
        self.leaks.sort_by(|(one, a), (other, b)| {
            let owners = || one.compare(other, &view).then(a.kind.cmp(&b.kind));
            grave(a).cmp(&grave(b)).then_with(owners)
        });
        line(text, &self.paint.strong(messages::LEFT_BEHIND));
        let is_verbose = self.view.settings.verbosity == Verbosity::Verbose;
        let shown = if is_verbose { self.leaks.len() } else { LEAKS };
        let mut last = None;
        let mut pools: Vec<&str> = Vec::new();
        for (test, leak) in self.leaks.iter().take(shown) {
            // All tests that use a pool share it.
            if leak.kind == LeakKind::Pool {
                if pools.contains(&leak.what.as_str()) {
                    continue;
                }
                pools.push(&leak.what);
            }
            if last.replace(test) != Some(test) {
                line(text, &format!("  {}", self.shown_owner(test)));
            }
            self.leak(text, leak, is_verbose);
        }
        if self.leaks.len() > shown {
            line(text, &format!("  … and {} more (-v shows all)", self.leaks.len() - shown));
        }
        line(text, &self.paint.faint(&messages::how_to_allow(&self.leaks[0].1)));
        line(text, "");
    }

    fn shown_owner(&self, owner: &Owner) -> String {
        match owner {
            Owner::Test(test) => self.view.id(*test),
            Owner::Unit(node) => format!("a test of {node}"),
            Owner::Fixture(name) => format!("fixture {name}"),
            Owner::Run => "a test of this run".to_owned(),
        }
    }

    fn leak(&self, text: &mut String, leak: &Leak, with_stack: bool) {
        let word = leak.kind.as_str();
        let word = match leak.action {
            LeakAction::Deny => self.paint.bad(word),
            _ => self.paint.warn(word),
        };
        let verb = if leak.kind == LeakKind::Panic { "at" } else { "started at" };
        let place = leak.place.as_ref().map(|place| format!(" {verb} {place}"));
        let what = printable(leak.what.as_bytes()).replace('\n', " ");
        let rule = self.paint.faint(&format!("[{}: {}]", leak.action.as_str(), leak.rule));
        let place = place.unwrap_or_default();
        line(text, &format!("    {word} `{what}`{place}, {} {rule}", leak.detail));
        for call in leak.stack.iter().filter(|_| with_stack) {
            line(text, &self.paint.faint(&format!("        {call}")));
        }
    }

    fn last_line(&self, text: &mut String, summary: &Summary) {
        if summary.total() + summary.not_run + summary.list_failures == 0 && !summary.interrupted {
            // `main` reports that no test matched.
            return;
        }
        let is_success = summary.is_success();
        let word = match () {
            () if summary.interrupted => self.paint.bad("INTERRUPTED"),
            () if is_success => self.paint.good("PASSED"),
            () => self.paint.bad("FAILED"),
        };
        let counts = messages::counts(summary);
        line(text, &format!("{word} {counts} ({})", messages::effort(summary)));
    }
}

fn lines(shown: &str) -> Vec<&str> {
    shown.trim_end().trim_start_matches('\n').lines().collect()
}

/// Whether the report shows only a part of this output.
pub fn is_cut(output: &[u8]) -> bool {
    // A quick check that is enough for most outputs.
    output.len() > LINES && lines(&printable(output)).len() > LINES
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
