//! What a test left behind, and what the policy makes of it.

use serde::Serialize;

/// What a test may leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeakKind {
    /// A thread of the test panicked and nobody looked.
    Panic,
    Process,
    Thread,
    /// Threads of a well-known pool that lives as long as its process by design.
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

/// One thing that a test left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    pub kind: LeakKind,
    /// The thread's name, the command line, the panic's message.
    pub what: String,
    /// Where it was started: `src/db.rs:88`.
    pub place: Option<String>,
    /// One line: how long the runner waited, what it did.
    pub detail: String,
    /// The way to the place, innermost first: function and place.
    pub stack: Vec<String>,
    pub action: LeakAction,
    /// What decided: `default`, or the line of a Cargo.toml.
    pub rule: String,
}

/// A leak as scripts see it.
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
