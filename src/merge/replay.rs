//! The events of streams, as reports take them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::line::{
    AttemptLine, FixtureLine, InterferenceLine, LeakLine, LeftBehindLine, Line, StateChangedLine,
    TestLine, WorkerLine,
};
use super::stream::Stream;
use super::suite::Suite;
use crate::model::event::{Event, FixtureEvent, LeakedBy, STAGES, StageSpan};
use crate::model::fixture::{FixtureFailure, FixtureInstance, StopFailure};
use crate::model::interference::{INTERFERENCE_KINDS, Interference, InterferenceKind};
use crate::model::leak::{LEAK_ACTIONS, LEAK_KINDS, Leak, LeakAction, LeakKind};
use crate::model::lost_output::LostOutput;
use crate::model::outcome::{OUTCOMES, Outcome};
use crate::model::output::Output;
use crate::model::reason::Reason;
use crate::model::shard::ShardSlots;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::thing::Thing;
use crate::model::verdict::{Attempt, Verdict};
use crate::model::worker_span::WorkerSpan;
use crate::plan::durations::Measured;
use crate::process::clock;

/// Of a file that somebody has changed, any number may come.
const MOST_SLOTS: usize = 1 << 16;

/// All events of one run, from `RunStarted` to `RunFinished`.
pub fn events(streams: &[Stream], suite: &Suite) -> Vec<Event> {
    let mut summary = Summary::default();
    let mut events = Vec::new();
    let mut place = Place { suite, zero: Instant::now(), workers: 0, slots: 0 };
    let begins: Vec<f64> = streams.iter().map(tests_begin).collect();
    let (now, latest) = (place.zero, begins.iter().fold(0.0, |one: f64, other| one.max(*other)));
    for (stream, begin) in streams.iter().zip(&begins) {
        place.zero = clock::after(now, duration(latest - begin));
        let slots = slots(stream);
        if streams.len() > 1 {
            let slots = place.slots..place.slots + slots;
            events.push(Event::ShardBegins(ShardSlots { name: stream.name(), slots }));
        }
        for line in &stream.lines {
            events.extend(place.events(line));
        }
        add(&mut summary, stream);
        // Numbers of processes are unique in a run, and those of slots.
        place.workers += stream.finished().map_or(0, |finished| finished.processes.max(1));
        place.slots += slots;
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

/// How many slots a run had; one whose tests waited had more than it said at first.
fn slots(stream: &Stream) -> usize {
    let used = stream.lines.iter().filter_map(|line| match line {
        Line::WorkerEnded(worker) => worker.slots.iter().max().map(|last| last.saturating_add(1)),
        _ => None,
    });
    used.max().unwrap_or_default().max(stream.started.slots).min(MOST_SLOTS)
}

/// When the first process that ran tests began, in seconds from the beginning of the build.
fn tests_begin(stream: &Stream) -> f64 {
    let began = stream.lines.iter().filter_map(|line| match line {
        Line::WorkerEnded(worker) => Some(worker.began),
        _ => None,
    });
    began.reduce(f64::min).unwrap_or_default()
}

/// Where a stream stands among those of the run.
struct Place<'s> {
    suite: &'s Suite,
    /// Its beginning. All tests begin at the same time: the clocks of several machines cannot be
    /// compared, and one builds longer than the other.
    zero: Instant,
    /// How many processes and slots those before it had.
    workers: u64,
    slots: usize,
}

/// Adds what the last event of a run says.
fn add(summary: &mut Summary, stream: &Stream) {
    summary.slots += stream.started.slots;
    let Some(finished) = stream.finished() else { return };
    summary.not_run += finished.not_run;
    summary.leaks += finished.leaks;
    summary.denied_leaks += finished.denied_leaks;
    // Every shard lists all tests, and leaves out the same ones.
    summary.filtered_out = summary.filtered_out.max(finished.filtered_out);
    summary.list_failures = summary.list_failures.max(finished.list_failures);
    let doctest_failures = finished.doctest_failures.min(finished.list_failures);
    summary.doctest_failures = summary.doctest_failures.max(doctest_failures);
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

impl Place<'_> {
    fn events(&self, line: &Line) -> Vec<Event> {
        match line {
            Line::Fixture(fixture) => self.fixture(fixture),
            line => self.event(line).into_iter().collect(),
        }
    }

    fn event(&self, line: &Line) -> Option<Event> {
        let suite = self.suite;
        Some(match line {
            Line::Test(line) => {
                let test = suite.test(line)?;
                Event::TestFinished { test, verdict: self.verdict(test, line) }
            }
            Line::StageEnded(line) => {
                let (_, stage) = STAGES.iter().find(|(name, _)| *name == line.stage)?;
                let (began, ended) = (self.at(line.began), self.at(line.ended));
                Event::StageEnded(StageSpan { stage: *stage, began, ended })
            }
            Line::WorkerEnded(line) => Event::WorkerEnded(self.worker(line)),
            Line::LeftBehind(LeftBehindLine { id, unit, leaks }) => {
                let by = match (id.as_deref().and_then(|id| suite.by_id(id)), unit) {
                    (Some(test), _) => LeakedBy::Test(test),
                    (None, Some(unit)) => LeakedBy::Unit(unit.clone()),
                    (None, None) => LeakedBy::Run,
                };
                Event::LeftBehind { by, leaks: leaks.iter().map(leak).collect() }
            }
            Line::WorkerOutput(printed) => Event::WorkerOutput {
                worker: self.workers.saturating_add(printed.worker),
                tests: printed.ids.iter().filter_map(|id| suite.by_id(id)).collect(),
                output: printed.output.clone().into_bytes().into(),
            },
            Line::StateChanged(StateChangedLine { id, changes }) => {
                Event::StateChanged { test: suite.by_id(id)?, changes: changes.clone() }
            }
            _ => return None,
        })
    }

    /// An instant of this stream.
    fn at(&self, seconds: f64) -> Instant {
        let before = self.zero.checked_sub(duration(-seconds)).unwrap_or(self.zero);
        clock::after(before, duration(seconds))
    }

    fn worker(&self, line: &WorkerLine) -> WorkerSpan {
        let known = |slot: &&usize| **slot < MOST_SLOTS;
        WorkerSpan {
            number: self.workers.saturating_add(line.worker),
            pid: line.pid,
            slots: line.slots.iter().filter(known).map(|slot| self.slots + slot).collect(),
            threads: line.threads,
            most_threads: line.most_threads,
            node: line.node.clone(),
            is_unit: line.unit,
            began: self.at(line.began),
            ended: self.at(line.ended),
        }
    }

    fn verdict(&self, test: TestId, line: &TestLine) -> Verdict {
        let outcome = outcome(&line.outcome);
        let has_failed_before = !line.failed_before.is_empty();
        Verdict {
            // A test without a process never began.
            took: line.worker.map(|_| duration(line.seconds)),
            ended: line.ended.map(|ended| self.at(ended)),
            cpu_time: line.cpu_seconds.map(duration),
            attempt: line.attempt,
            failed_before: line.failed_before.iter().map(|line| self.attempt(line)).collect(),
            interference: line.interfered.as_ref().map(|line| self.interference(test, line)),
            is_flaky_failure: outcome != Outcome::Passed
                && has_failed_before
                && (line.flaky || line.order_dependent),
            worker: line.worker.map(|worker| self.workers.saturating_add(worker)),
            output: output(&line.output, line.notes),
            output_lost: line.output_lost.as_deref().map(LostOutput::of_text),
            leaks: line.leaks.iter().map(leak).collect(),
            neighbors: line.neighbors.iter().filter_map(|id| self.suite.by_id(id)).collect(),
            ..Verdict::without_run(
                outcome,
                line.reason.as_deref().map(|text| reason(outcome, text)),
            )
        }
    }

    fn interference(&self, test: TestId, line: &InterferenceLine) -> Interference {
        let other = self.suite.by_id(&line.by);
        let kind = INTERFERENCE_KINDS.iter().find(|kind| kind.as_str() == line.kind);
        Interference {
            other,
            // In a file that somebody has changed, that may be nobody. Who it was matters less than
            // that the test is not flaky.
            process_of: other.or_else(|| self.suite.of_binary(&line.by)).unwrap_or(test),
            thing: Thing::of_text(&line.thing),
            kind: kind.copied().unwrap_or(InterferenceKind::Written),
        }
    }

    fn attempt(&self, line: &AttemptLine) -> Attempt {
        let outcome = outcome(&line.outcome);
        Attempt {
            outcome,
            ended: line.ended.map(|ended| self.at(ended)),
            worker: line.worker.map(|worker| self.workers.saturating_add(worker)),
            took: Some(duration(line.seconds)),
            reason: line.reason.as_deref().map(|text| reason(outcome, text)),
            output: output(&line.output, line.notes),
            output_lost: line.output_lost.as_deref().map(LostOutput::of_text),
            beside: line.beside,
        }
    }

    /// What a fixture did, behind its start where that is known.
    fn fixture(&self, line: &FixtureLine) -> Vec<Event> {
        let Some(what) = fixture_event(line) else { return Vec::new() };
        let instance = FixtureInstance { name: line.name.clone(), slot: line.slot };
        let start = line.began.map(|began| Event::Fixture {
            instance: instance.clone(),
            at: Some(self.at(began)),
            what: FixtureEvent::Starting,
        });
        let at = line.at.map(|at| self.at(at));
        start.into_iter().chain([Event::Fixture { instance, at, what }]).collect()
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

fn fixture_event(line: &FixtureLine) -> Option<FixtureEvent> {
    let leaks = line.leaks.iter().map(leak).collect();
    let reason = line.reason.clone();
    Some(match line.state.as_str() {
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
    })
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
