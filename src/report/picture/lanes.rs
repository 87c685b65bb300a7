//! Where a run's tests are drawn: each in the lane of a slot, where no other one ran meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::timeline::{TestRun, Timeline};
use crate::model::worker_span::WorkerSpan;

/// The lane of a slot, or one more where a process ran more tests at once than it had slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    pub slot: usize,
    /// 0 for the first one of a slot.
    pub more: usize,
}

/// A part of the run's time, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub begin: Duration,
    pub end: Duration,
}

impl Span {
    pub fn length(self) -> Duration {
        self.end.saturating_sub(self.begin)
    }
}

/// Where a test has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub lane: Lane,
    pub span: Span,
}

#[derive(Debug, Default)]
pub struct Lanes {
    /// From the first slot to the last.
    pub all: Vec<Lane>,
    /// Of each run of the timeline; none for what did not run.
    pub places: Vec<Option<Place>>,
}

impl Lanes {
    pub fn of(timeline: &Timeline) -> Lanes {
        let mut taken = Taken::by_workers(timeline);
        let mut places = vec![None; timeline.runs.len()];
        for (worker, runs) in runs_by_worker(timeline) {
            for (run, thread, span) in in_threads(timeline, worker, &runs) {
                let lane = taken.lane(timeline, worker, thread, span);
                places[run] = Some(Place { lane, span });
            }
        }
        let first = (0..taken.0.len()).map(|slot| Lane { slot, more: 0 });
        let used = places.iter().flatten().map(|place| place.lane);
        let all: BTreeSet<Lane> = first.chain(used).collect();
        Lanes { all: all.into_iter().collect(), places }
    }
}

/// The span of a worker.
pub fn span_of(timeline: &Timeline, worker: &WorkerSpan) -> Span {
    Span { begin: timeline.since_zero(worker.began), end: timeline.since_zero(worker.ended) }
}

/// The runs of each worker, by their places in the timeline.
fn runs_by_worker(timeline: &Timeline) -> Vec<(&WorkerSpan, Vec<usize>)> {
    let mut by_worker: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, run) in timeline.runs.iter().enumerate() {
        if let Some(worker) = run.worker {
            by_worker.entry(worker).or_default().push(at);
        }
    }
    let known = |(worker, runs)| Some((timeline.workers.get(&worker)?, runs));
    by_worker.into_iter().filter_map(known).collect()
}

/// The runs of one worker with the threads and the times in which they fit one after another, from
/// the last to the first.
///
/// The runner learns of the ends of several short tests at once, so that they are at the same time
/// as far as it knows. But each has told how long it took, and a thread runs one at a time.
fn in_threads(
    timeline: &Timeline,
    worker: &WorkerSpan,
    runs: &[usize],
) -> Vec<(usize, usize, Span)> {
    let known = |at: &usize| {
        let TestRun { ended, took, .. } = &timeline.runs[*at];
        Some((ended.as_ref()?.min(&worker.ended).to_owned(), (*took)?, *at))
    };
    let mut known: Vec<(Instant, Duration, usize)> = runs.iter().filter_map(known).collect();
    known.sort_by_key(|(ended, _, at)| std::cmp::Reverse((*ended, *at)));
    let whole = span_of(timeline, worker);
    // The beginning of the test that each thread ran next.
    let mut threads: Vec<Duration> = Vec::new();
    let mut placed = Vec::new();
    for (ended, took, at) in known {
        let end = timeline.since_zero(ended);
        let thread = threads.iter().position(|next| *next >= end);
        let thread = thread.unwrap_or_else(|| thread_for(&mut threads, worker, end, took));
        let end = end.min(threads[thread]);
        let begin = end.saturating_sub(took).max(whole.begin).min(end);
        threads[thread] = begin;
        placed.push((at, thread, Span { begin, end }));
    }
    placed
}

/// The thread of a test that ends in none before the next test there begins, as far as the runner
/// knows.
fn thread_for(
    threads: &mut Vec<Duration>,
    worker: &WorkerSpan,
    end: Duration,
    took: Duration,
) -> usize {
    /// A busy machine tells so late.
    const LATE: Duration = Duration::from_millis(25);
    let latest = (0..threads.len()).max_by_key(|thread| threads[*thread]);
    let is_late = |thread: &usize| end.saturating_sub(threads[*thread]) <= LATE + took / 4;
    // More than one test at a time was possible from the start, or for a while.
    let most = match latest.filter(is_late) {
        Some(_) => worker.threads,
        None => worker.most_threads,
    };
    if threads.len() < most.max(1) {
        threads.push(Duration::MAX);
        return threads.len() - 1;
    }
    latest.unwrap_or_default()
}

/// When each slot is taken: the beginnings of what takes it, with the ends.
struct Taken(Vec<BTreeMap<Duration, Duration>>);

impl Taken {
    fn by_workers(timeline: &Timeline) -> Taken {
        let used = timeline.workers.values().flat_map(|worker| &worker.slots);
        let slots = used.max().map_or(0, |last| last + 1).max(timeline.slots);
        let mut taken = Taken(vec![BTreeMap::new(); slots]);
        for worker in timeline.workers.values() {
            let span = span_of(timeline, worker);
            worker.slots.iter().for_each(|slot| taken.take(*slot, span));
        }
        taken
    }

    fn take(&mut self, slot: usize, span: Span) {
        self.0[slot].insert(span.begin, span.end);
    }

    fn is_free(&self, slot: usize, span: Span) -> bool {
        let before = self.0[slot].range(..span.end).next_back();
        before.is_none_or(|(_, end)| *end <= span.begin)
    }

    /// The lane of a thread of a worker: that of one of its slots, or of one that it was lent.
    fn lane(
        &mut self,
        timeline: &Timeline,
        worker: &WorkerSpan,
        thread: usize,
        span: Span,
    ) -> Lane {
        if let Some(slot) = worker.slots.get(thread) {
            return Lane { slot: *slot, more: 0 };
        }
        let first = worker.slots.first().copied().unwrap_or_default();
        let of_shard = timeline.slots_of(timeline.shard_of(first));
        let mut of_shard = of_shard.start..of_shard.end.min(self.0.len());
        if let Some(slot) = of_shard.find(|slot| self.is_free(*slot, span)) {
            self.take(slot, span);
            return Lane { slot, more: 0 };
        }
        Lane { slot: first, more: thread + 1 - worker.slots.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::outcome::Outcome;
    use crate::model::shard::ShardSlots;
    use crate::model::test::TestId;
    use crate::model::verdict::Verdict;

    const MS: Duration = Duration::from_millis(1);

    /// A run of workers: their slots, and from when to when they were there.
    fn timeline(workers: &[(&[usize], usize, u32, u32)], tests: &[(u64, u32, u32)]) -> Timeline {
        let zero = Instant::now();
        let mut timeline = Timeline::default();
        let (run_id, tests_in_all) = (String::new(), tests.len());
        timeline.take(&Event::RunStarted {
            run_id,
            tests: tests_in_all,
            binaries: 1,
            slots: 2,
            selected: Vec::new(),
        });
        for (number, (slots, most_threads, began, ended)) in (0..).zip(workers) {
            timeline.take(&Event::WorkerEnded(WorkerSpan {
                number,
                pid: 1,
                slots: slots.to_vec(),
                threads: slots.len(),
                most_threads: *most_threads,
                node: "shop".to_owned(),
                is_unit: false,
                began: zero + MS * *began,
                ended: zero + MS * *ended,
            }));
        }
        for (test, (worker, ended, took)) in tests.iter().enumerate() {
            let verdict = Verdict {
                ended: Some(zero + MS * *ended),
                took: Some(MS * *took),
                worker: Some(*worker),
                ..Verdict::without_run(Outcome::Passed, None)
            };
            timeline.take(&Event::TestFinished { test: TestId { listing: 0, test }, verdict });
        }
        timeline
    }

    /// Slot, which lane of it, begin and end in milliseconds.
    fn placed(timeline: &Timeline) -> Vec<(usize, usize, u128, u128)> {
        let places = Lanes::of(timeline).places.into_iter().flatten();
        let numbers = |Place { lane, span }: Place| {
            (lane.slot, lane.more, span.begin.as_millis(), span.end.as_millis())
        };
        places.map(numbers).collect()
    }

    #[test]
    fn tests_whose_ends_became_known_together_are_one_after_another() {
        let timeline = timeline(&[(&[1], 1, 0, 100)], &[(0, 90, 20), (0, 90, 30), (0, 95, 5)]);
        assert_eq!(placed(&timeline), [(1, 0, 40, 60), (1, 0, 60, 90), (1, 0, 90, 95)]);
    }

    #[test]
    fn what_took_longer_than_there_was_room_begins_with_its_process() {
        let timeline = timeline(&[(&[0], 1, 10, 50)], &[(0, 60, 30), (0, 45, 30)]);
        assert_eq!(placed(&timeline), [(0, 0, 10, 40), (0, 0, 0, 10)]);
    }

    #[test]
    fn a_process_has_the_lanes_of_its_slots_and_of_those_that_it_was_lent() {
        let workers: [(&[usize], usize, u32, u32); 2] = [(&[0], 3, 0, 900), (&[1], 1, 0, 200)];
        let tests = [(0, 900, 300), (0, 890, 300), (0, 300, 200), (0, 290, 200), (1, 200, 90)];
        let timeline = timeline(&workers, &tests);
        let places = placed(&timeline);
        assert_eq!(places[..2], [(0, 0, 600, 900), (1, 0, 590, 890)], "lent");
        // The other slot is taken then.
        assert_eq!(places[2..4], [(0, 0, 100, 300), (0, 1, 90, 290)]);
        assert_eq!(places[4], (1, 0, 110, 200));
    }

    #[test]
    fn a_slot_of_another_shard_is_lent_to_nobody() {
        let tests = [(0, 900, 300), (0, 890, 300)];
        let mut timeline = timeline(&[(&[0], 2, 0, 900)], &tests);
        assert_eq!(placed(&timeline), [(0, 0, 600, 900), (1, 0, 590, 890)]);
        let shard = |slots| ShardSlots { name: String::new(), slots };
        timeline.shards = vec![shard(0..1), shard(1..2)];
        assert_eq!(placed(&timeline), [(0, 0, 600, 900), (0, 1, 590, 890)]);
    }
}
