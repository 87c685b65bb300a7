//! What can become of a shared fixture.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One instance of a fixture; displayed as `server`, or `db of slot 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixtureInstance {
    pub name: String,
    /// Where every slot has its own.
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

/// Why a fixture could not serve its tests. It also passes from the daemon that keeps a fixture
/// between runs to the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum FixtureFailure {
    /// Whatever else: it could not be started, what it handed over could not be read, or it was kept
    /// from an earlier run and is gone.
    #[error("{0}")]
    Other(String),
    #[error(
        "it was not ready after {0:?} (it says so by a line PARTEST_READY, or as `ready` in Cargo.toml tells)"
    )]
    NotReady(Duration),
    /// With `exit code 3`, say.
    #[error("it ended with {0} before it was ready")]
    DiedBeforeReady(String),
    #[error("it ended with {0} while its tests needed it")]
    Died(String),
}

/// What was wrong with the end of a fixture that was told to stop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StopFailure {
    #[error("it did not stop within {0:?} and was killed")]
    Killed(Duration),
    #[error("its command to stop it {how}: {command}{}", its_words(.last_line))]
    Command { how: String, command: String, last_line: Option<String> },
}

fn its_words(line: &Option<String>) -> String {
    line.as_ref().map(|line| format!(", and said: {line}")).unwrap_or_default()
}
