//! What the workers of a run share to do their work.

use std::sync::{Arc, Mutex, PoisonError};

use crate::fixture::kept::KeptFixtures;
use crate::leaks::symbols::Symbols;
use crate::model::output_file::OutputFiles;
use crate::process::process_groups::ProcessGroups;
use crate::worker::agent_file::AgentFile;
use crate::worker::fork_server::ForkServers;
use crate::worker::watching::WatchedBinaries;

/// What the workers of a run share.
pub struct Services<'r> {
    pub groups: &'r ProcessGroups,
    /// The agent that is loaded into workers, where it is supported and wanted.
    pub agent: Option<AgentFile>,
    pub fork_servers: ForkServers,
    /// Fixtures that stay up between runs; none in a nested run.
    pub kept_fixtures: Option<KeptFixtures>,
    /// Files for complete outputs that are too long to be kept in memory; none in a nested run.
    pub output_files: Option<Arc<OutputFiles>>,
    /// What is watched of which binary, in a run that watches.
    pub watched: WatchedBinaries,
    symbols: Mutex<Symbols>,
}

impl<'r> Services<'r> {
    /// Services without an agent, without files, and without kept fixtures.
    pub fn new(groups: &'r ProcessGroups) -> Services<'r> {
        Services {
            groups,
            agent: None,
            fork_servers: ForkServers::default(),
            kept_fixtures: None,
            output_files: None,
            watched: WatchedBinaries::default(),
            symbols: Mutex::default(),
        }
    }

    /// Gives access to the debug information, which is read once for all workers, and only when an
    /// address has to be named.
    pub(super) fn with_symbols<T>(&self, name: impl FnOnce(&mut Symbols) -> T) -> T {
        name(&mut self.symbols.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
