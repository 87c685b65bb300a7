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
//! state        small files in the target directory, and how any file is replaced
//! config/      the metadata of Cargo.toml: schema and policy
//! filterset/   expressions that choose tests: nextest's language, read and evaluated
//! cli/         the command line and cargo's configuration: arguments and settings
//! cargo/       cargo's build and metadata, the toolchain, test binaries and their environment
//! libtest/     the command line and the output of libtest
//! changes/     what has changed in version control, and which packages that affects
//! discovery/   the inventory of tests, and the selection
//! archive/     suites packed into one file, to be run elsewhere
//! sharing/     what tests share with tests of other processes, and what has been learnt from that
//! plan/        which tests run together, and which may start now
//! leaks/       detection and classification of leaks
//! protocol/    how workers report their tests: agent frames, libtest's log file
//! fixture/     shared fixtures, started once for all of their tests
//! worker/      one process that runs a batch of tests, supervised
//! run/         the coordinator, and the ledger of verdicts
//! merge/       the streams of several runs, joined
//! report/      reports for people and for scripts
//! commands/    the subcommands, from the build to the exit code
//! ```
//!
//! `agent/` is not a module of this program: build.rs compiles it, and workers load it.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod archive;
mod cargo;
mod changes;
mod cli;
mod commands;
mod config;
mod discovery;
mod error;
mod filterset;
mod fixture;
mod frames;
mod leaks;
mod libtest;
mod merge;
mod model;
mod plan;
mod process;
mod protocol;
mod report;
mod run;
mod sharing;
mod state;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use crate::archive::extraction::Extraction;
use crate::cli::args::Args;
use crate::cli::cargo_config::CargoConfig;
use crate::cli::output_args::MessageFormat;
use crate::cli::settings::{Color, Settings};
use crate::cli::task::{FixtureTask, Task};
use crate::commands::prepare::{Declared, Preparation, take_inventory};
use crate::commands::project::Project;
use crate::commands::recorder::BeforeTests;
use crate::commands::run::Session;
use crate::commands::trials::Trials;
use crate::error::{Error, Exit, Result};
use crate::model::stream_end::StreamEnd;
use crate::model::warning::Warning;
use crate::process::platform::{self, RunnerPipes};
use crate::process::stderr::write_line;
use crate::report::text::Paint;
use crate::run::interrupt::Interrupts;

fn main() -> ExitCode {
    if fixture::kept::is_daemon(std::env::args_os()) {
        return fixture::kept::run_daemon();
    }
    if let Some(rustdoc) = cargo::rustdoc::stands_in_for() {
        return cargo::rustdoc::print_call(&rustdoc);
    }
    let words = cli::command_line::words(std::env::args_os());
    let typed = cli::command_line::parse(&words);
    let (color, format) = (typed.options.output.color, typed.options.output.message_format);
    let (mut settings, extraction) = match begin(typed, &words) {
        Ok(begun) => begun,
        Err(error) => return report_error(&error, cli::settings::color(color), format),
    };
    let scratch = extraction.as_ref().and_then(Extraction::temporary_dir);
    let lines = match settings.task.runs_tests() || scratch.is_some() {
        true => platform::start_guard(scratch),
        false => RunnerPipes::default(),
    };
    let run = std::panic::AssertUnwindSafe(|| match &settings.task {
        Task::Merge(_) => commands::merge::run(&mut settings),
        Task::Setup(command) => commands::setup::command::run(command, &settings),
        _ => run(&mut settings, extraction, lines),
    });
    let ran = std::panic::catch_unwind(run);
    platform::key_mode::end();
    match ran.unwrap_or_else(|panic| Err(Error::panicked("the main thread", &*panic))) {
        Ok(exit) => exit.into(),
        Err(error) => report_error(&error, settings.color, settings.format),
    }
}

/// The settings, with the defaults that the workspace or the archive declares; and the archive.
fn begin(typed: Args, words: &[OsString]) -> Result<(Settings, Option<Extraction>)> {
    let archive = commands::from_archive::open(&typed)?;
    let args = commands::defaults::add(typed, words, archive.as_ref())?;
    let cargo_config = CargoConfig::load(&args.options.cargo);
    let settings = Settings::new(args, cargo_config);
    commands::output_paths::check(&settings)?;
    let make_room = |archive| commands::from_archive::make_room(archive, &settings);
    let extraction = archive.map(make_room).transpose()?;
    Ok((settings, extraction))
}

fn report_error(error: &Error, color: Color, format: MessageFormat) -> ExitCode {
    if !error.is_reported() {
        write_line(&format!("{}: {error}", Paint(color.stderr).bad("error")));
    }
    report::json::end_stream(format, &StreamEnd::of(error));
    error.exit().into()
}

/// Prepares the tests, and runs or shows them.
fn run(settings: &mut Settings, from: Option<Extraction>, lines: RunnerPipes) -> Result<Exit> {
    let interrupts =
        Interrupts::catch(lines, report::reports::show_notice).map_err(Error::Signals)?;
    let mut warnings = Vec::new();
    if let Task::Fixtures(what @ (FixtureTask::List | FixtureTask::Stop(_))) = &settings.task {
        return commands::fixtures::run_without_build(what, settings, &interrupts);
    }
    let mut prepared = prepare(settings, from.as_ref(), &interrupts, &mut warnings)?;
    let settings = &*settings;
    if settings.task == Task::BuildOnly {
        return Ok(finish_build(settings, prepared.binaries.len()));
    }
    let inventory = take_inventory(settings, &mut prepared, &interrupts, &mut warnings)?;
    let Preparation { declared, pool, history, build_state, times, record, .. } = prepared;
    let Declared { workspace, policy, filtersets } = declared;
    let ongoing_build = build_state.finish_listing(settings, &policy, &inventory)?;
    let project = Project {
        settings,
        workspace: &workspace,
        policy: &policy,
        filtersets: &filtersets,
        inventory: &inventory,
    };
    if let Task::Fixtures(what) = &settings.task {
        return commands::fixtures::run(what, project, &interrupts);
    }
    if let Some(record) = record {
        return commands::archive::write(project, record, &interrupts);
    }
    let mut choices = project.selection(&history).choose_all(&inventory, &mut warnings);
    let shard = commands::shard::select(project, &mut choices, &mut warnings)?;
    let grouped = plan::grouping::group(&inventory, 0, &choices, settings, &policy, &history);
    let is_growing = ongoing_build.as_ref().is_some_and(|build| build.may_add_tests());
    let slots = plan::grouping::slots(&grouped.groups, is_growing, settings, policy.overcommit());

    match settings.task {
        Task::List => commands::overview::list(project, &warnings, &choices),
        Task::Plan => commands::overview::plan(project, &warnings, grouped, slots, shard),
        Task::Debug(ref prefix) => commands::debug::run(prefix, project, &choices),
        Task::Metadata(ref command) => {
            commands::metadata::command::run(command, project, &warnings, &history, &choices)
        }
        Task::Bisect(ref bisect) => {
            let trials = Trials::new(project, &grouped.fixtures, &pool, &interrupts);
            commands::bisect::command::run(bisect, trials, &grouped.groups, &warnings)
        }
        Task::Doctor(ref doctor) => {
            let trials = Trials::new(project, &grouped.fixtures, &pool, &interrupts);
            commands::doctor::command::run(doctor, trials, &grouped.groups, &warnings)
        }
        _ => {
            let before = BeforeTests { times, warnings, shard };
            let session = Session { project, choices, grouped, slots, history, ongoing_build };
            run_tests(session, before, &pool, &interrupts)
        }
    }
}

fn run_tests(
    session: Session<'_>,
    before: BeforeTests,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
) -> Result<Exit> {
    let Project { settings, inventory, .. } = session.project;
    let summary = commands::run::run(session, before, pool, interrupts)?;
    let near = || commands::test_name::tip(&settings.filter, inventory);
    Ok(commands::exit::exit_code(settings, &summary, near))
}

/// Builds the tests, or extracts them from an archive.
fn prepare(
    settings: &mut Settings,
    extraction: Option<&Extraction>,
    interrupts: &Arc<Interrupts>,
    warnings: &mut Vec<Warning>,
) -> Result<Preparation> {
    if let Some(extraction) = extraction {
        return commands::from_archive::prepare(settings, extraction, interrupts, warnings);
    }
    commands::changed::narrow(settings)?;
    commands::prepare::build(settings, interrupts, warnings)
}

/// Reports a build that is all that was wanted.
fn finish_build(settings: &Settings, binaries: usize) -> Exit {
    report::json::end_stream(settings.format, &StreamEnd::BuildFinished { binaries });
    Exit::Success
}
