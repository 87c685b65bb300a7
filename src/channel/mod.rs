//! How verdicts are learnt from a worker that runs many tests. The ways differ in how much
//! they hear, not in what a verdict is.
//!
//! A channel does no I/O: it is given what the worker wrote, and says what that means.

mod ledger_file;

use std::collections::HashMap;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::process::Stream;

pub use ledger_file::LedgerFile;

/// The ways to learn verdicts, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From inside the worker.
    Agent,
    /// From libtest's `--logfile`.
    LedgerFile,
    /// From the exit code of a process for each test.
    ExitCode,
}

impl Way {
    /// What serves where this one does not.
    pub fn next(self) -> Way {
        match self {
            Way::Agent => Way::LedgerFile,
            Way::LedgerFile | Way::ExitCode => Way::ExitCode,
        }
    }
}

/// What a channel heard; tests are told by their places in the worker's list.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Began(usize),
    Ended(Ended),
    /// Written past the capture.
    Wrote(Vec<u8>),
}

#[derive(Debug, PartialEq)]
pub struct Ended {
    pub test: usize,
    pub outcome: Outcome,
    /// Where the channel knows better than whoever sees its messages come.
    pub took: Option<Duration>,
    pub reason: Option<String>,
    /// What the test printed; none where that comes with the end of the process, if at all.
    pub output: Option<Vec<u8>>,
}

/// What is known when the process has ended.
#[derive(Debug, Default)]
pub struct Left {
    /// Whether the worker understood its arguments and began with its tests.
    pub began: bool,
    /// Whether libtest came to its own end.
    pub ended: bool,
    /// The output of tests that came late.
    pub outputs: HashMap<usize, Vec<u8>>,
    /// What the worker wrote that belongs to no test in particular.
    pub rest: Vec<u8>,
}

pub trait Channel {
    /// Takes the next bytes of a stream.
    fn hear(&mut self, stream: Stream, bytes: &[u8]) -> Vec<Heard>;

    /// The process has ended.
    fn finish(self: Box<Self>) -> Left;
}
