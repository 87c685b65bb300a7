//! What holds up the first test: a build or a binary's list that takes so long that somebody
//! may wonder. Only tells; what ends a list is its own deadline, and what ends a build is
//! whoever waits for it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::cli::settings::{Settings, Verbosity};
use crate::model::event::Stage;
use crate::process::clock;
use crate::process::procfs::AtWork;
use crate::process::stderr::write_line_over_progress;
use crate::report::messages;
use crate::run::interrupt::Interrupts;

/// How often somebody looks.
const TICK: Duration = Duration::from_secs(1);

/// What takes longer is reported: a crate may take its time, a list takes milliseconds.
fn usual(stage: Stage) -> Duration {
    match stage {
        Stage::Building => Duration::from_secs(60),
        Stage::Listing => Duration::from_secs(5),
    }
}

/// Looks until it is dropped.
pub struct Watch {
    _until_dropped: Option<Sender<()>>,
}

impl Watch {
    pub fn start(settings: &Settings, interrupts: &Arc<Interrupts>) -> Watch {
        if settings.verbosity == Verbosity::Quiet {
            return Watch { _until_dropped: None };
        }
        let (until_dropped, ends) = channel::<()>();
        let interrupts = interrupts.clone();
        let look = move || {
            let mut patience = Patience::default();
            while ends.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let (stage, now) = (interrupts.stage(), clock::now());
                if patience.ends(stage, now) {
                    let is_long = |at_work: &AtWork| at_work.age >= usual(stage);
                    let at_work: Vec<_> =
                        interrupts.at_work().into_iter().filter(is_long).collect();
                    if !at_work.is_empty() {
                        write_line_over_progress(&messages::holds_up(stage, &at_work));
                    }
                }
            }
        };
        // The run is none the worse without it.
        let _ = std::thread::Builder::new().name("holdup".into()).spawn(look);
        Watch { _until_dropped: Some(until_dropped) }
    }
}

/// When to tell, and when to tell again: each time after twice as long.
#[derive(Debug, Default)]
struct Patience(Option<(Stage, std::time::Instant, Duration)>);

impl Patience {
    fn ends(&mut self, stage: Stage, now: std::time::Instant) -> bool {
        match &mut self.0 {
            Some((of, began, lasts)) if *of == stage => {
                let is_over = now.saturating_duration_since(*began) >= *lasts;
                if is_over {
                    *lasts *= 2;
                }
                is_over
            }
            other => {
                *other = Some((stage, now, usual(stage)));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_told_again_after_twice_as_long() {
        let began = std::time::Instant::now();
        let mut patience = Patience::default();
        let mut told = |stage, seconds: std::ops::Range<u64>| {
            let is_over = |at: &u64| patience.ends(stage, began + Duration::from_secs(*at));
            seconds.filter(is_over).collect::<Vec<u64>>()
        };
        assert_eq!(told(Stage::Building, 0..300), [60, 120, 240]);
        assert_eq!(told(Stage::Listing, 300..324), [305, 310, 320]);
    }
}
