//! Tests that run while cargo still builds others: whether they may, and what becomes ready
//! beside them.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use cargo_metadata::{Message as News, Target, TargetKind};

use super::check;
use super::stall_watch::Watch;
use crate::cargo::build_output::BuildOutput;
use crate::cargo::toolchain::Toolchain;
use crate::cargo::workspace::{Package, Workspace};
use crate::cli::args::CargoArgs;
use crate::cli::settings::{Settings, Task};
use crate::config::policy::Policy;
use crate::discovery::inventory::{self, Inventory};
use crate::discovery::inventory_cache::InventoryCache;
use crate::error::{Error, Result};
use crate::process::platform::{self, Fostered};
use crate::process::stderr::write_line;
use crate::run::interrupt::Interrupts;
use crate::worker::agent_file::AgentFile;
use crate::worker::inbox::Message;

/// cargo tells of all that needs no building within a few milliseconds. When it says nothing for
/// so long, it compiles.
const COMPILES: Duration = Duration::from_millis(50);

/// Whether tests may run while cargo builds others, as far as the command line says. Without the
/// agent nobody could tell which test has started what comes home meanwhile.
pub fn is_wanted(settings: &Settings) -> bool {
    settings.task == Task::Run
        && settings.agent
        && AgentFile::exists()
        && !settings.nested
        && !settings.nocapture
}

/// Whether they may, as soon as cargo `has_surroundings`.
pub fn is_allowed(
    settings: &Settings,
    workspace: &Workspace,
    policy: &Policy,
    cargo: &Building,
) -> bool {
    let of_workspace = |name: &String| {
        workspace.packages.iter().any(|package| package.cargo.name.as_str() == name)
    };
    is_wanted(settings)
        && cargo.keeper().is_some()
        && policy.early()
        && settings.cargo.package.iter().all(of_workspace)
}

/// Whether all is there that belongs to the surroundings of every test: the programs and shared
/// libraries that cargo is going to build, and what build scripts tell (`cargo test` gives each
/// test the library paths of all of them; those of dependencies usually come first). What cargo
/// leaves out, for want of a feature, is waited for as well, to the build's end.
fn has_surroundings(told: &BuildOutput, workspace: &Workspace, args: &CargoArgs) -> bool {
    let is_chosen = |package: &&Package| {
        args.package.is_empty() || args.package.contains(&package.cargo.name.to_string())
    };
    workspace.packages.iter().filter(is_chosen).all(|package| {
        let Package { cargo, .. } = package;
        let has_tests = cargo.targets.iter().any(is_test);
        cargo.targets.iter().all(|target| match target.kind.contains(&TargetKind::CustomBuild) {
            true => told.has_run_script(&cargo.id),
            false => !is_built_beside(target, has_tests, args) || told.has(&cargo.id, target),
        })
    })
}

fn is_test(target: &Target) -> bool {
    target.kind.contains(&TargetKind::Test) || target.kind.contains(&TargetKind::Bench)
}

/// Whether cargo builds this target besides the tests. Programs it builds for the tests in
/// `tests`, which are told where those are.
fn is_built_beside(target: &Target, has_tests: bool, args: &CargoArgs) -> bool {
    let any_target = !args.chooses_targets();
    target.kind.iter().any(|kind| match kind {
        TargetKind::Bin => has_tests,
        TargetKind::Example => any_target || args.examples || args.all_targets,
        TargetKind::CDyLib | TargetKind::DyLib | TargetKind::StaticLib => true,
        _ => false,
    })
}

/// How far cargo has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It still builds, and some tests may run.
    Ready,
    Ended,
}

/// Listens to cargo until tests may run: to its end where they may not before.
pub fn wait(
    news: &Receiver<News>,
    told: &mut BuildOutput,
    may_run: Option<&Workspace>,
    args: &CargoArgs,
) -> State {
    loop {
        let may_run =
            may_run.filter(|workspace| told.has_tests() && has_surroundings(told, workspace, args));
        let next = match may_run {
            Some(_) => news.recv_timeout(COMPILES),
            None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(news) => told.take(news),
            Err(RecvTimeoutError::Timeout) => return State::Ready,
            Err(RecvTimeoutError::Disconnected) => return State::Ended,
        }
    }
}

/// cargo, which does not outlive whoever has an interest in it.
pub struct Building(Option<Fostered>);

impl Building {
    pub fn new(cargo: Fostered) -> Building {
        Building(Some(cargo))
    }

    /// The child of ours that has what cargo leaves running.
    pub fn keeper(&self) -> Option<u32> {
        self.0.as_ref().and_then(Fostered::keeper)
    }

    fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Before any test: what it has left running is none of ours.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let mut cargo = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        let status = cargo.wait();
        cargo.release();
        status
    }

    /// Beside tests: what it has left running is released when theirs has been ended.
    fn wait_beside_tests(&mut self, interrupts: &Interrupts) -> io::Result<ExitStatus> {
        let mut cargo = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        let status = cargo.wait();
        interrupts.groups.keep(cargo);
        status
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Some(mut cargo) = self.0.take() {
            platform::end_tree(cargo.id());
            // How it ends is of no interest.
            let _ = cargo.wait();
            cargo.release();
        }
    }
}

/// What cargo still builds when the first tests run.
pub struct Rest {
    pub cargo: Building,
    pub news: Receiver<News>,
    pub told: BuildOutput,
    pub toolchain: Toolchain,
    pub lists: InventoryCache,
    /// Looks at what takes long.
    pub watch: Watch,
    pub interrupts: Arc<Interrupts>,
    /// Lines that are told when cargo draws none any more.
    pub unsaid: Vec<String>,
}

/// What the tests that are found belong to.
#[derive(Clone, Copy)]
pub struct Place<'r> {
    pub settings: &'r Settings,
    pub workspace: &'r Workspace,
    pub policy: &'r Policy,
    pub inventory: &'r Inventory,
}

impl Rest {
    /// Adds to the inventory what becomes ready, and tells of it; at last that nothing more is to
    /// come, whatever happens.
    pub fn follow(mut self, place: Place<'_>, told: &Sender<Message>) {
        let args = &place.settings.cargo;
        let mut end = Ok(());
        while end.is_ok() && self.cargo.is_there() {
            let state = wait(&self.news, &mut self.told, Some(place.workspace), args);
            if state == State::Ended {
                end = self.build_ended();
            }
            if end.is_ok() {
                end = self.list(place, told);
            }
        }
        if end.is_ok() {
            let mut warnings = Vec::new();
            std::mem::take(&mut self.lists).save(&place.inventory.listings, &mut warnings);
            let all = place.inventory.listings.len();
            // As in `list`.
            let _ = told.send(Message::Listed { listings: all..all, warnings });
        }
        let end = self.end(end, place);
        // The coordinator hears until this has come.
        let _ = told.send(Message::Built(end));
    }

    fn build_ended(&mut self) -> Result<()> {
        let status = self.cargo.wait_beside_tests(&self.interrupts);
        self.interrupts.watch_build(None);
        let is_built = status.is_ok_and(|status| status.success());
        if is_built { Ok(()) } else { Err(Error::Build) }
    }

    fn list(&mut self, place: Place<'_>, told: &Sender<Message>) -> Result<()> {
        let binaries = self.told.binaries(place.workspace, &self.toolchain, place.settings)?;
        if binaries.is_empty() {
            return Ok(());
        }
        let first = place.inventory.listings.len();
        let link_inputs = self.told.link_inputs(&self.toolchain);
        let groups = &self.interrupts.groups;
        let lists = &mut self.lists;
        let found = inventory::take(binaries, place.policy, &link_inputs, lists, None, groups);
        let warnings = found.warnings().collect();
        for listing in found.listings {
            place.inventory.listings.push(listing);
        }
        let listings = first..place.inventory.listings.len();
        // The coordinator hears until the build has ended.
        let _ = told.send(Message::Listed { listings, warnings });
        Ok(())
    }

    fn end(self, end: Result<()>, place: Place<'_>) -> Result<()> {
        let Rest { cargo, watch, interrupts, unsaid, .. } = self;
        // Where it was given up.
        drop(cargo);
        interrupts.watch_build(None);
        drop(watch);
        interrupts.set_grows(false);
        if interrupts.happened() {
            return Err(Error::Interrupted);
        }
        unsaid.iter().for_each(|line| write_line(line));
        end?;
        check::check_paths(place.settings, place.policy, place.inventory)?;
        interrupts.watch_terminal();
        Ok(())
    }
}
