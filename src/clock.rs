//! Time as the run lives it: none passes while the run is stopped (Ctrl-Z). All deadlines and
//! durations of a run are told by this clock.
//!
//! There is one for the whole process, since it is the process that is stopped.

#![cfg_attr(not(unix), allow(dead_code, reason = "nobody stops a run there"))]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static CLOCK: Mutex<Clock> = Mutex::new(Clock::new());

/// Now. During a pause this is the moment at which it began: whoever wakes up before the end
/// of the pause is noted sees no deadline pass.
pub fn now() -> Instant {
    clock().at(Instant::now())
}

pub fn since(began: Instant) -> Duration {
    now().saturating_duration_since(began)
}

/// What somebody else has measured until now, without the pauses in it.
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

pub fn go_on() {
    clock().go_on(Instant::now());
}

fn clock() -> MutexGuard<'static, Clock> {
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Clock {
    /// By the system's clock.
    since: Option<Instant>,
    /// All pauses before this one.
    paused: Duration,
    /// From when to when, by the system's clock.
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
