//! Threads whose panics count against the test that started them.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, Once};
use std::thread;

use super::lock::lock;
use super::owner::Test;
use super::task::{Panic, Task, message};
use super::threads::{self};

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
    /// The newest panic of a thread of ours, as the hook saw it.
    static SAID: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Puts ours in front of the panic hook that is there, once.
fn prepare_hook() {
    static IS_PREPARED: Once = Once::new();
    // A panicking thread may not change hooks.
    if !thread::panicking() {
        IS_PREPARED.call_once(|| {
            let former = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !IS_SILENT.try_with(Cell::get).unwrap_or(false) {
                    let _ = SAID.try_with(|said| *said.borrow_mut() = Some(read(info)));
                    former(info);
                }
            }));
        });
    }
}

fn read(info: &PanicHookInfo<'_>) -> Panic {
    Panic { message: message(info.payload()), place: info.location().map(ToString::to_string) }
}

/// Tells the task when the body ends or unwinds. The panic itself goes on to the thread's very
/// end, where the standard library and the agent see it as it is.
struct Notice(Arc<Task>);

impl Drop for Notice {
    fn drop(&mut self) {
        if thread::panicking() {
            let said = SAID.try_with(|said| said.borrow_mut().take()).ok().flatten();
            let unknown = || Panic { message: "without a message".to_owned(), place: None };
            self.0.note(said.unwrap_or_else(unknown));
        }
        self.0.has_ended.store(true, SeqCst);
    }
}

/// Starts a thread whose panic counts against the test that started it, also when nobody joins
/// the thread. Returns when the thread has started.
///
/// Who sees to the counting:
///
/// - under `cargo partest`, the runner, which charges a panic that nobody joined to this test,
///   even if the test was over by then (`leaks = { panic = "deny" }` makes it a failure);
/// - under `cargo test`, a guard: see [`watch`](crate::watch). What comes after the end of the
///   test is too late there.
///
/// A thread that is joined tells its panic to whoever joins it, and to nobody else.
///
/// ```
/// let answer = partest::spawn(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
///
/// # Panics
///
/// When the system has no room for another thread; [`Builder::spawn`] returns that as an error.
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

/// A thread to be started, with a name, a size of its stack, or in silence.
///
/// ```
/// let builder = partest::Builder::new().name("door").stack_size(64 * 1024);
/// let door = builder.spawn(|| std::thread::current().name().map(str::to_owned))?;
/// assert_eq!(door.join().unwrap().as_deref(), Some("door"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing starts before `spawn`"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    is_silent: bool,
}

impl Builder {
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread, for reports.
    pub fn name(self, name: impl Into<String>) -> Builder {
        Builder { name: Some(name.into()), ..self }
    }

    /// The size of the thread's stack, in bytes.
    pub fn stack_size(self, bytes: usize) -> Builder {
        Builder { stack_size: Some(bytes), ..self }
    }

    /// A panic of this thread is expected: it prints nothing and counts against nobody. Joining
    /// the thread still returns it.
    ///
    /// It is the panic hook that prints, so this asks for the hook that this library puts in
    /// front when its first thread starts. A test that sets a hook of its own afterwards hears
    /// of every panic.
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

    /// Starts the thread; see [`spawn`].
    ///
    /// # Errors
    ///
    /// When the system has no room for another thread.
    pub fn spawn<F, T>(self, body: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        prepare_hook();
        let builder = self.of_std();
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
            let _ = task.identity.set(threads::own());
            // The one who started it waits for this.
            let _ = started.send(());
            let _notice = Notice(task);
            let value = if is_silent { run_silently(body) } else { Ok(body()) };
            *lock(&result) = Some(value);
        });
        let handle = handle.inspect_err(|_| test.remove(&task))?;
        let thread = handle.thread().clone();
        lock(&task.state).handle = Some(handle);
        let _ = start.recv();
        Ok(JoinHandle { task, test, thread, result })
    }

    fn of_std(&self) -> thread::Builder {
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

/// A thread of [`spawn`], to be waited for, as [`std::thread::JoinHandle`]. Dropping it lets the
/// thread go on alone.
#[derive(Debug)]
pub struct JoinHandle<T> {
    task: Arc<Task>,
    test: Arc<Test>,
    thread: thread::Thread,
    result: Arc<Mutex<Option<thread::Result<T>>>>,
}

impl<T> JoinHandle<T> {
    /// Waits for the thread's end.
    ///
    /// # Errors
    ///
    /// The panic of the thread, which counts against nobody any more.
    ///
    /// ```
    /// let fails = partest::spawn(|| panic!("just for fun"));
    /// assert_eq!(*fails.join().unwrap_err().downcast::<&str>().unwrap(), "just for fun");
    /// ```
    pub fn join(self) -> thread::Result<T> {
        let handle = lock(&self.task.state).handle.take();
        let joined = handle.map_or(Ok(()), thread::JoinHandle::join);
        lock(&self.task.state).is_joined = true;
        self.test.remove(&self.task);
        joined?;
        let result = lock(&self.result).take();
        result.unwrap_or_else(|| Err(Box::new("the thread left no result")))
    }

    /// Whether the thread's work is done, so that [`join`](JoinHandle::join) will not take long.
    pub fn is_finished(&self) -> bool {
        self.task.has_ended()
    }

    /// The thread itself, for its name, its id or to unpark it.
    pub fn thread(&self) -> &thread::Thread {
        &self.thread
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.task.state);
        state.is_abandoned = true;
        // A guard wants to know how it ends.
        if !self.test.is_watched() {
            state.handle = None;
        }
    }
}
