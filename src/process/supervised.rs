//! Supervision by `poll`: of the process's streams, and on Linux of a pidfd for its exit.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::process::{Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGQUIT};

#[cfg(target_os = "linux")]
use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU};

use super::adopted;
use super::channel_pipe::HeldExit;
use super::child::Process;
use super::clock;
use super::held_log::HeldLog;
#[cfg(target_os = "linux")]
use super::kill::continue_group;
use super::kill::{kill_group, signal_group, signal_name, signal_process};
use super::log_path::{self, LogPath};
use super::procfs;
use super::reap::{SOON, has_exited, reap_traced, stopped_by};
use super::spawn::pidfd;
use super::stdin_wait;
#[cfg(target_os = "linux")]
use super::terminal_lease::{LeaseOutcome, TerminalLease};
use crate::process::event::{
    ForwardedSignal, ProcessEvent, Role, StdinWait, Stream, TerminateMode,
};
use crate::process::process_groups::ProcessGroups;

/// The most that a pipe holds when its writer has exited. Anything beyond that comes from another
/// process, which must not keep us waiting.
pub(super) const PIPE_CAPACITY: usize = 64 * 1024;

/// The same for the agent's pipe and the largest page size. Only the worker writes to it.
const CHANNEL_CAPACITY: usize = 1024 * 1024;

/// How often the exit of a process is polled for where there is no pidfd.
const TICK: Duration = Duration::from_millis(10);

/// How often to check what no descriptor reports: traced threads, orphans, and stops by the terminal.
const GLANCE: Duration = Duration::from_millis(100);

/// Much longer than a process takes to continue and to use the terminal.
#[cfg(target_os = "linux")]
const LONGEST_LEASE: Duration = Duration::from_secs(5);

pub struct Supervised<'g> {
    process: Process,
    groups: &'g ProcessGroups,
    pub(super) sources: Vec<Source>,
    pub(super) pidfd: Option<OwnedFd>,
    /// Open at least until libtest has opened it, so that the pipe has no end before that.
    pub(super) log_path: Option<LogPath>,
    /// Of a harness whose log is told after the output that was written before it.
    pub(super) held_log: Option<HeldLog>,
    /// Whether the channel is lost and that has not been returned yet.
    lost_channel: bool,
    pub(super) has_exited: bool,
    /// Whether the exit has been told.
    is_told: bool,
    /// What was read last, copied out of here: a fresh buffer would have to be zeroed.
    pub(super) room: Vec<u8>,
    /// When a little was read last.
    pub(super) trickled: Option<Instant>,
    /// The deadline that has passed, and is told once what came before it is read.
    passed: Option<Instant>,
    glanced_at: Instant,
    /// Whether it was told that it waits for the terminal.
    #[cfg(target_os = "linux")]
    wants_terminal: bool,
    /// Whether the process had the terminal when it exited.
    had_terminal: bool,
    /// The terminal, while it has that.
    #[cfg(target_os = "linux")]
    lease: Option<TerminalLease>,
    /// How long it may keep the next one though another process waits for the terminal.
    #[cfg(target_os = "linux")]
    lease_term: Duration,
    is_reaped: bool,
}

pub(super) struct Source {
    pub(super) stream: Stream,
    pub(super) file: File,
    /// How much may still be read once the process has exited.
    pub(super) allowance: usize,
    /// How much of what came before a deadline is still to be read, once that has passed.
    pub(super) before: usize,
}

impl<'g> Supervised<'g> {
    /// The channel comes first: its reports decide which test the other output belongs to.
    pub(super) fn new(
        process: Process,
        streams: [(Stream, Option<OwnedFd>); 3],
        log_path: Option<LogPath>,
        groups: &'g ProcessGroups,
        role: Role,
    ) -> io::Result<Self> {
        groups.insert(process.id(), role);
        let pidfd = pidfd(process.pid());
        let mut supervised = Supervised {
            process,
            groups,
            sources: Vec::with_capacity(streams.len()),
            pidfd,
            log_path,
            held_log: None,
            lost_channel: false,
            has_exited: false,
            is_told: false,
            room: vec![0; PIPE_CAPACITY],
            trickled: None,
            passed: None,
            glanced_at: Instant::now(),
            #[cfg(target_os = "linux")]
            wants_terminal: false,
            had_terminal: false,
            #[cfg(target_os = "linux")]
            lease: None,
            #[cfg(target_os = "linux")]
            lease_term: GLANCE,
            is_reaped: false,
        };
        for (stream, fd) in streams {
            let Some(fd) = fd else { continue };
            rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK)?;
            let allowance =
                if stream == Stream::Channel { CHANNEL_CAPACITY } else { PIPE_CAPACITY };
            supervised.sources.push(Source { stream, file: File::from(fd), allowance, before: 0 });
        }
        Ok(supervised)
    }

    /// Waits for the next event, until the deadline at the latest.
    ///
    /// A process that keeps writing delays neither its exit nor a deadline: what it writes after
    /// them is not returned first.
    pub fn next(
        &mut self,
        until: Option<Instant>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<ProcessEvent> {
        self.nap();
        loop {
            if let Some(stream) = self.read_before_log(buffer)? {
                return Ok(ProcessEvent::Output(stream));
            }
            if std::mem::take(&mut self.lost_channel) {
                self.sources.retain(|source| source.stream != Stream::Channel);
                return Ok(ProcessEvent::ChannelLost);
            }
            let ready = self.wait(until)?;
            if self.glance() {
                return Ok(ProcessEvent::WantsTerminal);
            }
            let had_exited = self.has_exited;
            if ready.has_exited {
                self.has_exited = true;
                self.close_log_path();
            }
            let is_late = !self.has_exited && self.has_passed(until);
            if let Some(stream) = self.read(&ready.readable, is_late, buffer)? {
                return Ok(ProcessEvent::Output(stream));
            }
            if had_exited && ready.readable.is_empty() {
                if !std::mem::replace(&mut self.is_told, true) {
                    return Ok(ProcessEvent::Exited);
                }
                return self.reap().map(ProcessEvent::Reaped);
            }
            if is_late && self.sources.iter().all(|source| source.before == 0) {
                self.passed = None;
                return Ok(ProcessEvent::DeadlinePassed);
            }
        }
    }

    /// Whether the deadline has passed. What was written before we noticed still counts as in time:
    /// on a busy machine it has waited for us.
    fn has_passed(&mut self, until: Option<Instant>) -> bool {
        let Some(until) = until.filter(|until| clock::now() >= *until) else { return false };
        if self.passed.replace(until) != Some(until) {
            for source in &mut self.sources {
                // Where the system does not tell, as much as a pipe usually holds.
                let waiting = rustix::io::ioctl_fionread(&source.file);
                let waiting = waiting.map_or(PIPE_CAPACITY as u64, |waiting| waiting);
                source.before = usize::try_from(waiting).unwrap_or(usize::MAX);
            }
        }
        true
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The name of the signal that has stopped the process, if it is stopped.
    pub fn stopped_by(&self) -> Option<String> {
        stopped_by(self.process.pid()).map(signal_name)
    }

    /// Whether the process or one of its descendants waits for its standard input.
    pub fn waits_for_stdin(&self) -> StdinWait {
        stdin_wait::stdin_wait(self.process.id())
    }

    /// Its input comes to an end.
    pub fn close_stdin(&mut self) {
        match &mut self.process {
            Process::Started(child) => drop(child.stdin.take()),
            #[cfg(target_os = "linux")]
            Process::Forked(_) => {}
        }
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: i32) {
        signal_process(self.process.pid(), signal);
    }

    /// Tells a process that waits for it that its exit will be released. `descriptor` is the
    /// process's own number for the pipe. None if we cannot open the pipe.
    #[cfg(target_os = "linux")]
    pub fn hold_exit(&self, descriptor: u32) -> Option<HeldExit> {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        let path = format!("/proc/{}/fd/{descriptor}", self.pid());
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let file = options.write(true).custom_flags(flags).open(path).ok()?;
        let is_pipe = file.metadata().ok()?.file_type().is_fifo();
        let door = is_pipe.then_some(HeldExit(file.into()))?;
        door.knock();
        Some(door)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn hold_exit(&self, _descriptor: u32) -> Option<HeldExit> {
        None
    }

    pub fn terminate(&mut self, how: TerminateMode) {
        if !self.is_reaped {
            match how {
                TerminateMode::Terminate => {
                    signal_group(self.process.id(), ForwardedSignal::Terminate)
                }
                TerminateMode::Kill => kill_group(self.process.id()),
            }
        }
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<Ready> {
        let mut fds: Vec<PollFd<'_>> = self
            .sources
            .iter()
            .map(|source| PollFd::from_borrowed_fd(source.file.as_fd(), PollFlags::IN))
            .collect();
        let pidfd: Option<BorrowedFd<'_>> = self.pidfd.as_ref().map(AsFd::as_fd);
        if let Some(pidfd) = pidfd.filter(|_| !self.has_exited) {
            fds.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN));
        }
        match poll(&mut fds, self.patience(until).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let readable: Vec<usize> =
            (0..self.sources.len()).filter(|at| is_ready(&fds[*at])).collect();
        let has_exited = match fds.get(self.sources.len()) {
            Some(pidfd) => is_ready(pidfd),
            None => false,
        };
        drop(fds);
        let has_exited = has_exited || (self.pidfd.is_none() && self.is_zombie());
        Ok(Ready { readable, has_exited })
    }

    /// How long `poll` may block: not at all once the process has exited.
    fn patience(&self, until: Option<Instant>) -> Option<Timespec> {
        let most = match () {
            () if self.has_exited => Duration::ZERO,
            () if self.pidfd.is_none() => TICK,
            () => GLANCE.saturating_sub(self.glanced_at.elapsed()),
        };
        let left = until.map(|until| until.saturating_duration_since(clock::now()));
        Timespec::try_from(left.map_or(most, |left| left.min(most))).ok()
    }

    /// Handles what no descriptor reports. Returns true once if the process waits for the terminal
    /// in vain.
    fn glance(&mut self) -> bool {
        if self.has_exited || self.glanced_at.elapsed() < GLANCE {
            return false;
        }
        self.glanced_at = Instant::now();
        reap_traced(self.process.id());
        adopted::reap_ended(self.groups);
        self.lend_terminal()
    }

    /// Who touches the terminal is stopped with the whole group, and goes on once it has that.
    #[cfg(target_os = "linux")]
    fn lend_terminal(&mut self) -> bool {
        self.lease.take_if(|lease| lease.is_over());
        match stopped_by(self.process.pid()) {
            Some(SIGTTIN | SIGTTOU) => {}
            // A person has pressed Ctrl-Z, and means all of the run.
            Some(SIGTSTP) if self.lease.take().is_some() => {
                let _ = kill_process_group(rustix::process::getpgrp(), Signal::TSTP);
                return false;
            }
            _ => return false,
        }
        if !self.lease.as_ref().is_some_and(TerminalLease::is_handed_on) {
            // One that it has and cannot use was taken from it.
            self.lease = None;
            match TerminalLease::give(self.process.pid(), self.lease_term) {
                LeaseOutcome::Granted(lease) => {
                    self.lease = Some(lease);
                    // If it comes back, this one was too short to be used. Two slow processes would
                    // take the terminal from each other forever.
                    self.lease_term = LONGEST_LEASE.min(self.lease_term * 2);
                }
                LeaseOutcome::Busy => return false,
                LeaseOutcome::Refused => return !std::mem::replace(&mut self.wants_terminal, true),
            }
        }
        continue_group(self.process.id());
        false
    }

    #[cfg(not(target_os = "linux"))]
    fn lend_terminal(&mut self) -> bool {
        false
    }

    /// The signal that a person at the terminal sent to the process, which had the terminal, and
    /// that was meant for the whole run.
    pub fn terminal_signal(&self, status: ExitStatus) -> Option<ForwardedSignal> {
        use std::os::unix::process::ExitStatusExt;
        match status.signal().filter(|_| self.had_terminal) {
            Some(SIGINT) => Some(ForwardedSignal::Interrupt),
            Some(SIGQUIT) => Some(ForwardedSignal::Quit),
            _ => None,
        }
    }

    pub(super) fn hear_head(&mut self, printed: &[u8]) {
        if self.log_path.as_mut().is_some_and(|log_path| log_path.hears_the_head(printed)) {
            self.close_log_path();
        }
    }

    /// Closes the path once libtest has opened its log, or never will. If another process may have
    /// opened it as well, nothing that came through it proves anything.
    fn close_log_path(&mut self) {
        let Some(log_path) = &mut self.log_path else { return };
        if !log_path.is_open() {
            return;
        }
        log_path.close();
        if cfg!(not(target_os = "linux")) {
            // There the worker has inherited it, and the pipe has no end while we have it open.
            self.log_path = None;
            return;
        }
        let channel = self.sources.iter().find(|source| source.stream == Stream::Channel);
        let is_lost =
            |channel: &Source| !log_path::is_workers_alone(self.process.id(), &channel.file);
        self.lost_channel |= channel.is_some_and(is_lost);
    }

    /// libtest closes its log after all of its tests, and the agent's pipe ends with its process. If
    /// either comes to its end before that, a test did it, and what is reported next may go to a file
    /// of the test, or to nobody. A custom harness may close its log when it likes.
    pub(super) fn note_end(&mut self, stream: Stream) {
        let is_ledger = stream == Stream::Channel && self.held_log.is_none();
        self.lost_channel |= is_ledger && procfs::has_memory(self.process.id());
    }

    /// Waits for more bytes if the last read was small: waking up for each write would cost as much
    /// as a tiny test. The exit of the process ends the wait.
    fn nap(&mut self) {
        const NAP: Duration = Duration::from_millis(1);
        let is_trickling = self.trickled.take().is_some_and(|at| at.elapsed() < NAP);
        if self.has_exited || !is_trickling {
            return;
        }
        let patience = Timespec::try_from(NAP).ok();
        // The result does not matter: the next poll finds the same.
        let _ = match &self.pidfd {
            Some(pidfd) => poll(&mut [PollFd::new(pidfd, PollFlags::IN)], patience.as_ref()),
            None => poll(&mut [], patience.as_ref()),
        };
    }

    /// Kills what is left of the process group, and reaps the process. In this order: as long as
    /// the leader is not reaped, the ID of its group is not reused.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        kill_group(self.process.id());
        #[cfg(target_os = "linux")]
        {
            self.had_terminal = self.lease.take().is_some();
        }
        self.groups.remove(self.process.id());
        self.is_reaped = true;
        self.process.wait()
    }

    /// Whether the process has exited, without reaping it.
    fn is_zombie(&self) -> bool {
        has_exited(self.process.id())
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        if !self.is_reaped {
            kill_group(self.process.id());
            self.groups.remove(self.process.id());
            while !has_exited(self.process.id()) {
                reap_traced(self.process.id());
                std::thread::sleep(SOON);
            }
            // Nothing can be done about an error here: the process is dead either way.
            let _ = self.process.wait();
        }
    }
}

struct Ready {
    readable: Vec<usize>,
    has_exited: bool,
}
