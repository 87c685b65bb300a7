//! What can come of asking a test binary for its tests.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::printable::printable;

/// A test binary as messages name it: `` `api` (test of web) ``.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` ({kind} of {package})")]
pub struct BinaryName {
    pub name: String,
    pub kind: String,
    pub package: String,
}

/// The tests of a binary are not known, so that none of them runs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot list the tests of {binary}: {answer}")]
pub struct ListFailure {
    pub binary: BinaryName,
    pub answer: Box<ListAttempt>,
}

/// A custom harness that seems to know `--list` runs as one test all the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{binary} runs as one test, judged by its exit code: {cause}")]
pub struct UnlistableHarness {
    pub binary: BinaryName,
    pub cause: UnlistableCause,
}

/// Why the tests of a custom harness cannot be run one by one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnlistableCause {
    #[error("asked for its tests, {0}")]
    NoList(ListAttempt),
    #[error(
        "it lists the same tests with `--ignored` and without, so that nobody can tell which of them are ignored"
    )]
    IgnoresIgnored,
    /// The test that it was asked for.
    #[error("it lists `{}`, and does not know it when that is asked for with `--exact`", printable(.0.as_bytes()))]
    UnknownName(String),
}

/// What a binary did that was asked for its tests, and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAttempt {
    pub end: ListEnd,
    /// The program and its arguments.
    pub command: String,
    pub printed: String,
}

/// How a process ended that was to print a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListEnd {
    #[error("could not be started: {0}")]
    NotStarted(String),
    #[error("did not end within {0:?} (`list-timeout`)")]
    TimedOut(Duration),
    /// With `exit code 2`, say.
    #[error("ended with {0}")]
    Exited(String),
}

impl fmt::Display for ListAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As much of the output as helps: what went wrong stands at its end.
        const LINES: usize = 20;
        let lines: Vec<&str> = self.printed.lines().collect();
        write!(f, "it {}\n  command: {}", self.end, self.command)?;
        let tail = &lines[lines.len().saturating_sub(LINES)..];
        tail.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}
