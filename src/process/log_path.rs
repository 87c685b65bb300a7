//! The path of libtest's `--logfile`, and which process may open it.
//!
//! On Linux it is the path of one of our own descriptors, below `/proc`. A test that starts its own
//! binary with its own arguments passes the path on, and what that process writes must not be taken
//! for the worker's results. So the path is closed as soon as libtest has opened it: until then the
//! worker's stdout is full, and libtest opens its log before it writes the header of its report,
//! which comes before its first test. If a worker cannot be blocked that way, we check when the
//! header arrives whether another process may have opened the path. On other platforms than Linux
//! the worker inherits the descriptor, and nothing is checked.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::open_watch::OpenWatch;
use super::procfs;

/// The start of the header of libtest's report, `running 3 tests`, after which tests run.
const HEAD: &[u8] = b"running ";

/// The most that is read at once before the header: the channel has to be read before the output of
/// tests.
pub const HEAD_AT_ONCE: usize = 32;

pub struct LogPath {
    /// What the path leads to. It is kept for as long as there may be somebody who knows the
    /// path: the number must not become another descriptor's.
    end: OwnedFd,
    /// The last bytes before the first line.
    head: Vec<u8>,
    is_closed: bool,
}

impl LogPath {
    pub fn new(end: OwnedFd) -> LogPath {
        LogPath { end, head: Vec::new(), is_closed: false }
    }

    pub fn descriptor(&self) -> RawFd {
        self.end.as_raw_fd()
    }

    /// Whether the path still leads to the pipe, because libtest may not have opened it yet.
    pub fn is_open(&self) -> bool {
        !self.is_closed
    }

    /// Takes output of the worker. Returns true once the header is complete, so that libtest has
    /// opened its log.
    pub fn hears_the_head(&mut self, printed: &[u8]) -> bool {
        self.head.extend_from_slice(printed);
        let is_there = self.head.windows(HEAD.len()).any(|part| part == HEAD);
        self.head.drain(..self.head.len().saturating_sub(HEAD.len()));
        is_there
    }

    /// Makes the path lead to `/dev/null`, and closes our copy of the pipe's writing end, so that
    /// the pipe ends when the worker closes its own.
    pub fn close(&mut self) {
        self.is_closed = true;
        #[cfg(target_os = "linux")]
        if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
            // Both descriptors are open, so that the call cannot fail.
            let _ = rustix::io::dup3(&null, &mut self.end, rustix::io::DupFlags::CLOEXEC);
        }
    }
}

/// Blocks a worker between opening its log and its first test.
#[cfg(target_os = "linux")]
pub struct StdoutGate {
    openings: OpenWatch,
    /// How many bytes in the worker's stdout are ours.
    filled: usize,
}

#[cfg(target_os = "linux")]
impl StdoutGate {
    /// Fills the worker's stdout before it is started; `stdout` is its end of the pipe, or none for
    /// a harness that may print before it opens its log. None if the system is out of inotify
    /// instances.
    pub fn new(log_path: &LogPath, stdout: Option<&std::io::PipeWriter>) -> Option<StdoutGate> {
        let path = format!("/proc/self/fd/{}", log_path.descriptor());
        let mut gate = StdoutGate { openings: OpenWatch::new(path.as_ref())?, filled: 0 };
        if let Some(stdout) = stdout {
            let size = rustix::pipe::fcntl_getpipe_size(stdout).ok()?;
            gate.filled = rustix::io::write(stdout, &vec![0; size]).ok()?;
        }
        Some(gate)
    }

    /// Waits until the log is opened, and returns whether it is. Not for long: a process may exit
    /// before that, or print something and wait until it is read.
    pub fn wait(&self, process: Option<&OwnedFd>) -> bool {
        const PATIENCE: Duration = Duration::from_millis(250);
        self.openings.wait(process, PATIENCE)
    }

    /// Unblocks the worker; `stdout` is our end of the pipe.
    pub fn lift(self, mut stdout: &std::fs::File) -> std::io::Result<()> {
        std::io::Read::read_exact(&mut stdout, &mut vec![0; self.filled])
    }
}

/// Whether no process but the worker has written to the pipe or ever can, after its path has been
/// closed: either the worker has not started any process, or no descendant of ours has the pipe
/// open and nothing has been written to it.
pub fn is_workers_alone(worker: u32, reader: &impl AsFd) -> bool {
    if !cfg!(target_os = "linux") || !procfs::has_had_children(worker) {
        return true;
    }
    let Ok(pipe) = rustix::fs::fstat(reader) else { return false };
    let pipe = format!("pipe:[{}]", pipe.st_ino);
    let mut descendants = procfs::descendants(std::process::id()).into_iter();
    let is_held = descendants.any(|process| process != worker && procfs::holds(process, &pipe));
    // In this order: a process that has closed the pipe has written before that.
    !is_held && rustix::io::ioctl_fionread(reader).is_ok_and(|waiting| waiting == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_path() -> (std::io::PipeReader, LogPath) {
        let (reader, writer) = std::io::pipe().unwrap();
        (reader, LogPath::new(writer.into()))
    }

    #[test]
    fn the_head_is_heard_wherever_it_is_cut() {
        let text = b"printed before main\nrunning 12 tests\n";
        for size in 1..text.len() {
            let (_, mut log_path) = log_path();
            let heard = text.chunks(size).filter(|part| log_path.hears_the_head(part)).count();
            assert!(heard > 0, "{size}");
            let (_, mut other) = super::tests::log_path();
            assert!(!b"runs 12 tests, still runs\n".chunks(size).any(|p| other.hears_the_head(p)));
        }
    }

    /// The processes open the path as libtest does.
    #[cfg(target_os = "linux")]
    #[test]
    fn whoever_opens_a_closed_ledger_writes_to_nobody() {
        use std::io::{Read, Write};
        let (mut reader, mut log_path) = log_path();
        let path = format!("/proc/{}/fd/{}", std::process::id(), log_path.descriptor());
        let mut libtest = std::fs::File::create(&path).unwrap();
        log_path.close();
        let mut other = std::fs::File::create(&path).unwrap();
        other.write_all(b"ok forged\n").unwrap();
        libtest.write_all(b"ok real\n").unwrap();
        drop(libtest);
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        assert_eq!(told, "ok real\n");
    }
}
