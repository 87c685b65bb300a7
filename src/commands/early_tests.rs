//! Early tests, which run while cargo still builds other test binaries: when they may start.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use cargo_metadata::{Message as CargoMessage, Target, TargetKind};

use crate::cargo::build_output::BuildOutput;
use crate::cargo::build_stderr::BuildStderr;
use crate::cargo::workspace::{Package, Workspace};
use crate::cli::args::CargoArgs;
use crate::cli::settings::Settings;
use crate::cli::task::Task;
use crate::commands::changed::matches;
use crate::config::policy::Policy;
use crate::error::Error;
use crate::process::platform::{self, BuildProcess};
use crate::process::stderr::clear_progress;
use crate::run::interrupt::Interrupts;
use crate::worker::agent_file::AgentFile;

/// cargo reports all fresh artifacts within a few milliseconds. When it is silent for this long, it
/// is compiling.
const COMPILES: Duration = Duration::from_millis(50);

/// Whether the command line allows that tests run before all are listed: nothing is decided for all
/// tests together.
pub fn may_grow(settings: &Settings) -> bool {
    settings.task == Task::Run
        && !settings.nocapture
        && settings.shard.is_none()
        && !settings.filter.last_failed
        && settings.shuffle.is_none()
}

/// Whether the command line allows early tests. They need the agent: without it, orphans that are
/// adopted during the build could not be attributed to tests.
pub fn is_wanted(settings: &Settings) -> bool {
    may_grow(settings) && settings.agent && AgentFile::exists() && !settings.nested
}

/// Whether early tests may start as soon as the environment of tests is complete.
pub fn is_allowed(
    settings: &Settings,
    workspace: &Workspace,
    policy: &Policy,
    cargo: &CargoProcess,
) -> bool {
    let of_workspace =
        |spec: &String| workspace.packages.iter().any(|package| matches(spec, package));
    is_wanted(settings)
        && cargo.subreaper().is_some()
        && policy.early()
        && settings.cargo.package.iter().all(of_workspace)
}

/// Whether the environment of every test is complete: the programs and shared libraries that cargo
/// builds, and the output of build scripts (`cargo test` sets the library paths of all of them for
/// each test; those of dependencies usually come first). Targets that cargo skips, because a feature
/// is not enabled, are waited for until the build finishes.
fn is_environment_complete(output: &BuildOutput, workspace: &Workspace, args: &CargoArgs) -> bool {
    let is_chosen = |package: &&Package| {
        args.package.is_empty() || args.package.iter().any(|spec| matches(spec, package))
    };
    workspace.packages.iter().filter(is_chosen).all(|package| {
        let Package { cargo, .. } = package;
        let has_tests = cargo.targets.iter().any(is_test);
        cargo.targets.iter().all(|target| match target.kind.contains(&TargetKind::CustomBuild) {
            true => output.has_run_script(&cargo.id),
            false => !is_built_beside(target, has_tests, args) || output.has(&cargo.id, target),
        })
    })
}

fn is_test(target: &Target) -> bool {
    target.kind.contains(&TargetKind::Test) || target.kind.contains(&TargetKind::Bench)
}

/// Whether cargo builds this target besides the tests. It builds programs for integration tests,
/// which get their paths in `CARGO_BIN_EXE_*`.
fn is_built_beside(target: &Target, has_tests: bool, args: &CargoArgs) -> bool {
    let any_target = !args.chooses_targets();
    target.kind.iter().any(|kind| match kind {
        TargetKind::Bin => has_tests,
        TargetKind::Example => any_target || args.examples || args.all_targets,
        TargetKind::CDyLib | TargetKind::DyLib | TargetKind::StaticLib => true,
        _ => false,
    })
}

/// Why `wait` returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildProgress {
    /// cargo is still building, and tests may start.
    TestsReady,
    /// All is built, and tests may start. cargo still tidies up, for about a tenth of the time that
    /// it takes where nothing is to be compiled.
    Built,
    /// cargo has exited.
    Finished,
}

/// Reads cargo's messages until tests may start, at the latest when cargo has finished. Without
/// `may_run`, early tests are not allowed.
pub fn wait(
    messages: &Receiver<CargoMessage>,
    output: &mut BuildOutput,
    may_run: Option<&Workspace>,
    args: &CargoArgs,
) -> BuildProgress {
    let is_allowed = may_run.is_some();
    loop {
        let may_run = may_run.filter(|workspace| {
            output.has_tests() && is_environment_complete(output, workspace, args)
        });
        let next = match may_run {
            Some(_) => messages.recv_timeout(COMPILES),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(CargoMessage::BuildFinished(build)) => {
                if build.success && is_allowed && output.has_tests() {
                    return BuildProgress::Built;
                }
            }
            Ok(message) => output.take(message),
            Err(RecvTimeoutError::Timeout) => return BuildProgress::TestsReady,
            Err(RecvTimeoutError::Disconnected) => return BuildProgress::Finished,
        }
    }
}

/// The cargo process, killed on drop.
pub struct CargoProcess {
    process: Option<BuildProcess>,
    stderr: Option<BuildStderr>,
}

impl CargoProcess {
    pub fn new(cargo: BuildProcess, stderr: Option<BuildStderr>) -> CargoProcess {
        CargoProcess { process: Some(cargo), stderr }
    }

    /// The child process that adopts what cargo leaves running.
    pub fn subreaper(&self) -> Option<u32> {
        self.process.as_ref().and_then(BuildProcess::subreaper)
    }

    /// What the build has left running until now.
    pub fn left_running(&self) -> Vec<u32> {
        self.process.as_ref().map(BuildProcess::left_running).unwrap_or_default()
    }

    /// The error of a build that has failed.
    pub fn failure(&self) -> Error {
        let stderr = self.stderr.as_ref();
        Error::Build { errors: stderr.map(BuildStderr::last_errors).unwrap_or_default() }
    }

    /// Waits for cargo before any test has started. Processes that it left running are not ours.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let mut cargo = self.process.take().ok_or(io::ErrorKind::NotFound)?;
        let status = cargo.wait();
        cargo.release();
        self.finish_stderr();
        if status.as_ref().is_ok_and(|status| status.code().is_none()) {
            // It was ended, perhaps within a line of progress.
            clear_progress();
        }
        status
    }

    fn finish_stderr(&mut self) {
        if let Some(stderr) = &mut self.stderr {
            stderr.finish();
        }
    }

    /// Waits for cargo while tests run. Processes that it left running are released after those of
    /// the tests have been killed.
    pub fn wait_beside_tests(&mut self, interrupts: &Interrupts) -> io::Result<ExitStatus> {
        let mut cargo = self.process.take().ok_or(io::ErrorKind::NotFound)?;
        let status = cargo.wait();
        self.finish_stderr();
        interrupts.guard.build_ended(&cargo.left_running());
        interrupts.groups.hold_build(cargo);
        status
    }
}

impl Drop for CargoProcess {
    fn drop(&mut self) {
        if let Some(cargo) = &self.process {
            platform::terminate_tree(cargo.id());
            // The build was cancelled, so its exit status does not matter.
            let _ = self.wait();
        }
    }
}
