//! The tests that run now: workers update this list, and the coordinator reads it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::model::event::SlotStatus;
use crate::model::test::TestId;
use crate::process::clock;

/// All active workers, by number.
#[derive(Debug, Default)]
pub struct ActiveWorkers(Mutex<BTreeMap<u64, Occupied>>);

#[derive(Debug)]
struct Occupied {
    slot: usize,
    tests: Vec<(TestId, Instant)>,
    held: usize,
}

impl ActiveWorkers {
    /// Adds a worker, until the returned guard is dropped.
    pub fn enter(&self, worker: u64, slot: usize) -> ActiveWorker<'_> {
        self.lock().insert(worker, Occupied { slot, tests: Vec::new(), held: 0 });
        ActiveWorker { running: self, worker }
    }

    /// Whether no worker is active.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub fn now(&self) -> Vec<SlotStatus> {
        let runs_now = |place: &Occupied| {
            let tests = place.tests.iter().map(|(test, began)| (*test, clock::since(*began)));
            SlotStatus { slot: place.slot, tests: tests.collect(), held: place.held }
        };
        let mut all: Vec<SlotStatus> = self.lock().values().map(runs_now).collect();
        all.sort_by_key(|place| place.slot);
        all
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Occupied>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct ActiveWorker<'r> {
    running: &'r ActiveWorkers,
    worker: u64,
}

impl ActiveWorker<'_> {
    pub fn began(&self, test: TestId, now: Instant) {
        if let Some(place) = self.running.lock().get_mut(&self.worker) {
            place.tests.push((test, now));
        }
    }

    pub fn ended(&self, test: TestId) {
        if let Some(place) = self.running.lock().get_mut(&self.worker) {
            place.tests.retain(|(running, _)| *running != test);
            place.held += 1;
        }
    }

    /// A test that was reported as started waits for its turn.
    pub fn waits(&self, test: TestId) {
        if let Some(place) = self.running.lock().get_mut(&self.worker) {
            place.tests.retain(|(running, _)| *running != test);
        }
    }

    /// The verdict of a finished test has been reported.
    pub fn reported(&self) {
        if let Some(place) = self.running.lock().get_mut(&self.worker) {
            place.held = place.held.saturating_sub(1);
        }
    }
}

impl Drop for ActiveWorker<'_> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.worker);
    }
}
