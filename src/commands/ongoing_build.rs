//! A build that goes on, or whose tests are still being listed, while the first tests run: binaries
//! are added to the run as they are built and listed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use cargo_metadata::Message as CargoMessage;

use super::check;
use super::early_tests::{BuildProgress, CargoProcess, wait};
use super::list_queue::{self, ListJobs, ListQueue};
use super::project::Project;
use super::stall_watch::StallWatch;
use crate::cargo::build_output::BuildOutput;
use crate::cargo::toolchain::Toolchain;
use crate::cli::settings::Settings;
use crate::config::policy::Policy;
use crate::discovery::doctests;
use crate::discovery::inventory::{self, Candidate, Inventory};
use crate::discovery::inventory_cache::InventoryCache;
use crate::error::{Error, Result};
use crate::model::warning::Warning;
use crate::process::stderr::write_line;
use crate::report::ci::log_group::LogGroup;
use crate::report::messages;
use crate::report::spinner::Spinner;
use crate::run::interrupt::{Interrupts, TestsMeanwhile};
use crate::worker::inbox::Message;

/// How far cargo is, and the packages whose doctests are to be listed, which are known once
/// everything is built.
pub enum CargoStage {
    Compiling(CargoProcess),
    /// Everything is built.
    Exiting(CargoProcess, Vec<usize>),
    Exited(Vec<usize>),
}

impl CargoStage {
    fn subreaper(&self) -> Option<u32> {
        match self {
            CargoStage::Compiling(cargo) | CargoStage::Exiting(cargo, _) => cargo.subreaper(),
            CargoStage::Exited(_) => None,
        }
    }
}

/// What comes from cargo.
pub struct FromCargo {
    pub stage: CargoStage,
    pub messages: Receiver<CargoMessage>,
    pub output: BuildOutput,
    pub toolchain: Toolchain,
}

/// What the user is told beside the tests.
pub struct Told {
    pub watch: StallWatch,
    /// The build's group in the log of a CI system.
    pub group: Option<LogGroup>,
    /// Printed when cargo has exited, so that they do not mix with its progress bar.
    pub diagnostics: Vec<String>,
}

/// A build that is still going on when the first tests run, or of which only binaries or doctests are
/// still to be listed.
pub struct OngoingBuild {
    from_cargo: FromCargo,
    unlisted: Vec<Candidate>,
    /// The lists of earlier runs, which also take those of this one.
    lists: InventoryCache,
    told: Told,
    /// Whether the metadata has been checked against the tests.
    is_checked: bool,
    interrupts: Arc<Interrupts>,
}

impl OngoingBuild {
    /// Lets tests run beside the build from now on, and beside the listing of those binaries that are
    /// `unlisted`.
    pub fn new(
        from_cargo: FromCargo,
        (unlisted, lists): (Vec<Candidate>, InventoryCache),
        told: Told,
        interrupts: Arc<Interrupts>,
    ) -> OngoingBuild {
        interrupts.groups.exempt(from_cargo.stage.subreaper().into_iter().collect());
        let is_checked = false;
        let build = OngoingBuild { from_cargo, unlisted, lists, told, is_checked, interrupts };
        let tests = match (build.is_compiling(), build.unlisted.is_empty()) {
            (true, _) => TestsMeanwhile::WhileBuilding,
            (false, false) => TestsMeanwhile::WhileListing,
            (false, true) => TestsMeanwhile::None,
        };
        build.interrupts.set_tests_meanwhile(tests);
        build
    }

    /// Whether cargo may still be compiling.
    pub fn is_compiling(&self) -> bool {
        matches!(self.from_cargo.stage, CargoStage::Compiling(_))
    }

    /// Whether binaries are still to be listed.
    pub fn may_add_binaries(&self) -> bool {
        self.is_compiling() || !self.unlisted.is_empty()
    }

    /// Whether tests may still be added to those that are listed.
    pub fn may_add_tests(&self) -> bool {
        let has_doctests = match &self.from_cargo.stage {
            CargoStage::Compiling(_) => false,
            CargoStage::Exiting(_, doctest_packages) | CargoStage::Exited(doctest_packages) => {
                !doctest_packages.is_empty()
            }
        };
        self.may_add_binaries() || has_doctests
    }

    /// Adds binaries to the inventory as they are listed, those that are unlisted and those that cargo
    /// finishes, and notifies the coordinator. The last message is always `Built`, also after an error.
    pub fn follow(mut self, project: Project<'_>, inbox: &Sender<Message>) {
        let interrupts = self.interrupts.clone();
        let end = self.list_all(project, inbox);
        let end = self.finish(end, project);
        let is_built = end.is_ok();
        // The coordinator receives messages until `Built` has arrived.
        let _ = inbox.send(Message::Built(end));
        if is_built {
            // What is typed is answered when the report has begun.
            interrupts.watch_terminal();
        }
    }

    /// Lists what is unlisted, what cargo still builds, and the doctests.
    fn list_all(&mut self, project: Project<'_>, inbox: &Sender<Message>) -> Result<()> {
        let interrupts = self.interrupts.clone();
        let unlisted = std::mem::take(&mut self.unlisted);
        // While cargo compiles, it draws its own progress bar.
        let is_shown = !unlisted.is_empty() && !self.is_compiling();
        let what = || messages::count(unlisted.len(), "binary");
        let spinner = is_shown.then(|| Spinner::start(project.settings, "Listing", what()));
        let jobs = ListJobs::new(project, &interrupts, inbox);
        let doctest_packages = list_queue::follow(&jobs, |queue| {
            self.add(unlisted, queue)?;
            self.follow_cargo(project, queue)
        })?;
        drop(spinner);
        // An interrupt from now on finds all binaries listed.
        interrupts.set_tests_meanwhile(TestsMeanwhile::None);
        self.list_doctests(&doctest_packages, project, inbox);
        self.save_lists(project, inbox);
        Ok(())
    }

    fn add(&self, candidates: Vec<Candidate>, queue: &ListQueue<'_, '_>) -> Result<()> {
        let FromCargo { output, toolchain, .. } = &self.from_cargo;
        queue.add(candidates, output.link_inputs(toolchain))
    }

    /// Lists what cargo builds until it has exited, and returns the packages whose doctests are to be
    /// listed: those that were known before, or else those of everything that was built.
    fn follow_cargo(
        &mut self,
        project: Project<'_>,
        queue: &ListQueue<'_, '_>,
    ) -> Result<Vec<usize>> {
        let Project { settings, workspace, filtersets, .. } = project;
        let stage = &mut self.from_cargo.stage;
        let (mut cargo, known) = match std::mem::replace(stage, CargoStage::Exited(Vec::new())) {
            CargoStage::Exited(doctest_packages) => return Ok(doctest_packages),
            CargoStage::Exiting(cargo, doctest_packages) => (cargo, Some(doctest_packages)),
            CargoStage::Compiling(cargo) => (cargo, None),
        };
        loop {
            let FromCargo { messages, output, .. } = &mut self.from_cargo;
            match wait(messages, output, Some(workspace), &settings.cargo) {
                BuildProgress::Finished => break,
                _ => self.list_built(project, queue)?,
            }
        }
        let status = cargo.wait_beside_tests(&self.interrupts);
        self.interrupts.set_build(None);
        // An interrupt ends cargo too.
        let is_ended = known.is_some() && self.interrupts.is_interrupted();
        if !is_ended && !status.is_ok_and(|status| status.success()) {
            return Err(cargo.failure());
        }
        if let Some(doctest_packages) = known {
            return Ok(doctest_packages);
        }
        // Who has interrupted the build was told that its results are not reported.
        if self.interrupts.set_tests_meanwhile(TestsMeanwhile::WhileListing) {
            return Err(Error::Interrupted);
        }
        self.list_built(project, queue)?;
        let built = self.from_cargo.output.packages_with_doctests(workspace);
        Ok(doctests::packages(settings, workspace, filtersets, built))
    }

    /// Lists what cargo has built since the last time.
    fn list_built(&mut self, project: Project<'_>, queue: &ListQueue<'_, '_>) -> Result<()> {
        let FromCargo { output, toolchain, .. } = &mut self.from_cargo;
        let binaries = output.binaries(project.workspace, toolchain, project.settings)?;
        let candidates = inventory::look_up(binaries, &mut self.lists);
        if candidates.is_empty() { Ok(()) } else { self.add(candidates, queue) }
    }

    fn list_doctests(&self, packages: &[usize], project: Project<'_>, inbox: &Sender<Message>) {
        let Project { settings, workspace, policy, inventory, .. } = project;
        let groups = &self.interrupts.groups;
        let found = doctests::take(packages, settings, workspace, policy, groups);
        let listings = inventory.listings.append(found.listings);
        // A run that has been interrupted has ended rustdoc.
        let failures = found.failures.into_iter().filter(|_| !self.interrupts.is_interrupted());
        let warnings = failures.map(Warning::ListFailed).collect();
        // The coordinator receives messages until `Built` has arrived.
        let _ = inbox.send(Message::Listed { listings, warnings });
    }

    fn save_lists(&mut self, project: Project<'_>, inbox: &Sender<Message>) {
        let mut warnings = Vec::new();
        std::mem::take(&mut self.lists).save(&project.inventory.listings, &mut warnings);
        let all = project.inventory.listings.len();
        // The coordinator still receives messages, as in `list`.
        let _ = inbox.send(Message::Listed { listings: all..all, warnings });
    }

    /// Prints the diagnostics on the metadata, and checks it against all tests, which are listed.
    pub fn check(
        &mut self,
        settings: &Settings,
        policy: &Policy,
        inventory: &Inventory,
    ) -> Result<()> {
        self.print_diagnostics();
        self.is_checked = true;
        check::check_paths(settings, policy, inventory)
    }

    /// Prints the diagnostics that have waited for the end of cargo's progress bar.
    fn print_diagnostics(&mut self) {
        self.told.diagnostics.drain(..).for_each(|line| write_line(&line));
    }

    fn finish(mut self, end: Result<()>, project: Project<'_>) -> Result<()> {
        // What an interrupt has ended has no error of its own.
        let is_interrupted = self.interrupts.is_interrupted();
        let end = end.map_err(|error| if is_interrupted { Error::Interrupted } else { error });
        if let Some(group) = self.told.group.take().filter(|_| end.is_err()) {
            group.fail();
        }
        self.interrupts.set_build(None);
        self.told.watch.end();
        self.interrupts.set_tests_meanwhile(TestsMeanwhile::None);
        if matches!(end, Err(Error::Interrupted)) {
            return end;
        }
        self.print_diagnostics();
        end?;
        // Not against a part of the tests.
        if !self.is_checked && !is_interrupted {
            self.check(project.settings, project.policy, project.inventory)?;
        }
        Ok(())
    }
}
