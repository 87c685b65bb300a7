//! What libtest's main thread writes, and which test each of its threads runs. Pure: the runner's
//! model of the agent runs this code in every possible order of events.
//!
//! libtest reports that a test starts, and creates the thread that runs it before it reports
//! anything else. It joins that thread, and reports the result before it reports anything else.
//! Both are in the order of the main thread's own calls, so each thread gets its test's name, and
//! each result the number of its test, whatever other threads do meanwhile.
//!
//! The line that reports the start of a test is held back for a moment: it is sent with the start
//! of the test's thread, in one frame. If the process dies in between, the test has not started. A
//! result is held back in the same way while there are tests left to start: libtest then goes on to
//! the next one without waiting for anything, so that nothing is late by more than the start of a
//! thread. This halves the cost of the agent.
//!
//! All threads share stdout and its one buffer. What a test leaves in it without a newline precedes
//! the next event, what a test writes between an event and its newline follows it, and another
//! thread may flush an event that waits for its newline. A line that is not exactly one event is
//! sent as it is, in pieces.

use core::ffi::c_int;

use super::frame::{Frame, Queue, parts};
use super::kinds;

const STARTED: &[u8] = b"{ \"type\": \"test\", \"event\": \"started\", ";
const VERDICT: &[u8] = b"{ \"type\": \"test\", \"name\": ";
const SUITE_STARTED: &[u8] = b"{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": ";
const SUITE: &[u8] = b"{ \"type\": \"suite\", ";
const OTHER: &[u8] = b"{ \"type\": ";

/// Sends the queue, a frame's head and its tail in one call. Returns false if nothing can be sent.
pub trait Wire {
    fn send(&mut self, waiting: &[u8], head: &[u8], tail: &[u8]) -> bool;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    SuiteStarted { tests: u32 },
    SuiteEnded,
    Started,
    Verdict,
    Other,
}

impl Event {
    /// The event of a line that is exactly one event.
    fn alone(bytes: &[u8]) -> Option<Event> {
        let line = bytes.strip_suffix(b"}\n")?;
        if find(line, b'\n').is_some() {
            return None;
        }
        match Event::last_in(bytes)? {
            (0, event) => Some(event),
            _ => None,
        }
    }

    /// The last event in these bytes, and where it starts. No string inside of an event looks like
    /// the start of one, because its quotes are escaped.
    fn last_in(bytes: &[u8]) -> Option<(usize, Event)> {
        Event::all_in(bytes).next()
    }

    /// All events in these bytes, from the last one to the first.
    fn all_in(bytes: &[u8]) -> impl Iterator<Item = (usize, Event)> {
        let mut end = bytes.len();
        core::iter::from_fn(move || {
            loop {
                end = find_last(bytes.get(..end)?, b'{')?;
                if let Some(event) = Event::at_start_of(bytes.get(end..)?) {
                    return Some((end, event));
                }
            }
        })
    }

    fn at_start_of(bytes: &[u8]) -> Option<Event> {
        if bytes.starts_with(STARTED) {
            return Some(Event::Started);
        }
        if bytes.starts_with(VERDICT) {
            return Some(Event::Verdict);
        }
        if let Some(tests) = bytes.strip_prefix(SUITE_STARTED) {
            return Some(Event::SuiteStarted { tests: leading_number(tests) });
        }
        if bytes.starts_with(SUITE) {
            return Some(Event::SuiteEnded);
        }
        bytes.starts_with(OTHER).then_some(Event::Other)
    }
}

unsafe extern "C" {
    /// Pure functions of libc, which are several times as fast as a loop.
    fn memchr(bytes: *const u8, wanted: c_int, length: usize) -> *const u8;
    fn memrchr(bytes: *const u8, wanted: c_int, length: usize) -> *const u8;
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    // SAFETY: reads the slice only.
    let found = unsafe { memchr(bytes.as_ptr(), c_int::from(wanted), bytes.len()) };
    (!found.is_null()).then(|| found.addr() - bytes.as_ptr().addr())
}

fn find_last(bytes: &[u8], wanted: u8) -> Option<usize> {
    // SAFETY: reads the slice only.
    let found = unsafe { memrchr(bytes.as_ptr(), c_int::from(wanted), bytes.len()) };
    (!found.is_null()).then(|| found.addr() - bytes.as_ptr().addr())
}

fn leading_number(text: &[u8]) -> u32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .fold(0, |number: u32, digit| number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')))
}

/// Where the event is by which libtest has just started a test, until its thread is created.
enum Newest {
    None,
    /// At this position in the queue.
    Waits(usize),
    /// On the last line that was sent in pieces. Another thread may have flushed it, and only its
    /// newline came from the main thread.
    OnLine,
}

pub struct Events {
    /// Whether a thread that the main thread creates runs a test, as between libtest's first event
    /// and its last one.
    is_open: bool,
    /// The number of all tests; 0 if it is not known, and nothing may be queued.
    expected: u32,
    /// The number of tests that libtest has started, including ignored ones.
    begun: u32,
    /// The number of the last test that got a thread.
    tests: u32,
    newest: Newest,
    /// The number of lines that were sent in pieces, and whether the last one is incomplete.
    lines: u32,
    is_in_line: bool,
    /// The test whose thread was joined last, until the next event, which is its result.
    joined: u32,
    queue: Queue,
}

/// A thread that runs a test.
pub struct TestThread {
    pub test: u32,
    /// Where in the frames that it will send its TID is missing.
    pub missing: Option<usize>,
}

const PLACE_OF_TEST: usize = 5;
const PLACE_OF_NUMBER: usize = 9;
const PLACE_OF_THREAD: usize = 13;

impl Events {
    pub const NEW: Events = Events {
        is_open: false,
        expected: 0,
        begun: 0,
        tests: 0,
        newest: Newest::None,
        lines: 0,
        is_in_line: false,
        joined: 0,
        queue: Queue::EMPTY,
    };

    /// Takes what the main thread writes to stdout. Returns false if nothing can be sent.
    pub fn write(&mut self, bytes: &[u8], wire: &mut impl Wire) -> bool {
        match Event::alone(bytes) {
            Some(event) if !self.is_in_line && parts(bytes).count() == 1 => {
                self.note(event);
                self.write_line(event, bytes, wire)
            }
            _ => self.write_pieces(bytes, wire),
        }
    }

    fn note(&mut self, event: Event) {
        self.newest = Newest::None;
        match event {
            Event::SuiteStarted { tests } => {
                (self.is_open, self.expected, self.begun) = (true, tests, 0);
            }
            Event::SuiteEnded => self.is_open = false,
            Event::Started => self.begun += 1,
            Event::Verdict | Event::Other => {}
        }
    }

    fn write_line(&mut self, event: Event, line: &[u8], wire: &mut impl Wire) -> bool {
        if event == Event::Started {
            return match self.wait(started(0, 0, 0), line, wire) {
                Some(place) => {
                    self.newest = Newest::Waits(place);
                    true
                }
                None => self.send_pieces(line, wire),
            };
        }
        let test = match event {
            Event::Verdict => core::mem::take(&mut self.joined),
            _ => 0,
        };
        let may_wait = event == Event::Verdict && self.begun < self.expected;
        let frame = Frame::new(kinds::LIBTEST_LINE).u32(test);
        if may_wait && frame.clone().wait_in(&mut self.queue, line).is_some() {
            return true;
        }
        self.send(frame, line, wire)
    }

    /// Queues a frame for the start of a thread, if it is short enough and a start is to come.
    fn wait(&mut self, frame: Frame, tail: &[u8], wire: &mut impl Wire) -> Option<usize> {
        if self.expected == 0 {
            return None;
        }
        let place = frame.clone().wait_in(&mut self.queue, tail);
        place.or_else(|| {
            self.flush(wire);
            frame.wait_in(&mut self.queue, tail)
        })
    }

    fn write_pieces(&mut self, bytes: &[u8], wire: &mut impl Wire) -> bool {
        if let Some((_, event)) = Event::last_in(bytes) {
            self.note(event);
        }
        self.send_pieces(bytes, wire)
    }

    fn send_pieces(&mut self, bytes: &[u8], wire: &mut impl Wire) -> bool {
        let test = self.joined;
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.lines += ends as u32;
        self.is_in_line = !bytes.ends_with(b"\n");
        if ends > 0 {
            self.newest = Newest::OnLine;
            self.joined = 0;
        }
        parts(bytes).all(|part| self.send(Frame::new(kinds::LIBTEST).u32(test), part, wire))
    }

    fn send(&mut self, mut frame: Frame, tail: &[u8], wire: &mut impl Wire) -> bool {
        let sent = wire.send(self.queue.waiting(), frame.close(tail.len()), tail);
        self.queue.clear();
        sent
    }

    /// The main thread creates a thread with this number. Returns the test that it will run, if
    /// any, and moves the queue to the thread.
    pub fn begin_thread(
        &mut self,
        number: u32,
        birth: &mut Queue,
        wire: &mut impl Wire,
    ) -> Option<TestThread> {
        let newest = core::mem::replace(&mut self.newest, Newest::None);
        if !self.is_open {
            return None;
        }
        self.tests += 1;
        let test = self.tests;
        let place = match newest {
            Newest::Waits(place) => {
                self.queue.fill_in(place + PLACE_OF_TEST, test);
                self.queue.fill_in(place + PLACE_OF_NUMBER, number);
                Some(place)
            }
            Newest::OnLine => self.wait(started(test, number, self.lines), &[], wire),
            // libtest has not reported which test it is.
            Newest::None => self.wait(started(test, number, 0), &[], wire),
        };
        birth.take_over(&mut self.queue);
        Some(TestThread { test, missing: place.map(|place| place + PLACE_OF_THREAD) })
    }

    /// The main thread has joined the thread of a test; the frame reports its end.
    pub fn join(&mut self, test: u32, ended: Frame, wire: &mut impl Wire) {
        self.joined = test;
        if ended.clone().wait_in(&mut self.queue, &[]).is_none() {
            self.flush(wire);
            ended.wait_in(&mut self.queue, &[]);
        }
    }

    /// The main thread runs a test itself; its next event is the result.
    pub fn runs_itself(&mut self, test: u32) {
        self.joined = test;
    }

    pub fn flush(&mut self, wire: &mut impl Wire) {
        if !self.queue.waiting().is_empty() {
            wire.send(self.queue.waiting(), &[], &[]);
        }
        self.queue.clear();
    }
}

/// A frame for the start of a test. `line` is the number of the line with the event, if that was
/// sent in pieces.
fn started(test: u32, number: u32, line: u32) -> Frame {
    Frame::new(kinds::TEST_STARTED).u32(test).u32(number).u32(0).u32(line)
}
