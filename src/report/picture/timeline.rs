//! What a run did, in the order of time: tests, processes, fixtures, and what came before them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::model::event::{Event, FixtureEvent, LeakedBy, StageSpan};
use crate::model::fixture::FixtureInstance;
use crate::model::interference::Interference;
use crate::model::leak::Leak;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::shard::ShardSlots;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::worker_span::WorkerSpan;

#[derive(Debug, Default)]
pub struct Timeline {
    /// As many as were expected to be filled.
    pub slots: usize,
    /// Whose slots those are; empty where all are of one run.
    pub shards: Vec<ShardSlots>,
    /// With the place of their shard.
    pub stages: Vec<(usize, StageSpan)>,
    /// By number.
    pub workers: BTreeMap<u64, WorkerSpan>,
    pub runs: Vec<TestRun>,
    pub fixtures: Vec<FixtureSpan>,
    /// Leaks of which only the unit is known, or nothing.
    pub stray_leaks: Vec<(Option<String>, Vec<Leak>)>,
    /// The place of the last run of each test in `runs`.
    last_runs: HashMap<TestId, usize>,
    /// When the first thing that is known of began, and when the last one ended.
    pub zero: Option<Instant>,
    pub end: Option<Instant>,
}

/// One attempt at a test, or the verdict on one that never ran.
#[derive(Debug)]
pub struct TestRun {
    pub test: TestId,
    pub outcome: Outcome,
    /// Whether this is the one that decided, and which of so many it is.
    pub is_last: bool,
    pub attempt: usize,
    pub is_flaky: bool,
    pub interference: Option<Interference>,
    pub reason: Option<String>,
    /// When the runner learnt that it had ended.
    pub ended: Option<Instant>,
    pub took: Option<Duration>,
    pub worker: Option<u64>,
    pub leaks: Vec<Leak>,
}

/// One instance of a fixture.
#[derive(Debug)]
pub struct FixtureSpan {
    pub instance: FixtureInstance,
    /// The place of its shard.
    pub shard: usize,
    pub began: Instant,
    pub ready: Option<Instant>,
    /// None as long as it is there.
    pub ended: Option<Instant>,
    pub end: FixtureEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixtureEnd {
    /// Its end is not known yet.
    Open,
    Stopped,
    Kept,
    Failed,
}

impl Timeline {
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted { slots, .. } => self.slots = *slots,
            Event::ShardBegins(shard) => self.shards.push(shard.clone()),
            Event::StageEnded(span) => {
                self.widen(span.began, span.ended);
                self.stages.push((self.current_shard(), *span));
            }
            Event::WorkerEnded(span) => {
                self.widen(span.began, span.ended);
                self.workers.insert(span.number, span.clone());
            }
            Event::TestFinished { test, verdict } => self.verdict(*test, verdict),
            Event::Fixture { instance, at: Some(at), what } => {
                self.widen(*at, *at);
                self.fixture(instance, *at, what);
            }
            Event::LeftBehind { by: LeakedBy::Test(test), leaks } => {
                if let Some(run) = self.last_runs.get(test) {
                    self.runs[*run].leaks.extend(leaks.iter().cloned());
                }
            }
            Event::LeftBehind { by, leaks } => {
                let unit = match by {
                    LeakedBy::Unit(node) => Some(node.clone()),
                    _ => None,
                };
                self.stray_leaks.push((unit, leaks.clone()));
            }
            _ => {}
        }
    }

    fn verdict(&mut self, test: TestId, verdict: &Verdict) {
        let before = verdict.failed_before.iter().zip(1..).map(|(failed, attempt)| TestRun {
            test,
            outcome: failed.outcome,
            is_last: false,
            attempt,
            is_flaky: false,
            interference: None,
            reason: failed.reason.as_ref().map(Reason::to_string),
            ended: failed.ended,
            took: failed.took,
            worker: failed.worker,
            leaks: Vec::new(),
        });
        self.runs.extend(before);
        self.last_runs.insert(test, self.runs.len());
        self.runs.push(TestRun {
            test,
            outcome: verdict.outcome,
            is_last: true,
            attempt: verdict.failed_before.len() + 1,
            is_flaky: verdict.flakiness().is_some(),
            interference: verdict.interference.clone(),
            reason: verdict.reason.as_ref().map(Reason::to_string),
            ended: verdict.ended,
            took: verdict.took,
            worker: verdict.worker,
            leaks: verdict.leaks.clone(),
        });
    }

    fn fixture(&mut self, instance: &FixtureInstance, at: Instant, what: &FixtureEvent) {
        let shard = self.current_shard();
        let is_it = |span: &&mut FixtureSpan| {
            span.shard == shard && span.instance == *instance && span.ended.is_none()
        };
        let Some(span) = self.fixtures.iter_mut().rev().find(is_it) else {
            let instance = instance.clone();
            let end = FixtureEnd::Open;
            let (began, ready, ended) = (at, None, None);
            self.fixtures.push(FixtureSpan { instance, shard, began, ready, ended, end });
            return;
        };
        let end = match what {
            FixtureEvent::Starting | FixtureEvent::Stopping => return,
            FixtureEvent::Ready { .. } => return span.ready = Some(at),
            FixtureEvent::Failed { .. } => FixtureEnd::Failed,
            FixtureEvent::Stopped { .. } => FixtureEnd::Stopped,
            FixtureEvent::Kept => FixtureEnd::Kept,
        };
        (span.ended, span.end) = (Some(at), end);
    }

    fn widen(&mut self, began: Instant, ended: Instant) {
        self.zero = Some(self.zero.map_or(began, |zero| zero.min(began)));
        self.end = self.end.max(Some(ended));
    }

    fn current_shard(&self) -> usize {
        self.shards.len().saturating_sub(1)
    }

    /// How many shards there are, the only run being one.
    pub fn shard_count(&self) -> usize {
        self.shards.len().max(1)
    }

    /// The place of the shard that has a slot.
    pub fn shard_of(&self, slot: usize) -> usize {
        self.shards.iter().position(|shard| shard.slots.contains(&slot)).unwrap_or_default()
    }

    /// The slots of a shard.
    pub fn slots_of(&self, shard: usize) -> Range<usize> {
        self.shards.get(shard).map_or(0..usize::MAX, |shard| shard.slots.clone())
    }

    /// The time from the beginning of the run to this instant.
    pub fn since_zero(&self, at: Instant) -> Duration {
        self.zero.map_or(Duration::ZERO, |zero| at.saturating_duration_since(zero))
    }
}
