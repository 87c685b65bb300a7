//! What a worker is given time for: its tests, its start and its exit.

use std::time::{Duration, Instant};

use super::Worker;
use crate::model::reason::Timeout;
use crate::process::clock;
use crate::worker::finishing::Finishing;
use crate::worker::inbox::Overdue;
use crate::worker::job::LOOK_AGAIN;

/// When a test times out, others that have used all but this fraction of their timeout are
/// considered hung too.
const NEARLY: u32 = 10;

impl Worker<'_> {
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.ending.is_some() {
            return self.kill_at;
        }
        let timeout = match self.running.is_empty() {
            true => self.idle_limit().map(|limit| clock::after(self.idle_since, limit)),
            false => self.running.iter().filter_map(|running| self.due(running)).min(),
        };
        let stop =
            self.context.state.stop_after.get().filter(|_| self.finishing == Finishing::CatchingUp);
        let own = [self.next_look(), self.next_measurement()];
        timeout.into_iter().chain(own.into_iter().flatten()).chain(stop.copied()).min()
    }

    /// How long it may run no test; unlimited while it waits for permission to exit.
    fn idle_limit(&self) -> Option<Duration> {
        self.idle_limit.filter(|_| self.door.is_none())
    }

    /// When a test reaches its timeout.
    fn due(&self, (test, began): &(usize, Instant)) -> Option<Instant> {
        Some(clock::after(*began, self.timeout(*test)?))
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        let due = self.channel.due()?;
        Some(self.looked_at.map_or(due, |looked| due.max(clock::after(looked, LOOK_AGAIN))))
    }

    pub(super) fn timeout(&self, test: usize) -> Option<Duration> {
        self.job.group.timeout(self.tests[test])
    }

    /// The timeout that has passed, if any.
    ///
    /// Tests that started at nearly the same time reach their timeouts together, so the first one
    /// to do so need not be the one that hangs. A stopped process keeps all of its tests from
    /// finishing.
    pub(super) fn overdue(&self, now: Instant) -> Option<Overdue> {
        if self.running.is_empty() {
            let is_over = clock::after(self.idle_since, self.idle_limit()?) <= now;
            let limit = self.job.longest_timeout(&self.tests)?;
            let stopped_by = self.process.stopped_by();
            return is_over
                .then_some(Overdue { tests: Vec::new(), timeout: Timeout { limit, stopped_by } });
        }
        let is_due = |running: &&(usize, Instant)| self.due(running).is_some_and(|due| due <= now);
        let (first, _) = self.running.iter().find(is_due)?;
        let stopped_by = self.process.stopped_by();
        let hangs = |(test, began): &&(usize, Instant)| {
            let nearly = |timeout: Duration| timeout - timeout / NEARLY;
            let limit = self.timeout(*test).map(nearly);
            stopped_by.is_some() || limit.is_some_and(|limit| clock::after(*began, limit) <= now)
        };
        let tests = self.running.iter().filter(hangs).map(|(test, _)| self.tests[*test]).collect();
        let limit = self.timeout(*first).unwrap_or_default();
        Some(Overdue { tests, timeout: Timeout { limit, stopped_by } })
    }
}
