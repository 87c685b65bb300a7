//! Threads whose panics count against the test that started them.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, Once};
use std::thread;

use super::lock::lock;
use super::task::{Panic, Task};
use super::test::Test;
use super::threads;

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
    /// The thread's latest panic, as the hook saw it.
    static LATEST_PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Puts a hook in front of the current panic hook, once.
fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    // A panicking thread may not change hooks.
    if !thread::panicking() {
        INSTALLED.call_once(|| {
            let former = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !IS_SILENT.try_with(Cell::get).unwrap_or(false) {
                    let panic = Panic::from(info);
                    let _ = LATEST_PANIC.try_with(|latest| *latest.borrow_mut() = Some(panic));
                    former(info);
                }
            }));
        });
    }
}

/// Marks the task as finished when the body returns or unwinds. The panic itself goes on to the
/// end of the thread, where the standard library and the agent see it as it is.
struct FinishOnDrop(Arc<Task>);

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        let panic = thread::panicking().then(|| {
            let latest = LATEST_PANIC.try_with(|latest| latest.borrow_mut().take());
            latest.ok().flatten().unwrap_or_else(Panic::unknown)
        });
        self.0.finish(panic);
    }
}

/// Starts a thread whose panic counts against the test that started it, even if nobody joins
/// the thread. Returns when the thread has started.
///
/// What makes it count:
///
/// - under `cargo partest`, the runner: it charges a panic that nobody joined to this test, even
///   if the test had finished by then (`leaks = { panic = "deny" }` makes it a failure);
/// - under `cargo test` and nextest, a guard: see [`watch`](crate::watch). A panic after the end
///   of the test is too late there.
///
/// A panic of a thread that is joined is returned by [`JoinHandle::join`], and counts nowhere
/// else.
///
/// ```
/// let answer = partest::spawn(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
///
/// # Panics
///
/// If the system cannot start another thread; [`Builder::spawn`] returns that as an error.
pub fn spawn<F, T>(body: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(body) {
        Ok(handle) => handle,
        Err(error) => panic!("cannot start a thread: {error}"),
    }
}

/// Settings of a thread to be started: its name, the size of its stack, and whether its panic is
/// expected.
///
/// ```
/// let builder = partest::Builder::new().name("door").stack_size(64 * 1024);
/// let door = builder.spawn(|| std::thread::current().name().map(str::to_owned))?;
/// assert_eq!(door.join().unwrap().as_deref(), Some("door"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Default)]
#[must_use = "no thread starts before `spawn` is called"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    is_silent: bool,
}

impl Builder {
    /// A thread without a name, with the standard library's size of the stack, whose panic
    /// counts.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread, as reports and the system show it.
    pub fn name(self, name: impl Into<String>) -> Builder {
        Builder { name: Some(name.into()), ..self }
    }

    /// Sets the size of the thread's stack, in bytes.
    pub fn stack_size(self, bytes: usize) -> Builder {
        Builder { stack_size: Some(bytes), ..self }
    }

    /// Expects a panic of this thread: it prints nothing and counts against no test. Joining the
    /// thread still returns it.
    ///
    /// It is the panic hook that prints. This library installs one in front of the current hook
    /// when it starts its first thread; a hook that is installed after that sees all panics.
    ///
    /// ```
    /// let _threads = partest::watch(); // would panic at the end if a thread had failed
    /// let silent = partest::Builder::new().silent().spawn(|| panic!("just for fun"))?;
    /// assert_eq!(*silent.join().unwrap_err().downcast::<&str>().unwrap(), "just for fun");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn silent(self) -> Builder {
        Builder { is_silent: true, ..self }
    }

    /// Starts the thread, and returns when it has started. See [`spawn`] for what becomes of its
    /// panic.
    ///
    /// ```
    /// let thread = partest::Builder::new().name("adds").spawn(|| 1 + 1)?;
    /// assert_eq!(thread.thread().name(), Some("adds"));
    /// assert_eq!(thread.join().unwrap(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system cannot start another thread.
    ///
    /// # Panics
    ///
    /// If the name contains a null byte.
    pub fn spawn<F, T>(self, body: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        install_panic_hook();
        let builder = self.to_std();
        let is_silent = self.is_silent;
        let test = Test::current();
        let task = Arc::new(Task::new(self.name));
        test.add(task.clone());
        let result = Arc::new(Mutex::new(None));
        let (started, start) = channel();
        let of_thread = (test.clone(), task.clone(), result.clone());
        let handle = builder.spawn(move || {
            let (test, task, result) = of_thread;
            test.adopt();
            drop(test);
            task.set_identity(threads::own());
            // The thread that called `spawn` waits for this.
            let _ = started.send(());
            let _finish = FinishOnDrop(task);
            let value = if is_silent { run_silently(body) } else { Ok(body()) };
            *lock(&result) = Some(value);
        });
        let handle = handle.inspect_err(|_| test.remove(&task))?;
        let thread = handle.thread().clone();
        task.set_handle(handle);
        let _ = start.recv();
        Ok(JoinHandle { task, test, thread, result })
    }

    fn to_std(&self) -> thread::Builder {
        let mut builder = thread::Builder::new();
        if let Some(name) = &self.name {
            builder = builder.name(name.clone());
        }
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        builder
    }
}

fn run_silently<T>(body: impl FnOnce() -> T) -> thread::Result<T> {
    IS_SILENT.with(|is_silent| is_silent.set(true));
    panic::catch_unwind(AssertUnwindSafe(body))
}

/// The handle of a thread that [`spawn`] started, to wait for it, like
/// [`std::thread::JoinHandle`]. Dropping it lets the thread go on alone.
#[derive(Debug)]
pub struct JoinHandle<T> {
    task: Arc<Task>,
    test: Arc<Test>,
    thread: thread::Thread,
    result: Arc<Mutex<Option<thread::Result<T>>>>,
}

impl<T> JoinHandle<T> {
    /// Waits for the end of the thread, and returns what its body returned.
    ///
    /// # Errors
    ///
    /// If the thread panicked: the panic's payload. It then counts against no test.
    ///
    /// ```
    /// let fails = partest::spawn(|| panic!("just for fun"));
    /// assert_eq!(*fails.join().unwrap_err().downcast::<&str>().unwrap(), "just for fun");
    /// ```
    pub fn join(self) -> thread::Result<T> {
        let joined = self.task.join();
        self.test.remove(&self.task);
        joined?;
        let result = lock(&self.result).take();
        result.unwrap_or_else(|| Err(Box::new("the thread left no result")))
    }

    /// Whether the thread's body has returned or panicked, so that [`join`](JoinHandle::join)
    /// does not block for long.
    ///
    /// ```
    /// let (finish, finished) = std::sync::mpsc::channel::<()>();
    /// let thread = partest::spawn(move || finished.recv());
    /// assert!(!thread.is_finished());
    /// # drop(finish);
    /// # thread.join().unwrap().unwrap_err();
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.has_finished()
    }

    /// The thread itself: for its name or its id, or to unpark it.
    ///
    /// ```
    /// let thread = partest::spawn(std::thread::park);
    /// thread.thread().unpark();
    /// thread.join().unwrap();
    /// ```
    #[must_use]
    pub fn thread(&self) -> &thread::Thread {
        &self.thread
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // A guard asks later how the thread ended.
        self.task.detach(self.test.is_watched());
    }
}
