//! Mutexes that a panic leaves as they are.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing here is left half done by a panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
