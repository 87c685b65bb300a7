//! A record for each thread: its test, and its state.
//!
//! Records are in mappings that are made as needed and never unmapped, and are allocated without a
//! lock. The record of the running thread is found through a thread-local variable of the
//! initial-exec model, which needs neither an allocator nor a destructor, and so works in signal
//! handlers.

use core::cell::{Cell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::frame::Queue;
use crate::{real::Start, syscalls};

/// The record belongs to a thread, or to one that is about to be created.
pub const USED: u32 = 1;
/// The thread has exited.
pub const ENDED: u32 = 2;
/// `pthread_create` has returned in its creator, which does not touch the record any more.
pub const RETURNED: u32 = 4;
/// Joined or detached: once the thread has exited, its handle is invalid.
pub const RELEASED: u32 = 8;
/// Another thread is in `pthread_join` for it.
pub const JOINING: u32 = 16;
/// A thread that libtest's main thread created to run a test.
pub const RUNS_TEST: u32 = 32;
/// Its start has been reported, or is being reported.
pub const REPORTED: u32 = 64;
/// Its start has been reported: the frames are in the channel.
pub const SENT: u32 = 128;
/// The thread of a test that has not passed the gate yet.
pub const WAITS: u32 = 256;
/// The record is not used any more. The start may be reported by another thread than the new one,
/// and that may take longer than the new thread lives: until then the record, whose frames are
/// being sent, cannot be reused.
const UNUSED: u32 = ENDED | RETURNED | RELEASED | SENT;

/// How many panics a thread can have at once: one inside of a destructor of another.
pub const NESTED_PANICS: usize = 4;

/// A panic that has been raised and not yet caught.
pub struct PanicUnderWay {
    /// The address of the unwinder's exception; 0 if there is none.
    pub exception: AtomicUsize,
    pub number: AtomicU32,
}

pub struct Record {
    pub number: AtomicU32,
    pub test: AtomicU32,
    pub thread: AtomicU32,
    pub marks: AtomicU32,
    pub handle: AtomicUsize,
    pub thread_pointer: AtomicUsize,
    /// How much of its captured output has been sent.
    pub capture_sent: AtomicUsize,
    /// One more than its length when it was last looked at; 0 if it has not been.
    pub capture_seen: AtomicU64,
    pub cpu_time: AtomicU64,
    pub panics: [PanicUnderWay; NESTED_PANICS],
    /// The outermost frame of the thread, as the unwinder identifies it.
    pub outermost_frame: AtomicUsize,
    /// The number of its stack in `signal_stacks`.
    pub signal_stack: AtomicU32,
    /// How many `vfork`s it is in. If there are any, the running code is the child.
    pub vforks: AtomicU32,
    /// How often the destructor of our key has been called.
    pub rounds: AtomicU32,
    index: AtomicU32,
    /// Whether it is in the handler for a crash. If that is left by `longjmp`, this stays set, and
    /// the next crash has no backtrace.
    pub crashes: AtomicBool,
    /// Whether it has been in the handler for a crash.
    pub has_crashed: AtomicBool,
    next_free: AtomicU32,
    pub routine: Cell<Routine>,
    birth: UnsafeCell<Birth>,
}

// SAFETY: everything but `routine` and `birth` is atomic. `routine` is set before the thread exists
// and read only by the thread. `birth` belongs to the creator before the thread exists, and then to
// the thread that sets `REPORTED` first.
unsafe impl Sync for Record {}

/// A start routine and its argument. They are returned in two registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Routine {
    pub start: Option<Start>,
    pub argument: usize,
}

/// What is reported when the thread starts.
pub struct Birth {
    /// The frames that report it.
    pub queue: Queue,
    /// Where in these its TID is missing; 0 if nowhere.
    pub missing: usize,
}

impl Record {
    pub fn is_main(&self) -> bool {
        ptr::eq(self, CHUNKS[0].load(Relaxed))
    }

    pub fn has(&self, mark: u32) -> bool {
        self.marks.load(Acquire) & mark != 0
    }

    /// # Safety
    /// Only for the creator before the thread exists, and then for the thread that has set
    /// `REPORTED` first.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn birth(&self) -> &mut Birth {
        // SAFETY: the caller is the only user at that time.
        unsafe { &mut *self.birth.get() }
    }

    /// Sends the frames that report the start, unless that has been done. Usually the new thread
    /// does it; if the process exits before the thread has run, the exiting thread does. Returns
    /// false if another thread has done it.
    pub fn report_start(&self, thread: u32) -> bool {
        if self.marks.fetch_or(REPORTED, AcqRel) & REPORTED != 0 {
            return false;
        }
        // SAFETY: this call has set `REPORTED`.
        let birth = unsafe { self.birth() };
        if birth.missing > 0 {
            birth.queue.fill_in(birth.missing, thread);
        }
        birth.queue.flush();
        self.mark(SENT);
        true
    }

    /// Releases the record of a thread that could not be created. If its start is being reported
    /// right now, the record stays in use until that is done.
    pub fn cancel(&self) {
        let is_reported = self.marks.fetch_or(REPORTED, AcqRel) & REPORTED != 0;
        self.mark(ENDED | RETURNED | RELEASED | if is_reported { 0 } else { SENT });
    }

    /// Sets marks, and frees the record once it is not used any more.
    pub fn mark(&self, marks: u32) {
        let before = self.marks.fetch_or(marks, AcqRel);
        if before & UNUSED != UNUSED && (before | marks) & UNUSED == UNUSED {
            free(self);
        }
    }

    pub fn unmark(&self, marks: u32) {
        self.marks.fetch_and(!marks, AcqRel);
    }
}

/// How many records are mapped at once. Mapping all that could ever be needed would count against
/// memory limits of the process.
const IN_CHUNK: u32 = 64;
/// The most records. Threads beyond that are not tracked.
const MOST: u32 = 16_384;
const MOST_CHUNKS: usize = (MOST / IN_CHUNK) as usize;

static CHUNKS: [AtomicPtr<Record>; MOST_CHUNKS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MOST_CHUNKS];
/// Records below this index have been in use.
static TOUCHED: AtomicU32 = AtomicU32::new(1);
/// The first free record, and a counter that tells two states of the list apart.
static FREE: AtomicU64 = AtomicU64::new(0);
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// Maps the first records; the calling thread becomes the main thread, number 0. Returns false if
/// there is no memory.
pub fn prepare() -> bool {
    if !has_chunk(0) {
        return false;
    }
    let main = main();
    main.marks.store(USED | RETURNED, Release);
    main.thread.store(syscalls::thread(), Relaxed);
    set_current(main);
    true
}

/// Maps the chunk of this index if need be. Returns whether it is mapped.
fn has_chunk(index: u32) -> bool {
    const LENGTH: usize = size_of::<Record>() * IN_CHUNK as usize;
    let Some(place) = CHUNKS.get((index / IN_CHUNK) as usize) else { return false };
    if !place.load(Acquire).is_null() {
        return true;
    }
    let Some(memory) = syscalls::memory(LENGTH) else { return false };
    let made = place.compare_exchange(ptr::null_mut(), memory.cast(), AcqRel, Acquire);
    if made.is_err() {
        // Another thread was faster.
        syscalls::unmap(memory, LENGTH);
    }
    true
}

fn at(index: u32) -> Option<&'static Record> {
    let chunk = CHUNKS.get((index / IN_CHUNK) as usize)?.load(Acquire);
    // SAFETY: null, or that many records, and zeroed memory is a valid record.
    (!chunk.is_null()).then(|| unsafe { &*chunk.add((index % IN_CHUNK) as usize) })
}

pub fn main() -> &'static Record {
    // SAFETY: called after `prepare` only.
    unsafe { &*CHUNKS[0].load(Acquire) }
}

/// All records that belong to threads.
pub fn all() -> impl Iterator<Item = &'static Record> {
    (0..TOUCHED.load(Acquire).min(MOST)).filter_map(at).filter(|record| record.has(USED))
}

/// Reports the threads that a test has created and that have not run yet: the result of a test must
/// not precede the starts of its threads.
pub fn report_starts_of(test: u32) {
    for record in all().filter(|record| record.test.load(Relaxed) == test) {
        if !record.has(REPORTED) {
            record.report_start(record.thread.load(Relaxed));
        }
        // The thread itself may have been preempted just before it could send.
        let is_sending = || record.has(USED) && record.has(REPORTED) && !record.has(SENT);
        for _ in 0..MOST_PAUSES {
            if !is_sending() || record.test.load(Relaxed) != test {
                break;
            }
            syscalls::pause();
        }
    }
}

/// How long to wait, in pauses of a millisecond, until frames are in the channel.
const MOST_PAUSES: u32 = 1_000;

/// Allocates a record, with the next number.
pub fn take() -> Option<&'static Record> {
    let record = take_free().or_else(take_untouched)?;
    record.number.store(NUMBERS.fetch_add(1, Relaxed), Relaxed);
    record.thread.store(0, Relaxed);
    record.handle.store(0, Relaxed);
    record.thread_pointer.store(0, Relaxed);
    record.capture_sent.store(0, Relaxed);
    record.capture_seen.store(0, Relaxed);
    record.signal_stack.store(0, Relaxed);
    record.crashes.store(false, Relaxed);
    record.has_crashed.store(false, Relaxed);
    record.vforks.store(0, Relaxed);
    record.rounds.store(0, Relaxed);
    for panic in &record.panics {
        panic.exception.store(0, Relaxed);
    }
    Some(record)
}

fn take_free() -> Option<&'static Record> {
    let mut free = FREE.load(Acquire);
    loop {
        let index = free as u32;
        if index == 0 {
            return None;
        }
        let record = at(index)?;
        let next = changed(free, record.next_free.load(Relaxed));
        match FREE.compare_exchange_weak(free, next, AcqRel, Acquire) {
            Ok(_) => return Some(record),
            Err(other) => free = other,
        }
    }
}

fn take_untouched() -> Option<&'static Record> {
    if TOUCHED.load(Relaxed) >= MOST {
        return None;
    }
    let index = TOUCHED.fetch_add(1, AcqRel);
    let record = at(index).or_else(|| has_chunk(index).then(|| at(index)).flatten())?;
    record.index.store(index, Relaxed);
    Some(record)
}

fn free(record: &Record) {
    record.marks.store(0, Release);
    let index = record.index.load(Relaxed);
    let mut free = FREE.load(Acquire);
    loop {
        record.next_free.store(free as u32, Relaxed);
        match FREE.compare_exchange_weak(free, changed(free, index), AcqRel, Acquire) {
            Ok(_) => return,
            Err(other) => free = other,
        }
    }
}

/// The list's new head. Without the counter, a head that was removed and added again would look
/// unchanged.
fn changed(head: u64, index: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(index)
}

// The thread-local variable, which is initially zero.
core::arch::global_asm!(
    ".pushsection .tbss.partest_record,\"awT\",%nobits",
    ".balign 8",
    ".hidden partest_record",
    ".globl partest_record",
    ".type partest_record,%object",
    ".size partest_record,8",
    "partest_record: .zero 8",
    ".popsection",
);

#[cfg(target_arch = "x86_64")]
fn word() -> *mut *const Record {
    let place: usize;
    // SAFETY: reads the thread pointer and the variable's offset from it, both of which are
    // constant for a thread.
    unsafe {
        core::arch::asm!(
            "mov {place}, qword ptr fs:[0]",
            "add {place}, qword ptr [rip + partest_record@GOTTPOFF]",
            place = out(reg) place,
            options(nostack, readonly),
        );
    }
    place as *mut *const Record
}

#[cfg(target_arch = "aarch64")]
fn word() -> *mut *const Record {
    let place: usize;
    // SAFETY: reads the thread pointer and the variable's offset from it, both of which are
    // constant for a thread.
    unsafe {
        core::arch::asm!(
            "adrp {place}, :gottprel:partest_record",
            "ldr {place}, [{place}, :gottprel_lo12:partest_record]",
            "mrs {pointer}, tpidr_el0",
            "add {place}, {place}, {pointer}",
            place = out(reg) place,
            pointer = out(reg) _,
            options(nostack, readonly),
        );
    }
    place as *mut *const Record
}

pub fn set_current(record: *const Record) {
    // SAFETY: the variable belongs to the calling thread alone.
    unsafe { *word() = record };
}

/// The record of the running thread; none for threads that libc creates for itself.
pub fn current() -> Option<&'static Record> {
    // SAFETY: null or a record, and records are never unmapped.
    unsafe { (*word()).as_ref() }
}

/// Whether the running code is the child of a `vfork`, in the memory of its parent.
pub fn is_in_vfork() -> bool {
    current().is_some_and(|record| record.vforks.load(Relaxed) > 0)
}

/// Number and test of the running thread; zeros for one that libc created for itself.
pub fn of_current() -> (u32, u32) {
    current().map_or((0, 0), |record| (record.number.load(Relaxed), record.test.load(Relaxed)))
}
