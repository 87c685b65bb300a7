//! The pipes between a supervised process and us, besides its output.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The way from the worker's side of a channel to us.
pub struct ChannelPipe {
    pub(super) reader: OwnedFd,
    /// The worker's end, and how it comes by it.
    pub(super) worker: Option<OwnedFd>,
    pub(super) worker_end: WorkerEnd,
}

/// The way to whoever supervises a process: what is sent wakes them.
pub struct Waker(OwnedFd);

impl Waker {
    pub fn wake(&self) {
        // Nobody supervises it any more, or has heard the order before: both are well.
        let _ = rustix::io::write(&self.0, b".");
    }
}

/// What a process waits at before it ends. It has been told that somebody stands there.
pub struct HeldExit(pub(super) OwnedFd);

impl HeldExit {
    pub(super) fn knock(&self) {
        // It has not waited, which is its own matter.
        let _ = rustix::io::write(&self.0, b".");
    }

    /// The process ends.
    pub fn release(self) {
        self.knock();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerEnd {
    /// By its path.
    Path,
    /// As its standard input, which a test finds empty either way.
    Stdin,
    /// Not at all: the channel is for its supervisor, and its input ends when that says so.
    Kept,
}

impl ChannelPipe {
    /// A pipe that libtest's `--logfile` can write to.
    pub fn for_logfile() -> io::Result<ChannelPipe> {
        let (reader, worker) = std::io::pipe()?;
        Ok(ChannelPipe {
            reader: reader.into(),
            worker: Some(worker.into()),
            worker_end: WorkerEnd::Path,
        })
    }

    /// A pipe for the agent: half the price of a socket, for both ends. Were there no agent, a
    /// test that reads its input would fail where std does not take that for the end of it.
    pub fn for_agent() -> io::Result<ChannelPipe> {
        let (reader, worker) = std::io::pipe()?;
        let worker = Some(worker.into());
        Ok(ChannelPipe { reader: reader.into(), worker, worker_end: WorkerEnd::Stdin })
    }

    /// A way for orders to the supervisor of a process.
    pub fn waker() -> io::Result<(ChannelPipe, Waker)> {
        let (reader, writer) = std::io::pipe()?;
        let wire = ChannelPipe { reader: reader.into(), worker: None, worker_end: WorkerEnd::Kept };
        Ok((wire, Waker(writer.into())))
    }

    /// The path to hand to `--logfile`.
    ///
    /// On Linux the worker opens our own descriptor by its path below `/proc`: so none is
    /// inherited, and the one that libtest opens closes itself on exec. Neither a test nor
    /// its children see anything of it.
    pub fn logfile_path(&self) -> String {
        let Some(fd) = self.worker.as_ref().map(AsRawFd::as_raw_fd) else { return String::new() };
        if cfg!(target_os = "linux") {
            format!("/proc/{}/fd/{fd}", std::process::id())
        } else {
            format!("/dev/fd/{fd}")
        }
    }
}
