//! A run that stops before its plan is done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::{GRACE, ORPHANS_GRACE, Run, aborted};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::Batch;
use crate::process::event::ForwardedSignal;
use crate::worker::inbox::BatchEnd;

/// The signals by which a run that is cut short ends processes.
const OF_OURS: [&str; 5] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL"];

impl Run<'_> {
    /// From now on nothing new starts.
    pub(super) fn stop(&mut self) {
        self.phase.stop();
        self.context.state.stopping.store(true, Ordering::Relaxed);
        self.retries.clear();
        for test in self.plan.stop() {
            self.give_up(test);
        }
    }

    pub(super) fn interrupt(&mut self, signal: ForwardedSignal) {
        let is_first = !std::mem::replace(&mut self.summary.interrupted, true);
        self.stop();
        if is_first {
            self.emit(Event::Interrupted);
            self.end_workers(signal);
        } else {
            self.context.services.groups.kill_all();
        }
    }

    /// Ends the workers with this signal, after they have reported the stacks of their threads: what
    /// hangs is often why the run is ended. They may clean up for a while.
    pub(super) fn end_workers(&mut self, signal: ForwardedSignal) {
        /// The agent answers in milliseconds, unless a test keeps signals from its threads.
        const STACKS_PATIENCE: Duration = Duration::from_secs(1);
        self.phase.kill_within(GRACE);
        self.phase.await_stacks(STACKS_PATIENCE);
        self.context.services.groups.forward(signal);
    }

    /// A thread has panicked: its reports are missing, so the run cannot continue.
    pub(super) fn broken(&mut self, thread: String, why: String) {
        self.summary.internal_error = true;
        self.emit(Event::Warning(Warning::InternalError { thread, why }));
        self.stop();
        self.context.services.groups.kill_all();
    }

    /// The process that started the run is gone, and the guard will soon kill what is left.
    pub(super) fn orphaned(&mut self) {
        self.interrupt(ForwardedSignal::Terminate);
        // Nobody reads the stacks.
        self.phase.await_stacks(Duration::ZERO);
        self.phase.kill_within(ORPHANS_GRACE);
        self.phase.kill_fixtures_too();
    }

    /// The time of the tests is up. Fixtures that were ready have the time to stop that they declare;
    /// one that is still starting has had as much as the tests.
    pub(super) fn kill_tests(&mut self) {
        if self.phase.kills_fixtures() {
            return self.context.services.groups.kill_all();
        }
        self.context.services.groups.kill_tests();
        for fixture in self.fixtures.values().filter(|fixture| !fixture.is_ready) {
            fixture.handle.kill();
        }
    }

    /// Records verdicts for tests that ran when the run was interrupted or timed out.
    pub(super) fn cut_short(&mut self, batch: &Batch, rest: BatchEnd) {
        let (outcome, reason) = self.why_cut_short();
        for at in 0..rest.running.len() {
            let test = rest.running[at].0;
            let verdict = aborted(&rest, at, reason.clone());
            self.take_verdict(test, Verdict { outcome, ..verdict });
        }
        self.requeue(batch, rest.not_begun);
    }

    fn why_cut_short(&self) -> (Outcome, Reason) {
        match self.context.config.run_timeout.filter(|_| self.summary.timed_out) {
            _ if self.summary.internal_error => (Outcome::Aborted, Reason::RunGivenUp),
            Some(limit) => (Outcome::TimedOut, Reason::RunTimedOut(limit)),
            None => (Outcome::Interrupted, Reason::Interrupted),
        }
    }

    /// How a process ended that did not get to its end since the run was cut short says nothing about
    /// its tests: the one that it is judged by its exit code for, or the last one, which had passed.
    pub(super) fn unless_cut_short(&self, batch: usize, verdict: Verdict) -> Verdict {
        let protocol = self.running.get(&batch).map(|running| running.protocol);
        let was_ended = match &verdict.reason {
            Some(Reason::DiedAfterPass(how)) => OF_OURS.contains(&how.as_str()),
            _ => false,
        };
        if was_ended && self.is_cut_short() {
            return Verdict { outcome: Outcome::Passed, reason: None, ..verdict };
        }
        let is_bad = matches!(verdict.outcome, Outcome::Failed | Outcome::Aborted);
        if !is_bad || !self.is_cut_short() || protocol != Some(Protocol::ExitCode) {
            return verdict;
        }
        let (outcome, reason) = self.why_cut_short();
        Verdict { outcome, reason: Some(reason), ..verdict }
    }
}
