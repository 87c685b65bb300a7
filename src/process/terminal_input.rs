//! Lending the terminal to a process that wants it.
//!
//! Under `cargo test` the tests are in the foreground from the start. Here each worker has a
//! process group of its own, and there is one terminal for all of them.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp, tcsetpgrp};

use super::procfs;
use super::syscalls::SignalMask;

/// How often somebody looks whether the run has come to the foreground.
const SELDOM: Duration = Duration::from_millis(500);

pub struct TerminalInput(io::Stdin);

impl TerminalInput {
    /// None where nobody sits there, or where what is typed may be for somebody else: a pager
    /// behind a pipe reads it too.
    pub fn interactive() -> Option<TerminalInput> {
        let is_one =
            io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
        is_one.then(|| TerminalInput(io::stdin()))
    }

    /// Who reads in the background is told that it may not, instead of being stopped: it may
    /// have got there since it looked. For the thread that reads.
    pub fn block_sigttin() {
        SignalMask::of(&[libc::SIGTTIN]).block();
    }

    /// Waits for the next line; an error means that there will be none. What comes once it may not
    /// be read any more is left to others.
    pub fn next_line(&self, may_read: impl Fn() -> bool) -> io::Result<String> {
        loop {
            while !self.is_ours() {
                std::thread::sleep(SELDOM);
            }
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().contains(PollFlags::IN) => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(_) if !may_read() => return Err(io::ErrorKind::Interrupted.into()),
                Ok(_) if self.is_ours() => match self.read() {
                    // It was given away just then.
                    Err(_) if !self.is_ours() => {}
                    Ok(None) => {}
                    Ok(Some(line)) => return Ok(line),
                    Err(error) => return Err(error),
                },
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(self.0.as_fd()).is_ok_and(|foreground| foreground == getpgrp())
    }

    /// A line without its end; none where a signal came first.
    fn read(&self) -> io::Result<Option<String>> {
        // Longer than the line of a terminal may be.
        let mut line = [0; 4096];
        match rustix::io::read(&self.0, &mut line) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(Some(String::from_utf8_lossy(&line[..length]).trim().to_owned())),
            Err(Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a process has the terminal, and whether another one waits for it.
static IS_LENT: AtomicBool = AtomicBool::new(false);
static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// The terminal in the hands of a process group that was stopped because it touched it, as a shell
/// would give it to a job. Under `cargo test` the tests are in the foreground from the beginning;
/// here each worker has a group of its own, and there is one terminal for all of them.
///
/// Comes back when this is dropped.
pub struct TerminalLease {
    terminal: OwnedFd,
    borrower: Pid,
    /// Until then it stays where it is, though another process waits for it.
    until: Instant,
}

/// The result of asking for the terminal.
pub enum LeaseOutcome {
    Granted(TerminalLease),
    /// Another process has it, and gives it back soon.
    Busy,
    /// It is not ours to lend, as when we are in the background.
    Refused,
}

impl TerminalLease {
    pub fn give(borrower: Pid, at_least: Duration) -> LeaseOutcome {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(terminal) = rustix::fs::open("/dev/tty", flags, Mode::empty()) else {
            return LeaseOutcome::Refused;
        };
        // With this mode a background process that writes to the terminal is stopped, and that
        // would be us.
        let stops_writers = |modes: LocalModes| modes.contains(LocalModes::TOSTOP);
        if tcgetattr(&terminal).is_ok_and(|settings| stops_writers(settings.local_modes)) {
            return LeaseOutcome::Refused;
        }
        if IS_LENT.swap(true, SeqCst) {
            IS_WANTED.store(true, SeqCst);
            return LeaseOutcome::Busy;
        }
        let is_ours = tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == getpgrp());
        if is_ours && tcsetpgrp(&terminal, borrower).is_ok() {
            let until = Instant::now() + at_least;
            return LeaseOutcome::Granted(TerminalLease { terminal, borrower, until });
        }
        IS_LENT.store(false, SeqCst);
        LeaseOutcome::Refused
    }

    /// Whether another process waits for the terminal, and the borrower has had it long enough and
    /// has not passed it on.
    pub fn is_over(&self) -> bool {
        IS_WANTED.load(SeqCst)
            && Instant::now() >= self.until
            && tcgetpgrp(&self.terminal).is_ok_and(|foreground| foreground == self.borrower)
    }

    /// Whether a descendant of the borrower has the terminal.
    pub fn is_handed_on(&self) -> bool {
        let is_below = |foreground| procfs::is_below(foreground, self.borrower);
        tcgetpgrp(&self.terminal)
            .is_ok_and(|foreground| foreground != self.borrower && is_below(foreground))
    }

    /// Whether the foreground process got the terminal from us. The shell may have taken it
    /// meanwhile, and put the whole run into the background.
    fn is_ours_to_take(&self) -> bool {
        let Ok(foreground) = tcgetpgrp(&self.terminal) else { return false };
        foreground == self.borrower
            || procfs::is_below(foreground, self.borrower)
            || test_kill_process_group(foreground) == Err(Errno::SRCH)
    }
}

impl Drop for TerminalLease {
    fn drop(&mut self) {
        if self.is_ours_to_take() {
            // We are in the background ourselves, and would be stopped for this.
            let former = SignalMask::of(&[libc::SIGTTOU]).block();
            let _ = tcsetpgrp(&self.terminal, getpgrp());
            former.restore();
        }
        IS_WANTED.store(false, SeqCst);
        IS_LENT.store(false, SeqCst);
    }
}
