//! Tests that are dispatched by the same rules, and what a worker is handed of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::fixtures::Scope;
use crate::config::keys::{Locks, Recycle, RetryKeys, Threads};
use crate::config::leak_rules::LeakRules;
use crate::model::test::TestId;

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
pub enum Isolation {
    /// All tests in one process.
    Unit,
    /// In batches that the plan sizes.
    Split,
    /// One process for every test.
    PerTest,
}

/// Tests of one binary that are dispatched by the same rules.
#[derive(Debug, Clone)]
pub struct Group {
    pub listing: usize,
    /// The node of the module tree that the tests stand in.
    pub node: String,
    pub isolation: Isolation,
    /// Whether it was asked for as it is, by a policy or a number of slots: otherwise what is
    /// short stays together.
    pub has_explicit_policy: bool,
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
    pub(super) fn find(&self, id: TestId) -> Option<&GroupTest> {
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

impl Batch {
    /// A batch's tests are sorted by their ids.
    pub fn place_of(&self, test: TestId) -> Option<usize> {
        self.tests.binary_search(&test).ok()
    }

    pub fn has(&self, test: TestId) -> bool {
        self.place_of(test).is_some()
    }
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

/// What a group's tests need: a fixture, by its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub fixture: usize,
    pub scope: Scope,
}

/// One of the processes of a fixture: the only one, or that of a slot.
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
