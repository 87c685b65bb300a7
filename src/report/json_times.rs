//! When things happened, as JSON lines tell it: in seconds from the beginning of the build.

use std::time::Instant;

use serde::Serialize;

use crate::model::event::{Event, FixtureEvent, STAGES, StageSpan};
use crate::model::fixture::FixtureInstance;
use crate::model::worker_span::WorkerSpan;

#[derive(Default)]
pub struct Times {
    /// None in the report on runs that did not tell it.
    zero: Option<Instant>,
    /// The fixtures that are starting, and since when.
    starting: Vec<(FixtureInstance, Instant)>,
}

#[derive(Serialize)]
pub struct StageLine {
    stage: &'static str,
    began: Option<f64>,
    ended: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerLine<'l> {
    worker: u64,
    pid: u32,
    slots: &'l [usize],
    threads: usize,
    most_threads: usize,
    node: &'l str,
    /// Whether the tests of the node have to share a process.
    unit: bool,
    began: Option<f64>,
    ended: Option<f64>,
}

impl Times {
    /// Notes what later lines need.
    pub fn note(&mut self, event: &Event) {
        match event {
            // The build is the first of all.
            Event::StageEnded(span) => {
                self.zero.get_or_insert(span.began);
            }
            Event::Fixture { instance, at: Some(at), what: FixtureEvent::Starting } => {
                self.starting.push((instance.clone(), *at));
            }
            _ => {}
        }
    }

    pub fn seconds(&self, at: Option<Instant>) -> Option<f64> {
        let (at, zero) = (at?, self.zero?);
        // Of several shards, another one may have built for longer.
        let before = zero.saturating_duration_since(at).as_secs_f64();
        Some(rounded(at.saturating_duration_since(zero).as_secs_f64() - before))
    }

    /// When this fixture began to start, if it is starting.
    pub fn take_start(&mut self, instance: &FixtureInstance) -> Option<f64> {
        let is_it = |(starting, _): &(FixtureInstance, Instant)| starting == instance;
        let place = self.starting.iter().position(is_it)?;
        let (_, began) = self.starting.swap_remove(place);
        self.seconds(Some(began))
    }

    pub fn stage(&self, span: &StageSpan) -> StageLine {
        let name = STAGES.iter().find(|(_, stage)| *stage == span.stage);
        StageLine {
            stage: name.map_or("", |(name, _)| name),
            began: self.seconds(Some(span.began)),
            ended: self.seconds(Some(span.ended)),
        }
    }

    pub fn worker<'l>(&self, span: &'l WorkerSpan) -> WorkerLine<'l> {
        WorkerLine {
            worker: span.number,
            pid: span.pid,
            slots: &span.slots,
            threads: span.threads,
            most_threads: span.most_threads,
            node: &span.node,
            unit: span.is_unit,
            began: self.seconds(Some(span.began)),
            ended: self.seconds(Some(span.ended)),
        }
    }
}

/// Rounds to microseconds.
pub fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
