//! Which test is meant.

/// One test: the place of its listing in the inventory, and its place in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TestId {
    pub listing: usize,
    pub test: usize,
}
