//! What is typed at the terminal while a run goes on.
//!
//! The terminal stays in line mode, so that nothing has to be put right after a SIGKILL.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

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
