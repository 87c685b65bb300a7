//! How much of a core the tests of a worker want: measured while they run, so that tests that wait
//! are known as such before the first of them has finished.

use std::time::{Duration, Instant};

use crate::process::clock;
use crate::process::scheduling::{CpuUse, Scheduling, has_children};

/// How often running tests are measured.
const INTERVAL: Duration = Duration::from_millis(50);

/// How often, once they have run for a while.
const LONG_INTERVAL: Duration = Duration::from_millis(250);

/// How many times at the shorter interval.
const OFTEN: u32 = 20;

/// Tests that run for less than this share of their time may wait for a core, or for children.
const COMPUTES: f64 = 0.7;

/// In less time than this tests run too little to be measured.
const SHORTEST: Duration = Duration::from_millis(20);

/// The demand of the tests that ran in an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// The time for which they ran, or waited for a core.
    pub busy: Duration,
    /// The time for which they ran and waited for anything, added up.
    pub running: Duration,
}

/// When the interval has begun that is measured next.
#[derive(Debug)]
enum Since {
    /// No test has run yet.
    NotBegun,
    /// What the process had used then is known.
    Known(Instant, Scheduling),
    /// The process cannot be measured.
    Unknown,
}

/// Measures a worker.
#[derive(Debug)]
pub struct CpuDemand {
    pid: u32,
    since: Since,
    /// How many times it has been measured.
    measured: u32,
    /// How many times longer its threads would be measured if they had never waited for a core.
    stretch: Option<f64>,
    /// The time of running tests in this interval, up to `counted`.
    running: Duration,
    counted: Instant,
}

impl CpuDemand {
    pub fn of(pid: u32) -> CpuDemand {
        let (since, counted) = (Since::NotBegun, clock::now());
        CpuDemand { pid, since, measured: 0, stretch: None, running: Duration::ZERO, counted }
    }

    /// When to measure next; none if nobody can.
    pub fn due(&self) -> Option<Instant> {
        let Since::Known(then, _) = self.since else { return None };
        let interval = if self.measured < OFTEN { INTERVAL } else { LONG_INTERVAL };
        Some(clock::after(then, interval))
    }

    /// From now on, another number of tests runs than these.
    pub fn count(&mut self, now: Instant, running: usize) {
        let since = now.saturating_duration_since(self.counted);
        self.running += since * u32::try_from(running).unwrap_or(u32::MAX);
        self.counted = now;
        if matches!(self.since, Since::NotBegun) {
            // The first test is about to run. What the process has used before is little.
            self.since = Since::Known(now, Scheduling::default());
        }
    }

    /// Measures what has been since the last time, with so many tests running now.
    pub fn measure(&mut self, now: Instant, running: usize) -> Option<Demand> {
        self.count(now, running);
        self.measured += 1;
        let Since::Known(_, then) = std::mem::replace(&mut self.since, Since::Unknown) else {
            return None;
        };
        let scheduling = Scheduling::of(self.pid)?;
        let CpuUse { ran, waited } = scheduling.since(&then);
        self.since = Since::Known(now, scheduling);
        if !ran.is_zero() {
            self.stretch = Some(1.0 + waited.as_secs_f64() / ran.as_secs_f64());
        }
        let running = std::mem::take(&mut self.running);
        let demand = Demand { busy: (ran + waited).min(running), running };
        let is_own = demand.share() >= COMPUTES || !has_children(self.pid);
        (running >= SHORTEST && is_own).then_some(demand)
    }

    /// The load of a test that has finished, from 0 to 1: of a core that it would not have had to
    /// share. Measures where nothing has been measured yet.
    pub fn load(&mut self, took: Duration, ran: Duration, running: usize) -> Option<f64> {
        let share = ran.as_secs_f64() / took.as_secs_f64();
        if share >= COMPUTES {
            return Some(share.min(1.0));
        }
        if self.stretch.is_none() {
            self.measure(clock::now(), running);
        }
        Some((share * self.stretch?).min(1.0))
    }
}

impl Demand {
    /// For each running test, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.busy.as_secs_f64() / self.running.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_tests_are_counted_by_their_time() {
        let mut demand = CpuDemand::of(std::process::id());
        assert_eq!(demand.due(), None, "no test runs");
        let began = demand.counted;
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        demand.count(at(100), 0);
        assert_eq!(demand.due(), Some(at(150)));
        demand.count(at(110), 1);
        demand.count(at(110), 0);
        assert_eq!(demand.due(), Some(at(150)), "also where each test is short");
        demand.count(at(120), 2);
        demand.count(at(150), 1);
        assert_eq!(demand.running, Duration::from_millis(10 + 2 * 10 + 30));
    }

    #[test]
    fn a_test_that_computes_needs_no_measurement() {
        let mut nobody = CpuDemand::of(0);
        let load = |demand: &mut CpuDemand, ran| {
            demand.load(Duration::from_secs(1), Duration::from_secs_f64(ran), 0)
        };
        assert_eq!(load(&mut nobody, 0.75), Some(0.75));
        assert_eq!(load(&mut nobody, 2.0), Some(1.0), "its threads as well");
        assert_eq!(load(&mut nobody, 0.5), None, "it may have waited for a core");
        let mut known = CpuDemand { stretch: Some(1.5), ..nobody };
        assert_eq!(load(&mut known, 0.5), Some(0.75));
        assert_eq!(load(&mut known, 0.69), Some(1.0));
    }
}
