//! What the user should know about a run besides its verdicts.

use std::path::PathBuf;
use std::time::Duration;

use super::left_out_doctests::LeftOutDoctests;
use super::listing::{BinaryName, ListFailure, UnlistableHarness};
use super::protocol::Protocol;

/// Something went other than planned, or needs attention. report/messages has the wording.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    DamagedStateFile {
        path: PathBuf,
        why: String,
    },
    StateFileNotWritten {
        path: PathBuf,
        why: String,
    },
    /// The complete output of some tests could not be kept in files below this directory.
    OutputNotKept {
        path: PathBuf,
        why: String,
    },
    ListFailed(ListFailure),
    /// The run was interrupted before these were listed, so that nobody knows which tests they have.
    InterruptedWhileListing {
        binaries: Vec<BinaryName>,
    },
    /// A custom harness that accepts `--list` still runs as one test.
    RunsAsOneTest(UnlistableHarness),
    /// A binary's tests did not report through this protocol; the run falls back to the next one.
    ProtocolFailed {
        binary: String,
        protocol: Protocol,
    },
    /// A unit continues in a fresh process, which repeats the unit's set-up.
    UnitRestarted {
        node: String,
        why: String,
    },
    /// Binaries without agent, in a run that watches what tests change.
    StateNotWatched {
        binaries: usize,
    },
    /// Binaries whose threads and panics were not checked for leaks.
    NoLeakCheck {
        binaries: usize,
    },
    /// Leaks of the baseline that this run's tests no longer have.
    StaleBaseline {
        leaks: Vec<String>,
    },
    BaselineWritten {
        path: PathBuf,
        leaks: usize,
        /// Of tests that did not run, and so are as they were.
        kept: usize,
    },
    /// Processes that were still alive when the run was stopped, and were killed.
    OrphansKilled {
        count: usize,
    },
    /// The run exceeded `run-timeout`.
    RunTimedOut {
        limit: Duration,
    },
    /// The run was stopped because this many workers crashed.
    TooManyCrashes {
        workers: usize,
    },
    /// A process of this unit is stopped until it can use the terminal.
    NeedsTerminal {
        node: String,
    },
    /// A thread of the runner panicked, which ends the run.
    InternalError {
        thread: String,
        why: String,
    },
    /// Fixtures that this run started and that stay up.
    FixturesKept {
        fixtures: Vec<String>,
    },
    /// Tests of an archive failed where they have no more of the sources than the manifests.
    SourcesNotThere,
    /// An archive has none of the doctests of what it was made of.
    DoctestsNotArchived(LeftOutDoctests),
    /// The workspace has a configuration of nextest, and none of this program.
    NextestConfigNotRead,
    /// `--last-failed` was asked for, and no selected test failed or did not run last time.
    NothingUnfinished,
    /// Tests are chosen by what ran on this machine, and those are divided by their durations.
    ShardsByHistory,
}
