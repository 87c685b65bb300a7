//! What can go wrong when a test binary is asked to list its tests.

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

/// The tests of a binary could not be listed, so none of them runs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ListFailure {
    pub binary: BinaryName,
    pub answer: Box<ListAttempt>,
    /// Whether these are doctests: then most likely the package cannot be documented.
    pub is_doctests: bool,
}

impl fmt::Display for ListFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListFailure { binary, answer, is_doctests } = self;
        match (is_doctests, binary.package.as_str()) {
            (false, _) => write!(f, "cannot list the tests of {binary}: {answer}"),
            (true, "") => write!(f, "cannot run the doctests: {answer}"),
            (true, package) => write!(f, "cannot run the doctests of {package}: {answer}"),
        }
    }
}

/// A custom harness that accepts `--list`, but whose tests have to run as one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{binary} runs as one test, judged by its exit code: {cause}")]
pub struct UnlistableHarness {
    pub binary: BinaryName,
    pub cause: UnlistableCause,
}

/// Why the tests of a custom harness cannot be selected individually.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnlistableCause {
    #[error("listing its tests failed: {0}")]
    NoList(ListAttempt),
    #[error(
        "it lists the same tests with and without `--ignored`, so ignored tests cannot be identified"
    )]
    IgnoresIgnored,
    /// The test that was looked up.
    #[error("it lists `{}`, but does not find it with `--exact`", printable(.0.as_bytes()))]
    UnknownName(String),
}

/// How an attempt to list a binary's tests ended, with its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAttempt {
    pub end: ListEnd,
    /// The program and its arguments.
    pub command: String,
    pub printed: String,
}

/// How a listing process ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListEnd {
    #[error("could not be started: {0}")]
    NotStarted(String),
    #[error("did not exit within {0:?} (`list-timeout`)")]
    TimedOut(Duration),
    /// With `exit code 2`, say.
    #[error("ended with {0}")]
    Exited(String),
}

impl fmt::Display for ListAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The error is usually at the end of the output.
        const LINES: usize = 20;
        let lines: Vec<&str> = self.printed.lines().collect();
        write!(f, "it {}\n  command: {}", self.end, self.command)?;
        let tail = &lines[lines.len().saturating_sub(LINES)..];
        tail.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}
