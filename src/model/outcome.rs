//! What a test did.

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

    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Ignored)
    }
}

/// Why a test passed in the end that had failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flakiness {
    /// It failed and passed in the same surroundings.
    Flaky,
    /// It failed beside others, and passed alone.
    OrderDependent,
}
