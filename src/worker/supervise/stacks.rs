//! When a worker is asked for the stacks of its threads, and what follows its answer.

use std::time::Duration;

use super::Worker;
use crate::process::clock;
use crate::worker::inbox::{EndCause, Overdue};

/// How long a hung worker may take to report the stacks of its threads.
const PATIENCE_FOR_STACKS: Duration = Duration::from_secs(2);

impl Worker<'_> {
    /// Asks a hung worker for its stacks before killing it; a stopped process cannot answer.
    pub(super) fn time_out(&mut self, overdue: Overdue) {
        match self.channel.stacks_signal().filter(|_| overdue.timeout.stopped_by.is_none()) {
            Some(signal) => {
                self.ending = Some(EndCause::TimedOut(overdue));
                self.awaits_stacks = true;
                self.kill_at = Some(clock::within(PATIENCE_FOR_STACKS));
                self.process.signal(signal);
            }
            None => self.end(EndCause::TimedOut(overdue)),
        }
    }

    /// The channel has reported something: perhaps which signal asks for stacks, or the last stack.
    pub(super) fn note_stacks(&mut self) {
        let groups = self.context.services.groups;
        if !self.can_report_stacks
            && let Some(signal) = self.channel.stacks_signal()
        {
            groups.note_stacks_signal(self.process.pid(), signal);
            self.can_report_stacks = true;
        }
        if self.can_report_stacks && self.channel.has_stacks() {
            groups.note_stacks(self.process.pid());
            if self.awaits_stacks {
                self.end_at_last();
            }
        }
    }
}
