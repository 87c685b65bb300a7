//! What becomes of the events of a run: they are completed, learned from, and reported.

use std::cell::RefCell;
use std::time::Duration;

use super::project::Project;
use super::stage_times::StageTimes;
use crate::cli::output_args::MessageFormat;
use crate::discovery::filter::Choice;
use crate::leaks::baseline::Comparison;
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::shard::ShardPlan;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::Slots;
use crate::plan::history::Measurements;
use crate::report::human::report::is_cut;
use crate::report::reports::Reports;
use crate::worker::context::Context;

/// What the preparation has to report.
pub struct BeforeTests {
    /// When its stages began and ended.
    pub times: StageTimes,
    pub warnings: Vec<Warning>,
    /// Which part of the suite this is, if it is not all of it.
    pub shard: Option<ShardPlan>,
}

/// Takes the events of a run.
pub struct Recorder<'s, 'r> {
    pub measured: Measurements,
    /// The outcome of each test.
    pub outcomes: Vec<(TestId, Outcome)>,
    pub comparison: Comparison,
    /// How long each test took that passed.
    pub passed: Vec<(TestId, Duration)>,
    project: Project<'s>,
    context: &'s Context<'s>,
    reports: &'s mut Reports<'r>,
    /// What becomes of each test that is listed so far.
    choices: &'s RefCell<Vec<Vec<Choice>>>,
    slots: Slots,
    before: BeforeTests,
    /// Whether cargo is compiling.
    is_compiling: bool,
    /// Events until the set of tests is final, because reports begin with their number.
    waiting: Option<Vec<Event>>,
}

impl<'s, 'r> Recorder<'s, 'r> {
    pub fn new(
        project: Project<'s>,
        context: &'s Context<'s>,
        reports: &'s mut Reports<'r>,
        choices: &'s RefCell<Vec<Vec<Choice>>>,
        slots: Slots,
        before: BeforeTests,
        is_compiling: bool,
    ) -> Recorder<'s, 'r> {
        Recorder {
            measured: Measurements::default(),
            outcomes: Vec::new(),
            comparison: Comparison::new(&context.config.baseline),
            passed: Vec::new(),
            project,
            context,
            reports,
            choices,
            slots,
            before,
            is_compiling,
            waiting: Some(Vec::new()),
        }
    }

    /// How often a report needs `Event::Tick`.
    pub fn tick_interval(&self) -> Option<Duration> {
        self.reports.tick_interval()
    }

    /// Takes an event. Returns false once the result can no longer be written.
    pub fn take(&mut self, mut event: Event) -> bool {
        if let Event::TestFinished { test, verdict } = &mut event {
            self.keep_output_files(*test, verdict);
            self.measure(*test, verdict);
            self.outcomes.push((*test, verdict.outcome));
            self.comparison.note(self.project.inventory, *test, verdict);
        }
        if let Event::LeftBehind { by, leaks } = &event {
            self.comparison.note_left_behind(self.project.inventory, by, leaks);
        }
        match event {
            Event::BuildFinished => self.announce(),
            event => self.report(event),
        }
    }

    fn report(&mut self, event: Event) -> bool {
        match (&mut self.waiting, event) {
            // A status request is answered at once.
            (None, event) | (Some(_), event @ Event::Status { .. }) => self.reports.show(&event),
            (Some(_), Event::Tick(_)) => true,
            (Some(waiting), event) => {
                waiting.push(event);
                true
            }
        }
    }

    /// Reports what every report begins with, and what has happened until now.
    fn announce(&mut self) -> bool {
        let Project { settings, inventory, .. } = self.project;
        let is_selected = |choice: &&Choice| **choice != Choice::LeaveOut;
        let count = |tests: &Vec<Choice>| tests.iter().filter(is_selected).count();
        let selected: Vec<usize> = self.choices.borrow().iter().map(count).collect();
        let started = Event::RunStarted {
            run_id: settings.run_id.clone(),
            tests: selected.iter().sum(),
            binaries: inventory.listings.len(),
            slots: self.slots.likely,
            selected,
        };
        let warnings = std::mem::take(&mut self.before.warnings).into_iter();
        self.is_compiling = false;
        let waited = self.waiting.take().unwrap_or_default();
        let shard = self.before.shard.take().map(Event::ShardPlanned);
        let stages = self.before.times.spans().map(Event::StageEnded);
        let events = [started].into_iter().chain(shard).chain(stages);
        let events = events.chain(warnings.map(Event::Warning)).chain(waited);
        events.fold(true, |_, event| self.report(event))
    }

    /// Records the duration of a test that ran to completion.
    fn measure(&mut self, test: TestId, verdict: &Verdict) {
        let ran = matches!(verdict.outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut);
        // Tests that ran during the build may have waited for a core.
        let load = verdict.load.filter(|_| !self.is_compiling);
        if let Some(took) = verdict.took.filter(|_| ran) {
            let failed = verdict.outcome != Outcome::Passed;
            if !failed {
                self.passed.push((test, took));
            }
            self.measured.record(test, took, load, failed);
        }
    }

    /// Keeps the file with the complete output of a test whose output the report abridges.
    fn keep_output_files(&self, test: TestId, verdict: &mut Verdict) {
        let Some(output_files) = &self.context.services.output_files else { return };
        let settings = self.project.settings;
        let is_shown = !verdict.outcome.is_success() || settings.show_output();
        let is_for_people = settings.format == MessageFormat::Human;
        let before = verdict.failed_before.iter_mut().map(|attempt| &mut attempt.output);
        let last = is_shown.then_some(&mut verdict.output);
        let name = self.project.view().id(test);
        for output in before.chain(last) {
            if is_for_people && is_cut(output) {
                output.write_to_file(output_files);
            }
            output.keep(&name);
        }
    }
}
