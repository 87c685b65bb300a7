//! What the system tells about a worker's threads and the processes of its tests.
//!
//! Only Linux tells it, below `/proc`; elsewhere there is no agent that would ask.

use std::fs;

/// A look at threads and processes, as they are now.
pub trait Look {
    /// Whether a thread of the worker is there, and waits for something: it has had its time
    /// on a processor, and is not about to end by itself.
    fn thread_rests(&self, tid: u32) -> bool;

    /// Whether a process is there, and neither ended nor about to be.
    fn process_lives(&self, pid: u32) -> bool;

    /// The command line of a process that lives.
    fn command_of(&self, pid: u32) -> Option<String>;
}

/// A look at the worker with this process number.
pub struct At(pub u32);

impl Look for At {
    fn thread_rests(&self, tid: u32) -> bool {
        let state = state(&format!("/proc/{}/task/{tid}/stat", self.0));
        matches!(state, Some('S' | 'D' | 'T' | 't'))
    }

    fn process_lives(&self, pid: u32) -> bool {
        let state = state(&format!("/proc/{pid}/stat"));
        !matches!(state, None | Some('Z' | 'X')) && !is_killed(pid)
    }

    fn command_of(&self, pid: u32) -> Option<String> {
        self.process_lives(pid).then(|| command_line(pid))
    }
}

/// The state letter, behind the name in brackets, which may hold anything.
fn state(path: &str) -> Option<char> {
    let stat = fs::read_to_string(path).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether SIGKILL is on its way: on a busy machine it takes a while to arrive.
fn is_killed(pid: u32) -> bool {
    const SIGKILL: u64 = 1 << 8;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    pending.fold(0, |all, mask| all | mask) & SIGKILL != 0
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    match words.is_empty() {
        // A kernel thread, or a process that has just lost its memory.
        true => fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().into(),
        false => words.join(" "),
    }
}

/// A process that came home: a child of ours that is none of our workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Stray {
    pub pid: u32,
    /// The number of the worker whose environment it carries.
    pub worker: Option<u64>,
}

/// Who of our children was started by one of our workers' tests: its environment says so.
pub fn strays(children: impl IntoIterator<Item = u32>, run_id: &str) -> Vec<Stray> {
    let stray = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let value = |name: &str| {
            let variable = environment
                .split(|byte| *byte == 0)
                .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            variable.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let is_of_run = value("PARTEST_RUN_ID").is_some_and(|id| id == run_id);
        let worker = value("PARTEST_WORKER").filter(|_| is_of_run)?.parse().ok();
        Some(Stray { pid, worker })
    };
    children.into_iter().filter_map(stray).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_lives_until_it_has_ended() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let look = At(std::process::id());
        assert_eq!(look.command_of(child.id()).as_deref(), Some("sleep 1000"));
        child.kill().unwrap();
        assert!(!look.process_lives(child.id()), "a killed one is not there any more");
        child.wait().unwrap();
        assert_eq!(look.command_of(child.id()), None);
    }

    #[test]
    fn a_process_is_known_by_its_environment() {
        let start = |run: &str| {
            let mut command = Command::new("sleep");
            command.arg("1000").env("PARTEST_RUN_ID", run).env("PARTEST_WORKER", "7");
            command.spawn().unwrap()
        };
        let (mut ours, mut other) = (start("ours"), start("other"));
        let found = strays([ours.id(), other.id()], "ours");
        for child in [&mut ours, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found, [Stray { pid: ours.id(), worker: Some(7) }]);
    }
}
