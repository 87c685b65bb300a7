//! Killing and reaping children: those that we started, and orphans that were reparented to us.

use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

#[cfg(target_os = "linux")]
use super::procfs;

/// The pause between two checks whether a killed process has exited.
pub const SOON: Duration = Duration::from_millis(1);

/// Whether a child of ours has exited, reaped or not.
pub fn has_exited(pid: u32) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // An error means that it is no longer a child.
    pid.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
}

/// The signal that has stopped a child of ours; none if it is not stopped.
pub(super) fn stopped_by(pid: Pid) -> Option<i32> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).ok()??.stopping_signal()
}

/// Kills some of our children, and waits for them.
pub fn kill_and_reap(children: &[u32]) {
    use rustix::process::{WaitOptions, kill_process, waitpid};
    let pids = children.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    let pids: Vec<Pid> = pids.collect();
    for pid in &pids {
        // It may have exited by itself.
        let _ = kill_process(*pid, Signal::KILL);
    }
    for pid in pids {
        while let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG) {
            reap_traced(pid.as_raw_pid().unsigned_abs());
            std::thread::sleep(SOON);
        }
    }
}

/// A thread may make its parent its tracer (ptrace(2), PTRACE_TRACEME): that is us. Then it stays
/// when it has ended, and its process with it, until we have waited for the thread too.
#[cfg(target_os = "linux")]
pub(super) fn reap_traced(pid: u32) {
    use rustix::process::{WaitOptions, waitpid};
    /// `__WALL` of waitpid(2): threads as well.
    const ALL: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);
    for thread in procfs::threads_of_ended(pid) {
        let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
        // An error means that we do not trace it.
        let _ = waitpid(thread, ALL | WaitOptions::NOHANG);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reap_traced(_pid: u32) {}

/// Our children, including orphans that were reparented to us.
#[cfg(target_os = "linux")]
pub fn children() -> Vec<u32> {
    procfs::children_of("self")
}

/// From now on, orphaned descendants are reparented to us instead of init.
///
/// Called after the build: what cargo leaves running on purpose, such as the server of a compiler
/// cache, is none of our business.
#[cfg(target_os = "linux")]
pub fn become_subreaper() {
    // Fails only on kernels before 3.4, where orphans go to init as they would without us.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
pub fn become_subreaper() {}

/// Ends every process that came home, and those that come home because of that; but not those
/// that are to stay.
///
/// Returns how many there were.
#[cfg(target_os = "linux")]
pub fn kill_orphans(but: &[u32]) -> usize {
    use rustix::process::{WaitOptions, wait};
    let mut ended = 0;
    loop {
        // Those that have exited by themselves were not left behind, only not reaped.
        let nothing_more = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                nothing_more => break nothing_more,
            }
        };
        if nothing_more.is_err_and(|error| error == Errno::CHILD) {
            return ended;
        }
        let mut strays = children();
        strays.retain(|pid| !but.contains(pid));
        if strays.is_empty() {
            return ended;
        }
        // Their own children are reparented to us, and are found in the next round.
        kill_and_reap(&strays);
        ended += strays.len();
    }
}

#[cfg(not(target_os = "linux"))]
pub fn kill_orphans(_but: &[u32]) -> usize {
    0
}
