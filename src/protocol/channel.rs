//! The interface of all protocols by which a worker reports verdicts.
//!
//! It is given what the worker wrote, and says what that means. It does no I/O: only what is too much to
//! be kept in memory goes to a file at once.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::frames::Address;
use crate::leaks::finding::Finding;
use crate::leaks::symbols::Module;
use crate::model::lost_output::LostOutput;
use crate::model::outcome::Outcome;
use crate::model::output::Output;
use crate::model::state_change::StateChange;
use crate::process::event::Stream;
use crate::process::inspector::Inspector;

/// Where one thread of the worker was when it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadStack {
    pub test: Option<usize>,
    pub name: String,
    pub stack: Vec<u64>,
}

/// What a channel heard; tests are told by their lookup in the worker's list.
#[derive(Debug, PartialEq)]
pub enum ChannelEvent {
    TestStarted(usize),
    /// A test that was reported as started waits until it may run.
    TestWaits(usize),
    TestFinished(FinishedTest),
    /// What an ended test had left open has come to its end, well or not.
    ResultFinal {
        test: usize,
        findings: Vec<Finding>,
    },
    /// Written past the capture.
    Output(Vec<u8>),
    /// All tests have ended, and the process waits for a word to this descriptor of it before it
    /// ends as well.
    AwaitsExit {
        descriptor: u32,
    },
}

/// Whether all is known about a test that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultStatus {
    Final,
    /// It has left something open; `ChannelEvent::ResultFinal` or the end of the process follows.
    Provisional,
}

#[derive(Debug, PartialEq)]
pub struct FinishedTest {
    pub test: usize,
    pub outcome: Outcome,
    /// Where the channel knows better than whoever sees its messages come.
    pub took: Option<Duration>,
    /// Processor time of the test's threads, as far as they have ended.
    pub processor: Option<Duration>,
    /// Whether it has started processes, whose processor time is not in there.
    pub has_started_processes: bool,
    pub reason: Option<String>,
    /// What the test printed; none where that comes with the end of the process, if at all.
    pub output: Option<Output>,
    pub status: ResultStatus,
    /// Of a test that failed: others that had changed the state of its process.
    pub neighbors: Vec<usize>,
}

/// What is known when the process has ended.
#[derive(Debug, Default)]
pub struct ChannelSummary {
    /// Whether the worker understood its arguments and began with its tests.
    pub began: bool,
    /// Whether libtest came to its own end.
    pub ended: bool,
    /// The output of tests that came late.
    pub outputs: HashMap<usize, Output>,
    /// Tests of which this includes what libtest had captured when their process ended.
    pub captured: HashSet<usize>,
    /// Why that of other tests could not be read.
    pub lost: HashMap<usize, LostOutput>,
    /// What threads of tests have written when these had their verdicts.
    pub outputs_after_end: HashMap<usize, Output>,
    /// Output of the worker that belongs to no test.
    pub rest: Output,
    /// Whether the channel was cut before its end, and not by the process's own.
    pub was_lost: bool,
    /// What tests have left behind that were not settled before.
    pub findings: HashMap<usize, Vec<Finding>>,
    /// Those of the strays that are this worker's: they have to be ended.
    pub orphan_pids: Vec<u32>,
    /// What one of the tests has left behind, and nobody can say which.
    pub unattributed: Vec<Finding>,
    /// Where the addresses of findings and stacks belong.
    pub modules: Vec<Module>,
    pub stacks: Vec<ThreadStack>,
    /// Whether the process said that it ends, having run all of its own code.
    pub said_goodbye: bool,
    /// How many verdicts were heard, and how many tests libtest says it ran, where it came to
    /// its end.
    pub heard: usize,
    pub counted: Option<usize>,
    /// Tests whose verdicts were heard, and are not to be believed.
    pub retracted: Vec<usize>,
    /// What tests have left changed of their process, if that is watched.
    pub left_changed: Vec<(usize, StateChange)>,
    /// Tests that have done what ends a process.
    pub fatal_events: Vec<FatalEvent>,
}

/// A test that has done what ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FatalEvent {
    pub test: usize,
    pub cause: FatalCause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatalCause {
    /// A call of `exit`, or of its kin, with this code.
    Exit(i32),
    /// A signal that is a crash.
    Signal(i32),
}

pub trait Channel {
    /// Takes the next bytes of a stream.
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Vec<ChannelEvent>;

    /// When it wants to look at the worker's threads and processes.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Looks at them.
    fn look(&mut self, _look: &dyn Inspector) -> Vec<ChannelEvent> {
        Vec::new()
    }

    /// What this test has left that has outlived its linger, whether or not it is still there.
    fn lasting(&self, _test: usize, _look: &dyn Inspector) -> Vec<Finding> {
        Vec::new()
    }

    /// The signal that makes the worker tell where its threads are.
    fn stacks_signal(&self) -> Option<i32> {
        None
    }

    /// Whether all threads have told where they are.
    fn has_stacks(&self) -> bool {
        true
    }

    /// Takes the stacks that have been reported.
    fn take_stacks(&mut self) -> Vec<ThreadStack> {
        Vec::new()
    }

    /// Whether something that tests have started is within its linger, or may be about to end.
    fn has_pending(&self) -> bool {
        false
    }

    /// Of that, the threads: their numbers, and where they were started.
    fn pending_threads(&self) -> Vec<(u32, Vec<Address>)> {
        Vec::new()
    }

    /// These threads are not going to end before their process, by design.
    fn ignore_threads(&mut self, _threads: &[u32]) {}

    /// The process has exited; what it has started is looked at once more.
    fn process_exited(&mut self) {}

    /// The number by which the agent knows a test, if it has one.
    fn number_of(&self, _test: usize) -> Option<u32> {
        None
    }

    /// Where the addresses of findings belong, as far as is known yet.
    fn modules(&self) -> &[Module] {
        &[]
    }

    /// The process has ended, and there is nothing to wait for any more.
    fn finish(self: Box<Self>, look: &dyn Inspector) -> ChannelSummary;
}

/// Stands in for a channel that has been taken apart.
pub struct NullChannel;

impl Channel for NullChannel {
    fn feed(&mut self, _stream: Stream, _bytes: &[u8]) -> Vec<ChannelEvent> {
        Vec::new()
    }

    fn finish(self: Box<Self>, _look: &dyn Inspector) -> ChannelSummary {
        ChannelSummary::default()
    }
}
