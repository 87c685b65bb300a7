//! A lock that was learnt, and who takes it.

use serde::{Deserialize, Serialize};

use crate::model::interference::InterferenceKind;
use crate::model::thing::Thing;

/// What the names of learnt locks begin with: none that is declared has to do with them.
const PREFIX: &str = "learnt: ";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub thing: Thing,
    pub kind: InterferenceKind,
    /// Whether a test has failed because of it.
    pub is_proven: bool,
    pub users: Vec<LockUser>,
}

/// A test that takes a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockUser {
    #[serde(flatten)]
    pub user: User,
    /// Whether others may read beside it.
    pub only_reads: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct User {
    /// `web/test/api`.
    pub binary: String,
    /// None: all tests of the binary.
    pub test: Option<String>,
}

impl Lock {
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.thing)
    }

    /// The binary whose own processes it keeps apart, if it is for that.
    pub(super) fn only_user(&self) -> Option<&User> {
        match &*self.users {
            [LockUser { user, .. }] if user.test.is_none() => Some(user),
            _ => None,
        }
    }

    /// Whether all of its users belong to this binary.
    pub(super) fn is_of(&self, binary: &str) -> bool {
        self.users.iter().all(|user| user.user.binary == binary)
    }
}

/// The thing that a lock's name stands for, if it is a learnt one.
pub fn thing_of(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}
