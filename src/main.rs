//! `cargo partest` runs a workspace's tests in parallel over a pool of processes, by the
//! policy that each module declares in Cargo.toml.
//!
//! The way of the data, one room after the other:
//!
//! ```text
//! args → settings                    the command line, as typed and as meant
//! cargo → workspace, toolchain       what cargo and rustc know
//!         declaration → policy       the metadata, as typed and as meant
//!         binary (environment)       what the build gave, and how to start it
//! inventory (libtest, statics)       every test, and what the symbol tables say
//! selection → units → plan           what runs together, and what may start now
//!             (history)
//! coordinator ⇄ worker               who decides, and who runs
//!               (channel, process)   how verdicts are learnt, and how processes end
//! ledger, outcome, interrupt         what became of each test; the user's signals
//! event → report (message)           what people and scripts get to see
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod agent_file;
mod args;
mod baseline;
mod binary;
mod cargo;
mod channel;
mod coordinator;
mod declaration;
mod doctests;
mod duration;
mod environment;
mod error;
mod event;
mod history;
mod interrupt;
mod inventory;
mod leaks;
mod ledger;
mod libtest;
mod message;
mod mistake;
mod outcome;
mod plan;
mod policy;
mod process;
mod report;
mod selection;
mod settings;
mod statics;
mod store;
mod toolchain;
mod units;
mod worker;
mod workspace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::agent_file::AgentFile;
use crate::args::NoTests;
use crate::baseline::{Baseline, Entry};
use crate::binary::{Binary, Build};
use crate::coordinator::Run;
use crate::error::{Error, Exit, Result};
use crate::event::{Event, Note, Summary};
use crate::history::History;
use crate::interrupt::Interrupts;
use crate::inventory::Inventory;
use crate::mistake::{Mistake, Severity};
use crate::outcome::Outcome;
use crate::plan::{Plan, TestId};
use crate::policy::Policy;
use crate::process::Groups;
use crate::report::{Paint, Reports, Spinner, View};
use crate::selection::Choice;
use crate::settings::{Settings, Task};
use crate::toolchain::Toolchain;
use crate::units::Grouped;
use crate::worker::Context;
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let args = args::parse(std::env::args_os());
    let settings = Settings::new(args);
    match run(&settings) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.is_told() {
                tell(&format!("{}: {error}", Paint(settings.color.stderr).bad("error")));
            }
            error.exit().into()
        }
    }
}

/// The table of contents.
fn run(settings: &Settings) -> Result<Exit> {
    let interrupts = Interrupts::catch().map_err(Error::Signals)?;
    let pool = pool(settings)?;
    let groups = &interrupts.groups;
    let mut notes = Vec::new();

    let (workspace, policy, binaries) = build(settings, &interrupts)?;
    if settings.task == Task::BuildOnly {
        return Ok(Exit::AllWell);
    }
    let inventory =
        take_inventory(settings, &workspace, &policy, binaries, &pool, groups, &mut notes);
    end_if(&interrupts)?;
    check_paths(settings, &policy, &inventory);
    let choices = selection::choose(&inventory, &settings.wanted);
    let mut history = History::load(&workspace.state_dir.join(HISTORY), &mut notes);
    let grouped = units::group(&inventory, &choices, &policy, &history);
    let view = View { inventory: &inventory, settings };

    match settings.task {
        Task::List => overview(settings, &notes, report::list(view, &choices), &inventory),
        Task::Plan => {
            let plan = Plan::new(grouped.groups, settings.slots, settings.thread_cap);
            overview(settings, &notes, report::plan(view, plan, &grouped.blocked), &inventory)
        }
        Task::Run | Task::BuildOnly => {
            let doctests = doctests::left_out(&workspace, &inventory, &settings.cargo);
            let mut reports = Reports::new(view);
            let root = workspace.root_manifest.parent().map(Path::to_owned).unwrap_or_default();
            let baseline = match settings.write_baseline {
                true => Baseline::default(),
                false => Baseline::load(&baseline::path(&root))?,
            };
            let chosen = Chosen { choices, grouped, notes, doctests, root, baseline };
            let summary = run_tests(view, chosen, &pool, &interrupts, &mut reports, &mut history);
            save_history(settings, &workspace, &inventory, &mut history, &mut reports);
            reports.show(&Event::Finished(summary.clone()));
            Ok(exit(settings, &summary))
        }
    }
}

const HISTORY: &str = "history.json";
const INVENTORY: &str = "inventory.json";

/// One private pool: its threads live as long as the run, which the workers' lives hang on.
fn pool(settings: &Settings) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(settings.slots)
        .thread_name(|slot| format!("slot {slot}"))
        .build()
        .map_err(|source| Error::Pool { slots: settings.slots, source })
}

/// Metadata, toolchain and build, side by side; a mistake in the metadata ends the build.
fn build(
    settings: &Settings,
    interrupts: &Arc<Interrupts>,
) -> Result<(Workspace, Policy, Vec<Binary>)> {
    let (mut cargo, read) = Build::start(settings)?.split();
    interrupts.watch_build(Some(cargo.id()));
    let mut mistakes = Vec::new();
    let (built, toolchain, declared) = std::thread::scope(|scope| {
        let built = scope.spawn(read);
        let toolchain = scope.spawn(|| Toolchain::load(settings));
        let declared = declared(settings, &mut mistakes);
        if matches!(declared, Err(Error::Metadata(_))) {
            process::end_tree(cargo.id());
        }
        (built.join(), toolchain.join(), declared)
    });
    let status = cargo.wait();
    interrupts.watch_build(None);
    end_if(interrupts)?;
    // Only now: cargo's lines and ours must not get into each other.
    for mistake in &mistakes {
        tell(&mistake.render(settings.color.stderr));
    }
    if let Err(error @ Error::Metadata(_)) = declared {
        return Err(error);
    }
    if !status.is_ok_and(|status| status.success()) {
        return Err(Error::Build);
    }
    let (mut workspace, policy) = declared?;
    let lost = || Error::Cargo("a thread that listened to cargo was lost".to_owned());
    let toolchain = toolchain.map_err(|_| lost())??;
    let binaries = built.map_err(|_| lost())?.binaries(&mut workspace, &toolchain)?;
    // Only now: what cargo leaves running by design is none of ours.
    process::adopt_strays();
    Ok((workspace, policy, binaries))
}

/// What the manifests declare, with all that is wrong about it.
fn declared(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Result<(Workspace, Policy)> {
    let workspace = Workspace::load(&settings.cargo)?;
    let policy = workspace.policy(settings, mistakes)?;
    mistakes.sort_by_key(|mistake| (mistake.severity == Severity::Error, mistake.position()));
    match errors_in(mistakes) {
        0 => Ok((workspace, policy)),
        count => Err(Error::Metadata(format!(
            "nothing was run: {} in the metadata",
            message::count(count, "mistake")
        ))),
    }
}

fn errors_in(mistakes: &[Mistake]) -> usize {
    mistakes.iter().filter(|mistake| mistake.severity == Severity::Error).count()
}

fn take_inventory(
    settings: &Settings,
    workspace: &Workspace,
    policy: &Policy,
    binaries: Vec<Binary>,
    pool: &rayon::ThreadPool,
    groups: &Groups,
    notes: &mut Vec<Note>,
) -> Inventory {
    let cache = (!settings.nested).then(|| workspace.state_dir.join(INVENTORY));
    let what = message::count(binaries.len(), "binary");
    let spinner = Spinner::start(settings, "Listing", what);
    let crates = workspace.crate_names();
    let inventory =
        inventory::take(binaries, policy, &crates, cache.as_deref(), pool, groups, notes);
    drop(spinner);
    notes.extend(inventory.failures.iter().cloned().map(Note::ListFailed));
    inventory
}

/// Keys that match no test of the binaries of this run.
fn check_paths(settings: &Settings, policy: &Policy, inventory: &Inventory) {
    let mut mistakes = Vec::new();
    for package in 0..policy.packages.len() {
        if policy.packages[package].declaration.modules.is_empty() {
            continue;
        }
        let own = inventory.listings.iter().filter(|l| l.binary.package == package);
        let ids: Vec<String> =
            own.flat_map(|l| l.tests.iter().map(|test| l.binary.id(&test.name))).collect();
        policy.check_paths(package, &ids, &mut mistakes);
    }
    for mistake in mistakes {
        tell(&mistake.render(settings.color.stderr));
    }
}

/// Shows what there is instead of running it.
fn overview(
    settings: &Settings,
    notes: &[Note],
    text: String,
    inventory: &Inventory,
) -> Result<Exit> {
    for note in notes {
        tell(&format!("{}: {}", Paint(settings.color.stderr).warn("warning"), message::note(note)));
    }
    // A closed pipe has seen enough.
    let _ = report::print(&text);
    Ok(if inventory.failures.is_empty() { Exit::AllWell } else { Exit::OwnError })
}

/// What is to be run, and what has to be said besides.
struct Chosen {
    choices: Vec<Vec<Choice>>,
    grouped: Grouped,
    notes: Vec<Note>,
    doctests: Vec<String>,
    /// The workspace's directory.
    root: PathBuf,
    baseline: Baseline,
}

fn run_tests(
    view: View<'_>,
    chosen: Chosen,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
    reports: &mut Reports<'_>,
    history: &mut History,
) -> Summary {
    let (settings, inventory) = (view.settings, view.inventory);
    let ignored = ignored(&chosen.choices);
    let running: usize = chosen.grouped.groups.iter().map(|group| group.tests.len()).sum();
    let mut context = Context::new(inventory, &interrupts.groups, &settings.run_id);
    context.agent = settings.agent.then(AgentFile::new).flatten();
    context.root = chosen.root;
    context.baseline = chosen.baseline;
    context.nocapture = settings.nocapture;
    context.show_output = settings.show_output;
    let ticks = reports.ticks();
    let mut old_and_new = Comparison::default();
    let mut emit = |event: Event| {
        if let Event::Judged { test, verdict } = &event {
            record(history, inventory, *test, verdict);
            old_and_new.note(inventory, *test, verdict);
        }
        reports.show(&event)
    };
    emit(Event::Started {
        run_id: settings.run_id.clone(),
        tests: running + ignored.len() + chosen.grouped.blocked.len(),
        binaries: inventory.listings.len(),
        slots: settings.slots,
    });
    for note in chosen.notes {
        emit(Event::Note(note));
    }
    if !chosen.doctests.is_empty() {
        emit(Event::Note(Note::Doctests { packages: chosen.doctests }));
    }
    let plan = Plan::new(chosen.grouped.groups, settings.slots, settings.thread_cap);
    let mut run = Run::new(&context, plan, settings.slots, settings.fail_fast, &mut emit);
    for test in ignored {
        run.judge_without_run(test, Outcome::Ignored, None);
    }
    for (test, fixture) in chosen.grouped.blocked {
        let reason = message::shared_needs_fixture(&fixture);
        run.judge_without_run(test, Outcome::Blocked, Some(reason));
    }
    let mut summary = run.run(pool, interrupts, ticks);
    summary.list_failures = inventory.failures.len();
    let strays = process::end_strays();
    if strays > 0 {
        reports.show(&Event::Note(Note::Strays { count: strays }));
    }
    if let Some(note) = old_and_new.conclude(settings, &context) {
        reports.show(&Event::Note(note));
    }
    summary
}

/// The leaks of this run, to be held against the baseline.
#[derive(Default)]
struct Comparison {
    leaks: BTreeSet<Entry>,
    /// Package and id of every test that ran to its end.
    ran: BTreeSet<(String, String)>,
}

impl Comparison {
    fn note(&mut self, inventory: &Inventory, test: TestId, verdict: &outcome::Verdict) {
        let listing = &inventory.listings[test.listing];
        let package = listing.binary.package_name.clone();
        let id = listing.binary.id(&listing.tests[test.test].name);
        self.leaks.extend(verdict.leaks.iter().map(|leak| Entry {
            package: package.clone(),
            test: id.clone(),
            kind: leak.kind.as_str().to_owned(),
            what: leak.what.clone(),
        }));
        if verdict.outcome == Outcome::Passed {
            self.ran.insert((package, id));
        }
    }

    fn conclude(self, settings: &Settings, context: &Context<'_>) -> Option<Note> {
        if settings.write_baseline {
            let (path, leaks) = (baseline::path(&context.root), self.leaks.len());
            return Some(match baseline::write(&path, self.leaks) {
                Ok(()) => Note::BaselineWritten { path, leaks },
                Err(error) => Note::StateNotWritten { path, why: error.to_string() },
            });
        }
        let did_run =
            |package: &str, id: &str| self.ran.contains(&(package.to_owned(), id.to_owned()));
        let unused = context.baseline.unused(did_run).into_iter();
        let leaks: Vec<String> = unused
            .map(|entry| format!("{} `{}` of {}", entry.kind, entry.what, entry.test))
            .collect();
        (context.agent.is_some() && !leaks.is_empty()).then_some(Note::GoneFromBaseline { leaks })
    }
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
fn record(history: &mut History, inventory: &Inventory, test: TestId, verdict: &outcome::Verdict) {
    let ran = matches!(verdict.outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut);
    if let Some(took) = verdict.took.filter(|_| ran) {
        let listing = &inventory.listings[test.listing];
        history.record(&listing.binary.key(), &listing.tests[test.test].name, took);
    }
}

/// A run inside a test of a run leaves the outer one's files alone.
fn save_history(
    settings: &Settings,
    workspace: &Workspace,
    inventory: &Inventory,
    history: &mut History,
    reports: &mut Reports<'_>,
) {
    if settings.nested || inventory.listings.is_empty() {
        return;
    }
    for listing in &inventory.listings {
        let names: std::collections::HashSet<&str> =
            listing.tests.iter().map(|test| test.name.as_str()).collect();
        history.forget_others(&listing.binary.key(), |test| names.contains(test));
    }
    let path = workspace.state_dir.join(HISTORY);
    if let Err(error) = history.save(&path) {
        reports.show(&Event::Note(Note::StateNotWritten { path, why: error.to_string() }));
    }
}

/// The exit code (README, "Exit codes"): the gravest thing that happened.
fn exit(settings: &Settings, summary: &Summary) -> Exit {
    let failed = [Outcome::Failed, Outcome::TimedOut, Outcome::Aborted];
    if summary.interrupted {
        Exit::Interrupted
    } else if failed.iter().any(|outcome| summary.count(*outcome) > 0) {
        Exit::TestFailed
    } else if summary.list_failures > 0 || summary.count(Outcome::Missing) > 0 {
        Exit::OwnError
    } else if summary.count(Outcome::Blocked) > 0 {
        Exit::FixtureFailed
    } else if summary.denied_leaks > 0 {
        Exit::DeniedLeak
    } else if summary.total() == 0 {
        no_tests(settings)
    } else {
        Exit::AllWell
    }
}

fn no_tests(settings: &Settings) -> Exit {
    let paint = Paint(settings.color.stderr);
    let (word, exit) = match settings.no_tests {
        NoTests::Pass => return Exit::AllWell,
        NoTests::Warn => (paint.warn("warning"), Exit::AllWell),
        NoTests::Fail => (paint.bad("error"), Exit::NoTestMatched),
    };
    tell(&format!("{word}: {}", message::no_test_matched(settings)));
    exit
}

fn end_if(interrupts: &Interrupts) -> Result<()> {
    if interrupts.happened() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Says something on stderr; one that is closed is no reason to stop.
fn tell(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
