//! The public questions about a test's own threads.

use super::test::{Snapshot, Test};
use super::threads::ThreadInfo;

/// Lists this test's own threads that are alive, sorted by name: those that were started since
/// the test began, by the test itself or by its other threads. The test's own thread is not
/// among them, nor are threads that existed before or that other tests started.
///
/// Threads of [`spawn`](crate::spawn) are known everywhere; [`sees_every_thread`] says whether
/// all others are, too. Where they are not, they are left out: what may be another test's
/// thread is never reported as this test's.
///
/// Call it from the test's own thread, or from one that [`spawn`](crate::spawn) started. (Any
/// other thread is known as part of the test under `cargo partest` only.)
///
/// ```
/// let (finish, finished) = std::sync::mpsc::channel::<()>();
/// let waiter = partest::Builder::new().name("waiter").spawn(move || finished.recv())?;
/// assert_eq!(partest::active()[0].name.as_deref(), Some("waiter"));
/// assert_eq!(partest::active_count(), 1);
///
/// drop(finish);
/// waiter.join().unwrap().unwrap_err();
/// assert_eq!(partest::active_count(), 0);
/// # std::io::Result::Ok(())
/// ```
#[must_use]
pub fn active() -> Vec<ThreadInfo> {
    Test::current().threads(&Snapshot::default()).own
}

/// Counts this test's own threads that are alive: the length of the list that [`active`]
/// returns.
///
/// ```
/// let thread = partest::spawn(std::thread::park);
/// assert_eq!(partest::active_count(), 1);
///
/// thread.thread().unpark();
/// thread.join().unwrap();
/// assert_eq!(partest::active_count(), 0);
/// ```
#[must_use]
pub fn active_count() -> usize {
    active().len()
}

/// Whether this library can tell every thread of this test from those of others:
///
/// - under `cargo partest` with its agent (Linux with glibc), always;
/// - on Linux without the agent, if no other test runs in the process at the same time: in a
///   doctest, under nextest, or with `--test-threads=1`. (If a thread that an earlier test left
///   behind starts another one, that one is mistaken for this test's);
/// - on other systems, never.
///
/// Otherwise only threads of [`spawn`](crate::spawn) are known.
///
/// ```
/// // Threads of `std` are counted where they can be known.
/// let waiter = std::thread::spawn(std::thread::park);
/// let expected = if partest::sees_every_thread() { 1 } else { 0 };
/// assert_eq!(partest::active_count(), expected);
/// waiter.thread().unpark();
/// # waiter.join().unwrap();
/// ```
#[must_use]
pub fn sees_every_thread() -> bool {
    Test::current().sees_every_thread()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::agent;
    use std::thread;

    #[test]
    fn another_tests_threads_are_not_counted() {
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let own = crate::spawn(move || finished.recv());
        let other = thread::spawn(|| {
            let inner = crate::spawn(thread::park);
            let count = active_count();
            inner.thread().unpark();
            inner.join().unwrap();
            count
        });
        // To the library alone the other thread is a test of its own. To the agent it is this
        // test's: then all of the test's threads count but the calling one.
        let expected = if agent::is_here() { 3 } else { 1 };
        assert_eq!(other.join().unwrap(), expected);
        assert_eq!(active_count(), 1, "{:?}", active());
        drop(finish);
        own.join().unwrap().unwrap_err();
        assert_eq!(active_count(), 0, "{:?}", active());
    }
}
