//! The seam between running and showing: the run emits these, every report folds them, and
//! neither knows the other.

use std::path::PathBuf;
use std::time::Duration;

use super::fixture::{FixtureFailure, FixtureInstance, StopFailure};
use super::listing::{ListFailure, WholeBinary};
use super::outcome::{Flakiness, OUTCOMES, Outcome};
use crate::model::leak::{Leak, LeakAction};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::way::Way;

#[derive(Debug)]
pub enum Event {
    Started {
        run_id: String,
        tests: usize,
        binaries: usize,
        slots: usize,
    },
    /// cargo has ended, also where tests ran beside it: all that is to run is known from now on.
    Built,
    /// `what` is the node of the batch, or its only test.
    BatchStarted {
        batch: usize,
        what: String,
    },
    BatchEnded {
        batch: usize,
    },
    /// A test has failed; its verdict follows when its worker has ended.
    Failing {
        test: TestId,
    },
    /// A test runs longer than its policy calls usual.
    Slow {
        test: TestId,
        took: Duration,
    },
    /// A test failed, and runs again: so many times more at the most.
    Retrying {
        test: TestId,
        outcome: Outcome,
        left: usize,
    },
    Judged {
        test: TestId,
        verdict: Verdict,
    },
    Fixture {
        instance: FixtureInstance,
        what: FixtureEvent,
    },
    /// Leaks that no verdict has told of: whose they are was not known in time, or is not at all.
    LeftBehind {
        by: LeftBy,
        leaks: Vec<Leak>,
    },
    /// What tests write past the capture, where the user asked to see it.
    Wrote {
        bytes: Vec<u8>,
    },
    Note(Note),
    /// Somebody asked what runs now.
    WhatRuns(Vec<RunsNow>),
    /// Time has passed and nothing else happened.
    Tick,
    Finished(Summary),
}

/// One slot, and the tests that run in it now. None of them: a process begins or ends.
#[derive(Debug)]
pub struct RunsNow {
    pub slot: usize,
    pub tests: Vec<(TestId, Duration)>,
    /// Tests that have ended, and whose verdicts wait for what follows.
    pub held: usize,
}

/// What a run waits for before its first test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Building,
    Listing,
}

/// Who has left something behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftBy {
    Test(TestId),
    /// One of the tests of this unit.
    Unit(String),
    /// One of the tests of the run.
    Run,
}

/// What became of a fixture.
#[derive(Debug)]
pub enum FixtureEvent {
    Starting,
    Ready {
        took: Duration,
    },
    /// It failed to start, or died when it was needed: its tests are blocked.
    Lost {
        why: FixtureFailure,
        output: Vec<u8>,
        leaks: Vec<Leak>,
    },
    Stopped {
        leaks: Vec<Leak>,
        /// What was wrong with its end.
        failures: Vec<StopFailure>,
    },
    /// It stays up for the next run.
    Released,
}

/// Something that the user should know and that is no verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    DamagedState {
        path: PathBuf,
        why: String,
    },
    StateNotWritten {
        path: PathBuf,
        why: String,
    },
    /// The whole of what a test printed could not be kept in a file.
    FloodNotKept {
        path: PathBuf,
        why: String,
    },
    ListFailed(ListFailure),
    /// A harness that knows lists runs as one test all the same.
    RunsWhole(WholeBinary),
    /// This way to learn the verdicts of a binary did not work; the next one serves.
    NoChannel {
        binary: String,
        way: Way,
    },
    /// A unit goes on in a fresh process: what it had set up is set up again.
    SetUpAgain {
        node: String,
        why: String,
    },
    /// Binaries whose threads and panics nobody looked at.
    Unwatched {
        binaries: usize,
    },
    /// Leaks of the baseline that tests of this run did not leave any more.
    GoneFromBaseline {
        leaks: Vec<String>,
    },
    BaselineWritten {
        path: PathBuf,
        leaks: usize,
    },
    /// Processes that were still there when the run was cut short, and were ended.
    Strays {
        count: usize,
    },
    /// The whole run took longer than it may.
    TimeWasUp {
        limit: Duration,
    },
    /// So many that the run was given up.
    TooManyDeaths {
        workers: usize,
    },
    /// The process of this unit is stopped until it can have the terminal.
    WantsTerminal {
        node: String,
    },
    /// A thread of ours is lost, and with it the run.
    Broken {
        thread: String,
        why: String,
    },
    /// Fixtures that were started and stay up.
    Kept {
        fixtures: Vec<String>,
    },
    Doctests {
        packages: Vec<String>,
    },
}

#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub counts: [usize; OUTCOMES.len()],
    /// Wanted, and never started because the run was stopped.
    pub not_run: usize,
    pub flaky: usize,
    pub order_dependent: usize,
    pub leaks: usize,
    pub denied_leaks: usize,
    pub list_failures: usize,
    pub lost_fixtures: usize,
    pub binaries: usize,
    pub workers: u64,
    pub slots: usize,
    /// The batch that took the longest, where that held up the end of the run.
    pub longest: Option<Longest>,
    /// How much of the slots' time was used, from 0 to 1.
    pub fill: f64,
    pub took: Duration,
    pub interrupted: bool,
    /// The run was ended because it had taken too long.
    pub time_was_up: bool,
    /// It was given up because of a mistake of ours.
    pub is_broken: bool,
}

/// A batch that took most of the run's time, while slots stood idle.
#[derive(Debug, Clone, PartialEq)]
pub struct Longest {
    /// Its node, or its only test.
    pub what: String,
    pub took: Duration,
    pub tests: usize,
    /// Whether its tests could run in several processes, were they declared so.
    pub is_unit: bool,
}

impl Summary {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.counts[outcome as usize]
    }

    pub fn add(&mut self, verdict: &Verdict) {
        self.counts[verdict.outcome as usize] += 1;
        match verdict.flakiness() {
            Some(Flakiness::Flaky) => self.flaky += 1,
            Some(Flakiness::OrderDependent) => self.order_dependent += 1,
            None => {}
        }
        self.add_leaks(&verdict.leaks);
    }

    pub fn add_leaks(&mut self, leaks: &[Leak]) {
        self.leaks += leaks.len();
        let is_denied = |leak: &&Leak| leak.action == LeakAction::Deny;
        self.denied_leaks += leaks.iter().filter(is_denied).count();
    }

    /// How many tests ran and did not come to a good end.
    pub fn failures(&self) -> usize {
        let failures = OUTCOMES.iter().filter(|outcome| outcome.is_failure());
        failures.map(|outcome| self.count(*outcome)).sum()
    }

    /// Whether nothing went wrong.
    pub fn is_well(&self) -> bool {
        let bad = OUTCOMES.iter().filter(|outcome| !outcome.is_well());
        bad.map(|outcome| self.count(*outcome)).sum::<usize>() == 0
            && self.list_failures == 0
            && self.lost_fixtures == 0
            && self.denied_leaks == 0
            && !self.interrupted
            && !self.time_was_up
            && !self.is_broken
    }

    /// All tests with a verdict.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}
