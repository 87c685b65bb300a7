//! Reports a build or a listing that takes unusually long. It cancels neither: a listing has its own
//! deadline, and a build is up to the user.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::cli::settings::{Settings, Verbosity};
use crate::model::event::Stage;
use crate::process::clock;
use crate::process::procfs::ProcessInfo;
use crate::process::stderr::write_line_over_progress;
use crate::report::stage_messages;
use crate::run::interrupt::Interrupts;

/// How often the processes are checked.
const TICK: Duration = Duration::from_secs(1);

/// Processes that take longer than this are reported: building a crate may take a while, but listing
/// tests takes milliseconds.
fn usual(stage: Stage) -> Duration {
    match stage {
        Stage::Building => Duration::from_secs(60),
        Stage::Listing => Duration::from_secs(5),
    }
}

/// Watches until it is ended or dropped.
pub struct StallWatch {
    until_ended: Option<Sender<()>>,
}

impl StallWatch {
    pub fn start(settings: &Settings, interrupts: &Arc<Interrupts>) -> StallWatch {
        if settings.verbosity == Verbosity::Quiet {
            return StallWatch { until_ended: None };
        }
        let (until_ended, ends) = channel::<()>();
        let interrupts = interrupts.clone();
        let look = move || {
            let mut backoff = Backoff::default();
            while ends.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let (stage, now) = (interrupts.stage(), clock::now());
                if backoff.is_due(stage, now) {
                    let is_long = |at_work: &ProcessInfo| at_work.age >= usual(stage);
                    let at_work: Vec<_> =
                        interrupts.at_work().into_iter().filter(is_long).collect();
                    if !at_work.is_empty() {
                        write_line_over_progress(&stage_messages::holds_up(stage, &at_work));
                    }
                }
            }
        };
        // The run does not depend on it.
        let _ = std::thread::Builder::new().name("stall watch".into()).spawn(look);
        StallWatch { until_ended: Some(until_ended) }
    }

    pub fn end(&mut self) {
        self.until_ended = None;
    }
}

/// The intervals between reports, which double each time.
#[derive(Debug, Default)]
struct Backoff(Option<(Stage, std::time::Instant, Duration)>);

impl Backoff {
    fn is_due(&mut self, stage: Stage, now: std::time::Instant) -> bool {
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
    fn intervals_between_reports_double() {
        let began = std::time::Instant::now();
        let mut backoff = Backoff::default();
        let mut reports = |stage, seconds: std::ops::Range<u64>| {
            let is_due = |at: &u64| backoff.is_due(stage, began + Duration::from_secs(*at));
            seconds.filter(is_due).collect::<Vec<u64>>()
        };
        assert_eq!(reports(Stage::Building, 0..300), [60, 120, 240]);
        assert_eq!(reports(Stage::Listing, 300..324), [305, 310, 320]);
    }
}
