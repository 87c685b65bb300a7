//! One run of the tests, from the plan to the summary.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::ci_annotation;
use super::leftovers::Leftovers;
use super::ongoing_build::OngoingBuild;
use super::project::Project;
use super::recorder::{BeforeTests, Recorder};
use super::shard;
use crate::archive::contents::WORKSPACE;
use crate::cargo::workspace::Workspace;
use crate::cli::settings::{Settings, Verbosity};
use crate::config::policy::Policy;
use crate::discovery::filter::Choice;
use crate::discovery::one_by_one::OneByOne;
use crate::error::Result;
use crate::fixture::kept::KeptFixtures;
use crate::leaks::baseline::{self, Baseline, Comparison};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::output_file::OutputFiles;
use crate::model::report_kind::{REPORT_KINDS, ReportKind};
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::warning::Warning;
use crate::plan::group::Slots;
use crate::plan::grouping::{self, Grouped};
use crate::plan::history::{History, Measurements};
use crate::plan::schedule::Plan;
use crate::report::reports::Reports;
use crate::report::warnings;
use crate::run::coordinator::state::{Growth, Run, Subscriptions};
use crate::run::interrupt::Interrupts;
use crate::worker::context::Context;
use crate::worker::run_config::RunConfig;

/// The input of a run.
pub struct Session<'r> {
    pub project: Project<'r>,
    pub choices: Vec<Vec<Choice>>,
    pub grouped: Grouped,
    pub slots: Slots,
    pub history: History,
    /// Set if tests run while cargo still builds others.
    pub ongoing_build: Option<Box<OngoingBuild>>,
}

/// Runs the tests, reports the results, and saves the history for the next run.
pub fn run(
    mut session: Session<'_>,
    before: BeforeTests,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
) -> Result<Summary> {
    let Session { project, slots, .. } = session;
    let Project { settings, workspace, inventory, .. } = project;
    let mut reports = Reports::new(
        project.view(),
        report_paths(settings, project.policy, &report_root(workspace)),
    );
    let context = context(&session, interrupts)?;
    let choices = RefCell::new(std::mem::take(&mut session.choices));
    let in_other_shards = before.shard.as_ref().map_or(0, |shard| shard.elsewhere);
    let is_compiling = session.ongoing_build.as_ref().is_some_and(|build| build.is_compiling());
    let mut recorder =
        Recorder::new(project, &context, &mut reports, &choices, slots, before, is_compiling);
    let summary = run_tests(&mut session, &context, (pool, interrupts), &mut recorder, &choices);
    let Recorder { measured, outcomes, comparison, passed, .. } = recorder;
    context.services.fork_servers.end_all();
    let leftovers = Leftovers::kill(&context.services);
    let mut summary = summary?;
    inventory.failures.iter().for_each(|failure| summary.add_list_failure(failure));
    summary.in_other_shards = in_other_shards;
    summary.filtered_out = count_left_out(&choices.borrow()).saturating_sub(in_other_shards);
    report_lost_output(&context, &mut reports);
    leftovers.report(settings, &mut summary, &mut reports);
    report_baseline(settings, &context, comparison, &mut reports);
    if summary.failures() > 0 && is_without_sources(project) {
        reports.show(&Event::Warning(Warning::SourcesNotThere));
    }
    reports.show(&Event::RunFinished(summary.clone()));
    if let Some(text) = reports.ci_annotation(&summary).filter(|_| !summary.interrupted) {
        ci_annotation::make(settings, &summary, &text, &interrupts.groups);
    }
    // A run that is started by a test does not touch the state of the outer run.
    if !settings.nested {
        let news = (summary.total() > 0).then_some((measured, outcomes));
        let unsaved = save_state(project, &context, session.history, news, &choices.borrow());
        for warning in unsaved {
            reports.show(&Event::Warning(warning));
        }
    }
    summary.lacks_report = reports.lacks_file();
    reports.end()?;
    // A shard that wrote the file would give the others another plan.
    if let Some(path) = settings.durations_file.as_ref().filter(|_| settings.shard.is_none()) {
        let saved = shard::save_durations(project, path, &passed);
        durations_saved(saved, settings, &mut summary);
    }
    Ok(summary)
}

/// Reports that the durations could not be saved. The verdicts count for more.
pub fn durations_saved(saved: Result<()>, settings: &Settings, summary: &mut Summary) {
    if let Err(error) = saved {
        warnings::print_error(&error.to_string(), settings);
        summary.lacks_report = true;
    }
}

/// Whether tests run in an extracted archive that has no files besides the manifests.
fn is_without_sources(project: Project<'_>) -> bool {
    let Project { settings, workspace, policy, .. } = project;
    let extracted = workspace.target_dir().with_file_name(WORKSPACE);
    let packages = policy.packages.iter().map(|package| &package.config);
    settings.archive.archive.is_some()
        && workspace.root() == extracted
        && packages.chain(policy.of_workspace()).all(|config| config.archive.is_empty())
}

/// Keeps what this run has shown for later ones. Returns warnings of what could not be written.
fn save_state(
    project: Project<'_>,
    context: &Context<'_>,
    mut history: History,
    news: Option<(Measurements, Vec<(TestId, Outcome)>)>,
    choices: &[Vec<Choice>],
) -> Vec<Warning> {
    let Project { workspace, inventory, .. } = project;
    let state_dir = &workspace.state_dir;
    let wrong_logs = context.state.wrong_logs();
    let wrong_logs = wrong_logs.iter().map(|listing| &inventory.listings[*listing]);
    let one_by_one = OneByOne::remember(state_dir, wrong_logs);
    let learnt = context.state.learnt.get();
    let locks = learnt.and_then(|learnt| learnt.save(&history.learnt, state_dir));
    let Some((measured, mut outcomes)) = news else {
        return [one_by_one, locks].into_iter().flatten().collect();
    };
    let last_run = history.last_run.save(inventory, choices, &mut outcomes, state_dir);
    let durations = history.save(measured, state_dir, inventory);
    [one_by_one, locks, last_run, durations].into_iter().flatten().collect()
}

/// Where to write which reports: a run that is started by a test leaves the files of the outer one
/// alone.
fn report_paths(settings: &Settings, policy: &Policy, root: &Path) -> Vec<(ReportKind, PathBuf)> {
    let path = |kind| {
        let declared = policy.report(kind).filter(|_| !settings.nested);
        settings.reports.path(kind).cloned().or(declared.map(|path| root.join(path)))
    };
    REPORT_KINDS.iter().filter_map(|(_, kind)| Some((*kind, path(*kind)?))).collect()
}

/// What declared paths of reports are relative to: not to a directory that is removed at the end.
fn report_root(workspace: &Workspace) -> PathBuf {
    let root = workspace.root();
    let is_removed =
        workspace.is_temporary && root.starts_with(workspace.target_dir().parent().unwrap_or(root));
    if is_removed { PathBuf::new() } else { root.to_owned() }
}

/// What the workers and the coordinator share.
fn context<'r>(session: &Session<'r>, interrupts: &'r Interrupts) -> Result<Context<'r>> {
    let Session { project, grouped, slots, .. } = session;
    let Project { settings, workspace, policy, .. } = *project;
    let root = workspace.root();
    let mut baseline = Baseline::load(&baseline::path(root))?;
    baseline.is_rewritten = settings.write_baseline;
    let may_learn = policy.learns() && !settings.nested && settings.shard.is_none();
    let config = RunConfig {
        run_id: &settings.run_id,
        slots: slots.count,
        likely_slots: slots.likely,
        run_timeout: settings.run_timeout.or_else(|| policy.run_timeout()),
        max_crashes: settings.max_crashes,
        nocapture: settings.nocapture,
        show_output: settings.show_output(),
        is_verbose: settings.verbosity == Verbosity::Verbose,
        baseline,
        learnt: may_learn.then(|| session.history.learnt.clone()),
        watches_state: settings.watch_state,
        root: root.to_owned(),
    };
    let Grouped { groups, fixtures } = grouped;
    let mut context = project.context(groups, fixtures, config, interrupts);
    let state_dir = &workspace.state_dir;
    // `fixtures stop` would not find those of an archive.
    if !settings.nested && settings.archive.archive.is_none() {
        context.services.kept_fixtures = Some(KeptFixtures::new(state_dir, settings.keep_fixtures));
    }
    if !settings.nested && !workspace.is_temporary {
        context.services.output_files = OutputFiles::new(state_dir);
    }
    Ok(context)
}

/// Runs the tests, and hands all events to the recorder.
fn run_tests(
    session: &mut Session<'_>,
    context: &Context<'_>,
    (pool, interrupts): (&rayon::ThreadPool, &Interrupts),
    recorder: &mut Recorder<'_, '_>,
    all_choices: &RefCell<Vec<Vec<Choice>>>,
) -> Result<Summary> {
    let project = session.project;
    let Project { settings, policy, inventory, .. } = project;
    let subscriptions = Subscriptions {
        time: recorder.tick_interval(),
        slow: settings.verbosity != Verbosity::Quiet,
    };
    let ignored = ignored(0, &all_choices.borrow());
    let groups = std::mem::take(&mut session.grouped.groups);
    let mut emit = |event: Event| recorder.take(event);
    if session.ongoing_build.is_none() {
        emit(Event::BuildFinished);
    }
    let history = &session.history;
    let mut grow = |listings: Range<usize>| {
        let first = listings.start;
        let choices = project.selection(history).choose(inventory, listings);
        let ignored = self::ignored(first, &choices);
        let grouped = grouping::group(inventory, first, &choices, settings, policy, history);
        context.services.fork_servers.expect(&grouped.groups, inventory.listings.len());
        all_choices.borrow_mut().extend(choices);
        Growth { groups: grouped.groups, ignored }
    };
    let plan = Plan::new(groups, session.slots, settings.thread_cap);
    let mut run = Run::new(context, plan, settings.fail_fast, &mut emit);
    let ongoing_build = session
        .ongoing_build
        .take()
        .map(|ongoing_build| move |inbox| ongoing_build.follow(project, &inbox));
    if ongoing_build.is_some() {
        run.grow(&mut grow);
    }
    ignored.into_iter().for_each(|test| run.ignore(test));
    run.subscribe(subscriptions);
    run.run(pool, interrupts, ongoing_build)
}

/// Warns if the complete output of a test could not be kept.
fn report_lost_output(context: &Context<'_>, reports: &mut Reports<'_>) {
    let failure = context.services.output_files.as_ref().and_then(|files| files.failure());
    if let Some((path, why)) = failure {
        reports.show(&Event::Warning(Warning::OutputNotKept { path, why }));
    }
}

/// Writes the baseline if that was asked for, or says which of its entries are outdated.
fn report_baseline(
    settings: &Settings,
    context: &Context<'_>,
    comparison: Comparison,
    reports: &mut Reports<'_>,
) {
    let warning = match settings.write_baseline {
        true => Some(comparison.save(&context.config.root, &context.config.baseline)),
        // Without the agent, leaks go undetected.
        false => (context.services.agent.as_ref())
            .and_then(|_| comparison.outdated(&context.config.baseline)),
    };
    if let Some(warning) = warning {
        reports.show(&Event::Warning(warning));
    }
}

fn count_left_out(choices: &[Vec<Choice>]) -> usize {
    choices.iter().flatten().filter(|choice| **choice == Choice::LeaveOut).count()
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
