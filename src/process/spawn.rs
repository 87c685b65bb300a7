//! Starting a supervised process: by spawning it, or by forking it from a fork server.

use std::io;

#[cfg(not(target_os = "linux"))]
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::Pid;
#[cfg(target_os = "linux")]
use rustix::process::Signal;

pub(super) fn before_exec(parent: u32, inherited: Option<i32>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let _ = inherited;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above: then nobody would end us.
        let is_orphan =
            rustix::process::getppid().is_none_or(|pid| pid.as_raw_pid() as u32 != parent);
        if is_orphan {
            return Err(io::ErrorKind::NotConnected.into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = parent;
        if let Some(fd) = inherited {
            // SAFETY: the descriptor is owned by the parent's `ChannelPipe`, of which this
            // forked child has a copy until exec.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
pub(super) fn pidfd(pid: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    // Absent before Linux 5.3 and in some sandboxes: then `TICK` serves.
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pidfd(_pid: Pid) -> Option<OwnedFd> {
    None
}

/// Bounds the memory that a process may write to. Its address space is not bounded: allocators
/// and threads reserve much more of that than they ever use.
pub fn limit_memory(command: &mut Command, bytes: u64) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let set = move || setrlimit(Resource::Data, limit).map_err(io::Error::from);
    // SAFETY: between fork and exec only `setrlimit` is called, a plain system call.
    unsafe { command.pre_exec(set) };
}

/// Starts a process that outlives us: in a session of its own, so that no signal for us
/// reaches it.
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    let detach = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec only `setsid` is called, a plain system call.
    unsafe { command.pre_exec(detach) };
    command.spawn()
}
