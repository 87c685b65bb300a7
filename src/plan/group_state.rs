//! How far the tests of a group have come.

use std::sync::Arc;
use std::time::Duration;

use super::cpu_load::CpuLoad;
use super::group::{Group, GroupTest};
use crate::config::keys::Locks;

#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) group: Arc<Group>,
    /// The next to go stands last: what failed when it ran last, what is unknown, then the
    /// longest.
    pub(super) pending: Vec<GroupTest>,
    pub(super) alone: Vec<GroupTest>,
    /// Tests that are to run again, and not yet.
    pub(super) delayed: Vec<GroupTest>,
    pub(super) running: usize,
    pub(super) cpu_load: CpuLoad,
    /// What a test is taken to last of which nothing is known.
    pub(super) assumed: Duration,
    /// Whether one process serves its tests best while they are short.
    pub(super) coalesces: bool,
}

impl GroupState {
    pub(super) fn new(group: Group, assumed: Duration) -> GroupState {
        let pending = group.tests.clone();
        let cpu_load = CpuLoad::of(&pending);
        let coalesces =
            !group.has_explicit_policy && group.can_thread && group.known_work().is_some();
        let mut state = GroupState {
            group: Arc::new(group),
            pending,
            alone: Vec::new(),
            delayed: Vec::new(),
            running: 0,
            cpu_load,
            assumed,
            coalesces,
        };
        state.sort();
        state
    }

    pub(super) fn sort(&mut self) {
        // The tests are large: their keys are sorted instead of them.
        self.pending.sort_by_cached_key(|test| {
            (test.failed, test.expected.is_none(), test.expected, std::cmp::Reverse(test.id))
        });
    }

    /// How many cores a thread of it keeps busy. What takes locks, or the machine, is not to
    /// be crowded.
    pub(super) fn load(&self) -> f64 {
        let Locks { read, write } = &self.group.locks;
        match self.group.exclusive || !read.is_empty() || !write.is_empty() {
            true => 1.0,
            false => self.cpu_load.mean(),
        }
    }

    pub(super) fn expected(&self, test: &GroupTest) -> Duration {
        test.expected.unwrap_or(self.assumed)
    }

    pub(super) fn work(&self, tests: &[GroupTest]) -> Duration {
        tests.iter().map(|test| self.expected(test)).sum()
    }

    /// That of all tests that no worker has.
    pub(super) fn waiting_work(&self) -> Duration {
        self.work(&self.pending) + self.work(&self.alone) + self.work(&self.delayed)
    }

    /// The next tests to go.
    pub(super) fn next(&self, count: usize) -> &[GroupTest] {
        &self.pending[self.pending.len() - count..]
    }

    pub(super) fn needs(&self, fixture: usize) -> bool {
        self.group.fixtures.iter().flatten().any(|need| need.fixture == fixture)
    }

    /// Something that could start now.
    pub(super) fn has_work(&self) -> bool {
        !self.pending.is_empty() || !self.alone.is_empty()
    }

    /// Nothing of it runs, waits, or is to run again.
    pub(super) fn is_over(&self) -> bool {
        self.running == 0 && !self.has_work() && self.delayed.is_empty()
    }
}
