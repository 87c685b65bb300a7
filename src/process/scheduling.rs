//! How much processor time a process wants: what its threads have run, and what they have waited
//! for a core. Only Linux tells both.

use std::fs;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::procfs::children_of;

/// The scheduling of a process up to one moment.
#[derive(Debug, Clone, Default)]
pub struct Scheduling {
    /// What all of its threads have run, those that have ended among them.
    ran: Duration,
    /// Of the threads that there are, by TID.
    threads: FxHashMap<u32, ThreadTimes>,
}

/// What a thread has run, and how long it has waited for a core although it could run (sched-stats
/// in the kernel's documentation).
#[derive(Debug, Clone, Copy, Default)]
struct ThreadTimes {
    ran: Duration,
    waited: Duration,
}

/// What a process has run and waited between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuUse {
    pub ran: Duration,
    /// For a core, though it could have run.
    pub waited: Duration,
}

impl Scheduling {
    /// None where that is not known, or the process is gone.
    pub fn of(pid: u32) -> Option<Scheduling> {
        let ran = process_cpu_time(pid)?;
        let mut threads = FxHashMap::default();
        for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let tid = task.file_name().to_str().and_then(|name| name.parse().ok());
            let text = fs::read_to_string(task.path().join("schedstat"));
            // A thread may end in between.
            let (Some(tid), Ok(text)) = (tid, text) else { continue };
            threads.insert(tid, ThreadTimes::parse(&text)?);
        }
        Some(Scheduling { ran, threads })
    }

    /// What has been used since an earlier moment. Threads that ended in between are taken to have
    /// waited as long as the others in proportion to what they ran.
    pub fn since(&self, then: &Scheduling) -> CpuUse {
        let mut alive = CpuUse::default();
        for (tid, now) in &self.threads {
            let then = then.threads.get(tid).copied().unwrap_or_default();
            alive.ran += now.ran.saturating_sub(then.ran);
            alive.waited += now.waited.saturating_sub(then.waited);
        }
        let ran = self.ran.saturating_sub(then.ran).max(alive.ran);
        let like = ran.as_secs_f64() / alive.ran.as_secs_f64().max(1e-6);
        CpuUse { ran, waited: alive.waited.mul_f64(like.clamp(1.0, MOST_ALIKE)) }
    }
}

/// From how little it is concluded how much the threads have waited that have ended.
const MOST_ALIKE: f64 = 10.0;

impl ThreadTimes {
    fn parse(schedstat: &str) -> Option<ThreadTimes> {
        let mut fields = schedstat.split_whitespace().map_while(|field| field.parse().ok());
        let (ran, waited) = (fields.next()?, fields.next()?);
        Some(ThreadTimes { ran: Duration::from_nanos(ran), waited: Duration::from_nanos(waited) })
    }
}

/// Whether a process has children at this moment, whose time is not its own.
pub fn has_children(pid: u32) -> bool {
    !children_of(&pid.to_string()).is_empty()
}

#[cfg(target_os = "linux")]
fn process_cpu_time(pid: u32) -> Option<Duration> {
    super::syscalls::process_cpu_time(pid)
}

#[cfg(not(target_os = "linux"))]
fn process_cpu_time(_pid: u32) -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ran: u64, threads: &[(u32, u64, u64)]) -> Scheduling {
        let times = |(tid, ran, waited): &(u32, u64, u64)| {
            (*tid, ThreadTimes::parse(&format!("{ran}000000 {waited}000000 3\n")).unwrap())
        };
        let threads = threads.iter().map(times).collect();
        Scheduling { ran: Duration::from_millis(ran), threads }
    }

    #[test]
    fn threads_that_have_ended_have_waited_as_the_others() {
        let used = |now: Scheduling, then: Scheduling| {
            let CpuUse { ran, waited } = now.since(&then);
            (ran.as_millis(), waited.as_millis())
        };
        let then = || at(100, &[(1, 60, 10), (2, 40, 40)]);
        assert_eq!(used(then(), then()), (0, 0));
        assert_eq!(used(at(130, &[(1, 70, 30), (2, 60, 50)]), then()), (30, 30));
        assert_eq!(used(at(130, &[(1, 70, 20), (3, 5, 5)]), then()), (30, 30), "one of two ended");
        assert_eq!(used(at(500, &[(1, 61, 11)]), then()), (400, 10), "too little to go by");
        assert_eq!(used(at(90, &[(1, 50, 5)]), then()), (0, 0), "another process");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_seen_while_it_runs() {
        let pid = std::process::id();
        let then = Scheduling::of(pid).unwrap();
        let mut sum = 1_u64;
        let used = loop {
            sum = (0..1_000_000).fold(sum, |a, b| std::hint::black_box(a ^ b).rotate_left(7));
            let used = Scheduling::of(pid).unwrap().since(&then);
            if used.ran >= Duration::from_millis(5) {
                break used;
            }
        };
        assert!(used.ran < Duration::from_secs(600), "{used:?} {sum}");
    }
}
