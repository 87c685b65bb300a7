//! What tests have left changed in their process, in a run that watches that.

use super::AgentChannel;
use super::changes::NewChange;
use super::process_change::ProcessChange;
use super::state_watch::{StaticChange, StaticWatch};
use crate::frames::Frame;

impl AgentChannel<'_> {
    /// These statics are compared from test to test, and what tests leave changed is told.
    pub fn watching(mut self, statics: Option<StaticWatch>) -> Self {
        if statics.is_some() {
            self.changes.keep_by_test();
        }
        self.statics = statics;
        self
    }

    /// A frame says what this test has changed.
    pub(super) fn changed(&mut self, test: usize, frame: Frame) {
        match frame {
            Frame::Changed { variable, state, value, .. } => {
                self.changes.note(test, NewChange::of(variable, state, value));
            }
            Frame::StateChanged { what, number, states, before, after, .. } => {
                let change = ProcessChange { what, number, states, bytes: [before, after] };
                if let Some(change) = change.into_change() {
                    self.changes.note(test, change);
                }
            }
            Frame::StaticChanged { index, states, before, after, .. } => {
                self.static_changed(test, StaticChange { index, states, bytes: [before, after] });
            }
            _ => {}
        }
    }

    fn static_changed(&mut self, test: usize, change: StaticChange) {
        let Some(statics) = &mut self.statics else { return };
        for (by, change) in statics.note(test, change) {
            // The test has ended before.
            if by != test {
                self.left_changed.push((by, change.to_state_change()));
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
