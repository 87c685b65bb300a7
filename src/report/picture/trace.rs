//! The run as a trace in the format of Chrome's tracing, which Perfetto reads as well.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::lanes::{Lane, Lanes, Span, span_of};
use super::leftovers::{Leftover, leftovers};
use super::timeline::{FixtureEnd, FixtureSpan, TestRun, Timeline};
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

/// What viewers show as processes, in this order from the top.
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
        let mut writer = Writer { file, has_event: false, view: self.view };
        writer.file.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        writer.names(&lanes, &self.timeline.fixtures)?;
        writer.stages(&self.timeline)?;
        writer.fixtures(&self.timeline)?;
        writer.workers(&self.timeline, &lanes)?;
        writer.tests(&self.timeline, &lanes)?;
        writer.left_behind(&self.timeline, &lanes)?;
        writer.counters(&self.timeline, &lanes)?;
        writer.file.write_all(b"\n]}\n")
    }
}

struct Writer<'w> {
    file: &'w mut dyn Write,
    has_event: bool,
    view: View<'w>,
}

impl Writer<'_> {
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

    fn names(&mut self, lanes: &Lanes, fixtures: &[FixtureSpan]) -> io::Result<()> {
        for (pid, name) in GROUPS {
            self.metadata((pid, 0), "process_name", json!({ "name": name }))?;
            self.metadata((pid, 0), "process_sort_index", json!({ "sort_index": pid }))?;
        }
        self.track((BUILD, 0), "cargo")?;
        for (at, fixture) in fixtures.iter().enumerate() {
            self.track((FIXTURES, at), &fixture.instance.to_string())?;
        }
        for (tid, Lane { slot, more }) in lanes.all.iter().enumerate() {
            let name = match more {
                0 => format!("slot {slot}"),
                more => format!("slot {slot}, thread {more} more"),
            };
            self.track((SLOTS, tid), &name)?;
        }
        Ok(())
    }

    fn track(&mut self, (pid, tid): (u32, usize), name: &str) -> io::Result<()> {
        self.metadata((pid, tid), "thread_name", json!({ "name": name }))?;
        self.metadata((pid, tid), "thread_sort_index", json!({ "sort_index": tid }))
    }

    fn stages(&mut self, timeline: &Timeline) -> io::Result<()> {
        for stage in &timeline.stages {
            let name = match stage.stage {
                Stage::Building => "building",
                Stage::Listing => "listing tests",
            };
            let begin = timeline.since_zero(stage.began);
            let span = Span { begin, end: timeline.since_zero(stage.ended) };
            let event = TraceEvent { pid: BUILD, name, cat: "stage", ..TraceEvent::default() };
            self.slice(event, span)?;
        }
        Ok(())
    }

    fn fixtures(&mut self, timeline: &Timeline) -> io::Result<()> {
        for (tid, fixture) in timeline.fixtures.iter().enumerate() {
            let name = fixture.instance.to_string();
            let event = |name| TraceEvent {
                pid: FIXTURES,
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
    fn workers(&mut self, timeline: &Timeline, lanes: &Lanes) -> io::Result<()> {
        for worker in timeline.workers.values() {
            let WorkerSpan { number, pid, node, .. } = worker;
            let args = json!({ "worker": number, "pid": pid });
            for slot in &worker.slots {
                let tid = track_of(lanes, Lane { slot: *slot, more: 0 });
                let args = args.clone();
                let event = TraceEvent {
                    pid: SLOTS,
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

    fn tests(&mut self, timeline: &Timeline, lanes: &Lanes) -> io::Result<()> {
        for (run, place) in timeline.runs.iter().zip(&lanes.places) {
            let Some(place) = place else { continue };
            let id = self.view.id(run.test);
            let tid = track_of(lanes, place.lane);
            let event = TraceEvent {
                pid: SLOTS,
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
                let event = TraceEvent { tid, name: &name, cat, ..TraceEvent::default() };
                self.instant(event, place.span.end)?;
            }
        }
        Ok(())
    }

    /// A moment in the track of a slot.
    fn instant(&mut self, event: TraceEvent<'_>, at: Duration) -> io::Result<()> {
        self.event(&TraceEvent { ph: "i", s: "t", pid: SLOTS, ts: micros(at), ..event })
    }

    /// What has outlived its test, from the beginning of the test to its own end.
    fn left_behind(&mut self, timeline: &Timeline, lanes: &Lanes) -> io::Result<()> {
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
                let tid = track_of(lanes, place.lane);
                let event = TraceEvent { tid, name: &name, cat, args, ..TraceEvent::default() };
                self.instant(event, after.begin)?;
                continue;
            }
            let ends = [("b", place.span.begin, args), ("e", after.end, Value::Null)];
            for (ph, at_time, args) in ends {
                let (pid, ts, id) = (LEFT_BEHIND, micros(at_time), Some(at + 1));
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

    fn counters(&mut self, timeline: &Timeline, lanes: &Lanes) -> io::Result<()> {
        let tests = lanes.places.iter().flatten().map(|place| (place.span, 1));
        self.counter("running tests", "tests", tests)?;
        let workers = timeline.workers.values();
        let slots = workers.map(|worker| (span_of(timeline, worker), worker.slots.len() as i64));
        self.counter("slots busy", "slots", slots)
    }

    fn counter(
        &mut self,
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
                self.event(&TraceEvent {
                    ph: "C",
                    pid: SLOTS,
                    ts,
                    name,
                    args,
                    ..TraceEvent::default()
                })?;
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

fn track_of(lanes: &Lanes, lane: Lane) -> usize {
    lanes.all.binary_search(&lane).unwrap_or_default()
}

/// Whole microseconds, so that what ends where another thing begins does so for every reader.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
