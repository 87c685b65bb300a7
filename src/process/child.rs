//! A child process of ours, spawned or forked by a fork server.

use std::io;
use std::process::{Child, ExitStatus};

#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::process::Pid;

/// A child of ours.
pub(super) enum Process {
    Started(Child),
    /// By a prepared process, which is its sibling.
    #[cfg(target_os = "linux")]
    Forked(Pid),
}

impl Process {
    pub(super) fn pid(&self) -> Pid {
        match self {
            Process::Started(child) => Pid::from_child(child),
            #[cfg(target_os = "linux")]
            Process::Forked(pid) => *pid,
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.pid().as_raw_pid().unsigned_abs()
    }

    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Process::Started(child) => child.wait(),
            #[cfg(target_os = "linux")]
            Process::Forked(pid) => wait_for(*pid),
        }
    }
}

/// Waits for a child that std does not know.
#[cfg(target_os = "linux")]
pub fn wait_for(pid: Pid) -> io::Result<ExitStatus> {
    use rustix::process::{WaitOptions, waitpid};
    use std::os::unix::process::ExitStatusExt;
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
