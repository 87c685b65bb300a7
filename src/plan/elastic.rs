//! How many tests of a running batch run at once: a slot that has nothing else to start goes to the
//! batch with the most work left, and back when another batch could start in it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::batch_progress::Progress;
use super::fixtures::Readiness;
use super::group::{Batch, Group, Isolation};
use super::schedule::Plan;
use crate::config::keys::Threads;
use crate::model::test::TestId;

/// A change of the number of tests of a batch that run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    pub batch: usize,
    pub threads: usize,
    /// The slot that it gets or gives up.
    pub slot: usize,
}

/// A batch that lasts this many times as long as its fair share of what is left delays the end.
const BEHIND: f64 = 1.1;

/// By how many cores too many the running tests may want: loads change from moment to moment.
const CROWDED: f64 = 0.5;

impl Plan {
    /// The most tests of a group that a batch of this many may run at once while it goes on; none
    /// if that cannot change.
    pub(super) fn most_threads(&self, group: &Group, count: usize) -> Option<usize> {
        let most = count.min(self.slot_count).min(self.thread_cap);
        let most = most.min(group.at_once.unwrap_or(usize::MAX));
        Some(most).filter(|most| group.is_elastic() && *most > 1)
    }

    pub(super) fn begin(&mut self, batch: &Batch) {
        let tests = self.tests_of(batch.group, &batch.tests);
        self.progress.insert(batch.id, Progress::of(&tests));
    }

    /// The number of threads of a batch cannot be changed.
    pub fn fix_threads(&mut self, batch: usize) {
        if let Some(batch) = self.running.get_mut(&batch) {
            batch.most_threads = None;
        }
    }

    /// A test of a running batch has finished.
    pub fn test_finished(&mut self, batch: usize, test: TestId) {
        let Some(group) = self.running.get(&batch).map(|batch| batch.group) else { return };
        let test = self.groups[group].group.find(test);
        if let Some((progress, test)) = self.progress.get_mut(&batch).zip(test) {
            progress.finish(test);
        }
    }

    /// Takes what share of a core the running tests of a batch have wanted, and for how long all
    /// together.
    pub fn observe(&mut self, batch: usize, running: Duration, share: f64) {
        let Some(group) = self.running.get(&batch).map(|batch| batch.group) else { return };
        if self.capacity.is_finite() {
            self.groups[group].cpu_load.see(running, share);
            self.update_loads(group);
        }
    }

    /// Whether a running batch needs a free slot more than one that could start in it.
    pub(super) fn is_any_behind(&self) -> bool {
        let fair_share = self.fair_share_of_rest();
        let needs_more = |batch: &Batch| self.is_behind(batch, batch.threads, fair_share);
        self.running.values().any(|batch| needs_more(batch) && self.may_grow(batch))
    }

    /// Whether a running batch with so many threads would end after all the others, and earlier with
    /// one more. Where tests were never measured, nobody knows: another batch may have the longest.
    fn is_behind(&self, batch: &Batch, threads: usize, fair_share: Duration) -> bool {
        !self.groups[batch.group].cpu_load.has_unknown()
            && self.takes_longer(batch, threads, fair_share)
    }

    /// Whether a running batch with so many threads takes longer than that, and than its longest test.
    fn takes_longer(&self, batch: &Batch, threads: usize, most: Duration) -> bool {
        let longest = self.progress.get(&batch.id).map(Progress::longest).unwrap_or_default();
        self.work_left(batch) / threads.max(1) as u32 > most.max(longest).mul_f64(BEHIND)
    }

    /// Whether a running batch has more threads than tests.
    fn has_idle_thread(&self, batch: &Batch) -> bool {
        self.progress.get(&batch.id).is_some_and(|progress| progress.left < batch.threads)
    }

    /// What each slot has to do until the end if all do the same.
    pub(super) fn fair_share_of_rest(&self) -> Duration {
        let running: Duration = self.running.values().map(|batch| self.work_left(batch)).sum();
        (running + self.remaining).div_f64(self.served_slots)
    }

    /// The work that is left of a running batch.
    fn work_left(&self, batch: &Batch) -> Duration {
        let assumed = self.groups[batch.group].assumed;
        self.progress.get(&batch.id).map(|progress| progress.work(assumed)).unwrap_or_default()
    }

    fn may_grow(&self, batch: &Batch) -> bool {
        let left = self.progress.get(&batch.id).map_or(0, |progress| progress.left);
        left > batch.threads
            && batch.most_threads.is_some_and(|most| batch.threads < most)
            && self.more_at_once(&self.groups[batch.group].group) > 0
            && self.fits(self.groups[batch.group].load())
    }

    /// Gives a free slot to the batch with the most work left for each of its threads, at first to
    /// one that takes longer than its longest test. To be called when no batch can start; then one may
    /// that waited for this.
    pub fn widen(&mut self) -> Option<Resize> {
        let slot = *self.free.first()?;
        let share = |batch: &Batch| {
            let left = self.progress.get(&batch.id)?.left;
            let is_shortened = self.takes_longer(batch, batch.threads, Duration::ZERO);
            let work = self.work_left(batch) / batch.threads as u32;
            // Unknown work counts by the number of tests.
            let share = (is_shortened, work, left, batch.id);
            self.may_grow(batch).then_some(share)
        };
        let (.., id) = self.running.values().filter_map(share).max()?;
        let batch = self.running.get_mut(&id)?;
        self.free.remove(&slot);
        batch.slots.push(slot);
        batch.threads += 1;
        let resize = Resize { batch: id, threads: batch.threads, slot };
        self.update_load(id);
        Some(resize)
    }

    /// Takes a thread from a batch with several, if it is idle, if another batch could start in its
    /// slot, or if the running tests want more cores than there are. The slot is free once `narrowed`
    /// is called. To be called when no batch can start.
    pub fn narrow(&mut self) -> Option<Resize> {
        if self.narrowing.is_some() {
            return None;
        }
        let widest = |batch: &&Batch| {
            let work = std::cmp::Reverse(self.work_left(batch));
            (self.has_idle_thread(batch), batch.threads, work, batch.id)
        };
        let is_elastic = |batch: &&Batch| batch.threads > 1 && batch.most_threads.is_some();
        let batch = self.running.values().filter(is_elastic).max_by_key(widest)?;
        let (id, slot) = (batch.id, *batch.slots.last()?);
        let freed = self.groups[batch.group].load();
        let is_needless = self.has_idle_thread(batch) || self.load > self.capacity + CROWDED;
        if !is_needless && self.is_behind(batch, batch.threads - 1, self.fair_share_of_rest()) {
            return None;
        }
        if !is_needless && !(0..self.groups.len()).any(|at| self.could_start(at, slot, freed)) {
            return None;
        }
        let batch = self.running.get_mut(&id)?;
        batch.threads -= 1;
        self.narrowing = Some(id);
        let resize = Resize { batch: id, threads: batch.threads, slot };
        self.update_load(id);
        Some(resize)
    }

    /// As many tests of a batch run as it has threads, after `narrow`.
    pub fn narrowed(&mut self, batch: usize) {
        if self.narrowing.take_if(|narrowing| *narrowing == batch).is_none() {
            return;
        }
        let slot = self.running.get_mut(&batch).and_then(|batch| batch.slots.pop());
        self.free.extend(slot);
        self.update_load(batch);
    }

    /// The batch that is to give up a slot.
    pub fn narrowing(&self) -> Option<Resize> {
        let batch = self.running.get(&self.narrowing?)?;
        let slot = *batch.slots.last()?;
        Some(Resize { batch: batch.id, threads: batch.threads, slot })
    }

    /// Whether a batch of this group could start in one more slot, and with so much less load.
    fn could_start(&mut self, at: usize, slot: usize, freed: f64) -> bool {
        let state = &self.groups[at];
        let group = &state.group;
        let is_free = state.has_work()
            && (group.isolation != Isolation::Unit || state.running == 0)
            && !self.held_locks.refuses(group)
            && !group.exclusive
            && group.slots.max(self.fewest_threads(group)) <= 1 + self.free.len()
            && self.more_at_once(group) >= group.least_threads
            && self.fits(state.load() - freed);
        if !is_free || group.least_threads > 1 {
            return false;
        }
        match self.fixtures.readiness(state, &BTreeSet::from([slot])) {
            Readiness::Ready(_) => true,
            Readiness::Waits(fixtures) => {
                self.fixtures.want(fixtures);
                false
            }
        }
    }

    /// The fewest threads that a batch of this group starts with.
    fn fewest_threads(&self, group: &Group) -> usize {
        match group.threads {
            Threads::Exactly(threads) => threads.min(self.slot_count),
            Threads::Auto => 1,
        }
    }

    /// Another load of the group is known.
    pub(super) fn update_loads(&mut self, group: usize) {
        let of_group = self.running.values().filter(|batch| batch.group == group);
        let loads: Vec<(usize, f64)> =
            of_group.map(|batch| (batch.id, self.load_of(batch))).collect();
        self.loads.extend(loads);
        self.load = self.loads.values().sum();
    }

    fn update_load(&mut self, id: usize) {
        if let Some(batch) = self.running.get(&id) {
            self.loads.insert(id, self.load_of(batch));
            self.load = self.loads.values().sum();
        }
    }

    /// How many cores a running batch keeps busy. A test that already runs is not stopped when its
    /// batch is to give up a slot.
    fn load_of(&self, batch: &Batch) -> f64 {
        let ending = usize::from(self.narrowing == Some(batch.id));
        self.groups[batch.group].load() * (batch.threads + ending) as f64
    }
}

#[cfg(test)]
mod tests;
