//! What is typed at the terminal while a run goes on.

use std::io::{self, IsTerminal};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::guard::GuardPipe;
use super::key_mode;
use super::syscalls::SignalMask;

/// How often somebody looks whether the run has come to the foreground.
const SELDOM: Duration = Duration::from_millis(500);

pub struct TerminalInput(io::Stdin);

impl TerminalInput {
    /// None where nobody sits there, or where what is typed may be for somebody else: a pager
    /// behind a pipe reads it too.
    pub fn interactive(guard: &GuardPipe) -> Option<TerminalInput> {
        let is_one =
            io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
        if is_one {
            key_mode::begin(guard);
        }
        is_one.then(|| TerminalInput(io::stdin()))
    }

    /// Who reads in the background is told that it may not, instead of being stopped: it may
    /// have got there since it looked. For the thread that reads.
    pub fn block_sigttin() {
        SignalMask::of(&[libc::SIGTTIN]).block();
    }

    /// Waits for the next keys, as lines; an error means that there will be none. What comes once
    /// keys are not wanted any more is left to others.
    pub fn next_lines(&self) -> io::Result<Vec<String>> {
        while key_mode::is_wanted() {
            key_mode::resume();
            if !key_mode::is_ours() {
                std::thread::sleep(SELDOM);
                continue;
            }
            if !self.has_some()? || !key_mode::is_wanted() {
                continue;
            }
            match key_mode::read() {
                Ok(Some(lines)) => return Ok(lines),
                // It is lent, or was given away just then.
                Ok(None) => std::thread::sleep(SELDOM),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) if !key_mode::is_ours() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Whether there is something to read, now or soon.
    fn has_some(&self) -> io::Result<bool> {
        let soon = Timespec::try_from(SELDOM).ok();
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut fds, soon.as_ref()) {
            Ok(0) | Err(Errno::INTR) => Ok(false),
            Ok(_) if fds[0].revents().contains(PollFlags::IN) => Ok(true),
            Ok(_) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => Err(error.into()),
        }
    }
}
