//! A test that fails only because of what another one of its process has done before it.
//!
//! Under `cargo partest` the first passes and the second fails, since both are in one unit; run
//! alone, `cargo partest the_shop_opens_closed` passes. The report should say that the order
//! mattered, and that `isolate = true` is a way out.

use std::sync::atomic::{AtomicBool, Ordering};

static OPEN: AtomicBool = AtomicBool::new(false);

pub fn open() {
    OPEN.store(true, Ordering::SeqCst);
}

pub fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::{is_open, open};

    #[test]
    fn the_keeper_opens_the_shop() {
        open();
        // And nobody closes it again.
        assert!(is_open());
    }

    #[test]
    fn the_shop_opens_closed() {
        assert!(!is_open(), "the shop is open already");
    }
}
