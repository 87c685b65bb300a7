//! A crate beside the workspace, with a static that others use: its author is theirs, too.

use std::sync::atomic::{AtomicU64, Ordering};

static LAST: AtomicU64 = AtomicU64::new(0);

/// A number that was never given before, in this process.
pub fn next() -> u64 {
    LAST.fetch_add(1, Ordering::SeqCst) + 1
}
