//! Threads: which thread creates one, which test it belongs to, and how it exits.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::backtrace::Stack;
use crate::channel;
use crate::frame::Frame;
use crate::kinds;
use crate::real::{self, Start};
use crate::records::{
    self, Birth, ENDED, JOINING, RELEASED, RETURNED, RUNS_TEST, Record, Routine, USED, WAITS,
};
use crate::{
    environment, gate, libtest, panic_catch, signal_stacks, syscalls, test_mark, tls_symbol,
};

unsafe extern "C" {
    fn pthread_key_create(key: *mut u32, end: unsafe extern "C" fn(*mut c_void)) -> c_int;
    fn pthread_setspecific(key: u32, value: *const c_void) -> c_int;
    fn pthread_attr_getdetachstate(attributes: *const c_void, state: *mut c_int) -> c_int;
    fn pthread_self() -> usize;
}

/// The key whose destructor reports the exit of a thread, also by `pthread_exit`. Rust's own
/// thread-local destructors have run by then.
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);
/// Whether the main thread has created a thread since libtest began to read its arguments: it has read
/// them by then. A constructor may create threads before that.
static HAS_READ_ARGUMENTS: AtomicBool = AtomicBool::new(false);

pub fn prepare() -> bool {
    let mut key = 0;
    // SAFETY: `key` is ours, and `thread_ends` stays loaded as long as the process.
    let made = unsafe { pthread_key_create(&mut key, thread_ends) } == 0;
    KEY.store(key, Relaxed);
    made
}

/// Whether this is the main thread, and libtest in it has created no thread yet.
pub fn is_before_first_test() -> bool {
    records::current().is_some_and(Record::is_main) && !HAS_READ_ARGUMENTS.load(Relaxed)
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    handle: *mut usize,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    let Some(create) = real::pthread_create() else { return real::ENOSYS };
    if channel::is_open() && is_before_first_test() && environment::reads_arguments() {
        HAS_READ_ARGUMENTS.store(true, Relaxed);
        environment::hide_arguments();
    }
    let Some(record) = expect(attributes, start, argument) else {
        // SAFETY: the caller's own arguments.
        return unsafe { create(handle, attributes, start, argument) };
    };
    let place = core::ptr::from_ref(record).cast_mut().cast();
    // SAFETY: the caller's arguments but for the routine, which takes a record.
    let answer = unsafe { create(handle, attributes, begin, place) };
    if answer == 0 {
        // SAFETY: a successful call has filled it in.
        record.handle.store(unsafe { *handle }, Relaxed);
        record.mark(RETURNED);
    } else {
        give_up(record);
    }
    answer
}

/// Allocates a record for a thread that the running one is about to create.
fn expect(
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> Option<&'static Record> {
    if !channel::is_open() {
        return None;
    }
    let creator = records::current()?;
    let record = records::take()?;
    // SAFETY: the thread does not exist yet.
    let birth = unsafe { record.birth() };
    record.routine.set(Routine { start: Some(start), argument: argument as usize });
    let number = record.number.load(Relaxed);
    let marks = match libtest::take_started(creator, number, birth) {
        Some(test) => {
            record.test.store(test, Relaxed);
            panic_catch::learn_start(start);
            RUNS_TEST | if gate::is_there() { WAITS } else { 0 }
        }
        None => {
            record.test.store(creator.test.load(Relaxed), Relaxed);
            announce(record, creator, birth, is_detached(attributes))
        }
    };
    record.mark(USED | marks);
    Some(record)
}

/// Prepares the frame that the new thread will send.
fn announce(record: &Record, creator: &Record, birth: &mut Birth, is_detached: bool) -> u32 {
    const PLACE_OF_THREAD: usize = 9;
    birth.queue.clear();
    let place = Frame::new(kinds::THREAD_STARTED)
        .u32(record.number.load(Relaxed))
        .u32(0)
        .u32(creator.number.load(Relaxed))
        .u32(record.test.load(Relaxed))
        .bytes(&[u8::from(is_detached)])
        .stack(Stack::here().addresses())
        .wait_in(&mut birth.queue, &[]);
    birth.missing = place.map_or(0, |place| place + PLACE_OF_THREAD);
    if is_detached { RELEASED } else { 0 }
}

/// How the thread with this TID is related to the running one, in words that the library `partest`
/// knows.
pub fn relation_to_current(thread: u32) -> Option<&'static CStr> {
    let test = records::current()?.test.load(Relaxed);
    let is_it = |record: &&Record| record.thread.load(Relaxed) == thread && !record.has(ENDED);
    Some(match records::all().find(is_it) {
        Some(record) if record.test.load(Relaxed) == test => c"of this test",
        Some(_) => c"of another",
        None => c"not known",
    })
}

fn is_detached(attributes: *const c_void) -> bool {
    const PTHREAD_CREATE_DETACHED: c_int = 1;
    let mut state = 0;
    if !attributes.is_null() {
        // SAFETY: the caller of `pthread_create` promised that these are attributes.
        unsafe { pthread_attr_getdetachstate(attributes, &mut state) };
    }
    state == PTHREAD_CREATE_DETACHED
}

/// Called when the thread could not be created; libtest then runs the test in its main thread.
fn give_up(record: &Record) {
    if record.has(RUNS_TEST) {
        record.report_start(syscalls::thread());
        libtest::runs_itself(record.test.load(Relaxed));
    }
    gate::cancel(record);
    record.cancel();
}

/// What `begin` calls first, in the new thread.
extern "C" fn begins(record: &'static Record, outermost_frame: usize) -> Routine {
    records::set_current(record);
    record.outermost_frame.store(outermost_frame, Relaxed);
    record.thread_pointer.store(tls_symbol::thread_pointer(), Relaxed);
    // SAFETY: plain calls of libc; the key is ours.
    unsafe {
        record.handle.store(pthread_self(), Relaxed);
        pthread_setspecific(KEY.load(Relaxed), core::ptr::from_ref(record).cast());
    }
    let thread = syscalls::thread();
    record.thread.store(thread, Relaxed);
    if record.has(WAITS) && !gate::passes_at_once(record) {
        // Without a TID, it is reported as waiting.
        record.report_start(0);
        gate::wait(record);
    }
    let reported = record.report_start(thread);
    if record.has(RUNS_TEST) {
        if !reported {
            Frame::new(kinds::TEST_RUNS).u32(record.test.load(Relaxed)).u32(thread).send();
        }
        test_mark::set(kinds::mark(environment::slot(), record.test.load(Relaxed)));
        record.signal_stack.store(signal_stacks::take(), Relaxed);
    } else if !reported {
        Frame::new(kinds::THREAD_RUNS).u32(record.number.load(Relaxed)).u32(thread).send();
    }
    record.routine.get()
}

/// Start routine of every tracked thread. It leaves no frame behind: backtraces and unwinding find
/// the thread's own start routine right above libc's code.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn begin(record: *mut c_void) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "lea rsi, [rsp + 16]",
        "call {begins}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "mov rdi, rdx",
        "jmp rax",
        ".cfi_endproc",
        begins = sym begins,
    )
}

/// Start routine of every tracked thread. It leaves no frame behind: backtraces and unwinding find
/// the thread's own start routine right above libc's code.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn begin(record: *mut c_void) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, -16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset 29, -16",
        ".cfi_offset 30, -8",
        "add x1, sp, 16",
        "bl {begins}",
        "ldp x29, x30, [sp], 16",
        ".cfi_restore 30",
        ".cfi_restore 29",
        ".cfi_def_cfa_offset 0",
        "mov x16, x0",
        "mov x0, x1",
        "br x16",
        ".cfi_endproc",
        begins = sym begins,
    )
}

/// Whether this is the last round of key destructors. They are called in rounds, as long as values
/// are left, in the order in which the keys were created, and ours is one of the first. Its value
/// is set again until the last round, so that the destructors of C libraries run before the thread
/// counts as exited.
fn is_last_round(record: &Record) -> bool {
    const PTHREAD_DESTRUCTOR_ITERATIONS: u32 = 4;
    let round = record.rounds.fetch_add(1, Relaxed) + 1;
    let value = core::ptr::from_ref(record).cast();
    // SAFETY: a plain call of libc; the key is ours.
    round >= PTHREAD_DESTRUCTOR_ITERATIONS
        || unsafe { pthread_setspecific(KEY.load(Relaxed), value) } != 0
}

/// The key's destructor, the last code of the thread that can be observed.
unsafe extern "C" fn thread_ends(record: *mut c_void) {
    // SAFETY: the value of our key is always a record.
    let record = unsafe { &*record.cast::<Record>() };
    if !is_last_round(record) {
        return;
    }
    record.cpu_time.store(syscalls::own_cpu_time(), Relaxed);
    // The main thread reports the exit of a test's thread, together with libtest's result.
    if !record.has(RUNS_TEST) {
        // A thread that this one has created may not have run yet. Its start must be reported
        // before, or the test would seem to have left nothing.
        records::report_starts_of(record.test.load(Relaxed));
        ended(record, &syscalls::own_name()).send();
    }
    if record.has(RUNS_TEST) {
        gate::leave();
    }
    signal_stacks::give_back(record.signal_stack.load(Relaxed));
    records::set_current(core::ptr::null());
    record.mark(ENDED);
}

fn ended(record: &Record, name: &[u8; 16]) -> Frame {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    Frame::new(kinds::THREAD_ENDED)
        .u32(record.number.load(Relaxed))
        .u64(record.cpu_time.load(Relaxed))
        .bytes(name.get(..end).unwrap_or(&[]))
}

/// The record of a handle. Handles are reused once a thread is joined, so the handle of a thread
/// that is being joined does not count.
fn named(handle: usize) -> Option<&'static Record> {
    records::all()
        .find(|record| record.handle.load(Relaxed) == handle && !record.has(JOINING | RELEASED))
}

/// Joins by one of libc's functions, and reports that if it succeeds.
fn joining(handle: usize, join: impl FnOnce(Option<&Record>) -> c_int) -> c_int {
    let record = channel::is_open().then(|| named(handle)).flatten();
    if let Some(record) = record {
        record.mark(JOINING);
    }
    let answer = join(record);
    match record {
        Some(record) if answer == 0 => joined(record),
        Some(record) => record.unmark(JOINING),
        None => {}
    }
    answer
}

fn joined(record: &Record) {
    let joiner = records::current();
    if record.has(RUNS_TEST) && joiner.is_some_and(Record::is_main) {
        records::report_starts_of(record.test.load(Relaxed));
        // The join itself is not reported: the thread is nothing that a test leaves behind.
        libtest::joined(record.test.load(Relaxed), ended(record, &[0; 16]));
    } else {
        Frame::new(kinds::THREAD_JOINED)
            .u32(record.number.load(Relaxed))
            .u32(joiner.map_or(0, |joiner| joiner.number.load(Relaxed)))
            .send();
    }
    record.mark(RELEASED);
}

/// Whether libtest need not wait until the kernel has removed the thread of a test: all of the
/// thread's code has run, and other tests are running, so that no test can see the difference. With
/// trivial tests the main thread, which serves all of them, would spend most of its time on that
/// wait.
fn needs_no_wait(record: &Record) -> bool {
    let is_other = |other: &&Record| !core::ptr::eq(*other, record);
    let runs = |other: &Record| other.has(RUNS_TEST) && !other.has(ENDED | WAITS);
    record.has(RUNS_TEST)
        && record.has(ENDED)
        && records::current().is_some_and(Record::is_main)
        && records::all().filter(is_other).any(runs)
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_join(handle: usize, result: *mut *mut c_void) -> c_int {
    let Some(join) = real::pthread_join() else { return real::ENOSYS };
    joining(handle, |record| {
        if result.is_null() && record.is_some_and(needs_no_wait) {
            // SAFETY: the caller gives up the handle, which is neither joined nor detached.
            let detached = real::pthread_detach().map(|detach| unsafe { detach(handle) });
            if detached == Some(0) {
                return 0;
            }
        }
        // SAFETY: the caller's own arguments.
        unsafe { join(handle, result) }
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_tryjoin_np(handle: usize, result: *mut *mut c_void) -> c_int {
    let Some(join) = real::pthread_tryjoin_np() else { return real::ENOSYS };
    // SAFETY: the caller's own arguments.
    joining(handle, |_| unsafe { join(handle, result) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_timedjoin_np(
    handle: usize,
    result: *mut *mut c_void,
    until: *const c_void,
) -> c_int {
    let Some(join) = real::pthread_timedjoin_np() else { return real::ENOSYS };
    // SAFETY: the caller's own arguments.
    joining(handle, |_| unsafe { join(handle, result, until) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_clockjoin_np(
    handle: usize,
    result: *mut *mut c_void,
    clock: c_int,
    until: *const c_void,
) -> c_int {
    let Some(join) = real::pthread_clockjoin_np() else { return real::ENOSYS };
    // SAFETY: the caller's own arguments.
    joining(handle, |_| unsafe { join(handle, result, clock, until) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_detach(handle: usize) -> c_int {
    let Some(detach) = real::pthread_detach() else { return real::ENOSYS };
    if let Some(record) = channel::is_open().then(|| named(handle)).flatten() {
        Frame::new(kinds::THREAD_DETACHED).u32(record.number.load(Relaxed)).send();
        // Before libc's own call: after it, the handle may already be another thread's.
        record.mark(RELEASED);
    }
    // SAFETY: the caller's own argument.
    unsafe { detach(handle) }
}
