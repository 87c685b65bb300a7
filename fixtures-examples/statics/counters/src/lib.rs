//! A crate of the workspace with a static that others use.
//!
//! The static stands at the root: it binds every binary that it is linked into as a whole.

use std::sync::atomic::{AtomicU64, Ordering};

static LAST: AtomicU64 = AtomicU64::new(0);

/// A number that was never given before, in this process.
pub fn next() -> u64 {
    LAST.fetch_add(1, Ordering::SeqCst) + 1
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_number_is_given_twice() {
        assert_ne!(super::next(), super::next());
    }

    #[test]
    fn numbers_start_at_one() {
        assert!(super::next() >= 1);
    }
}
