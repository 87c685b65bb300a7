//! The shortest time in which a run's tests could have been done, and what keeps it from less.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::lanes::{Lanes, Span, span_of};
use super::timeline::{TestRun, Timeline};
use crate::model::test::TestId;

/// What cannot be done by two slots at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub what: Indivisible,
    pub took: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indivisible {
    /// The tests of a node that have to share a process, of which the longest took so long.
    Unit {
        node: String,
        tests: usize,
        longest_test: Duration,
    },
    Test(TestId),
}

/// How long the tests of a run took, and could have taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Bound {
    pub slots: usize,
    /// From the beginning of the first process to the end of the last one.
    pub tests: Span,
    /// The time that all slots together have worked.
    pub work: Duration,
    /// The longest ones, the longest first.
    pub pieces: Vec<Piece>,
}

/// So many pieces are worth being named.
const MOST: usize = 5;

impl Bound {
    /// None where nothing has run.
    pub fn of(timeline: &Timeline, lanes: &Lanes) -> Option<Bound> {
        let spans = || timeline.workers.values().map(|worker| span_of(timeline, worker));
        let begin = spans().map(|span| span.begin).min()?;
        let end = spans().map(|span| span.end).max()?;
        let slots = lanes.all.iter().filter(|lane| lane.more == 0).count().max(1);
        let (mut work, mut pieces) = (Duration::ZERO, Vec::new());
        let mut units: BTreeMap<&str, (Duration, usize, Duration)> = BTreeMap::new();
        let runs = spans_by_worker(timeline, lanes);
        for (number, worker) in &timeline.workers {
            let runs = runs.get(number).map(Vec::as_slice).unwrap_or_default();
            let took = span_of(timeline, worker).length();
            let of_tests: Duration = runs.iter().map(|(_, span)| span.length()).sum();
            let held = u32::try_from(worker.slots.len()).unwrap_or(1);
            work += (took * held).max(of_tests);
            let longest = runs.iter().map(|(_, span)| span.length()).max().unwrap_or_default();
            match runs {
                [(test, _)] => pieces.push(Piece { what: Indivisible::Test(*test), took }),
                runs if worker.is_unit => {
                    let unit = units.entry(&worker.node).or_default();
                    *unit = (unit.0 + took, unit.1 + runs.len(), unit.2.max(longest));
                }
                runs => pieces.extend(runs.iter().map(|(test, span)| Piece {
                    what: Indivisible::Test(*test),
                    took: span.length(),
                })),
            }
        }
        pieces.extend(units.into_iter().map(|(node, (took, tests, longest_test))| {
            let node = node.to_owned();
            Piece { what: Indivisible::Unit { node, tests, longest_test }, took }
        }));
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.took));
        pieces.truncate(MOST);
        Some(Bound { slots, tests: Span { begin, end }, work, pieces })
    }

    /// The time of all slots, evenly shared.
    pub fn share(&self) -> Duration {
        self.work / u32::try_from(self.slots).unwrap_or(1)
    }

    /// What no order of these pieces could go below.
    pub fn shortest(&self) -> Duration {
        let longest = self.pieces.first().map(|piece| piece.took);
        self.share().max(longest.unwrap_or_default()).min(self.tests.length())
    }

    /// The unit that holds up the run, and what the bound would be if its tests could be spread.
    pub fn worth_splitting(&self) -> Option<(&Piece, Duration)> {
        let piece = self.pieces.first().filter(|piece| piece.took > self.share())?;
        let Indivisible::Unit { longest_test, tests: 2.., .. } = &piece.what else { return None };
        let next = self.pieces.get(1).map(|piece| piece.took).unwrap_or_default();
        let then = self.share().max(next).max(*longest_test);
        (then < piece.took).then_some((piece, then))
    }
}

fn spans_by_worker(timeline: &Timeline, lanes: &Lanes) -> HashMap<u64, Vec<(TestId, Span)>> {
    let mut by_worker: HashMap<u64, Vec<(TestId, Span)>> = HashMap::new();
    for (TestRun { worker, test, .. }, place) in timeline.runs.iter().zip(&lanes.places) {
        if let (Some(worker), Some(place)) = (worker, place) {
            by_worker.entry(*worker).or_default().push((*test, place.span));
        }
    }
    by_worker
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bound(work: u32, pieces: &[(bool, u32)]) -> Bound {
        let piece = |(is_unit, took): &(bool, u32)| {
            let (node, tests) = ("shop".to_owned(), 5);
            let what = match is_unit {
                true => Indivisible::Unit { node, tests, longest_test: SECOND },
                false => Indivisible::Test(TestId { listing: 0, test: 0 }),
            };
            Piece { what, took: SECOND * *took }
        };
        let tests = Span { begin: Duration::ZERO, end: SECOND * 100 };
        let pieces = pieces.iter().map(piece).collect();
        Bound { slots: 4, tests, work: SECOND * work, pieces }
    }

    #[test]
    fn it_is_the_share_of_a_slot_or_the_longest_piece() {
        assert_eq!(bound(40, &[(true, 8)]).shortest(), SECOND * 10);
        assert_eq!(bound(40, &[(true, 12), (false, 11)]).shortest(), SECOND * 12);
    }

    #[test]
    fn a_unit_is_worth_splitting_if_the_run_waits_for_it() {
        assert_eq!(bound(40, &[(true, 8)]).worth_splitting(), None);
        assert_eq!(bound(40, &[(false, 12), (true, 11)]).worth_splitting(), None);
        let then = |bound: &Bound| bound.worth_splitting().map(|(_, then)| then);
        assert_eq!(then(&bound(40, &[(true, 30), (false, 11)])), Some(SECOND * 11));
        assert_eq!(then(&bound(40, &[(true, 30), (false, 9)])), Some(SECOND * 10));
    }
}
