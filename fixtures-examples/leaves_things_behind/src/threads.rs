//! Threads that outlive their test, and others that only look like it.

use std::cell::RefCell;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(1000);

fn park_for_ever() {
    loop {
        thread::park();
    }
}

// Parked.

#[test]
fn parked_left() {
    thread::spawn(park_for_ever); // left: unnamed
}

#[test]
fn parked_and_told_to_end_harmless() {
    let may_end = Arc::new(AtomicBool::new(false));
    let seen = may_end.clone();
    let parked = thread::spawn(move || {
        while !seen.load(Ordering::Acquire) {
            thread::park();
        }
    });
    may_end.store(true, Ordering::Release);
    parked.thread().unpark();
    parked.join().unwrap();
}

// Waiting for something that does not come.

#[test]
fn waits_for_a_forgotten_sender_left() {
    let (sender, receiver) = channel::<()>();
    thread::spawn(move || receiver.recv()); // left: unnamed
    std::mem::forget(sender);
}

#[test]
fn waits_for_a_dropped_sender_harmless() {
    let (sender, receiver) = channel::<()>();
    let waiting = thread::spawn(move || receiver.recv());
    drop(sender);
    assert!(waiting.join().unwrap().is_err());
}

#[test]
fn waits_for_a_lock_left() {
    let lock: &Mutex<()> = Box::leak(Box::default());
    std::mem::forget(lock.lock().unwrap());
    thread::spawn(|| drop(lock.lock())); // left: unnamed
}

#[test]
fn waits_for_a_lock_harmless() {
    let lock: &Mutex<()> = Box::leak(Box::default());
    let held = lock.lock().unwrap();
    let waiting = thread::spawn(|| drop(lock.lock()));
    drop(held);
    waiting.join().unwrap();
}

#[test]
fn waits_for_a_condition_left() {
    let door = Arc::new((Mutex::new(false), Condvar::new()));
    thread::spawn(move || walk_through(&door)); // left: unnamed
}

#[test]
fn waits_for_a_condition_harmless() {
    let door = Arc::new((Mutex::new(false), Condvar::new()));
    let same = door.clone();
    let waiting = thread::spawn(move || walk_through(&same));
    *door.0.lock().unwrap() = true;
    door.1.notify_all();
    waiting.join().unwrap();
}

fn walk_through((is_open, opened): &(Mutex<bool>, Condvar)) {
    let guard = is_open.lock().unwrap();
    drop(opened.wait_while(guard, |is_open| !*is_open).unwrap());
}

#[test]
fn waits_at_a_barrier_left() {
    let barrier = Arc::new(Barrier::new(2));
    thread::spawn(move || barrier.wait()); // left: unnamed
}

#[test]
fn waits_at_a_barrier_harmless() {
    let barrier = Arc::new(Barrier::new(2));
    let same = barrier.clone();
    let waiting = thread::spawn(move || same.wait());
    barrier.wait();
    waiting.join().unwrap();
}

#[test]
fn reads_from_a_pipe_left() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    thread::spawn(move || reader.read(&mut [0])); // left: unnamed
    std::mem::forget(writer);
}

#[test]
fn reads_from_a_pipe_harmless() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let reading = thread::spawn(move || reader.read(&mut [0]).unwrap());
    drop(writer);
    assert_eq!(reading.join().unwrap(), 0);
}

#[test]
fn serves_nobody_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    thread::spawn(move || listener.accept()); // left: unnamed
}

#[test]
fn serves_one_guest_harmless() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let serving = thread::spawn(move || listener.accept().unwrap());
    let guest = TcpStream::connect(place).unwrap();
    drop((guest, serving.join().unwrap()));
}

// Asleep, or busy.

#[test]
fn sleeps_long_left() {
    thread::spawn(|| thread::sleep(LONG)); // left: unnamed
}

#[test]
fn sleeps_a_little_harmless() {
    let sleeping = thread::spawn(|| thread::sleep(Duration::from_millis(1)));
    sleeping.join().unwrap();
}

#[test]
fn ticks_left() {
    thread::spawn(|| tick(&AtomicBool::new(false))); // left: unnamed
}

#[test]
fn ticks_harmless() {
    let may_end = Arc::new(AtomicBool::new(false));
    let seen = may_end.clone();
    let ticking = thread::spawn(move || tick(&seen));
    may_end.store(true, Ordering::Release);
    ticking.join().unwrap();
}

fn tick(may_end: &AtomicBool) {
    while !may_end.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The last test by its name, since it takes a core until its process ends.
#[test]
fn wastes_a_core_left() {
    thread::spawn(|| spin(&AtomicBool::new(false))); // left: unnamed
}

#[test]
fn wastes_a_core_harmless() {
    let may_end = Arc::new(AtomicBool::new(false));
    let seen = may_end.clone();
    let spinning = thread::spawn(move || spin(&seen));
    may_end.store(true, Ordering::Release);
    spinning.join().unwrap();
}

fn spin(may_end: &AtomicBool) {
    while !may_end.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

// Whose thread it is.

#[test]
fn thread_of_a_thread_left() {
    let outer = thread::spawn(|| {
        thread::spawn(park_for_ever); // left: unnamed
    });
    outer.join().unwrap();
}

#[test]
fn thread_of_a_thread_harmless() {
    let outer = thread::spawn(|| thread::spawn(|| 7).join().unwrap());
    assert_eq!(outer.join().unwrap(), 7);
}

#[test]
fn outer_and_inner_thread_left() {
    let outer = || {
        thread::spawn(park_for_ever); // left: unnamed
        park_for_ever();
    };
    thread::spawn(outer); // left: unnamed
}

#[test]
fn handle_joined_by_another_thread_harmless() {
    let (sender, receiver) = channel();
    let joined = thread::spawn(move || receiver.recv().unwrap_or(7));
    let joining = thread::spawn(move || joined.join().unwrap());
    drop::<Sender<i32>>(sender);
    assert_eq!(joining.join().unwrap(), 7);
}

#[test]
fn named_left() {
    let builder = thread::Builder::new().name("reaper".into());
    builder.spawn(park_for_ever).unwrap(); // left: reaper
}

#[test]
fn named_harmless() {
    let builder = thread::Builder::new().name("reaper".into());
    let reaper = builder.spawn(|| thread::current().name().map(str::to_owned));
    assert_eq!(reaper.unwrap().join().unwrap().as_deref(), Some("reaper"));
}

#[test]
fn several_left() {
    let named = |name: &str| thread::Builder::new().name(name.into());
    named("first").spawn(park_for_ever).unwrap(); // left: first
    named("second").spawn(park_for_ever).unwrap(); // left: second
    named("third").spawn(|| ()).unwrap().join().unwrap();
}

#[test]
fn a_hundred_joined_harmless() {
    let threads: Vec<_> = (0..100).map(|number| thread::spawn(move || number)).collect();
    let sum: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 4950);
}

// Never joined.

#[test]
fn never_told_to_end_left() {
    let (sender, receiver) = channel::<()>();
    let again = sender.clone();
    thread::spawn(move || (receiver.recv(), again)); // left: unnamed
    drop(sender);
}

#[test]
fn told_to_end_and_not_joined_harmless() {
    let (sender, receiver) = channel::<()>();
    thread::spawn(move || receiver.recv());
    drop(sender);
}

#[test]
fn ended_and_not_joined_harmless() {
    let (done, all_done) = channel();
    for number in 0..100 {
        let done = done.clone();
        thread::spawn(move || done.send(number));
    }
    drop(done);
    assert_eq!(all_done.iter().count(), 100);
}

#[test]
fn ended_and_forgotten_harmless() {
    let ended = thread::spawn(|| ());
    while !ended.is_finished() {
        thread::yield_now();
    }
    std::mem::forget(ended);
}

thread_local! {
    /// Dropped together with a test's own thread.
    static AT_THE_END: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
}

/// Hears of the end of the running test.
fn end_of_the_test() -> Receiver<()> {
    let (sender, receiver) = channel();
    AT_THE_END.set(Some(sender));
    receiver
}

#[test]
fn waits_for_more_than_the_end_of_its_test_left() {
    let end = end_of_the_test();
    thread::spawn(move || (end.recv(), park_for_ever())); // left: unnamed
}

#[test]
fn ends_at_the_end_of_its_test_harmless() {
    let end = end_of_the_test();
    thread::spawn(move || end.recv());
}

// Scopes.

#[test]
fn scoped_harmless() {
    let sum = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| sum.store(true, Ordering::Relaxed));
        }
        scope.spawn(|| 7).join().unwrap();
    });
    assert!(sum.into_inner());
}

#[test]
fn started_by_a_scoped_thread_left() {
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::spawn(park_for_ever); // left: unnamed
        });
    });
}

#[test]
fn started_by_a_scoped_thread_harmless() {
    thread::scope(|scope| {
        scope.spawn(|| thread::spawn(|| ()).join().unwrap());
    });
}

// Pools.

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: Sender<Job>,
    worker: JoinHandle<()>,
}

impl Pool {
    fn new() -> Pool {
        let (jobs, queue) = channel::<Job>();
        let builder = thread::Builder::new().name("worker".into());
        let work = move || queue.iter().for_each(|job| job());
        let worker = builder.spawn(work).unwrap(); // left by pool_left: worker
        Pool { jobs, worker }
    }

    fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).unwrap();
    }

    fn shut_down(self) {
        drop(self.jobs);
        self.worker.join().unwrap();
    }
}

#[test]
fn pool_left() {
    let pool = Pool::new();
    pool.run(|| ());
    std::mem::forget(pool);
}

#[test]
fn pool_harmless() {
    let pool = Pool::new();
    pool.run(|| ());
    pool.shut_down();
}

// What is started once, for all tests of a process: it belongs to the first.

static SHARED: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, queue) = channel::<Job>();
    thread::spawn(move || queue.iter().for_each(|job| job())); // left by shared_a_starts_it_left: unnamed
    IS_STARTED.store(true, Ordering::Release);
    jobs
});
static IS_STARTED: AtomicBool = AtomicBool::new(false);
static SEVEN: LazyLock<i32> = LazyLock::new(|| thread::spawn(|| 7).join().unwrap());

#[test]
fn shared_a_starts_it_left() {
    is_served();
}

/// Starts nothing where the other test has not run before it in this process.
#[test]
fn shared_b_uses_it_harmless() {
    if IS_STARTED.load(Ordering::Acquire) {
        is_served();
    }
}

fn is_served() {
    let (done, served) = channel();
    SHARED.send(Box::new(move || done.send(7).unwrap())).unwrap();
    assert_eq!(served.recv().unwrap(), 7);
}

#[test]
fn shared_and_joined_harmless() {
    assert_eq!(*SEVEN, 7);
}

#[test]
fn shared_and_joined_by_the_first_harmless() {
    assert_eq!(*SEVEN, 7);
}

// Other ways to pass.

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_left() {
    thread::spawn(park_for_ever); // left: unnamed
    panic!("as it should");
}

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_harmless() {
    thread::spawn(|| ()).join().unwrap();
    panic!("as it should");
}

#[test]
fn returns_a_result_left() -> std::io::Result<()> {
    thread::Builder::new().spawn(park_for_ever)?; // left: unnamed
    Ok(())
}

#[test]
fn returns_a_result_harmless() -> std::io::Result<()> {
    thread::Builder::new().spawn(|| ())?.join().unwrap();
    Ok(())
}
