//! When a process that ran tests started and ended, and which tests it was for.

use std::time::Instant;

/// When a process that ran tests was there, by the run's clock, and what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSpan {
    /// Its `PARTEST_WORKER`.
    pub number: u64,
    pub pid: u32,
    /// The slots that its batch was given at first.
    pub slots: Vec<usize>,
    /// How many tests it could run at once, at first and at the most.
    pub threads: usize,
    pub most_threads: usize,
    /// The node of the module tree that has its tests.
    pub node: String,
    /// Whether the tests of the node have to share one process.
    pub is_unit: bool,
    pub began: Instant,
    /// When it had exited, and all that it had left behind was gone.
    pub ended: Instant,
}
