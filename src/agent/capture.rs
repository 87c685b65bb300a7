//! What running tests have printed and libtest has captured.
//!
//! libtest keeps it in memory until the test has finished. If the process ends before, or hangs,
//! the agent sends it.
//!
//! The capture of a thread is a `Cell<Option<Arc<Mutex<Vec<u8>>>>>` in a thread-local variable of
//! the standard library. None of these layouts is guaranteed: memory is read by a call that cannot
//! crash, and what does not look like an `Arc` of a `Mutex` of a `Vec` is not taken for one.

use core::sync::atomic::Ordering::Relaxed;

use crate::channel;
use crate::frame::{Frame, parts};
use crate::records::{self, ENDED, RUNS_TEST, Record, WAITS};
use crate::{kinds, syscalls, tls_symbol};

/// Bytes in memory.
struct Text {
    address: usize,
    length: usize,
}

/// Why the capture of a thread cannot be read.
enum Unreadable {
    NoSymbol,
    /// The standard library takes it out of the variable while it prints.
    Printing,
    UnknownLayout,
    /// A sandbox forbids the call, or there is no memory.
    Forbidden,
}

/// Sends what this test has printed, or, if the test is 0, what all running tests have.
pub fn send(test: u32) {
    let runs = |record: &&Record| record.has(RUNS_TEST) && !record.has(ENDED | WAITS);
    let is_wanted = |record: &&Record| test == 0 || record.test.load(Relaxed) == test;
    if channel::is_open() {
        records::all().filter(runs).filter(is_wanted).for_each(send_of);
    }
}

/// How much libtest has captured of the test of this thread.
pub fn place(record: &Record) -> u64 {
    let Some(owner) = owner(record) else { return kinds::UNKNOWN_PLACE };
    match captured(owner) {
        Ok(text) => {
            owner.capture_seen.store(text.length as u64 + 1, Relaxed);
            text.length as u64
        }
        // As much as the last time, or unknown.
        Err(_) => owner.capture_seen.load(Relaxed).wrapping_sub(1),
    }
}

/// The thread that runs the test of this thread.
fn owner(record: &Record) -> Option<&Record> {
    if record.has(RUNS_TEST) {
        return Some(record);
    }
    let test = record.test.load(Relaxed);
    records::all()
        .find(|other| other.has(RUNS_TEST) && !other.has(ENDED) && other.test.load(Relaxed) == test)
}

/// How long to wait for a thread that is printing, in pauses of a millisecond.
const MOST_PAUSES: u32 = 50;
/// How often to look before each pause: a thread that prints in a loop is hardly ever outside of it.
const LOOKS: u32 = 100;

fn send_of(record: &Record) {
    let is_own = records::current().is_some_and(|current| core::ptr::eq(current, record));
    let mut read = captured(record);
    for look in 1..=MOST_PAUSES * LOOKS {
        if is_own || !matches!(read, Err(Unreadable::Printing)) {
            break;
        }
        if look % LOOKS == 0 {
            syscalls::pause();
        }
        read = captured(record);
    }
    let test = record.test.load(Relaxed);
    match read {
        Ok(text) => send_text(record, test, &text),
        Err(why) => {
            let why = match why {
                Unreadable::NoSymbol => kinds::NO_SYMBOL,
                Unreadable::Printing => kinds::PRINTING,
                Unreadable::UnknownLayout => kinds::UNKNOWN_LAYOUT,
                Unreadable::Forbidden => kinds::FORBIDDEN,
            };
            send_lost(test, why);
        }
    }
}

fn send_lost(test: u32, why: u8) {
    Frame::new(kinds::CAPTURE_LOST).u32(test).bytes(&[why]).send();
}

/// Sends what has not been sent before. An empty text is sent too: the test has printed nothing.
fn send_text(record: &Record, test: u32, text: &Text) {
    const BUFFER: usize = 64 * 1024;
    // Not on the stack, which may be that of a signal handler.
    let Some(memory) = syscalls::memory(BUFFER) else { return send_lost(test, kinds::FORBIDDEN) };
    // SAFETY: a new mapping of that length.
    let buffer = unsafe { core::slice::from_raw_parts_mut(memory, BUFFER) };
    let mut from = record.capture_sent.swap(text.length, Relaxed).min(text.length);
    loop {
        let wanted = (text.length - from).min(BUFFER);
        let room = buffer.get_mut(..wanted).unwrap_or_default();
        let length = syscalls::peek(text.address.wrapping_add(from), room);
        let read = room.get(..length).unwrap_or(&[]);
        if read.is_empty() {
            captured_frame(test, from).send();
        }
        for part in parts(read) {
            captured_frame(test, from).send_with(part);
            from += part.len();
        }
        if length == 0 || from >= text.length {
            break;
        }
    }
    syscalls::unmap(memory, BUFFER);
}

fn captured_frame(test: u32, from: usize) -> Frame {
    Frame::new(kinds::CAPTURED).u32(test).u64(from as u64)
}

/// The text that the thread of this record has printed.
fn captured(record: &Record) -> Result<Text, Unreadable> {
    let offset = tls_symbol::offset().ok_or(Unreadable::NoSymbol)?;
    let variable = record.thread_pointer.load(Relaxed).wrapping_add(offset);
    // A pointer, and a byte that says whether there is a value, in either order.
    let [one, other] = words::<2>(variable).ok_or(Unreadable::Forbidden)?;
    let arc = if is_pointer(one) { one } else { other };
    if !is_pointer(arc) {
        return Err(Unreadable::Printing);
    }
    shared_vector(arc)
}

/// The text of an `Arc<Mutex<Vec<u8>>>`.
fn shared_vector(arc: usize) -> Result<Text, Unreadable> {
    /// More threads than a process can have.
    const MOST_OWNERS: usize = 1 << 22;
    let [strong, weak, lock, vector @ ..] = words::<6>(arc).ok_or(Unreadable::Forbidden)?;
    let [futex, poison] = [lock as u32, (lock >> 32) as u32 & 0xff];
    let is_shared = (1..=MOST_OWNERS).contains(&strong) && weak == 1;
    if !is_shared || futex > 2 || poison > 1 {
        return Err(Unreadable::UnknownLayout);
    }
    if futex != 0 {
        return Err(Unreadable::Printing);
    }
    // A capacity, a pointer and a length in an order of the compiler's choice. The pointer is the
    // greatest by far, but for that of an empty vector, which is 1.
    let [address, capacity, length] = descending(vector);
    match is_pointer(address) && capacity > 0 || capacity == 0 && address == 1 {
        true => Ok(Text { address, length }),
        false => Err(Unreadable::UnknownLayout),
    }
}

/// Whether a number can be an address: the first pages are never mapped.
fn is_pointer(number: usize) -> bool {
    const LOWEST: usize = 1 << 16;
    number >= LOWEST
}

fn descending([a, b, c]: [usize; 3]) -> [usize; 3] {
    let (greatest, least) = (a.max(b).max(c), a.min(b).min(c));
    [greatest, a ^ b ^ c ^ greatest ^ least, least]
}

fn words<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut words = [0; N];
    // SAFETY: the bytes of `words`, any value of which is a number.
    let room = unsafe {
        core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of::<[usize; N]>())
    };
    let length = room.len();
    (syscalls::peek(address, room) == length).then_some(words)
}
