//! The size of the next batch of a group: how many tests, and how many threads.

use std::time::Duration;

use super::candidate::{Candidate, PROCESS_COST};
use super::cpu_load::mostly_waits;
use super::group::{Group, GroupTest, Isolation, Threading};
use super::group_state::GroupState;
use super::schedule::Plan;
use super::shuffle::number;
use crate::config::fixtures::Scope;
use crate::config::keys::Threads;

/// What each name on the command line costs libtest for each test of the binary (0.03 to
/// 0.05 ms a name at 10,000 tests).
const NAME_COST: Duration = Duration::from_nanos(4);

/// The work of a batch should be at least this many times the cost of starting it.
const LEAST_WORK_FACTOR: u32 = 5;

/// The least number of tests in a batch of unmeasured tests.
const FEWEST_UNKNOWN: usize = 8;

/// The least number of unmeasured tests of which a few are tried first.
const FEWEST_TO_TRY: usize = 4 * FEWEST_UNKNOWN;

/// How many batches a shuffled group is split into for each slot. It depends on nothing else, so
/// that the same seed makes the same batches.
const SHUFFLED_BATCHES: usize = 4;

/// What a batch takes of a fair share: the rest of it lets slots end together whose tests were not as
/// long as they had been.
const MOST_OF_A_SHARE: f64 = 0.75;

/// The least load that is assumed, since small loads cannot be measured exactly.
const LEAST_LOAD: f64 = 0.05;

impl Plan {
    /// The next batch of this group, or none if it may not start now.
    pub(super) fn candidate(&self, at: usize) -> Option<Candidate> {
        let state = &self.groups[at];
        let group = &state.group;
        if !state.has_work() || (group.isolation == Isolation::Unit && state.running > 0) {
            return None;
        }
        if self.held_locks.refuses(group) || (group.exclusive && !self.running.is_empty()) {
            return None;
        }
        if self.more_at_once(group) == 0 {
            return None;
        }
        let candidate = self.size(at);
        let has_room = self.running.is_empty() || self.fits(candidate.load);
        (has_room && candidate.width <= self.free.len()).then_some(candidate)
    }

    /// How many more tests of a group's binary may run now.
    pub(super) fn more_at_once(&self, group: &Group) -> usize {
        let Some(most) = group.at_once else { return usize::MAX };
        let others = self
            .running
            .values()
            .filter(|batch| self.groups[batch.group].group.listing == group.listing);
        most.saturating_sub(others.map(|batch| batch.threads).sum())
    }

    /// How many slots the tests of this group could fill now, with the cores that are left.
    fn room(&self, at: usize) -> usize {
        let by_cores = (self.capacity - self.load) / self.groups[at].load().max(LEAST_LOAD);
        match by_cores.is_finite() {
            true => self.free.len().min((by_cores + 0.01).floor().max(1.0) as usize),
            false => self.free.len(),
        }
    }

    fn size(&self, at: usize) -> Candidate {
        let state = &self.groups[at];
        let limit = state.group.recycling.after.unwrap_or(usize::MAX);
        if let Some(suspect) = state.alone.first() {
            return self.sized(at, std::slice::from_ref(suspect), true);
        }
        let count = match state.group.isolation {
            Isolation::PerTest => 1,
            Isolation::Unit => state.pending.len().min(limit),
            Isolation::Split => self.split_size(at).min(self.most_of_unknown(at)).min(limit),
        };
        self.sized(at, state.next(count), false)
    }

    fn sized(&self, at: usize, tests: &[GroupTest], is_alone: bool) -> Candidate {
        let state = &self.groups[at];
        let group = &state.group;
        let count = tests.len();
        let (mut work, mut longest) = (Duration::ZERO, Duration::ZERO);
        let (mut has_failed, mut is_unknown) = (false, false);
        for test in tests {
            work += state.expected(test);
            longest = longest.max(test.expected.unwrap_or_default());
            has_failed |= test.failed;
            is_unknown |= test.expected.is_none();
        }
        let is_rest = count == state.pending.len();
        let threads = self.threads(at, count, work, longest, is_rest);
        let most_threads = self.most_threads(group, count).filter(|_| !is_alone);
        let load = state.load() * threads as f64;
        let width = threads.max(group.slots).min(self.slot_count);
        Candidate {
            group: at,
            count,
            work,
            load,
            threads,
            most_threads,
            width,
            is_alone,
            has_failed,
            is_unknown,
        }
    }

    /// The number of threads of a batch: enough to bring its work below the fair share, or to its
    /// longest test, and all the slots that neither another group nor the rest of this one could use.
    fn threads(
        &self,
        at: usize,
        count: usize,
        work: Duration,
        longest: Duration,
        is_rest: bool,
    ) -> usize {
        let group = &self.groups[at].group;
        let most = count.min(self.slot_count).min(self.thread_cap);
        let most = most.min(self.more_at_once(group)).max(1);
        let room = if self.capacity.is_finite() { self.room(at) } else { most };
        // An exclusive test is alone in its process too.
        let is_alone = group.exclusive || group.isolation == Isolation::PerTest;
        if !group.can_thread() || is_alone || group.recycling.on_failure {
            return 1;
        }
        // A fixture with the scope of a slot serves one test at a time, unless the policy says
        // otherwise.
        let is_by_slot = group.fixtures.iter().flatten().any(|need| need.scope == Scope::Slot);
        if is_by_slot && group.threads == Threads::Auto {
            return 1;
        }
        match group.threads {
            Threads::Exactly(threads) => threads.min(most),
            // What is saved would not be worth what is not known then.
            Threads::Auto
                if group.threading == Threading::HiddenStarts && group.is_known_to_be_short() =>
            {
                group.least_threads.clamp(1, most)
            }
            Threads::Auto => {
                let share = self.fair_share.max(longest);
                let shares = work.as_secs_f64() / share.as_secs_f64().max(1e-9);
                // A little over the fair share is still one share.
                let needed = if shares.is_finite() { (shares - 0.1).ceil() as usize } else { 1 };
                let idle = if is_rest && !self.others_wait(at) { self.free.len() } else { 0 };
                // It need not wait for more slots if it can be widened later.
                let is_elastic =
                    group.least_threads <= 1 && self.most_threads(group, count).is_some();
                let free = if is_elastic { self.free.len() } else { usize::MAX };
                let most = most.min(free.max(1));
                needed.max(idle).min(room).max(group.least_threads).clamp(1, most)
            }
        }
    }

    fn others_wait(&self, at: usize) -> bool {
        self.waiting > usize::from(self.groups[at].has_work())
    }

    /// How many tests the next batch of a split group takes: a part of what remains, so that
    /// batches shrink towards the end and the slots finish together.
    fn split_size(&self, at: usize) -> usize {
        let state = &self.groups[at];
        let all = state.pending.len();
        if state.group.shuffle.is_some() {
            let tests = state.group.tests.len();
            let count = tests.div_ceil(SHUFFLED_BATCHES * self.slot_count);
            return count.max(FEWEST_UNKNOWN).min(all);
        }
        if self.slot_count == 1 {
            // Nobody would take the rest.
            return all;
        }
        // Its process can be widened as soon as more is known, or as long as its tests wait. What seems
        // to wait may also wait for what each process does once, such as reading debug information
        // for its first backtrace: in more processes, all of them would do that.
        let is_guess_or_waits = state.cpu_load.is_guess() || mostly_waits(state.load());
        if state.coalesces && state.group.is_elastic() && is_guess_or_waits {
            return all;
        }
        let is_alone = self.is_alone(at);
        if is_alone && state.group.can_thread() && self.cost_of_names(state, all / 2) > PROCESS_COST
        {
            // Threads of one process balance many tests better than any plan.
            return all;
        }
        let mut count = self.take_until(state, self.target(at));
        let is_guess = state.cpu_load.is_guess() && state.group.can_thread();
        if self.capacity.is_finite() && is_guess && all >= FEWEST_TO_TRY {
            // A few first, to find out whether they compute or wait. Under a harness of its own, nobody
            // would know.
            count = count.min(FEWEST_UNKNOWN.max(all / 16));
        }
        let rest = state.work(&state.pending[..all - count]);
        if state.coalesces && rest < state.group.short() {
            return all;
        }
        if is_alone {
            // With idle slots, a second process costs no time: split tests are spread.
            return count.min(all.div_ceil(2));
        }
        let rest = all - count;
        if rest < FEWEST_UNKNOWN.min(count) || !self.splitting_pays(state, count) {
            all
        } else {
            count
        }
    }

    /// Whether no other group runs or waits.
    fn is_alone(&self, at: usize) -> bool {
        !self.others_wait(at) && self.free.len() == self.slot_count
    }

    /// How much work the next batch of a split group should have.
    fn target(&self, at: usize) -> Duration {
        let state = &self.groups[at];
        let is_alone = self.is_alone(at);
        let runs_in_turn = !state.group.can_thread();
        let is_measured = !state.has_unknown() || state.cpu_load.measured() >= FEWEST_TO_TRY;
        if is_measured && state.group.process_cost > PROCESS_COST {
            // Each process costs time, and there is something to estimate by.
            let share = self.fair_share_of_rest();
            return if is_alone { share } else { share.mul_f64(MOST_OF_A_SHARE) };
        }
        let room = self.room(at);
        let slots = self.slot_count.min(room + self.running.len());
        let share = if self.others_wait(at) || runs_in_turn { 1 } else { room };
        let fair = self.remaining.mul_f64(share as f64 / slots as f64);
        // Estimates are wrong. The first of several that run in turn has the most time.
        if is_alone && runs_in_turn { fair } else { fair / 2 }
    }

    /// How many tests may be given to one process although they may be slower than those before
    /// them: where it cannot be widened, half of them stay for other slots, unless all are short
    /// by what many of the group have taken.
    fn most_of_unknown(&self, at: usize) -> usize {
        let state = &self.groups[at];
        let GroupState { group, pending, .. } = state;
        let is_one_by_one = state.has_unknown() && self.most_threads(group, usize::MAX).is_none();
        let is_short = !group.has_explicit_policy
            && state.cpu_load.measured() >= FEWEST_TO_TRY
            && state.work(pending) < group.short();
        match is_one_by_one && !is_short && self.slot_count > 1 && group.shuffle.is_none() {
            true => FEWEST_TO_TRY.max(pending.len().div_ceil(2)),
            false => usize::MAX,
        }
    }

    fn take_until(&self, state: &GroupState, target: Duration) -> usize {
        let least = if state.coalesces {
            state.group.short()
        } else {
            state.group.process_cost * LEAST_WORK_FACTOR
        };
        let (mut work, mut count) = (Duration::ZERO, 0);
        for test in state.pending.iter().rev() {
            let fewest = if test.expected.is_none() { FEWEST_UNKNOWN } else { 1 };
            if count >= fewest && work >= target.max(least) {
                break;
            }
            work += state.expected(test);
            count += 1;
        }
        count
    }

    /// Whether filtering by name costs little compared to running the tests.
    fn splitting_pays(&self, state: &GroupState, count: usize) -> bool {
        let price = state.group.process_cost + self.cost_of_names(state, count);
        state.work(state.next(count)) >= price * LEAST_WORK_FACTOR
    }

    /// What it costs libtest to select so many tests of the binary, by their names or by skipping
    /// the others.
    fn cost_of_names(&self, state: &GroupState, count: usize) -> Duration {
        let in_binary = state.group.tests_in_binary.max(count);
        let names = count.min(in_binary - count) as f64;
        NAME_COST.mul_f64(names * in_binary as f64)
    }

    /// The order of candidates: the greatest starts first.
    pub(super) fn rank(&self, candidate: &Candidate) -> impl Ord + use<> {
        let GroupState { group, pending, .. } = &self.groups[candidate.group];
        let is_exclusive = group.exclusive;
        // Batches of several groups alternate.
        let place = group.shuffle.map(|seed| number(seed, &group.node, pending.len()));
        // Exclusive tests come last, when the machine is nearly idle anyway.
        let last = std::cmp::Reverse(candidate.group);
        (
            !is_exclusive,
            candidate.is_alone,
            place,
            candidate.has_failed,
            // A whole binary may take as long as all tests of another.
            candidate.is_unknown && group.is_whole,
            candidate.is_unknown,
            candidate.work,
            last,
        )
    }
}
