//! The guard that looks after a test's threads where no runner does.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use super::joiner::wait;
use super::owner::{Before, Test};
use super::task::Task;
use super::threads::ThreadInfo;

/// Looks after this test's threads until the end of the test:
///
/// - a thread of [`spawn`](crate::spawn) that panicked, and that nobody joined, makes the test
///   fail, with what it said and where;
/// - threads that are still alive are reported; the test passes all the same.
///
/// Its place is the first line of a test: what comes first is dropped last. It is all one needs
/// under plain `cargo test` or nextest. `cargo partest` finds both by itself, for unchanged
/// tests; a guard does no harm there.
///
/// ```
/// let _threads = partest::watch();
/// let ready = partest::spawn(|| "ready");
/// assert_eq!(ready.join().unwrap(), "ready");
/// ```
///
/// The thread that panics here is seen by nobody but the guard:
///
/// ```should_panic
/// let _threads = partest::watch();
/// partest::join_threads(std::time::Duration::from_secs(5), || {
///     partest::spawn(|| panic!("just for fun"));
/// });
/// ```
///
/// What a thread does after its test has ended cannot be charged to it by any guard: under
/// `cargo test` a later panic is lost, and only `cargo partest` tells whose it was. Neither can
/// a panic of a thread that was started by other means; join it, or use
/// [`spawn`](crate::spawn).
pub fn watch() -> Watch {
    let test = Test::current();
    test.watches.fetch_add(1, SeqCst);
    Watch { test, linger: Duration::ZERO, format: Box::new(report), sink: Box::new(print) }
}

/// The guard of [`watch`].
#[must_use = "it looks after the threads until it is dropped, which is at once"]
pub struct Watch {
    test: Arc<Test>,
    linger: Duration,
    format: Box<dyn Fn(&LeftBehind) -> String>,
    sink: Box<dyn Fn(&str)>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("test", &self.test.name).finish_non_exhaustive()
    }
}

impl Watch {
    /// How long threads may outlive the test before they are reported; the end of the test waits
    /// for them so long. Zero, unless this is called.
    pub fn linger(mut self, time: Duration) -> Watch {
        self.linger = time;
        self
    }

    /// The wording of the report on threads that were left behind.
    ///
    /// ```
    /// let _threads = partest::watch().format(|left| {
    ///     format!("\nMessy test: {}\nThe mess: {:?}\n", left.test, left.threads)
    /// });
    /// ```
    pub fn format(mut self, format: impl Fn(&LeftBehind) -> String + 'static) -> Watch {
        self.format = Box::new(format);
        self
    }

    /// Where the report on threads that were left behind goes; to stdout, unless this is called.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// let entries = log.clone();
    /// let threads =
    ///     partest::watch().sink(move |text| entries.lock().unwrap().push(text.to_owned()));
    /// partest::Builder::new().name("reaper").spawn(std::thread::park)?;
    ///
    /// drop(threads);
    /// let log = log.lock().unwrap();
    /// assert!(log[0].starts_with("The following test left new threads behind:\n"));
    /// assert!(log[0].contains("New thread(s):\n  reaper"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sink(mut self, sink: impl Fn(&str) + 'static) -> Watch {
        self.sink = Box::new(sink);
        self
    }
}

/// The threads that a test has left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftBehind {
    /// The test, named as `cargo partest` does: `BINARY::path::name`.
    pub test: String,
    /// Its threads that are alive, sorted by name.
    pub threads: Vec<ThreadInfo>,
}

/// The report's usual wording.
impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The following test left new threads behind:\n  {}", self.test)?;
        f.write_str("New thread(s):")?;
        self.threads.iter().try_for_each(|thread| write!(f, "\n  {thread}"))
    }
}

fn report(left: &LeftBehind) -> String {
    left.to_string()
}

/// Where it is seen although the test passes. Under `cargo partest`, which tells of threads in
/// its own words, it stays with the test's output, since what a worker prints past the capture
/// belongs to nobody there.
fn print(text: &str) {
    if crate::is_active() {
        println!("{text}");
    } else {
        // Not by a macro, whose output libtest would keep; and not in the middle of a line of its
        // own. Who has closed stdout does not want to know.
        let _ = writeln!(std::io::stdout().lock(), "\n{text}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let threads = wait(&self.test, &Before::default(), self.linger);
        self.test.watches.fetch_sub(1, SeqCst);
        let failures = if self.test.is_watched() { Vec::new() } else { failures(&self.test) };
        if !threads.is_empty() {
            let left = LeftBehind { test: self.test.name.clone(), threads };
            (self.sink)(&(self.format)(&left));
        }
        if failures.is_empty() {
            return;
        }
        let text = format!("a thread of this test failed: {}", failures.join("; "));
        // A test may fail by itself and by its threads: both are told.
        if thread::panicking() { eprintln!("{text}") } else { panic!("{text}") }
    }
}

fn failures(test: &Test) -> Vec<String> {
    let failure = |task: Arc<Task>| {
        let panic = task.take_panic()?;
        let name = task.name.as_deref().unwrap_or("unnamed");
        Some(format!("thread `{name}` {panic}"))
    };
    test.tasks().into_iter().filter_map(failure).collect()
}
