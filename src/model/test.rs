//! How tests are identified.

/// The index of a test's listing in the inventory, and its index in the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TestId {
    pub listing: usize,
    pub test: usize,
}
