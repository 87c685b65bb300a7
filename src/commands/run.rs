//! One run of the tests, from the plan to the summary.

use std::cell::Cell;
use std::ops::Range;

use super::early_tests::{OngoingBuild, Project};
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
use crate::model::output_file::OutputFiles;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::{Group, Slots};
use crate::plan::grouping::{self, Grouped};
use crate::plan::history::{History, Measurements};
use crate::plan::schedule::Plan;
use crate::process::platform;
use crate::process::procfs::{self, SystemCpuTime};
use crate::report::human::report::is_cut;
use crate::report::reports::Reports;
use crate::report::view::View;
use crate::run::coordinator::state::{Growth, Run, Subscriptions};
use crate::run::interrupt::Interrupts;
use crate::worker::agent_file::AgentFile;
use crate::worker::context::Context;

/// The input of a run.
pub struct Session<'r> {
    pub settings: &'r Settings,
    pub workspace: &'r Workspace,
    pub policy: &'r Policy,
    pub inventory: &'r Inventory,
    pub choices: Vec<Vec<Choice>>,
    pub grouped: Grouped,
    pub slots: Slots,
    pub history: History,
    pub warnings: Vec<Warning>,
    /// Set if tests run while cargo still builds others.
    pub ongoing_build: Option<Box<OngoingBuild>>,
}

/// Runs the tests, reports the results, and saves the history for the next run.
pub fn run(
    mut session: Session<'_>,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
) -> Result<Summary> {
    let (settings, inventory) = (session.settings, session.inventory);
    let root = session.workspace.root();
    let mut reports = Reports::new(View { inventory, settings, root: &root });
    let context = context(&session, interrupts)?;
    let mut measured = Measurements::default();
    let summary = run_tests(&mut session, &context, pool, interrupts, &mut reports, &mut measured)?;
    reports.show(&Event::RunFinished(summary.clone()));
    // A run that is started by a test does not touch the state of the outer run.
    if !settings.nested
        && summary.total() > 0
        && let Some(warning) =
            session.history.save(measured, &session.workspace.state_dir, inventory)
    {
        reports.show(&Event::Warning(warning));
    }
    reports.end().map(|()| summary)
}

/// The context that all workers share.
fn context<'r>(session: &Session<'r>, interrupts: &'r Interrupts) -> Result<Context<'r>> {
    let Session { settings, workspace, policy, inventory, grouped, slots, .. } = session;
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
    context.output_files =
        (!settings.nested).then(|| OutputFiles::new(&workspace.state_dir)).flatten();
    context.root = root;
    context.nocapture = settings.nocapture;
    context.show_output = settings.show_output;
    Ok(context)
}

fn run_tests(
    session: &mut Session<'_>,
    context: &Context<'_>,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
    reports: &mut Reports<'_>,
    measured: &mut Measurements,
) -> Result<Summary> {
    let Session { settings, workspace, policy, inventory, choices, grouped, slots, .. } = session;
    let (settings, inventory, slots) = (*settings, *inventory, *slots);
    let project = Project { settings, workspace, policy, inventory };
    let before = SystemCpuTime::now();
    let left_out = ignored(0, choices);
    let groups = std::mem::take(&mut grouped.groups);
    let tests = Cell::new(count_tests(&groups) + left_out.len());
    let subscriptions =
        Subscriptions { time: reports.ticks(), slow: settings.verbosity != Verbosity::Quiet };
    let mut comparison = Comparison::new(&context.baseline);
    let mut warnings = std::mem::take(&mut session.warnings);
    let mut events = EventBuffer { reports, waiting: Some(Vec::new()) };
    let mut emit = |mut event: Event| {
        if let Event::TestFinished { test, verdict } = &mut event {
            keep_output_files(*test, verdict, context, settings);
            // Tests that ran during the build may have waited for a core.
            let load = verdict.load.filter(|_| events.waiting.is_none());
            record(measured, *test, verdict, load);
            comparison.note(inventory, *test, verdict);
        }
        match event {
            Event::BuildFinished => {
                let warnings = std::mem::take(&mut warnings);
                events.flush(announcement(project, tests.get(), slots, warnings))
            }
            event => events.emit(event),
        }
    };
    if session.ongoing_build.is_none() {
        emit(Event::BuildFinished);
    }
    let history = &session.history;
    let mut grow = |listings: Range<usize>| {
        let first = listings.start;
        let choices = filter::choose(inventory, listings, &settings.filter, project.policy);
        let ignored = ignored(first, &choices);
        let grouped =
            grouping::group(inventory, first, &choices, settings, project.policy, history);
        context.fork_servers.expect(&grouped.groups, inventory.listings.len());
        tests.set(tests.get() + count_tests(&grouped.groups) + ignored.len());
        Growth { groups: grouped.groups, ignored }
    };
    let plan = Plan::new(groups, slots, settings.thread_cap);
    let mut run = Run::new(context, plan, settings.fail_fast, &mut emit);
    let ongoing_build = session
        .ongoing_build
        .take()
        .map(|ongoing_build| move |inbox| ongoing_build.follow(project, &inbox));
    if ongoing_build.is_some() {
        run.grow(&mut grow);
    }
    for test in left_out {
        run.ignore(test);
    }
    run.subscribe(subscriptions);
    let summary = run.run(pool, interrupts, ongoing_build);
    context.fork_servers.end_all();
    if is_machine_busy(before) {
        measured.distrust_loads();
    }
    let daemons = context.kept_fixtures.as_ref().map(KeptFixtures::daemons).unwrap_or_default();
    let mut stay: Vec<u32> = daemons.iter().map(|(pid, _)| *pid).collect();
    stay.extend(context.groups.exempted());
    let left = procfs::living_orphans(&stay);
    let strays = platform::kill_orphans(&stay);
    context.groups.release_build();
    let mut summary = summary?;
    summary.list_failures += inventory.failures.len();
    if let Some((path, why)) =
        context.output_files.as_ref().and_then(|output_files| output_files.failure())
    {
        reports.show(&Event::Warning(Warning::OutputNotKept { path, why }));
    }
    if !daemons.is_empty() {
        let fixtures = daemons.into_iter().map(|(_, name)| name).collect();
        reports.show(&Event::Warning(Warning::FixturesKept { fixtures }));
    }
    // A process that was killed together with its test is no leak.
    if summary.interrupted || summary.timed_out {
        if strays > 0 {
            reports.show(&Event::Warning(Warning::OrphansKilled { count: strays }));
        }
    } else {
        let leaks = classify::leaks_of_run(left, settings.leaks);
        if !leaks.is_empty() {
            summary.add_leaks(&leaks);
            reports.show(&Event::LeftBehind { by: LeakedBy::Run, leaks });
        }
    }
    let warning = match settings.write_baseline {
        true => Some(comparison.save(&context.root)),
        // Without the agent, leaks go undetected.
        false => context.agent.as_ref().and_then(|_| comparison.outdated(&context.baseline)),
    };
    if let Some(warning) = warning {
        reports.show(&Event::Warning(warning));
    }
    Ok(summary)
}

/// Buffers the events of a run until the set of its tests is final, because reports begin with
/// their number.
struct EventBuffer<'t, 'r> {
    reports: &'t mut Reports<'r>,
    waiting: Option<Vec<Event>>,
}

impl EventBuffer<'_, '_> {
    /// Returns false once the result can no longer be written.
    fn emit(&mut self, event: Event) -> bool {
        match (&mut self.waiting, event) {
            // A status request is answered at once.
            (None, event) | (Some(_), event @ Event::Status(_)) => self.reports.show(&event),
            (Some(_), Event::Tick) => true,
            (Some(waiting), event) => {
                waiting.push(event);
                true
            }
        }
    }

    fn flush(&mut self, announcement: impl Iterator<Item = Event>) -> bool {
        let waited = self.waiting.take().unwrap_or_default();
        announcement.chain(waited).fold(true, |_, event| self.emit(event))
    }
}

/// The events that every report begins with.
fn announcement(
    project: Project<'_>,
    tests: usize,
    slots: Slots,
    warnings: Vec<Warning>,
) -> impl Iterator<Item = Event> {
    let Project { settings, workspace, inventory, .. } = project;
    let (run_id, binaries) = (settings.run_id.clone(), inventory.listings.len());
    let started = Event::RunStarted { run_id, tests, binaries, slots: slots.likely };
    let packages = doctests::left_out(workspace, inventory, &settings.cargo);
    let doctests = (!packages.is_empty()).then_some(Warning::DoctestsNotRun { packages });
    [started].into_iter().chain(warnings.into_iter().chain(doctests).map(Event::Warning))
}

fn count_tests(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.tests.len()).sum()
}

/// Keeps the file with the complete output of a test whose output the report abridges.
fn keep_output_files(
    test: TestId,
    verdict: &mut Verdict,
    context: &Context<'_>,
    settings: &Settings,
) {
    let Some(output_files) = &context.output_files else { return };
    let is_shown = !verdict.outcome.is_success() || settings.show_output;
    let is_for_people = settings.format == MessageFormat::Human;
    let before = verdict.failed_before.iter_mut().map(|attempt| &mut attempt.output);
    let last = is_shown.then_some(&mut verdict.output);
    let name = View { inventory: context.inventory, settings, root: &context.root }.id(test);
    for output in before.chain(last) {
        if is_for_people && is_cut(output) {
            output.write_to_file(output_files);
        }
        output.keep(&name);
    }
}

/// Whether the machine was so busy that a slow test may have waited for a core.
fn is_machine_busy(before: Option<SystemCpuTime>) -> bool {
    const IDLE: f64 = 0.15;
    let idle = before.and_then(|before| Some(SystemCpuTime::now()?.idle_since(before)));
    idle.is_none_or(|idle| idle < IDLE)
}

/// The ignored tests of the listings from `first` on.
fn ignored(first: usize, choices: &[Vec<Choice>]) -> Vec<TestId> {
    let of_listing = |(listing, choices): (usize, &Vec<Choice>)| {
        let ignored = |(test, choice): (usize, &Choice)| {
            (*choice == Choice::Ignore).then_some(TestId { listing, test })
        };
        choices.iter().enumerate().filter_map(ignored).collect::<Vec<_>>()
    };
    (first..).zip(choices).flat_map(of_listing).collect()
}

/// Records the duration of a test that ran to completion.
fn record(measured: &mut Measurements, test: TestId, verdict: &Verdict, load: Option<f64>) {
    let ran = matches!(verdict.outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut);
    if let Some(took) = verdict.took.filter(|_| ran) {
        let failed = verdict.outcome != Outcome::Passed;
        measured.record(test, took, load, failed);
    }
}
