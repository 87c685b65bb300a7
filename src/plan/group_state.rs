//! The state of a group within a plan.

use std::sync::Arc;
use std::time::Duration;

use super::cpu_load::CpuLoad;
use super::group::{Group, GroupTest, Isolation};
use super::shuffle::number;
use crate::config::keys::Locks;

/// What takes no longer is as good as any other such test.
const SHORT_TEST: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) group: Arc<Group>,
    /// Sorted with the next test last: failed in the last run, then never measured, then the
    /// longest.
    pub(super) pending: Vec<GroupTest>,
    pub(super) alone: Vec<GroupTest>,
    /// Failed tests that wait for a retry.
    pub(super) delayed: Vec<GroupTest>,
    /// Tests that run once nothing else runs or waits.
    pub(super) by_itself: Vec<GroupTest>,
    pub(super) running: usize,
    pub(super) cpu_load: CpuLoad,
    /// The assumed duration of tests that were never measured.
    pub(super) assumed: Duration,
    /// Whether its tests stay in one process while they are short.
    pub(super) coalesces: bool,
}

impl GroupState {
    pub(super) fn new(group: Group, assumed: Duration) -> GroupState {
        let pending = group.tests.clone();
        let cpu_load = CpuLoad::of(&pending);
        let coalesces = !group.has_explicit_policy
            && group.isolation != Isolation::PerTest
            && match group.known_work() {
                Some(work) => group.can_thread() || work < group.short(),
                // Nobody knows whether they are short, but such a process can be widened.
                None => group.is_elastic(),
            };
        let mut state = GroupState {
            group: Arc::new(group),
            pending,
            alone: Vec::new(),
            delayed: Vec::new(),
            by_itself: Vec::new(),
            running: 0,
            cpu_load,
            assumed,
            coalesces,
        };
        state.sort();
        state
    }

    pub(super) fn sort(&mut self) {
        let Group { shuffle, node, .. } = &*self.group;
        let place = |test: &GroupTest| shuffle.map(|seed| number(seed, node, test.id.test));
        // The tests are large, so their keys are cached.
        self.pending.sort_by_cached_key(|test| {
            (
                place(test),
                test.failed,
                test.expected.is_none(),
                // The order of short tests saves nothing; neighbours are chosen by fewer words.
                test.expected.map(|expected| expected.max(SHORT_TEST)),
                std::cmp::Reverse(test.id),
            )
        });
    }

    /// How many cores a thread of it keeps busy. Tests that take locks, or the machine, get a whole
    /// core.
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

    /// The work of all tests that no worker has.
    pub(super) fn waiting_work(&self) -> Duration {
        let waiting = [&self.pending, &self.alone, &self.delayed, &self.by_itself];
        waiting.into_iter().map(|tests| self.work(tests)).sum()
    }

    /// The next tests to run.
    pub(super) fn next(&self, count: usize) -> &[GroupTest] {
        &self.pending[self.pending.len() - count..]
    }

    pub(super) fn needs(&self, fixture: usize) -> bool {
        self.group.fixtures.iter().flatten().any(|need| need.fixture == fixture)
    }

    /// Whether any test that waits was never measured. They may stand behind some that were and that
    /// failed.
    pub(super) fn has_unknown(&self) -> bool {
        self.pending.iter().any(|test| test.expected.is_none())
    }

    /// Whether any test could start now.
    pub(super) fn has_work(&self) -> bool {
        !self.pending.is_empty() || !self.alone.is_empty()
    }

    /// Whether all of its tests are done.
    pub(super) fn is_over(&self) -> bool {
        let waits = !self.delayed.is_empty() || !self.by_itself.is_empty();
        self.running == 0 && !self.has_work() && !waits
    }

    /// Takes all tests that wait.
    pub(super) fn take_waiting(&mut self) -> Vec<GroupTest> {
        let waiting = [&mut self.pending, &mut self.alone, &mut self.delayed, &mut self.by_itself];
        waiting.into_iter().flat_map(std::mem::take).collect()
    }
}
