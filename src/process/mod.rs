//! One child process under supervision: how it is started, what it tells, how it ends.
//!
//! The one place where platforms differ. `unix` waits for all streams and the end of the
//! process in one `poll`; `portable` does the same with a thread for each stream, and is
//! what every other platform uses. `prepared` starts workers faster than from their file, on
//! Linux. `foster` takes in what a build leaves. `ledger` is where libtest writes its log. `guard`
//! is what outlives a run that is killed, `signals` what the run is told by
//! signals, `terminal` what by the person in front of it. All `unsafe` of the command is in
//! `unix`, `calls` and `foster`.

pub mod clock;
#[cfg(target_os = "linux")]
mod fork_server;
#[cfg(target_os = "linux")]
mod foster;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(unix)]
mod no_agent_log;
#[cfg(not(target_os = "linux"))]
mod no_fork_server;
#[cfg(not(target_os = "linux"))]
mod no_foster;
#[cfg(not(target_os = "linux"))]
mod no_guard;
#[cfg(any(not(unix), test))]
mod portable;
mod procfs;
#[cfg(unix)]
mod signals;
pub mod stderr;
#[cfg(target_os = "linux")]
mod syscalls;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(unix)]
mod unix;

use std::collections::HashMap;
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[cfg(target_os = "linux")]
pub use fork_server::Prepared;
#[cfg(target_os = "linux")]
pub use foster::Fostered;
#[cfg(target_os = "linux")]
pub use guard::{GuardLine, Lines, set_up};
#[cfg(not(target_os = "linux"))]
pub use no_fork_server::Prepared;
#[cfg(not(target_os = "linux"))]
pub use no_foster::Fostered;
#[cfg(not(target_os = "linux"))]
pub use no_guard::{GuardLine, Lines, set_up};
#[cfg(not(unix))]
pub use portable::{
    Door, Orders, Supervised, Wire, adopt_strays, ask_to_end, end_all, end_strays, has_ended,
    io_priority, limit_memory, spawn_detached,
};
pub use procfs::{
    At, AtWork, Look, ProcessorTime, Program, Seen, Stray, at_work, children_of, living_strays,
    start_time,
};
#[cfg(unix)]
pub use signals::{Signals, Wish, stop_here};
#[cfg(target_os = "linux")]
pub use terminal::Terminal;
#[cfg(unix)]
pub use unix::{
    Door, Orders, Supervised, Wire, adopt_strays, ask_to_end, end_all, end_strays, has_ended,
    io_priority, limit_memory, spawn_detached,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    /// What tells us the verdicts, apart from what tests print.
    Channel,
}

/// What a supervised process did next.
#[derive(Debug)]
pub enum Happening {
    /// It wrote something: the bytes are in the caller's buffer.
    Wrote(Stream),
    /// It has exited, and all that it had written has been told; what it started may still
    /// be there, and is ended next.
    Exited,
    /// It is gone, and its group with it.
    Ended(ExitStatus),
    /// Nothing happened until the given instant.
    Nothing,
    /// It is stopped because it wants the terminal, and that is not ours to give: told once. It
    /// goes on as soon as it is.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    WantsTerminal,
    /// Its channel is not its own any more: it was closed before the end of the process, or
    /// somebody else may write to it. Nothing more is read of it.
    LostChannel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Ask: the process may still clean up.
    Terminate,
    Kill,
}

/// A signal that the user sent to the run, handed on to its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    Interrupt,
    Terminate,
    HangUp,
    Quit,
}

/// What a supervised process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs the tests of this batch.
    Worker { batch: usize },
    /// It lists tests.
    Lister,
    /// It is told to stop when its tests have ended, however the run ends.
    Fixture,
}

/// Whether a process hears the end of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    Listens,
    Unknown,
    Deaf,
}

/// The process groups of all that the run has started and that live now, so that the
/// coordinator can reach them.
#[derive(Debug, Default)]
pub struct Groups(Mutex<Living>);

#[derive(Debug, Default)]
struct Living {
    pids: HashMap<u32, Role>,
    order: Order,
    spared: Vec<u32>,
    kept: Option<Fostered>,
}

/// What all of them were told, and whoever is born just then has not heard.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
enum Order {
    #[default]
    Live,
    Stop,
    Die,
}

impl Groups {
    fn insert(&self, pid: u32, role: Role) {
        let mut living = self.lock();
        living.pids.insert(pid, role);
        #[cfg(unix)]
        match living.order {
            Order::Live => {}
            Order::Stop => unix::stop_group(pid),
            Order::Die => unix::kill_group(pid),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Living> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Must happen before the process is reaped: after that its number may be another's.
    fn remove(&self, pid: u32) {
        self.lock().pids.remove(&pid);
    }

    /// Whether this is one of them.
    pub fn has(&self, pid: u32) -> bool {
        self.lock().pids.contains_key(&pid)
    }

    /// From now on these children of ours are nobody's to wait for or to end: what has cargo and all
    /// that it leaves running.
    pub fn spare(&self, pids: Vec<u32>) {
        self.lock().spared = pids;
    }

    pub fn spared(&self) -> Vec<u32> {
        self.lock().spared.clone()
    }

    /// This build has ended, and tests still run.
    pub fn keep(&self, build: Fostered) {
        self.lock().kept = Some(build);
    }

    /// What tests have left has been ended; what a build has left goes its way.
    pub fn release(&self) {
        if let Some(build) = self.lock().kept.take() {
            build.release();
        }
    }

    /// Those that list tests now.
    pub fn listers(&self) -> Vec<u32> {
        let living = self.lock();
        let listers = living.pids.iter().filter(|(_, role)| **role == Role::Lister);
        listers.map(|(pid, _)| *pid).collect()
    }

    #[cfg(unix)]
    /// Fixtures do not get it: tests that clean up may still need them.
    pub fn pass_on(&self, signal: Passed) {
        for (pid, role) in &self.lock().pids {
            if *role != Role::Fixture {
                unix::signal_group(*pid, signal);
            }
        }
    }

    /// Asks the worker of this batch to end.
    #[cfg(unix)]
    pub fn end_batch(&self, batch: usize) {
        for (pid, role) in &self.lock().pids {
            if *role == (Role::Worker { batch }) {
                unix::signal_group(*pid, Passed::Terminate);
            }
        }
    }

    /// Elsewhere its tests come to their end by themselves.
    #[cfg(not(unix))]
    pub fn end_batch(&self, _batch: usize) {}

    /// Elsewhere the console hands Ctrl-C to every process by itself.
    #[cfg(not(unix))]
    pub fn pass_on(&self, _signal: Passed) {}

    #[cfg(unix)]
    pub fn kill_all(&self) {
        let mut living = self.lock();
        living.order = Order::Die;
        living.pids.keys().for_each(|pid| unix::kill_group(*pid));
    }

    #[cfg(not(unix))]
    pub fn kill_all(&self) {}

    /// Whether all of them were told to die, and whoever is not among them should too.
    pub fn must_die(&self) -> bool {
        self.lock().order == Order::Die
    }

    #[cfg(unix)]
    pub fn stop(&self) {
        let mut living = self.lock();
        if living.order == Order::Live {
            living.order = Order::Stop;
        }
        living.pids.keys().for_each(|pid| unix::stop_group(*pid));
    }

    #[cfg(unix)]
    pub fn go_on(&self) {
        let mut living = self.lock();
        if living.order == Order::Stop {
            living.order = Order::Live;
        }
        living.pids.keys().for_each(|pid| unix::go_on_group(*pid));
    }
}

/// Processes that share our group, with all that they started.
#[cfg(unix)]
pub use unix::{end_tree, go_on_tree, stop_tree};

/// Elsewhere Ctrl-C reaches it by itself, and nothing else ends it early.
#[cfg(not(unix))]
pub fn end_tree(_pid: u32) {}

/// The signal that ended a process, where one did.
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

/// How the end of a process reads: `exit code 3`, `SIGSEGV`.
pub fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = signal_of(status) {
        return unix::signal_name(signal);
    }
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "an unknown end".to_owned(),
    }
}

/// What a short command printed, or why it did not end well.
#[derive(Debug)]
pub struct Printed {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// None where it was ended at the deadline.
    pub status: Option<ExitStatus>,
}

/// Runs a command to its end, or ends it at the deadline.
pub fn run(command: Command, groups: &Groups, role: Role, until: Instant) -> io::Result<Printed> {
    let mut child = Supervised::spawn(command, None, groups, role)?;
    let (mut stdout, mut stderr, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_late = false;
    loop {
        match child.next((!is_late).then_some(until), &mut buffer)? {
            Happening::Wrote(Stream::Stdout) => stdout.append(&mut buffer),
            Happening::Wrote(_) => stderr.append(&mut buffer),
            Happening::Exited | Happening::WantsTerminal | Happening::LostChannel => {}
            Happening::Ended(status) => {
                let status = (!is_late).then_some(status);
                return Ok(Printed { stdout, stderr, status });
            }
            Happening::Nothing => {
                is_late = true;
                child.end(End::Kill);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn both_streams_and_the_status_are_told() {
        let groups = Groups::default();
        let printed =
            run(shell("echo out; echo err >&2; exit 3"), &groups, Role::Lister, soon()).unwrap();
        assert_eq!((printed.stdout, printed.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(describe(printed.status.unwrap()), "exit code 3");
        assert!(groups.lock().pids.is_empty());
    }

    #[test]
    fn a_flood_on_both_streams_is_read_to_its_end() {
        let script = "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait";
        let printed = run(shell(script), &Groups::default(), Role::Lister, soon()).unwrap();
        assert_eq!((printed.stdout.len(), printed.stderr.len()), (3_000_000, 3_000_000));
    }

    #[test]
    fn the_deadline_ends_the_whole_group() {
        let until = Instant::now() + Duration::from_millis(50);
        let printed =
            run(shell("sleep 1000 & sleep 1000"), &Groups::default(), Role::Lister, until).unwrap();
        assert!(printed.status.is_none());
    }

    #[test]
    fn a_child_that_keeps_the_pipe_open_holds_up_nobody() {
        let printed =
            run(shell("sleep 1000 & echo done"), &Groups::default(), Role::Lister, soon()).unwrap();
        assert_eq!(printed.stdout, b"done\n");
        assert!(printed.status.unwrap().success());
    }

    #[test]
    fn neither_a_deadline_nor_an_end_waits_for_who_keeps_writing() {
        let until = Instant::now() + Duration::from_millis(50);
        let printed = run(shell("yes"), &Groups::default(), Role::Lister, until).unwrap();
        assert!(printed.status.is_none() && !printed.stdout.is_empty());
        let printed = run(shell("yes & exit 3"), &Groups::default(), Role::Lister, soon()).unwrap();
        assert_eq!(describe(printed.status.unwrap()), "exit code 3");
    }

    /// Where we are late, that is not its fault.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_written_before_a_deadline_is_read_before_it_is_told() {
        let groups = Groups::default();
        let script = "echo a; echo b >&2; exec sleep 1000";
        let mut child = Supervised::spawn(shell(script), None, &groups, Role::Lister).unwrap();
        let sleeps = || procfs::at_work(child.pid()).is_none_or(|it| it.command == "sleep 1000");
        while !sleeps() {
            std::thread::yield_now();
        }
        let (mut told, mut buffer) = (Vec::new(), Vec::new());
        let now = Some(Instant::now());
        while let Happening::Wrote(_) = child.next(now, &mut buffer).unwrap() {
            told.append(&mut buffer);
        }
        told.sort_unstable();
        assert_eq!(told, b"\n\nab");
    }

    #[test]
    fn the_portable_path_does_not_wait_for_who_keeps_writing() {
        let groups = Groups::default();
        for (script, waits_long) in [("exec yes", false), ("yes & exit 2", true)] {
            let mut child =
                portable::Supervised::spawn(shell(script), None, &groups, Role::Lister).unwrap();
            let until = Instant::now() + Duration::from_millis(50);
            let until = if waits_long { soon() } else { until };
            let what = loop {
                match child.next(Some(until), &mut Vec::new()).unwrap() {
                    Happening::Wrote(_) => {}
                    what => break what,
                }
            };
            match waits_long {
                false => assert!(matches!(what, Happening::Nothing), "{what:?}"),
                true => assert!(matches!(what, Happening::Ended(_)), "{what:?}"),
            }
        }
    }

    #[test]
    fn a_signal_has_a_name() {
        let printed = run(shell("kill -9 $$"), &Groups::default(), Role::Lister, soon()).unwrap();
        assert_eq!(describe(printed.status.unwrap()), "SIGKILL");
    }

    #[test]
    fn the_portable_path_ends_what_is_late() {
        let groups = Groups::default();
        let mut child =
            portable::Supervised::spawn(sleeper(), None, &groups, Role::Lister).unwrap();
        let now = Some(Instant::now());
        assert!(matches!(child.next(now, &mut Vec::new()).unwrap(), Happening::Nothing));
        child.end(End::Kill);
        let ended = child.next(Some(soon()), &mut Vec::new()).unwrap();
        assert!(matches!(ended, Happening::Ended(status) if describe(status) == "SIGKILL"));
    }

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    }

    #[test]
    fn the_portable_path_tells_the_same() {
        let groups = Groups::default();
        let mut child =
            portable::Supervised::spawn(shell("echo a; exit 2"), None, &groups, Role::Lister)
                .unwrap();
        let (mut told, mut buffer) = (Vec::new(), Vec::new());
        let status = loop {
            match child.next(Some(soon()), &mut buffer).unwrap() {
                Happening::Wrote(_) => told.append(&mut buffer),
                Happening::Exited | Happening::WantsTerminal | Happening::LostChannel => {}
                Happening::Ended(status) => break status,
                Happening::Nothing => panic!("too late"),
            }
        };
        assert_eq!((told, status.code()), (b"a\n".to_vec(), Some(2)));
    }
}
