//! Everything before the first test: the build, the configuration, and the inventory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::{Builder, ScopedJoinHandle};

use cargo_metadata::Message as CargoMessage;
use rayon::ThreadPool;

use super::build_record::BuildRecord;
use super::check::{check_paths, fail_on_errors};
use super::early_tests::{self, BuildProgress, CargoProcess};
use super::ongoing_build::{CargoStage, FromCargo, OngoingBuild, Told};
use super::output_paths;
use super::slot_pool;
use super::stage_times::StageTimes;
use super::stall_watch::StallWatch;
use crate::cargo::binary::Binary;
use crate::cargo::build::Build;
use crate::cargo::build_output::BuildOutput;
use crate::cargo::filtersets;
use crate::cargo::link_inputs::LinkInputs;
use crate::cargo::toolchain::Toolchain;
use crate::cargo::workspace::Workspace;
use crate::cli::settings::Settings;
use crate::cli::task::Task;
use crate::config::diagnostic::{Diagnostic, Severity};
use crate::config::policy::Policy;
use crate::discovery::doctests;
use crate::discovery::inventory::{self, Candidate, Inventory, Listers};
use crate::discovery::inventory_cache::InventoryCache;
use crate::error::{Error, Result};
use crate::filterset::filters::Filtersets;
use crate::model::warning::Warning;
use crate::plan::history::History;
use crate::process::platform;
use crate::process::stderr::write_line;
use crate::report::ci::log_group::{LogGroup, Part};
use crate::report::messages;
use crate::report::spinner::Spinner;
use crate::run::interrupt::Interrupts;
use crate::sharing::learnt::LearntLocks;

/// All that is known when the first binaries can be listed.
pub struct Preparation {
    pub declared: Declared,
    /// The threads that supervise workers.
    pub pool: ThreadPool,
    /// The binaries that are listed before the first test.
    pub binaries: Vec<Candidate>,
    /// The packages that may have doctests, once cargo has finished.
    pub doctest_packages: Vec<usize>,
    pub link_inputs: LinkInputs,
    pub lists: InventoryCache,
    pub history: History,
    pub build_state: BuildState,
    pub times: StageTimes,
    /// Where an archive is to be written.
    pub record: Option<BuildRecord>,
}

impl Preparation {
    /// What is known without any binary.
    pub fn without_binaries(
        declared: Declared,
        history: History,
        pool: ThreadPool,
        build_state: BuildState,
        times: StageTimes,
    ) -> Preparation {
        Preparation {
            declared,
            pool,
            binaries: Vec::new(),
            doctest_packages: Vec::new(),
            link_inputs: LinkInputs::default(),
            lists: InventoryCache::default(),
            history,
            build_state,
            times,
            record: None,
        }
    }
}

/// Whether cargo is still building.
pub enum BuildState {
    /// cargo has finished. The watch continues until the tests are listed.
    Finished(StallWatch),
    /// Tests of finished binaries run while cargo builds the others, or has yet to exit.
    Ongoing(Box<OngoingBuild>),
}

impl BuildState {
    /// Checks the metadata against the listed tests, unless some of them are still to come.
    pub fn finish_listing(
        self,
        settings: &Settings,
        policy: &Policy,
        inventory: &Inventory,
    ) -> Result<Option<Box<OngoingBuild>>> {
        match self {
            BuildState::Ongoing(mut ongoing_build) => {
                if !ongoing_build.may_add_tests() {
                    ongoing_build.check(settings, policy, inventory)?;
                }
                Ok(Some(ongoing_build))
            }
            BuildState::Finished(watch) => {
                drop(watch);
                check_paths(settings, policy, inventory).map(|()| None)
            }
        }
    }
}

/// Starts the build, and loads the metadata, the toolchain and the state of earlier runs in
/// parallel. An error in the metadata cancels the build. Returns when cargo has finished, or as soon
/// as tests may run beside it.
pub fn build(
    settings: &Settings,
    interrupts: &Arc<Interrupts>,
    warnings: &mut Vec<Warning>,
) -> Result<Preparation> {
    if settings.is_unchanged {
        return without_build(settings, interrupts, warnings);
    }
    let group = LogGroup::begin(settings, Part::Build);
    let times = StageTimes::begin();
    let Build { cargo, messages, stderr } =
        Build::start(settings, early_tests::is_wanted(settings))?;
    let pid = cargo.id();
    interrupts.set_build(Some(pid));
    let cargo = CargoProcess::new(cargo, stderr);
    let watch = StallWatch::start(settings, interrupts);
    let loaded = Loaded::beside_build(settings, pid, warnings);
    let early = loaded.workspace_for_early_tests(settings, &cargo);
    let mut output = BuildOutput::for_task(&settings.task);
    match early_tests::wait(&messages, &mut output, early, &settings.cargo) {
        BuildProgress::Finished => {
            let from_build = (loaded, output, messages);
            let finished = finish(settings, cargo, from_build, (watch, times), interrupts);
            if finished.is_err() {
                group.into_iter().for_each(LogGroup::fail);
            }
            finished
        }
        progress @ (BuildProgress::TestsReady | BuildProgress::Built) => {
            let Loaded { toolchain, declared, pool, mut lists, history, diagnostics } = loaded;
            let toolchain = toolchain??;
            let declared = declared?;
            let pool = pool.unwrap_or_else(|| slot_pool::make(settings, &declared.policy))?;
            let binaries = output.binaries(&declared.workspace, &toolchain, settings)?;
            let (binaries, unlisted) = known_and_unknown(binaries, &mut lists);
            tests_started(interrupts, &cargo.left_running());
            let (stage, times) = match progress {
                BuildProgress::Built => {
                    let Declared { workspace, filtersets, .. } = &declared;
                    let built = output.packages_with_doctests(workspace);
                    let packages = doctests::packages(settings, workspace, filtersets, built);
                    (CargoStage::Exiting(cargo, packages), times.built())
                }
                _ => (CargoStage::Compiling(cargo), times),
            };
            let from_cargo = FromCargo { stage, messages, output, toolchain };
            let told = Told { watch, group, diagnostics };
            let ongoing_build =
                OngoingBuild::new(from_cargo, (unlisted, lists), told, interrupts.clone());
            let build_state = BuildState::Ongoing(Box::new(ongoing_build));
            let known = Preparation::without_binaries(declared, history, pool, build_state, times);
            Ok(Preparation { binaries, ..known })
        }
    }
}

/// For `--changed` where nothing has changed.
fn without_build(
    settings: &Settings,
    interrupts: &Arc<Interrupts>,
    warnings: &mut Vec<Warning>,
) -> Result<Preparation> {
    let declared = declared_alone(settings, warnings)?;
    let history = History::load(&declared.workspace.state_dir, warnings);
    let pool = slot_pool::make(settings, &declared.policy)?;
    let build_state = BuildState::Finished(StallWatch::start(settings, interrupts));
    let times = StageTimes::begin().built();
    Ok(Preparation::without_binaries(declared, history, pool, build_state, times))
}

/// Waits for cargo, where no test has started before.
fn finish(
    settings: &Settings,
    mut cargo: CargoProcess,
    (loaded, mut output, messages): (Loaded, BuildOutput, Receiver<CargoMessage>),
    (watch, times): (StallWatch, StageTimes),
    interrupts: &Arc<Interrupts>,
) -> Result<Preparation> {
    let Loaded { toolchain, declared, pool, mut lists, history, diagnostics } = loaded;
    let status = cargo.wait();
    let times = times.built();
    interrupts.set_build(None);
    interrupts.fail_if_interrupted()?;
    // Printed only now, so that these lines do not mix with cargo's.
    diagnostics.iter().for_each(|diagnostic| write_line(diagnostic));
    if let Err(error @ Error::Metadata { .. }) = declared {
        return Err(error);
    }
    let toolchain = toolchain?;
    if !status.is_ok_and(|status| status.success()) {
        return Err(cargo.failure());
    }
    let mut declared = declared?;
    let pool = pool.unwrap_or_else(|| slot_pool::make(settings, &declared.policy))?;
    let toolchain = toolchain?;
    output.read_packages(&mut declared.workspace, &settings.cargo)?;
    let Declared { workspace, policy, filtersets } = &declared;
    let binaries = output.binaries(workspace, &toolchain, settings)?;
    let link_inputs = output.link_inputs(&toolchain);
    tests_started(interrupts, &[]);
    let built = output.packages_with_doctests(workspace);
    let mut doctest_packages = doctests::packages(settings, workspace, filtersets, built);
    let record = take_record(&mut output, &toolchain, &mut doctest_packages);
    // Fixtures and exclusive tests are scheduled for all tests together.
    if early_tests::may_grow(settings) && policy.early() {
        let (binaries, unlisted) = known_and_unknown(binaries, &mut lists);
        let stage = CargoStage::Exited(doctest_packages);
        let from_cargo = FromCargo { stage, messages, output, toolchain };
        let told = Told { watch, group: None, diagnostics: Vec::new() };
        let listing = OngoingBuild::new(from_cargo, (unlisted, lists), told, interrupts.clone());
        let build_state = BuildState::Ongoing(Box::new(listing));
        let known = Preparation::without_binaries(declared, history, pool, build_state, times);
        return Ok(Preparation { binaries, ..known });
    }
    if settings.task == Task::Run {
        interrupts.watch_terminal();
    }
    let binaries = inventory::look_up(binaries, &mut lists);
    let build_state = BuildState::Finished(watch);
    let known = Preparation::without_binaries(declared, history, pool, build_state, times);
    Ok(Preparation { binaries, doctest_packages, link_inputs, lists, record, ..known })
}

/// The binaries whose tests are known, which run while the others are listed.
fn known_and_unknown(
    binaries: Vec<Binary>,
    lists: &mut InventoryCache,
) -> (Vec<Candidate>, Vec<Candidate>) {
    inventory::look_up(binaries, lists).into_iter().partition(Candidate::is_known)
}

/// What is to be archived, where that is the task: without doctests.
fn take_record(
    output: &mut BuildOutput,
    toolchain: &Toolchain,
    doctest_packages: &mut Vec<usize>,
) -> Option<BuildRecord> {
    let messages = output.take_record()?;
    let doctest_packages = std::mem::take(doctest_packages);
    Some(BuildRecord { messages, toolchain: toolchain.clone(), doctest_packages })
}

/// What is loaded while cargo builds. Errors are reported when it is known whether the build has
/// failed too.
struct Loaded {
    /// The outer error is that of the thread.
    toolchain: Result<Result<Toolchain>>,
    declared: Result<Declared>,
    /// None without a policy, which says how many threads there are.
    pool: Option<Result<ThreadPool>>,
    lists: InventoryCache,
    history: History,
    /// Diagnostics on the metadata, rendered.
    diagnostics: Vec<String>,
}

impl Loaded {
    /// Loads it, and cancels the build with this pid if the metadata is wrong.
    fn beside_build(settings: &Settings, build: u32, warnings: &mut Vec<Warning>) -> Loaded {
        let mut diagnostics = Vec::new();
        let (toolchain, declared, (lists, history)) = std::thread::scope(|scope| {
            let toolchain = Builder::new().spawn_scoped(scope, || Toolchain::load(settings));
            let declared = declared(settings, &mut diagnostics, warnings);
            if matches!(declared, Err(Error::Metadata { .. })) || toolchain.is_err() {
                platform::terminate_tree(build);
            }
            let state = declared.as_ref().map(|Declared { workspace, .. }| {
                let lists = match settings.nested {
                    true => InventoryCache::default(),
                    false => InventoryCache::load(&workspace.state_dir, warnings),
                };
                let mut history = History::load(&workspace.state_dir, warnings);
                // Every machine has to make the same plan. And what is kept apart without being
                // declared shall show.
                let examines = matches!(settings.task, Task::Doctor(_) | Task::Bisect(_));
                if settings.shard.is_some() || examines {
                    history.learnt = LearntLocks::default();
                }
                (lists, history)
            });
            let state = state.unwrap_or_default();
            (result(toolchain), declared, state)
        });
        let render = |diagnostic: &Diagnostic| diagnostic.render(settings.color.stderr);
        let diagnostics = diagnostics.iter().map(render).collect();
        let pool =
            declared.as_ref().map(|Declared { policy, .. }| slot_pool::make(settings, policy));
        let pool = pool.ok();
        Loaded { toolchain, declared, pool, lists, history, diagnostics }
    }

    /// The workspace, if its tests may run while cargo still builds.
    fn workspace_for_early_tests(
        &self,
        settings: &Settings,
        cargo: &CargoProcess,
    ) -> Option<&Workspace> {
        let (Ok(Ok(_)), Ok(declared)) = (&self.toolchain, &self.declared) else { return None };
        let Declared { workspace, policy, .. } = declared;
        early_tests::is_allowed(settings, workspace, policy, cargo).then_some(workspace)
    }
}

/// From now on, orphans that are adopted belong to tests. These are below the build's subreaper.
pub fn tests_started(interrupts: &Interrupts, of_build: &[u32]) {
    platform::become_subreaper();
    interrupts.guard.tests_started(of_build);
}

/// The result of a thread that ran beside the build.
fn result<T>(thread: std::io::Result<ScopedJoinHandle<'_, T>>) -> Result<T> {
    let lost = |_| Error::Cargo("a thread that runs beside cargo panicked".to_owned());
    thread.map_err(Error::Thread)?.join().map_err(lost)
}

/// Loads the configuration for a task that builds nothing, and prints the diagnostics on it.
pub fn declared_alone(settings: &Settings, warnings: &mut Vec<Warning>) -> Result<Declared> {
    let mut diagnostics = Vec::new();
    let declared = declared(settings, &mut diagnostics, warnings);
    print_all(&diagnostics, settings);
    declared
}

fn print_all(diagnostics: &[Diagnostic], settings: &Settings) {
    for diagnostic in diagnostics {
        write_line(&diagnostic.render(settings.color.stderr));
    }
}

/// What the manifests and the command line say.
pub struct Declared {
    pub workspace: Workspace,
    pub policy: Policy,
    pub filtersets: Filtersets,
}

/// Loads the configuration and collects all diagnostics on it.
fn declared(
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Warning>,
) -> Result<Declared> {
    let declared = declared_in(Workspace::load(settings, warnings)?, settings, diagnostics)?;
    let Declared { workspace, policy, .. } = &declared;
    output_paths::check_declared(settings, policy, workspace.root())?;
    // Once there is a table for this program, it is known where its settings are.
    if !policy.is_declared() && workspace.root().join(".config/nextest.toml").is_file() {
        warnings.push(Warning::NextestConfigNotRead);
    }
    Ok(declared)
}

/// Reads what the manifests of an archive declare, and prints the diagnostics on it.
pub fn declared_in_archive(workspace: Workspace, settings: &Settings) -> Result<Declared> {
    let mut diagnostics = Vec::new();
    let declared = declared_in(workspace, settings, &mut diagnostics);
    print_all(&diagnostics, settings);
    declared
}

/// Reads what the manifests of this workspace declare, and collects all diagnostics on it.
fn declared_in(
    workspace: Workspace,
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Declared> {
    let policy = workspace.policy(settings, diagnostics)?;
    let filtersets = filtersets::load(&settings.filter, &workspace, &policy, diagnostics);
    diagnostics
        .sort_by_key(|diagnostic| (diagnostic.severity == Severity::Error, diagnostic.position()));
    fail_on_errors(diagnostics)?;
    Ok(Declared { workspace, policy, filtersets })
}

/// Lists the tests of all finished binaries.
pub fn take_inventory(
    settings: &Settings,
    prepared: &mut Preparation,
    interrupts: &Interrupts,
    warnings: &mut Vec<Warning>,
) -> Result<Inventory> {
    let is_ongoing = matches!(prepared.build_state, BuildState::Ongoing(_));
    // Otherwise those that take time are listed beside the tests.
    let what = messages::count(prepared.binaries.len(), "binary");
    let spinner = (!is_ongoing).then(|| Spinner::start(settings, "Listing", what));
    let binaries = std::mem::take(&mut prepared.binaries);
    let Preparation { declared, link_inputs, doctest_packages, .. } = &*prepared;
    let Declared { workspace, policy, filtersets } = declared;
    let groups = &interrupts.groups;
    let listers = Listers { policy, filtersets, link_inputs, groups };
    let mut found = BTreeMap::new();
    inventory::list(binaries, listers, settings.slots, |index, one| {
        found.insert(index, one);
    });
    let mut inventory = Inventory::default();
    found.into_values().for_each(|found| inventory.add(found));
    let doctests = doctests::take(doctest_packages, settings, workspace, policy, groups);
    inventory.listings.append(doctests.listings);
    inventory.failures.extend(doctests.failures);
    drop(spinner);
    match &prepared.build_state {
        BuildState::Finished(_) => {
            std::mem::take(&mut prepared.lists).save(&inventory.listings, warnings);
            prepared.times.end_listing();
        }
        BuildState::Ongoing(build) if build.may_add_binaries() => {}
        BuildState::Ongoing(_) => prepared.times.end_listing(),
    }
    warnings.extend(inventory.warnings());
    interrupts.fail_if_interrupted()?;
    Ok(inventory)
}
