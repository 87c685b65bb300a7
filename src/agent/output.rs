//! Output that bypasses libtest's capture, attributed to its test.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::frame::{Frame, parts};
use crate::real::{self, ENOSYS, Vector};
use crate::records::{self, Record};
use crate::syscalls::{self, Identity};
use crate::{capture, channel};
use crate::{kinds, libtest};

/// The files of descriptors 1 and 2 at the start. Constant after the constructor.
static mut STREAMS: [Option<Identity>; 3] = [None; 3];
/// Whether they still refer to these files as far as the main thread is concerned: a test that
/// redirects them does not want libtest's results in its file. Only what the main thread does itself
/// counts.
static IS_OURS_FOR_MAIN: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

pub fn prepare() {
    let streams = [None, syscalls::identity(1), syscalls::identity(2)];
    // SAFETY: called by the constructor, before any thread and any reader.
    unsafe { STREAMS = streams };
    check_stream(1);
    check_stream(2);
}

/// Checks whether a descriptor that the main thread has closed or replaced still is the stream from
/// the runner.
pub fn check_stream(descriptor: c_int) {
    let is_main = || records::current().is_some_and(Record::is_main);
    if matches!(descriptor, 1 | 2) && !records::is_in_vfork() && is_main() {
        IS_OURS_FOR_MAIN[descriptor as usize].store(is_ours(descriptor), Relaxed);
    }
}

/// Whether the descriptor is the stream from the runner now.
fn is_ours(descriptor: c_int) -> bool {
    // SAFETY: written once, before there were readers.
    let given = unsafe { STREAMS[descriptor as usize] };
    given.is_some() && syscalls::identity(descriptor) == given
}

/// The record of the running thread, if what it writes to `descriptor` is sent to the runner.
fn writer(descriptor: c_int) -> Option<&'static Record> {
    let (1 | 2) = descriptor else { return None };
    if !channel::is_open() {
        return None;
    }
    let record = records::current()?;
    // The main thread's errors (libtest's usage, a panic outside of tests) go to stderr.
    let is_ours = match (record.is_main(), descriptor) {
        (true, 1) => IS_OURS_FOR_MAIN[1].load(Relaxed),
        (true, _) => false,
        // A test that redirects it wants the output for itself, and may do so by a raw system call.
        (false, _) => is_ours(descriptor),
    };
    is_ours.then_some(record)
}

fn take(record: &Record, descriptor: c_int, bytes: &[u8]) -> bool {
    if record.is_main() {
        return libtest::take(bytes);
    }
    let place = capture::place(record);
    parts(bytes).all(|part| {
        Frame::new(kinds::OUTPUT)
            .u32(record.number.load(Relaxed))
            .u32(record.test.load(Relaxed))
            .bytes(&[descriptor as u8])
            .u64(place)
            .send_with(part)
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize {
    if let Some(record) = writer(descriptor) {
        // SAFETY: the caller promised that many readable bytes.
        let taken = unsafe { core::slice::from_raw_parts(bytes.cast(), length) };
        if take(record, descriptor, taken) {
            return length as isize;
        }
    }
    match real::write() {
        // SAFETY: the caller's own arguments.
        Some(write) => unsafe { write(descriptor, bytes, length) },
        None => real::fail(ENOSYS) as isize,
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(descriptor: c_int, vectors: *const Vector, count: c_int) -> isize {
    if let (Some(record), 1..) = (writer(descriptor), count) {
        // SAFETY: the caller promised that many vectors.
        let vectors = unsafe { core::slice::from_raw_parts(vectors, count as usize) };
        if let Some(length) = take_all(record, descriptor, vectors) {
            return length;
        }
    }
    match real::writev() {
        // SAFETY: the caller's own arguments.
        Some(writev) => unsafe { writev(descriptor, vectors, count) },
        None => real::fail(ENOSYS) as isize,
    }
}

/// The number of bytes taken; none if the channel failed at the first vector.
fn take_all(record: &Record, descriptor: c_int, vectors: &[Vector]) -> Option<isize> {
    let mut length = 0;
    for vector in vectors.iter().filter(|vector| vector.length > 0) {
        // SAFETY: the caller of `writev` promised that many readable bytes.
        let bytes = unsafe { core::slice::from_raw_parts(vector.address.cast(), vector.length) };
        if !take(record, descriptor, bytes) {
            break;
        }
        length += vector.length as isize;
    }
    (length > 0).then_some(length)
}
