//! What all workers of a run have in common.

use crate::config::leak_rules::LeakRules;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::fixture::definition::Fixture;
use crate::leaks::classify::{Symbolizer, classify};
use crate::leaks::finding::Finding;
use crate::leaks::symbols::{Module, Symbols};
use crate::model::leak::Leak;
use crate::process::inspector::{Program, WorkerInspector};
use crate::worker::run_config::RunConfig;
use crate::worker::run_state::RunState;
use crate::worker::services::Services;

/// A run, as its workers and its coordinator see it.
pub struct Context<'r> {
    pub inventory: &'r Inventory,
    /// The fixtures that groups refer to by index.
    pub fixtures: Vec<Fixture>,
    pub config: RunConfig<'r>,
    pub services: Services<'r>,
    pub state: RunState,
}

impl<'r> Context<'r> {
    pub fn new(
        inventory: &'r Inventory,
        fixtures: Vec<Fixture>,
        config: RunConfig<'r>,
        services: Services<'r>,
    ) -> Context<'r> {
        Context { inventory, fixtures, config, services, state: RunState::default() }
    }

    pub(super) fn look(&self, pid: u32, worker: u64, listing: &'r Listing) -> WorkerInspector<'r> {
        let (run_id, groups, binary) = (self.config.run_id, self.services.groups, &listing.binary);
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
        let (executable, root) = (&*listing.binary.executable, &*self.config.root);
        Symbolizer { symbols, modules, executable, root, of_test }
    }

    pub(super) fn classified(
        &self,
        findings: &[Finding],
        rules: &LeakRules,
        subject: LeakOwner<'_>,
    ) -> Vec<Leak> {
        let LeakOwner { listing, of_test, owner, modules } = subject;
        let (package, owners) = (&listing.binary.package_name, listing.binary.spellings(owner));
        let baseline = &self.config.baseline;
        let was_there = |kind, what: &str| baseline.allows(package, &owners, kind, what);
        self.services.with_symbols(|symbols| {
            classify(
                findings,
                rules,
                was_there,
                &mut self.names(symbols, listing, modules, of_test),
            )
        })
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
