//! Panics in threads that nobody hears of, and others that somebody does.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex};
use std::thread::{self, JoinHandle};

// Joined or not.

#[test]
fn handle_dropped_left() {
    thread::spawn(|| panic!("nobody joins")); // left: nobody joins
}

#[test]
fn handle_joined_harmless() {
    let thread = thread::spawn(|| panic!("joined"));
    assert!(thread.join().is_err());
}

#[test]
fn join_ignored_harmless() {
    let _ = thread::spawn(|| panic!("joined")).join();
}

#[test]
fn handle_forgotten_left() {
    std::mem::forget(thread::spawn(|| panic!("forgotten"))); // left: forgotten
}

#[test]
fn finished_but_not_joined_left() {
    await_end(&thread::spawn(|| panic!("only looked at"))); // left: only looked at
}

#[test]
fn finished_and_joined_harmless() {
    let thread = thread::spawn(|| panic!("joined"));
    await_end(&thread);
    assert!(thread.join().is_err());
}

fn await_end<T>(thread: &JoinHandle<T>) {
    while !thread.is_finished() {
        thread::yield_now();
    }
}

#[test]
fn joined_by_another_thread_harmless() {
    let thread = thread::spawn(|| panic!("joined"));
    let joining = thread::spawn(|| thread.join().is_err());
    assert!(joining.join().unwrap());
}

#[test]
fn handed_to_another_thread_left() {
    let thread = thread::spawn(|| panic!("handed on")); // left: handed on
    thread::spawn(|| drop(thread)).join().unwrap();
}

#[test]
fn named_left() {
    let builder = thread::Builder::new().name("auditor".into());
    drop(builder.spawn(|| panic!("in the books")).unwrap()); // left: in the books
}

#[test]
fn named_harmless() {
    let builder = thread::Builder::new().name("auditor".into());
    assert!(builder.spawn(|| panic!("joined")).unwrap().join().is_err());
}

#[test]
fn two_left() {
    thread::spawn(|| panic!("the first")); // left: the first
    thread::spawn(|| panic!("the second")); // left: the second
    assert!(thread::spawn(|| panic!("joined")).join().is_err());
}

#[test]
fn fifty_joined_harmless() {
    let threads: Vec<_> = (0..50).map(|_| thread::spawn(|| panic!("joined"))).collect();
    assert!(threads.into_iter().all(|thread| thread.join().is_err()));
}

// Caught inside the thread.

/// A panic that nobody prints. A stack takes its time to be printed, and the threads wait for each
/// other meanwhile: longer than what nobody waits for may live on.
fn in_silence<T>() -> T {
    resume_unwind(Box::new("caught"))
}

#[test]
fn caught_inside_harmless() {
    thread::spawn(|| catch_unwind(in_silence::<()>).is_err());
}

#[test]
fn caught_and_raised_again_left() {
    thread::spawn(|| {
        let caught = catch_unwind(|| panic!("raised again")).unwrap_err();
        resume_unwind(caught); // left: raised again
    });
}

#[test]
fn caught_and_another_left() {
    thread::spawn(|| {
        assert!(catch_unwind(|| panic!("caught")).is_err());
        panic!("not caught"); // left: not caught
    });
}

#[test]
fn caught_and_sent_harmless() {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(catch_unwind(|| panic!("sent"))));
    assert!(receiver.recv().unwrap().is_err());
}

/// Panics and catches that while it is dropped.
struct Careful;

impl Drop for Careful {
    fn drop(&mut self) {
        assert!(catch_unwind(in_silence::<()>).is_err());
    }
}

#[test]
fn destructor_catches_its_own_left() {
    thread::spawn(|| {
        let _careful = Careful;
        panic!("around a destructor"); // left: around a destructor
    });
}

#[test]
fn destructor_catches_its_own_harmless() {
    thread::spawn(|| drop(Careful));
}

/// Calls itself, and only then the function.
fn far_down<T>(calls: usize, run: &dyn Fn() -> T) -> T {
    match calls {
        0 => run(),
        _ => std::hint::black_box(far_down(calls - 1, run)),
    }
}

#[test]
fn caught_far_down_harmless() {
    for calls in [10, 30, 100, 1_000] {
        let run = move || far_down(calls, &|| catch_unwind(in_silence::<()>).is_err());
        await_end(&thread::spawn(run));
    }
}

#[test]
fn raised_far_down_left() {
    await_end(&thread::spawn(|| {
        far_down(1_000, &|| resume_unwind(Box::new("far down"))) // left: far down
    }));
}

#[test]
fn raised_and_caught_far_down_harmless() {
    let run = || drop(catch_unwind(|| far_down(1_000, &in_silence::<()>)));
    await_end(&thread::spawn(move || far_down(10, &run)));
}

/// Passes a panic on as often as nested calls of `rayon::join` do.
fn at_each_level(level: usize) {
    if level == 0 {
        in_silence()
    }
    let caught = catch_unwind(|| at_each_level(level - 1));
    resume_unwind(caught.unwrap_err()); // left by raised_again_at_each_level_left: caught
}

#[test]
fn raised_again_at_each_level_left() {
    await_end(&thread::spawn(|| at_each_level(100)));
}

#[test]
fn raised_again_at_each_level_harmless() {
    let outer = thread::spawn(|| catch_unwind(|| at_each_level(100)).is_err());
    await_end(&outer);
}

#[test]
fn with_much_on_the_stack_left() {
    let much = [1_u8; 100_000];
    thread::spawn(move || panic!("{} bytes", much.len())); // left: 100000 bytes
}

/// Each drops the next one while it panics, and catches that one's.
struct Russian(usize);

impl Drop for Russian {
    fn drop(&mut self) {
        let next = self.0;
        let run = || -> () {
            let _next = next.checked_sub(1).map(Russian);
            in_silence()
        };
        assert!(catch_unwind(run).is_err());
    }
}

#[test]
fn more_at_once_than_anybody_expects_left() {
    await_end(&thread::spawn(|| {
        let _doll = Russian(20);
        panic!("around many"); // left: around many
    }));
}

#[test]
fn more_at_once_than_anybody_expects_harmless() {
    await_end(&thread::spawn(|| drop(Russian(20))));
}

/// As C libraries call the code of others: it lets no panic through.
#[test]
fn caught_by_a_callback_harmless() {
    unsafe extern "C" {
        fn pthread_create(
            thread: &mut usize,
            attributes: *const u8,
            start: extern "C" fn(usize) -> usize,
            argument: usize,
        ) -> i32;
        fn pthread_detach(thread: usize) -> i32;
    }
    extern "C" fn callback(_argument: usize) -> usize {
        catch_unwind(in_silence::<()>).is_err().into()
    }
    let mut thread = 0;
    // SAFETY: a function that takes any number; the thread is nobody else's.
    let answers = unsafe {
        [pthread_create(&mut thread, std::ptr::null(), callback, 0), pthread_detach(thread)]
    };
    assert_eq!(answers, [0, 0]);
}

// Pools.

type Job = Box<dyn FnOnce() + Send>;

fn catching_pool() -> (Sender<Job>, JoinHandle<()>) {
    let (jobs, queue) = channel::<Job>();
    let work = move || queue.iter().for_each(|job| drop(catch_unwind(AssertUnwindSafe(job))));
    (jobs, thread::spawn(work))
}

#[test]
fn pool_catches_harmless() {
    let (jobs, worker) = catching_pool();
    jobs.send(Box::new(|| panic!("caught by the pool"))).unwrap();
    drop(jobs);
    worker.join().unwrap();
}

#[test]
fn pool_catches_and_is_not_joined_harmless() {
    let (jobs, _worker) = catching_pool();
    jobs.send(Box::new(|| panic!("caught by the pool"))).unwrap();
}

#[test]
fn pool_loses_a_worker_left() {
    let (jobs, queue) = channel::<Job>();
    thread::spawn(move || queue.iter().for_each(|job| job()));
    jobs.send(Box::new(|| panic!("lost"))).unwrap(); // left: lost
}

#[test]
fn pool_loses_a_worker_harmless() {
    let (jobs, queue) = channel::<Job>();
    let worker = thread::spawn(move || queue.iter().for_each(|job| job()));
    jobs.send(Box::new(|| panic!("noticed"))).unwrap();
    assert!(worker.join().is_err());
}

// Scopes.

#[test]
fn scope_observes_harmless() {
    let scope = || thread::scope(|scope| drop(scope.spawn(|| panic!("scoped"))));
    assert!(catch_unwind(scope).is_err());
}

#[test]
fn joined_in_a_scope_harmless() {
    thread::scope(|scope| assert!(scope.spawn(|| panic!("scoped")).join().is_err()));
}

#[test]
fn started_by_a_scoped_thread_left() {
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::spawn(|| panic!("beyond the scope")); // left: beyond the scope
        });
    });
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn scope_passes_it_on_harmless() {
    thread::scope(|scope| drop(scope.spawn(|| panic!("scoped"))));
}

// Expected ones.

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_harmless() {
    panic!("as it should");
}

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_by_a_thread_harmless() {
    let thread = thread::spawn(|| panic!("as it should"));
    resume_unwind(thread.join().unwrap_err());
}

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_beside_a_thread_left() {
    await_end(&thread::spawn(|| panic!("not expected"))); // left: not expected
    panic!("as it should");
}

// Threads of threads.

#[test]
fn thread_of_a_thread_left() {
    let outer = thread::spawn(|| drop(thread::spawn(|| panic!("deep down")))); // left: deep down
    outer.join().unwrap();
}

#[test]
fn thread_of_a_thread_harmless() {
    let outer = thread::spawn(|| thread::spawn(|| panic!("joined")).join().is_err());
    assert!(outer.join().unwrap());
}

#[test]
fn passed_on_to_nobody_left() {
    thread::spawn(|| {
        let inner = thread::spawn(|| panic!("passed on")); // only the outer one's is left
        resume_unwind(inner.join().unwrap_err()); // left: passed on
    });
}

#[test]
fn passed_on_harmless() {
    let outer = thread::spawn(|| thread::spawn(|| panic!("passed on")).join().unwrap());
    assert!(outer.join().is_err());
}

// What a panic carries.

#[test]
fn number_as_payload_left() {
    thread::spawn(|| panic_any(42_u8)); // left: a panic without a message
}

#[test]
fn numbers_that_look_like_a_text_left() {
    thread::spawn(|| panic_any((1_usize, 2_usize))); // left: a panic without a message
}

struct Order(#[allow(dead_code)] u8, #[allow(dead_code)] &'static str);

#[test]
fn a_text_among_others_left() {
    thread::spawn(|| panic_any(Order(3, "secret"))); // left: a panic without a message
}

#[test]
fn bytes_left() {
    thread::spawn(|| panic_any(&b"bytes"[..])); // left: a panic without a message
}

#[test]
fn bytes_of_its_own_left() {
    thread::spawn(|| panic_any(b"bytes".to_vec())); // left: a panic without a message
}

#[test]
fn text_as_payload_left() {
    thread::spawn(|| panic_any("any")); // left: any
}

#[test]
fn an_empty_text_left() {
    thread::spawn(|| panic!("")); // left: a panic without a message
}

#[test]
fn number_as_payload_harmless() {
    let thread = thread::spawn(|| panic_any(42_u8));
    assert_eq!(thread.join().unwrap_err().downcast_ref(), Some(&42_u8));
}

#[test]
fn formatted_left() {
    let number = std::hint::black_box(42);
    thread::spawn(move || panic!("number {number}")); // left: number 42
}

#[test]
fn formatted_harmless() {
    let number = std::hint::black_box(42);
    assert!(thread::spawn(move || panic!("number {number}")).join().is_err());
}

#[test]
fn several_lines_left() {
    thread::spawn(|| panic!("first line\nsecond line")); // left: first line
}

#[test]
fn without_a_hook_left() {
    thread::spawn(|| resume_unwind(Box::new("unheard"))); // left: unheard
}

#[test]
fn without_a_hook_harmless() {
    assert!(thread::spawn(|| resume_unwind(Box::new("joined"))).join().is_err());
}

#[test]
fn unwrapped_left() {
    thread::spawn(|| std::hint::black_box(None::<u8>).unwrap()); // left: called `Option::unwrap()` on a `None` value
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped"); // left by dropped_in_a_thread_left: dropped
    }
}

#[test]
fn dropped_in_a_thread_left() {
    thread::spawn(|| drop(Bomb));
}

#[test]
fn dropped_in_a_thread_harmless() {
    assert!(thread::spawn(|| drop(Bomb)).join().is_err());
}

// Late ones.

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
fn at_the_end_of_its_test_left() {
    let end = end_of_the_test();
    thread::spawn(move || end.recv().expect("the end")); // left: the end: RecvError
}

#[test]
fn caught_at_the_end_of_its_test_harmless() {
    let end = end_of_the_test();
    thread::spawn(move || {
        catch_unwind(AssertUnwindSafe(|| end.recv().unwrap_or_else(|_| in_silence()))).is_err()
    });
}

/// What the late panic, the test that it waits for and the end of the process know of each
/// other.
struct Meeting {
    thread_waits: bool,
    other_test_runs: bool,
    process_ends: bool,
    has_panicked: bool,
}

static MEETING: (Mutex<Meeting>, Condvar) = (
    Mutex::new(Meeting {
        thread_waits: false,
        other_test_runs: false,
        process_ends: false,
        has_panicked: false,
    }),
    Condvar::new(),
);

fn tell(change: impl FnOnce(&mut Meeting)) {
    change(&mut MEETING.0.lock().unwrap());
    MEETING.1.notify_all();
}

fn await_that(holds: impl Fn(&Meeting) -> bool) {
    let guard = MEETING.0.lock().unwrap();
    drop(MEETING.1.wait_while(guard, |meeting| !holds(meeting)).unwrap());
}

/// Tells of a panic while it goes by.
struct Witness;

impl Drop for Witness {
    fn drop(&mut self) {
        tell(|meeting| meeting.has_panicked = true);
    }
}

extern "C" fn process_ends() {
    tell(|meeting| meeting.process_ends = true);
}

/// Its thread panics while the next test runs; where that runs in another process, at the end of
/// this one.
#[test]
fn late_a_while_the_next_runs_left() {
    unsafe extern "C" {
        fn atexit(call: extern "C" fn()) -> i32;
    }
    // SAFETY: a function that takes nothing and returns.
    assert_eq!(unsafe { atexit(process_ends) }, 0);
    thread::spawn(|| {
        await_that(|meeting| meeting.other_test_runs || meeting.process_ends);
        let _witness = Witness;
        panic!("too late"); // left: too late
    });
    tell(|meeting| meeting.thread_waits = true);
}

#[test]
fn late_b_is_the_next_harmless() {
    tell(|meeting| meeting.other_test_runs = true);
    await_that(|meeting| meeting.has_panicked || !meeting.thread_waits);
}
