//! A run that stops before its plan is done.

use std::sync::atomic::Ordering;

use super::state::{GRACE, ORPHANS_GRACE, Run, aborted};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::Batch;
use crate::process::clock;
use crate::process::event::ForwardedSignal;
use crate::worker::inbox::BatchEnd;

impl Run<'_> {
    /// From now on nothing new starts.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.context.stopping.store(true, Ordering::Relaxed);
        self.delayed.clear();
        for test in self.plan.stop() {
            self.give_up(test);
        }
    }

    pub(super) fn interrupt(&mut self, signal: ForwardedSignal) {
        let is_first = self.interrupted.replace(signal).is_none();
        self.summary.interrupted = true;
        self.stop();
        if is_first {
            self.kill_at = Some(clock::within(GRACE));
            self.context.groups.forward(signal);
        } else {
            self.context.groups.kill_all();
        }
    }

    /// A thread has panicked: its reports are missing, so the run cannot continue.
    pub(super) fn broken(&mut self, thread: String, why: String) {
        self.summary.internal_error = true;
        self.emit(Event::Warning(Warning::InternalError { thread, why }));
        self.stop();
        self.context.groups.kill_all();
    }

    /// The process that started the run is gone, and the guard will soon kill what is left.
    pub(super) fn orphaned(&mut self) {
        self.interrupt(ForwardedSignal::Terminate);
        if let Some(at) = &mut self.kill_at {
            *at = (*at).min(clock::within(ORPHANS_GRACE));
        }
    }

    /// Records verdicts for tests that ran when the run was interrupted or timed out.
    pub(super) fn cut_short(&mut self, batch: &Batch, rest: BatchEnd) {
        for at in 0..rest.running.len() {
            let test = rest.running[at].0;
            let limit = self.context.run_timeout.filter(|_| self.summary.timed_out);
            let outcome = limit.map_or(Outcome::Aborted, |_| Outcome::TimedOut);
            let reason = match limit {
                _ if self.summary.internal_error => Reason::RunGivenUp,
                Some(limit) => Reason::RunTimedOut(limit),
                None => Reason::Interrupted,
            };
            let verdict = aborted(&rest, at, reason);
            self.take_verdict(test, Verdict { outcome, ..verdict });
        }
        self.requeue(batch, rest.not_begun);
    }
}
