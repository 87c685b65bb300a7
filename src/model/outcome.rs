//! The result of a test.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Passed,
    Failed,
    Ignored,
    TimedOut,
    Aborted,
    /// It was running when the user ended the run.
    Interrupted,
    Blocked,
    Missing,
}

pub const OUTCOMES: [Outcome; 8] = [
    Outcome::Passed,
    Outcome::Failed,
    Outcome::Ignored,
    Outcome::TimedOut,
    Outcome::Aborted,
    Outcome::Interrupted,
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
            Outcome::Interrupted => "interrupted",
            Outcome::Blocked => "blocked",
            Outcome::Missing => "missing",
        }
    }

    /// Whether a test ran to its end and did not pass.
    pub fn is_failure(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::TimedOut | Outcome::Aborted)
    }

    /// Whether the test took its process with it.
    pub fn ends_process(self) -> bool {
        matches!(self, Outcome::TimedOut | Outcome::Aborted)
    }

    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Ignored)
    }
}

/// Why a test that failed before passed in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flakiness {
    /// It failed and passed under the same conditions.
    Flaky,
    /// It failed in a process with other tests, and passed alone.
    OrderDependent,
}
