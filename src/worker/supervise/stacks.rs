//! When a worker is asked for the stacks of its threads, and what follows its answer.

use std::time::Duration;

use super::Worker;
use crate::process::clock;
use crate::worker::inbox::{EndCause, Message, Overdue};

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
    pub(super) fn note_stacks(&mut self, messages: &mut Vec<Message>) {
        let groups = self.context.services.groups;
        if !self.can_report_stacks
            && let Some(signal) = self.channel.stacks_signal()
        {
            groups.note_stacks_signal(self.process.pid(), signal);
            self.can_report_stacks = true;
        }
        if self.can_report_stacks && self.channel.has_stacks() {
            if groups.note_stacks(self.process.pid()) {
                let stacks = self.channel.take_stacks();
                let text = self.shown_stacks(&stacks, self.channel.modules());
                messages.push(Message::Stacks(text));
            }
            if self.awaits_stacks {
                self.end_at_last();
            }
        }
    }

    /// Whether the user has asked for an end after the tests that run now.
    pub(super) fn note_stop(&mut self) {
        if self.context.state.stop_after.get().is_some() {
            self.finishing.ask(self.running.iter().map(|(test, _)| *test));
        }
    }

    /// What the process had reported when the user asked for the end has been read.
    pub(super) fn caught_up(&mut self) {
        self.finishing.caught_up(self.running.iter().map(|(test, _)| *test));
        self.stop_after_running();
    }

    /// Ends the worker if it was to end with the tests that ran when the user asked for it, and
    /// they have ended. libtest has begun others meanwhile: they count as not run.
    pub(super) fn stop_after_running(&mut self) {
        let is_over = self.ended == self.tests.len() || self.ending.is_some();
        if !is_over && self.finishing.is_over(self.running.iter().map(|(test, _)| *test)) {
            self.end(EndCause::Stopped);
        }
    }
}
