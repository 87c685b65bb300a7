//! What may start now. Pure: groups of tests and slots go in, batches come out; it alone
//! decides, and it belongs to one thread. No clock, no process, no file.
//!
//! What failed when it ran last comes first. Then the order is "longest first", since what is long
//! and starts late holds up the end; what was never measured comes before what is known, because
//! it may be long. A batch takes all it needs (slots, locks, the machine) at once or not at all,
//! and whatever nothing holds can always start: so nothing can deadlock.

use crate::model::test::TestId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::config::keys::{Locks, Recycle, RetryKeys, Threads};
use crate::config::leak_rules::LeakRules;

use super::batch_size::Cut;
pub use super::batch_size::SHORT;
use super::cpu_load::Loads;
pub use super::fixtures::{FixtureStep, Instance, Need};
use super::fixtures::{Readiness, Standing};
use super::locks::Held;

#[derive(Debug, Clone)]
pub struct GroupTest {
    pub id: TestId,
    /// From history; none for a test that was never measured.
    pub expected: Option<Duration>,
    /// How much of a core it uses while it runs, from 0 to 1; what waits uses little.
    pub load: f64,
    /// When it ran last.
    pub failed: bool,
    pub timeout: Option<Duration>,
    /// From when on it is called slow.
    pub slow: Duration,
    pub retries: RetryKeys,
    /// What may be left behind; none where nobody looks.
    pub leaks: Option<Arc<LeakRules>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All tests in one process.
    Unit,
    /// In batches that the plan sizes.
    Split,
    /// One process for every test.
    Isolated,
}

/// Tests of one binary that are dispatched by the same rules.
#[derive(Debug, Clone)]
pub struct Group {
    pub listing: usize,
    /// The node of the module tree that the tests stand in.
    pub node: String,
    pub form: Form,
    /// Whether it was asked for as it is, by a policy or a number of slots: otherwise what is
    /// short stays together.
    pub is_asked_for: bool,
    /// What decided, for people.
    pub why: String,
    pub tests: Vec<GroupTest>,
    /// How many tests the binary has in all: libtest's price for a filter grows with it.
    pub tests_in_binary: usize,
    /// Whether a worker can run several tests at once.
    pub can_thread: bool,
    pub threads: Threads,
    /// With `threads = "auto"`: not fewer than this, as far as there are slots.
    pub least_threads: usize,
    /// The most tests of its binary that may run at once, in however many workers.
    pub at_once: Option<usize>,
    pub slots: usize,
    pub locks: Locks,
    pub exclusive: bool,
    /// Bytes that a worker may use.
    pub memory: Option<u64>,
    pub recycle: Recycle,
    pub env: BTreeMap<String, String>,
    /// What must be up before its tests run, level by level.
    pub fixtures: Vec<Vec<Need>>,
}

impl Group {
    /// A group's tests are sorted by their ids.
    fn find(&self, id: TestId) -> Option<&GroupTest> {
        self.tests.binary_search_by_key(&id, |test| test.id).ok().map(|at| &self.tests[at])
    }

    pub fn has(&self, id: TestId) -> bool {
        self.find(id).is_some()
    }

    /// How long its tests take together, if that is known of all, and none failed when it ran
    /// last.
    pub fn known_work(&self) -> Option<Duration> {
        self.tests.iter().map(|test| test.expected.filter(|_| !test.failed)).sum()
    }

    pub fn timeout(&self, id: TestId) -> Option<Duration> {
        self.find(id)?.timeout
    }

    pub fn slow(&self, id: TestId) -> Option<Duration> {
        Some(self.find(id)?.slow)
    }

    pub fn retries(&self, id: TestId) -> RetryKeys {
        self.find(id).map(|test| test.retries).unwrap_or_default()
    }

    pub fn leak_rules(&self, id: TestId) -> Option<&LeakRules> {
        self.find(id)?.leaks.as_deref()
    }
}

/// What one worker is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub id: usize,
    pub group: usize,
    /// In the order in which the binary lists them, which is the order it runs them in.
    pub tests: Vec<TestId>,
    pub threads: usize,
    /// The places it takes; the first is the worker's `PARTEST_SLOT`.
    pub slots: Vec<usize>,
    /// A suspect of a dead worker, run again by itself.
    pub is_alone: bool,
}

/// The places that a plan may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// The most that may be filled at once.
    pub count: usize,
    /// Where there are more slots than cores, for tests that wait: how many cores they may keep
    /// busy together. None where the slots are the user's own number.
    pub cores: Option<usize>,
    /// How many will be filled, as far as anybody knows before the run.
    pub likely: usize,
}

impl From<usize> for Slots {
    fn from(count: usize) -> Slots {
        Slots { count, cores: None, likely: count }
    }
}

impl Batch {
    /// A batch's tests are sorted by their ids.
    pub fn place_of(&self, test: TestId) -> Option<usize> {
        self.tests.binary_search(&test).ok()
    }

    pub fn has(&self, test: TestId) -> bool {
        self.place_of(test).is_some()
    }
}

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
    pub(super) held: Held,
    standing: Standing,
    pub(super) running: HashMap<usize, Batch>,
    loads: HashMap<usize, f64>,
    next_batch: usize,
    /// Work of one slot if all slots were equally busy.
    pub(super) fair_share: Duration,
    /// That of each group, at the start.
    work: Vec<Duration>,
    /// Groups that have work which no worker has yet, as `next` found them.
    pub(super) waiting: usize,
    /// The work that no worker has yet.
    pub(super) remaining: Duration,
}

#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) group: Arc<Group>,
    /// The next to go stands last: what failed when it ran last, what is unknown, then the
    /// longest.
    pub(super) pending: Vec<GroupTest>,
    pub(super) alone: Vec<GroupTest>,
    /// Tests that are to run again, and not yet.
    delayed: Vec<GroupTest>,
    pub(super) running: usize,
    pub(super) loads: Loads,
    /// What a test is taken to last of which nothing is known.
    assumed: Duration,
    /// Whether one process serves its tests best while they are short.
    pub(super) keeps_together: bool,
}

/// What a worker costs before its first test: start, and libtest's own look at its tests
/// (1.4 to 4.4 ms, measured with 10 and 10,000 tests).
pub(super) const PRICE_OF_A_PROCESS: Duration = Duration::from_millis(2);

/// What a test is taken to last where there is no history at all: only the proportions
/// between groups matter then, and this says "as many tests, as much work".
pub(super) const ASSUMED: Duration = Duration::from_millis(1);

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
            held: Held::default(),
            standing: Standing::default(),
            running: HashMap::new(),
            next_batch: 0,
            waiting: 0,
            capacity: cores.map_or(f64::INFINITY, |cores| cores.max(1) as f64),
            load: 0.0,
            learns: false,
            loads: HashMap::new(),
            fair_share: Duration::ZERO,
            work: Vec::new(),
            remaining: Duration::ZERO,
        };
        plan.add(groups);
        plan
    }

    /// More that is to run; what runs already goes on.
    pub fn add(&mut self, groups: Vec<Group>) {
        let assumed = assumed(&groups);
        for group in groups {
            let state = GroupState::new(group, assumed);
            let is_unknown = |test: &GroupTest| test.expected.is_none();
            self.learns |= self.capacity.is_finite() && state.pending.iter().any(is_unknown);
            let work = state.work(&state.pending);
            self.work.push(work);
            self.remaining += work;
            self.groups.push(state);
        }
        self.share_out();
    }

    /// How much of all the work a slot gets, where as many are filled as that can fill without
    /// more cores than there are.
    fn share_out(&mut self) {
        let busy = self.groups.iter().zip(&self.work);
        let busy: f64 = busy.map(|(state, work)| work.as_secs_f64() * state.loads.mean()).sum();
        let work: Duration = self.work.iter().sum();
        let fillable = self.capacity * work.as_secs_f64() / busy.max(1e-9);
        self.fair_share = work.div_f64(fillable.min(self.slot_count as f64).max(1.0));
    }

    pub fn group(&self, index: usize) -> &Arc<Group> {
        &self.groups[index].group
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|state| &*state.group)
    }

    /// Nothing runs, nothing waits, and no fixture is up.
    pub fn is_done(&self) -> bool {
        self.running.is_empty()
            && self.standing.is_empty()
            && self.groups.iter().all(GroupState::is_over)
    }

    /// The next batch that may start now; what it needs is held until `finished`.
    pub fn next(&mut self) -> Option<Batch> {
        if self.free.is_empty() || !self.has_cores() {
            return None;
        }
        self.waiting = self.groups.iter().filter(|state| state.has_work()).count();
        let mut cuts: Vec<Cut> = (0..self.groups.len()).filter_map(|at| self.cut(at)).collect();
        let mut waits = false;
        while let Some(best) = self.best(&cuts) {
            let cut = cuts.swap_remove(best);
            if waits && self.groups[cut.group].group.exclusive {
                // Its turn comes when the machine empties, and it is about to be used.
                continue;
            }
            match self.standing.readiness(&self.groups[cut.group], &self.free) {
                Readiness::Ready(slot) => return Some(self.dispatch(cut, slot)),
                // Its slot goes to the next best, while its fixtures come up.
                Readiness::Waits(fixtures) => {
                    waits = true;
                    self.standing.want(fixtures);
                }
            }
        }
        None
    }

    /// Whether any group that has work could have a core, or a part of one.
    fn has_cores(&self) -> bool {
        let mut waiting = self.groups.iter().filter(|state| state.has_work());
        self.running.is_empty() || waiting.any(|state| self.fits(state.load()))
    }

    pub(super) fn fits(&self, load: f64) -> bool {
        self.load + load <= self.capacity + 0.01
    }

    /// Whether there are cores to share out, and tests of which nobody knows yet how much of one
    /// they use.
    pub fn learns(&self) -> bool {
        self.learns
    }

    /// A test of this group took so long, and used so much of a core. It counts for those of which
    /// nothing is known.
    pub fn learn(&mut self, group: usize, took: Duration, load: f64) {
        let state = &mut self.groups[group];
        state.loads.learn(took, load);
        if let Some(mean) = state.loads.new_mean() {
            self.remaining = self.remaining.saturating_sub(state.waiting_work());
            state.assumed = mean;
            self.remaining += state.waiting_work();
            self.work[group] = state.work(&state.group.tests);
        }
        let load = state.load();
        for batch in self.running.values().filter(|batch| batch.group == group) {
            self.loads.insert(batch.id, load * batch.threads as f64);
        }
        self.load = self.loads.values().sum();
        self.share_out();
    }

    fn best(&self, cuts: &[Cut]) -> Option<usize> {
        (0..cuts.len()).max_by(|a, b| self.rank(&cuts[*a]).cmp(&self.rank(&cuts[*b])))
    }

    /// The next fixture that has to be started or stopped; asked for after `next`.
    pub fn next_fixture(&mut self) -> Option<FixtureStep> {
        self.standing.next(&self.groups)
    }

    pub fn fixture_is_up(&mut self, instance: Instance) {
        self.standing.is_ready(instance);
    }

    pub fn fixture_is_down(&mut self, instance: Instance) {
        self.standing.is_gone(instance);
    }

    /// A fixture failed or died: returns the tests that wait for it, which will not run, and
    /// the batches that run with it.
    pub fn fixture_is_lost(&mut self, instance: Instance) -> (Vec<TestId>, Vec<usize>) {
        self.standing.is_lost(instance);
        let mut blocked = Vec::new();
        for state in self.groups.iter_mut().filter(|state| state.needs(instance.fixture)) {
            let alone = std::mem::take(&mut state.alone);
            let delayed = std::mem::take(&mut state.delayed);
            let waiting = std::mem::take(&mut state.pending);
            let tests: Vec<GroupTest> = waiting.into_iter().chain(alone).chain(delayed).collect();
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
        self.load -= self.loads.remove(&batch.id).unwrap_or_default();
        self.free.extend(&batch.slots);
        let state = &mut self.groups[batch.group];
        state.running -= 1;
        self.held.release(&state.group);
    }

    /// Tests that a worker had been handed and never began.
    pub fn give_back(&mut self, group: usize, tests: &[TestId]) {
        let tests = self.tests_of(group, tests);
        let state = &mut self.groups[group];
        self.remaining += state.work(&tests);
        state.pending.extend(tests);
        state.sort();
    }

    /// Tests that ran when their worker died: each is run again by itself.
    pub fn suspect(&mut self, group: usize, tests: &[TestId]) {
        let tests = self.tests_of(group, tests);
        let state = &mut self.groups[group];
        self.remaining += state.work(&tests);
        state.alone.extend(tests);
    }

    /// A test that failed runs again by itself, not before `retry` says so: until then its group
    /// has work, and keeps its fixtures.
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

    /// Starts nothing more; returns the tests that will not run.
    pub fn stop(&mut self) -> Vec<TestId> {
        self.remaining = Duration::ZERO;
        self.standing.forget_wanted();
        let waiting = self.groups.iter_mut().flat_map(|state| {
            let alone = std::mem::take(&mut state.alone);
            let delayed = std::mem::take(&mut state.delayed);
            std::mem::take(&mut state.pending).into_iter().chain(alone).chain(delayed)
        });
        waiting.map(|test| test.id).collect()
    }

    fn tests_of(&self, group: usize, ids: &[TestId]) -> Vec<GroupTest> {
        let group = &self.groups[group].group;
        ids.iter().filter_map(|id| group.find(*id)).cloned().collect()
    }

    /// `slot` is where the group's own fixtures are, if it has any of the slot's.
    fn dispatch(&mut self, cut: Cut, slot: Option<usize>) -> Batch {
        let state = &mut self.groups[cut.group];
        let taken: Vec<GroupTest> = match cut.is_alone {
            true => vec![state.alone.remove(0)],
            false => state.pending.split_off(state.pending.len() - cut.count),
        };
        state.running += 1;
        self.held.hold(&state.group);
        self.remaining = self.remaining.saturating_sub(cut.work);
        self.load += cut.load;
        self.loads.insert(self.next_batch, cut.load);
        let others = self.free.iter().copied().filter(|free| Some(*free) != slot);
        let slots: Vec<usize> = slot.into_iter().chain(others).take(cut.width).collect();
        for slot in &slots {
            self.free.remove(slot);
        }
        let mut tests: Vec<TestId> = taken.iter().map(|test| test.id).collect();
        tests.sort_unstable();
        let batch = Batch {
            id: self.next_batch,
            group: cut.group,
            tests,
            threads: cut.threads,
            slots,
            is_alone: cut.is_alone,
        };
        self.next_batch += 1;
        self.running.insert(batch.id, batch.clone());
        batch
    }
}

impl GroupState {
    fn new(group: Group, assumed: Duration) -> GroupState {
        let pending = group.tests.clone();
        let loads = Loads::of(&pending);
        let keeps_together =
            !group.is_asked_for && group.can_thread && group.known_work().is_some();
        let mut state = GroupState {
            group: Arc::new(group),
            pending,
            alone: Vec::new(),
            delayed: Vec::new(),
            running: 0,
            loads,
            assumed,
            keeps_together,
        };
        state.sort();
        state
    }

    fn sort(&mut self) {
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
            false => self.loads.mean(),
        }
    }

    pub(super) fn expected(&self, test: &GroupTest) -> Duration {
        test.expected.unwrap_or(self.assumed)
    }

    pub(super) fn work(&self, tests: &[GroupTest]) -> Duration {
        tests.iter().map(|test| self.expected(test)).sum()
    }

    /// That of all tests that no worker has.
    fn waiting_work(&self) -> Duration {
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

/// What a test without history is taken to last: the mean of those that have one.
fn assumed(groups: &[Group]) -> Duration {
    let known: Vec<Duration> =
        groups.iter().flat_map(|group| &group.tests).filter_map(|test| test.expected).collect();
    match u32::try_from(known.len()) {
        Ok(count @ 1..) => known.iter().sum::<Duration>() / count,
        _ => ASSUMED,
    }
}

/// One step of a plan that was played through without running anything.
#[derive(Debug, Clone)]
pub struct Step {
    pub batch: Batch,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests of the plan read it"))]
    pub starts: Duration,
    pub ends: Duration,
}

/// Plays a plan through with every test taking as long as expected.
pub fn rehearse(mut plan: Plan) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut running: Vec<(Duration, usize)> = Vec::new();
    let mut now = Duration::ZERO;
    loop {
        while let Some(batch) = plan.next() {
            let tests = plan.tests_of(batch.group, &batch.tests);
            let threads = u32::try_from(batch.threads).unwrap_or(1).max(1);
            let ends = now + PRICE_OF_A_PROCESS + plan.groups[batch.group].work(&tests) / threads;
            running.push((ends, batch.id));
            steps.push(Step { batch, starts: now, ends });
        }
        // Nobody knows how long a fixture takes to come up, or to go.
        match plan.next_fixture() {
            Some(FixtureStep::Start(instance)) => {
                plan.fixture_is_up(instance);
                continue;
            }
            Some(FixtureStep::Stop(instance)) => {
                plan.fixture_is_down(instance);
                continue;
            }
            None => {}
        }
        let Some(first) = (0..running.len()).min_by_key(|at| running[*at]) else { return steps };
        let (ended, batch) = running.swap_remove(first);
        now = ended;
        plan.finished(batch);
    }
}

#[cfg(test)]
pub mod tests;
