//! How much of a core the running tests want.

use std::time::{Duration, Instant};

use super::Worker;
use crate::process::clock;
use crate::worker::inbox::Message;

impl Worker<'_> {
    /// When the running tests are measured next.
    pub(super) fn next_measurement(&self) -> Option<Instant> {
        self.demand.as_ref().filter(|_| !self.running.is_empty())?.due()
    }

    /// Another number of tests is about to run.
    pub(super) fn count_running(&mut self, now: Instant) {
        if let Some(demand) = &mut self.demand {
            demand.count(now, self.running.len());
        }
    }

    pub(super) fn measure_demand(&mut self, messages: &mut Vec<Message>) {
        let Some(due) = self.next_measurement() else { return };
        let (now, running) = (clock::now(), self.running.len());
        let Some(demand) = self.demand.as_mut().filter(|_| due <= now) else { return };
        if let Some(demand) = demand.measure(now, running) {
            messages.push(Message::CpuDemand { batch: self.job.batch.id, demand });
        }
    }

    /// The CPU load of a test that has just ended, from 0 to 1.
    pub(super) fn load(&mut self, took: Option<Duration>, ran: Option<Duration>) -> Option<f64> {
        // In shorter tests most of the time goes into starting and ending the thread.
        const LEAST: Duration = Duration::from_millis(2);
        let took = took.filter(|took| *took >= LEAST)?;
        self.demand.as_mut()?.load(took, ran?, self.running.len())
    }
}
