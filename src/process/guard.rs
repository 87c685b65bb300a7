//! Nothing that a run started may outlive it, even if the run is killed without a warning. So
//! a run is three processes, each the parent of the next:
//!
//! ```text
//! user's    the one that the user started: waits, hands signals on, ends as the runner ended
//! guard     outside of the user's process group; ends what is left if one of the others dies
//! runner    in the user's process group: it does everything
//! ```
//!
//! Whatever loses its parent below the runner comes home to the runner (but for a build beside
//! tests, which has a process of its own for that, see `foster`), and to the guard once the runner
//! is gone. A runner that ends by itself has ended what it wanted to end: then the
//! guard touches nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpgid, getpgrp, getpid, kill_process,
    set_child_subreaper, setpgid, setrlimit, wait, waitpid,
};

use super::syscalls::{ForkSide, ReceivedSignal, SignalMask, fork, see_children_end};
use super::{clock, procfs, reap};

/// What the user's process waits for.
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

/// A name of its own, which a `pkill` of the command's name does not hit.
const NAME: &std::ffi::CStr = c"partest-guard";

/// The runner may end in order for so long when the user's process is gone: a little longer
/// than the coordinator gives the tests.
const ORDER: Duration = Duration::from_millis(1500);

/// The runner stops its workers before itself; whoever waits for that has a limit.
const PATIENCE_FOR_STOP: Duration = Duration::from_secs(1);

/// What the runner tells the guard.
const TESTS_BEGIN: u8 = b'b';
const END_ALL: u8 = b'e';

/// The runner's ends of its lines to the two others; none where there are no others.
#[derive(Debug, Default)]
pub struct RunnerPipes {
    /// Signals that the user's process was sent. It ends with that process.
    pub signals: Option<OwnedFd>,
    pub guard: GuardPipe,
}

#[derive(Debug, Default)]
pub struct GuardPipe(Option<OwnedFd>);

impl GuardPipe {
    /// What lives now beside the runner was left by the build, by design.
    pub fn tests_started(&self) {
        self.tell(TESTS_BEGIN);
    }

    /// However the runner ends, nothing of the run may stay.
    pub fn kill_all(&self) {
        self.tell(END_ALL);
    }

    fn tell(&self, what: u8) {
        if let Some(guard) = &self.0 {
            // A guard that is gone takes the user's process with it, and we notice that.
            let _ = rustix::io::write(guard, &[what]);
        }
    }
}

/// Goes on in the runner; the two other processes end in here. Must come before the first
/// thread.
///
/// Where the system has no room for more processes the run goes on without a guard.
pub fn start_guard() -> RunnerPipes {
    chain().unwrap_or_default()
}

fn chain() -> io::Result<RunnerPipes> {
    let (signals, to_runner) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (from_runner, to_guard) = pipe_with(PipeFlags::CLOEXEC)?;
    let (whom, to_tell_whom) = pipe_with(PipeFlags::CLOEXEC)?;
    let waited = SignalMask::of(&WAITED);
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
            Ok(RunnerPipes { signals: Some(signals), guard: GuardPipe(Some(to_guard)) })
        }
        Ok(ForkSide::Parent { child: runner }) => {
            drop(to_guard);
            tell_pid(to_tell_whom, runner);
            Guard::new(runner).watch(signals, from_runner)
        }
        // No room for a guard: its place is the runner's.
        Err(_) => {
            former.restore();
            tell_pid(to_tell_whom, getpid());
            Ok(RunnerPipes { signals: Some(signals), guard: GuardPipe(None) })
        }
    }
}

fn tell_pid(pipe: OwnedFd, pid: Pid) {
    // Without it the user's process cannot stop the run, and nothing else is lost.
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

    /// The runner compares with what it was sent itself.
    fn hand_on(&self, sent: ReceivedSignal) {
        // Nobody listens any more once the run is over.
        let _ = rustix::io::write(&self.to_runner, &sent.to_bytes());
    }

    /// The runner first: otherwise a quick SIGCONT would find it still about to stop.
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

/// Ends as another process ended, without a second core file.
fn end_like(status: WaitStatus) -> ! {
    if let Some(signal) = status.terminating_signal() {
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        // A signal that does not end us: as a shell would tell it.
        std::process::exit(128 + signal)
    }
    std::process::exit(status.exit_status().unwrap_or(1))
}

struct Guard {
    runner: Pid,
    /// The user's process group, in which cargo and all of the build is.
    group: Pid,
    /// What the build left running by design; none before the tests have begun.
    spared: Option<Vec<u32>>,
    /// How the runner ended.
    ended: Option<WaitStatus>,
    /// When the runner has to have ended, because the user's process is gone.
    until: Option<Instant>,
    ends_all: bool,
}

impl Guard {
    fn new(runner: Pid) -> Guard {
        let group = getpgrp();
        SignalMask::full().block();
        let _ = rustix::thread::set_name(NAME);
        // None of the three is refused to a process that was just born; without them the
        // guard guards less, and the run is the same.
        let _ = setpgid(None, None);
        let _ = set_child_subreaper(Some(getpid()));
        Guard { runner, group, spared: None, ended: None, until: None, ends_all: false }
    }

    fn watch(mut self, users: OwnedFd, runner: OwnedFd) -> ! {
        while self.ended.is_none() && self.hears(&users, &runner) {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                let _ = kill_process(self.runner, Signal::KILL);
                break;
            }
        }
        let status = self.await_runner();
        if status.signaled() || self.until.is_some() || self.ends_all {
            self.end_what_is_left();
        }
        end_like(status)
    }

    /// False once the runner's line has ended, and the runner with it.
    fn hears(&mut self, users: &OwnedFd, runner: &OwnedFd) -> bool {
        let mut fds = vec![PollFd::new(runner, PollFlags::IN)];
        // Only its end is of interest: the rest is for the runner.
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
        }
        !is_ready[0] || self.listen(runner)
    }

    fn listen(&mut self, runner: &OwnedFd) -> bool {
        let mut told = [0];
        match rustix::io::read(runner, &mut told) {
            Ok(0) => return false,
            Ok(_) if told[0] == TESTS_BEGIN => {
                self.reap();
                self.spared = Some(self.children());
            }
            Ok(_) => self.ends_all = true,
            Err(_) => {}
        }
        true
    }

    fn await_runner(&mut self) -> WaitStatus {
        loop {
            if let Some(status) = self.ended {
                return status;
            }
            match waitpid(Some(self.runner), WaitOptions::empty()) {
                Ok(Some((_, status))) => self.ended = Some(status),
                Ok(None) | Err(Errno::INTR) => {}
                // Somebody else has waited for it: cannot happen.
                Err(_) => std::process::exit(1),
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.runner {
                self.ended = Some(status);
            }
            self.spared.iter_mut().for_each(|spared| {
                spared.retain(|spared| i32::try_from(*spared) != Ok(pid.as_raw_pid()));
            });
        }
    }

    fn children(&self) -> Vec<u32> {
        let mut children = reap::children();
        children.retain(|pid| i32::try_from(*pid) != Ok(self.runner.as_raw_pid()));
        children
    }

    /// Ends what came home, and what comes home because of that.
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

    /// Before the tests only cargo and what it runs are: they stay in their group, and what
    /// they leave running by design leaves it.
    fn is_of_run(&self, child: u32) -> bool {
        match &self.spared {
            Some(spared) => !spared.contains(&child),
            None => {
                let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
                getpgid(pid).is_ok_and(|group| group == self.group)
            }
        }
    }
}
