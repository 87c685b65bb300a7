//! One record a thread: whose it is, and what is known of its life.
//!
//! Records lie in mappings that are made as they are needed, stay, and are handed out without a lock. The record of the running
//! thread is found through a thread-local word of the static kind, which no allocator and no
//! destructor stands behind, so that it serves in signal handlers too.

use core::cell::{Cell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::frame::Queue;
use crate::{real::Start, system};

/// A thread stands behind the record, or is about to.
pub const USED: u32 = 1;
/// The thread has come to its end.
pub const ENDED: u32 = 2;
/// `pthread_create` has returned in its creator, which does not touch the record any more.
pub const RETURNED: u32 = 4;
/// Joined or detached: once the thread has ended, nobody can name it any more.
pub const RELEASED: u32 = 8;
/// Somebody is in `pthread_join` for it.
pub const JOINING: u32 = 16;
/// A thread that libtest's main thread created to run a test.
pub const RUNS_TEST: u32 = 32;
/// Its start has been told, or is being told.
pub const TOLD: u32 = 64;
/// It has been told: the news is on its way.
pub const SENT: u32 = 128;
/// Nobody has anything to do with the record any more. Who tells of the start may be another
/// thread than the new one, and slower than all of its life: until then nobody else may have the
/// record, whose frames are being sent.
const OVER: u32 = ENDED | RETURNED | RELEASED | SENT;

/// Panics of one thread that are under way at once: one inside a destructor of another.
pub const NESTED_PANICS: usize = 4;

/// A panic that has been raised and not yet caught.
pub struct PanicUnderWay {
    /// Where the unwinder's exception lies; 0: there is none.
    pub exception: AtomicUsize,
    pub number: AtomicU32,
}

pub struct Record {
    pub number: AtomicU32,
    pub test: AtomicU32,
    pub thread: AtomicU32,
    pub marks: AtomicU32,
    pub handle: AtomicUsize,
    pub processor_time: AtomicU64,
    pub panics: [PanicUnderWay; NESTED_PANICS],
    /// The frame that the thread began with, as the unwinder sees it.
    pub outermost_frame: AtomicUsize,
    /// What it has of `signal_stacks`.
    pub signal_stack: AtomicU32,
    /// How many `vfork`s it is in: while there are any, it is the child that runs.
    pub vforks: AtomicU32,
    /// How often its keys' destructors have been called.
    pub rounds: AtomicU32,
    index: AtomicU32,
    /// In the handler for a crash. One that is left by a jump stays set, and costs a stack.
    pub crashes: AtomicBool,
    next_free: AtomicU32,
    pub routine: Cell<Routine>,
    birth: UnsafeCell<Birth>,
}

// SAFETY: everything but `routine` and `birth` is atomic. `routine` is set before the thread exists
// and read by the thread only; `birth` belongs to the creator before the thread
// exists, and then to whoever sets `TOLD` first.
unsafe impl Sync for Record {}

/// A start routine and its argument. It travels in two registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Routine {
    pub start: Option<Start>,
    pub argument: usize,
}

/// What is to be told when the thread starts.
pub struct Birth {
    /// The frames that tell it.
    pub queue: Queue,
    /// Where its kernel number is missing in them; 0: nowhere.
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
    /// The creator before the thread exists; after that, who has set `TOLD` first.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn birth(&self) -> &mut Birth {
        // SAFETY: the caller is the only one at that time.
        unsafe { &mut *self.birth.get() }
    }

    /// Sends the frames that tell of the start, unless that has been done. Usually the new thread
    /// does it; where the process ends before it ever ran, whoever ends it.
    /// False: somebody else has told it.
    pub fn tell_start(&self, thread: u32) -> bool {
        if self.marks.fetch_or(TOLD, AcqRel) & TOLD != 0 {
            return false;
        }
        // SAFETY: this call has set `TOLD`.
        let birth = unsafe { self.birth() };
        if birth.missing > 0 {
            birth.queue.fill_in(birth.missing, thread);
        }
        birth.queue.flush();
        self.mark(SENT);
        true
    }

    /// No thread came of it, and nothing is told. Whoever tells of it right now keeps the record
    /// until that is done.
    pub fn cancel(&self) {
        let is_told = self.marks.fetch_or(TOLD, AcqRel) & TOLD != 0;
        self.mark(ENDED | RETURNED | RELEASED | if is_told { 0 } else { SENT });
    }

    /// Sets marks and gives the record back once nobody can name the thread any more.
    pub fn mark(&self, marks: u32) {
        let before = self.marks.fetch_or(marks, AcqRel);
        if before & OVER != OVER && (before | marks) & OVER == OVER {
            give_back(self);
        }
    }

    pub fn unmark(&self, marks: u32) {
        self.marks.fetch_and(!marks, AcqRel);
    }
}

/// So many records are made at once. All that could ever be needed would count against the limits
/// that a test's process may have on its memory.
const IN_CHUNK: u32 = 64;
/// More threads than there are records run unwatched.
const MOST: u32 = 16_384;
const MOST_CHUNKS: usize = (MOST / IN_CHUNK) as usize;

static CHUNKS: [AtomicPtr<Record>; MOST_CHUNKS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MOST_CHUNKS];
/// Records below this index were in use at some time.
static TOUCHED: AtomicU32 = AtomicU32::new(1);
/// The first free record, and a count that tells two states of the list apart.
static FREE: AtomicU64 = AtomicU64::new(0);
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// Makes the records; the calling thread becomes the main one, number 0. False: no memory.
pub fn prepare() -> bool {
    if !has_chunk(0) {
        return false;
    }
    let main = main();
    main.marks.store(USED | RETURNED, Release);
    main.thread.store(system::thread(), Relaxed);
    set_current(main);
    true
}

/// Whether the chunk of this index is there, after making it if need be.
fn has_chunk(index: u32) -> bool {
    const LENGTH: usize = size_of::<Record>() * IN_CHUNK as usize;
    let Some(place) = CHUNKS.get((index / IN_CHUNK) as usize) else { return false };
    if !place.load(Acquire).is_null() {
        return true;
    }
    let Some(memory) = system::memory(LENGTH) else { return false };
    let made = place.compare_exchange(ptr::null_mut(), memory.cast(), AcqRel, Acquire);
    if made.is_err() {
        // Somebody else was faster.
        system::unmap(memory, LENGTH);
    }
    true
}

fn at(index: u32) -> Option<&'static Record> {
    let chunk = CHUNKS.get((index / IN_CHUNK) as usize)?.load(Acquire);
    // SAFETY: null, or so many records, and zeroed memory is a valid one.
    (!chunk.is_null()).then(|| unsafe { &*chunk.add((index % IN_CHUNK) as usize) })
}

pub fn main() -> &'static Record {
    // SAFETY: called after `prepare` only.
    unsafe { &*CHUNKS[0].load(Acquire) }
}

/// All records that a thread stands behind.
pub fn all() -> impl Iterator<Item = &'static Record> {
    (0..TOUCHED.load(Acquire).min(MOST)).filter_map(at).filter(|record| record.has(USED))
}

/// Tells of the threads that a test has created and that never ran yet: a verdict must not
/// come before the news that there is one.
pub fn tell_starts_of(test: u32) {
    for record in all().filter(|record| record.test.load(Relaxed) == test) {
        if !record.has(TOLD) {
            record.tell_start(record.thread.load(Relaxed));
        }
        // The thread itself may have been stopped by the scheduler just before it could send.
        let is_sending = || record.has(USED) && record.has(TOLD) && !record.has(SENT);
        for _ in 0..MOST_PAUSES {
            if !is_sending() || record.test.load(Relaxed) != test {
                break;
            }
            system::pause();
        }
    }
}

/// How long, in pauses of a millisecond, news may be on its way into the channel.
const MOST_PAUSES: u32 = 1_000;

/// A fresh record with the next number.
pub fn take() -> Option<&'static Record> {
    let record = take_free().or_else(take_untouched)?;
    record.number.store(NUMBERS.fetch_add(1, Relaxed), Relaxed);
    record.thread.store(0, Relaxed);
    record.handle.store(0, Relaxed);
    record.signal_stack.store(0, Relaxed);
    record.crashes.store(false, Relaxed);
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

fn give_back(record: &Record) {
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

/// The list's new head: without the count, a head that went away and came back looks unchanged.
fn changed(head: u64, index: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(index)
}

// The word itself: one for each thread, zero at its start.
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
    // SAFETY: reads the thread pointer and the word's offset from it, both fixed for the life
    // of the thread.
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
    // SAFETY: reads the thread pointer and the word's offset from it, both fixed for the life
    // of the thread.
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
    // SAFETY: the word belongs to the calling thread alone.
    unsafe { *word() = record };
}

/// The record of the running thread; none for threads that libc made for itself.
pub fn current() -> Option<&'static Record> {
    // SAFETY: null or a record, and those are never unmapped.
    unsafe { (*word()).as_ref() }
}

/// Whether the running code is the child of a `vfork`, in the memory of its parent.
pub fn is_in_vfork() -> bool {
    current().is_some_and(|record| record.vforks.load(Relaxed) > 0)
}

/// Number and test of the running thread; zeros for one that libc made for itself.
pub fn of_current() -> (u32, u32) {
    current().map_or((0, 0), |record| (record.number.load(Relaxed), record.test.load(Relaxed)))
}
