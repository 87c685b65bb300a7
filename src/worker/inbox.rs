//! What reaches the coordinator.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::error::{self, Result};
use crate::fixture::task::FixtureUpdate;
use crate::model::leak::Leak;
use crate::model::output::Output;
use crate::model::reason::Timeout;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::Instance;
use crate::process::event::ForwardedSignal;

/// What reaches the coordinator.
#[derive(Debug)]
pub enum Message {
    /// The user wants the run to end.
    Signal(ForwardedSignal),
    /// The process that the user started is gone, and with it whoever could want anything.
    Orphaned,
    /// The user wants to know what runs now.
    WhatRuns,
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
    /// What a worker wrote, where the user wants to see it as it comes.
    Wrote {
        bytes: Vec<u8>,
    },
    Finished {
        batch: usize,
        rest: BatchEnd,
    },
    /// cargo has built more test binaries, and they are listed, in these places.
    Listed {
        listings: Range<usize>,
        warnings: Vec<Warning>,
    },
    /// cargo has ended, and everything is listed.
    Built(Result<()>),
    /// The process of this batch waits for the terminal, which is not ours to give.
    WantsTerminal {
        batch: usize,
    },
    /// A thread of the run is lost, and cannot tell what it was to tell.
    Broken {
        thread: String,
        why: String,
    },
    /// What came at the same time, in its order.
    Several(Vec<Message>),
}

/// What is left of a batch when its worker has ended.
#[derive(Debug)]
pub struct BatchEnd {
    pub cause: EndCause,
    pub worker: Option<u64>,
    /// Tests that had begun and have no verdict, with how long they ran.
    pub running: Vec<(TestId, Duration)>,
    pub not_begun: Vec<TestId>,
    /// Tests that had begun, and whose worker ended by no fault of theirs.
    pub innocent: Vec<TestId>,
    /// What the worker wrote that belongs to no test in particular.
    pub output: Output,
    /// What its tests have left behind, as far as no verdict tells of it.
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
    /// It ended by itself after its last test.
    Done,
    /// `SIGSEGV`, `exit code 0`, …
    Died(String),
    /// It was ended because it took too long.
    TimedOut(Overdue),
    /// Its policy asks for a fresh process now.
    Recycled,
    /// Its channel stayed silent: the next way has to serve.
    NoChannel,
    /// libtest ran its tests to the end, and of some of them no verdict was heard that could be
    /// believed: for those the next way has to serve.
    Misheard,
    NotStarted(String),
    /// Nothing new may start.
    Stopped,
}

/// What took longer than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Tests that may be why; none where the process hung outside of its tests.
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
            output: Output::default(),
            left_behind: Vec::new(),
        }
    }
}

/// What all threads of a run work in: one that panics ends the run, since what it was to tell
/// would be waited for in vain. None if it did.
pub fn guarded<T>(thread: &str, inbox: &Sender<Message>, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.inspect_err(|panic| {
        let (thread, why) = (thread.to_owned(), error::panic_message(&**panic));
        send(inbox, Message::Broken { thread, why });
    })
    .ok()
}

/// The coordinator hears until the last worker has finished; if it is gone, the run has
/// been given up and nobody needs to know.
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
