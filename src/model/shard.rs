//! One part of a suite that several machines run.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::test::TestId;

/// Displayed as the user writes it: `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// From 1 on.
    pub index: usize,
    pub total: usize,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.total)
    }
}

/// The slots of one shard among those of all: they are numbered through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSlots {
    /// `shard 2/5`
    pub name: String,
    pub slots: Range<usize>,
}

/// What one machine runs, and what is known of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardPlan {
    pub shard: Shard,
    /// Identifies the division of the suite: the same on every machine that has the same plan.
    pub fingerprint: String,
    /// The run of the CI engine that started the machines, if it has told: `CI_PIPELINE_ID=4711`.
    pub pipeline: Option<String>,
    /// Its tests, ignored ones included.
    pub tests: Vec<TestId>,
    /// How many tests belong to other shards.
    pub elsewhere: usize,
    /// Its work, and that of all shards together; none without a file of durations.
    pub work: Option<ShardWork>,
    /// What keeps the shards from having the same work.
    pub unbalanced: Option<LongUnit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardWork {
    pub own: Duration,
    pub all: Duration,
}

/// A unit that is longer than the fair share of a shard.
#[derive(Debug, Clone, PartialEq)]
pub struct LongUnit {
    /// `web::db`, or what its tests have in common.
    pub name: String,
    /// The shard that it is in.
    pub shard: Shard,
    pub size: UnitSize,
}

/// A size, and the fair share of a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnitSize {
    Work { unit: Duration, share: Duration },
    Tests { unit: usize, share: usize },
}
