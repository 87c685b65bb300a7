//! How far a running batch has come.

use std::time::Duration;

/// How far a running batch has come, and how wide it may become.
#[derive(Debug)]
pub(super) struct Progress {
    /// Tests that have not finished.
    pub(super) left: usize,
    /// Their expected work.
    pub(super) work: Duration,
    pub(super) most_threads: usize,
}
