//! Lending the terminal to a process that wants it.
//!
//! Under `cargo test` the tests are in the foreground from the start. Here each worker has a
//! process group of its own, and there is one terminal for all of them.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp, tcsetpgrp};

use super::key_mode;
use super::procfs;
use super::syscalls::SignalMask;

/// Whether a process has the terminal, and whether another one waits for it.
static IS_LENT: AtomicBool = AtomicBool::new(false);
static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// The terminal in the hands of a process group that was stopped because it touched it, as a shell
/// would give it to a job. It comes back when this is dropped.
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
        if is_ours {
            // Who borrows it gets it as the user has set it.
            key_mode::lend();
        }
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
            key_mode::take_back();
        }
        IS_WANTED.store(false, SeqCst);
        IS_LENT.store(false, SeqCst);
    }
}
