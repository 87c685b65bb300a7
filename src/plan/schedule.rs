//! Decides what may start now. Pure: groups of tests and slots go in, batches come out, without a
//! clock, a process or a file. It belongs to one thread.
//!
//! Tests that failed when they ran last come first. Then the order is "longest first", since a long
//! test that starts late delays the end; unmeasured tests come before measured ones, because they
//! may be long. A batch takes all it needs (slots, locks, the machine) at once or not at all, so
//! nothing can deadlock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::batch_progress::Progress;
use super::candidate::Candidate;
use super::cpu_load::{ASSUMED, load_if_trivial};
use super::fixtures::{FixtureStates, FixtureStep, Readiness};
use super::group::{Batch, Group, GroupTest, Instance, Slots};
use super::group_state::GroupState;
use super::locks::HeldLocks;
use crate::config::keys::Threads;
use crate::model::test::TestId;

/// How many cores too many may be wanted: a process with trivial tests, most of whose time is spent
/// between them, shall not keep another from a whole core.
const TOLERATED: f64 = 0.26;

#[derive(Debug)]
pub struct Plan {
    pub(super) groups: Vec<GroupState>,
    pub(super) slot_count: usize,
    /// How many cores may be busy.
    pub(super) capacity: f64,
    /// How many of them the running batches are expected to keep busy.
    pub(super) load: f64,
    learns: bool,
    pub(super) thread_cap: usize,
    pub(super) free: BTreeSet<usize>,
    pub(super) held_locks: HeldLocks,
    pub(super) fixtures: FixtureStates,
    pub(super) running: HashMap<usize, Batch>,
    pub(super) progress: HashMap<usize, Progress>,
    /// The batch that is to give up a slot.
    pub(super) narrowing: Option<usize>,
    /// The group of a test that runs by itself, or is about to.
    pub(super) solo: Option<usize>,
    pub(super) loads: HashMap<usize, f64>,
    next_batch: usize,
    /// How many slots the cores can serve.
    pub(super) served_slots: f64,
    /// The work of one slot if all of those were equally busy.
    pub(super) fair_share: Duration,
    /// The work of each group at the start.
    work: Vec<Duration>,
    /// How many groups have tests that no worker has yet, as of the last call of `next`.
    pub(super) waiting: usize,
    /// The work that no worker has yet.
    pub(super) remaining: Duration,
}

impl Plan {
    /// `thread_cap` bounds the threads of one worker.
    pub fn new(groups: Vec<Group>, slots: impl Into<Slots>, thread_cap: Option<usize>) -> Plan {
        let Slots { count, cores, .. } = slots.into();
        let slot_count = count.max(1);
        let mut plan = Plan {
            groups: Vec::new(),
            slot_count,
            thread_cap: thread_cap.unwrap_or(usize::MAX).max(1),
            free: (0..slot_count).collect(),
            held_locks: HeldLocks::default(),
            fixtures: FixtureStates::default(),
            running: HashMap::new(),
            progress: HashMap::new(),
            narrowing: None,
            solo: None,
            next_batch: 0,
            waiting: 0,
            capacity: cores.map_or(f64::INFINITY, |cores| cores.max(1) as f64),
            load: 0.0,
            learns: false,
            loads: HashMap::new(),
            served_slots: 1.0,
            fair_share: Duration::ZERO,
            work: Vec::new(),
            remaining: Duration::ZERO,
        };
        plan.add(groups);
        plan
    }

    /// Adds groups to the plan; running batches are not affected.
    pub fn add(&mut self, groups: Vec<Group>) {
        let assumed = assumed(&groups);
        for group in groups {
            let state = GroupState::new(group, assumed);
            let is_unknown = |test: &GroupTest| test.expected.is_none();
            self.learns |= state.pending.iter().any(is_unknown);
            let work = state.work(&state.pending);
            self.work.push(work);
            self.remaining += work;
            self.groups.push(state);
        }
        self.update_fair_share();
    }

    fn update_fair_share(&mut self) {
        let busy = self.groups.iter().zip(&self.work);
        let busy: f64 = busy.map(|(state, work)| work.as_secs_f64() * state.cpu_load.mean()).sum();
        let work: Duration = self.work.iter().sum();
        let served = self.capacity * work.as_secs_f64() / busy.max(1e-9);
        self.served_slots = served.min(self.slot_count as f64).max(1.0);
        self.fair_share = work.div_f64(self.served_slots);
    }

    pub fn group(&self, index: usize) -> &Arc<Group> {
        &self.groups[index].group
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|state| &*state.group)
    }

    /// Whether nothing runs, nothing waits, and no fixture is up.
    pub fn is_done(&self) -> bool {
        self.running.is_empty()
            && self.fixtures.is_empty()
            && self.groups.iter().all(GroupState::is_over)
    }

    /// The locks that tests wait for now.
    pub fn awaited_locks(&self) -> BTreeSet<&String> {
        let waiting = self.groups.iter().filter(|state| state.has_work());
        waiting.flat_map(|state| self.held_locks.refusing(&state.group)).collect()
    }

    /// The next batch that may start now; what it needs is held until `finished`.
    pub fn next(&mut self) -> Option<Batch> {
        self.choose_solo();
        let is_busy_alone = self.solo.is_some() && !self.running.is_empty();
        if self.free.is_empty() || is_busy_alone || !self.has_cores() || self.is_any_behind() {
            return None;
        }
        self.waiting = self.groups.iter().filter(|state| state.has_work()).count();
        let is_chosen = |at: &usize| self.solo.is_none_or(|solo| solo == *at);
        let mut candidates: Vec<Candidate> =
            (0..self.groups.len()).filter(is_chosen).filter_map(|at| self.candidate(at)).collect();
        let mut waits = false;
        while let Some(best) = self.best(&candidates) {
            let candidate = candidates.swap_remove(best);
            if waits && self.groups[candidate.group].group.exclusive {
                // It waits until the machine is idle, which is about to be used.
                continue;
            }
            match self.fixtures.readiness(&self.groups[candidate.group], &self.free) {
                Readiness::Ready(slot) => return Some(self.dispatch(candidate, slot)),
                // Its slot goes to the next best candidate while its fixtures start.
                Readiness::Waits(fixtures) => {
                    waits = true;
                    self.fixtures.want(fixtures);
                }
            }
        }
        None
    }

    /// Whether there is enough of a core left for any group that has work.
    fn has_cores(&self) -> bool {
        let mut waiting = self.groups.iter().filter(|state| state.has_work());
        self.running.is_empty() || waiting.any(|state| self.fits(state.load()))
    }

    pub(super) fn fits(&self, load: f64) -> bool {
        self.load + load <= self.capacity + TOLERATED
    }

    /// Takes the duration of a test, and its load if it is known: unmeasured tests of its group are
    /// then assumed to be like it.
    pub fn learn(&mut self, group: usize, took: Duration, load: Option<f64>) {
        if !self.learns {
            return;
        }
        let state = &mut self.groups[group];
        let trivial = load_if_trivial(took).filter(|_| state.group.can_thread());
        state.cpu_load.learn(took, load.or(trivial));
        if let Some(mean) = state.cpu_load.new_mean() {
            self.remaining = self.remaining.saturating_sub(state.waiting_work());
            state.assumed = mean;
            self.remaining += state.waiting_work();
            self.work[group] = state.work(&state.group.tests);
            // Not for each test: it asks every group.
            self.update_fair_share();
        }
        self.update_loads(group);
    }

    fn best(&self, candidates: &[Candidate]) -> Option<usize> {
        (0..candidates.len())
            .max_by(|a, b| self.rank(&candidates[*a]).cmp(&self.rank(&candidates[*b])))
    }

    /// The next fixture that has to be started or stopped; to be called after `next`.
    pub fn next_fixture(&mut self) -> Option<FixtureStep> {
        self.fixtures.next(&self.groups)
    }

    /// Whether a fixture is to be started.
    pub fn wants_fixtures(&self) -> bool {
        self.fixtures.are_wanted()
    }

    pub fn fixture_is_up(&mut self, instance: Instance) {
        self.fixtures.is_ready(instance);
    }

    pub fn fixture_is_down(&mut self, instance: Instance) {
        self.fixtures.is_gone(instance);
    }

    /// Removes a lost fixture. Returns the tests that wait for it, which will not run, and the
    /// batches that use it.
    pub fn fixture_is_lost(&mut self, instance: Instance) -> (Vec<TestId>, Vec<usize>) {
        self.fixtures.is_lost(instance);
        let mut blocked = Vec::new();
        for state in self.groups.iter_mut().filter(|state| state.needs(instance.fixture)) {
            let tests = state.take_waiting();
            self.remaining = self.remaining.saturating_sub(state.work(&tests));
            blocked.extend(tests);
        }
        let is_its = |batch: &Batch| {
            instance.slot.is_none() || instance.slot == batch.slots.first().copied()
        };
        let is_hit =
            |batch: &&Batch| self.groups[batch.group].needs(instance.fixture) && is_its(batch);
        let mut running: Vec<usize> =
            self.running.values().filter(is_hit).map(|batch| batch.id).collect();
        running.sort_unstable();
        (blocked.into_iter().map(|test| test.id).collect(), running)
    }

    pub fn finished(&mut self, batch: usize) {
        let Some(batch) = self.running.remove(&batch) else { return };
        self.progress.remove(&batch.id);
        self.narrowing.take_if(|narrowing| *narrowing == batch.id);
        self.load -= self.loads.remove(&batch.id).unwrap_or_default();
        self.free.extend(&batch.slots);
        let state = &mut self.groups[batch.group];
        state.running -= 1;
        self.held_locks.release(&state.group);
        self.solo = None;
    }

    /// Requeues tests that a worker did not start.
    pub fn requeue(&mut self, group: usize, tests: &[TestId]) {
        let tests = self.tests_of(group, tests);
        let state = &mut self.groups[group];
        self.remaining += state.work(&tests);
        state.pending.extend(tests);
        state.sort();
    }

    /// From now on, a process of this group runs one test after another.
    pub fn run_in_turn(&mut self, group: usize) {
        Arc::make_mut(&mut self.groups[group].group).threads = Threads::Exactly(1);
    }

    /// Requeues tests so that each runs alone, such as suspects of a crash.
    pub fn requeue_alone(&mut self, group: usize, tests: &[TestId]) {
        let tests = self.tests_of(group, tests);
        let state = &mut self.groups[group];
        self.remaining += state.work(&tests);
        state.alone.extend(tests);
    }

    /// Requeues a failed test, to run alone after a call of `retry`. Until then its group keeps its
    /// fixtures.
    pub fn delay(&mut self, group: usize, test: TestId) {
        let tests = self.tests_of(group, &[test]);
        let state = &mut self.groups[group];
        self.remaining += state.work(&tests);
        state.delayed.extend(tests);
    }

    pub fn retry(&mut self, group: usize, test: TestId) {
        let state = &mut self.groups[group];
        let due = state.delayed.extract_if(.., |delayed| delayed.id == test);
        state.alone.extend(due);
    }

    /// Requeues a failed test, to run once nothing else runs or waits.
    pub fn run_by_itself(&mut self, group: usize, test: TestId) {
        let tests = self.tests_of(group, &[test]);
        let state = &mut self.groups[group];
        self.remaining += state.work(&tests);
        state.by_itself.extend(tests);
    }

    /// Lets the next test run that has to run by itself, if nothing else could.
    fn choose_solo(&mut self) {
        let is_served = |solo: &mut usize| !self.groups[*solo].has_work();
        if self.running.is_empty() {
            self.solo.take_if(is_served);
        }
        let is_idle = self.running.is_empty() && !self.groups.iter().any(GroupState::has_work);
        if !is_idle || self.solo.is_some() {
            return;
        }
        self.solo = self.groups.iter().position(|state| !state.by_itself.is_empty());
        if let Some(state) = self.solo.and_then(|solo| self.groups.get_mut(solo)) {
            let test = state.by_itself.remove(0);
            state.alone.push(test);
        }
    }

    /// Stops the plan: nothing more starts. Returns the tests that will not run.
    pub fn stop(&mut self) -> Vec<TestId> {
        self.remaining = Duration::ZERO;
        self.fixtures.forget_wanted();
        let waiting = self.groups.iter_mut().flat_map(GroupState::take_waiting);
        waiting.map(|test| test.id).collect()
    }

    pub(super) fn tests_of(&self, group: usize, ids: &[TestId]) -> Vec<GroupTest> {
        let group = &self.groups[group].group;
        ids.iter().filter_map(|id| group.find(*id)).cloned().collect()
    }

    /// `slot` is the slot of the group's fixtures, if it has any with that scope.
    fn dispatch(&mut self, candidate: Candidate, slot: Option<usize>) -> Batch {
        let state = &mut self.groups[candidate.group];
        let taken: Vec<GroupTest> = match candidate.is_alone {
            true => vec![state.alone.remove(0)],
            false => state.pending.split_off(state.pending.len() - candidate.count),
        };
        state.running += 1;
        self.held_locks.hold(&state.group);
        self.remaining = self.remaining.saturating_sub(candidate.work);
        self.load += candidate.load;
        self.loads.insert(self.next_batch, candidate.load);
        let others = self.free.iter().copied().filter(|free| Some(*free) != slot);
        let slots: Vec<usize> = slot.into_iter().chain(others).take(candidate.width).collect();
        for slot in &slots {
            self.free.remove(slot);
        }
        let mut tests: Vec<TestId> = taken.iter().map(|test| test.id).collect();
        tests.sort_unstable();
        let batch = Batch {
            id: self.next_batch,
            group: candidate.group,
            tests,
            threads: candidate.threads,
            most_threads: candidate.most_threads,
            slots,
            is_alone: candidate.is_alone,
        };
        self.next_batch += 1;
        self.running.insert(batch.id, batch.clone());
        self.begin(&batch);
        batch
    }
}

/// The assumed duration of unmeasured tests: the mean of the measured ones.
fn assumed(groups: &[Group]) -> Duration {
    let known: Vec<Duration> =
        groups.iter().flat_map(|group| &group.tests).filter_map(|test| test.expected).collect();
    match u32::try_from(known.len()) {
        Ok(count @ 1..) => known.iter().sum::<Duration>() / count,
        _ => ASSUMED,
    }
}

#[cfg(test)]
pub mod tests;
