//! The guard: no process of a run outlives it, even if the run is killed. With it a run is three
//! processes, each the parent of the next:
//!
//! ```text
//! user's    the one that the user started: waits, hands signals on, ends as the runner ended
//! guard     outside of the user's process group; ends what is left if one of the others dies
//! runner    in the user's process group: it does everything
//! ```
//!
//! Orphans below the runner are reparented to the runner (or to the subreaper of a build that runs
//! beside tests, see `build_subreaper`), and to the guard once the runner is gone. A runner that
//! exits by itself has killed what it wanted to kill, and then the guard touches nothing. However it
//! ends, the guard sets the terminal back if the runner has not.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpgid, getpgrp, getpid, kill_process,
    set_child_subreaper, setpgid, setrlimit, wait, waitpid,
};

use super::line_mode::LineMode;
use super::signal_disposition::ignores_hang_up;
use super::syscalls::{ForkSide, ReceivedSignal, SignalMask, fork, see_children_end};
use super::{clock, procfs, reap};

/// The signals that the launcher waits for.
const WAITED: [i32; 8] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGUSR1,
    libc::SIGCONT,
    libc::SIGCHLD,
];

/// Its own process name, so that a `pkill` of the command's name does not hit it.
const NAME: &std::ffi::CStr = c"partest-guard";

/// How long the runner may take to exit by itself when the launcher is gone: a little longer than
/// the coordinator gives the tests.
const ORDER: Duration = Duration::from_millis(1500);

/// How long the launcher waits for the runner to stop, which stops its workers first.
const PATIENCE_FOR_STOP: Duration = Duration::from_secs(1);

// Messages of the runner to the guard.

/// Followed by a process that the build left running on purpose.
const SPARE: u8 = b's';
/// All of those that there are now were named.
const ALL_NAMED: u8 = b'a';
const END_ALL: u8 = b'e';
/// Followed by what the terminal was set to before.
const KEYS_BEGIN: u8 = b'k';
const KEYS_ENDED: u8 = b'l';

/// The runner's ends of its pipes to launcher and guard; none where there are no such processes.
#[derive(Debug, Default)]
pub struct RunnerPipes {
    /// Carries the signals that the launcher received, and is closed when the launcher dies.
    pub signals: Option<OwnedFd>,
    pub guard: GuardPipe,
}

#[derive(Debug, Default, Clone)]
pub struct GuardPipe(Option<Arc<OwnedFd>>);

impl GuardPipe {
    /// Says that tests are about to start: what the build left running until now stays, on purpose.
    /// That are the orphans of the run, and these below the build's subreaper.
    ///
    /// Looked for here and not by the guard, which may read this when orphans of tests exist too.
    pub fn tests_started(&self, of_build: &[u32]) {
        if self.0.is_none() {
            return;
        }
        let guard = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
        let mut left = procfs::children_of(&guard.to_string());
        left.retain(|pid| *pid != std::process::id());
        left.extend(of_build);
        self.spare(&left);
    }

    /// Says that cargo has exited while tests run, and which processes it left below its subreaper.
    pub fn build_ended(&self, of_build: &[u32]) {
        self.spare(of_build);
    }

    fn spare(&self, left: &[u32]) {
        for spared in left.iter().filter_map(|pid| Spared::of(*pid)) {
            self.tell(&spared.to_message());
        }
        self.tell(&[ALL_NAMED]);
    }

    /// Has the guard kill all that is left of the run, however the runner exits.
    pub fn kill_all(&self) {
        self.tell(&[END_ALL]);
    }

    /// Whether anybody hears what is said here.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Says that the terminal is about to be set to pass on single keys, and what it was set to.
    pub fn keys_begin(&self, former: LineMode) {
        let mut message = vec![KEYS_BEGIN];
        message.extend(former.to_bytes());
        self.tell(&message);
    }

    /// Says that the terminal was set back.
    pub fn keys_ended(&self) {
        self.tell(&[KEYS_ENDED]);
    }

    fn tell(&self, what: &[u8]) {
        if let Some(guard) = &self.0 {
            // If the guard is gone the launcher exits as well, and the runner notices that.
            let _ = rustix::io::write(guard, what);
        }
    }
}

/// A process that the build left running on purpose. Its PID may be another's later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spared {
    pid: u32,
    started: procfs::Ticks,
}

impl Spared {
    /// The size of its message behind the first byte.
    const BYTES: usize = 12;

    fn of(pid: u32) -> Option<Spared> {
        Some(Spared { pid, started: procfs::start_time(pid)? })
    }

    fn to_message(self) -> Vec<u8> {
        [&[SPARE][..], &self.pid.to_ne_bytes(), &self.started.to_ne_bytes()].concat()
    }

    fn from_bytes(bytes: [u8; Spared::BYTES]) -> Spared {
        let [a, b, c, d, started @ ..] = bytes;
        let pid = u32::from_ne_bytes([a, b, c, d]);
        Spared { pid, started: procfs::Ticks::from_ne_bytes(started) }
    }
}

/// Forks guard and runner. Returns in the runner; the two other processes exit in here. Must be
/// called before the first thread is started.
///
/// `scratch` is a directory that the guard removes once the runner is gone.
///
/// If the system refuses more processes, the run goes on without a guard.
pub fn start_guard(scratch: Option<&Path>) -> RunnerPipes {
    chain(scratch).unwrap_or_default()
}

fn chain(scratch: Option<&Path>) -> io::Result<RunnerPipes> {
    let (signals, to_runner) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (from_runner, to_guard) = pipe_with(PipeFlags::CLOEXEC)?;
    let (whom, to_tell_whom) = pipe_with(PipeFlags::CLOEXEC)?;
    let ignored = ignores_hang_up().then_some(libc::SIGHUP);
    let waited = WAITED.into_iter().filter(|signal| Some(*signal) != ignored);
    let waited = SignalMask::of(&waited.collect::<Vec<_>>());
    see_children_end();
    let former = waited.block();
    match fork() {
        Ok(ForkSide::Child) => {}
        Ok(ForkSide::Parent { child: guard }) => {
            drop((signals, from_runner, to_guard, to_tell_whom));
            let runner = read_pid(&whom);
            Users { guard, runner, to_runner }.wait(&waited)
        }
        Err(error) => {
            former.restore();
            return Err(error);
        }
    }
    drop((to_runner, whom));
    match fork() {
        Ok(ForkSide::Child) => {
            former.restore();
            Ok(RunnerPipes { signals: Some(signals), guard: GuardPipe(Some(Arc::new(to_guard))) })
        }
        Ok(ForkSide::Parent { child: runner }) => {
            drop(to_guard);
            tell_pid(to_tell_whom, runner);
            Guard::new(runner, scratch).watch(signals, from_runner)
        }
        // The process that would have been the guard is the runner.
        Err(_) => {
            former.restore();
            tell_pid(to_tell_whom, getpid());
            Ok(RunnerPipes { signals: Some(signals), guard: GuardPipe(None) })
        }
    }
}

fn tell_pid(pipe: OwnedFd, pid: Pid) {
    // Without it the launcher cannot stop the run; nothing else is lost.
    let _ = rustix::io::write(pipe, &pid.as_raw_pid().to_ne_bytes());
}

fn read_pid(pipe: &OwnedFd) -> Option<Pid> {
    let mut bytes = [0; 4];
    loop {
        match rustix::io::read(pipe, &mut bytes) {
            Ok(4) => return Pid::from_raw(i32::from_ne_bytes(bytes)),
            Err(Errno::INTR) => {}
            _ => return None,
        }
    }
}

/// The process that the user started.
struct Users {
    guard: Pid,
    runner: Option<Pid>,
    to_runner: OwnedFd,
}

impl Users {
    fn wait(&self, waited: &SignalMask) -> ! {
        loop {
            let sent = waited.wait();
            match sent.signal {
                libc::SIGCHLD => {
                    if let Ok(Some((_, status))) = waitpid(Some(self.guard), WaitOptions::NOHANG) {
                        end_like(status);
                    }
                }
                libc::SIGCONT => self.go_on(),
                libc::SIGTSTP => {
                    self.hand_on(sent);
                    self.stop();
                }
                _ => self.hand_on(sent),
            }
        }
    }

    /// The runner may have received the same signal itself, and counts it once.
    fn hand_on(&self, sent: ReceivedSignal) {
        // The pipe is closed once the run is over.
        let _ = rustix::io::write(&self.to_runner, &sent.to_bytes());
    }

    /// Stops after the runner: otherwise a quick SIGCONT could reach the runner before it has
    /// stopped.
    fn stop(&self) {
        if let Some(runner) = self.runner {
            let until = clock::after(Instant::now(), PATIENCE_FOR_STOP);
            while !procfs::is_stopped(runner) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let _ = signal_hook::low_level::raise(libc::SIGSTOP);
    }

    fn go_on(&self) {
        if let Some(runner) = self.runner {
            let _ = kill_process(runner, Signal::CONT);
        }
    }
}

/// Exits as another process exited, without a second core file.
fn end_like(status: WaitStatus) -> ! {
    if let Some(signal) = status.terminating_signal() {
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        // The signal does not terminate us: the exit code that a shell would use.
        std::process::exit(128 + signal)
    }
    std::process::exit(status.exit_status().unwrap_or(1))
}

struct Guard {
    runner: Pid,
    /// The user's process group, which contains cargo and the whole build.
    group: Pid,
    /// What the runner has named so far of `spared`.
    named: Vec<Spared>,
    /// What the build left running on purpose; none before the tests have started.
    spared: Option<Vec<Spared>>,
    /// The exit status of the runner.
    ended: Option<WaitStatus>,
    /// When the runner is killed, because the launcher is gone.
    until: Option<Instant>,
    ends_all: bool,
    /// What the terminal is to be set to, while the runner has it pass on single keys.
    line_mode: Option<LineMode>,
    /// A directory that does not outlive the run.
    scratch: Option<PathBuf>,
}

impl Guard {
    /// The guard of this runner, which this process becomes.
    fn new(runner: Pid, scratch: Option<&Path>) -> Guard {
        let guard = Guard::of(runner, getpgrp(), scratch);
        SignalMask::full().block();
        let _ = rustix::thread::set_name(NAME);
        // None of the three fails in a new process. Without them the guard would find less, and the
        // run would be the same.
        let _ = setpgid(None, None);
        let _ = set_child_subreaper(Some(getpid()));
        guard
    }

    fn of(runner: Pid, group: Pid, scratch: Option<&Path>) -> Guard {
        Guard {
            runner,
            group,
            named: Vec::new(),
            spared: None,
            ended: None,
            until: None,
            ends_all: false,
            line_mode: None,
            scratch: scratch.map(Path::to_owned),
        }
    }

    fn watch(mut self, users: OwnedFd, runner: OwnedFd) -> ! {
        while self.ended.is_none() && self.hears(&users, &runner) {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                let _ = kill_process(self.runner, Signal::KILL);
                break;
            }
        }
        let status = self.await_runner();
        self.put_terminal_back();
        if status.signaled() || self.until.is_some() || self.ends_all {
            self.end_what_is_left();
        }
        if let Some(scratch) = &self.scratch {
            // A runner that ended by itself has removed it.
            let _ = std::fs::remove_dir_all(scratch);
        }
        end_like(status)
    }

    /// Waits for a message of the runner, or for the launcher to die. Returns false once the
    /// runner's pipe is closed, because the runner has exited.
    fn hears(&mut self, users: &OwnedFd, runner: &OwnedFd) -> bool {
        let mut fds = vec![PollFd::new(runner, PollFlags::IN)];
        // Only its being closed matters; its contents are for the runner.
        if self.until.is_none() {
            fds.push(PollFd::new(users, PollFlags::empty()));
        }
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        if poll(&mut fds, left.as_ref()).is_err() {
            return true;
        }
        let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if is_ready.get(1) == Some(&true) {
            self.until = Some(clock::after(Instant::now(), ORDER));
            // The shell goes on.
            self.put_terminal_back();
        }
        !is_ready[0] || self.listen(runner)
    }

    fn listen(&mut self, runner: &OwnedFd) -> bool {
        let mut told = [0];
        match rustix::io::read(runner, &mut told) {
            Ok(0) => return false,
            Ok(_) if told[0] == SPARE => {
                // Both were written at once.
                let mut spared = [0; Spared::BYTES];
                if rustix::io::read(runner, &mut spared) == Ok(spared.len()) {
                    self.named.push(Spared::from_bytes(spared));
                }
            }
            Ok(_) if told[0] == ALL_NAMED => {
                self.spared.get_or_insert_default().append(&mut self.named);
            }
            Ok(_) if told[0] == KEYS_BEGIN => {
                // Both were written at once.
                let mut former = [0; LineMode::BYTES];
                let is_whole = rustix::io::read(runner, &mut former) == Ok(LineMode::BYTES);
                self.line_mode = is_whole.then(|| LineMode::from_bytes(former));
            }
            Ok(_) if told[0] == KEYS_ENDED => self.line_mode = None,
            Ok(_) => self.ends_all = true,
            Err(_) => {}
        }
        true
    }

    fn put_terminal_back(&self) {
        self.line_mode.iter().for_each(|line_mode| line_mode.put_back_if_untouched(io::stdin()));
    }

    fn await_runner(&mut self) -> WaitStatus {
        loop {
            if let Some(status) = self.ended {
                return status;
            }
            match waitpid(Some(self.runner), WaitOptions::empty()) {
                Ok(Some((_, status))) => self.ended = Some(status),
                Ok(None) | Err(Errno::INTR) => {}
                // Cannot happen: nothing else waits for it.
                Err(_) => std::process::exit(1),
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.runner {
                self.ended = Some(status);
            }
        }
    }

    fn children(&self) -> Vec<u32> {
        let mut children = reap::children();
        children.retain(|pid| i32::try_from(*pid) != Ok(self.runner.as_raw_pid()));
        children
    }

    /// Kills the orphans that were reparented to the guard, and those that are reparented when
    /// their own parents are killed.
    fn end_what_is_left(&mut self) {
        loop {
            self.reap();
            let left: Vec<u32> =
                self.children().into_iter().filter(|pid| self.is_of_run(*pid)).collect();
            if left.is_empty() {
                return;
            }
            reap::kill_and_reap(&left);
        }
    }

    /// Before the tests there are only cargo and what it runs, which stay in the user's process
    /// group. What they leave running on purpose leaves that group.
    fn is_of_run(&self, child: u32) -> bool {
        match &self.spared {
            Some(spared) => Spared::of(child).is_none_or(|child| !spared.contains(&child)),
            None => {
                let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
                getpgid(pid).is_ok_and(|group| group == self.group)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runner that is killed before it has named all of them spares none by name.
    #[test]
    fn nothing_is_spared_by_name_before_all_are_named() {
        let (from_runner, to_guard) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut guard = Guard::of(getpid(), getpgrp(), None);
        let processes = [7, 8].map(|pid| Spared { pid, started: 1 << 40 });
        for spared in processes {
            rustix::io::write(&to_guard, &spared.to_message()).unwrap();
            assert!(guard.listen(&from_runner));
            assert_eq!(guard.spared, None);
        }
        assert_eq!(guard.named, processes);
        drop(to_guard);
        assert!(!guard.listen(&from_runner));
        assert_eq!(guard.spared, None);
    }
}
