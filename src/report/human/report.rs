//! The report as a whole. Tests are sorted by package, binary and name, independent of the order in
//! which they finished.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::cli::output_args::OutputWhen;
use crate::cli::settings::Verbosity;
use crate::cli::task::Task;
use crate::model::duration::brief;
use crate::model::event::{Event, FixtureEvent};
use crate::model::fixture::FixtureInstance;
use crate::model::interference::LearntLock;
use crate::model::outcome::Outcome;
use crate::model::printable::printable;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::report::human::changed_state::ChangedState;
use crate::report::human::failure::{self, BAR};
use crate::report::human::failure_output;
use crate::report::human::leak_list::{LeakList, Owner};
use crate::report::human::page::{self, Page};
use crate::report::human::panic_message::HINT;
use crate::report::human::shared_things;
use crate::report::human::totals;
use crate::report::human::worker_output::WorkerOutput;
use crate::report::messages;
use crate::report::text::{Paint, is_quiet};
use crate::report::view::View;

/// How many of the slowest tests are listed, and how long a test takes to be one.
const SLOWEST: usize = 5;
const SLOW: Duration = Duration::from_secs(1);

pub struct Human<'r> {
    view: View<'r>,
    paint: Paint,
    verdicts: Vec<(TestId, Verdict)>,
    slowest: Vec<(Duration, TestId)>,
    leaks: LeakList,
    /// Fixtures that failed, why, and their output.
    failed_fixtures: Vec<(String, String, Vec<u8>)>,
    worker_outputs: Vec<WorkerOutput>,
    learnt: Vec<LearntLock>,
    changed_state: ChangedState,
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
            leaks: LeakList::default(),
            failed_fixtures: Vec::new(),
            worker_outputs: Vec::new(),
            learnt: Vec::new(),
            changed_state: ChangedState::default(),
            remarks: Vec::new(),
        }
    }

    /// Takes an event; returns what is to be printed now.
    pub fn show(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::TestFinished { test, verdict } => {
                self.test_finished(*test, verdict);
                return self.immediate(*test, verdict);
            }
            Event::Fixture { instance, what, .. } => self.fixture(instance, what),
            Event::LeftBehind { by, leaks } => self.leaks.add(&by.into(), leaks),
            Event::WorkerOutput { worker, tests, output } => {
                let (worker, tests, output) = (*worker, tests.clone(), output.clone());
                self.worker_outputs.push(WorkerOutput { worker, tests, output });
            }
            Event::Warning(
                warning @ (Warning::NoLeakCheck { .. } | Warning::FixturesKept { .. }),
            ) => {
                self.remarks.push(warning.clone());
            }
            Event::StateChanged { test, changes } => self.changed_state.add(*test, changes),
            Event::LocksLearnt(locks) => self.learnt.clone_from(locks),
            Event::RunFinished(summary) => return Some(self.report(summary)),
            _ => {}
        }
        None
    }

    /// When a test with this verdict is shown with its output.
    fn output_when(&self, verdict: &Verdict) -> OutputWhen {
        let settings = self.view.settings;
        match verdict.outcome.is_success() && verdict.flakiness().is_none() {
            // Nothing is to be shown of a test that printed nothing.
            true if verdict.output.is_empty() || settings.nocapture => OutputWhen::Never,
            true => settings.success_output,
            false => settings.failure_output,
        }
    }

    fn immediate(&self, test: TestId, verdict: &Verdict) -> Option<String> {
        if !self.output_when(verdict).is_immediate() || self.view.settings.ordered {
            return None;
        }
        let mut page = Page::new(self.paint, columns());
        self.block(&mut page, test, verdict);
        Some(page.into_text())
    }

    fn block(&self, page: &mut Page, test: TestId, verdict: &Verdict) {
        match verdict.flakiness() {
            Some(flakiness) => failure::show_flaky(page, &self.view, test, verdict, flakiness),
            None => failure::show(page, &self.view, test, verdict),
        }
    }

    fn fixture(&mut self, instance: &FixtureInstance, what: &FixtureEvent) {
        let (FixtureEvent::Failed { leaks, .. } | FixtureEvent::Stopped { leaks, .. }) = what
        else {
            return;
        };
        if let FixtureEvent::Failed { why, output, .. } = what {
            let failed = (instance.to_string(), why.to_string(), output.clone());
            self.failed_fixtures.push(failed);
        }
        self.leaks.add(&Owner::Fixture(instance.to_string()), leaks);
    }

    fn test_finished(&mut self, test: TestId, verdict: &Verdict) {
        let is_bad = !verdict.outcome.is_success()
            || verdict.flakiness().is_some()
            || verdict.interference.is_some();
        if is_bad || self.output_when(verdict).is_final() {
            self.verdicts.push((test, verdict.clone()));
        }
        self.leaks.add(&Owner::Test(test), &verdict.leaks);
        let Some(took) = verdict.took else { return };
        let durations = self.view.settings.durations;
        let is_noticed = took >= SLOW || (self.is_verbose() && took >= messages::NOTICEABLE);
        if is_noticed || durations.is_some() {
            self.slowest.push((took, test));
            let view = self.view;
            self.slowest.sort_by(|(a, one), (b, other)| b.cmp(a).then(view.compare(*one, *other)));
            let most = durations.unwrap_or(SLOWEST);
            self.slowest.truncate(if most == 0 { usize::MAX } else { most });
        }
    }

    fn is_verbose(&self) -> bool {
        self.view.settings.verbosity == Verbosity::Verbose
    }

    fn report(&mut self, summary: &Summary) -> String {
        let view = self.view;
        let mut page = Page::new(self.paint, columns());
        self.verdicts.sort_by(|(a, _), (b, _)| view.compare(*a, *b));
        let is_quiet = is_quiet(view.settings);
        // In a terminal, it follows the lines of progress.
        if page.columns.is_some() && !self.verdicts.is_empty() {
            page.line("");
        }
        self.fixtures(&mut page);
        self.failures(&mut page);
        for output in &self.worker_outputs {
            let has_failed = |test| self.verdicts.iter().any(|(failed, _)| *failed == test);
            output.show(&mut page, &view, has_failed);
        }
        self.leaks.show(&mut page, &view, view.settings.verbosity == Verbosity::Verbose);
        self.changed_state.show(&mut page, &view, view.settings.verbosity == Verbosity::Verbose);
        self.flaky(&mut page);
        shared_things::interfered(&mut page, &view, &self.verdicts);
        shared_things::learnt(&mut page, &self.learnt);
        if !is_quiet || view.settings.durations.is_some() {
            self.slowest(&mut page);
        }
        if !is_quiet {
            self.names_of_failures(&mut page);
            self.remarks(&mut page, summary);
        } else if let Some(seed) = view.settings.shuffle.filter(|_| !summary.is_success()) {
            page.line(&page.paint.faint(&messages::same_order(seed)));
        }
        self.last_line(&mut page, summary);
        page.into_text()
    }

    fn fixtures(&self, page: &mut Page) {
        let bar = page.paint.faint(BAR);
        for (name, why, output) in &self.failed_fixtures {
            let name = page.paint.strong(&format!("fixture {name}"));
            page.line(&format!("{} {name}", page.paint.bad("FAILED")));
            page.all_behind("  ", printable(why.as_bytes()).lines());
            page.all_behind(&bar, failure_output::lines(&printable(output)));
            page.gap();
        }
    }

    fn failures(&self, page: &mut Page) {
        let (passed, failed): (Vec<_>, Vec<_>) = self
            .verdicts
            .iter()
            .filter(|(_, verdict)| verdict.flakiness().is_none())
            .filter(|(_, verdict)| self.is_in_report(verdict))
            .partition(|(_, verdict)| verdict.outcome.is_success());
        for (heading, tests) in [("output of passed tests:", passed), ("failures:", failed)] {
            if !tests.is_empty() {
                page.line(&page.paint.strong(heading));
                page.gap();
            }
            for (test, verdict) in tests {
                self.block(page, *test, verdict);
            }
            page.gap();
        }
    }

    /// With `--ordered`, nothing is shown before the end.
    fn is_in_report(&self, verdict: &Verdict) -> bool {
        let when = self.output_when(verdict);
        when.is_final() || (when.is_immediate() && self.view.settings.ordered)
    }

    /// Flaky tests with their first failure, or by their names where that has been shown.
    fn flaky(&self, page: &mut Page) {
        let flaky = |(test, verdict): &'_ (TestId, Verdict)| {
            Some((*test, verdict.clone(), verdict.flakiness()?))
        };
        let flaky: Vec<_> = self.verdicts.iter().filter_map(flaky).collect();
        if flaky.is_empty() {
            return;
        }
        page.line(&page.paint.strong("flaky:"));
        for (test, verdict, flakiness) in flaky {
            if self.is_in_report(&verdict) {
                page.gap();
                failure::show_flaky(page, &self.view, test, &verdict, flakiness);
            } else {
                let id = self.view.painted_id(test, page.paint);
                page.line(&format!("  {id}: {}", messages::flakiness(flakiness, &verdict)));
            }
        }
        page.gap();
    }

    fn slowest(&self, page: &mut Page) {
        if self.slowest.is_empty() {
            return;
        }
        page.line(&page.paint.strong("slowest:"));
        for (took, test) in &self.slowest {
            let id = self.view.painted_id(*test, page.paint);
            page.behind(&format!("{:>10}  ", brief(*took)), &id);
        }
        page.gap();
    }

    /// Again in one list, for whoever does not want to scroll.
    fn names_of_failures(&self, page: &mut Page) {
        // Those that were blocked have one line each above.
        let is_failure = |(_, verdict): &&(TestId, Verdict)| {
            !verdict.outcome.is_success() && verdict.outcome != Outcome::Blocked
        };
        let failed: Vec<_> = self.verdicts.iter().filter(is_failure).collect();
        // One that has just been shown is not shown again.
        if failed.is_empty() || (failed.len() == 1 && self.is_in_report(&failed[0].1)) {
            return;
        }
        page.line(&page.paint.strong("failed tests:"));
        for (test, verdict) in failed {
            let how = match verdict.outcome {
                Outcome::Failed => String::new(),
                outcome => format!(" ({})", messages::verdict_word(outcome).to_lowercase()),
            };
            page.line(&format!("  {}{how}", self.view.painted_id(*test, page.paint)));
        }
        page.gap();
    }

    fn remarks(&self, page: &mut Page, summary: &Summary) {
        let bottleneck = summary.bottleneck.as_ref().filter(|_| self.is_verbose());
        let bottleneck = bottleneck.map(|found| messages::bottleneck(found, "took", summary.took));
        let remarks = self.remarks.iter().map(messages::warning);
        let backtraces = self.verdicts.iter().any(|(_, verdict)| {
            memchr::memmem::find(verdict.output.printed(), HINT.as_bytes()).is_some()
        });
        let backtraces = backtraces.then(|| messages::BACKTRACES.to_owned());
        let order = self.view.settings.shuffle.map(messages::same_order);
        for remark in backtraces.into_iter().chain(remarks).chain(order).chain(bottleneck) {
            page.line(&page.paint.faint(&remark));
        }
        if self.is_verbose() && !matches!(self.view.settings.task, Task::Merge(_)) {
            page.line(&page.paint.faint(&messages::effort(summary)));
        }
    }

    fn last_line(&self, page: &mut Page, summary: &Summary) {
        let counted = summary.total() + summary.not_run + summary.list_failures;
        if counted + summary.in_other_shards == 0 && !summary.interrupted {
            // `main` reports that no test matched.
            return;
        }
        page.line(&totals::line(summary, self.leaks.count(), page.paint));
    }
}

/// The width of the terminal on stdout.
fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// Whether the report shows only a part of this output.
pub fn is_cut(output: &[u8]) -> bool {
    failure_output::is_cut(output, page::LINES)
}
