//! What a supervised process does next.

use std::process::ExitStatus;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    /// The channel pipe, which carries the results of tests apart from what tests print.
    Channel,
}

/// An event of a supervised process.
#[derive(Debug)]
pub enum ProcessEvent {
    /// It wrote to a stream; the bytes are in the caller's buffer.
    Output(Stream),
    /// It has exited, and all of its output has been returned. It is not reaped yet: processes that
    /// it started may still run, and its process group is killed next.
    Exited,
    /// It has been reaped, and its process group has been killed.
    Reaped(ExitStatus),
    /// Nothing happened before the deadline.
    DeadlinePassed,
    /// It is stopped because it tried to use the terminal, and the terminal is not ours to lend.
    /// Reported once; the process continues as soon as it can have the terminal.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    WantsTerminal,
    /// Its channel is not its own any more: it was closed before the end of the process, or
    /// somebody else may write to it. Nothing more is read of it.
    ChannelLost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminateMode {
    /// Ask: the process may still clean up.
    Terminate,
    Kill,
}

/// A signal that the user sent to the run, handed on to its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedSignal {
    Interrupt,
    Terminate,
    HangUp,
    Quit,
}

/// What a supervised process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs the tests of this batch.
    Worker { batch: usize },
    /// It lists tests.
    Lister,
    /// It is told to stop when its tests have ended, however the run ends.
    Fixture,
}

/// Whether a process hears the end of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdinWait {
    Waiting,
    Unknown,
    NotWaiting,
}
