//! Waiting for the threads that a piece of code has started.

use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::owner::{Before, Test};
use super::threads::ThreadInfo;

/// Waits, from its creation to its end, for the threads that this test starts: a guard, whose
/// drop waits for those that are still alive and panics if some are when the time is over.
///
/// There is one deadline for all of them, which begins with the waiting. What is waited for
/// is a difference of sets: a thread that was there before may end or stay, as it likes.
///
/// Joiners nest: an inner one that only reports, and an outer one that cleans up.
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
/// Which threads are known is what [`sees_every_thread`](crate::sees_every_thread) says. Where
/// it is not known whose a thread is, the joiner waits for it all the same, but does not fail or
/// name it if it stays: it may be that of a test that runs beside this one.
#[derive(Debug)]
#[must_use = "it waits when it is dropped, which is at once"]
pub struct ThreadJoiner {
    time: Duration,
    test: Arc<Test>,
    before: Before,
    is_done: bool,
}

impl ThreadJoiner {
    /// Looks after the threads that are started from now on, and will wait for them no longer
    /// than this.
    pub fn new(time: Duration) -> ThreadJoiner {
        let test = Test::current();
        let before = test.before_now();
        ThreadJoiner { time, test, before, is_done: false }
    }

    /// Waits now.
    ///
    /// # Errors
    ///
    /// Names every thread that is still alive when the time is over.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let joiner = partest::ThreadJoiner::new(Duration::from_millis(20));
    /// partest::Builder::new().name("stuck").spawn(std::thread::park)?;
    /// let error = joiner.join().unwrap_err();
    /// assert!(error.to_string().starts_with("timeout joining thread stuck"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn join(self) -> Result<(), StillAlive> {
        let time = self.time;
        match self.left_behind() {
            threads if threads.is_empty() => Ok(()),
            threads => Err(StillAlive { threads, time }),
        }
    }

    /// Waits now, and returns the threads that are still alive when the time is over, sorted
    /// by name.
    pub fn left_behind(mut self) -> Vec<ThreadInfo> {
        self.is_done = true;
        wait(&self.test, &self.before, self.time)
    }
}

impl Drop for ThreadJoiner {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let threads = wait(&self.test, &self.before, self.time);
        if threads.is_empty() {
            return;
        }
        let error = StillAlive { threads, time: self.time };
        // A panic that is under way is what the test failed by; this stands beside it.
        if thread::panicking() { eprintln!("{error}") } else { panic!("{error}") }
    }
}

/// The threads that are still alive when the time is over.
pub fn wait(test: &Test, before: &Before, time: Duration) -> Vec<ThreadInfo> {
    const LONGEST_PAUSE: Duration = Duration::from_millis(10);
    let began = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        let found = test.threads(before);
        let remaining = time.saturating_sub(began.elapsed());
        let is_all = found.own.is_empty() && !found.has_unknown;
        if is_all || remaining.is_zero() {
            return found.own;
        }
        thread::sleep(pause.min(remaining));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Threads that outlived the time that a [`ThreadJoiner`] had for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillAlive {
    /// All of them, sorted by name.
    pub threads: Vec<ThreadInfo>,
    /// How long was waited.
    pub time: Duration,
}

impl fmt::Display for StillAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.threads.iter().map(ToString::to_string).collect();
        let word = if names.len() == 1 { "thread" } else { "threads" };
        write!(f, "timeout joining {word} {}: still alive after {:?}", names.join(", "), self.time)
    }
}

impl Error for StillAlive {}

/// Runs the body and waits for the threads that it started, no longer than this for all of them.
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
/// When some are alive when the time is over, with all their names:
///
/// ```should_panic
/// # use std::time::Duration;
/// partest::join_threads(Duration::from_millis(20), || {
///     partest::spawn(std::thread::park);
/// });
/// ```
///
/// A panic of the body is passed on as it is; threads that are still alive then are told of on
/// stderr.
#[track_caller]
pub fn join_threads<T>(time: Duration, body: impl FnOnce() -> T) -> T {
    let joiner = ThreadJoiner::new(time);
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
