//! The run's clock, which does not advance while the run is stopped (Ctrl-Z). All deadlines and
//! durations of a run are measured by it.
//!
//! There is one clock for the whole process, because it is the process that is stopped.

#![cfg_attr(not(unix), allow(dead_code, reason = "nobody stops a run there"))]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static CLOCK: Mutex<Clock> = Mutex::new(Clock::new());

/// The current time. During a pause this is the start of the pause: a thread that wakes up before
/// the end of the pause is recorded sees no deadline pass.
pub fn now() -> Instant {
    clock().at(Instant::now())
}

pub fn since(began: Instant) -> Duration {
    now().saturating_duration_since(began)
}

/// The instant this long after another one. All additions go through here: a duration may be
/// anything that a user configured, and one that is too long means "never".
pub fn after(moment: Instant, duration: Duration) -> Instant {
    /// Longer than any run, and short enough for the clock of every system.
    const AN_AGE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    moment.checked_add(duration.min(AN_AGE)).unwrap_or(moment)
}

/// The instant this long after now.
pub fn within(duration: Duration) -> Instant {
    after(now(), duration)
}

/// A duration until now that was measured by another clock, without the pauses in it.
pub fn without_pauses(took: Duration) -> Duration {
    let clock = clock();
    match clock.pauses.is_empty() {
        true => took,
        false => clock.without_pauses(Instant::now(), took),
    }
}

pub fn pause() {
    clock().pause(Instant::now());
}

pub fn resume() {
    clock().go_on(Instant::now());
}

fn clock() -> MutexGuard<'static, Clock> {
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Clock {
    /// The start of the current pause, by the system's clock.
    since: Option<Instant>,
    /// The sum of all earlier pauses.
    paused: Duration,
    /// Start and end of each pause, by the system's clock.
    pauses: Vec<(Instant, Instant)>,
}

impl Clock {
    const fn new() -> Clock {
        Clock { since: None, paused: Duration::ZERO, pauses: Vec::new() }
    }

    fn at(&self, now: Instant) -> Instant {
        let now = self.since.unwrap_or(now);
        now.checked_sub(self.paused).unwrap_or(now)
    }

    fn pause(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.paused += now.saturating_duration_since(since);
            self.pauses.push((since, now));
        }
    }

    fn without_pauses(&self, now: Instant, took: Duration) -> Duration {
        let began = now.checked_sub(took).unwrap_or(now);
        let within = |(from, to): &(Instant, Instant)| {
            (*to).min(now).saturating_duration_since((*from).max(began))
        };
        took.saturating_sub(self.pauses.iter().map(within).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_takes_an_age() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(after(now, second), now + second);
        let later = [Duration::MAX, Duration::from_secs(u64::MAX / 2)].map(|it| after(now, it));
        assert!(later[0] > now + 1_000_000_000 * second && later[0] == later[1]);
        assert!(after(later[0], Duration::MAX) >= later[0]);
    }

    #[test]
    fn no_time_passes_in_a_pause() {
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new();
        assert_eq!(clock.at(second(1)), second(1));
        clock.pause(second(2));
        clock.pause(second(3));
        assert_eq!(clock.at(second(4)), second(2));
        clock.go_on(second(12));
        assert_eq!(clock.at(second(12)), second(2));
        assert_eq!(clock.at(second(15)), second(5));
        clock.pause(second(15));
        clock.go_on(second(16));
        clock.go_on(second(17));
        assert_eq!(clock.at(second(17)), second(6));
    }

    #[test]
    fn a_measured_time_is_told_without_the_pauses_in_it() {
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new();
        clock.pause(second(2));
        clock.go_on(second(12));
        clock.pause(second(15));
        clock.go_on(second(16));
        for (took, expected) in [(0, 0), (1, 1), (2, 1), (3, 2), (6, 4), (15, 4), (17, 6)] {
            let told = clock.without_pauses(second(17), Duration::from_secs(took));
            assert_eq!(told, Duration::from_secs(expected), "{took}");
        }
    }
}
