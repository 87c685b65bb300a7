//! One run, from the plan to the summary: what surrounds the coordinator.

use std::path::PathBuf;
use std::time::Duration;

use crate::agent_file::AgentFile;
use crate::baseline::{Baseline, Comparison};
use crate::coordinator::Run;
use crate::event::{Event, Note, Summary};
use crate::fixture::{Fixture, Shelf};
use crate::history::History;
use crate::interrupt::Interrupts;
use crate::outcome::{Outcome, Verdict};
use crate::plan::{Plan, Slots, TestId};
use crate::process::{self, ProcessorTime};
use crate::report::{Reports, View};
use crate::selection::Choice;
use crate::units::Grouped;
use crate::worker::Context;

/// What is to be run, and what has to be said besides.
pub struct Chosen {
    pub choices: Vec<Vec<Choice>>,
    pub grouped: Grouped,
    pub slots: Slots,
    pub run_timeout: Option<Duration>,
    pub fixtures: Vec<Fixture>,
    pub shelf: Option<Shelf>,
    pub notes: Vec<Note>,
    pub doctests: Vec<String>,
    /// The workspace's directory.
    pub root: PathBuf,
    pub baseline: Baseline,
}

pub fn run_tests(
    view: View<'_>,
    chosen: Chosen,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
    reports: &mut Reports<'_>,
    history: &mut History,
) -> Summary {
    let (settings, inventory) = (view.settings, view.inventory);
    let before = ProcessorTime::now();
    let ignored = ignored(&chosen.choices);
    let running: usize = chosen.grouped.groups.iter().map(|group| group.tests.len()).sum();
    let mut context = Context::new(inventory, &interrupts.groups, &settings.run_id);
    context.agent = settings.agent.then(AgentFile::new).flatten();
    context.run_timeout = chosen.run_timeout;
    context.slots = chosen.slots.count;
    context.most_deaths = settings.max_crashes;
    context.fixtures = chosen.fixtures;
    context.shelf = chosen.shelf;
    context.root = chosen.root;
    context.baseline = chosen.baseline;
    context.nocapture = settings.nocapture;
    context.show_output = settings.show_output;
    let ticks = reports.ticks();
    let mut old_and_new = Comparison::new(&context.baseline);
    let mut emit = |event: Event| {
        if let Event::Judged { test, verdict } = &event {
            record(history, *test, verdict);
            old_and_new.note(inventory, *test, verdict);
        }
        reports.show(&event)
    };
    emit(Event::Started {
        run_id: settings.run_id.clone(),
        tests: running + ignored.len(),
        binaries: inventory.listings.len(),
        slots: chosen.slots.count,
    });
    for note in chosen.notes {
        emit(Event::Note(note));
    }
    if !chosen.doctests.is_empty() {
        emit(Event::Note(Note::Doctests { packages: chosen.doctests }));
    }
    let plan = Plan::new(chosen.grouped.groups, chosen.slots, settings.thread_cap);
    let mut run = Run::new(&context, plan, settings.fail_fast, &mut emit);
    for test in ignored {
        run.judge_without_run(test, Outcome::Ignored, None);
    }
    let mut summary = run.run(pool, interrupts, ticks);
    summary.list_failures = inventory.failures.len();
    if is_crowded(before) {
        history.distrust_loads();
    }
    let keepers = context.shelf.as_ref().map(Shelf::keepers).unwrap_or_default();
    let pids: Vec<u32> = keepers.iter().map(|(pid, _)| *pid).collect();
    let strays = process::end_strays(&pids);
    if !keepers.is_empty() {
        let fixtures = keepers.into_iter().map(|(_, name)| name).collect();
        reports.show(&Event::Note(Note::Kept { fixtures }));
    }
    if strays > 0 {
        reports.show(&Event::Note(Note::Strays { count: strays }));
    }
    if let Some(note) = old_and_new.conclude(settings, &context) {
        reports.show(&Event::Note(note));
    }
    summary
}

/// Whether the machine had hardly anything left to give: then a test that took long may have
/// waited for a core.
fn is_crowded(before: Option<ProcessorTime>) -> bool {
    const IDLE: f64 = 0.15;
    let idle = before.and_then(|before| Some(ProcessorTime::now()?.idle_since(before)));
    idle.is_none_or(|idle| idle < IDLE)
}

fn ignored(choices: &[Vec<Choice>]) -> Vec<TestId> {
    let of_listing = |(listing, choices): (usize, &Vec<Choice>)| {
        let ignored = |(test, choice): (usize, &Choice)| {
            (*choice == Choice::Ignore).then_some(TestId { listing, test })
        };
        choices.iter().enumerate().filter_map(ignored).collect::<Vec<_>>()
    };
    choices.iter().enumerate().flat_map(of_listing).collect()
}

/// Only what ran to its end tells how long a test takes.
fn record(history: &mut History, test: TestId, verdict: &Verdict) {
    let ran = matches!(verdict.outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut);
    if let Some(took) = verdict.took.filter(|_| ran) {
        history.record(test, took, verdict.load);
    }
}
