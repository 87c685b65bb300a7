//! A stand-in for the published crate of this name: a lock that holds in one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits for its turn, which lasts as long as what it returns.
pub fn serial() -> MutexGuard<'static, ()> {
    // A test that failed in its turn is no reason for the next one to fail.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
