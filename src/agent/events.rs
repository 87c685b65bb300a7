//! What libtest's main thread writes, and which test each thread runs that it creates. Pure: the
//! runner's model of the agent plays this very code through every order of things.
//!
//! libtest says that a test begins, and creates the thread that runs it before it says anything
//! else; it joins that thread, and tells the verdict before it says anything else. Both hold in
//! the order of the main thread's own calls, so each thread has its test's name, and each verdict
//! the number of its test, whatever other threads do meanwhile.
//!
//! The line that says that a test begins is held back for an instant: it goes out with the start
//! of the test's thread, in one frame. Should the process die in between, the test has not
//! started. A verdict waits for the same ride while there are tests left to start: libtest then
//! goes on to the next one without waiting for anything, so that nothing is late by more than the
//! start of a thread. This halves the agent's price.
//!
//! libtest's stdout is that of all threads, and has one buffer. What a test leaves in it without
//! a line's end stands in front of the next event, what a test writes between an event and its
//! line's end stands behind it, and another thread may write out an event that waits for its
//! line's end. A line that is not one event and nothing else is passed on as it came, in pieces.

use core::ffi::c_int;

use super::frame::{Frame, Queue, parts};
use super::kinds;

const STARTED: &[u8] = b"{ \"type\": \"test\", \"event\": \"started\", ";
const VERDICT: &[u8] = b"{ \"type\": \"test\", \"name\": ";
const SUITE_STARTED: &[u8] = b"{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": ";
const SUITE: &[u8] = b"{ \"type\": \"suite\", ";
const OTHER: &[u8] = b"{ \"type\": ";

/// Sends what waited, a frame's head and its tail in one call. False: nobody listens.
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
    /// Of a line that is one event and nothing else.
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

    /// The last event in these bytes, and where it begins. No text inside of an event looks like
    /// the beginning of one: its quotes are escaped.
    fn last_in(bytes: &[u8]) -> Option<(usize, Event)> {
        Event::all_in(bytes).next()
    }

    /// From the last one to the first.
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
    /// Plain functions over memory: libc's are several times as fast as a loop here.
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

/// Where the event stands by which libtest has just begun a test, until its thread is created.
enum Newest {
    None,
    /// It waits at this place of the queue.
    Waits(usize),
    /// On the last line that was sent in pieces. Another thread may have written it out, and only
    /// the end of the line came from the main thread.
    OnLine,
}

pub struct Events {
    /// Between libtest's first event and its last one, a thread of the main thread's is a test.
    is_open: bool,
    /// Tests that there are in all; 0 where that is not known, and nothing may wait.
    expected: u32,
    /// Tests that libtest has begun, those to be ignored too.
    begun: u32,
    /// The number of the last test that got a thread.
    tests: u32,
    newest: Newest,
    /// Lines that were sent in pieces, and whether one has begun and not ended.
    lines: u32,
    is_in_line: bool,
    /// The test whose thread was joined last, until the next event: that is its verdict.
    joined: u32,
    queue: Queue,
}

/// Of a thread that runs a test.
pub struct TestThread {
    pub test: u32,
    /// Where in what waits for it the kernel's number of the thread is missing.
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

    /// Takes what the main thread writes to its stdout. False: nobody listens.
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

    /// Lets a frame wait for the start of a thread, if it is short enough and one is to come.
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

    /// The main thread creates a thread, which has this number: whether that is a test. What
    /// waits is handed to it.
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
            // Nobody has said which one it is.
            Newest::None => self.wait(started(test, number, 0), &[], wire),
        };
        birth.take_over(&mut self.queue);
        Some(TestThread { test, missing: place.map(|place| place + PLACE_OF_THREAD) })
    }

    /// The main thread has joined the thread of a test, of whose end this frame tells.
    pub fn join(&mut self, test: u32, ended: Frame, wire: &mut impl Wire) {
        self.joined = test;
        if ended.clone().wait_in(&mut self.queue, &[]).is_none() {
            self.flush(wire);
            ended.wait_in(&mut self.queue, &[]);
        }
    }

    /// The main thread runs a test itself, whose verdict is its next event.
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

/// `line`: the number of the line that has the event, where that was sent in pieces.
fn started(test: u32, number: u32, line: u32) -> Frame {
    Frame::new(kinds::TEST_STARTED).u32(test).u32(number).u32(0).u32(line)
}
