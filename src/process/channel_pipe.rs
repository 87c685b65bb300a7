//! The pipes between a supervised process and us besides its output.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The pipe of a worker's channel.
pub struct ChannelPipe {
    pub(super) reader: OwnedFd,
    /// The worker's end.
    pub(super) worker: Option<OwnedFd>,
    pub(super) worker_end: WorkerEnd,
}

/// Wakes the supervisor of a process.
pub struct Waker(OwnedFd);

impl Waker {
    pub fn wake(&self) {
        // Nobody supervises it any more, or has heard the order before: both are well.
        let _ = rustix::io::write(&self.0, b".");
    }
}

/// A process that has been told to wait before it exits, while its test's leaks are looked for.
pub struct HeldExit(pub(super) OwnedFd);

impl HeldExit {
    pub(super) fn knock(&self) {
        // The first byte tells the process that a second one will come.
        let _ = rustix::io::write(&self.0, b".");
    }

    /// Lets the process exit.
    pub fn release(self) {
        self.knock();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerEnd {
    /// By its path.
    Path,
    /// By its path, for a harness that is not libtest.
    HarnessPath,
    /// As its standard input, which a test finds empty either way.
    Stdin,
    /// Not at all: the channel is for its supervisor, and its input ends when that says so.
    Kept,
}

impl ChannelPipe {
    /// A pipe for libtest's `--logfile`.
    pub fn for_logfile() -> io::Result<ChannelPipe> {
        let (reader, worker) = std::io::pipe()?;
        Ok(ChannelPipe {
            reader: reader.into(),
            worker: Some(worker.into()),
            worker_end: WorkerEnd::Path,
        })
    }

    /// A pipe for the `--logfile` of a custom harness. What comes through it is told after all
    /// output that was written before it.
    pub fn for_harness_log() -> io::Result<ChannelPipe> {
        let pipe = ChannelPipe::for_logfile()?;
        Ok(ChannelPipe { worker_end: WorkerEnd::HarnessPath, ..pipe })
    }

    pub(super) fn is_harness_log(&self) -> bool {
        self.worker_end == WorkerEnd::HarnessPath
    }

    /// A pipe for the agent: half the price of a socket, for both ends. Were there no agent, a
    /// test that reads its input would fail where std does not take that for the end of it.
    pub fn for_agent() -> io::Result<ChannelPipe> {
        let (reader, worker) = std::io::pipe()?;
        let worker = Some(worker.into());
        Ok(ChannelPipe { reader: reader.into(), worker, worker_end: WorkerEnd::Stdin })
    }

    /// A pipe that only wakes the supervisor.
    pub fn waker() -> io::Result<(ChannelPipe, Waker)> {
        let (reader, writer) = std::io::pipe()?;
        let wire = ChannelPipe { reader: reader.into(), worker: None, worker_end: WorkerEnd::Kept };
        Ok((wire, Waker(writer.into())))
    }

    /// The argument of `--logfile`.
    ///
    /// On Linux the worker opens our own descriptor by its path below `/proc`: it inherits nothing,
    /// and the descriptor that libtest opens is closed on exec. Neither a test nor its children can
    /// see it.
    pub fn logfile_path(&self) -> String {
        let Some(fd) = self.worker.as_ref().map(AsRawFd::as_raw_fd) else { return String::new() };
        if cfg!(target_os = "linux") {
            format!("/proc/{}/fd/{fd}", std::process::id())
        } else {
            format!("/dev/fd/{fd}")
        }
    }
}
