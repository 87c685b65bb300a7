//! One JSON object per line on stdout, for scripts. Fields and events are added, never
//! renamed.

use std::io;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::json_times::{StageLine, Times, WorkerLine, rounded};
use super::messages;
use super::shard::{self, ShardLine};
use crate::cargo::command::flags_to_repeat;
use crate::cli::output_args::MessageFormat;
use crate::model::event::{Event, FixtureEvent, LeakedBy};
use crate::model::fixture::FixtureInstance;
use crate::model::interference::Interference;
use crate::model::leak::{Leak, LeakLine};
use crate::model::lost_output::LostOutput;
use crate::model::outcome::{Flakiness, Outcome};
use crate::model::output::Output;
use crate::model::output_file::OutputFile;
use crate::model::reason::Reason;
use crate::model::state_change::StateChange;
use crate::model::stream_end::StreamEnd;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::{Attempt, Verdict};
use crate::report::text::print;
use crate::report::view::View;

pub struct Json<'r> {
    view: View<'r>,
    /// With `--ordered`: verdicts, until the end of the run.
    held: Vec<(TestId, Verdict)>,
    times: Times,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'l> {
    RunStarted {
        run: &'l str,
        tests: usize,
        binaries: usize,
        slots: usize,
        #[serde(rename = "shuffle-seed", skip_serializing_if = "Option::is_none")]
        shuffle_seed: Option<u64>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        flags: Vec<String>,
    },
    Shard(ShardLine<'l>),
    StageEnded(StageLine),
    WorkerEnded(WorkerLine<'l>),
    Test(Box<TestLine<'l>>),
    Fixture(FixtureLine<'l>),
    LeftBehind(LeftBehindLine<'l>),
    WorkerOutput {
        worker: u64,
        ids: Vec<String>,
        output: String,
    },
    StateChanged {
        id: String,
        changes: &'l [StateChange],
    },
    LocksLearnt {
        locks: Vec<LockLine<'l>>,
    },
    RunFinished(FinishedLine),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TestLine<'l> {
    id: String,
    package: &'l str,
    binary: &'l str,
    kind: &'l str,
    /// The name of its target, if that is not the name of the binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'l str>,
    name: &'l str,
    /// Whether it ran although it is `#[ignore]`d.
    #[serde(skip_serializing_if = "is_false")]
    ignored: bool,
    /// Of a doctest: `src/lib.rs:12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    outcome: &'l str,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<f64>,
    cpu_seconds: Option<f64>,
    attempt: u32,
    worker: Option<u64>,
    reason: Option<String>,
    flaky: bool,
    order_dependent: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_before: Vec<AttemptLine<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interfered: Option<Box<InterferenceLine>>,
    leaks: Vec<LeakLine<'l>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    neighbors: Vec<String>,
    output: String,
    /// How many of its last bytes are notes of the runner.
    #[serde(skip_serializing_if = "is_zero")]
    notes: usize,
    /// Why the test may have printed more than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_lost: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output_files: Vec<OutputFileLine>,
}

/// What made a test fail that passed by itself.
#[derive(Serialize)]
struct InterferenceLine {
    /// The other test, or its binary if it is not known which of its tests it was.
    by: String,
    thing: String,
    kind: &'static str,
    /// A name for `locks` in Cargo.toml.
    lock: String,
}

#[derive(Serialize)]
struct LockLine<'l> {
    thing: String,
    kind: &'static str,
    users: &'l [String],
}

/// A file with output that is too long to be kept in memory.
#[derive(Serialize)]
struct OutputFileLine {
    path: String,
    /// Whether the file is complete.
    whole: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct AttemptLine<'l> {
    outcome: &'l str,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<u64>,
    reason: Option<String>,
    /// How many other tests its process was handed.
    beside: usize,
    output: String,
    /// How many of its last bytes are notes of the runner.
    #[serde(skip_serializing_if = "is_zero")]
    notes: usize,
    /// Why the test may have printed more than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_lost: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output_files: Vec<OutputFileLine>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "kebab-case")]
struct FixtureLine<'l> {
    name: &'l str,
    slot: Option<usize>,
    state: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<f64>,
    seconds: Option<f64>,
    reason: Option<String>,
    leaks: Vec<LeakLine<'l>>,
    output: Option<String>,
}

/// If the test is not known, `unit` is set; if that is not known either, both are null.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LeftBehindLine<'l> {
    id: Option<String>,
    unit: Option<&'l str>,
    leaks: Vec<LeakLine<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FinishedLine {
    passed: usize,
    failed: usize,
    ignored: usize,
    timed_out: usize,
    aborted: usize,
    interrupted_tests: usize,
    blocked: usize,
    missing: usize,
    flaky: usize,
    order_dependent: usize,
    interfered: usize,
    leaks: usize,
    denied_leaks: usize,
    not_run: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_other_shards: Option<usize>,
    filtered_out: usize,
    list_failures: usize,
    doctest_failures: usize,
    failed_fixtures: usize,
    processes: u64,
    interrupted: bool,
    run_timed_out: bool,
    internal_error: bool,
    seconds: f64,
}

impl<'r> Json<'r> {
    pub fn new(view: View<'r>) -> Self {
        Json { view, held: Vec::new(), times: Times::default() }
    }

    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        self.times.note(event);
        match event {
            Event::RunStarted { run_id, tests, binaries, slots, .. } => {
                let (tests, binaries, slots) = (*tests, *binaries, *slots);
                let flags = flags_to_repeat(&self.view.settings.cargo);
                let shuffle_seed = self.view.settings.shuffle;
                write(&Line::RunStarted {
                    run: run_id,
                    tests,
                    binaries,
                    slots,
                    flags,
                    shuffle_seed,
                })
            }
            Event::ShardPlanned(plan) => write(&Line::Shard(shard::line(plan, &self.view))),
            Event::TestFinished { test, verdict } if self.view.settings.ordered => {
                self.held.push((*test, verdict.clone()));
                Ok(())
            }
            Event::TestFinished { test, verdict } => self.test(*test, verdict),
            Event::Fixture { instance, at, what } => self.fixture(instance, *at, what),
            Event::StageEnded(span) => write(&Line::StageEnded(self.times.stage(span))),
            Event::WorkerEnded(span) => write(&Line::WorkerEnded(self.times.worker(span))),
            Event::LeftBehind { by, leaks } => self.left_behind(by, leaks),
            Event::WorkerOutput { worker, tests, output } => {
                let ids = tests.iter().map(|test| self.view.id(*test)).collect();
                let output = String::from_utf8_lossy(output).into_owned();
                write(&Line::WorkerOutput { worker: *worker, ids, output })
            }
            Event::StateChanged { test, changes } => {
                write(&Line::StateChanged { id: self.view.id(*test), changes })
            }
            Event::LocksLearnt(locks) => {
                let lines = locks.iter().map(|lock| LockLine {
                    thing: lock.thing.to_string(),
                    kind: lock.kind.as_str(),
                    users: &lock.users,
                });
                write(&Line::LocksLearnt { locks: lines.collect() })
            }
            Event::RunFinished(summary) => {
                let mut held = std::mem::take(&mut self.held);
                held.sort_by(|(a, _), (b, _)| self.view.compare(*a, *b));
                held.iter().try_for_each(|(test, verdict)| self.test(*test, verdict))?;
                write(&Line::RunFinished(finished(summary)))
            }
            _ => Ok(()),
        }
    }

    fn fixture(
        &mut self,
        instance: &FixtureInstance,
        at: Option<Instant>,
        what: &FixtureEvent,
    ) -> io::Result<()> {
        let Some(line) = fixture_line(instance, what) else { return Ok(()) };
        let began = self.times.take_start(instance);
        let at = self.times.seconds(at);
        write(&Line::Fixture(FixtureLine { began, at, ..line }))
    }

    fn left_behind(&self, by: &LeakedBy, leaks: &[Leak]) -> io::Result<()> {
        let (id, unit) = match by {
            LeakedBy::Test(test) => (Some(self.view.id(*test)), None),
            LeakedBy::Unit(node) => (None, Some(node.as_str())),
            LeakedBy::Run => (None, None),
        };
        let leaks = leaks.iter().map(Leak::line).collect();
        write(&Line::LeftBehind(LeftBehindLine { id, unit, leaks }))
    }

    fn interference(&self, found: &Interference) -> InterferenceLine {
        InterferenceLine {
            by: self.view.interferer(found),
            thing: found.thing.to_string(),
            kind: found.kind.as_str(),
            lock: found.thing.lock_name(),
        }
    }

    fn test(&self, test: TestId, verdict: &Verdict) -> io::Result<()> {
        let listing = &self.view.inventory.listings[test.listing];
        write(&Line::Test(Box::new(TestLine {
            id: self.view.id(test),
            package: &listing.binary.package_name,
            binary: &listing.binary.name,
            kind: listing.binary.kind,
            target: Some(&*listing.binary.target).filter(|target| **target != listing.binary.name),
            name: &listing.tests[test.test].name,
            ignored: listing.tests[test.test].is_ignored && verdict.outcome != Outcome::Ignored,
            place: listing.place(test.test),
            outcome: verdict.outcome.as_str(),
            seconds: rounded(verdict.took.unwrap_or_default().as_secs_f64()),
            ended: self.times.seconds(verdict.ended),
            cpu_seconds: verdict.cpu_time.map(|time| rounded(time.as_secs_f64())),
            attempt: verdict.attempt,
            worker: verdict.worker,
            reason: verdict.reason.as_ref().map(Reason::to_string),
            flaky: verdict.flakiness() == Some(Flakiness::Flaky),
            order_dependent: verdict.flakiness() == Some(Flakiness::OrderDependent),
            failed_before: verdict
                .failed_before
                .iter()
                .map(|attempt| self.attempt(attempt))
                .collect(),
            interfered: verdict
                .interference
                .as_ref()
                .map(|found| Box::new(self.interference(found))),
            leaks: verdict.leaks.iter().map(Leak::line).collect(),
            neighbors: verdict.neighbors.iter().map(|test| self.view.id(*test)).collect(),
            output: text(&verdict.output),
            notes: length_of_notes(&verdict.output),
            output_lost: verdict.output_lost.as_ref().map(LostOutput::to_string),
            output_files: output_files(&verdict.output),
        })))
    }

    fn attempt<'a>(&self, attempt: &'a Attempt) -> AttemptLine<'a> {
        AttemptLine {
            outcome: attempt.outcome.as_str(),
            seconds: rounded(attempt.took.unwrap_or_default().as_secs_f64()),
            ended: self.times.seconds(attempt.ended),
            worker: attempt.worker,
            reason: attempt.reason.as_ref().map(Reason::to_string),
            beside: attempt.beside,
            output: text(&attempt.output),
            notes: length_of_notes(&attempt.output),
            output_lost: attempt.output_lost.as_ref().map(LostOutput::to_string),
            output_files: output_files(&attempt.output),
        }
    }
}

/// What was printed, and the notes.
fn text(output: &Output) -> String {
    let printed = String::from_utf8_lossy(output.printed()).into_owned();
    printed + &String::from_utf8_lossy(output.notes())
}

fn length_of_notes(output: &Output) -> usize {
    String::from_utf8_lossy(output.notes()).len()
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn output_files(output: &Output) -> Vec<OutputFileLine> {
    let file = |(file, path): (&OutputFile, &Path)| OutputFileLine {
        path: path.display().to_string(),
        whole: file.missed == 0,
    };
    output.kept().map(file).collect()
}

fn fixture_line<'l>(
    instance: &'l FixtureInstance,
    what: &'l FixtureEvent,
) -> Option<FixtureLine<'l>> {
    let FixtureInstance { name, slot } = instance;
    let line = FixtureLine { name, slot: *slot, ..FixtureLine::default() };
    Some(match what {
        FixtureEvent::Starting | FixtureEvent::Stopping => return None,
        FixtureEvent::Kept => FixtureLine { state: "kept", ..line },
        FixtureEvent::Ready { took } => {
            FixtureLine { state: "ready", seconds: Some(rounded(took.as_secs_f64())), ..line }
        }
        FixtureEvent::Failed { why, output, leaks } => FixtureLine {
            state: "failed",
            reason: Some(why.to_string()),
            leaks: leaks.iter().map(Leak::line).collect(),
            output: Some(String::from_utf8_lossy(output).into_owned()),
            ..line
        },
        FixtureEvent::Stopped { leaks, failures } => FixtureLine {
            state: "stopped",
            reason: (!failures.is_empty()).then(|| messages::stop_failures(failures)),
            leaks: leaks.iter().map(Leak::line).collect(),
            ..line
        },
    })
}

fn finished(summary: &Summary) -> FinishedLine {
    let count = |outcome| summary.count(outcome);
    FinishedLine {
        passed: count(Outcome::Passed),
        failed: count(Outcome::Failed),
        ignored: count(Outcome::Ignored),
        timed_out: count(Outcome::TimedOut),
        aborted: count(Outcome::Aborted),
        interrupted_tests: count(Outcome::Interrupted),
        blocked: count(Outcome::Blocked),
        missing: count(Outcome::Missing),
        flaky: summary.flaky,
        order_dependent: summary.order_dependent,
        interfered: summary.interfered,
        leaks: summary.leaks,
        denied_leaks: summary.denied_leaks,
        not_run: summary.not_run,
        in_other_shards: Some(summary.in_other_shards).filter(|others| *others > 0),
        filtered_out: summary.filtered_out,
        list_failures: summary.list_failures,
        doctest_failures: summary.doctest_failures,
        failed_fixtures: summary.failed_fixtures,
        processes: summary.workers,
        interrupted: summary.interrupted,
        run_timed_out: summary.timed_out,
        internal_error: summary.internal_error,
        seconds: rounded(summary.took.as_secs_f64()),
    }
}

/// Ends a stream that has no result, if it is one.
pub fn end_stream(format: MessageFormat, end: &StreamEnd) {
    if format == MessageFormat::Json {
        // The error itself has its exit code, and is on stderr.
        let _ = print(&end.line());
    }
}

fn write(line: &Line<'_>) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    print(&text)
}
