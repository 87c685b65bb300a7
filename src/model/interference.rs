//! Two tests of different processes that use one thing at the same time.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::test::TestId;
use super::thing::Thing;

/// What was done to the thing, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterferenceKind {
    /// Both have bound it.
    Bound,
    /// It was removed while the other used it.
    Removed,
    Truncated,
    /// Both have created it, and for one it was there already.
    Created,
    Written,
}

pub const INTERFERENCE_KINDS: [InterferenceKind; 5] = [
    InterferenceKind::Bound,
    InterferenceKind::Removed,
    InterferenceKind::Truncated,
    InterferenceKind::Created,
    InterferenceKind::Written,
];

impl InterferenceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            InterferenceKind::Bound => "bound",
            InterferenceKind::Removed => "removed",
            InterferenceKind::Truncated => "truncated",
            InterferenceKind::Created => "created",
            InterferenceKind::Written => "written",
        }
    }
}

impl fmt::Display for InterferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a test failed that passes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interference {
    /// The other test. None if it is not known which test of its process it was, or if that process
    /// used the thing outside of its tests.
    pub other: Option<TestId>,
    /// A test of the process that the other one ran in.
    pub process_of: TestId,
    pub thing: Thing,
    pub kind: InterferenceKind,
}

/// A thing that tests used in ways that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedThing {
    pub thing: Thing,
    pub kind: InterferenceKind,
    pub users: Vec<ThingUser>,
}

/// A test that must not meet the other users of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThingUser {
    pub test: TestId,
    /// Not this test used it, as far as is known, but its process.
    pub is_process: bool,
    /// Whether it only needs the thing to stay as it is.
    pub only_reads: bool,
}

impl SharedThing {
    pub fn add(&mut self, user: ThingUser) {
        let is_it =
            |known: &&mut ThingUser| (known.test, known.is_process) == (user.test, user.is_process);
        match self.users.iter_mut().find(is_it) {
            Some(known) => known.only_reads &= user.only_reads,
            None => self.users.push(user),
        }
    }

    /// Whether a lock for this directory also keeps the users of something in it apart.
    pub fn covers(&self, inner: &SharedThing) -> bool {
        let writes = |user: &ThingUser| {
            self.users.iter().any(|own| own.test.listing == user.test.listing && !own.only_reads)
        };
        inner.users.iter().all(writes)
    }
}

/// A lock that keeps tests apart from the next run on, because of what they did in this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearntLock {
    pub thing: Thing,
    pub kind: InterferenceKind,
    /// The ids of the tests, or of the binaries, that take it.
    pub users: Vec<String>,
}
