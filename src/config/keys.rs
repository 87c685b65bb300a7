//! The keys of a node, as written in Cargo.toml.

use std::collections::BTreeMap;
use std::time::Duration;

use super::value::At;
use crate::model::leak::{LeakAction, LeakKind};

/// How tests may be spread over processes.
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

/// How many tests a worker runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Threads {
    Auto,
    Exactly(usize),
}

/// When a worker is replaced by a new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Recycle {
    #[default]
    Never,
    OnFailure,
    OnLeak,
    After(usize),
}

/// Named locks, which hold across all workers of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Locks {
    pub read: Vec<String>,
    pub write: Vec<String>,
}

impl Locks {
    /// Takes these as well. A lock that is written is not only read.
    pub fn add(&mut self, others: &Locks) {
        let add = |own: &mut Vec<String>, others: &[String]| {
            for name in others {
                if !own.contains(name) {
                    own.push(name.clone());
                }
            }
        };
        add(&mut self.write, &others.write);
        add(&mut self.read, &others.read);
        let written = &self.write;
        self.read.retain(|name| !written.contains(name));
    }

    /// These without those, which are taken in the same way.
    pub fn without(&self, others: &Locks) -> Locks {
        let rest = |own: &[String], others: &[String]| {
            own.iter().filter(|name| !others.contains(name)).cloned().collect()
        };
        Locks { read: rest(&self.read, &others.read), write: rest(&self.write, &others.write) }
    }

    /// Whether tests with these and those cannot run at the same time.
    pub fn exclude(&self, others: &Locks) -> bool {
        let excludes = |one: &Locks, other: &Locks| {
            one.write.iter().any(|name| other.write.contains(name) || other.read.contains(name))
        };
        excludes(self, others) || excludes(others, self)
    }
}

/// The `leaks` of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeakKeys {
    /// For all kinds not in `by_kind`.
    pub all: Option<LeakAction>,
    pub by_kind: BTreeMap<LeakKind, LeakAction>,
    /// Kind and pattern, in which `*` matches any text.
    pub ignore: Vec<(LeakKind, String)>,
}

/// How often, and when, a failed test is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryKeys {
    pub count: usize,
    /// Before the first retry.
    pub delay: Duration,
    pub backoff: Backoff,
    pub flaky: Flaky,
}

/// How the delay changes from retry to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// It stays the same.
    #[default]
    Fixed,
    /// It doubles.
    Exponential,
}

/// The outcome of a test that passes on a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flaky {
    #[default]
    Pass,
    Fail,
}

/// The keys of one node. One that is `None` is inherited from the node above.
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
