//! How far a running batch has come.

use std::time::Duration;

/// How far a running batch has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// Tests that have not finished.
    pub(super) left: usize,
    /// Their expected work.
    pub(super) work: Duration,
}
