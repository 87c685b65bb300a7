//! What all workers of a run share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::leak_rules::LeakRules;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::fixture::definition::Fixture;
use crate::fixture::kept::KeptFixtures;
use crate::leaks::baseline::Baseline;
use crate::leaks::classify::{Symbolizer, classify};
use crate::leaks::finding::Finding;
use crate::leaks::symbols::{Module, Symbols};
use crate::model::leak::Leak;
use crate::model::output_file::OutputFiles;
use crate::process::inspector::{Program, WorkerInspector};
use crate::process::process_groups::ProcessGroups;
use crate::worker::active::ActiveWorkers;
use crate::worker::agent_file::AgentFile;
use crate::worker::fork_server::ForkServers;

/// What all workers of a run share.
pub struct Context<'r> {
    pub inventory: &'r Inventory,
    pub groups: &'r ProcessGroups,
    pub run_id: &'r str,
    pub slots: usize,
    /// How many of them will be filled, as far as is known before the run.
    pub likely_slots: usize,
    /// The timeout of the whole run.
    pub run_timeout: Option<Duration>,
    /// How many workers may crash before the run is given up.
    pub most_deaths: usize,
    /// The fixtures of the tests, in the order in which the groups number them.
    pub fixtures: Vec<Fixture>,
    /// Fixtures that stay up between runs; none in a nested run.
    pub kept_fixtures: Option<KeptFixtures>,
    pub nocapture: bool,
    pub show_output: bool,
    /// The agent that workers load; none if the platform has none or it is switched off.
    pub agent: Option<AgentFile>,
    /// Files for output that is too long to be kept in memory; none in a nested run.
    pub output_files: Option<Arc<OutputFiles>>,
    /// Old leaks, which are allowed.
    pub baseline: Baseline,
    /// The workspace root.
    pub root: PathBuf,
    symbols: Mutex<Symbols>,
    /// Set when nothing new may start, for workers that start a process for every test.
    pub stopping: AtomicBool,
    pub running: ActiveWorkers,
    /// The processes that workers are forked from.
    pub fork_servers: ForkServers,
    next_worker: AtomicU64,
    /// Worker numbers of failed spawns.
    unused_numbers: AtomicU64,
}

impl<'r> Context<'r> {
    pub fn new(inventory: &'r Inventory, groups: &'r ProcessGroups, run_id: &'r str) -> Self {
        Context {
            inventory,
            groups,
            run_id,
            slots: 1,
            likely_slots: 1,
            run_timeout: None,
            most_deaths: usize::MAX,
            fixtures: Vec::new(),
            kept_fixtures: None,
            nocapture: false,
            show_output: false,
            agent: None,
            output_files: None,
            baseline: Baseline::default(),
            root: PathBuf::new(),
            symbols: Mutex::default(),
            stopping: AtomicBool::new(false),
            running: ActiveWorkers::default(),
            fork_servers: ForkServers::default(),
            next_worker: AtomicU64::new(0),
            unused_numbers: AtomicU64::new(0),
        }
    }

    /// Debug information is read once for all workers, and only when something has to be named.
    pub(super) fn with_symbols<T>(&self, name: impl FnOnce(&mut Symbols) -> T) -> T {
        name(&mut self.symbols.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A view of a worker's process and of those that it has started.
    pub(super) fn look(&self, pid: u32, worker: u64, listing: &'r Listing) -> WorkerInspector<'r> {
        let (run_id, groups, binary) = (self.run_id, self.groups, &listing.binary);
        let program = Program { executable: &binary.executable, name: &binary.name };
        WorkerInspector { pid, worker, run_id, groups, program }
    }

    pub(super) fn names<'n>(
        &'n self,
        symbols: &'n mut Symbols,
        listing: &'n Listing,
        modules: &'n [Module],
        of_test: &'n str,
    ) -> Symbolizer<'n> {
        let (executable, root) = (&*listing.binary.executable, &*self.root);
        Symbolizer { symbols, modules, executable, root, of_test }
    }

    pub(super) fn classified(
        &self,
        findings: &[Finding],
        rules: &LeakRules,
        subject: LeakOwner<'_>,
    ) -> Vec<Leak> {
        let LeakOwner { listing, of_test, owner, modules } = subject;
        let package = &listing.binary.package_name;
        let was_there = |kind, what: &str| self.baseline.allows(package, owner, kind, what);
        self.with_symbols(|symbols| {
            classify(
                findings,
                rules,
                was_there,
                &mut self.names(symbols, listing, modules, of_test),
            )
        })
    }

    /// A number for a process that is about to be started.
    pub fn next_worker(&self) -> u64 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }

    /// How many processes were started so far.
    pub fn workers(&self) -> u64 {
        self.next_worker.load(Ordering::Relaxed) - self.unused_numbers.load(Ordering::Relaxed)
    }

    /// A worker number was used for a failed spawn.
    pub(super) fn note_unused_number(&self) {
        self.unused_numbers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whose a finding is.
#[derive(Clone, Copy)]
pub(super) struct LeakOwner<'w> {
    pub(super) listing: &'w Listing,
    /// The test's name; empty if it is not known.
    pub(super) of_test: &'w str,
    /// Its name in the baseline.
    pub(super) owner: &'w str,
    pub(super) modules: &'w [Module],
}
