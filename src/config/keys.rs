//! The keys of a node, as written in Cargo.toml.

use std::collections::BTreeMap;
use std::time::Duration;

use super::value::At;
use crate::model::leak::{LeakAction, LeakKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Auto,
    Unit,
    Split,
    Shared,
}

pub const KINDS: [(&str, Kind); 4] =
    [("auto", Kind::Auto), ("unit", Kind::Unit), ("split", Kind::Split), ("shared", Kind::Shared)];

impl Kind {
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("auto", |(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Threads {
    Auto,
    Exactly(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Recycle {
    #[default]
    Never,
    OnFailure,
    OnLeak,
    After(usize),
}

/// Names that exclude each other across the whole run.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Locks {
    pub read: Vec<String>,
    pub write: Vec<String>,
}

/// The `leaks` of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeakKeys {
    /// For every kind that is not named.
    pub all: Option<LeakAction>,
    pub by_kind: BTreeMap<LeakKind, LeakAction>,
    /// Kind and pattern, `*` for any text.
    pub ignore: Vec<(LeakKind, String)>,
}

/// How often a test that fails is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryKeys {
    pub count: usize,
    /// Before the first of them.
    pub delay: Duration,
    pub backoff: Backoff,
    pub flaky: Flaky,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// The same delay each time.
    #[default]
    Fixed,
    /// Twice the delay each time.
    Exponential,
}

/// What a test comes to that failed first and passed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flaky {
    #[default]
    Pass,
    Fail,
}

#[derive(Debug, Clone, Default)]
pub struct Keys {
    pub policy: Option<At<Kind>>,
    pub isolate: Option<At<bool>>,
    pub threads: Option<At<Threads>>,
    pub slots: Option<At<usize>>,
    pub locks: Option<At<Locks>>,
    pub exclusive: Option<At<bool>>,
    pub timeout: Option<At<Duration>>,
    pub slow: Option<At<Duration>>,
    pub retries: Option<At<RetryKeys>>,
    pub memory: Option<At<u64>>,
    pub recycle: Option<At<Recycle>>,
    pub env: Option<At<BTreeMap<String, String>>>,
    pub fixture: Option<At<Vec<At<String>>>>,
    pub leaks: Option<At<LeakKeys>>,
    pub linger: Option<At<Duration>>,
    pub overrides: bool,
}
