//! What changes while workers run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::sharing::learnt::LearntLocks;
use crate::sharing::usage::Usage;
use crate::worker::active::ActiveWorkers;

/// The state of a run that its workers share.
#[derive(Debug, Default)]
pub struct RunState {
    /// Set when nothing new may start: for workers that start a process for every test.
    pub stopping: AtomicBool,
    /// Set when workers shall end with the tests that were running then.
    pub stop_after: OnceLock<Instant>,
    pub active: ActiveWorkers,
    /// Custom harnesses whose log did not add up, by their listings.
    wrong_logs: Mutex<BTreeSet<usize>>,
    /// What tests use outside of their processes.
    pub usage: Usage,
    /// The locks that are known after the run, if it has learnt.
    pub learnt: OnceLock<LearntLocks>,
    next_worker: AtomicU64,
    /// Numbers of processes that could not be started at first.
    unused_numbers: AtomicU64,
}

impl RunState {
    /// A number for a process that is about to be started.
    pub fn next_worker(&self) -> u64 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that the log of a custom harness did not add up.
    pub fn note_wrong_log(&self, listing: usize) {
        self.wrong_logs.lock().unwrap_or_else(PoisonError::into_inner).insert(listing);
    }

    pub fn wrong_logs(&self) -> BTreeSet<usize> {
        self.wrong_logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many processes were started so far.
    pub fn workers(&self) -> u64 {
        self.next_worker.load(Ordering::Relaxed) - self.unused_numbers.load(Ordering::Relaxed)
    }

    /// Notes that a number was not used, and will not be.
    pub(super) fn note_unused_number(&self) {
        self.unused_numbers.fetch_add(1, Ordering::Relaxed);
    }
}
