//! What a person at a terminal wants to know: Enter asks what runs now.
//!
//! The terminal stays as it is, in the mode of lines, so that nothing has to be put right after
//! a run that is killed. What is typed belongs to whoever is in the foreground: a run that is
//! not reads nothing.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use super::calls::Mask;

/// How often somebody looks whether the run has come to the foreground.
const SELDOM: Duration = Duration::from_millis(500);

pub struct Terminal(io::Stdin);

impl Terminal {
    /// None where nobody sits there, or where what is typed may be for somebody else: a pager
    /// behind a pipe reads it too.
    pub fn of_a_person() -> Option<Terminal> {
        let is_one =
            io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
        is_one.then(|| Terminal(io::stdin()))
    }

    /// Who reads in the background is told that it may not, instead of being stopped: it may
    /// have got there since it looked. For the thread that reads.
    pub fn may_not_stop_us() {
        Mask::of(&[libc::SIGTTIN]).block();
    }

    /// Waits for the next line; an error means that there will be none.
    pub fn next_line(&self) -> io::Result<()> {
        loop {
            while !self.is_ours() {
                std::thread::sleep(SELDOM);
            }
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().contains(PollFlags::IN) => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(_) if self.is_ours() => return self.read(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(self.0.as_fd()).is_ok_and(|foreground| foreground == getpgrp())
    }

    fn read(&self) -> io::Result<()> {
        // Longer than the line of a terminal may be.
        let mut line = [0; 4096];
        match rustix::io::read(&self.0, &mut line) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
