//! The coordinator's timers: the next deadline is always known, and the coordinator sleeps until
//! then or until a message arrives.

use std::time::Instant;

use super::state::{Next, Run};
use crate::model::event::{Activity, Event};
use crate::model::warning::Warning;
use crate::process::clock;
use crate::process::event::ForwardedSignal;

impl Run<'_> {
    /// Waits for one message or the next timer, and handles it.
    pub(super) fn wait_for_message(&mut self, next: Next<'_>) {
        let due = self.next_timer();
        let left = due.map(|at| at.saturating_duration_since(clock::now()));
        let ticks = self.subscriptions.time;
        let tick = ticks.map(|tick| tick.saturating_sub(self.ticked_at.elapsed()));
        if let Some(message) = next([left, tick].into_iter().flatten().min()) {
            self.handle_message(message);
        }
        // By the system's clock: while the run is paused as well.
        if ticks.is_some_and(|tick| self.ticked_at.elapsed() >= tick) {
            self.ticked_at = Instant::now();
            let slots = self.context.state.active.now();
            let locks = self.plan.awaited_locks().into_iter().cloned().collect();
            self.emit(Event::Tick(Activity { slots, locks }));
        }
        // Timers fire even if messages arrive all the time.
        if due.is_some_and(|due| clock::now() >= due) {
            self.fire_due_timers();
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let slow_at = self.slow_tests.due().filter(|_| !self.running.is_empty());
        let own = [self.phase.due(), self.ends_at];
        own.into_iter().chain([self.retries.next(), slow_at]).flatten().min()
    }

    fn fire_due_timers(&mut self) {
        let now = clock::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if is_due(self.slow_tests.due()) {
            self.report_slow_tests();
        }
        if is_due(self.ends_at) {
            self.time_out();
        }
        if self.phase.take_stacks_deadline(now) {
            self.context.services.groups.forward_without_stacks();
        }
        if self.phase.take_kill_deadline(now) {
            self.kill_tests();
        }
    }

    /// Requeues failed tests whose retry is due.
    pub(super) fn retry_due_tests(&mut self) {
        for (group, test) in self.retries.take_due() {
            self.plan.retry(group, test);
        }
    }

    /// Schedules the next check for slow tests of a group.
    pub(super) fn schedule_slow_check(&mut self, group: usize) {
        if self.subscriptions.slow {
            self.slow_tests.watch_group(group);
        }
    }

    fn report_slow_tests(&mut self) {
        self.slow_tests.look();
        let groups: Vec<usize> = self.running.values().map(|running| running.batch.group).collect();
        groups.into_iter().for_each(|group| self.schedule_slow_check(group));
        for (test, took) in self.context.state.active.now().into_iter().flat_map(|now| now.tests) {
            let group = self.batch_of(test).map(|batch| self.plan.group(batch.group));
            let Some(limit) = group.and_then(|group| group.slow(test)) else { continue };
            if self.slow_tests.is_newly_slow(test, took, limit) {
                self.emit(Event::Slow { test, took });
            }
        }
    }

    /// The run has reached its timeout: running tests are interrupted as by a first Ctrl-C.
    fn time_out(&mut self) {
        self.ends_at = None;
        self.summary.timed_out = true;
        let limit = self.context.config.run_timeout.unwrap_or_default();
        self.emit(Event::Warning(Warning::RunTimedOut { limit }));
        self.stop();
        self.end_workers(ForwardedSignal::Terminate);
    }
}
