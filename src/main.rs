//! `cargo partest` runs a workspace's tests in parallel over a pool of processes, by the
//! policy that each module declares in Cargo.toml.
//!
//! The folders are the stages from the command line to the report. They are listed from the bottom up:
//! a file imports only from its own folder and from folders above it in this list, and imports are
//! never circular.
//!
//! ```text
//! error        errors of the runner itself, and the exit codes
//! frames       the wire format of the agent's messages
//! model/       plain data that all stages share: tests, verdicts, leaks, output, events
//! process/     child processes, signals, the terminal and the clock, by platform
//! state        small files in the target directory
//! config/      the metadata of Cargo.toml: schema and policy
//! cli/         the command line and cargo's configuration: arguments and settings
//! cargo/       cargo's build and metadata, the toolchain, test binaries and their environment
//! libtest/     the command line and the output of libtest
//! discovery/   the inventory of tests, and the selection
//! plan/        which tests run together, and which may start now
//! leaks/       detection and classification of leaks
//! protocol/    how workers report their tests: agent frames, libtest's log file
//! fixture/     shared fixtures, started once for all of their tests
//! worker/      one process that runs a batch of tests, supervised
//! run/         the coordinator, and the ledger of verdicts
//! report/      reports for people and for scripts
//! commands/    the subcommands, from the build to the exit code
//! ```
//!
//! `agent/` is not a module of this program: build.rs compiles it, and workers load it.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cargo;
mod cli;
mod commands;
mod config;
mod discovery;
mod error;
mod fixture;
mod frames;
mod leaks;
mod libtest;
mod model;
mod plan;
mod process;
mod protocol;
mod report;
mod run;
mod state;
mod worker;

use std::process::ExitCode;

use crate::cli::args::NoTests;
use crate::cli::cargo_config::CargoConfig;
use crate::cli::settings::{FixtureTask, Settings, Task};
use crate::commands::prepare::{BuildState, Preparation};
use crate::commands::run::Session;
use crate::discovery::inventory::Inventory;
use crate::error::{Error, Exit, Result};
use crate::fixture::kept::KeptFixtures;
use crate::model::outcome::Outcome;
use crate::model::summary::Summary;
use crate::model::warning::Warning;
use crate::plan::schedule::Plan;
use crate::process::platform::{self, RunnerPipes};
use crate::process::stderr::write_line;
use crate::report::text::Paint;
use crate::report::view::View;
use crate::run::interrupt::Interrupts;

fn main() -> ExitCode {
    if fixture::kept::is_daemon(std::env::args_os()) {
        return fixture::kept::run_daemon();
    }
    let args = cli::command_line::parse(std::env::args_os());
    let cargo_config = CargoConfig::load(&args.cargo);
    let settings = Settings::new(args, cargo_config);
    let lines = match settings.task {
        Task::Run => platform::start_guard(),
        _ => RunnerPipes::default(),
    };
    let run = std::panic::AssertUnwindSafe(|| run(&settings, lines));
    let ran = std::panic::catch_unwind(run);
    match ran.unwrap_or_else(|panic| Err(Error::panicked("the main thread", &*panic))) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.is_reported() {
                write_line(&format!("{}: {error}", Paint(settings.color.stderr).bad("error")));
            }
            error.exit().into()
        }
    }
}

/// Prepares the tests, and runs or shows them.
fn run(settings: &Settings, lines: RunnerPipes) -> Result<Exit> {
    let interrupts =
        Interrupts::catch(lines, report::reports::show_notice).map_err(Error::Signals)?;
    let pool = make_pool(settings.slots)?;
    let mut warnings = Vec::new();

    if let Task::Fixtures(what @ (FixtureTask::List | FixtureTask::Stop(_))) = &settings.task {
        let (workspace, policy) = commands::prepare::declared_alone(settings)?;
        let kept_fixtures = KeptFixtures::new(&workspace.state_dir, false);
        return commands::fixtures::run(what, settings, &policy, &kept_fixtures, None, &interrupts);
    }
    let mut prepared = commands::prepare::build(settings, &interrupts, &mut warnings)?;
    if settings.task == Task::BuildOnly {
        return Ok(Exit::Success);
    }
    let inventory = commands::prepare::take_inventory(
        settings,
        &mut prepared,
        &pool,
        &interrupts,
        &mut warnings,
    )?;
    let Preparation { workspace, policy, history, build_state, .. } = prepared;
    let ongoing_build = match build_state {
        BuildState::Ongoing(ongoing_build) => Some(ongoing_build),
        BuildState::Finished(watch) => {
            drop(watch);
            commands::check::check_paths(settings, &policy, &inventory)?;
            None
        }
    };
    if let Task::Fixtures(what) = &settings.task {
        let kept_fixtures = KeptFixtures::new(&workspace.state_dir, true);
        let root = workspace.root();
        let inventory = Some((&inventory, &*root));
        return commands::fixtures::run(
            what,
            settings,
            &policy,
            &kept_fixtures,
            inventory,
            &interrupts,
        );
    }
    let all = 0..inventory.listings.len();
    let choices = discovery::filter::choose(&inventory, all, &settings.filter, &policy);
    let grouped = plan::grouping::group(&inventory, 0, &choices, settings, &policy, &history);
    let slots = plan::grouping::slots(
        &grouped.groups,
        ongoing_build.is_some(),
        settings,
        policy.overcommit(),
    );
    let root = workspace.root();
    let view = View { inventory: &inventory, settings, root: &root };

    match settings.task {
        Task::List => overview(settings, &warnings, report::plan::list(view, &choices), &inventory),
        Task::Plan => {
            let plan = Plan::new(grouped.groups, slots, settings.thread_cap);
            overview(
                settings,
                &warnings,
                report::plan::plan(view, plan, &grouped.fixtures),
                &inventory,
            )
        }
        Task::Run | Task::BuildOnly | Task::Fixtures(_) => {
            let pool = if slots.count > settings.slots { make_pool(slots.count)? } else { pool };
            let session = Session {
                settings,
                workspace: &workspace,
                policy: &policy,
                inventory: &inventory,
                choices,
                grouped,
                slots,
                history,
                warnings,
                ongoing_build,
            };
            let summary = commands::run::run(session, &pool, &interrupts)?;
            Ok(exit(settings, &summary))
        }
    }
}

/// Creates the threads that supervise workers. They have to outlive the run, because workers are
/// killed when the thread that started them exits.
fn make_pool(slots: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(slots)
        .thread_name(|slot| format!("slot {slot}"))
        .build()
        .map_err(|source| Error::Pool { slots, source })
}

/// Prints the list or the plan, with all warnings.
fn overview(
    settings: &Settings,
    warnings: &[Warning],
    text: String,
    inventory: &Inventory,
) -> Result<Exit> {
    for warning in warnings {
        write_line(&format!(
            "{}: {}",
            Paint(settings.color.stderr).warn("warning"),
            report::messages::warning(warning)
        ));
    }
    report::text::unless_closed(report::text::print(&text))?;
    Ok(if inventory.failures.is_empty() { Exit::Success } else { Exit::Error })
}

/// The exit code (docs/json-and-exit-codes.md) for the most severe problem of the run.
fn exit(settings: &Settings, summary: &Summary) -> Exit {
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.internal_error {
        Exit::Error
    } else if summary.timed_out || summary.failures() > 0 {
        Exit::TestFailed
    } else if summary.list_failures > 0 || summary.count(Outcome::Missing) > 0 {
        Exit::Error
    } else if summary.count(Outcome::Blocked) > 0 || summary.failed_fixtures > 0 {
        Exit::FixtureFailed
    } else if summary.denied_leaks > 0 {
        Exit::DeniedLeak
    } else if summary.not_run > 0 {
        // The run was stopped without a failed verdict, but is incomplete.
        Exit::Error
    } else if summary.total() == 0 {
        no_tests(settings)
    } else {
        Exit::Success
    }
}

fn no_tests(settings: &Settings) -> Exit {
    let paint = Paint(settings.color.stderr);
    let (word, exit) = match settings.no_tests {
        NoTests::Pass => return Exit::Success,
        NoTests::Warn => (paint.warn("warning"), Exit::Success),
        NoTests::Fail => (paint.bad("error"), Exit::NoTests),
    };
    write_line(&format!("{word}: {}", report::messages::no_test_matched(settings)));
    exit
}
