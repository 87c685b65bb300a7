//! Whose thread is it?
//!
//! The rule: what may be another test's thread is never called this test's. What started by
//! [`crate::spawn`] is known by itself. For all others there is the agent of `cargo partest`,
//! which saw them being created; or else the fact that nothing but this test was running when
//! they began.

use std::cell::OnceCell;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::lock::lock;
use super::task::Task;
use super::threads::{self, Alive, Identity, ThreadInfo};

/// A test, which is the thread that libtest made for it and whatever it has started.
#[derive(Debug)]
pub struct Test {
    pub name: String,
    /// The test's own thread, and its name as far as the system keeps it.
    thread: Option<(Identity, String)>,
    tasks: Mutex<Vec<Arc<Task>>>,
    /// How many guards of [`crate::watch`] look after it.
    pub watches: AtomicUsize,
}

thread_local! {
    static TEST: OnceCell<Arc<Test>> = const { OnceCell::new() };
}

/// Every test that has asked for anything here and is not over.
static TESTS: Mutex<Vec<Weak<Test>>> = Mutex::new(Vec::new());

impl Test {
    /// The test that the calling thread belongs to: as it inherited, or else itself.
    pub fn current() -> Arc<Test> {
        // A thread whose own values are gone already is nobody's.
        TEST.try_with(|test| test.get_or_init(Test::of_this_thread).clone())
            .unwrap_or_else(|_| Test::of_this_thread())
    }

    /// What a thread of [`crate::spawn`] does first.
    pub fn adopt(self: &Arc<Test>) {
        TEST.with(|test| drop(test.set(self.clone())));
    }

    fn of_this_thread() -> Arc<Test> {
        let test = Arc::new(Test {
            name: full_name(thread::current().name().unwrap_or("main")),
            thread: threads::own_with_name(),
            tasks: Mutex::default(),
            watches: AtomicUsize::new(0),
        });
        let mut tests = lock(&TESTS);
        tests.retain(|test| test.strong_count() > 0);
        tests.push(Arc::downgrade(&test));
        test
    }

    pub fn is_watched(&self) -> bool {
        self.watches.load(SeqCst) > 0
    }

    pub fn add(&self, task: Arc<Task>) {
        let mut tasks = lock(&self.tasks);
        let alive = threads::alive();
        tasks.retain(|task| !task.is_settled(alive.as_ref()));
        tasks.push(task);
    }

    pub fn remove(&self, task: &Arc<Task>) {
        lock(&self.tasks).retain(|other| !Arc::ptr_eq(other, task));
    }

    pub fn tasks(&self) -> Vec<Arc<Task>> {
        lock(&self.tasks).clone()
    }

    fn task(&self, id: Identity) -> Option<Arc<Task>> {
        lock(&self.tasks).iter().find(|task| task.identity() == Some(id)).cloned()
    }

    fn has(&self, id: Identity) -> bool {
        self.is_its_thread(id) || self.task(id).is_some()
    }

    /// The tests that we know of besides this one. One that began later while this one runs
    /// alone is none: it is a thread of this test that asked for something.
    fn others(&self) -> Vec<Arc<Test>> {
        let tests: Vec<Arc<Test>> = lock(&TESTS).iter().filter_map(Weak::upgrade).collect();
        let is_other = |test: &Arc<Test>| {
            !std::ptr::eq(&**test, self) && (test.thread <= self.thread || !self.runs_alone())
        };
        tests.into_iter().filter(is_other).collect()
    }

    fn is_its_thread(&self, id: Identity) -> bool {
        self.thread.as_ref().is_some_and(|(own, _)| *own == id)
    }

    /// Whether every thread of the test can be told from those of others.
    fn sees_every_thread(&self) -> bool {
        self.thread.is_some() && (agent::is_here() || self.runs_alone())
    }

    /// Whether no other test runs in this process while this one does.
    fn runs_alone(&self) -> bool {
        let is_main = self.thread.as_ref().is_some_and(|(own, _)| own.tid == std::process::id());
        let is_by_itself =
            env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|mode| mode == "process-per-test");
        is_main || is_by_itself || test_threads() == 1
    }

    fn owner_of(&self, id: Identity) -> Owner {
        if self.is_its_thread(id) {
            return Owner::Other;
        }
        if self.task(id).is_some() {
            return Owner::This;
        }
        if let Some(owner) = agent::owner_of(id.tid) {
            return owner;
        }
        let is_older = self.thread.as_ref().is_some_and(|(own, _)| id < *own);
        if is_older || self.others().iter().any(|test| test.has(id)) {
            return Owner::Other;
        }
        if self.runs_alone() { Owner::This } else { Owner::Unknown }
    }

    fn info(&self, id: Identity, name: &str) -> ThreadInfo {
        // Threads that get no name inherit one.
        let inherited = self.thread.as_ref().is_some_and(|(_, own)| own == name);
        let given = self.task(id).and_then(|task| task.name.clone());
        let name = given.or_else(|| (!inherited).then(|| name.to_owned()));
        ThreadInfo { name, tid: Some(id.tid) }
    }

    /// The test's threads besides its own that are alive and were not there `before`, and
    /// whether there are more whose owner is not known.
    pub fn threads(&self, before: &Before) -> Found {
        let Some(alive) = threads::alive() else { return self.known_without_system(before) };
        let is_new = |id: &Identity| !before.alive.contains_key(id);
        let new = alive.iter().filter(|(id, _)| is_new(id));
        let mut found = Found::default();
        for (id, name) in new {
            match self.settled_owner_of(*id) {
                Owner::This => found.own.push(self.info(*id, name)),
                Owner::Unknown => found.has_unknown = true,
                Owner::Other | Owner::New => {}
            }
        }
        threads::sort(&mut found.own);
        found
    }

    /// The agent may not have met a thread that is just beginning, or know one no more that
    /// is just ending: a moment later it is clear.
    fn settled_owner_of(&self, id: Identity) -> Owner {
        const TRIES: u32 = 100;
        for _ in 0..TRIES {
            let owner = self.owner_of(id);
            let is_there = || threads::alive().is_some_and(|alive| alive.contains_key(&id));
            if owner != Owner::New || !is_there() {
                return owner;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Owner::Other
    }

    fn known_without_system(&self, before: &Before) -> Found {
        let tasks = self.tasks();
        let is_new = |task: &&Arc<Task>| !before.tasks.iter().any(|old| Arc::ptr_eq(old, task));
        let alive = tasks.iter().filter(is_new).filter(|task| !task.has_ended());
        let mut own: Vec<ThreadInfo> =
            alive.map(|task| ThreadInfo { name: task.name.clone(), tid: None }).collect();
        threads::sort(&mut own);
        Found { own, has_unknown: false }
    }

    /// The threads that there are now.
    pub fn before_now(&self) -> Before {
        Before { alive: threads::alive().unwrap_or_default(), tasks: self.tasks() }
    }
}

/// Threads that are not looked for.
#[derive(Debug, Default)]
pub struct Before {
    alive: Alive,
    tasks: Vec<Arc<Task>>,
}

#[derive(Debug, Default)]
pub struct Found {
    pub own: Vec<ThreadInfo>,
    /// Threads that may be this test's, or another's.
    pub has_unknown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    This,
    /// Another test, or none.
    Other,
    /// One or the other.
    Unknown,
    /// The agent does not know the thread (yet).
    New,
}

/// What the agent of `cargo partest` knows. It stands in for libc's `getenv`, and answers for
/// variables `PARTEST_THREAD_TID`, which nobody has set, what the thread is to the one that asks.
mod agent {
    use super::Owner;
    use std::env;

    pub fn is_here() -> bool {
        owner_of(0).is_some()
    }

    pub fn owner_of(tid: u32) -> Option<Owner> {
        match env::var(format!("PARTEST_THREAD_{tid}")).ok()?.as_str() {
            "of this test" => Some(Owner::This),
            "of another" => Some(Owner::Other),
            _ => Some(Owner::New),
        }
    }
}

/// How many tests libtest runs side by side, by its own rules.
fn test_threads() -> usize {
    let args: Vec<String> = env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let variable = || env::var("RUST_TEST_THREADS").ok()?.parse().ok();
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    told_threads(&args).or_else(variable).unwrap_or_else(cores)
}

fn told_threads(args: &[String]) -> Option<usize> {
    const FLAG: &str = "--test-threads";
    let value = args.iter().zip(1..).find_map(|(arg, next)| match arg.strip_prefix(FLAG)? {
        "" => args.get(next).map(String::as_str),
        rest => rest.strip_prefix('='),
    });
    value?.parse().ok()
}

/// The test's name as `cargo partest` has it, which begins with that of the binary.
fn full_name(test: &str) -> String {
    let file = env::current_exe().ok();
    let stem = file.as_deref().and_then(|file| file.file_stem()).and_then(|stem| stem.to_str());
    match stem.map(binary_name) {
        Some(binary) if !binary.is_empty() => format!("{binary}::{test}"),
        _ => test.to_owned(),
    }
}

/// Cargo puts its fingerprint behind the name of a test binary.
fn binary_name(stem: &str) -> &str {
    const DIGITS: usize = 16;
    match stem.rsplit_once('-') {
        Some((name, digits))
            if digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => stem,
    }
}

/// This test's own threads that are alive: those that were started since it began, by the test
/// itself and by other threads of it, sorted by name. The test's own thread is not among them,
/// nor are threads that were there before, or that other tests have started.
///
/// Threads of [`spawn`](crate::spawn) are known everywhere; [`sees_every_thread`] says whether
/// all others are, too. Where they are not, they are left out: what may be another test's
/// is never called this test's.
///
/// Ask from the test's own thread, or from one that [`spawn`](crate::spawn) started. (Any other
/// thread is known as part of the test under `cargo partest` only.)
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
pub fn active() -> Vec<ThreadInfo> {
    Test::current().threads(&Before::default()).own
}

/// The number of this test's own threads; see [`active`].
pub fn active_count() -> usize {
    active().len()
}

/// Whether this library can tell every thread of this test from those of others:
///
/// - under `cargo partest` with its agent (Linux with glibc), always;
/// - on Linux without it, when nothing else runs in the process while the test does: in a doctest,
///   under nextest, or with `--test-threads=1`. (A thread that a thread of an earlier test
///   starts is then mistaken for one of this test);
/// - elsewhere, never.
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
pub fn sees_every_thread() -> bool {
    Test::current().sees_every_thread()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_test_threads_is_read_as_libtest_does() {
        let told = |line: &str| {
            told_threads(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(told("t --exact a --test-threads 3 b"), Some(3));
        assert_eq!(told("t --test-threads=1"), Some(1));
        assert_eq!((told("t --test-threads"), told("t 1")), (None, None));
    }

    #[test]
    fn the_binary_is_named_without_its_fingerprint() {
        assert_eq!(binary_name("my_api-0123456789abcdef"), "my_api");
        assert_eq!(binary_name("my-tool"), "my-tool");
    }

    #[test]
    fn another_tests_threads_are_not_counted() {
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let own = crate::spawn(move || finished.recv());
        let others = thread::spawn(|| {
            let inner = crate::spawn(thread::park);
            let seen = crate::active_count();
            inner.thread().unpark();
            inner.join().unwrap();
            seen
        });
        // The other thread counts as a test of its own here, since it was not started by the
        // library; under the agent it is part of this one.
        let expected = if agent::is_here() { 3 } else { 1 };
        assert!(others.join().unwrap() <= expected);
        assert!(crate::active_count() >= 1);
        drop(finish);
        own.join().unwrap().unwrap_err();
    }
}
