//! What tests have left behind: when it was there.

use std::time::Duration;

use super::lanes::{Lanes, Place, Span, span_of};
use super::timeline::{TestRun, Timeline};
use crate::model::leak::{Leak, LeakKind};

/// A thread or a process that was there when its test had ended, or a panic that nobody looked at.
pub struct Leftover<'t> {
    pub leak: &'t Leak,
    /// The run of the test, by its place in the timeline.
    pub run: usize,
    pub place: Place,
    /// From the end of the test to its own. Empty for a panic.
    pub after: Span,
}

/// In the order of the timeline's runs.
pub fn leftovers<'t>(timeline: &'t Timeline, lanes: &Lanes) -> Vec<Leftover<'t>> {
    let of_run = |(at, run): (usize, &'t TestRun)| {
        let place = lanes.places[at];
        run.leaks.iter().filter_map(move |leak| {
            let place = place?;
            let after = after(timeline, run, leak, place.span.end);
            Some(Leftover { leak, run: at, place, after })
        })
    };
    timeline.runs.iter().enumerate().flat_map(of_run).collect()
}

fn after(timeline: &Timeline, run: &TestRun, leak: &Leak, begin: Duration) -> Span {
    let worker = run.worker.and_then(|worker| timeline.workers.get(&worker));
    let end_of_process = worker.map_or(begin, |worker| span_of(timeline, worker).end);
    let end = match (leak.kind, leak.lived_on) {
        (LeakKind::Panic, _) => begin,
        (_, Some(lived_on)) => begin + lived_on,
        (_, None) => end_of_process,
    };
    Span { begin, end: end.max(begin) }
}
