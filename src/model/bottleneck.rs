//! What a run has to wait for while slots are idle.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Bottleneck {
    /// A test, a node, or a lock.
    pub what: String,
    pub took: Duration,
    pub kind: BottleneckKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BottleneckKind {
    /// Tests that run while nothing else may.
    Exclusive,
    /// Tests with a lock that excludes others.
    Lock,
    /// Some tests of a node, in one process.
    Batch,
    /// A unit.
    Unit,
    /// A unit that runs one test after another, because its policy says so.
    Serial,
    /// A single test.
    Test,
}
