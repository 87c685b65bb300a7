//! Waiting for the threads that a piece of code has started.

use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::test::{Snapshot, Test};
use super::threads::ThreadInfo;

/// A guard that waits for the threads that this test starts while the guard exists.
///
/// [`join`](ThreadJoiner::join), [`left_behind`](ThreadJoiner::left_behind) or the drop wait for
/// those that are still alive then. One timeout, counted from then, holds for all of them.
/// Threads that existed before the guard are not waited for.
///
/// Joiners nest: an inner one may report what an outer one cleans up.
///
/// ```
/// use partest::ThreadJoiner;
/// use std::time::Duration;
///
/// let (finish, finished) = std::sync::mpsc::channel::<()>();
/// let outer = ThreadJoiner::new(Duration::from_secs(5));
///
/// let inner = ThreadJoiner::new(Duration::from_millis(50));
/// partest::Builder::new().name("stuck").spawn(move || finished.recv())?;
/// partest::Builder::new().name("quick").spawn(|| ())?;
/// let left = inner.left_behind();
/// assert_eq!(left.len(), 1);
/// assert_eq!(left[0].name.as_deref(), Some("stuck"));
///
/// drop(finish);
/// drop(outer);
/// assert_eq!(partest::active_count(), 0);
/// # std::io::Result::Ok(())
/// ```
///
/// Which threads are known is what [`sees_every_thread`](crate::sees_every_thread) says. If it is
/// unknown which test a thread belongs to, the joiner waits for it too, but neither names it nor
/// fails if it stays: it may belong to a test that runs at the same time.
///
/// # Panics
///
/// The drop of a joiner that has not waited yet panics if threads are still alive when the time is
/// over; if the test is panicking already, it prints their names to stderr instead:
///
/// ```should_panic
/// use std::time::Duration;
///
/// let _joiner = partest::ThreadJoiner::new(Duration::from_millis(20));
/// partest::spawn(std::thread::park);
/// ```
#[derive(Debug)]
#[must_use = "without a name it is dropped, and waits, at once"]
pub struct ThreadJoiner {
    timeout: Duration,
    test: Arc<Test>,
    before: Snapshot,
    has_waited: bool,
}

impl ThreadJoiner {
    /// Creates a joiner for the threads that are started from now on. Once it waits, it does so
    /// for at most `timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let _joiner = partest::ThreadJoiner::new(Duration::from_secs(5));
    /// partest::spawn(|| std::thread::sleep(Duration::from_millis(20)));
    /// // The drop waits for it.
    /// ```
    pub fn new(timeout: Duration) -> ThreadJoiner {
        let test = Test::current();
        let before = test.snapshot();
        ThreadJoiner { timeout, test, before, has_waited: false }
    }

    /// Waits until all of the threads have ended, or the time is over.
    ///
    /// # Errors
    ///
    /// If threads are still alive when the time is over: all of them, by name.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let joiner = partest::ThreadJoiner::new(Duration::from_millis(20));
    /// partest::Builder::new().name("stuck").spawn(std::thread::park)?;
    /// let error = joiner.join().unwrap_err();
    /// assert!(error.to_string().starts_with("timeout joining thread stuck"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn join(self) -> Result<(), JoinTimeout> {
        let timeout = self.timeout;
        match self.left_behind() {
            threads if threads.is_empty() => Ok(()),
            threads => Err(JoinTimeout { threads, timeout }),
        }
    }

    /// Waits until all of the threads have ended, or the time is over, and returns those that are
    /// still alive then, sorted by name. It does not fail for them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let joiner = partest::ThreadJoiner::new(Duration::from_secs(5));
    /// partest::spawn(|| ());
    /// assert!(joiner.left_behind().is_empty());
    /// ```
    pub fn left_behind(mut self) -> Vec<ThreadInfo> {
        self.has_waited = true;
        wait(&self.test, &self.before, self.timeout)
    }
}

impl Drop for ThreadJoiner {
    fn drop(&mut self) {
        if self.has_waited {
            return;
        }
        let threads = wait(&self.test, &self.before, self.timeout);
        if threads.is_empty() {
            return;
        }
        let error = JoinTimeout { threads, timeout: self.timeout };
        // The test fails with the panic that it is unwinding from; a second one would abort.
        if thread::panicking() { eprintln!("{error}") } else { panic!("{error}") }
    }
}

/// Waits for the test's threads that are not in the snapshot, and returns those that are still
/// alive when the time is over.
pub fn wait(test: &Test, before: &Snapshot, timeout: Duration) -> Vec<ThreadInfo> {
    const LONGEST_PAUSE: Duration = Duration::from_millis(10);
    let began = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        let found = test.threads(before);
        let remaining = timeout.saturating_sub(began.elapsed());
        let is_all = found.own.is_empty() && !found.has_unknown;
        if is_all || remaining.is_zero() {
            return found.own;
        }
        thread::sleep(pause.min(remaining));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The error of a [`ThreadJoiner`]: threads that were still alive when its time was over.
///
/// ```
/// use std::time::Duration;
///
/// let joiner = partest::ThreadJoiner::new(Duration::from_millis(20));
/// partest::spawn(std::thread::park);
/// let error = joiner.join().unwrap_err();
/// assert_eq!((error.threads.len(), error.timeout), (1, Duration::from_millis(20)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinTimeout {
    /// The threads, sorted by name.
    pub threads: Vec<ThreadInfo>,
    /// How long the joiner waited for them.
    pub timeout: Duration,
}

impl fmt::Display for JoinTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.threads.iter().map(ToString::to_string).collect();
        let word = if names.len() == 1 { "thread" } else { "threads" };
        let (names, timeout) = (names.join(", "), self.timeout);
        write!(f, "timeout joining {word} {names}: still alive after {timeout:?}")
    }
}

impl Error for JoinTimeout {}

/// Runs `body`, waits for at most `timeout` until all of the threads that it started have ended,
/// and returns what it returned.
///
/// ```
/// use std::time::Duration;
///
/// let answer = partest::join_threads(Duration::from_secs(5), || {
///     partest::spawn(|| std::thread::sleep(Duration::from_millis(20)));
///     42
/// });
/// assert_eq!(answer, 42);
/// assert_eq!(partest::active_count(), 0);
/// ```
///
/// # Panics
///
/// If threads are still alive when the time is over, with the names of all of them:
///
/// ```should_panic
/// use std::time::Duration;
///
/// partest::join_threads(Duration::from_millis(20), || {
///     partest::spawn(std::thread::park);
/// });
/// ```
///
/// If `body` panics, that panic goes on unchanged, after the wait; the names of threads that are
/// still alive are then printed to stderr.
#[track_caller]
pub fn join_threads<T>(timeout: Duration, body: impl FnOnce() -> T) -> T {
    let joiner = ThreadJoiner::new(timeout);
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    match (outcome, joiner.join()) {
        (Ok(value), Ok(())) => value,
        (Ok(_), Err(error)) => panic!("{error}"),
        (Err(payload), joined) => {
            if let Err(error) = joined {
                eprintln!("{error}");
            }
            panic::resume_unwind(payload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// A thread that stays until the sender is dropped.
    fn stuck(name: &str) -> Sender<()> {
        let (finish, finished) = channel::<()>();
        crate::Builder::new().name(name).spawn(move || finished.recv()).unwrap();
        finish
    }

    fn short() -> ThreadJoiner {
        ThreadJoiner::new(Duration::from_millis(50))
    }

    #[test]
    fn one_deadline_serves_for_all_and_every_one_is_named() {
        let joiner = short();
        let stay = ["c", "a", "b"].map(stuck);
        let began = Instant::now();
        let error = joiner.join().unwrap_err();
        assert!(began.elapsed() < Duration::from_millis(50) * 3);
        let names: Vec<_> = error.threads.iter().filter_map(|t| t.name.as_deref()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let text = error.to_string();
        assert!(text.starts_with("timeout joining threads a"), "{text}");
        drop(stay);
    }

    #[test]
    fn a_panic_of_the_body_is_not_masked() {
        let mut stay = None;
        let body = AssertUnwindSafe(|| {
            join_threads(Duration::from_millis(20), || {
                stay = Some(stuck("stays"));
                panic::resume_unwind(Box::new("the body's own"));
            })
        });
        let payload = panic::catch_unwind(body).unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "the body's own");
    }

    #[test]
    fn a_guard_does_not_mask_a_panic_either() {
        let mut stay = None;
        let body = AssertUnwindSafe(|| {
            let _joiner = short();
            stay = Some(stuck("stays"));
            panic::resume_unwind(Box::new("the body's own"));
        });
        let payload = panic::catch_unwind(body).unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "the body's own");
    }

    #[test]
    fn a_guard_panics_for_a_thread_that_stays() {
        let mut stay = None;
        let body = AssertUnwindSafe(|| {
            let _joiner = short();
            stay = Some(stuck("stays"));
        });
        let payload = panic::catch_unwind(body).unwrap_err();
        let text = payload.downcast::<String>().unwrap();
        assert!(text.starts_with("timeout joining thread stays"), "{text}");
    }

    #[test]
    fn what_was_there_before_may_stay_or_end() {
        let before = [stuck("ends"), stuck("stays")];
        let [ends, stays] = before;
        let joiner = ThreadJoiner::new(Duration::from_secs(5));
        let own = stuck("own");
        drop(ends);
        drop(own);
        joiner.join().unwrap();
        drop(stays);
    }
}
