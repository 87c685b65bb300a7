//! What may start now. Pure: groups of tests and slots go in, batches come out; it alone
//! decides, and it belongs to one thread. No clock, no process, no file.
//!
//! What failed when it ran last comes first. Then the order is "longest first", since what is long and starts late holds up the end; what
//! was never measured comes before what is known, because it may be long. A batch takes all
//! it needs (slots, locks, the machine) at once or not at all, and whatever nothing holds
//! can always start: so nothing can deadlock.

mod fixtures;
mod loads;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::declaration::{Locks, Recycle, RetryKeys, Scope, Threads};
use crate::leaks::LeakRules;

pub use fixtures::{FixtureStep, Instance, Need};
use fixtures::{Readiness, Standing};
use loads::Loads;

/// One test: the place of its listing in the inventory, and its place in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TestId {
    pub listing: usize,
    pub test: usize,
}

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
    groups: Vec<GroupState>,
    slot_count: usize,
    /// How many cores may be busy.
    capacity: f64,
    /// How many of them the running batches are expected to keep busy.
    load: f64,
    learns: bool,
    thread_cap: usize,
    free: BTreeSet<usize>,
    held: Held,
    standing: Standing,
    running: HashMap<usize, Batch>,
    loads: HashMap<usize, f64>,
    next_batch: usize,
    /// Work of one slot if all slots were equally busy.
    fair_share: Duration,
    /// That of each group, at the start.
    work: Vec<Duration>,
    /// Groups that have work which no worker has yet, as `next` found them.
    waiting: usize,
    /// The work that no worker has yet.
    remaining: Duration,
    assumed: Duration,
}

#[derive(Debug)]
struct GroupState {
    group: Arc<Group>,
    /// The next to go stands last: what failed when it ran last, what is unknown, then the
    /// longest.
    pending: Vec<GroupTest>,
    alone: Vec<GroupTest>,
    /// Tests that are to run again, and not yet.
    delayed: Vec<GroupTest>,
    running: usize,
    loads: Loads,
    /// Whether one process serves its tests best while they are short.
    keeps_together: bool,
}

#[derive(Debug, Default)]
struct Held {
    readers: HashMap<String, usize>,
    writers: BTreeSet<String>,
    exclusive: bool,
}

/// What a worker costs before its first test: start, and libtest's own look at its tests
/// (1.4 to 4.4 ms, measured with 10 and 10,000 tests).
const PRICE_OF_A_PROCESS: Duration = Duration::from_millis(2);

/// What each name on the command line costs libtest for each test of the binary (0.03 to
/// 0.05 ms a name at 10,000 tests).
const PRICE_OF_A_NAME: Duration = Duration::from_nanos(4);

/// A batch should carry this many times what starting it costs.
const WORTH: u32 = 5;

/// Where nobody has asked for more processes, none is worth less work than this: what tests set
/// up in theirs without saying so (the first backtrace reads all debug information) is not known,
/// and costs a process for as little as its start.
pub const SHORT: Duration = Duration::from_millis(100);

/// Tests in a batch of which nothing is known, at the least.
const FEWEST_UNKNOWN: usize = 8;

/// Of fewer tests than this none are tried before the others.
const FEWEST_TO_TRY: usize = 4 * FEWEST_UNKNOWN;

/// What a test is taken to last where there is no history at all: only the proportions
/// between groups matter then, and this says "as many tests, as much work".
const ASSUMED: Duration = Duration::from_millis(1);

impl Plan {
    /// `thread_cap` bounds the threads of one worker.
    pub fn new(groups: Vec<Group>, slots: impl Into<Slots>, thread_cap: Option<usize>) -> Plan {
        let Slots { count, cores, .. } = slots.into();
        let slot_count = count.max(1);
        let assumed = assumed(&groups);
        let groups: Vec<GroupState> = groups.into_iter().map(GroupState::new).collect();
        let time = |test: &GroupTest| test.expected.unwrap_or(assumed);
        let tests = || groups.iter().flat_map(|group| &group.pending);
        let work: Vec<Duration> =
            groups.iter().map(|group| group.pending.iter().map(time).sum()).collect();
        let remaining: Duration = work.iter().sum();
        let capacity = cores.map_or(f64::INFINITY, |cores| cores.max(1) as f64);
        let learns = capacity.is_finite() && tests().any(|test| test.expected.is_none());
        let mut plan = Plan {
            groups,
            slot_count,
            thread_cap: thread_cap.unwrap_or(usize::MAX).max(1),
            free: (0..slot_count).collect(),
            held: Held::default(),
            standing: Standing::default(),
            running: HashMap::new(),
            next_batch: 0,
            waiting: 0,
            capacity,
            load: 0.0,
            learns,
            loads: HashMap::new(),
            fair_share: Duration::ZERO,
            work,
            remaining,
            assumed,
        };
        plan.share_out();
        plan
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

    fn fits(&self, load: f64) -> bool {
        self.load + load <= self.capacity + 0.01
    }

    /// Whether there are cores to share out, and tests of which nobody knows yet how much of one
    /// they use.
    pub fn learns(&self) -> bool {
        self.learns
    }

    /// A test of this group, of which nothing was known, took so long, and used so much of a core.
    pub fn learn(&mut self, group: usize, took: Duration, load: f64) {
        let state = &mut self.groups[group];
        state.loads.learn(took, load);
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
            blocked.extend(waiting.into_iter().chain(alone).chain(delayed));
        }
        self.remaining = self.remaining.saturating_sub(self.work(&blocked));
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
        self.remaining += self.work(&tests);
        let state = &mut self.groups[group];
        state.pending.extend(tests);
        state.sort();
    }

    /// Tests that ran when their worker died: each is run again by itself.
    pub fn suspect(&mut self, group: usize, tests: &[TestId]) {
        let tests = self.tests_of(group, tests);
        self.remaining += self.work(&tests);
        self.groups[group].alone.extend(tests);
    }

    /// A test that failed runs again by itself, not before `retry` says so: until then its group
    /// has work, and keeps its fixtures.
    pub fn delay(&mut self, group: usize, test: TestId) {
        let tests = self.tests_of(group, &[test]);
        self.remaining += self.work(&tests);
        self.groups[group].delayed.extend(tests);
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

    fn expected(&self, test: &GroupTest) -> Duration {
        test.expected.unwrap_or(self.assumed)
    }

    fn work(&self, tests: &[GroupTest]) -> Duration {
        tests.iter().map(|test| self.expected(test)).sum()
    }

    /// What this group would hand out now, or nothing if it may not start.
    fn cut(&self, at: usize) -> Option<Cut> {
        let state = &self.groups[at];
        let group = &state.group;
        if !state.has_work() || (group.form == Form::Unit && state.running > 0) {
            return None;
        }
        if self.held.refuses(group) || (group.exclusive && !self.running.is_empty()) {
            return None;
        }
        let cut = self.size(at);
        let has_room = self.running.is_empty() || self.fits(cut.load);
        (has_room && cut.width <= self.free.len()).then_some(cut)
    }

    /// How many slots the tests of this group could fill now, with the cores that are left.
    fn room(&self, at: usize) -> usize {
        let by_cores = (self.capacity - self.load) / self.groups[at].load().max(LEAST_LOAD);
        match by_cores.is_finite() {
            true => self.free.len().min((by_cores + 0.01).floor().max(1.0) as usize),
            false => self.free.len(),
        }
    }

    fn size(&self, at: usize) -> Cut {
        let state = &self.groups[at];
        let limit = match state.group.recycle {
            Recycle::After(tests) => tests,
            _ => usize::MAX,
        };
        if let Some(suspect) = state.alone.first() {
            return self.sized(at, 1, self.expected(suspect), true);
        }
        let whole = state.pending.len().min(limit);
        match state.group.form {
            Form::Isolated => self.sized(at, 1, self.work(state.next(1)), false),
            Form::Unit => self.sized(at, whole, self.work(state.next(whole)), false),
            Form::Split => {
                let count = self.split_size(at).min(limit);
                self.sized(at, count, self.work(state.next(count)), false)
            }
        }
    }

    fn sized(&self, at: usize, count: usize, work: Duration, is_alone: bool) -> Cut {
        let group = &self.groups[at].group;
        let is_rest = count == self.groups[at].pending.len();
        let threads = self.threads(at, count, work, is_rest);
        let load = self.groups[at].load() * threads as f64;
        let width = threads.max(group.slots).min(self.slot_count);
        let next = self.groups[at].next(count.min(self.groups[at].pending.len()));
        let is_unknown = next.last().is_some_and(|test| test.expected.is_none());
        let has_failed = next.iter().any(|test| test.failed);
        Cut { group: at, count, work, load, threads, width, is_alone, has_failed, is_unknown }
    }

    /// As many threads as bring the work below the fair share of the whole, and the slots
    /// that nothing else could use: neither another group nor the rest of this one.
    fn threads(&self, at: usize, count: usize, work: Duration, is_rest: bool) -> usize {
        let group = &self.groups[at].group;
        let most = count.min(self.slot_count).min(self.thread_cap).max(1);
        let room = if self.capacity.is_finite() { self.room(at) } else { most };
        if !group.can_thread || group.form == Form::Isolated || group.recycle == Recycle::OnFailure
        {
            return 1;
        }
        // The fixture of a slot is for one test at a time, unless somebody says otherwise.
        let is_by_slot = group.fixtures.iter().flatten().any(|need| need.scope == Scope::Slot);
        if is_by_slot && group.threads == Threads::Auto {
            return 1;
        }
        match group.threads {
            Threads::Exactly(threads) => threads.min(most),
            Threads::Auto => {
                let shares = work.as_secs_f64() / self.fair_share.as_secs_f64().max(1e-9);
                // A little over the fair share is still one share.
                let needed = if shares.is_finite() { (shares - 0.1).ceil() as usize } else { 1 };
                let idle = if is_rest && !self.others_wait(at) { self.free.len() } else { 0 };
                needed.max(idle).min(room).max(group.least_threads).clamp(1, most)
            }
        }
    }

    fn others_wait(&self, at: usize) -> bool {
        self.waiting > usize::from(self.groups[at].has_work())
    }

    /// How many tests the next batch of a split group takes: a part of what remains, so
    /// that batches shrink towards the end and the slots end together.
    fn split_size(&self, at: usize) -> usize {
        let state = &self.groups[at];
        let all = state.pending.len();
        let others_wait = self.others_wait(at);
        let is_alone = !others_wait && self.free.len() == self.slot_count && self.slot_count > 1;
        if is_alone && self.price_of_names(state, all / 2) > PRICE_OF_A_PROCESS {
            // Threads of one process share out many tests better than any plan.
            return all;
        }
        let room = self.room(at);
        let share = if others_wait { 1 } else { room };
        let slots = self.slot_count.min(room + self.running.len());
        let target = self.remaining.mul_f64(share as f64 / (2 * slots) as f64);
        let mut count = self.take_until(state, target);
        if self.capacity.is_finite() && state.loads.is_guess() && all >= FEWEST_TO_TRY {
            // First a few, to see whether they compute or wait.
            count = count.min(FEWEST_UNKNOWN.max(all / 16));
        }
        let rest = self.work(&state.pending[..all - count]);
        if state.keeps_together && rest < SHORT {
            return all;
        }
        if is_alone {
            // With idle slots beside it, a second process costs no time: what is declared
            // as split is spread.
            return count.min(all.div_ceil(2));
        }
        let rest = all - count;
        if rest < FEWEST_UNKNOWN.min(count) || !self.cut_pays(state, count) { all } else { count }
    }

    fn take_until(&self, state: &GroupState, target: Duration) -> usize {
        let least = if state.keeps_together { SHORT } else { PRICE_OF_A_PROCESS * WORTH };
        let (mut work, mut count) = (Duration::ZERO, 0);
        for test in state.pending.iter().rev() {
            let fewest = if test.expected.is_none() { FEWEST_UNKNOWN } else { 1 };
            if count >= fewest && work >= target.max(least) {
                break;
            }
            work += self.expected(test);
            count += 1;
        }
        count
    }

    /// Whether naming some of the tests costs little beside running them.
    fn cut_pays(&self, state: &GroupState, count: usize) -> bool {
        let price = PRICE_OF_A_PROCESS + self.price_of_names(state, count);
        self.work(state.next(count)) >= price * WORTH
    }

    /// What libtest takes to find so many tests among those of the binary, by their names or
    /// by the names of the others.
    fn price_of_names(&self, state: &GroupState, count: usize) -> Duration {
        let in_binary = state.group.tests_in_binary.max(count);
        let names = count.min(in_binary - count) as f64;
        PRICE_OF_A_NAME.mul_f64(names * in_binary as f64)
    }

    /// Which of several cuts goes first: the greatest.
    fn rank(&self, cut: &Cut) -> impl Ord + use<> {
        let is_exclusive = self.groups[cut.group].group.exclusive;
        // Tests that are alone on the machine come last, when it empties anyway.
        let last = std::cmp::Reverse(cut.group);
        (!is_exclusive, cut.is_alone, cut.has_failed, cut.is_unknown, cut.work, last)
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

/// A batch that could be handed out.
#[derive(Debug)]
struct Cut {
    group: usize,
    count: usize,
    work: Duration,
    /// How many cores it is expected to keep busy.
    load: f64,
    threads: usize,
    width: usize,
    is_alone: bool,
    /// Whether one of its tests failed when it ran last: somebody waits for news of it.
    has_failed: bool,
    is_unknown: bool,
}

impl GroupState {
    fn new(group: Group) -> GroupState {
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
    fn load(&self) -> f64 {
        let Locks { read, write } = &self.group.locks;
        match self.group.exclusive || !read.is_empty() || !write.is_empty() {
            true => 1.0,
            false => self.loads.mean(),
        }
    }

    /// The next tests to go.
    fn next(&self, count: usize) -> &[GroupTest] {
        &self.pending[self.pending.len() - count..]
    }

    fn needs(&self, fixture: usize) -> bool {
        self.group.fixtures.iter().flatten().any(|need| need.fixture == fixture)
    }

    /// Something that could start now.
    fn has_work(&self) -> bool {
        !self.pending.is_empty() || !self.alone.is_empty()
    }

    /// Nothing of it runs, waits, or is to run again.
    fn is_over(&self) -> bool {
        self.running == 0 && !self.has_work() && self.delayed.is_empty()
    }
}

impl Held {
    fn refuses(&self, group: &Group) -> bool {
        let written = |name: &String| self.writers.contains(name);
        let read = |name: &String| self.readers.contains_key(name);
        self.exclusive
            || group.locks.read.iter().any(written)
            || group.locks.write.iter().any(|name| written(name) || read(name))
    }

    fn hold(&mut self, group: &Group) {
        self.exclusive |= group.exclusive;
        self.writers.extend(group.locks.write.iter().cloned());
        for name in &group.locks.read {
            *self.readers.entry(name.clone()).or_default() += 1;
        }
    }

    fn release(&mut self, group: &Group) {
        self.exclusive &= !group.exclusive;
        for name in &group.locks.write {
            self.writers.remove(name);
        }
        for name in &group.locks.read {
            if let Some(count) = self.readers.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.readers.remove(name);
                }
            }
        }
    }
}

/// However little tests seem to use: nobody measures that exactly.
const LEAST_LOAD: f64 = 0.05;

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
            let ends = now + PRICE_OF_A_PROCESS + plan.work(&tests) / threads;
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
