//! The messages of the agent, decoded: bytes in, frames out.
//!
//! Pure: no I/O, and no bytes make it panic.
//!
//! # The wire
//!
//! The agent writes frames to a pipe, each by one call, so that frames of several
//! threads never mix. All numbers are in the machine's byte order. Where a prepared process has
//! forked the worker, its answer to that comes before all frames (`agent/asked.rs`).
//!
//! ```text
//! frame   = u32 length of the rest, u8 kind, fields
//! stack   = u8 count, count * u64 address, innermost first
//! text    = the bytes up to the frame's end
//!
//! hello           u32 version, u32 process, u32 signal that asks for stacks
//! module          u64 base, u64 start, u64 end, text path (empty: the executable)
//! libtest         u32 test, text: a piece of what the main thread wrote to fd 1
//! libtest-line    u32 test, text: a line of it that is one event, whole and alone
//! test-started    u32 test, u32 thread, u32 tid, u32 line, text: libtest's event
//! output          u32 thread, u32 test, u8 fd, u64 how much libtest had captured of the test
//!                 before, text
//! thread-started  u32 thread, u32 tid, u32 creator, u32 test, u8 detached, stack
//! thread-ended    u32 thread, u64 nanoseconds of processor time, text name
//! thread-joined   u32 thread, u32 joiner: not of a thread that is a test itself
//! thread-detached u32 thread
//! panic-raised    u32 thread, u32 test, u32 panic, u64 vtable, u64 type-id, stack, text: the
//!                 message, if these two, a table of methods and one of those, are a text's
//! panic-caught    u32 thread, u32 panic, u8 by-std: by the start of the thread, for who joins it
//! process-started u32 process (0: libc keeps its number to itself), u32 thread, u32 test, stack
//! process-reaped  u32 process
//! exiting         i32 code, u32 thread, u32 test
//! crashing        i32 signal, u32 thread, u32 test, u64 at, u64 address
//! stacks-asked    u32 how many stacks will come
//! stack           u32 thread, u32 tid, u32 test, stack, 16 bytes name
//! thread-alive    u32 thread, u32 tid, u32 test, text name
//! goodbye
//! thread-runs     u32 thread, u32 tid: of a thread whose start was reported before it ran
//! changed         u32 test, u8 what (directory, variable), u64 state, text: the variable's name; in a
//!                 run that watches, also the directory's path, or `=` and the variable's value
//! static-changed  u32 test, u32 place in the list of statics, u64 state before, u64 state now, text:
//!                 its bytes before, and as many now; the middle is left out of long ones
//! state-changed   u32 test, u8 what (umask, handler, limit, descriptor, timer, locale), u32 its number,
//!                 u64 state before, u64 state now, u8 length, so many bytes before, text: those now
//! leaving         u32 descriptor: the process waits for a byte from there before it ends
//! captured        u32 test, u64 from, text: what libtest has captured of a test that runs, from
//!                 this byte on
//! capture-lost    u32 test, u8 why it cannot be read
//! ```
//!
//! Threads are numbered by the agent in the order of their creation; 0 is the main thread. Tests
//! are numbered in the order in which libtest creates threads for them; 0 is no test. Panics
//! are numbered in the order in which they are raised, but for those of the tests' own threads,
//! which are not reported. No number is used twice in a process. An address points into the calling
//! instruction, not behind it: it is looked up as it stands, minus its module's base.
//!
//! Frames of one thread come in its order, those of several in any: only what a frame says itself
//! tells what it is about. Pieces of `libtest` are all from the main thread, and so are whole what
//! it wrote, in its order; a `libtest-line` may be sent by another thread, before or after them.
//! Its test is the one whose thread was joined just before that was written, so that a verdict is
//! that test's; 0 where none was.

use std::fmt;

#[path = "agent/kinds.rs"]
pub mod kinds;

pub use kinds::{ABSENT, UNKNOWN, state as state_of};
pub use kinds::{IN_PERSONALITY, IN_PRIORITY, SLOTS, VERSION, mark};

/// An absolute address in the worker.
pub type Address = u64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Hello {
        version: u32,
        process: u32,
        asks_for_stacks: i32,
    },
    Module {
        base: Address,
        start: Address,
        end: Address,
        path: Vec<u8>,
    },
    Libtest {
        test: u32,
        bytes: Vec<u8>,
    },
    LibtestLine {
        test: u32,
        bytes: Vec<u8>,
    },
    /// A test of number 0 has no thread: it is ignored, or the main thread runs it. Where `event`
    /// is empty it stands on this line of those that came in pieces, counted from 1.
    TestStarted {
        test: u32,
        thread: u32,
        tid: u32,
        line: u32,
        event: Vec<u8>,
    },
    /// A test that was reported as waiting runs now.
    TestRuns {
        test: u32,
        tid: u32,
    },
    Output {
        thread: u32,
        test: u32,
        descriptor: u8,
        /// How much libtest had captured of the test before, if that is known.
        place: Option<u64>,
        bytes: Vec<u8>,
    },
    ThreadStarted {
        thread: u32,
        tid: u32,
        creator: u32,
        test: u32,
        detached: bool,
        stack: Vec<Address>,
    },
    ThreadEnded {
        thread: u32,
        processor_nanoseconds: u64,
        name: Vec<u8>,
    },
    ThreadJoined {
        thread: u32,
        joiner: u32,
    },
    ThreadDetached {
        thread: u32,
    },
    PanicRaised {
        thread: u32,
        test: u32,
        panic: u32,
        methods: [Address; 2],
        stack: Vec<Address>,
        message: Vec<u8>,
    },
    PanicCaught {
        thread: u32,
        panic: u32,
        by_std: bool,
    },
    ProcessStarted {
        process: u32,
        thread: u32,
        test: u32,
        stack: Vec<Address>,
    },
    ProcessReaped {
        process: u32,
    },
    /// A test has changed the current directory of its process, or the variable of this name.
    Changed {
        test: u32,
        variable: Option<Vec<u8>>,
        /// What it has led to.
        state: u64,
        /// The path, or the value if there is one, where it is told.
        value: Option<Vec<u8>>,
    },
    /// A test has left something else of the process changed.
    StateChanged {
        test: u32,
        /// Of `kinds::watched`.
        what: u8,
        number: u32,
        states: [u64; 2],
        before: Vec<u8>,
        after: Vec<u8>,
    },
    /// A test has left a static of the executable changed.
    StaticChanged {
        test: u32,
        /// Its place in the list that the worker was given.
        index: u32,
        /// The states that it has changed from and to.
        states: [u64; 2],
        /// Its bytes in both, without the middle if they are many.
        before: Vec<u8>,
        after: Vec<u8>,
    },
    Exiting {
        code: i32,
        thread: u32,
        test: u32,
    },
    Crashing {
        signal: i32,
        thread: u32,
        test: u32,
        at: Address,
        address: Address,
    },
    StacksAsked {
        threads: u32,
    },
    Stack {
        thread: u32,
        tid: u32,
        test: u32,
        stack: Vec<Address>,
        name: Vec<u8>,
    },
    ThreadAlive {
        thread: u32,
        tid: u32,
        test: u32,
        name: Vec<u8>,
    },
    Goodbye,
    /// All tests have ended, and something that they have started may still be there. The process
    /// ends once it has been told so, by two bytes to this descriptor of it: the first says that
    /// somebody will send the second.
    Leaving {
        descriptor: u32,
    },
    /// What a running test has printed, from this byte on, which libtest keeps until its end.
    Captured {
        test: u32,
        from: u64,
        bytes: Vec<u8>,
    },
    /// What a running test has printed cannot be read.
    CaptureLost {
        test: u32,
        why: u8,
    },
    /// A thread whose start was told before it had a `tid` runs now.
    ThreadRuns {
        thread: u32,
        tid: u32,
    },
}

/// Bytes that no agent of this version sends. Nothing after them can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    Length(u32),
    Kind(u8),
    Fields(u8),
}

impl fmt::Display for Garbage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Garbage::Length(length) => write!(formatter, "a frame of {length} bytes"),
            Garbage::Kind(kind) => write!(formatter, "a frame of unknown kind {kind}"),
            Garbage::Fields(kind) => write!(formatter, "a frame of kind {kind} with wrong fields"),
        }
    }
}

impl std::error::Error for Garbage {}

/// Collects bytes as they arrive and gives frames as they are complete. What is left at the
/// end is a frame that the worker's death cut off; it is dropped.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    from: usize,
}

impl Decoder {
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their frame.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.bytes.len() - self.from
    }

    /// The next whole frame; none until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Garbage> {
        let waiting = &self.bytes[self.from..];
        let Some((&length, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_ne_bytes(length);
        if length == 0 || length as usize + 4 > kinds::LONGEST {
            return Err(Garbage::Length(length));
        }
        let Some(frame) = rest.get(..length as usize) else { return Ok(None) };
        let frame = decode(frame)?;
        self.from += 4 + length as usize;
        Ok(Some(frame))
    }
}

fn decode(frame: &[u8]) -> Result<Frame, Garbage> {
    let Some((&kind, fields)) = frame.split_first() else { return Err(Garbage::Length(0)) };
    if !(kinds::HELLO..=kinds::LAST).contains(&kind) {
        return Err(Garbage::Kind(kind));
    }
    let mut fields = Fields(fields);
    read(kind, &mut fields).filter(|_| fields.0.is_empty()).ok_or(Garbage::Fields(kind))
}

fn read(kind: u8, fields: &mut Fields<'_>) -> Option<Frame> {
    Some(match kind {
        kinds::HELLO => Frame::Hello {
            version: fields.u32()?,
            process: fields.u32()?,
            asks_for_stacks: fields.i32()?,
        },
        kinds::MODULE => Frame::Module {
            base: fields.u64()?,
            start: fields.u64()?,
            end: fields.u64()?,
            path: fields.text(),
        },
        kinds::LIBTEST => Frame::Libtest { test: fields.u32()?, bytes: fields.text() },
        kinds::LIBTEST_LINE => Frame::LibtestLine { test: fields.u32()?, bytes: fields.text() },
        kinds::TEST_STARTED => Frame::TestStarted {
            test: fields.u32()?,
            thread: fields.u32()?,
            tid: fields.u32()?,
            line: fields.u32()?,
            event: fields.text(),
        },
        kinds::TEST_RUNS => Frame::TestRuns { test: fields.u32()?, tid: fields.u32()? },
        kinds::OUTPUT => Frame::Output {
            thread: fields.u32()?,
            test: fields.u32()?,
            descriptor: fields.u8()?,
            place: Some(fields.u64()?).filter(|place| *place != kinds::UNKNOWN_PLACE),
            bytes: fields.text(),
        },
        kinds::THREAD_STARTED => Frame::ThreadStarted {
            thread: fields.u32()?,
            tid: fields.u32()?,
            creator: fields.u32()?,
            test: fields.u32()?,
            detached: fields.u8()? != 0,
            stack: fields.stack()?,
        },
        kinds::THREAD_ENDED => Frame::ThreadEnded {
            thread: fields.u32()?,
            processor_nanoseconds: fields.u64()?,
            name: fields.text(),
        },
        kinds::THREAD_JOINED => {
            Frame::ThreadJoined { thread: fields.u32()?, joiner: fields.u32()? }
        }
        kinds::THREAD_DETACHED => Frame::ThreadDetached { thread: fields.u32()? },
        kinds::PANIC_RAISED => Frame::PanicRaised {
            thread: fields.u32()?,
            test: fields.u32()?,
            panic: fields.u32()?,
            methods: [fields.u64()?, fields.u64()?],
            stack: fields.stack()?,
            message: fields.text(),
        },
        kinds::PANIC_CAUGHT => Frame::PanicCaught {
            thread: fields.u32()?,
            panic: fields.u32()?,
            by_std: fields.u8()? != 0,
        },
        kinds::PROCESS_STARTED => Frame::ProcessStarted {
            process: fields.u32()?,
            thread: fields.u32()?,
            test: fields.u32()?,
            stack: fields.stack()?,
        },
        kinds::PROCESS_REAPED => Frame::ProcessReaped { process: fields.u32()? },
        kinds::CHANGED => {
            let (test, what, state) = (fields.u32()?, fields.u8()?, fields.u64()?);
            let mut text = fields.text();
            let (variable, value) = match what {
                kinds::DIRECTORY => (None, Some(text).filter(|path| !path.is_empty())),
                kinds::VARIABLE => {
                    let end = text.iter().position(|byte| *byte == b'=');
                    let value = end.map(|end| text.split_off(end)[1..].to_vec());
                    (Some(text), value)
                }
                _ => return None,
            };
            Frame::Changed { test, variable, state, value }
        }
        kinds::STATE_CHANGED => {
            let (test, what, number) = (fields.u32()?, fields.u8()?, fields.u32()?);
            let (states, length) = ([fields.u64()?, fields.u64()?], fields.u8()?);
            let before = (0..length).map(|_| fields.u8()).collect::<Option<_>>()?;
            Frame::StateChanged { test, what, number, states, before, after: fields.text() }
        }
        kinds::STATIC_CHANGED => {
            let (test, index) = (fields.u32()?, fields.u32()?);
            let (states, mut before) = ([fields.u64()?, fields.u64()?], fields.text());
            (before.len() % 2 == 0).then_some(())?;
            let after = before.split_off(before.len() / 2);
            Frame::StaticChanged { test, index, states, before, after }
        }
        kinds::EXITING => {
            Frame::Exiting { code: fields.i32()?, thread: fields.u32()?, test: fields.u32()? }
        }
        kinds::CRASHING => Frame::Crashing {
            signal: fields.i32()?,
            thread: fields.u32()?,
            test: fields.u32()?,
            at: fields.u64()?,
            address: fields.u64()?,
        },
        kinds::STACKS_ASKED => Frame::StacksAsked { threads: fields.u32()? },
        kinds::STACK => Frame::Stack {
            thread: fields.u32()?,
            tid: fields.u32()?,
            test: fields.u32()?,
            stack: fields.stack()?,
            name: fields.name(),
        },
        kinds::THREAD_ALIVE => Frame::ThreadAlive {
            thread: fields.u32()?,
            tid: fields.u32()?,
            test: fields.u32()?,
            name: fields.text(),
        },
        kinds::THREAD_RUNS => Frame::ThreadRuns { thread: fields.u32()?, tid: fields.u32()? },
        kinds::GOODBYE => Frame::Goodbye,
        kinds::LEAVING => Frame::Leaving { descriptor: fields.u32()? },
        kinds::CAPTURED => {
            Frame::Captured { test: fields.u32()?, from: fields.u64()?, bytes: fields.text() }
        }
        kinds::CAPTURE_LOST => {
            let (test, why) = (fields.u32()?, fields.u8()?);
            (kinds::NO_SYMBOL..=kinds::FORBIDDEN).contains(&why).then_some(())?;
            Frame::CaptureLost { test, why }
        }
        _ => return None,
    })
}

/// What of a frame is not read yet.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    fn stack(&mut self) -> Option<Vec<Address>> {
        let count = self.u8()?;
        (0..count).map(|_| self.u64()).collect()
    }

    fn text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    /// A text that zero bytes fill up.
    fn name(&mut self) -> Vec<u8> {
        let mut name = self.text();
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
        name
    }
}

#[cfg(test)]
mod tests;
