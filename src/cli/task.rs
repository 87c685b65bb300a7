//! What is to be done: the subcommand and its own arguments, as meant.

use std::path::PathBuf;
use std::time::Duration;

use super::args::{self, TestSelection};
use super::debug_args::{DebugArgs, Prefix};
use super::doctor_args::DoctorArgs;
use super::metadata_args::MetadataCommand;
use super::setup_args::SetupCommand;

/// What `cargo partest fixtures` does, to all fixtures where none is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FixtureTask {
    List,
    Start(Vec<String>),
    Stop(Vec<String>),
}

impl FixtureTask {
    pub fn names(&self) -> &[String] {
        match self {
            FixtureTask::List => &[],
            FixtureTask::Start(names) | FixtureTask::Stop(names) => names,
        }
    }
}

/// Which test `cargo partest bisect` looks at, and how often it runs each set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BisectTask {
    pub test: String,
    pub repeat: Option<usize>,
}

/// How long `cargo partest doctor` may take, and whether it writes what it suggests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorTask {
    pub budget: Duration,
    pub write: bool,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Run,
    BuildOnly,
    /// Build the tests, and write them to this file.
    Archive(PathBuf),
    /// One test, as the arguments of this command.
    Debug(Prefix),
    Plan,
    List,
    Fixtures(FixtureTask),
    Bisect(BisectTask),
    Doctor(DoctorTask),
    /// Of these files.
    Merge(Vec<PathBuf>),
    Metadata(MetadataCommand),
    Setup(SetupCommand),
}

impl Task {
    /// Whether tests are run, so that nothing of theirs may outlive this process.
    pub fn runs_tests(&self) -> bool {
        matches!(self, Task::Run | Task::Bisect(_) | Task::Doctor(_))
    }
}

/// What a run amounts to.
pub fn run_task(debugging: DebugArgs, no_run: bool) -> Task {
    match debugging.prefix() {
        Some(prefix) => Task::Debug(prefix),
        None if no_run => Task::BuildOnly,
        None => Task::Run,
    }
}

/// What is to be done, and with which tests. If it is a run, that is `run`.
pub fn task(
    command: Option<args::Command>,
    selection: TestSelection,
    run: Task,
) -> (Task, TestSelection) {
    match command {
        Some(args::Command::Plan(selection)) => (Task::Plan, selection),
        Some(args::Command::List(selection)) => (Task::List, selection),
        Some(args::Command::Run(selection)) => (run, selection),
        Some(args::Command::Archive(archive)) => (Task::Archive(archive.file), selection),
        Some(args::Command::Bisect(bisect)) => {
            // All tests, of which those are candidates that can run with it.
            let selection = TestSelection { filters: Vec::new(), libtest: bisect.libtest };
            let repeat = bisect.repeat.map(usize::from);
            (Task::Bisect(BisectTask { test: bisect.name, repeat }), selection)
        }
        Some(args::Command::Doctor(doctor)) => {
            let DoctorArgs { filters, budget, write, libtest } = doctor;
            (Task::Doctor(DoctorTask { budget, write }), TestSelection { filters, libtest })
        }
        Some(args::Command::Fixtures(fixtures)) => {
            (Task::Fixtures(fixture_task(fixtures)), selection)
        }
        Some(args::Command::Merge(merge)) => (Task::Merge(merge.files), selection),
        Some(args::Command::Metadata(command)) => (Task::Metadata(command), selection),
        Some(args::Command::Setup(command)) => (Task::Setup(command), selection),
        None => (run, selection),
    }
}

fn fixture_task(fixtures: args::FixturesArgs) -> FixtureTask {
    match fixtures.command {
        None | Some(args::FixturesCommand::List) => FixtureTask::List,
        Some(args::FixturesCommand::Start(start)) => FixtureTask::Start(start.names),
        Some(args::FixturesCommand::Stop(stop)) => FixtureTask::Stop(stop.names),
    }
}
