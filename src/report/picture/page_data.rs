//! What the script of the page draws and searches, as compact JSON.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::bound::Bound;
use super::lanes::{Lane, Lanes, span_of};
use super::leftovers::leftovers;
use super::markup;
use super::timeline::{FixtureEnd, FixtureSpan, Timeline};
use crate::model::event::{Stage, StageSpan};
use crate::model::outcome::Outcome;
use crate::model::printable::printable;
use crate::model::test::TestId;
use crate::report::sharing_messages;
use crate::report::view::View;

/// All times are in hundredths of a millisecond from the beginning of the run.
#[derive(Debug, Serialize)]
pub struct PageData {
    end: u64,
    /// When the first process began, when the last one ended, and how long that had to take.
    bound: Option<(u64, u64, u64)>,
    slots: usize,
    /// Names of shards, and their first slots; empty where all is of one run.
    shards: Vec<(String, usize)>,
    /// Slot, and which one of its lanes.
    lanes: Vec<(usize, usize)>,
    nodes: Vec<String>,
    /// Lane, begin, length, number, process id, node.
    workers: Vec<(usize, u64, u64, u64, u32, usize)>,
    binaries: Vec<String>,
    /// The binary of each test.
    of: Vec<usize>,
    /// The name of each test: how many bytes it has in common with the one before, and the rest.
    names: Vec<(usize, String)>,
    /// One letter for the verdict on each test.
    outcomes: String,
    flaky: Vec<usize>,
    /// Why a test did not pass, or not at first, by its index.
    reasons: BTreeMap<usize, String>,
    runs: Runs,
    leaks: Vec<LeakBar>,
    /// Name, begin, ready, end, how it ended, shard.
    fixtures: Vec<(String, u64, u64, u64, &'static str, usize)>,
    /// Name, begin, end, shard.
    stages: Vec<(&'static str, u64, u64, usize)>,
}

/// The attempts, in columns.
#[derive(Debug, Default, Serialize)]
struct Runs {
    test: Vec<usize>,
    /// -1 for what has no place.
    lane: Vec<i64>,
    begin: Vec<u64>,
    length: Vec<u64>,
    worker: Vec<i64>,
    outcomes: String,
}

/// Run, kind, what, where, begin, end, action, detail.
#[derive(Debug, Serialize)]
struct LeakBar(usize, &'static str, String, String, u64, u64, &'static str, String);

/// The longest text of a reason or a leak.
const LONGEST: usize = 300;
/// More leaks than this are not drawn.
const MOST_LEAKS: usize = 5000;

impl PageData {
    pub fn new(
        view: &View<'_>,
        timeline: &Timeline,
        lanes: &Lanes,
        bound: Option<&Bound>,
        tests: &[TestId],
    ) -> PageData {
        let places: HashMap<TestId, usize> =
            tests.iter().enumerate().map(|(at, test)| (*test, at)).collect();
        let listings = &view.inventory.listings;
        let shards = timeline.shards.iter();
        let mut data = PageData {
            end: timeline.end.map_or(0, |end| ticks(timeline.since_zero(end))),
            bound: bound.map(|bound| {
                let (begin, end) = (ticks(bound.tests.begin), ticks(bound.tests.end));
                (begin, end, ticks(bound.shortest()))
            }),
            slots: lanes.all.iter().filter(|lane| lane.more == 0).count(),
            shards: shards.map(|shard| (shard.name.clone(), shard.slots.start)).collect(),
            lanes: lanes.all.iter().map(|lane| (lane.slot, lane.more)).collect(),
            nodes: Vec::new(),
            workers: Vec::new(),
            binaries: listings.iter().map(|listing| listing.binary.prefix.clone()).collect(),
            of: tests.iter().map(|test| test.listing).collect(),
            names: names(view, tests),
            outcomes: String::new(),
            flaky: Vec::new(),
            reasons: BTreeMap::new(),
            runs: Runs::default(),
            leaks: Vec::new(),
            fixtures: fixtures(timeline),
            stages: stages(timeline),
        };
        data.workers(timeline, lanes);
        data.runs(view, timeline, lanes, &places);
        data.leaks(timeline, lanes);
        data
    }

    /// As the content of a script element.
    pub fn markup(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|text| markup::json(&text))
    }

    fn workers(&mut self, timeline: &Timeline, lanes: &Lanes) {
        let mut nodes: HashMap<&str, usize> = HashMap::new();
        for worker in timeline.workers.values() {
            let next = nodes.len();
            let node = *nodes.entry(&worker.node).or_insert(next);
            if node == self.nodes.len() {
                self.nodes.push(worker.node.clone());
            }
            let span = span_of(timeline, worker);
            for slot in &worker.slots {
                let lane = lane_index(lanes, Lane { slot: *slot, more: 0 });
                let (begin, length) = (ticks(span.begin), ticks(span.length()));
                self.workers.push((lane, begin, length, worker.number, worker.pid, node));
            }
        }
    }

    fn runs(
        &mut self,
        view: &View<'_>,
        timeline: &Timeline,
        lanes: &Lanes,
        tests: &HashMap<TestId, usize>,
    ) {
        let mut outcomes = vec!['-'; tests.len()];
        for (run, place) in timeline.runs.iter().zip(&lanes.places) {
            let test = tests.get(&run.test).copied().unwrap_or_default();
            if run.is_last {
                if let Some(outcome) = outcomes.get_mut(test) {
                    *outcome = letter(run.outcome);
                }
                if run.is_flaky {
                    self.flaky.push(test);
                }
                if let Some(reason) = run.reason.as_ref().filter(|_| !run.outcome.is_success()) {
                    self.reasons.insert(test, short(reason));
                }
                if let Some(found) = &run.interference {
                    let [why, _] = sharing_messages::interfered(view, run.test, found);
                    self.reasons.insert(test, short(&why));
                }
            }
            let runs = &mut self.runs;
            runs.test.push(test);
            runs.outcomes.push(letter(run.outcome));
            runs.worker.push(run.worker.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1));
            let lane = place.map_or(-1, |place| lane_index(lanes, place.lane) as i64);
            runs.lane.push(lane);
            runs.begin.push(place.map_or(0, |place| ticks(place.span.begin)));
            let took = place.map(|place| place.span.length()).or(run.took);
            runs.length.push(ticks(took.unwrap_or_default()));
        }
        self.outcomes = outcomes.into_iter().collect();
    }

    fn leaks(&mut self, timeline: &Timeline, lanes: &Lanes) {
        for left in leftovers(timeline, lanes).into_iter().take(MOST_LEAKS) {
            let leak = left.leak;
            let place = leak.place.as_deref().map(short).unwrap_or_default();
            let (begin, end) = (ticks(left.after.begin), ticks(left.after.end));
            let (what, detail) = (short(&leak.what), short(&leak.detail));
            let (kind, action) = (leak.kind.as_str(), leak.action.as_str());
            self.leaks.push(LeakBar(left.run, kind, what, place, begin, end, action, detail));
        }
    }
}

fn names(view: &View<'_>, tests: &[TestId]) -> Vec<(usize, String)> {
    let mut before = "";
    let name = |test: &TestId| {
        let name = &*view.inventory.listings[test.listing].tests[test.test].name;
        let common = before.char_indices().zip(name.chars()).find(|((_, a), b)| a != b);
        let shared = common.map_or(before.len().min(name.len()), |((at, _), _)| at);
        before = name;
        // Counted as the script counts: in UTF-16.
        (name[..shared].encode_utf16().count(), name[shared..].to_owned())
    };
    tests.iter().map(name).collect()
}

fn fixtures(timeline: &Timeline) -> Vec<(String, u64, u64, u64, &'static str, usize)> {
    let fixture = |span: &FixtureSpan| {
        let at = |time: Option<Instant>, or: u64| {
            time.map_or(or, |time| ticks(timeline.since_zero(time)))
        };
        let begin = at(Some(span.began), 0);
        let end = at(span.ended.or(timeline.end), begin);
        let how = match span.end {
            FixtureEnd::Open => "still there",
            FixtureEnd::Stopped => "stopped",
            FixtureEnd::Kept => "kept for the next run",
            FixtureEnd::Failed => "failed",
        };
        (span.instance.to_string(), begin, at(span.ready, end), end, how, span.shard)
    };
    timeline.fixtures.iter().map(fixture).collect()
}

fn stages(timeline: &Timeline) -> Vec<(&'static str, u64, u64, usize)> {
    let stage = |(shard, span): &(usize, StageSpan)| {
        let name = match span.stage {
            Stage::Building => "building",
            Stage::Listing => "listing tests",
        };
        let at = |time| ticks(timeline.since_zero(time));
        (name, at(span.began), at(span.ended), *shard)
    };
    timeline.stages.iter().map(stage).collect()
}

fn lane_index(lanes: &Lanes, lane: Lane) -> usize {
    lanes.all.binary_search(&lane).unwrap_or_default()
}

fn letter(outcome: Outcome) -> char {
    match outcome {
        Outcome::Passed => 'p',
        Outcome::Failed => 'f',
        Outcome::Ignored => 'i',
        Outcome::TimedOut => 't',
        Outcome::Aborted => 'a',
        Outcome::Interrupted => 'x',
        Outcome::Blocked => 'b',
        Outcome::Missing => 'm',
    }
}

fn short(text: &str) -> String {
    let text = printable(text.as_bytes()).replace('\n', " ");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros() / 10).unwrap_or(u64::MAX)
}
