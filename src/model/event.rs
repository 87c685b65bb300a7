//! The events of a run: the coordinator emits them, and every report is a fold over them. Neither
//! side knows the other.

use std::time::{Duration, Instant};

use super::fixture::{FixtureFailure, FixtureInstance, StopFailure};
use super::interference::LearntLock;
use super::leak::Leak;
use super::outcome::Outcome;
use super::output::Output;
use super::shard::{ShardPlan, ShardSlots};
use super::state_change::StateChange;
use super::summary::Summary;
use super::test::TestId;
use super::verdict::Verdict;
use super::warning::Warning;
use super::worker_span::WorkerSpan;

#[derive(Debug)]
pub enum Event {
    RunStarted {
        run_id: String,
        tests: usize,
        binaries: usize,
        slots: usize,
        /// How many tests of each binary are selected, ignored ones included; empty in formats that
        /// do not need it.
        selected: Vec<usize>,
    },
    /// This run is one of several that divide the suite.
    ShardPlanned(ShardPlan),
    /// cargo has finished, and every binary is listed: the set of tests is final.
    BuildFinished,
    /// A test has failed; its verdict follows when its worker has exited.
    Failing {
        test: TestId,
    },
    /// A test exceeds the `slow` time of its policy.
    Slow {
        test: TestId,
        took: Duration,
    },
    /// A test failed and runs again: this is the next of at most so many attempts.
    Retrying {
        test: TestId,
        outcome: Outcome,
        attempt: usize,
        attempts: usize,
    },
    TestFinished {
        test: TestId,
        verdict: Verdict,
    },
    /// A selected test that will not start, because the run ends before.
    NotRun {
        test: TestId,
    },
    Fixture {
        instance: FixtureInstance,
        /// By the run's clock; none in the report on runs that are over.
        at: Option<Instant>,
        what: FixtureEvent,
    },
    /// A process that ran tests has exited, and nothing that it has left runs any more.
    WorkerEnded(WorkerSpan),
    /// What came before the tests, or beside them.
    StageEnded(StageSpan),
    /// In the report on several shards: what follows is of this one.
    ShardBegins(ShardSlots),
    /// Leaks that belong to no verdict: their test was not known in time, or not at all.
    LeftBehind {
        by: LeakedBy,
        leaks: Vec<Leak>,
    },
    /// Output of a worker in which a test failed, if it is not known which of its tests it belongs
    /// to.
    WorkerOutput {
        worker: u64,
        tests: Vec<TestId>,
        output: Output,
    },
    /// Uncaptured output, passed through with `--nocapture`.
    Output {
        bytes: Vec<u8>,
    },
    Warning(Warning),
    /// What a test has left changed in its process, in a run that watches that.
    StateChanged {
        test: TestId,
        changes: Vec<StateChange>,
    },
    /// From the next run on, tests are kept apart because of what they did in this one.
    LocksLearnt(Vec<LearntLock>),
    /// The user asked what is running.
    Status {
        slots: Vec<SlotStatus>,
        /// How many tests have finished, as long as not all are listed and no report has begun.
        finished_early: Option<usize>,
    },
    /// The user asked what can be typed.
    Help,
    /// The stacks of the threads of one worker, which the user asked for.
    Stacks(Vec<u8>),
    /// The user has paused the run, or continued it.
    Paused(bool),
    /// The user wants the run to end with the tests that run now.
    Stopping,
    /// The run was interrupted: what runs is ended.
    Interrupted,
    /// Some time has passed.
    Tick(Activity),
    RunFinished(Summary),
}

/// What a run is doing now.
#[derive(Debug, Default)]
pub struct Activity {
    pub slots: Vec<SlotStatus>,
    /// The locks that tests wait for.
    pub locks: Vec<String>,
}

/// What runs in one slot. No tests: a process is starting or exiting.
#[derive(Debug)]
pub struct SlotStatus {
    pub slot: usize,
    pub tests: Vec<(TestId, Duration)>,
    /// Tests that have finished but whose verdicts are held back.
    pub held: usize,
}

/// What a run waits for before its first test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Building,
    Listing,
}

/// The stages with their names in JSON.
pub const STAGES: [(&str, Stage); 2] = [("building", Stage::Building), ("listing", Stage::Listing)];

/// When a stage began and ended, by the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct StageSpan {
    pub stage: Stage,
    pub began: Instant,
    pub ended: Instant,
}

/// The origin of a leak, as precisely as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeakedBy {
    Test(TestId),
    /// One of the tests of this unit.
    Unit(String),
    /// One of the tests of the run.
    Run,
}

/// A change in the state of a fixture instance.
#[derive(Debug)]
pub enum FixtureEvent {
    Starting,
    Ready {
        took: Duration,
    },
    /// It was told to stop.
    Stopping,
    /// It failed to start, or died while it was needed: its tests are blocked.
    Failed {
        why: FixtureFailure,
        output: Vec<u8>,
        leaks: Vec<Leak>,
    },
    Stopped {
        leaks: Vec<Leak>,
        /// What went wrong while it was stopped.
        failures: Vec<StopFailure>,
    },
    /// It stays up for the next run.
    Kept,
}
