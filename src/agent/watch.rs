//! Which statics of the executable each test has changed, on request: they are compared with a copy
//! of theirs whenever a test has ended and no other one runs.
//!
//! Everything here is for the main thread, which runs no test meanwhile. Threads that tests have
//! left may go on writing; what they write counts for the test that ends next.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed};

use crate::frame::Frame;
use crate::kinds::{self, MOST_OF_STATIC};
use crate::records::{self, ENDED, RUNS_TEST, Record};
use crate::watch_list::Entry;
use crate::{syscalls, watch_process};

/// The runner's list, and how many entries it has.
static LIST: AtomicPtr<Entry> = AtomicPtr::new(core::ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Where the executable is loaded.
static BASE: AtomicUsize = AtomicUsize::new(0);
/// The statics as they were when they were last compared, one behind the other.
static COPY: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static IS_COPIED: AtomicBool = AtomicBool::new(false);

/// Opens the list at this path.
pub fn open(path: &CStr) {
    let Some(descriptor) = syscalls::open(path, false) else { return };
    let length = syscalls::length(descriptor).unwrap_or(0);
    if let Some(list) = syscalls::map(descriptor, length) {
        LIST.store(list.cast_mut().cast(), Relaxed);
        COUNT.store(length / size_of::<Entry>(), Relaxed);
    }
    syscalls::close(descriptor);
}

/// Whether the runner wants to know what tests change.
pub fn is_on() -> bool {
    !LIST.load(Relaxed).is_null()
}

pub fn loaded_at(base: usize) {
    BASE.store(base, Relaxed);
}

fn list() -> &'static [Entry] {
    let list = LIST.load(Relaxed);
    if list.is_null() {
        return &[];
    }
    // SAFETY: a mapping of so many entries, which is never unmapped and which nobody changes.
    unsafe { core::slice::from_raw_parts(list, COUNT.load(Relaxed)) }
}

/// A test is about to begin.
pub fn test_begins() {
    if list().is_empty() || IS_COPIED.load(Relaxed) {
        return;
    }
    let length = list().iter().map(|entry| entry.length as usize).sum();
    let Some(copy) = syscalls::memory(length) else { return };
    COPY.store(copy, Relaxed);
    IS_COPIED.store(true, Relaxed);
    each(|_, now| now.copy());
    watch_process::begin();
}

/// A test has ended, and its thread is gone.
pub fn test_ended(test: u32) {
    if !IS_COPIED.load(Relaxed) {
        return;
    }
    let runs = |record: &Record| record.has(RUNS_TEST) && !record.has(ENDED);
    // With several tests at once, it is not known which of them it was.
    let is_alone = !records::all().any(runs);
    watch_process::test_ended(Some(test).filter(|_| is_alone));
    each(|index, now| {
        if now.has_changed() {
            let frame = Frame::new(kinds::STATIC_CHANGED).u32(test).u32(index).u64(now.state());
            let mut room = [0; 2 * MOST_OF_STATIC];
            let (before, after) = room.split_at_mut(now.length.min(MOST_OF_STATIC));
            now.show(before);
            now.copy();
            now.show(after);
            let shown = 2 * before.len();
            if is_alone {
                frame.u64(now.state()).send_with(room.get(..shown).unwrap_or(&[]));
            }
        }
    });
}

fn each(mut visit: impl FnMut(u32, Watched)) {
    let (mut copy, base) = (COPY.load(Relaxed), BASE.load(Relaxed));
    for (entry, index) in list().iter().zip(0..) {
        let length = entry.length as usize;
        let address = base.wrapping_add(entry.address as usize) as *const u8;
        visit(index, Watched { address, copy, length });
        copy = copy.wrapping_add(length);
    }
}

/// A static and its copy.
struct Watched {
    address: *const u8,
    copy: *mut u8,
    length: usize,
}

impl Watched {
    /// Its bytes from one on as they are now, and those of the copy.
    fn bytes(&self, from: usize) -> impl Iterator<Item = (u8, u8)> {
        let (address, copy) = (self.address, self.copy);
        // SAFETY: within the static, which is loaded as long as the process, and its copy. Other
        // threads may write it meanwhile.
        (from..self.length)
            .map(move |at| unsafe { (address.add(at).read_volatile(), copy.add(at).read()) })
    }

    fn has_changed(&self) -> bool {
        const WORD: usize = size_of::<u64>();
        let words = self.length / WORD;
        // SAFETY: as in `bytes`; reads of words need no alignment here.
        let word_differs = |at: usize| unsafe {
            let (address, copy) = (self.address.cast::<u64>(), self.copy.cast::<u64>());
            address.add(at).read_unaligned() != copy.add(at).read_unaligned()
        };
        (0..words).any(word_differs) || self.bytes(words * WORD).any(|(now, before)| now != before)
    }

    /// Touches no page of the copy that stays zero.
    fn copy(&self) {
        for (at, (now, before)) in self.bytes(0).enumerate() {
            if now != before {
                // SAFETY: within the copy.
                unsafe { self.copy.add(at).write(now) };
            }
        }
    }

    /// The state of the copy.
    fn state(&self) -> u64 {
        // SAFETY: the copy has that length, and is ours alone.
        kinds::state(unsafe { core::slice::from_raw_parts(self.copy, self.length) })
    }

    /// The copy, of which the middle is left out if it is too long: a `LazyLock` keeps its state
    /// behind its value.
    fn show(&self, room: &mut [u8]) {
        const END: usize = 64;
        let is_whole = room.len() >= self.length;
        // Numbers of 4 bytes stay whole.
        let skipped = if is_whole { 0 } else { (self.length - room.len()) & !3 };
        let end = room.len().saturating_sub(END);
        for (at, place) in room.iter_mut().enumerate().take(self.length) {
            let from = if at < end { at } else { at + skipped };
            // SAFETY: within the copy.
            *place = unsafe { self.copy.add(from).read() };
        }
    }
}
