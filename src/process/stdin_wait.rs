//! Whether a process waits for its input.

use std::fs;

use super::event::StdinWait;
use super::procfs::children_of;

/// Whether a process, or what it has started, waits for the end of its input: then that is
/// enough to make it stop, and a signal on top would cut its cleaning up short.
pub fn stdin_wait(pid: u32) -> StdinWait {
    if !cfg!(target_os = "linux") {
        return StdinWait::Unknown;
    }
    let mut family = vec![pid];
    let mut found = StdinWait::NotWaiting;
    while let Some(pid) = family.pop() {
        match hearing_of(pid) {
            StdinWait::Waiting => return StdinWait::Waiting,
            StdinWait::Unknown => found = StdinWait::Unknown,
            StdinWait::NotWaiting => {}
        }
        family.extend(children_of(&pid.to_string()));
    }
    found
}

/// What each thread of a process waits for (proc(5), `/proc/PID/syscall`: the number of the
/// call, then its arguments).
fn hearing_of(pid: u32) -> StdinWait {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut found = StdinWait::NotWaiting;
    for thread in threads {
        let Ok(call) = fs::read_to_string(thread.path().join("syscall")) else {
            found = StdinWait::Unknown;
            continue;
        };
        let mut words = call.split_whitespace();
        let (number, first) = (words.next().unwrap_or_default(), words.next());
        match waits_in(number) {
            Some(Waits::ToRead) if first == Some("0x0") => return StdinWait::Waiting,
            Some(Waits::ForEvents) if watches_input(pid) => return StdinWait::Waiting,
            // What it waits for stands in its memory; or it runs, and may read next.
            Some(Waits::ForAny) | None => found = StdinWait::Unknown,
            Some(_) => {}
        }
    }
    found
}

enum Waits {
    ToRead,
    /// `epoll_wait`
    ForEvents,
    /// `poll`, `select`
    ForAny,
    Otherwise,
}

/// The system calls of x86-64 and aarch64, as the kernel numbers them; none for a thread that
/// runs.
fn waits_in(number: &str) -> Option<Waits> {
    let number: u32 = number.parse().ok()?;
    let (read, events, any): (&[u32], &[u32], &[u32]) = if cfg!(target_arch = "x86_64") {
        (&[0, 19], &[232, 281, 441], &[7, 23, 270, 271])
    } else {
        (&[63, 65], &[22, 441], &[72, 73])
    };
    Some(match number {
        call if read.contains(&call) => Waits::ToRead,
        call if events.contains(&call) => Waits::ForEvents,
        call if any.contains(&call) => Waits::ForAny,
        _ => Waits::Otherwise,
    })
}

/// Whether one of its `epoll`s watches descriptor 0 (proc(5), `/proc/PID/fdinfo`).
fn watches_input(pid: u32) -> bool {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    let is_input = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("tfd:") && words.next() == Some("0")
    };
    texts.into_iter().any(|text| text.lines().any(is_input))
}
