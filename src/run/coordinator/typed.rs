//! What a user asks of a run while it goes on.

use super::state::Run;
use crate::model::event::{Event, SlotStatus};
use crate::model::test::TestId;
use crate::process::clock;
use crate::worker::inbox::Command;

impl Run<'_> {
    /// A key was typed at the terminal.
    pub(super) fn typed(&mut self, command: Command) {
        match command {
            Command::Help => self.emit(Event::Help),
            Command::WhatRuns => self.show_what_runs(),
            Command::Pause(paused) => self.emit(Event::Paused(paused)),
            Command::StopAfterRunning => {
                self.requests.stop_after_running = true;
                // A second one changes nothing.
                let _ = self.context.state.stop_after.set(clock::now());
                self.stop();
                self.emit(Event::Stopping);
            }
        }
    }

    pub(super) fn emit_status(&mut self, slots: Vec<SlotStatus>) {
        // As long as tests are added, no report has begun.
        let finished_early = self.grow.as_ref().map(|_| self.summary.total());
        self.emit(Event::Status { slots, finished_early });
    }

    /// Shows what runs, with stacks where a test runs that ran when the user last asked: it may
    /// hang.
    fn show_what_runs(&mut self) {
        let slots = self.context.state.active.now();
        let tests = slots.iter().flat_map(|slot| &slot.tests).map(|(test, _)| *test);
        let former = std::mem::replace(&mut self.requests.asked_about, tests.collect());
        self.emit_status(slots);
        let is_still_there = |test: &TestId| former.contains(test);
        if self.requests.asked_about.iter().any(is_still_there) {
            self.context.services.groups.ask_for_stacks();
        }
    }
}
