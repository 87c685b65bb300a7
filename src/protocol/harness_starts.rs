//! When the tests of a custom harness begin.

use std::collections::VecDeque;
use std::time::Instant;

use crate::protocol::channel::{ChannelEvent, FinishedTest};
use crate::protocol::flight::Flight;

/// How it is known when tests begin.
pub(super) enum Starts {
    /// One after another: each beginning is logged.
    Logged,
    /// Several at once, each of which is logged when it has ended.
    Assumed(AssumedStarts),
}

/// Tests that a harness runs in so many threads, each of which begins the next test of the list when
/// it has ended one (`libtest-mimic` 0.8). Where the order turns out to be another, only how long
/// tests took is estimated.
///
/// Nobody is blamed by what is assumed here.
pub(super) struct AssumedStarts {
    /// None once the order has turned out to be another.
    flight: Option<Flight>,
    /// The latest times at which a thread became free, one for each. By another clock than that of
    /// the run, as if the process had measured it.
    free: VecDeque<Instant>,
    threads: usize,
}

impl AssumedStarts {
    /// `order` is that of the list, none if it is not known.
    pub(super) fn new(order: Option<Vec<usize>>, threads: usize) -> AssumedStarts {
        let flight = order.map(|order| Flight::in_order(order, threads));
        AssumedStarts { flight, free: VecDeque::new(), threads }
    }

    /// The process begins to run tests.
    pub(super) fn begin(&mut self, heard: &mut Vec<ChannelEvent>) {
        self.free.extend(std::iter::repeat_n(Instant::now(), self.threads));
        let begun = self.flight.as_mut().map(Flight::fill).unwrap_or_default();
        heard.extend(begun.into_iter().map(ChannelEvent::TestStarted));
    }

    pub(super) fn end(&mut self, mut ended: FinishedTest, heard: &mut Vec<ChannelEvent>) {
        let now = Instant::now();
        let began = self.free.pop_front().unwrap_or(now);
        self.free.push_back(now);
        let is_foreseen = |flight: &Flight| flight.runs(ended.test);
        if let Some(other) = self.flight.take_if(|flight| !is_foreseen(flight)) {
            heard.extend(other.running().map(ChannelEvent::TestWaits));
        }
        let Some(flight) = &mut self.flight else {
            ended.took = Some(now - began);
            return heard.push(ChannelEvent::TestFinished(ended));
        };
        let next = flight.end(ended.test);
        heard.push(ChannelEvent::TestFinished(ended));
        heard.extend(next.into_iter().map(ChannelEvent::TestStarted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Outcome;
    use crate::protocol::harness_log::ended;

    /// The tests that run after these have ended: `+` where one is said to begin, `-` where that is
    /// taken back.
    fn heard(order: Option<Vec<usize>>, threads: usize, ends: &[usize]) -> Vec<String> {
        let mut starts = AssumedStarts::new(order, threads);
        let mut heard = Vec::new();
        starts.begin(&mut heard);
        ends.iter().for_each(|test| starts.end(ended(*test, Outcome::Passed), &mut heard));
        let brief = |heard: ChannelEvent| match heard {
            ChannelEvent::TestStarted(test) => format!("+{test}"),
            ChannelEvent::TestWaits(test) => format!("-{test}"),
            ChannelEvent::TestFinished(ended) => match ended.took {
                None => format!("{}", ended.test),
                Some(_) => format!("{} about", ended.test),
            },
            _ => unreachable!(),
        };
        heard.into_iter().map(brief).collect()
    }

    #[test]
    fn tests_begin_in_the_order_of_the_list() {
        let order = || Some(vec![2, 0, 1]);
        assert_eq!(heard(order(), 2, &[0, 1, 2]), ["+2", "+0", "0", "+1", "1", "2"]);
        assert_eq!(heard(order(), 2, &[2, 0, 1]), ["+2", "+0", "2", "+1", "0", "1"]);
        assert_eq!(heard(order(), 4, &[1, 0, 2]), ["+2", "+0", "+1", "1", "0", "2"]);
    }

    #[test]
    fn another_order_takes_back_what_was_assumed() {
        let order = Some(vec![2, 0, 1]);
        assert_eq!(
            heard(order, 2, &[1, 2, 0]),
            ["+2", "+0", "-2", "-0", "1 about", "2 about", "0 about"]
        );
        assert_eq!(heard(None, 2, &[1, 0]), ["1 about", "0 about"]);
    }

    /// Whatever comes first.
    #[test]
    fn each_test_ends_once_and_none_is_left_running() {
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]];
        for (order, threads) in orders.into_iter().zip([2, 3, 4]) {
            for ends in permutations(4) {
                let heard = heard(Some(order.to_vec()), threads, &ends);
                for test in 0..4 {
                    let count = |what: String| heard.iter().filter(|heard| **heard == what).count();
                    let known = count(test.to_string());
                    assert_eq!(known + count(format!("{test} about")), 1, "{heard:?}");
                    let begun = count(format!("+{test}"));
                    assert_eq!(begun, known + count(format!("-{test}")), "{heard:?}");
                }
            }
        }
    }

    fn permutations(of: usize) -> Vec<Vec<usize>> {
        (0..of).fold(vec![Vec::new()], |shorter, next| {
            let with = |all: Vec<usize>| {
                (0..=all.len()).map(move |at| {
                    let mut longer = all.clone();
                    longer.insert(at, next);
                    longer
                })
            };
            shorter.into_iter().flat_map(with).collect()
        })
    }
}
