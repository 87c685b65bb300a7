//! One run, from the plan to the summary: what surrounds the coordinator.

use std::cell::Cell;
use std::ops::Range;

use super::early_tests::{Place, Rest};
use crate::cargo::workspace::Workspace;
use crate::cli::args::MessageFormat;
use crate::cli::settings::{Settings, Verbosity};
use crate::config::policy::Policy;
use crate::discovery::doctests;
use crate::discovery::filter::{self, Choice};
use crate::discovery::inventory::Inventory;
use crate::error::Result;
use crate::fixture::definition;
use crate::fixture::kept::KeptFixtures;
use crate::leaks::baseline::{self, Baseline, Comparison};
use crate::leaks::classify;
use crate::model::event::{Event, LeakedBy};
use crate::model::outcome::Outcome;
use crate::model::output_file::Floods;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::{Group, Slots};
use crate::plan::grouping::{self, Grouped};
use crate::plan::history::{History, Measurements};
use crate::plan::schedule::Plan;
use crate::process::platform;
use crate::process::procfs::{self, ProcessorTime};
use crate::report::human;
use crate::report::reports::Reports;
use crate::report::view::View;
use crate::run::coordinator::state::{Growth, Run, Subscriptions};
use crate::run::interrupt::Interrupts;
use crate::worker::agent_file::AgentFile;
use crate::worker::context::Context;

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
    pub warnings: Vec<Warning>,
    /// What cargo still builds.
    pub rest: Option<Box<Rest>>,
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
    let mut measured = Measurements::default();
    let summary = run_tests(&mut known, &context, pool, interrupts, &mut reports, &mut measured)?;
    reports.show(&Event::RunFinished(summary.clone()));
    // A run inside a test of a run leaves the outer one's files alone.
    if !settings.nested
        && summary.total() > 0
        && let Some(warning) = known.history.save(measured, &known.workspace.state_dir, inventory)
    {
        reports.show(&Event::Warning(warning));
    }
    reports.end().map(|()| summary)
}

/// What all workers have in common.
fn context<'r>(known: &Known<'r>, interrupts: &'r Interrupts) -> Result<Context<'r>> {
    let Known { settings, workspace, policy, inventory, grouped, slots, .. } = known;
    let mut context = Context::new(inventory, &interrupts.groups, &settings.run_id);
    let root = workspace.root();
    context.agent = settings.agent.then(AgentFile::new).flatten();
    context.fork_servers.expect(&grouped.groups, inventory.listings.len());
    context.slots = slots.count;
    context.likely_slots = slots.likely;
    context.run_timeout = settings.run_timeout.or_else(|| policy.run_timeout());
    context.most_deaths = settings.max_crashes;
    context.fixtures = definition::resolve(&grouped.fixtures, policy, inventory, &root);
    context.kept_fixtures =
        (!settings.nested).then(|| KeptFixtures::new(&workspace.state_dir, settings.keep_fixtures));
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
    measured: &mut Measurements,
) -> Result<Summary> {
    let Known { settings, workspace, policy, inventory, choices, grouped, slots, .. } = known;
    let (settings, inventory, slots) = (*settings, *inventory, *slots);
    let place = Place { settings, workspace, policy, inventory };
    let before = ProcessorTime::now();
    let left_out = ignored(0, choices);
    let groups = std::mem::take(&mut grouped.groups);
    let tests = Cell::new(tests_of(&groups) + left_out.len());
    let subscriptions = Subscriptions { time: reports.ticks(), slow: settings.verbosity != Verbosity::Quiet };
    let mut old_and_new = Comparison::new(&context.baseline);
    let mut warnings = std::mem::take(&mut known.warnings);
    let mut telling = Telling { reports, waiting: Some(Vec::new()) };
    let mut emit = |mut event: Event| {
        if let Event::TestFinished { test, verdict } = &mut event {
            keep_floods(*test, verdict, context, settings);
            // What ran while cargo built may have waited for a core.
            let load = verdict.load.filter(|_| telling.waiting.is_none());
            record(measured, *test, verdict, load);
            old_and_new.note(inventory, *test, verdict);
        }
        match event {
            Event::BuildFinished => {
                let warnings = std::mem::take(&mut warnings);
                telling.begin(announcement(place, tests.get(), slots, warnings))
            }
            event => telling.tell(event),
        }
    };
    if known.rest.is_none() {
        emit(Event::BuildFinished);
    }
    let history = &known.history;
    let mut grow = |listings: Range<usize>| {
        let first = listings.start;
        let choices = filter::choose(inventory, listings, &settings.filter, place.policy);
        let ignored = ignored(first, &choices);
        let grouped = grouping::group(inventory, first, &choices, settings, place.policy, history);
        context.fork_servers.expect(&grouped.groups, inventory.listings.len());
        tests.set(tests.get() + tests_of(&grouped.groups) + ignored.len());
        Growth { groups: grouped.groups, ignored }
    };
    let plan = Plan::new(groups, slots, settings.thread_cap);
    let mut run = Run::new(context, plan, settings.fail_fast, &mut emit);
    let rest = known.rest.take().map(|rest| move |told| rest.follow(place, &told));
    if rest.is_some() {
        run.grow(&mut grow);
    }
    for test in left_out {
        run.ignore(test);
    }
    run.subscribe(subscriptions);
    let summary = run.run(pool, interrupts, rest);
    context.fork_servers.end_all();
    if is_crowded(before) {
        measured.distrust_loads();
    }
    let daemons = context.kept_fixtures.as_ref().map(KeptFixtures::daemons).unwrap_or_default();
    let mut stay: Vec<u32> = daemons.iter().map(|(pid, _)| *pid).collect();
    stay.extend(context.groups.spared());
    let left = procfs::living_strays(&stay);
    let strays = platform::end_strays(&stay);
    context.groups.release();
    let mut summary = summary?;
    summary.list_failures += inventory.failures.len();
    if let Some((path, why)) = context.floods.as_ref().and_then(|floods| floods.failure()) {
        reports.show(&Event::Warning(Warning::OutputNotKept { path, why }));
    }
    if !daemons.is_empty() {
        let fixtures = daemons.into_iter().map(|(_, name)| name).collect();
        reports.show(&Event::Warning(Warning::FixturesKept { fixtures }));
    }
    // What is ended with its tests is no leak.
    if summary.interrupted || summary.timed_out {
        if strays > 0 {
            reports.show(&Event::Warning(Warning::OrphansKilled { count: strays }));
        }
    } else {
        let leaks = classify::of_run(left, settings.leaks);
        if !leaks.is_empty() {
            summary.add_leaks(&leaks);
            reports.show(&Event::LeftBehind { by: LeakedBy::Run, leaks });
        }
    }
    let warning = match settings.write_baseline {
        true => Some(old_and_new.save(&context.root)),
        // Without the agent leaks go unnoticed.
        false => context.agent.as_ref().and_then(|_| old_and_new.outdated(&context.baseline)),
    };
    if let Some(warning) = warning {
        reports.show(&Event::Warning(warning));
    }
    Ok(summary)
}

/// The way of the events to the reports: until it is known what the run consists of, they wait.
struct Telling<'t, 'r> {
    reports: &'t mut Reports<'r>,
    waiting: Option<Vec<Event>>,
}

impl Telling<'_, '_> {
    /// False once nobody reads the report any more.
    fn tell(&mut self, event: Event) -> bool {
        match (&mut self.waiting, event) {
            // Whoever asks wants to know now.
            (None, event) | (Some(_), event @ Event::Status(_)) => self.reports.show(&event),
            (Some(_), Event::Tick) => true,
            (Some(waiting), event) => {
                waiting.push(event);
                true
            }
        }
    }

    fn begin(&mut self, announcement: impl Iterator<Item = Event>) -> bool {
        let waited = self.waiting.take().unwrap_or_default();
        announcement.chain(waited).fold(true, |_, event| self.tell(event))
    }
}

/// What every report begins with.
fn announcement(
    place: Place<'_>,
    tests: usize,
    slots: Slots,
    warnings: Vec<Warning>,
) -> impl Iterator<Item = Event> {
    let Place { settings, workspace, inventory, .. } = place;
    let (run_id, binaries) = (settings.run_id.clone(), inventory.listings.len());
    let started = Event::RunStarted { run_id, tests, binaries, slots: slots.likely };
    let packages = doctests::left_out(workspace, inventory, &settings.cargo);
    let doctests = (!packages.is_empty()).then_some(Warning::DoctestsNotRun { packages });
    [started].into_iter().chain(warnings.into_iter().chain(doctests).map(Event::Warning))
}

fn tests_of(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.tests.len()).sum()
}

/// Whoever reads a report wants all of what it shows a part of.
fn keep_floods(test: TestId, verdict: &mut Verdict, context: &Context<'_>, settings: &Settings) {
    let Some(floods) = &context.floods else { return };
    let is_shown = !verdict.outcome.is_success() || settings.show_output;
    let is_for_people = settings.format == MessageFormat::Human;
    let before = verdict.failed_before.iter_mut().map(|attempt| &mut attempt.output);
    let last = is_shown.then_some(&mut verdict.output);
    let name = View { inventory: context.inventory, settings }.id(test);
    for output in before.chain(last) {
        if is_for_people && human::is_cut(output) {
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

/// Of the listings from the `first` one on.
fn ignored(first: usize, choices: &[Vec<Choice>]) -> Vec<TestId> {
    let of_listing = |(listing, choices): (usize, &Vec<Choice>)| {
        let ignored = |(test, choice): (usize, &Choice)| {
            (*choice == Choice::Ignore).then_some(TestId { listing, test })
        };
        choices.iter().enumerate().filter_map(ignored).collect::<Vec<_>>()
    };
    (first..).zip(choices).flat_map(of_listing).collect()
}

/// Only what ran to its end tells how long a test takes.
fn record(measured: &mut Measurements, test: TestId, verdict: &Verdict, load: Option<f64>) {
    let ran = matches!(verdict.outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut);
    if let Some(took) = verdict.took.filter(|_| ran) {
        let failed = verdict.outcome != Outcome::Passed;
        measured.record(test, took, load, failed);
    }
}
