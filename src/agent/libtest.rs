//! What libtest's main thread prints: its events, one JSON object a line.
//!
//! Everything here belongs to the main thread alone. The line that says that a test starts is
//! held back for an instant: the thread that is created next is that test, and sends the line
//! with its own start in one frame. Should the process die in between, the test has not started.
//!
//! A verdict waits for the same ride while there are tests left to start: libtest then goes on to
//! the next one without waiting for anything, so that nothing is late by more than the start of
//! a thread. This halves the agent's price.

use core::cell::UnsafeCell;
use core::ffi::c_int;

use crate::channel::{self, Frame, Queue};
use crate::kinds;
use crate::records::{Birth, Record};

const STARTED: &[u8] = b"{ \"type\": \"test\", \"event\": \"started\", ";
const SUITE: &[u8] = b"{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": ";
const VERDICT: &[u8] = b"{ \"type\": \"test\", \"name\": ";

struct Libtest {
    /// How much of `STARTED` the bytes just seen agree with.
    matched: usize,
    /// The line so far holds a `started` event.
    is_started: bool,
    /// Tests started so far; the number of the last one.
    tests: u32,
    /// Tests that there are in all; 0 also for a harness that may not be held up.
    expected: u32,
    /// The last one has no thread yet.
    awaits_thread: bool,
    queue: Queue,
    /// Where in the queue its start is told, if it still waits there.
    start: Option<usize>,
}

struct MainOnly(UnsafeCell<Libtest>);

// SAFETY: `libtest` is called by the main thread only, and by no signal handler.
unsafe impl Sync for MainOnly {}

static LIBTEST: MainOnly = MainOnly(UnsafeCell::new(Libtest {
    matched: 0,
    is_started: false,
    tests: 0,
    expected: 0,
    awaits_thread: false,
    queue: Queue::EMPTY,
    start: None,
}));

/// Only for the main thread; each public function here says how that is known.
#[allow(clippy::mut_from_ref)]
fn libtest() -> &'static mut Libtest {
    // SAFETY: one thread, and no function here calls another that gets it again.
    unsafe { &mut *LIBTEST.0.get() }
}

/// Takes what the main thread writes to fd 1; its caller has checked who writes.
pub fn take(bytes: &[u8]) -> bool {
    let libtest = libtest();
    let tests = libtest.tests;
    let is_one_line = is_one_line(bytes);
    libtest.goes_on(bytes);
    libtest.read(bytes, is_one_line);
    if !is_one_line || !libtest.hold(bytes) {
        return libtest.pass_on(bytes, tests);
    }
    channel::is_open()
}

fn is_one_line(bytes: &[u8]) -> bool {
    // SAFETY: reads the slice only.
    let end = unsafe { memchr(bytes.as_ptr(), c_int::from(b'\n'), bytes.len()) };
    !end.is_null() && end.addr() + 1 == bytes.as_ptr().addr() + bytes.len()
}

unsafe extern "C" {
    /// A plain function over memory: libc's is several times as fast as a loop here.
    fn memchr(bytes: *const u8, wanted: c_int, length: usize) -> *const u8;
}

fn is_ignored(line: &[u8]) -> bool {
    const IGNORED: &[u8] = b"\"event\": \"ignored\"";
    line.windows(IGNORED.len()).any(|part| part == IGNORED)
}

fn leading_number(text: &[u8]) -> u32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .fold(0, |number: u32, digit| number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')))
}

impl Libtest {
    /// The main thread writes again. If a test started meanwhile without a thread, and not just
    /// to be ignored, then it ran in the main thread, and a crash there would have lost its
    /// start: this harness is not held up any more.
    fn goes_on(&mut self, bytes: &[u8]) {
        if let Some(tests) = bytes.strip_prefix(SUITE) {
            self.expected = leading_number(tests);
        }
        if core::mem::take(&mut self.awaits_thread) && !is_ignored(bytes) {
            self.expected = 0;
        }
        self.start = None;
    }

    /// Counts the `started` events, at once in lines of libtest's own and byte by byte where there
    /// is anything else. The pattern has its only brace in front, so a mismatch can only start
    /// over.
    fn read(&mut self, bytes: &[u8], is_one_line: bool) {
        if is_one_line && self.matched == 0 && !self.is_started {
            if bytes.starts_with(STARTED) {
                self.tests += 1;
                self.awaits_thread = true;
                return;
            }
            // What a test has printed stands in it with its quotes escaped.
            if bytes.starts_with(VERDICT) {
                return;
            }
        }
        for &byte in bytes {
            self.matched = match STARTED.get(self.matched) {
                Some(&expected) if expected == byte => self.matched + 1,
                _ => usize::from(byte == b'{'),
            };
            self.is_started |= self.matched == STARTED.len();
            if byte == b'\n' {
                self.tests += u32::from(self.is_started);
                self.awaits_thread |= self.is_started;
                self.is_started = false;
            }
        }
    }

    /// Holds a line back where that is allowed. False: it must go out now.
    fn hold(&mut self, line: &[u8]) -> bool {
        if self.expected == 0 {
            return false;
        }
        if line.starts_with(STARTED) {
            self.start = started(self.tests, 0, 0).wait_in(&mut self.queue, line);
            if self.start.is_none() {
                self.queue.flush();
                self.start = started(self.tests, 0, 0).wait_in(&mut self.queue, line);
            }
            return self.start.is_some();
        }
        self.tests < self.expected
            && line.starts_with(VERDICT)
            && Frame::new(kinds::LIBTEST).wait_in(&mut self.queue, line).is_some()
    }

    /// Sends bytes now. Of the tests that they start, more than `known`, only the numbers are
    /// told: their lines stand in the stream, too long or too oddly written to be held back.
    fn pass_on(&mut self, bytes: &[u8], known: u32) -> bool {
        let mut sent = true;
        for part in channel::parts(bytes) {
            sent &= Frame::new(kinds::LIBTEST).send_after(self.queue.waiting(), part);
            self.queue.clear();
        }
        for test in known..self.tests {
            started(test + 1, 0, 0).send();
        }
        sent
    }
}

fn started(test: u32, number: u32, thread: u32) -> Frame {
    Frame::new(kinds::TEST_STARTED).u32(test).u32(number).u32(thread)
}

/// The test that the thread about to be created by `creator` will run, if it is one. What waits
/// is handed to the new thread, which has `number`.
pub fn take_started(creator: &Record, number: u32, birth: &mut Birth) -> Option<u32> {
    const PLACE_OF_NUMBER: usize = 9;
    const PLACE_OF_THREAD: usize = 13;
    if !creator.is_main() {
        return None;
    }
    let libtest = libtest();
    if !core::mem::take(&mut libtest.awaits_thread) {
        return None;
    }
    let start = core::mem::take(&mut libtest.start)
        .or_else(|| started(libtest.tests, 0, 0).wait_in(&mut libtest.queue, &[]));
    birth.queue.take_over(&mut libtest.queue);
    birth.missing = start.map_or(0, |start| start + PLACE_OF_THREAD);
    if let Some(start) = start {
        birth.queue.fill_in(start + PLACE_OF_NUMBER, number);
    }
    Some(libtest.tests)
}

/// Keeps a frame until the next write of the main thread; its caller has checked who it is.
pub fn keep(frame: Frame) {
    let queue = &mut libtest().queue;
    if !queue.has_room() {
        queue.flush();
    }
    frame.wait_in(queue, &[]);
}

/// Sends what the main thread still keeps. Only for the main thread.
pub fn flush(thread: &Record) {
    if thread.is_main() {
        libtest().queue.flush();
    }
}
