//! Why a test came to its outcome, in one line.

use std::time::Duration;

use thiserror::Error;

use super::fixture::{FixtureFailure, FixtureInstance};
use super::outcome::{Flakiness, Outcome};

/// The reason for an outcome; displayed as the report and the JSON stream show it.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Reason {
    /// What the harness or the test's output says: usually the place of the panic.
    #[error("{0}")]
    Reported(String),
    /// Its process ended under it.
    #[error("{0}")]
    WorkerEnded(WorkerEnd),
    /// Its process ended while this many tests were running, any of which may be the cause.
    #[error("{end} while {tests} tests ran")]
    WorkerEndedBeside { end: WorkerEnd, tests: usize },
    /// Its process ended while it ran with others, and each of them passes alone.
    #[error(
        "{end} while it ran beside {}; it passes alone, so it depends on order or on the other tests",
        in_company(.others)
    )]
    PassesAlone { end: WorkerEnd, others: usize },
    /// The same, and none of them ends it one after another. It need not have begun.
    #[error(
        "{end} in a process that ran it and {} several at a time; it passes where they run one after another, so one of them depends on running beside others",
        in_company(.others)
    )]
    PassesInTurn { end: WorkerEnd, others: usize },
    #[error("{0}: its process died after its last test had passed")]
    DiedAfterPass(String),
    #[error("{0}: its process did not end after its last test had passed")]
    HungAfterPass(Timeout),
    #[error("{0}: a thread that it leaked ended its process")]
    EndedByLeftoverThread(String),
    #[error("its process could not be started: {0}")]
    WorkerNotStarted(String),
    /// Several workers in a row ended without having started any of its tests.
    #[error("{cause} before any test began, {times} times")]
    NeverBegan { cause: Requeued, times: u32 },
    #[error("fixture {instance} failed: {failure}")]
    FixtureFailed { instance: FixtureInstance, failure: FixtureFailure },
    /// It passed in the end, which its policy counts as a failure.
    #[error("passed only when it ran {}, and flaky = \"fail\"", again(.0))]
    FlakyFails(Flakiness),
    /// The panic's message and place.
    #[error("unobserved panic in a thread: {0}")]
    DeniedPanic(String),
    #[error("interrupted")]
    Interrupted,
    #[error("the run timed out after {0:?}")]
    RunTimedOut(Duration),
    #[error("the run was stopped by an internal error")]
    RunGivenUp,
    #[error("the binary listed it and did not run it")]
    NotRun,
    #[error("no process reported its result")]
    NoVerdict,
}

/// How a worker ended before its tests did.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WorkerEnd {
    /// `SIGABRT`, `exit code 0`, …
    #[error("{0}")]
    Died(String),
    #[error("{0}")]
    TimedOut(Timeout),
}

/// A test or a process took longer than it may.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("timed out after {limit:?}{}", stopped(.stopped_by))]
pub struct Timeout {
    pub limit: Duration,
    /// The signal that had stopped the process, if one had.
    pub stopped_by: Option<String>,
}

/// Why tests of a worker are requeued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Requeued {
    #[error("{0}")]
    WorkerDied(String),
    #[error("its process {0}")]
    WorkerTimedOut(Timeout),
    #[error("its process was replaced by a fresh one")]
    Recycled,
    #[error("its process reported nothing")]
    SilentWorker,
    #[error("its result could not be read")]
    LostVerdict,
}

impl WorkerEnd {
    /// The outcome of the tests that caused it.
    pub fn outcome(&self) -> Outcome {
        match self {
            WorkerEnd::Died(_) => Outcome::Aborted,
            WorkerEnd::TimedOut(_) => Outcome::TimedOut,
        }
    }
}

fn in_company(others: &usize) -> String {
    if *others == 1 { "one other test".to_owned() } else { format!("{others} others") }
}

fn again(flakiness: &Flakiness) -> &'static str {
    match flakiness {
        Flakiness::Flaky => "again",
        Flakiness::OrderDependent => "alone",
    }
}

fn stopped(signal: &Option<String>) -> String {
    signal
        .as_ref()
        .map(|signal| format!(": its process was stopped by {signal}"))
        .unwrap_or_default()
}
