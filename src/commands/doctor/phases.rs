//! The ways in which the suite runs, and what became of each test.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::commands::trials::{TrialSetup, Trials, Tried};
use crate::config::keys::Threads;
use crate::error::Result;
use crate::model::diagnosis::{Phase, PhaseResult};
use crate::model::interference::SharedThing;
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::plan::group::{Group, Isolation};
use crate::plan::meeting::may_meet;
use crate::process::clock;
use crate::sharing::usage::Usage;

/// How many tests of a process run at once where they shall meet.
const AT_ONCE: usize = 4;

/// What became of the tests in one phase. A test that the budget has cut short is not there.
pub struct PhaseVerdicts {
    pub phase: Phase,
    pub verdicts: HashMap<TestId, Verdict>,
    pub is_complete: bool,
    /// Things by which tests would break if they met.
    pub shared: Vec<SharedThing>,
    /// What its tests have used outside of their processes.
    pub usage: Usage,
}

impl PhaseVerdicts {
    /// Whether a test failed for a reason other than a test of another process that it met; none if
    /// it did not run to its end.
    pub fn failed(&self, test: TestId) -> Option<bool> {
        self.verdicts.get(&test).map(Verdict::has_failed_unexplained)
    }

    pub fn result(&self) -> PhaseResult {
        PhaseResult {
            phase: self.phase,
            tests: self.verdicts.len(),
            failed: self.verdicts.values().filter(|verdict| verdict.has_failed_once()).count(),
            is_complete: self.is_complete,
        }
    }
}

/// The time that is left.
#[derive(Clone, Copy)]
pub struct Budget {
    began: Instant,
    all: Duration,
}

impl Budget {
    pub fn start(all: Duration) -> Budget {
        Budget { began: clock::now(), all }
    }

    pub fn spent(self) -> Duration {
        clock::since(self.began)
    }

    pub fn is_spent(self) -> bool {
        self.spent() >= self.all
    }

    /// None if that is farther away than a clock can tell.
    pub fn ends_at(self) -> Option<Instant> {
        self.began.checked_add(self.all)
    }

    /// When this share of it is spent.
    pub fn ends_at_share(self, share: f64) -> Option<Instant> {
        self.began.checked_add(self.all.mul_f64(share))
    }
}

/// The groups of the tests in a phase: none if no test can run like that.
pub fn groups(phase: Phase, declared: &[Group]) -> Vec<Group> {
    let groups = match phase {
        Phase::Declared | Phase::Proof => declared.to_vec(),
        Phase::Alone => alone(declared),
        Phase::Together => together(declared, None),
        Phase::Beside => declared.iter().filter(|group| meet(group)).map(beside).collect(),
        Phase::Shuffled(seed) => together(declared, Some(seed)),
    };
    // A failure is what is looked for.
    groups.into_iter().map(Group::without_retries).collect()
}

/// Runs the groups of a phase.
pub fn run(
    trials: &mut Trials<'_>,
    phase: Phase,
    groups: Vec<Group>,
    declared: &[Group],
) -> Result<PhaseVerdicts> {
    let settings = trials.project.settings;
    let (slots, thread_cap) = match phase {
        Phase::Together | Phase::Shuffled(_) => (settings.slots, Some(1)),
        Phase::Beside => (settings.slots.max(AT_ONCE), None),
        Phase::Declared | Phase::Alone | Phase::Proof => (settings.slots, settings.thread_cap),
    };
    let tried = trials.run(groups, TrialSetup { slots, thread_cap, watches_state: false })?;
    let shared = shared_things(&tried, declared);
    let Tried { mut verdicts, state, is_complete, .. } = tried;
    verdicts.retain(|_, verdict| !matches!(verdict.reason, Some(Reason::RunTimedOut(_))));
    Ok(PhaseVerdicts { phase, verdicts, is_complete, shared, usage: state.usage })
}

/// Things by which tests of groups that may run side by side would break.
fn shared_things(tried: &Tried, declared: &[Group]) -> Vec<SharedThing> {
    let group_of = |test: TestId| declared.iter().find(|group| group.has(test));
    let may_meet = |one: TestId, other: TestId| {
        group_of(one).zip(group_of(other)).is_some_and(|(one, other)| may_meet(one, other))
    };
    tried.state.usage.shared_things(&may_meet, &|_| None)
}

/// Whether several tests of the group may run at once in one process.
pub fn meet(group: &Group) -> bool {
    group.is_threaded_by_libtest()
        && group.isolation != Isolation::PerTest
        && group.threads == Threads::Auto
        && group.tests.len() > 1
}

/// The group in one process, several tests at a time.
fn beside(group: &Group) -> Group {
    Group {
        isolation: Isolation::Unit,
        has_explicit_policy: true,
        threads: Threads::Exactly(AT_ONCE),
        ..group.clone()
    }
}

fn alone(groups: &[Group]) -> Vec<Group> {
    let alone = |group: &Group| Group {
        isolation: Isolation::PerTest,
        has_explicit_policy: true,
        ..group.clone()
    };
    groups.iter().map(alone).collect()
}

/// All tests of a binary in one process, as far as their environments and fixtures are the same.
/// Tests that have a process of their own are left out: nothing would be new.
fn together(groups: &[Group], shuffle: Option<u64>) -> Vec<Group> {
    let mut joined: BTreeMap<_, Group> = BTreeMap::new();
    for group in groups {
        let Group { listing, env, fixtures, .. } = group;
        if group.isolation == Isolation::PerTest || !group.is_threaded_by_libtest() {
            continue;
        }
        let fixtures: Vec<Vec<usize>> =
            fixtures.iter().map(|level| level.iter().map(|need| need.fixture).collect()).collect();
        let new = || Group { tests: Vec::new(), ..group.clone() };
        let into = joined.entry((*listing, env.clone(), fixtures)).or_insert_with(new);
        into.tests.extend(group.tests.iter().cloned());
        into.locks.add(&group.locks);
        into.exclusive |= group.exclusive;
    }
    let together = |mut group: Group| {
        group.tests.sort_by_key(|test| test.id);
        Group {
            isolation: Isolation::Unit,
            has_explicit_policy: true,
            threads: Threads::Auto,
            least_threads: 1,
            shuffle,
            ..group
        }
    };
    joined.into_values().filter(|group| group.tests.len() > 1).map(together).collect()
}
