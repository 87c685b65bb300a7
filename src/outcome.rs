//! What a test did.

use std::time::Duration;

use crate::leaks::Leak;

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

    pub fn is_well(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Ignored)
    }
}

/// The one verdict of a test, with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Not known for a test that never began.
    pub took: Option<Duration>,
    /// Processor time of its threads, where the agent tells it.
    pub processor: Option<Duration>,
    /// How often the test has been handed out; the ledger counts it.
    pub attempt: u32,
    pub worker: Option<u64>,
    /// One line: the place of the panic, the signal, the fixture.
    pub reason: Option<String>,
    pub output: Vec<u8>,
    /// What the test left behind, as far as the rules do not hide it.
    pub leaks: Vec<Leak>,
}

impl Verdict {
    pub fn without_run(outcome: Outcome, reason: Option<String>) -> Verdict {
        Verdict {
            outcome,
            took: None,
            processor: None,
            attempt: 1,
            worker: None,
            reason,
            output: Vec::new(),
            leaks: Vec::new(),
        }
    }
}
