//! The coordinator's timers: the next deadline is always known, and the coordinator sleeps until
//! then or until a message arrives.

use std::time::{Duration, Instant};

use super::state::{Next, Run};
use crate::config::keys::{Backoff, RetryKeys};
use crate::model::event::Event;
use crate::model::warning::Warning;
use crate::process::clock;
use crate::process::event::ForwardedSignal;

/// How often reports get a tick, and how precisely slow tests are detected.
const TICK: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// Waits for one message or the next timer, and handles it.
    pub(super) fn wait_for_message(&mut self, next: Next<'_>) {
        let due = self.next_timer();
        let left = due.map(|at| at.saturating_duration_since(clock::now()));
        let patience = match self.subscriptions.time {
            true => Some(left.map_or(TICK, |left| left.min(TICK))),
            false => left,
        };
        match next(patience) {
            Some(message) => self.handle_message(message),
            None => self.emit(Event::Tick),
        }
        // Timers fire even if messages arrive all the time.
        if due.is_some_and(|due| clock::now() >= due) {
            self.fire_due_timers();
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let retry_at = self.delayed.iter().map(|(due, _, _)| *due).min();
        let slow_at = self.slow_at.filter(|_| !self.running.is_empty());
        let own = [self.kill_at, self.stacks_until, self.ends_at];
        own.into_iter().chain([retry_at, slow_at]).flatten().min()
    }

    fn fire_due_timers(&mut self) {
        let now = clock::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if is_due(self.slow_at) {
            self.report_slow_tests();
        }
        if is_due(self.ends_at) {
            self.time_out();
        }
        if is_due(self.stacks_until) {
            self.stacks_until = None;
            self.context.groups.forward_without_stacks();
        }
        if is_due(self.kill_at) {
            self.kill_at = None;
            self.context.groups.kill_all();
        }
    }

    /// Requeues failed tests whose retry is due.
    pub(super) fn retry_due_tests(&mut self) {
        let now = clock::now();
        for (_, group, test) in self.delayed.extract_if(.., |(due, _, _)| *due <= now) {
            self.plan.retry(group, test);
        }
    }

    /// Schedules the next check for slow tests, since the start of a single test is not reported.
    pub(super) fn schedule_slow_check(&mut self, group: usize) {
        /// The threshold of tests that are never slow.
        const NEVER: Duration = Duration::MAX;
        let soonest = self.soonest_slow[group].max(TICK);
        if self.subscriptions.slow && soonest < NEVER {
            self.slow_at = earlier(self.slow_at, clock::within(soonest));
        }
    }

    fn report_slow_tests(&mut self) {
        self.slow_at = None;
        let groups: Vec<usize> = self.running.values().map(|running| running.batch.group).collect();
        groups.into_iter().for_each(|group| self.schedule_slow_check(group));
        for (test, took) in self.context.running.now().into_iter().flat_map(|now| now.tests) {
            let group = self.batch_of(test).map(|batch| self.plan.group(batch.group));
            let Some(usual) = group.and_then(|group| group.slow(test)) else { continue };
            if took < usual {
                self.slow_at = earlier(self.slow_at, clock::within(usual - took));
            } else if self.slow.insert(test) {
                self.emit(Event::Slow { test, took });
            }
        }
    }

    /// The run has reached its timeout: running tests are interrupted as by a first Ctrl-C.
    fn time_out(&mut self) {
        self.ends_at = None;
        self.summary.timed_out = true;
        let limit = self.context.run_timeout.unwrap_or_default();
        self.emit(Event::Warning(Warning::RunTimedOut { limit }));
        self.stop();
        self.end_workers(ForwardedSignal::Terminate);
    }
}

fn earlier(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// How long a test waits before its next attempt, after so many failures.
pub(super) fn delay(rules: RetryKeys, failures: usize) -> Duration {
    /// The longest delay.
    const LONGEST: Duration = Duration::from_secs(600);
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = match rules.backoff {
        Backoff::Fixed => 1,
        Backoff::Exponential => 2_u32.saturating_pow(doublings),
    };
    rules.delay.saturating_mul(factor).min(LONGEST)
}
