//! The events of streams, as reports take them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::line::{
    AttemptLine, FixtureLine, LeakLine, LeftBehindLine, Line, StateChangedLine, TestLine,
};
use super::stream::Stream;
use super::suite::Suite;
use crate::model::event::{Event, FixtureEvent, LeakedBy};
use crate::model::fixture::{FixtureFailure, FixtureInstance, StopFailure};
use crate::model::leak::{LEAK_ACTIONS, LEAK_KINDS, Leak, LeakAction, LeakKind};
use crate::model::lost_output::LostOutput;
use crate::model::outcome::{OUTCOMES, Outcome};
use crate::model::output::Output;
use crate::model::reason::Reason;
use crate::model::summary::Summary;
use crate::model::verdict::{Attempt, Verdict};
use crate::plan::durations::Measured;

/// All events of one run, from `RunStarted` to `RunFinished`.
pub fn events(streams: &[Stream], suite: &Suite) -> Vec<Event> {
    let mut summary = Summary::default();
    let mut events = Vec::new();
    let mut workers = 0;
    for stream in streams {
        for line in &stream.lines {
            events.extend(event(line, suite, workers));
        }
        add(&mut summary, stream);
        // Numbers of processes are unique in a run.
        workers += stream.finished().map_or(0, |finished| finished.processes.max(1));
    }
    for event in &events {
        if let Event::TestFinished { verdict, .. } = event {
            count(&mut summary, verdict);
        }
    }
    summary.binaries = suite.inventory.listings.len();
    let run_id = streams.first().map(|stream| stream.started.run.clone()).unwrap_or_default();
    let started = Event::RunStarted {
        run_id,
        tests: summary.total(),
        binaries: summary.binaries,
        slots: summary.slots,
        // All verdicts are there already.
        selected: Vec::new(),
    };
    let end = Event::RunFinished(summary);
    [started, Event::BuildFinished].into_iter().chain(events).chain([end]).collect()
}

/// Adds what the last event of a run says.
fn add(summary: &mut Summary, stream: &Stream) {
    summary.slots += stream.started.slots;
    let Some(finished) = stream.finished() else { return };
    summary.not_run += finished.not_run;
    summary.leaks += finished.leaks;
    summary.denied_leaks += finished.denied_leaks;
    summary.list_failures += finished.list_failures;
    summary.failed_fixtures += finished.failed_fixtures;
    summary.workers += finished.processes;
    summary.interrupted |= finished.interrupted;
    summary.timed_out |= finished.run_timed_out;
    summary.internal_error |= finished.internal_error;
    // They ran side by side.
    summary.took = summary.took.max(duration(finished.seconds));
}

/// Counts a verdict, whose leaks are counted already.
fn count(summary: &mut Summary, verdict: &Verdict) {
    let leaks = (summary.leaks, summary.denied_leaks);
    summary.add(verdict);
    (summary.leaks, summary.denied_leaks) = leaks;
}

fn event(line: &Line, suite: &Suite, workers: u64) -> Option<Event> {
    Some(match line {
        Line::Test(test) => {
            Event::TestFinished { test: suite.test(test)?, verdict: verdict(test, suite, workers) }
        }
        Line::Fixture(fixture) => fixture_event(fixture)?,
        Line::LeftBehind(LeftBehindLine { id, unit, leaks }) => {
            let by = match (id.as_deref().and_then(|id| suite.by_id(id)), unit) {
                (Some(test), _) => LeakedBy::Test(test),
                (None, Some(unit)) => LeakedBy::Unit(unit.clone()),
                (None, None) => LeakedBy::Run,
            };
            Event::LeftBehind { by, leaks: leaks.iter().map(leak).collect() }
        }
        Line::WorkerOutput(printed) => Event::WorkerOutput {
            worker: workers + printed.worker,
            tests: printed.ids.iter().filter_map(|id| suite.by_id(id)).collect(),
            output: printed.output.clone().into_bytes().into(),
        },
        Line::StateChanged(StateChangedLine { id, changes }) => {
            Event::StateChanged { test: suite.by_id(id)?, changes: changes.clone() }
        }
        _ => return None,
    })
}

fn verdict(line: &TestLine, suite: &Suite, workers: u64) -> Verdict {
    let outcome = outcome(&line.outcome);
    let has_failed_before = !line.failed_before.is_empty();
    Verdict {
        // A test without a process never began.
        took: line.worker.map(|_| duration(line.seconds)),
        cpu_time: line.cpu_seconds.map(duration),
        attempt: line.attempt,
        failed_before: line.failed_before.iter().map(attempt).collect(),
        is_flaky_failure: outcome != Outcome::Passed
            && has_failed_before
            && (line.flaky || line.order_dependent),
        worker: line.worker.map(|worker| workers + worker),
        output: output(&line.output, line.notes),
        output_lost: line.output_lost.as_deref().map(LostOutput::of_text),
        leaks: line.leaks.iter().map(leak).collect(),
        neighbors: line.neighbors.iter().filter_map(|id| suite.by_id(id)).collect(),
        ..Verdict::without_run(outcome, line.reason.as_deref().map(|text| reason(outcome, text)))
    }
}

fn attempt(line: &AttemptLine) -> Attempt {
    let outcome = outcome(&line.outcome);
    Attempt {
        outcome,
        ended: None,
        worker: None,
        took: Some(duration(line.seconds)),
        reason: line.reason.as_deref().map(|text| reason(outcome, text)),
        output: output(&line.output, line.notes),
        output_lost: line.output_lost.as_deref().map(LostOutput::of_text),
        beside: line.beside,
    }
}

/// A reason with this text, as reports tell them apart.
fn reason(outcome: Outcome, text: &str) -> Reason {
    let blocked = || {
        let (instance, why) = text.strip_prefix("fixture ")?.split_once(" failed: ")?;
        let failure = FixtureFailure::Other(why.to_owned());
        Some(Reason::FixtureFailed { instance: FixtureInstance::of_text(instance), failure })
    };
    match outcome {
        Outcome::Blocked => blocked(),
        Outcome::Interrupted => (text == "interrupted").then_some(Reason::Interrupted),
        _ => None,
    }
    .unwrap_or_else(|| Reason::Reported(text.to_owned()))
}

fn outcome(text: &str) -> Outcome {
    let known = OUTCOMES.iter().find(|outcome| outcome.as_str() == text);
    known.copied().unwrap_or(Outcome::Missing)
}

/// The last bytes are notes of the runner.
fn output(text: &str, notes: usize) -> Output {
    let at = text.len().saturating_sub(notes);
    let (printed, notes) = text.split_at_checked(at).unwrap_or((text, ""));
    let mut output = Output::from(printed.as_bytes().to_vec());
    output.append(Output::of_notes(notes));
    output
}

fn leak(line: &LeakLine) -> Leak {
    let kind = LEAK_KINDS.iter().find(|(name, _)| *name == line.kind);
    let action = LEAK_ACTIONS.iter().find(|(name, _)| *name == line.action);
    Leak {
        kind: kind.map_or(LeakKind::Thread, |(_, kind)| *kind),
        what: line.what.clone(),
        place: line.place.clone(),
        detail: line.detail.clone(),
        lived_on: None,
        stack: Vec::new(),
        action: action.map_or(LeakAction::Warn, |(_, action)| *action),
        rule: line.rule.clone(),
    }
}

fn fixture_event(line: &FixtureLine) -> Option<Event> {
    let leaks = line.leaks.iter().map(leak).collect();
    let reason = line.reason.clone();
    let what = match line.state.as_str() {
        "ready" => FixtureEvent::Ready { took: duration(line.seconds.unwrap_or_default()) },
        "failed" => FixtureEvent::Failed {
            why: FixtureFailure::Other(reason.unwrap_or_default()),
            output: line.output.clone().unwrap_or_default().into_bytes(),
            leaks,
        },
        "stopped" => FixtureEvent::Stopped {
            leaks,
            failures: reason.into_iter().map(StopFailure::Told).collect(),
        },
        "kept" => FixtureEvent::Kept,
        _ => return None,
    };
    let instance = FixtureInstance { name: line.name.clone(), slot: line.slot };
    Some(Event::Fixture { instance, at: None, what })
}

/// Of a file that somebody has changed, any number may come.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// How long tests took, for the file of durations. All tests of a binary are known if none was left
/// out by a filter.
pub fn durations(streams: &[Stream]) -> BTreeMap<String, Measured> {
    let mut measured: BTreeMap<String, Measured> = BTreeMap::new();
    let mut all: BTreeMap<(String, String, String), (usize, BTreeSet<String>)> = BTreeMap::new();
    let mut keys: BTreeMap<(String, String, String), String> = BTreeMap::new();
    for stream in streams {
        for binary in stream.shard.iter().flat_map(|shard| &shard.binaries) {
            let place = (binary.package.clone(), binary.kind.clone(), binary.id.clone());
            let (listed, tests) = all.entry(place).or_default();
            *listed = binary.listed;
            tests.extend(binary.tests.iter().cloned());
        }
        for line in &stream.lines {
            let Line::Test(test) = line else { continue };
            let target = test.target.as_ref().unwrap_or(&test.binary);
            let key = format!("{}/{}/{target}", test.package, test.kind);
            let prefix = test.id.strip_suffix(&format!("::{}", test.name)).unwrap_or_default();
            let place = (test.package.clone(), test.kind.clone(), prefix.to_owned());
            keys.insert(place, key.clone());
            if test.outcome == Outcome::Passed.as_str() && test.worker.is_some() {
                let took = &mut measured.entry(key).or_default().took;
                took.insert(test.name.clone(), duration(test.seconds));
            }
        }
    }
    for (place, (listed, tests)) in all {
        if let Some(key) = keys.get(&place).filter(|_| tests.len() == listed) {
            measured.entry(key.clone()).or_default().all = Some(tests);
        }
    }
    measured
}
