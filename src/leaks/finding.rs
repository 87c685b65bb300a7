//! Something that a test may have left behind, as far as the worker's own facts go.

use std::time::Duration;

use crate::frames::Address;

/// Something that a test may have left behind, as far as the worker's own facts go.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub what: Leftover,
    /// Where it was started, innermost first.
    pub stack: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Leftover {
    Thread {
        name: String,
        tid: u32,
        /// How long it lived on behind its test; none where its process ended it.
        lived_on: Option<Duration>,
        /// Whether it was seen to wait for something when its linger had passed.
        was_waiting: bool,
    },
    /// A thread panicked, ended, and nobody joined it.
    Panic {
        thread: String,
        /// What it says, if it carries a text.
        message: String,
        /// The table of methods of what it carries, and the one that tells the type.
        methods: [Address; 2],
        raised: Vec<Address>,
    },
    Process {
        pid: u32,
        command: String,
        age: Duration,
        /// How long it lived on behind its test; none where it was there until it was ended.
        lived_on: Option<Duration>,
    },
}

impl Leftover {
    /// How long it lived on behind its test, where it ended before its process did.
    pub fn lived_on(&self) -> Option<Duration> {
        match self {
            Leftover::Thread { lived_on, .. } | Leftover::Process { lived_on, .. } => *lived_on,
            Leftover::Panic { .. } => None,
        }
    }
}

/// A thread or process of the worker, as the system knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The agent's number of the thread, and the system's.
    Thread {
        number: u32,
        tid: u32,
    },
    Process {
        pid: u32,
    },
}
