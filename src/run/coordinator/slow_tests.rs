//! When a running test may have become slow: the start of a single test is not reported, so the
//! coordinator looks when the first one may be.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::test::TestId;
use crate::process::clock;

/// How precisely slow tests are detected.
const TICK: Duration = Duration::from_millis(100);

/// The threshold of tests that are never slow.
const NEVER: Duration = Duration::MAX;

#[derive(Debug, Default)]
pub(super) struct SlowTests {
    reported: BTreeSet<TestId>,
    /// No test that runs now or begins until then becomes slow before this.
    due: Option<Instant>,
    /// By group: no test of it is slow before it has run for so long.
    soonest: Vec<Duration>,
}

impl SlowTests {
    /// Adds the next group, whose tests are slow after these times.
    pub(super) fn add_group(&mut self, limits: impl Iterator<Item = Duration>) {
        self.soonest.push(limits.min().unwrap_or_default());
    }

    /// When to look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tests of a group run from now on.
    pub(super) fn watch_group(&mut self, group: usize) {
        let soonest = self.soonest[group].max(TICK);
        if soonest < NEVER {
            self.look_within(soonest);
        }
    }

    /// A look is due now: the next one is to be scheduled.
    pub(super) fn look(&mut self) {
        self.due = None;
    }

    /// Whether a test that has run for so long is slow, and was not before.
    pub(super) fn is_newly_slow(&mut self, test: TestId, took: Duration, limit: Duration) -> bool {
        if took < limit {
            self.look_within(limit - took);
            return false;
        }
        self.reported.insert(test)
    }

    fn look_within(&mut self, time: Duration) {
        let at = clock::within(time);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}
