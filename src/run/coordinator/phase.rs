//! Whether a run goes on, stops, or counts for nothing.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::clock;

/// The phase of a run.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Running,
    /// Nothing new starts. What still runs is killed at that time, if there is one.
    Stopping { kill_at: Option<Instant> },
    /// The build that the run began with has failed: none of its results are reported.
    Undone(Error),
}

impl Phase {
    pub(super) fn is_stopped(&self) -> bool {
        !matches!(self, Phase::Running)
    }

    pub(super) fn stop(&mut self) {
        if !self.is_stopped() {
            *self = Phase::Stopping { kill_at: None };
        }
    }

    /// Running processes are killed after this time, or earlier if that was set before.
    pub(super) fn kill_within(&mut self, grace: Duration) {
        if let Phase::Stopping { kill_at } = self {
            let at = clock::within(grace);
            *kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// When running processes are to be killed.
    pub(super) fn kill_at(&self) -> Option<Instant> {
        match self {
            Phase::Stopping { kill_at } => *kill_at,
            Phase::Running | Phase::Undone(_) => None,
        }
    }

    /// They have been killed.
    pub(super) fn killed(&mut self) {
        if let Phase::Stopping { kill_at } = self {
            *kill_at = None;
        }
    }
}
