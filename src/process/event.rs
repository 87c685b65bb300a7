//! What a supervised process does, what it is for, and what is asked of it.

use std::process::ExitStatus;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    /// What tells us the verdicts, apart from what tests print.
    Channel,
}

/// What a supervised process did next.
#[derive(Debug)]
pub enum ProcessEvent {
    /// It wrote something: the bytes are in the caller's buffer.
    Output(Stream),
    /// It has exited, and all that it had written has been told; what it started may still
    /// be there, and is ended next.
    Exited,
    /// It is gone, and its group with it.
    Reaped(ExitStatus),
    /// Nothing happened until the given instant.
    DeadlinePassed,
    /// It is stopped because it wants the terminal, and that is not ours to give: told once. It
    /// goes on as soon as it is.
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
