//! What tests have left changed in their process, in a run that watches that.

use super::AgentChannel;
use super::state_watch::{StaticChange, StaticWatch};

impl AgentChannel<'_> {
    /// These statics are compared from test to test, and what tests leave changed is told.
    pub fn watching(mut self, statics: Option<StaticWatch>) -> Self {
        if statics.is_some() {
            self.changes.keep_by_test();
        }
        self.statics = statics;
        self
    }

    pub(super) fn static_changed(&mut self, test: usize, change: StaticChange) {
        let Some(statics) = &mut self.statics else { return };
        for (by, change) in statics.note(test, change) {
            // The test has ended before.
            if by != test {
                self.left_changed.push((by, change.told()));
            }
            self.changes.note(by, change);
        }
    }

    pub(super) fn watches(&self) -> bool {
        self.statics.is_some()
    }

    /// A test has ended: what it has left changed is known.
    pub(super) fn note_left_changed(&mut self, test: usize) {
        if self.watches() {
            let left = self.changes.of(test).into_iter();
            self.left_changed.extend(left.map(|change| (test, change)));
        }
    }
}
