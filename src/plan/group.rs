//! Groups of tests that are dispatched by the same rules, and the batches of them that workers run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::fixtures::Scope;
use crate::config::keys::{Locks, Recycle, RetryKeys, Threads};
use crate::config::leak_rules::LeakRules;
use crate::model::test::TestId;

/// Without an explicit policy, less work than this is not worth another process: tests may set up
/// state in each process (the first backtrace reads all debug information), at a cost that is not
/// known.
pub const SHORT: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct GroupTest {
    pub id: TestId,
    /// The expected duration; none if it was never measured.
    pub expected: Option<Duration>,
    /// How much of a core it uses while it runs, from 0 to 1; a test that waits uses little.
    pub load: f64,
    /// Whether it failed when it ran last.
    pub failed: bool,
    pub timeout: Option<Duration>,
    /// After how long it is reported as slow.
    pub slow: Duration,
    pub retries: RetryKeys,
    /// Which leaks are allowed; none if leaks are not checked.
    pub leaks: Option<Arc<LeakRules>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All tests in one process.
    Unit,
    /// In batches that the plan sizes.
    Split,
    /// One process for every test.
    PerTest,
}

/// Whether a process can run several tests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threading {
    /// It runs them one after another, or is one test.
    InTurn,
    /// Those of libtest and rustdoc can.
    Threads,
    /// It can, and then it is only known which tests have ended: its harness is its own.
    HiddenStarts,
}

/// Tests of one binary that are dispatched by the same rules.
#[derive(Debug, Clone)]
pub struct Group {
    pub listing: usize,
    /// The node of the module tree that contains the tests.
    pub node: String,
    pub isolation: Isolation,
    /// Whether the user has chosen a policy or a number of slots; otherwise short tests stay
    /// together.
    pub has_explicit_policy: bool,
    /// The reason for this policy, for people.
    pub why: String,
    pub tests: Vec<GroupTest>,
    /// Whether its only test is a whole binary.
    pub is_whole: bool,
    /// How many tests the binary has in all: the cost of libtest's filters grows with it.
    pub tests_in_binary: usize,
    /// What a worker costs before its first test.
    pub process_cost: Duration,
    pub threading: Threading,
    /// Whether the agent can change the number of tests that run at once while a worker runs.
    pub can_resize: bool,
    pub threads: Threads,
    /// The least number of threads with `threads = "auto"`, as far as there are slots.
    pub least_threads: usize,
    /// The most tests of its binary that may run at once, in all workers together.
    pub at_once: Option<usize>,
    pub slots: usize,
    /// The seed of the order of its tests, and of its place among the groups.
    pub shuffle: Option<u64>,
    pub locks: Locks,
    pub exclusive: bool,
    /// The memory limit of a worker, in bytes.
    pub memory: Option<u64>,
    pub recycling: Recycling,
    pub env: BTreeMap<String, String>,
    /// The fixtures that must be up before its tests run, level by level.
    pub fixtures: Vec<Vec<Need>>,
}

/// When a worker of a group is replaced by a new process: what each of the nodes in it asks for holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Recycling {
    /// After so many tests.
    pub after: Option<usize>,
    pub on_failure: bool,
    pub on_leak: bool,
}

impl From<Recycle> for Recycling {
    fn from(recycle: Recycle) -> Recycling {
        let never = Recycling::default();
        match recycle {
            Recycle::Never => never,
            Recycle::OnFailure => Recycling { on_failure: true, ..never },
            Recycle::OnLeak => Recycling { on_leak: true, ..never },
            Recycle::After(tests) => Recycling { after: Some(tests), ..never },
        }
    }
}

impl Recycling {
    pub fn add(&mut self, other: Recycling) {
        self.after = self.after.into_iter().chain(other.after).min();
        self.on_failure |= other.on_failure;
        self.on_leak |= other.on_leak;
    }
}

impl Group {
    /// The seed for the order within a process: with one thread, that of the list is promised.
    pub fn seed_in_process(&self) -> Option<u64> {
        self.shuffle.filter(|_| self.threads != Threads::Exactly(1))
    }

    /// Whether a process can run several of its tests at once.
    pub fn can_thread(&self) -> bool {
        self.threading != Threading::InTurn
    }

    /// Whether libtest runs several of its tests at once, in the order of the list.
    pub fn is_threaded_by_libtest(&self) -> bool {
        self.threading == Threading::Threads
    }

    /// A group's tests are sorted by their ids.
    pub(super) fn find(&self, id: TestId) -> Option<&GroupTest> {
        self.tests.binary_search_by_key(&id, |test| test.id).ok().map(|at| &self.tests[at])
    }

    /// The same, where a failure is what is looked for.
    pub fn without_retries(mut self) -> Group {
        self.tests.iter_mut().for_each(|test| test.retries = RetryKeys::default());
        self
    }

    pub fn has(&self, id: TestId) -> bool {
        self.find(id).is_some()
    }

    /// Whether the number of tests that run at once may change while a worker runs.
    pub(super) fn is_elastic(&self) -> bool {
        let is_alone = self.exclusive || self.isolation == Isolation::PerTest;
        let is_by_slot = self.fixtures.iter().flatten().any(|need| need.scope == Scope::Slot);
        self.can_thread()
            && self.can_resize
            && self.threads == Threads::Auto
            && self.slots <= 1
            && self.recycling == Recycling::default()
            && !is_alone
            && !is_by_slot
    }

    /// Less work than this is not worth another process, unless the user has asked for it.
    pub(super) fn short(&self) -> Duration {
        match self.can_thread() {
            true => SHORT,
            // Two processes would take half the time of one that runs its tests in turn.
            false => (SHORT / 4).max(self.process_cost * 2),
        }
    }

    /// The total duration of its tests, if all were measured and none failed when it ran last.
    pub fn known_work(&self) -> Option<Duration> {
        self.tests.iter().map(|test| test.expected.filter(|_| !test.failed)).sum()
    }

    pub(super) fn is_known_to_be_short(&self) -> bool {
        self.known_work().is_some_and(|work| work < self.short())
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

/// The tests that one worker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub id: usize,
    pub group: usize,
    /// In the order in which the binary lists them and runs them.
    pub tests: Vec<TestId>,
    /// How many run at once, at first.
    pub threads: usize,
    /// How many may run at once later; none if that cannot change.
    pub most_threads: Option<usize>,
    /// The slots it takes; the first is the worker's `PARTEST_SLOT`.
    pub slots: Vec<usize>,
    /// Whether it is a single test that has to run alone, such as a suspect of a crash.
    pub is_alone: bool,
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

/// The slots of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// The most that may be filled at once.
    pub count: usize,
    /// How many cores they may keep busy together, if there are more slots than cores. None if the
    /// user has set the number of slots.
    pub cores: Option<usize>,
    /// How many will be filled, as far as is known before the run.
    pub likely: usize,
}

impl From<usize> for Slots {
    fn from(count: usize) -> Slots {
        Slots { count, cores: None, likely: count }
    }
}

/// A fixture that a group needs, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub fixture: usize,
    pub scope: Scope,
}

/// An instance of a fixture: the only one, or that of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    pub fixture: usize,
    pub slot: Option<usize>,
}

impl Need {
    pub(super) fn instance(&self, slot: usize) -> Instance {
        let slot = (self.scope == Scope::Slot).then_some(slot);
        Instance { fixture: self.fixture, slot }
    }
}
