//! The ends of our children, by birth and by adoption.

use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

#[cfg(target_os = "linux")]
use super::procfs;

/// How often a process is looked at that was killed.
pub const SOON: Duration = Duration::from_millis(1);

/// Whether a child of ours has ended, reaped or not.
pub fn has_exited(pid: u32) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // An error says that it is no child any more.
    pid.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
}

/// The signal that has stopped a child of ours; none where it is not stopped.
pub(super) fn stopped_by(pid: Pid) -> Option<i32> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).ok()??.stopping_signal()
}

/// Ends some of our children, and waits until they are gone.
pub fn kill_and_reap(children: &[u32]) {
    use rustix::process::{WaitOptions, kill_process, waitpid};
    let pids = children.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    let pids: Vec<Pid> = pids.collect();
    for pid in &pids {
        // It may have ended by itself.
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
    /// Also for threads (`__WALL` of waitpid(2)).
    const ALL: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);
    for thread in procfs::threads_of_ended(pid) {
        let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
        // An error says that it is not ours to wait for.
        let _ = waitpid(thread, ALL | WaitOptions::NOHANG);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reap_traced(_pid: u32) {}

/// The processes whose parent we are, by birth or by adoption.
#[cfg(target_os = "linux")]
pub fn children() -> Vec<u32> {
    procfs::children_of("self")
}

/// From now on, processes that lose their parent become our children instead of init's.
///
/// Called after the build: what cargo leaves running by design (a compiler cache's server)
/// is none of ours.
#[cfg(target_os = "linux")]
pub fn become_subreaper() {
    // Refused only by kernels before 3.4; then strays are init's, as without us.
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
        // Those that have ended by themselves were not left behind, only not waited for.
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
        // Their own children come home now, and are the next round's.
        kill_and_reap(&strays);
        ended += strays.len();
    }
}

#[cfg(not(target_os = "linux"))]
pub fn kill_orphans(_but: &[u32]) -> usize {
    0
}
