//! What a test did.

use std::time::Duration;

use super::output::Output;
use super::reason::Reason;
use crate::model::leak::Leak;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Passed,
    Failed,
    Ignored,
    TimedOut,
    Aborted,
    Blocked,
    Missing,
}

pub const OUTCOMES: [Outcome; 7] = [
    Outcome::Passed,
    Outcome::Failed,
    Outcome::Ignored,
    Outcome::TimedOut,
    Outcome::Aborted,
    Outcome::Blocked,
    Outcome::Missing,
];

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Ignored => "ignored",
            Outcome::TimedOut => "timed-out",
            Outcome::Aborted => "aborted",
            Outcome::Blocked => "blocked",
            Outcome::Missing => "missing",
        }
    }

    /// Whether a test ran and did not come to a good end.
    pub fn is_failure(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::TimedOut | Outcome::Aborted)
    }

    pub fn is_well(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Ignored)
    }
}

/// An attempt at a test that failed, and was followed by another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub outcome: Outcome,
    pub took: Option<Duration>,
    pub reason: Option<Reason>,
    pub output: Output,
    /// How many other tests its process was handed.
    pub beside: usize,
}

/// Why a test passed in the end that had failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flakiness {
    /// It failed and passed in the same surroundings.
    Flaky,
    /// It failed beside others, and passed alone.
    OrderDependent,
}

/// The one verdict of a test, with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Not known for a test that never began.
    pub took: Option<Duration>,
    /// Processor time of its threads, where the agent tells it.
    pub processor: Option<Duration>,
    /// How much of a core it used while it ran; not known where it started processes, or
    /// without the agent.
    pub load: Option<f64>,
    /// How often the test has been handed out; the ledger counts it.
    pub attempt: u32,
    /// Those before this one that failed.
    pub failed_before: Vec<Attempt>,
    /// It passed at last, and policy calls that a failure.
    pub is_flaky_failure: bool,
    pub worker: Option<u64>,
    /// One line: the place of the panic, the signal, the fixture.
    pub reason: Option<Reason>,
    pub output: Output,
    /// What the test left behind, as far as the rules do not hide it.
    pub leaks: Vec<Leak>,
}

impl Verdict {
    /// Whether it came after failures, and what these mean: one that failed alone too is
    /// flaky, whatever happened beside others.
    pub fn flakiness(&self) -> Option<Flakiness> {
        let passed = self.outcome == Outcome::Passed || self.is_flaky_failure;
        let failed_alone = self.failed_before.iter().any(|attempt| attempt.beside == 0);
        match self.failed_before.is_empty() || !passed {
            true => None,
            false if failed_alone => Some(Flakiness::Flaky),
            false => Some(Flakiness::OrderDependent),
        }
    }

    pub fn without_run(outcome: Outcome, reason: Option<Reason>) -> Verdict {
        Verdict {
            outcome,
            took: None,
            processor: None,
            load: None,
            attempt: 1,
            failed_before: Vec::new(),
            is_flaky_failure: false,
            worker: None,
            reason,
            output: Output::default(),
            leaks: Vec::new(),
        }
    }
}
