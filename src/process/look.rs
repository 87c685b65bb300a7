//! What the system tells about a worker's threads and the processes of its tests.
//!
//! Only Linux tells it, below `/proc`; elsewhere there is no agent that would ask.

use std::fs;
use std::time::Duration;

use super::Groups;
use crate::channel::frames::SLACK;

/// A look at threads and processes, as they are now.
pub trait Look {
    /// Whether a thread of the worker is there, and waits for something: it has had its time
    /// on a processor, and is not about to end by itself.
    fn thread_rests(&self, tid: u32) -> bool;

    /// Whether a process is there, and neither ended nor about to be.
    fn process_lives(&self, pid: u32) -> bool;

    /// The command line of a process that lives.
    fn command_of(&self, pid: u32) -> Option<String>;

    /// Processes of the worker that came home to us, having lost their parents.
    fn strays(&self) -> Vec<Stray>;
}

/// A process that has lost its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    pub pid: u32,
    /// The agent's mark, which it has inherited from its test.
    pub mark: Option<u32>,
    /// Whether its environment says that it comes from this worker; it may have cleared that.
    pub is_ours: bool,
}

/// A look at one worker.
pub struct At<'w> {
    pub pid: u32,
    /// Its number, which its processes carry in their environment.
    pub worker: u64,
    pub run_id: &'w str,
    pub groups: &'w Groups,
}

impl Look for At<'_> {
    fn thread_rests(&self, tid: u32) -> bool {
        let state = state(&format!("/proc/{}/task/{tid}/stat", self.pid));
        matches!(state, Some('S' | 'D' | 'T' | 't'))
    }

    fn process_lives(&self, pid: u32) -> bool {
        let state = state(&format!("/proc/{pid}/stat"));
        !matches!(state, None | Some('Z' | 'X')) && !is_killed(pid)
    }

    fn command_of(&self, pid: u32) -> Option<String> {
        self.process_lives(pid).then(|| command_line(pid))
    }

    fn strays(&self) -> Vec<Stray> {
        let others = super::children().into_iter().filter(|pid| !self.groups.has(*pid));
        let stray = |pid: u32| {
            let worker = worker_of(pid, self.run_id);
            let is_ours = worker == Some(self.worker);
            let mark = mark_of(pid);
            let may_be_ours = is_ours || (worker.is_none() && mark.is_some());
            may_be_ours.then_some(Stray { pid, mark, is_ours })
        };
        others.filter_map(stray).collect()
    }
}

/// Whether a process is stopped until somebody lets it go on.
#[cfg(target_os = "linux")]
pub fn is_stopped(pid: rustix::process::Pid) -> bool {
    state(&format!("/proc/{}/stat", pid.as_raw_pid())) == Some('T')
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
        // A process that is about to become another program, or to end.
        true => fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().into(),
        false => words.join(" "),
    }
}

/// The environment of a process. It is empty for an instant while a program is loaded, and for
/// ever once the process has ended.
fn environment(pid: u32) -> Option<Vec<u8>> {
    const TRIES: usize = 5;
    (0..TRIES).find_map(|_| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let is_there = !bytes.is_empty();
        let may_come = || matches!(state(&format!("/proc/{pid}/stat")), Some('R' | 'S' | 'D'));
        if !is_there && may_come() {
            std::thread::sleep(Duration::from_millis(1));
        }
        is_there.then_some(bytes)
    })
}

/// The mark that a process carries as its timer slack.
fn mark_of(pid: u32) -> Option<u32> {
    let slack = fs::read_to_string(format!("/proc/{pid}/timerslack_ns")).ok()?;
    let above = slack.trim().parse::<u64>().ok()?.checked_sub(SLACK)?;
    u32::try_from(above).ok().filter(|mark| *mark > 0)
}

/// The number of the worker whose test started this process: its environment says so.
fn worker_of(pid: u32, run_id: &str) -> Option<u64> {
    let environment = environment(pid)?;
    let value = |name: &str| {
        let variable = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        std::str::from_utf8(variable).ok()
    };
    let is_of_run = value("PARTEST_RUN_ID") == Some(run_id);
    value("PARTEST_WORKER").filter(|_| is_of_run)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;

    /// Started, and become another program: what the kernel tells of it is whole.
    fn sleeper(command: &mut Command) -> std::process::Child {
        let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        while command_line(child.id()) != "sleep 1000" {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn a_process_lives_until_it_has_ended() {
        let mut child = sleeper(Command::new("sleep").arg("1000"));
        let groups = Groups::default();
        let look = At { pid: std::process::id(), worker: 0, run_id: "", groups: &groups };
        let command = look.command_of(child.id());
        child.kill().unwrap();
        let lives = look.process_lives(child.id());
        child.wait().unwrap();
        assert_eq!(command.as_deref(), Some("sleep 1000"));
        assert!(!lives, "a killed one is not there any more");
        assert_eq!(look.command_of(child.id()), None);
    }

    #[test]
    fn a_process_is_known_by_its_environment() {
        let mut command = Command::new("sleep");
        command.arg("1000").env("PARTEST_RUN_ID", "ours").env("PARTEST_WORKER", "7");
        let mut child = sleeper(&mut command);
        let found = [worker_of(child.id(), "ours"), worker_of(child.id(), "other")];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [Some(7), None]);
    }
}
