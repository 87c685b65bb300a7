//! Instances of shared fixtures, and how they can fail.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One instance of a fixture; displayed as `server`, or `db of slot 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixtureInstance {
    pub name: String,
    /// Set if every slot has its own instance.
    pub slot: Option<usize>,
}

impl fmt::Display for FixtureInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot {
            Some(slot) => write!(f, "{} of slot {slot}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FixtureInstance {
    /// The one that is displayed as this.
    pub fn of_text(text: &str) -> FixtureInstance {
        let by_slot = text.rsplit_once(" of slot ");
        match by_slot.and_then(|(name, slot)| Some((name, slot.parse().ok()?))) {
            Some((name, slot)) => FixtureInstance { name: name.to_owned(), slot: Some(slot) },
            None => FixtureInstance { name: text.to_owned(), slot: None },
        }
    }
}

/// Why a fixture failed. Serialized, because the daemon that keeps a fixture between runs sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum FixtureFailure {
    /// Any other failure: it could not be started, its handover could not be read, or it was kept
    /// by an earlier run and is gone.
    #[error("{0}")]
    Other(String),
    #[error(
        "it was not ready after {0:?} (no line PARTEST_READY, nor one that matches its key `ready`)"
    )]
    NotReady(Duration),
    /// With `exit code 3`, say.
    #[error("it ended with {0} before it was ready")]
    DiedBeforeReady(String),
    #[error("it ended with {0} while its tests needed it")]
    Died(String),
}

/// What went wrong while a fixture was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StopFailure {
    #[error("it did not stop within {0:?} and was killed")]
    Killed(Duration),
    /// As another run has told it.
    #[error("{0}")]
    Told(String),
    #[error("its `stop` command {how}: {command}{}", last_words(.last_line))]
    Command { how: String, command: String, last_line: Option<String> },
}

fn last_words(line: &Option<String>) -> String {
    line.as_ref().map(|line| format!(" ({line})")).unwrap_or_default()
}
