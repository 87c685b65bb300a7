//! The path by which libtest opens its `--logfile`, and who else may open it.
//!
//! On Linux it is one of our own descriptors, below `/proc`. A test that starts its own binary
//! with its own arguments hands the path on, and what the other process writes there must not be
//! taken for the worker's. So the path leads nowhere as soon as libtest has opened it: the worker's
//! stdout is full until then, and libtest opens its log before it writes the first line of its
//! report, and that before its first test. Where a worker cannot be held up so, we look at that
//! first line whether anybody else may have been there. Elsewhere than on Linux the worker inherits
//! the descriptor, and nobody looks.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use super::procfs;

/// The first line of libtest's report: `running 3 tests`. Behind it tests run.
const HEAD: &[u8] = b"running ";

/// No more is read at once until that line is there: the channel is to be read before what tests
/// print.
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

    /// Whether libtest may still be about to open it, and nobody else has been kept from it.
    pub fn is_open(&self) -> bool {
        !self.is_closed
    }

    /// Takes what the worker prints; true when libtest has opened its log.
    pub fn hears_the_head(&mut self, printed: &[u8]) -> bool {
        self.head.extend_from_slice(printed);
        let is_there = self.head.windows(HEAD.len()).any(|part| part == HEAD);
        self.head.drain(..self.head.len().saturating_sub(HEAD.len()));
        is_there
    }

    /// From now on the path leads nowhere, and our copy of the pipe's end is closed: the pipe ends
    /// when the worker has closed its own.
    pub fn close(&mut self) {
        self.is_closed = true;
        #[cfg(target_os = "linux")]
        if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
            // Both are there, so there is no reason why it should not be done.
            let _ = rustix::io::dup3(&null, &mut self.end, rustix::io::DupFlags::CLOEXEC);
        }
    }
}

/// Holds a worker up where it has opened its log and no test runs yet.
#[cfg(target_os = "linux")]
pub struct StdoutGate {
    /// Tells when the log is opened.
    openings: OwnedFd,
    /// How much stands in the worker's stdout that it has not written.
    filled: usize,
}

#[cfg(target_os = "linux")]
impl StdoutGate {
    /// Before the worker is started; `stdout` is its end of the pipe. None where the system has no
    /// more room for that.
    pub fn new(log_path: &LogPath, stdout: &std::io::PipeWriter) -> Option<StdoutGate> {
        use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
        let openings = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let path = format!("/proc/self/fd/{}", log_path.descriptor());
        inotify::add_watch(&openings, path, WatchFlags::OPEN).ok()?;
        let size = rustix::pipe::fcntl_getpipe_size(stdout).ok()?;
        let filled = rustix::io::write(stdout, &vec![0; size]).ok()?;
        Some(StdoutGate { openings, filled })
    }

    /// Waits until the log is opened, and says whether it is. Not for long: a process may end
    /// before that, or print something and wait for somebody to read it.
    pub fn wait(&self, process: Option<&OwnedFd>) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
        let mut fds = vec![PollFd::new(&self.openings, PollFlags::IN)];
        fds.extend(process.map(|process| PollFd::new(process, PollFlags::IN)));
        // Interrupted by a signal, it has not been opened as far as we know.
        let _ = poll(&mut fds, Some(&PATIENCE));
        fds[0].revents().contains(PollFlags::IN)
    }

    /// Lets it go on; `stdout` is our end of the pipe.
    pub fn lift(self, mut stdout: &std::fs::File) -> std::io::Result<()> {
        std::io::Read::read_exact(&mut stdout, &mut vec![0; self.filled])
    }
}

/// Whether nobody but the worker can have written to the pipe, and nobody can in future, seen
/// after its path leads nowhere: it has started no process yet; or none of ours has it open, and
/// nothing has come through it.
pub fn is_workers_alone(worker: u32, reader: &impl AsFd) -> bool {
    if !cfg!(target_os = "linux") || !procfs::has_had_children(worker) {
        return true;
    }
    let Ok(pipe) = rustix::fs::fstat(reader) else { return false };
    let pipe = format!("pipe:[{}]", pipe.st_ino);
    let mut descendants = procfs::descendants(std::process::id()).into_iter();
    let is_held = descendants.any(|process| process != worker && procfs::holds(process, &pipe));
    // In this order: who holds it no longer has written before.
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

    /// By the path that libtest was given.
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
