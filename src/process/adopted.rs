//! Orphans that were reparented to us.

use super::process_groups::ProcessGroups;
#[cfg(target_os = "linux")]
use super::procfs;

/// Reaps the orphans that have ended, as init would: a test may wait until nothing is left of a process
/// whose parent has gone.
#[cfg(target_os = "linux")]
pub(super) fn reap_ended(groups: &ProcessGroups) {
    use rustix::process::{Pid, WaitOptions, getpgrp, waitpid};
    let own_group = getpgrp().as_raw_pid().unsigned_abs();
    groups.with_adopted(|pid| {
        // Those in our own group are our helpers, such as the build: somebody waits for them.
        let is_helper = procfs::Stat::of(pid)
            .and_then(|stat| stat.leaders())
            .is_none_or(|[group, _]| group == own_group);
        if let (false, Some(pid)) = (is_helper, Pid::from_raw(pid.cast_signed())) {
            // An error means that it is gone.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    });
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reap_ended(_groups: &ProcessGroups) {}
