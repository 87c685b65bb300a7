//! One run, from the plan to the summary: what surrounds the coordinator.

use crate::agent_file::AgentFile;
use crate::args::MessageFormat;
use crate::baseline::{self, Baseline, Comparison};
use crate::coordinator::{Run, Watched};
use crate::doctests;
use crate::error::Result;
use crate::event::{Event, Note, Summary};
use crate::fixture::{self, Shelf};
use crate::flood::Floods;
use crate::history::History;
use crate::interrupt::Interrupts;
use crate::inventory::Inventory;
use crate::outcome::{Outcome, Verdict};
use crate::plan::{Plan, Slots, TestId};
use crate::policy::Policy;
use crate::process::{self, ProcessorTime};
use crate::report::{self, Reports, View};
use crate::selection::Choice;
use crate::settings::{Settings, Verbosity};
use crate::units::Grouped;
use crate::worker::{Context, Prepared};
use crate::workspace::Workspace;

/// All that is known before the first test.
pub struct Known<'r> {
    pub settings: &'r Settings,
    pub workspace: &'r Workspace,
    pub policy: &'r Policy,
    pub inventory: &'r Inventory,
    pub choices: Vec<Vec<Choice>>,
    pub grouped: Grouped,
    pub slots: Slots,
    pub history: History,
    pub notes: Vec<Note>,
}

/// Runs the tests, reports, and keeps what the next run wants to know.
pub fn run(
    mut known: Known<'_>,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
) -> Result<Summary> {
    let (settings, inventory) = (known.settings, known.inventory);
    let mut reports = Reports::new(View { inventory, settings });
    let context = context(&known, interrupts)?;
    let summary = run_tests(&mut known, &context, pool, interrupts, &mut reports);
    reports.show(&Event::Finished(summary.clone()));
    // A run inside a test of a run leaves the outer one's files alone.
    if !settings.nested
        && summary.total() > 0
        && let Some(note) = known.history.save(&known.workspace.state_dir, inventory)
    {
        reports.show(&Event::Note(note));
    }
    reports.end().map(|()| summary)
}

/// What all workers have in common.
fn context<'r>(known: &Known<'r>, interrupts: &'r Interrupts) -> Result<Context<'r>> {
    let Known { settings, workspace, policy, inventory, grouped, slots, .. } = known;
    let mut context = Context::new(inventory, &interrupts.groups, &settings.run_id);
    let root = workspace.root();
    context.agent = settings.agent.then(AgentFile::new).flatten();
    context.prepared = Prepared::new(&grouped.groups, inventory.listings.len());
    context.slots = slots.count;
    context.likely_slots = slots.likely;
    context.run_timeout = settings.run_timeout.or_else(|| policy.run_timeout());
    context.most_deaths = settings.max_crashes;
    context.fixtures = fixture::resolve(&grouped.fixtures, policy, inventory, &root);
    context.shelf =
        (!settings.nested).then(|| Shelf::new(&workspace.state_dir, settings.keep_fixtures));
    if !settings.write_baseline {
        context.baseline = Baseline::load(&baseline::path(&root))?;
    }
    context.floods = (!settings.nested).then(|| Floods::new(&workspace.state_dir)).flatten();
    context.root = root;
    context.nocapture = settings.nocapture;
    context.show_output = settings.show_output;
    Ok(context)
}

fn run_tests(
    known: &mut Known<'_>,
    context: &Context<'_>,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
    reports: &mut Reports<'_>,
) -> Summary {
    let (settings, inventory) = (known.settings, known.inventory);
    let before = ProcessorTime::now();
    let ignored = ignored(&known.choices);
    let groups = std::mem::take(&mut known.grouped.groups);
    let running: usize = groups.iter().map(|group| group.tests.len()).sum();
    let doctests = doctests::left_out(known.workspace, inventory, &settings.cargo);
    let history = &mut known.history;
    let watched = Watched { time: reports.ticks(), slow: settings.verbosity != Verbosity::Quiet };
    let mut old_and_new = Comparison::new(&context.baseline);
    let mut emit = |mut event: Event| {
        if let Event::Judged { test, verdict } = &mut event {
            keep_floods(*test, verdict, context, settings);
            record(history, *test, verdict);
            old_and_new.note(inventory, *test, verdict);
        }
        reports.show(&event)
    };
    emit(Event::Started {
        run_id: settings.run_id.clone(),
        tests: running + ignored.len(),
        binaries: inventory.listings.len(),
        slots: known.slots.likely,
    });
    for note in std::mem::take(&mut known.notes) {
        emit(Event::Note(note));
    }
    if !doctests.is_empty() {
        emit(Event::Note(Note::Doctests { packages: doctests }));
    }
    let plan = Plan::new(groups, known.slots, settings.thread_cap);
    let mut run = Run::new(context, plan, settings.fail_fast, &mut emit);
    for test in ignored {
        run.ignore(test);
    }
    run.watch(watched);
    let mut summary = run.run(pool, interrupts);
    context.prepared.end_all();
    summary.list_failures = inventory.failures.len();
    if is_crowded(before) {
        history.distrust_loads();
    }
    if let Some((path, why)) = context.floods.as_ref().and_then(|floods| floods.failure()) {
        reports.show(&Event::Note(Note::FloodNotKept { path, why }));
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
    if let Some(note) = old_and_new.conclude(settings, context) {
        reports.show(&Event::Note(note));
    }
    summary
}

/// Whoever reads a report wants all of what it shows a part of.
fn keep_floods(test: TestId, verdict: &mut Verdict, context: &Context<'_>, settings: &Settings) {
    let Some(floods) = &context.floods else { return };
    let is_shown = !verdict.outcome.is_well() || settings.show_output;
    let is_for_people = settings.format == MessageFormat::Human;
    let before = verdict.failed_before.iter_mut().map(|attempt| &mut attempt.output);
    let last = is_shown.then_some(&mut verdict.output);
    let name = View { inventory: context.inventory, settings }.id(test);
    for output in before.chain(last) {
        if is_for_people && report::is_cut(output) {
            output.spill(floods);
        }
        output.keep(&name);
    }
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
        let failed = verdict.outcome != Outcome::Passed;
        history.record(test, took, verdict.load, failed);
    }
}
