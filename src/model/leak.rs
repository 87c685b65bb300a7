//! Leaks of a test, and their treatment by policy.

use std::time::Duration;

use serde::Serialize;

/// The kinds of leaks, ordered by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeakKind {
    /// A thread of the test panicked, and its result was never checked.
    Panic,
    Process,
    Thread,
    /// Threads of a well-known pool that by design lives as long as its process.
    Pool,
}

pub const LEAK_KINDS: [(&str, LeakKind); 4] = [
    ("thread", LeakKind::Thread),
    ("process", LeakKind::Process),
    ("panic", LeakKind::Panic),
    ("pool", LeakKind::Pool),
];

impl LeakKind {
    pub fn as_str(self) -> &'static str {
        LEAK_KINDS.iter().find(|(_, kind)| *kind == self).map_or("thread", |(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakAction {
    Allow,
    Warn,
    Deny,
}

impl LeakAction {
    pub fn as_str(self) -> &'static str {
        LEAK_ACTIONS.iter().find(|(_, action)| *action == self).map_or("warn", |(name, _)| name)
    }
}

pub const LEAK_ACTIONS: [(&str, LeakAction); 3] =
    [("allow", LeakAction::Allow), ("warn", LeakAction::Warn), ("deny", LeakAction::Deny)];

/// A thread, process or panic that a test left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    pub kind: LeakKind,
    /// The thread's name, the command line, the panic's message.
    pub what: String,
    /// Where it was started: `src/db.rs:88`.
    pub place: Option<String>,
    /// One line: how long the runner waited, and what it did about it.
    pub detail: String,
    /// How long it lived on behind its test, where it ended before its process did.
    pub lived_on: Option<Duration>,
    /// The stack at that place, innermost frame first.
    pub stack: Vec<String>,
    pub action: LeakAction,
    /// The origin of the action: `default`, or a line of a Cargo.toml.
    pub rule: String,
}

/// A leak in the JSON stream.
#[derive(Debug, Serialize)]
pub struct LeakLine<'l> {
    kind: &'static str,
    what: &'l str,
    #[serde(rename = "where")]
    place: Option<&'l str>,
    action: &'static str,
    detail: &'l str,
    rule: &'l str,
}

impl Leak {
    pub fn line(&self) -> LeakLine<'_> {
        LeakLine {
            kind: self.kind.as_str(),
            what: &self.what,
            place: self.place.as_deref(),
            action: self.action.as_str(),
            detail: &self.detail,
            rule: &self.rule,
        }
    }
}
