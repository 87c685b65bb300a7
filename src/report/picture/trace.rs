//! The run as a trace in the format of Chrome's tracing, which Perfetto reads as well.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::lanes::{Lane, Lanes, Span, span_of};
use super::leftovers::{Leftover, leftovers};
use super::timeline::{FixtureEnd, TestRun, Timeline};
use crate::model::event::{Event, Stage};
use crate::model::leak::LeakKind;
use crate::model::outcome::Outcome;
use crate::model::summary::Summary;
use crate::model::worker_span::WorkerSpan;
use crate::report::document::Document;
use crate::report::view::View;

/// The run as a trace.
pub struct Trace<'r> {
    view: View<'r>,
    timeline: Timeline,
}

/// What viewers show as processes, in this order from the top, for each shard.
const GROUPS: [(u32, &str); 4] =
    [(BUILD, "build"), (FIXTURES, "fixtures"), (SLOTS, "slots"), (LEFT_BEHIND, "left behind")];
const BUILD: u32 = 1;
const FIXTURES: u32 = 2;
const SLOTS: u32 = 3;
const LEFT_BEHIND: u32 = 4;

/// One event, in the words of the format.
#[derive(Debug, Default, Serialize)]
struct TraceEvent<'e> {
    ph: &'static str,
    pid: u32,
    tid: usize,
    name: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'static str,
    /// In microseconds.
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    /// How far an instant reaches.
    #[serde(skip_serializing_if = "str::is_empty")]
    s: &'static str,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

impl<'r> Trace<'r> {
    pub fn new(view: View<'r>) -> Trace<'r> {
        Trace { view, timeline: Timeline::default() }
    }
}

impl Document for Trace<'_> {
    fn take(&mut self, event: &Event) {
        self.timeline.take(event);
    }

    fn write(&mut self, _: &Summary, file: &mut dyn Write) -> io::Result<()> {
        let lanes = Lanes::of(&self.timeline);
        let timeline = &self.timeline;
        let mut writer = Writer { file, has_event: false, view: self.view, timeline };
        writer.file.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        writer.names(&lanes)?;
        writer.stages()?;
        writer.fixtures()?;
        writer.workers(&lanes)?;
        writer.tests(&lanes)?;
        writer.left_behind(&lanes)?;
        writer.counters(&lanes)?;
        writer.file.write_all(b"\n]}\n")
    }
}

struct Writer<'w> {
    file: &'w mut dyn Write,
    has_event: bool,
    view: View<'w>,
    timeline: &'w Timeline,
}

impl<'w> Writer<'w> {
    fn event(&mut self, event: &TraceEvent<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.has_event, true) {
            self.file.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *self.file, event).map_err(io::Error::from)
    }

    fn slice(&mut self, event: TraceEvent<'_>, span: Span) -> io::Result<()> {
        let (ts, end) = (micros(span.begin), micros(span.end));
        self.event(&TraceEvent { ph: "X", ts, dur: Some(end - ts), ..event })
    }

    fn metadata(&mut self, (pid, tid): (u32, usize), name: &str, args: Value) -> io::Result<()> {
        self.event(&TraceEvent { ph: "M", pid, tid, name, args, ..TraceEvent::default() })
    }

    fn names(&mut self, lanes: &Lanes) -> io::Result<()> {
        let timeline = self.timeline;
        for shard in 0..timeline.shard_count() {
            let of_shard = timeline.shards.get(shard).map(|shard| format!("{}: ", shard.name));
            for (group, name) in GROUPS {
                let pid = pid(shard, group);
                let name = format!("{}{name}", of_shard.as_deref().unwrap_or_default());
                self.metadata((pid, 0), "process_name", json!({ "name": name }))?;
                self.metadata((pid, 0), "process_sort_index", json!({ "sort_index": pid }))?;
            }
            self.track((pid(shard, BUILD), 0), "cargo")?;
        }
        for (at, fixture) in timeline.fixtures.iter().enumerate() {
            self.track((pid(fixture.shard, FIXTURES), at), &fixture.instance.to_string())?;
        }
        for (tid, lane) in lanes.all.iter().enumerate() {
            let first = timeline.slots_of(timeline.shard_of(lane.slot)).start;
            let slot = lane.slot - first;
            let name = match lane.more {
                0 => format!("slot {slot}"),
                more => format!("slot {slot}, thread {more} more"),
            };
            self.track((self.slots_pid(*lane), tid), &name)?;
        }
        Ok(())
    }

    /// The process that has a lane.
    fn slots_pid(&self, lane: Lane) -> u32 {
        pid(self.timeline.shard_of(lane.slot), SLOTS)
    }

    fn track(&mut self, (pid, tid): (u32, usize), name: &str) -> io::Result<()> {
        self.metadata((pid, tid), "thread_name", json!({ "name": name }))?;
        self.metadata((pid, tid), "thread_sort_index", json!({ "sort_index": tid }))
    }

    fn stages(&mut self) -> io::Result<()> {
        let timeline = self.timeline;
        for (shard, stage) in &timeline.stages {
            let name = match stage.stage {
                Stage::Building => "building",
                Stage::Listing => "listing tests",
            };
            let begin = timeline.since_zero(stage.began);
            let span = Span { begin, end: timeline.since_zero(stage.ended) };
            let pid = pid(*shard, BUILD);
            let event = TraceEvent { pid, name, cat: "stage", ..TraceEvent::default() };
            self.slice(event, span)?;
        }
        Ok(())
    }

    fn fixtures(&mut self) -> io::Result<()> {
        let timeline = self.timeline;
        for (tid, fixture) in timeline.fixtures.iter().enumerate() {
            let name = fixture.instance.to_string();
            let event = |name| TraceEvent {
                pid: pid(fixture.shard, FIXTURES),
                tid,
                name,
                cat: "fixture",
                ..TraceEvent::default()
            };
            let begin = timeline.since_zero(fixture.began);
            let end = fixture.ended.or(timeline.end).map_or(begin, |end| timeline.since_zero(end));
            let how = match fixture.end {
                FixtureEnd::Open => "still there",
                FixtureEnd::Stopped => "stopped",
                FixtureEnd::Kept => "kept",
                FixtureEnd::Failed => "failed",
            };
            let args = json!({ "end": how });
            self.slice(TraceEvent { args, ..event(&name) }, Span { begin, end })?;
            let ready = fixture.ready.map_or(end, |ready| timeline.since_zero(ready));
            self.slice(event("starting"), Span { begin, end: ready })?;
        }
        Ok(())
    }

    /// Each process in the lanes of all slots that it was given at first.
    fn workers(&mut self, lanes: &Lanes) -> io::Result<()> {
        let timeline = self.timeline;
        for worker in timeline.workers.values() {
            let WorkerSpan { number, pid, node, .. } = worker;
            let args = json!({ "worker": number, "pid": pid });
            for slot in &worker.slots {
                let lane = Lane { slot: *slot, more: 0 };
                let tid = track_of(lanes, lane);
                let args = args.clone();
                let event = TraceEvent {
                    pid: self.slots_pid(lane),
                    tid,
                    name: node,
                    cat: "process",
                    args,
                    ..TraceEvent::default()
                };
                self.slice(event, span_of(timeline, worker))?;
            }
        }
        Ok(())
    }

    fn tests(&mut self, lanes: &Lanes) -> io::Result<()> {
        for (run, place) in self.timeline.runs.iter().zip(&lanes.places) {
            let Some(place) = place else { continue };
            let id = self.view.id(run.test);
            let tid = track_of(lanes, place.lane);
            let pid = self.slots_pid(place.lane);
            let event = TraceEvent {
                pid,
                tid,
                name: &id,
                cat: "test",
                args: args_of(run),
                ..TraceEvent::default()
            };
            self.slice(event, place.span)?;
            if run.outcome.is_failure() {
                let name = format!("{}: {id}", run.outcome.as_str());
                let cat = "failure";
                let event = TraceEvent { pid, tid, name: &name, cat, ..TraceEvent::default() };
                self.instant(event, place.span.end)?;
            }
        }
        Ok(())
    }

    /// A moment in the track of a slot.
    fn instant(&mut self, event: TraceEvent<'_>, at: Duration) -> io::Result<()> {
        self.event(&TraceEvent { ph: "i", s: "t", ts: micros(at), ..event })
    }

    /// What has outlived its test, from the beginning of the test to its own end.
    fn left_behind(&mut self, lanes: &Lanes) -> io::Result<()> {
        let timeline = self.timeline;
        for (at, left) in leftovers(timeline, lanes).into_iter().enumerate() {
            let Leftover { leak, run, place, after } = left;
            let id = self.view.id(timeline.runs[run].test);
            let name = format!("{} {}", leak.kind.as_str(), leak.what);
            let args = json!({
                "test": id,
                "where": leak.place,
                "detail": leak.detail,
                "action": leak.action.as_str(),
                "outlived_ms": after.length().as_secs_f64() * 1e3,
            });
            let cat = "leak";
            if leak.kind == LeakKind::Panic {
                let (pid, tid) = (self.slots_pid(place.lane), track_of(lanes, place.lane));
                let name = &name;
                let event = TraceEvent { pid, tid, name, cat, args, ..TraceEvent::default() };
                self.instant(event, after.begin)?;
                continue;
            }
            let ends = [("b", place.span.begin, args), ("e", after.end, Value::Null)];
            for (ph, at_time, args) in ends {
                let pid = pid(timeline.shard_of(place.lane.slot), LEFT_BEHIND);
                let (ts, id) = (micros(at_time), Some(at + 1));
                self.event(&TraceEvent {
                    ph,
                    cat,
                    pid,
                    ts,
                    id,
                    name: &name,
                    args,
                    ..TraceEvent::default()
                })?;
            }
        }
        Ok(())
    }

    fn counters(&mut self, lanes: &Lanes) -> io::Result<()> {
        let timeline = self.timeline;
        for shard in 0..timeline.shard_count() {
            let slots = timeline.slots_of(shard);
            let is_here = |slot: &usize| slots.contains(slot);
            let places = lanes.places.iter().flatten();
            let tests = places.filter(|place| is_here(&place.lane.slot));
            let tests = tests.map(|place| (place.span, 1));
            self.counter(pid(shard, SLOTS), "running tests", "tests", tests)?;
            let workers = timeline.workers.values();
            let busy = workers.map(|worker| {
                let slots = worker.slots.iter().filter(|slot| is_here(slot)).count();
                (span_of(timeline, worker), slots as i64)
            });
            self.counter(pid(shard, SLOTS), "slots busy", "slots", busy)?;
        }
        Ok(())
    }

    fn counter(
        &mut self,
        pid: u32,
        name: &str,
        what: &str,
        spans: impl Iterator<Item = (Span, i64)>,
    ) -> io::Result<()> {
        let mut changes: BTreeMap<u64, i64> = BTreeMap::from([(0, 0)]);
        for (span, number) in spans {
            *changes.entry(micros(span.begin)).or_default() += number;
            *changes.entry(micros(span.end)).or_default() -= number;
        }
        let mut now = 0;
        for (at, (ts, change)) in changes.into_iter().enumerate() {
            now += change;
            if change != 0 || at == 0 {
                let args = json!({ what: now });
                self.event(&TraceEvent { ph: "C", pid, ts, name, args, ..TraceEvent::default() })?;
            }
        }
        Ok(())
    }
}

fn args_of(run: &TestRun) -> Value {
    let TestRun { outcome, attempt, worker, reason, .. } = run;
    let mut args = json!({ "outcome": outcome.as_str(), "worker": worker });
    if *attempt > 1 || !run.is_last {
        args["attempt"] = json!(attempt);
    }
    if let Some(reason) = reason.as_ref().filter(|_| *outcome != Outcome::Passed) {
        args["reason"] = json!(reason);
    }
    args
}

/// What viewers take for the number of a process.
fn pid(shard: usize, group: u32) -> u32 {
    let before = shard.saturating_mul(GROUPS.len());
    u32::try_from(before).unwrap_or(u32::MAX / 2) + group
}

fn track_of(lanes: &Lanes, lane: Lane) -> usize {
    lanes.all.binary_search(&lane).unwrap_or_default()
}

/// Whole microseconds, so that what ends where another thing begins does so for every reader.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
