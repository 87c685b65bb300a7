//! What is to be seen of one worker: its threads, and the processes of its tests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::io_priority::io_priority;
use super::process_groups::ProcessGroups;
use super::procfs::{
    Stat, TaskStatus, Ticks, adopted, age, children_of, command_line, environment, is_killed, runs,
};
use crate::frames::{IN_PERSONALITY, IN_PRIORITY};

/// A look at threads and processes, as they are now.
pub trait Inspector {
    /// A thread of the worker; none where it is not there any more.
    fn thread(&self, tid: u32) -> Option<TaskStatus>;

    /// A process that is there, and neither ended nor about to be.
    fn process(&self, pid: u32) -> Option<TaskStatus>;

    /// The name of a thread of the worker that is there.
    fn thread_name(&self, tid: u32) -> Option<String>;

    /// What a process that lives is called: its command line, or whose fork it is.
    fn command_line(&self, pid: u32) -> Option<String>;

    /// Whether it is a fixture that the library has started, or of one: it ends when the worker has, which
    /// closes its input.
    fn is_fixture(&self, pid: u32) -> bool;

    /// Processes of the worker that came home to us, having lost their parents.
    fn orphans(&self) -> Vec<Orphan>;

    /// The worker's own children, but for those that are known.
    fn unknown_children(&self, is_known: &dyn Fn(u32) -> bool) -> Vec<Orphan>;
}

/// A process that nobody has told of, or that has lost its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    pub pid: u32,
    pub start_time: Ticks,
    /// How long ago that was.
    pub age: Duration,
    /// Its process group and its session, each by the number of the process that began it. As
    /// long as there is one of them, no other process gets that number.
    pub leaders: [u32; 2],
    /// The agent's mark, which it has inherited from its test.
    pub mark: Option<u32>,
    /// Whether it comes from this worker beyond doubt: its environment says so, or it is in the
    /// worker's group or session, or the worker's own child. It may have left all of that.
    pub is_from_worker: bool,
    /// Whether it is a fixture that the library has started, or of one.
    pub is_fixture: bool,
}

/// A look at one worker.
pub struct WorkerInspector<'w> {
    pub pid: u32,
    /// Its number, which its processes carry in their environment.
    pub worker: u64,
    pub run_id: &'w str,
    pub groups: &'w ProcessGroups,
    /// The program that it runs, and what that is called.
    pub program: Program<'w>,
}

#[derive(Clone, Copy)]
pub struct Program<'w> {
    pub executable: &'w Path,
    pub name: &'w str,
}

impl Inspector for WorkerInspector<'_> {
    fn thread(&self, tid: u32) -> Option<TaskStatus> {
        Stat::read(&format!("{}/task/{tid}", self.pid))?.seen()
    }

    fn process(&self, pid: u32) -> Option<TaskStatus> {
        Stat::of(pid)?.seen().filter(|_| !is_killed(pid))
    }

    fn thread_name(&self, tid: u32) -> Option<String> {
        let name = fs::read(format!("/proc/{}/task/{tid}/comm", self.pid)).ok()?;
        Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
    }

    fn command_line(&self, pid: u32) -> Option<String> {
        let stat = Stat::of(pid)?;
        stat.seen().filter(|_| !is_killed(pid))?;
        // Its words are those of the worker, which differ from run to run.
        let is_fork = stat.is_fork() && runs(pid, self.program.executable);
        Some(if is_fork { format!("fork of {}", self.program.name) } else { command_line(pid) })
    }

    fn is_fixture(&self, pid: u32) -> bool {
        is_fixture(&environment(pid).unwrap_or_default())
    }

    fn orphans(&self) -> Vec<Orphan> {
        let spared = self.groups.exempted();
        let is_other = |pid: &u32| !self.groups.contains(*pid) && !spared.contains(pid);
        let others = adopted().into_iter().filter(is_other);
        // One that is older is none of this worker's, whatever it carries.
        let start_time = Stat::of(self.pid).and_then(|stat| stat.start_time()).unwrap_or_default();
        others
            .filter_map(|pid| self.orphan(pid))
            .filter(|orphan| orphan.start_time >= start_time)
            .collect()
    }

    fn unknown_children(&self, is_known: &dyn Fn(u32) -> bool) -> Vec<Orphan> {
        let children = children_of(&self.pid.to_string()).into_iter();
        let unknown = children.filter(|pid| !is_known(*pid));
        let own = |pid| Some(Orphan { is_from_worker: true, ..self.orphan(pid)? });
        unknown.filter_map(own).filter(|orphan| !orphan.is_fixture).collect()
    }
}

impl WorkerInspector<'_> {
    fn orphan(&self, pid: u32) -> Option<Orphan> {
        let stat = Stat::of(pid)?;
        // One that has ended has nothing to tell, and waits for us to let it go.
        stat.seen()?;
        let (leaders, start_time) = (stat.leaders()?, stat.start_time()?);
        let environment = environment(pid).unwrap_or_default();
        let origin = origin_of(&environment, self.run_id);
        // The worker is not reaped yet, so that its number is its own.
        let is_from_worker = origin == Origin::Worker(self.worker) || leaders.contains(&self.pid);
        if !is_from_worker && matches!(origin, Origin::Worker(_)) {
            return None;
        }
        let mark = mark_of(pid).filter(|_| origin != Origin::OtherRun);
        let (age, is_fixture) = (age(start_time), is_fixture(&environment));
        Some(Orphan { pid, start_time, age, leaders, mark, is_from_worker, is_fixture })
    }
}

/// The mark that a process carries: where the agent may put it, and else in the second place.
fn mark_of(pid: u32) -> Option<u32> {
    mark_in_personality(pid).or_else(|| mark_in_priority(pid))
}

fn mark_in_personality(pid: u32) -> Option<u32> {
    let word = fs::read_to_string(format!("/proc/{pid}/personality")).ok()?;
    let word = u32::from_str_radix(word.trim(), 16).ok()?;
    let [low, high] = IN_PERSONALITY;
    let mark = ((word & low) >> 8) | ((word & high) >> 20);
    (mark > 0).then_some(mark)
}

fn mark_in_priority(pid: u32) -> Option<u32> {
    /// Hints below it are for disks.
    const LOWEST: u32 = 8;
    let mark = (io_priority(pid)? & IN_PRIORITY) >> 3;
    (mark >= LOWEST).then_some(mark)
}

/// Where a process comes from, by its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A test of this worker.
    Worker(u64),
    /// A test that ran `cargo partest` itself: whatever mark it has is of that run.
    OtherRun,
    Unknown,
}

fn origin_of(environment: &[u8], run_id: &str) -> Origin {
    let value = |name: &str| std::str::from_utf8(variable(environment, name)?).ok();
    match value("PARTEST_RUN_ID") {
        Some(run) if run != run_id => Origin::OtherRun,
        Some(_) => value("PARTEST_WORKER")
            .and_then(|worker| worker.parse().ok())
            .map_or(Origin::Unknown, Origin::Worker),
        None => Origin::Unknown,
    }
}

/// Workers do not have this variable.
fn is_fixture(environment: &[u8]) -> bool {
    variable(environment, "PARTEST_FIXTURE").is_some()
}

fn variable<'e>(environment: &'e [u8], name: &str) -> Option<&'e [u8]> {
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
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
        let groups = ProcessGroups::default();
        let program = Program { executable: Path::new("shop"), name: "shop" };
        let look = WorkerInspector {
            pid: std::process::id(),
            worker: 0,
            run_id: "",
            groups: &groups,
            program,
        };
        let command = look.command_line(child.id());
        child.kill().unwrap();
        let lives = look.process(child.id()).is_some();
        child.wait().unwrap();
        assert_eq!(command.as_deref(), Some("sleep 1000"));
        assert!(!lives, "a killed one is not there any more");
        assert_eq!(look.command_line(child.id()), None);
    }

    #[test]
    fn a_process_is_known_by_its_environment() {
        let mut command = Command::new("sleep");
        command.arg("1000").env("PARTEST_RUN_ID", "ours").env("PARTEST_WORKER", "7");
        let mut child = sleeper(&mut command);
        let environment = environment(child.id()).unwrap();
        let found = ["ours", "other"].map(|run| origin_of(&environment, run));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [Origin::Worker(7), Origin::OtherRun]);
    }
}
