//! Everything before the first test: the build, what the manifests declare, and the inventory.

use std::sync::Arc;
use std::thread::{Builder, ScopedJoinHandle};

use super::check::end_if_wrong;
use super::early_tests::{self, Building, Rest, State};
use super::stall_watch::Watch;
use crate::cargo::binary::Binary;
use crate::cargo::build::Build;
use crate::cargo::build_output::BuildOutput;
use crate::cargo::link_inputs::LinkInputs;
use crate::cargo::toolchain::Toolchain;
use crate::cargo::workspace::Workspace;
use crate::cli::settings::{Settings, Task};
use crate::config::diagnostic::{Diagnostic, Severity};
use crate::config::policy::Policy;
use crate::discovery::inventory::{self, Inventory};
use crate::discovery::inventory_cache::InventoryCache;
use crate::error::{Error, Result};
use crate::model::warning::Warning;
use crate::plan::history::History;
use crate::process::platform;
use crate::process::stderr::write_line;
use crate::report::messages;
use crate::report::progress::Spinner;
use crate::run::interrupt::Interrupts;

/// Where the lists are kept, below the state directory.
const LISTS: &str = "inventory.json";

/// What stands when the first tests can be listed.
pub struct Built {
    pub workspace: Workspace,
    pub policy: Policy,
    pub binaries: Vec<Binary>,
    pub link_inputs: LinkInputs,
    pub lists: InventoryCache,
    pub history: History,
    pub next: Next,
}

/// What comes after the binaries that are ready.
pub enum Next {
    /// cargo has ended. Looks at what takes long, until the tests are listed.
    Lists(Watch),
    /// It builds others beside their tests.
    Builds(Box<Rest>),
}

/// Metadata, toolchain, what earlier runs know, and the build, side by side; a mistake in the
/// metadata ends the build. Returns when cargo has ended, or when tests may run beside it.
pub fn build(
    settings: &Settings,
    interrupts: &Arc<Interrupts>,
    warnings: &mut Vec<Warning>,
) -> Result<Built> {
    let Build { cargo, messages: news } = Build::start(settings, early_tests::is_wanted(settings))?;
    let pid = cargo.id();
    interrupts.watch_build(Some(pid));
    let mut cargo = Building::new(cargo);
    let watch = Watch::start(settings, interrupts);
    let mut diagnostics = Vec::new();
    let (toolchain, declared, (lists, history)) = std::thread::scope(|scope| {
        let toolchain = Builder::new().spawn_scoped(scope, || Toolchain::load(settings));
        let declared = declared(settings, &mut diagnostics, warnings);
        if matches!(declared, Err(Error::Metadata(_))) || toolchain.is_err() {
            platform::end_tree(pid);
        }
        let of_earlier_runs = declared.as_ref().map(|(workspace, _)| {
            let lists = workspace.state_dir.join(LISTS);
            let lists = if settings.nested {
                InventoryCache::default()
            } else {
                InventoryCache::load(lists, warnings)
            };
            (lists, History::load(&workspace.state_dir, warnings))
        });
        let of_earlier_runs = of_earlier_runs.unwrap_or_default();
        (result(toolchain), declared, of_earlier_runs)
    });
    let may_run = match (&toolchain, &declared) {
        (Ok(Ok(_)), Ok((workspace, policy))) => {
            early_tests::is_allowed(settings, workspace, policy, &cargo).then_some(workspace)
        }
        _ => None,
    };
    let mut told = BuildOutput::default();
    let state = early_tests::wait(&news, &mut told, may_run, &settings.cargo);
    let diagnostics = diagnostics.iter().map(|diagnostic| diagnostic.render(settings.color.stderr));
    if state == State::Ready {
        let (toolchain, (workspace, policy)) = (toolchain??, declared?);
        let binaries = told.binaries(&workspace, &toolchain, settings)?;
        let link_inputs = told.link_inputs(&toolchain);
        tests_begin(interrupts);
        interrupts.groups.spare(cargo.keeper().into_iter().collect());
        interrupts.set_grows(true);
        let (unsaid, interrupts) = (diagnostics.collect(), interrupts.clone());
        let earlier = InventoryCache::default();
        let rest = Rest { cargo, news, told, toolchain, lists: earlier, watch, interrupts, unsaid };
        let next = Next::Builds(Box::new(rest));
        return Ok(Built { workspace, policy, binaries, link_inputs, lists, history, next });
    }
    let status = cargo.wait();
    interrupts.watch_build(None);
    end_if(interrupts)?;
    // Only now: cargo's lines and ours must not get into each other.
    diagnostics.for_each(|diagnostic| write_line(&diagnostic));
    if let Err(error @ Error::Metadata(_)) = declared {
        return Err(error);
    }
    let toolchain = toolchain?;
    if !status.is_ok_and(|status| status.success()) {
        return Err(Error::Build);
    }
    let (mut workspace, policy) = declared?;
    let toolchain = toolchain?;
    told.read_packages(&mut workspace, &settings.cargo)?;
    let binaries = told.binaries(&workspace, &toolchain, settings)?;
    let link_inputs = told.link_inputs(&toolchain);
    tests_begin(interrupts);
    if settings.task == Task::Run {
        interrupts.watch_terminal();
    }
    Ok(Built { workspace, policy, binaries, link_inputs, lists, history, next: Next::Lists(watch) })
}

/// From now on what comes home is a test's.
fn tests_begin(interrupts: &Interrupts) {
    platform::adopt_strays();
    interrupts.guard.tests_begin();
}

/// What a thread beside the build has found.
fn result<T>(thread: std::io::Result<ScopedJoinHandle<'_, T>>) -> Result<T> {
    let lost = |_| Error::Cargo("a thread that runs beside cargo panicked".to_owned());
    thread.map_err(Error::Thread)?.join().map_err(lost)
}

/// What the manifests declare, for a task that builds nothing.
pub fn declared_alone(settings: &Settings) -> Result<(Workspace, Policy)> {
    let (mut diagnostics, mut warnings) = (Vec::new(), Vec::new());
    let declared = declared(settings, &mut diagnostics, &mut warnings);
    for diagnostic in &diagnostics {
        write_line(&diagnostic.render(settings.color.stderr));
    }
    declared
}

/// What the manifests declare, with all that is wrong about it.
fn declared(
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Warning>,
) -> Result<(Workspace, Policy)> {
    let workspace = Workspace::load(settings, warnings)?;
    let policy = workspace.policy(settings, diagnostics)?;
    diagnostics
        .sort_by_key(|diagnostic| (diagnostic.severity == Severity::Error, diagnostic.position()));
    end_if_wrong(diagnostics)?;
    Ok((workspace, policy))
}

/// Takes the binaries and the lists out of what is built.
pub fn take_inventory(
    settings: &Settings,
    built: &mut Built,
    pool: &rayon::ThreadPool,
    interrupts: &Interrupts,
    warnings: &mut Vec<Warning>,
) -> Result<Inventory> {
    let what = messages::count(built.binaries.len(), "binary");
    // While it builds, cargo draws its own line.
    let is_built = matches!(built.next, Next::Lists(_));
    let spinner = is_built.then(|| Spinner::start(settings, "Listing", what));
    let mut lists = std::mem::take(&mut built.lists);
    let inventory = inventory::take(
        std::mem::take(&mut built.binaries),
        &built.policy,
        &built.link_inputs,
        &mut lists,
        Some(pool),
        &interrupts.groups,
    );
    drop(spinner);
    match &mut built.next {
        Next::Lists(_) => lists.save(&inventory.listings, warnings),
        Next::Builds(rest) => rest.lists = lists,
    }
    warnings.extend(inventory.warnings());
    end_if(interrupts)?;
    Ok(inventory)
}

fn end_if(interrupts: &Interrupts) -> Result<()> {
    if interrupts.happened() { Err(Error::Interrupted) } else { Ok(()) }
}
