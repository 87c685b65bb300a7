//! The guard that watches a test's threads where no runner does.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::joiner::wait;
use super::run;
use super::task::Task;
use super::test::{Snapshot, Test};
use super::threads::ThreadInfo;

/// Watches this test's threads until the guard that it returns is dropped, at the end of the
/// test:
///
/// - if a thread of [`spawn`](crate::spawn) panicked and nobody joined it, the test fails, with
///   the message and the location of the panic;
/// - threads that are still alive are reported; the test passes all the same.
///
/// It belongs on the first line of a test, because what is declared first is dropped last. That
/// is all one needs under plain `cargo test` or nextest. `cargo partest` finds both by itself, in
/// unchanged tests; a guard does no harm there.
///
/// ```
/// let _threads = partest::watch();
/// let ready = partest::spawn(|| "ready");
/// assert_eq!(ready.join().unwrap(), "ready");
/// ```
///
/// Only the guard makes this panic a failure of the test:
///
/// ```should_panic
/// let _threads = partest::watch();
/// partest::join_threads(std::time::Duration::from_secs(5), || {
///     partest::spawn(|| panic!("just for fun"));
/// });
/// ```
///
/// What a thread does after the end of its test is too late for any guard: under `cargo test` a
/// later panic is lost, and only `cargo partest` tells which test it belongs to. The panic of a
/// thread that was started by other means is not seen either; join it, or use
/// [`spawn`](crate::spawn).
pub fn watch() -> Watch {
    let test = Test::current();
    test.watch();
    Watch { test, linger: Duration::ZERO, format: Box::new(report), sink: Box::new(print) }
}

/// The guard of [`watch`].
///
/// It stays on the thread that created it, and so is neither [`Send`] nor [`Sync`].
///
/// ```
/// use std::time::Duration;
///
/// let _threads = partest::watch().linger(Duration::from_secs(1)).format(|left| {
///     format!("{} left {} threads behind", left.test, left.threads.len())
/// });
/// partest::spawn(|| std::thread::sleep(Duration::from_millis(20)));
/// ```
///
/// ```compile_fail
/// let threads = partest::watch();
/// std::thread::spawn(move || drop(threads));
/// ```
///
/// # Panics
///
/// The drop panics if a thread failed, with all failures; if the test is panicking already, it
/// prints them to stderr instead.
#[must_use = "without a name it is dropped at once, and watches nothing"]
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
    /// Sets how long threads may outlive the test before they are reported as left behind; the
    /// end of the test waits for them that long. The default is zero.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let threads = partest::watch()
    ///     .linger(Duration::from_secs(5))
    ///     .sink(|report| panic!("the thread ends in time: {report}"));
    /// partest::spawn(|| std::thread::sleep(Duration::from_millis(20)));
    /// drop(threads);
    /// ```
    pub fn linger(mut self, time: Duration) -> Watch {
        self.linger = time;
        self
    }

    /// Sets the wording of the report on threads that were left behind. The default is the
    /// `Display` of [`LeftBehind`].
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

    /// Sets where the report on threads that were left behind goes. By default it is printed to
    /// stdout: under `cargo partest` as part of the test's output, elsewhere past libtest's
    /// capture, so that it is seen although the test passes.
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

/// The threads that a test left behind, for [`Watch::format`]. Its `Display` is the report's
/// default wording.
///
/// ```
/// let threads = partest::watch().format(|left| left.to_string()).sink(|report| {
///     assert!(report.starts_with("The following test left new threads behind:\n"));
/// });
/// partest::spawn(std::thread::park);
/// drop(threads);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftBehind {
    /// The name of the test as `cargo partest` reports it: `BINARY::path::name`.
    pub test: String,
    /// Its threads that are still alive, sorted by name.
    pub threads: Vec<ThreadInfo>,
}

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

/// Prints the report so that it is seen although the test passes. Under `cargo partest`, which
/// reports threads by itself, it becomes part of the test's output: what a worker prints past the
/// capture belongs to no test there.
fn print(text: &str) {
    if run::is_active() {
        println!("{text}");
    } else {
        // libtest captures what macros print, and may have begun a line of its own. If stdout is
        // closed nobody reads it.
        let _ = writeln!(std::io::stdout().lock(), "\n{text}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let threads = wait(&self.test, &Snapshot::default(), self.linger);
        self.test.unwatch();
        let failures = if self.test.is_watched() { Vec::new() } else { failures(&self.test) };
        if !threads.is_empty() {
            let left = LeftBehind { test: self.test.name.clone(), threads };
            (self.sink)(&(self.format)(&left));
        }
        if failures.is_empty() {
            return;
        }
        let text = format!("a thread of this test failed: {}", failures.join("; "));
        // A test may fail by itself and by its threads: both are reported.
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
