//! A message to the coordinator.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::error::{self, Result};
use crate::fixture::task::FixtureUpdate;
use crate::model::leak::Leak;
use crate::model::output::Output;
use crate::model::reason::Timeout;
use crate::model::state_change::StateChange;
use crate::model::test::TestId;
use crate::model::test_output::ProcessOutput;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::model::worker_span::WorkerSpan;
use crate::plan::group::Instance;
use crate::process::event::ForwardedSignal;
use crate::worker::cpu_demand::Demand;

/// A message to the coordinator.
#[derive(Debug)]
pub enum Message {
    /// The user wants the run to end.
    Signal(ForwardedSignal),
    /// The process that the user started is gone.
    Orphaned,
    /// The user wants to know what runs now.
    WhatRuns,
    /// The user has typed this at the terminal.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Typed(Command),
    /// The stacks of a worker's threads, which the user asked for.
    Stacks(Vec<u8>),
    /// A test has failed; its verdict follows when its output is known.
    Failing {
        test: TestId,
    },
    Judged {
        batch: usize,
        test: TestId,
        verdict: Verdict,
    },
    Fixture {
        instance: Instance,
        update: FixtureUpdate,
    },
    /// A process that ran tests has exited, and nothing that it has left runs any more.
    WorkerEnded(WorkerSpan),
    /// Output of a worker, with `--nocapture`.
    Wrote {
        bytes: Vec<u8>,
    },
    /// What came through the pipes of a worker of several tests, one of which has failed.
    WorkerOutput {
        worker: u64,
        tests: Vec<TestId>,
        output: Output,
    },
    /// What tests have left changed in their process.
    StateChanged(Vec<(TestId, StateChange)>),
    Finished {
        batch: usize,
        rest: BatchEnd,
    },
    /// cargo has built more test binaries, which are listed now at these indices.
    Listed {
        listings: Range<usize>,
        warnings: Vec<Warning>,
    },
    /// The build has finished, and everything is listed.
    Built(Result<()>),
    /// A test of this batch has ended and runs no longer; its verdict may come much later. Only of
    /// batches whose threads can change.
    TestEnded {
        batch: usize,
        test: TestId,
    },
    /// How much of a core the tests of this batch want.
    CpuDemand {
        batch: usize,
        demand: Demand,
    },
    /// The process of this batch waits for the terminal, which it cannot get.
    WantsTerminal {
        batch: usize,
    },
    /// A thread of the run has panicked.
    Broken {
        thread: String,
        why: String,
    },
    /// Messages that were sent together, in order.
    Several(Vec<Message>),
}

/// What a user can ask for at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub enum Command {
    Help,
    WhatRuns,
    /// The run is paused now, or continues.
    Pause(bool),
    /// Finish the tests that run, and start no more.
    StopAfterRunning,
}

/// The end of a batch, with the tests that have no verdict.
#[derive(Debug)]
pub struct BatchEnd {
    pub cause: EndCause,
    pub worker: Option<u64>,
    /// Tests that were running, and for how long.
    pub running: Vec<(TestId, Duration)>,
    pub not_begun: Vec<TestId>,
    /// Tests that were running when another test crashed the worker.
    pub innocent: Vec<TestId>,
    /// What it printed, by test as far as that is known.
    pub output: ProcessOutput,
    /// Leaks that no verdict contains.
    pub left_behind: Vec<LateLeaks>,
}

/// What was found when the verdict of its test had been told, or where nobody can say whose it is.
#[derive(Debug)]
pub struct LateLeaks {
    /// None: one of the tests of the batch.
    pub test: Option<TestId>,
    pub leaks: Vec<Leak>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndCause {
    /// It exited by itself after its last test.
    Done,
    /// `SIGSEGV`, `exit code 0`, …
    Died(String),
    /// It was killed because of a timeout.
    TimedOut(Overdue),
    /// The policy requires a fresh process now.
    Recycled,
    /// Its channel stayed silent: a simpler protocol is needed.
    NoChannel,
    /// libtest ran all tests, but some verdicts were lost or unreliable: those tests need a simpler
    /// protocol.
    Misheard,
    NotStarted(String),
    /// Nothing new may start.
    Stopped,
}

/// A timeout, and the tests that it may be due to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The tests that hung; none if the process hung outside of its tests.
    pub tests: Vec<TestId>,
    pub timeout: Timeout,
}

impl BatchEnd {
    pub fn done() -> BatchEnd {
        BatchEnd {
            cause: EndCause::Done,
            worker: None,
            running: Vec::new(),
            not_begun: Vec::new(),
            innocent: Vec::new(),
            output: ProcessOutput::default(),
            left_behind: Vec::new(),
        }
    }

    /// The end of a batch of which one process has come to this end, and then another to that one. Only
    /// the last one can explain what happened to the tests that it ran.
    pub fn followed_by(self, mut last: BatchEnd) -> BatchEnd {
        last.not_begun.extend(self.running.into_iter().map(|(test, _)| test));
        last.not_begun.extend(self.not_begun);
        last.innocent.extend(self.innocent);
        last.left_behind.splice(0..0, self.left_behind);
        last
    }
}

/// Runs the work of a thread. A panic ends the run, since the reports of the thread would be waited
/// for in vain; then the result is none.
pub fn guarded<T>(thread: &str, inbox: &Sender<Message>, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.inspect_err(|panic| {
        let (thread, why) = (thread.to_owned(), error::panic_message(&**panic));
        send(inbox, Message::Broken { thread, why });
    })
    .ok()
}

/// Sends a message. The coordinator listens until the last worker has finished; if it is gone, the
/// run has been given up.
pub fn send(inbox: &Sender<Message>, what: Message) {
    let _ = inbox.send(what);
}

pub fn send_all(inbox: &Sender<Message>, mut what: Vec<Message>) {
    match what.len() {
        0 => {}
        1 => what.drain(..).for_each(|what| send(inbox, what)),
        _ => send(inbox, Message::Several(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_a_batch_counts_in_its_end() {
        let test = |test| TestId { listing: 0, test };
        let left = |at| LateLeaks { test: Some(test(at)), leaks: Vec::new() };
        let first = BatchEnd {
            running: vec![(test(0), Duration::ZERO)],
            not_begun: vec![test(1)],
            left_behind: vec![left(2)],
            ..BatchEnd::done()
        };
        let second = BatchEnd {
            cause: EndCause::Died("SIGSEGV".to_owned()),
            running: vec![(test(3), Duration::ZERO)],
            left_behind: vec![left(4)],
            ..BatchEnd::done()
        };
        let end = first.followed_by(second);
        assert_eq!(end.cause, EndCause::Died("SIGSEGV".to_owned()));
        // A crash of the second process is not one of a test of the first.
        assert_eq!(end.running, [(test(3), Duration::ZERO)]);
        assert_eq!(end.not_begun, [test(0), test(1)]);
        let left: Vec<_> = end.left_behind.iter().map(|left| left.test).collect();
        assert_eq!(left, [Some(test(2)), Some(test(4))]);
    }
}
