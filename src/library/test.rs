//! A test, and which threads are its own.
//!
//! The rule: what may be another test's thread is never reported as this test's. A thread that
//! [`crate::spawn`] started is known by that. Any other is this test's if the agent of
//! `cargo partest`, which saw it start, says so; or else if nothing but this test was running
//! when it started.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::agent::{self, Owner};
use super::harness;
use super::lock::lock;
use super::task::Task;
use super::threads::{self, Alive, Identity, ThreadInfo};

/// A test: the thread that libtest started for it, and whatever that has started.
#[derive(Debug)]
pub struct Test {
    pub name: String,
    /// The test's own thread, with its name as far as the system keeps it.
    thread: Option<(Identity, String)>,
    tasks: Mutex<Vec<Arc<Task>>>,
    /// How many guards of [`crate::watch`] it has.
    watches: AtomicUsize,
}

thread_local! {
    static TEST: OnceCell<Arc<Test>> = const { OnceCell::new() };
}

/// Every test that has used this library and has not finished.
static TESTS: Mutex<Vec<Weak<Test>>> = Mutex::new(Vec::new());

impl Test {
    /// The test that the calling thread belongs to: the one it inherited, or else a test of its
    /// own.
    pub fn current() -> Arc<Test> {
        // A thread whose thread-local values are gone already has no test that it could inherit.
        TEST.try_with(|test| test.get_or_init(Test::of_this_thread).clone())
            .unwrap_or_else(|_| Test::of_this_thread())
    }

    /// Makes the calling thread, which [`crate::spawn`] has just started, a thread of this test.
    pub fn adopt(self: &Arc<Test>) {
        TEST.with(|test| drop(test.set(self.clone())));
    }

    fn of_this_thread() -> Arc<Test> {
        let test = Arc::new(Test {
            name: harness::full_test_name(thread::current().name().unwrap_or("main")),
            thread: threads::own_with_name(),
            tasks: Mutex::default(),
            watches: AtomicUsize::new(0),
        });
        let mut tests = lock(&TESTS);
        tests.retain(|test| test.strong_count() > 0);
        tests.push(Arc::downgrade(&test));
        test
    }

    /// Adds a guard, and [`Test::unwatch`] takes it away.
    pub fn watch(&self) {
        self.watches.fetch_add(1, SeqCst);
    }

    pub fn unwatch(&self) {
        self.watches.fetch_sub(1, SeqCst);
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
        self.is_own_thread(id) || self.task(id).is_some()
    }

    /// The other tests that use this library. One that began later while this one runs alone is
    /// none: it is a thread of this test that called the library.
    fn others(&self) -> Vec<Arc<Test>> {
        let tests: Vec<Arc<Test>> = lock(&TESTS).iter().filter_map(Weak::upgrade).collect();
        let is_other = |test: &Arc<Test>| {
            !std::ptr::eq(&**test, self) && (test.thread <= self.thread || !self.runs_alone())
        };
        tests.into_iter().filter(is_other).collect()
    }

    fn is_own_thread(&self, id: Identity) -> bool {
        self.thread.as_ref().is_some_and(|(own, _)| *own == id)
    }

    /// Whether every thread of this test can be told from those of others.
    pub fn sees_every_thread(&self) -> bool {
        self.thread.is_some() && (agent::is_here() || self.runs_alone())
    }

    /// Whether no other test runs in this process at the same time.
    fn runs_alone(&self) -> bool {
        let is_main = self.thread.as_ref().is_some_and(|(own, _)| own.tid == std::process::id());
        is_main || harness::has_a_process_per_test() || harness::test_threads() == 1
    }

    /// `None`: it may be this test's thread or another's.
    fn owner_of(&self, id: Identity) -> Option<Owner> {
        if self.is_own_thread(id) {
            return Some(Owner::Other);
        }
        if self.task(id).is_some() {
            return Some(Owner::This);
        }
        if let Some(owner) = agent::owner_of(id.tid) {
            return Some(owner);
        }
        let is_older = self.thread.as_ref().is_some_and(|(own, _)| id < *own);
        if is_older || self.others().iter().any(|test| test.has(id)) {
            return Some(Owner::Other);
        }
        self.runs_alone().then_some(Owner::This)
    }

    fn info(&self, id: Identity, name: &str) -> ThreadInfo {
        // A thread that is given no name inherits one.
        let inherited = self.thread.as_ref().is_some_and(|(_, own)| own == name);
        let given = self.task(id).and_then(|task| task.name.clone());
        let name = given.or_else(|| (!inherited).then(|| name.to_owned()));
        ThreadInfo { name, tid: Some(id.tid) }
    }

    /// The test's threads, besides its own, that are alive and not in the snapshot; and whether
    /// there are more whose owner is unknown.
    pub fn threads(&self, before: &Snapshot) -> Found {
        let Some(alive) = threads::alive() else { return self.tasks_since(before) };
        let is_new = |id: &Identity| !before.alive.contains_key(id);
        let new = alive.iter().filter(|(id, _)| is_new(id));
        let mut found = Found::default();
        for (id, name) in new {
            match self.settled_owner_of(*id) {
                Some(Owner::This) => found.own.push(self.info(*id, name)),
                None => found.has_unknown = true,
                Some(Owner::Other | Owner::New) => {}
            }
        }
        threads::sort(&mut found.own);
        found
    }

    /// The agent may not know a thread yet that is just starting, or not any more if it is just
    /// ending. So it is asked again until it does, or the thread is gone.
    fn settled_owner_of(&self, id: Identity) -> Option<Owner> {
        const TRIES: u32 = 100;
        for _ in 0..TRIES {
            let owner = self.owner_of(id);
            let is_there = || threads::alive().is_some_and(|alive| alive.contains_key(&id));
            if owner != Some(Owner::New) || !is_there() {
                return owner;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Some(Owner::Other)
    }

    /// What is known where the system does not list threads.
    fn tasks_since(&self, before: &Snapshot) -> Found {
        let tasks = self.tasks();
        let is_new = |task: &&Arc<Task>| !before.tasks.iter().any(|old| Arc::ptr_eq(old, task));
        let alive = tasks.iter().filter(is_new).filter(|task| !task.has_finished());
        let mut own: Vec<ThreadInfo> =
            alive.map(|task| ThreadInfo { name: task.name.clone(), tid: None }).collect();
        threads::sort(&mut own);
        Found { own, has_unknown: false }
    }

    /// The threads that exist now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { alive: threads::alive().unwrap_or_default(), tasks: self.tasks() }
    }
}

/// The threads that existed at some time, which are not looked for later. The default has none.
#[derive(Debug, Default)]
pub struct Snapshot {
    alive: Alive,
    tasks: Vec<Arc<Task>>,
}

#[derive(Debug, Default)]
pub struct Found {
    pub own: Vec<ThreadInfo>,
    /// There are threads that may be this test's or another's.
    pub has_unknown: bool,
}
