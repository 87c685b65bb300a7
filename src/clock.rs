//! Time as the run lives it: none passes while the run is stopped (Ctrl-Z). All deadlines and
//! durations of a run are told by this clock.
//!
//! There is one for the whole process, since it is the process that is stopped.

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

/// How long the pauses were that began since: what somebody else measured has them in it.
pub fn paused_since(began: Instant) -> Duration {
    clock().paused_since(began)
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
    /// When each began, by this clock.
    pauses: Vec<(Instant, Duration)>,
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
        if let Some(since) = self.since {
            let began = self.at(since);
            let pause = now.saturating_duration_since(since);
            self.since = None;
            self.paused += pause;
            self.pauses.push((began, pause));
        }
    }

    fn paused_since(&self, began: Instant) -> Duration {
        let later = self.pauses.iter().filter(|(pause, _)| *pause >= began);
        later.map(|(_, pause)| *pause).sum()
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
        let pauses = [(second(0), 11), (second(2), 11), (second(3), 1), (second(6), 0)];
        for (began, seconds) in pauses {
            assert_eq!(clock.paused_since(began), Duration::from_secs(seconds));
        }
    }
}
