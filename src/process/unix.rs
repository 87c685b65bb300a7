//! Supervision by `poll`: streams, and on Linux a pidfd for the end of the process.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGQUIT};
#[cfg(target_os = "linux")]
use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU};

#[cfg(target_os = "linux")]
use super::Prepared;
use super::clock;
#[cfg(target_os = "linux")]
use super::no_agent_log::Gate;
use super::no_agent_log::{self, HEAD_AT_ONCE, Ledger};
#[cfg(target_os = "linux")]
use super::terminal::{Given, Lease};
use super::{End, Groups, Happening, Hearing, Passed, Role, Stream, procfs};

/// What a pipe can hold at the most when its writer has ended; more than that comes from
/// somebody else, who must not hold us up.
const PIPE_CAPACITY: usize = 64 * 1024;

/// The same for the agent's pipe, with the largest pages that there are; nobody but the worker
/// writes to it.
const CHANNEL_CAPACITY: usize = 1024 * 1024;

/// Without a pidfd the end of a process is looked for this often.
const TICK: Duration = Duration::from_millis(10);

/// How often somebody glances at a process, for what nobody tells.
const GLANCE: Duration = Duration::from_millis(100);

/// How often a process is looked at that was killed.
const SOON: Duration = Duration::from_millis(1);

/// A child of ours.
enum Process {
    Started(Child),
    /// By a prepared process, which is its sibling.
    #[cfg(target_os = "linux")]
    Forked(Pid),
}

impl Process {
    fn pid(&self) -> Pid {
        match self {
            Process::Started(child) => Pid::from_child(child),
            #[cfg(target_os = "linux")]
            Process::Forked(pid) => *pid,
        }
    }

    fn id(&self) -> u32 {
        self.pid().as_raw_pid().unsigned_abs()
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Process::Started(child) => child.wait(),
            #[cfg(target_os = "linux")]
            Process::Forked(pid) => wait_for(*pid),
        }
    }
}

/// Waits for the end of a child that std does not know.
#[cfg(target_os = "linux")]
pub fn wait_for(pid: Pid) -> io::Result<ExitStatus> {
    use rustix::process::{WaitOptions, waitpid};
    use std::os::unix::process::ExitStatusExt;
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub struct Supervised<'g> {
    process: Process,
    groups: &'g Groups,
    sources: Vec<Source>,
    pidfd: Option<OwnedFd>,
    /// Open at least until libtest has opened it, so that the pipe has no end before.
    ledger: Option<Ledger>,
    /// The channel is lost, and nobody has been told yet.
    lost_channel: bool,
    has_exited: bool,
    /// Whether the exit has been told.
    is_told: bool,
    /// What was read last, copied out of here: a fresh buffer would have to be zeroed.
    room: Vec<u8>,
    /// When a little was read last.
    trickled: Option<Instant>,
    /// The deadline that has passed, and is told once what came before it is read.
    passed: Option<Instant>,
    glanced_at: Instant,
    /// Whether it was told that it waits for the terminal.
    #[cfg(target_os = "linux")]
    wants_terminal: bool,
    /// Whether it had the terminal when it ended.
    had_terminal: bool,
    /// The terminal, while it has that.
    #[cfg(target_os = "linux")]
    lease: Option<Lease>,
    is_reaped: bool,
}

struct Source {
    stream: Stream,
    file: File,
    /// How much may still be read after the process has ended.
    allowance: usize,
    /// How much of what came before a deadline is still to be read, once that has passed.
    before: usize,
}

/// The way from the worker's side of a channel to us.
pub struct Wire {
    reader: OwnedFd,
    /// The worker's end, and how it comes by it.
    worker: Option<OwnedFd>,
    hand_over: HandOver,
}

/// The way to whoever supervises a process: what is sent wakes them.
pub struct Orders(OwnedFd);

impl Orders {
    pub fn send(&self) {
        // Nobody supervises it any more, or has heard the order before: both are well.
        let _ = rustix::io::write(&self.0, b".");
    }
}

/// What a process waits at before it ends. It has been told that somebody stands there.
pub struct Door(OwnedFd);

impl Door {
    fn knock(&self) {
        // It has not waited, which is its own matter.
        let _ = rustix::io::write(&self.0, b".");
    }

    /// The process ends.
    pub fn open(self) {
        self.knock();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandOver {
    /// By its path.
    Path,
    /// As its standard input, which a test finds empty either way.
    Stdin,
    /// Not at all: the channel is for its supervisor, and its input ends when that says so.
    Kept,
}

impl Wire {
    /// A pipe that libtest's `--logfile` can write to.
    pub fn ledger_pipe() -> io::Result<Wire> {
        let (reader, worker) = std::io::pipe()?;
        Ok(Wire { reader: reader.into(), worker: Some(worker.into()), hand_over: HandOver::Path })
    }

    /// A pipe for the agent: half the price of a socket, for both ends. Were there no agent, a
    /// test that reads its input would fail where std does not take that for the end of it.
    pub fn agent_pipe() -> io::Result<Wire> {
        let (reader, worker) = std::io::pipe()?;
        let worker = Some(worker.into());
        Ok(Wire { reader: reader.into(), worker, hand_over: HandOver::Stdin })
    }

    /// A way for orders to the supervisor of a process.
    pub fn orders() -> io::Result<(Wire, Orders)> {
        let (reader, writer) = std::io::pipe()?;
        let wire = Wire { reader: reader.into(), worker: None, hand_over: HandOver::Kept };
        Ok((wire, Orders(writer.into())))
    }

    /// The path to hand to `--logfile`.
    ///
    /// On Linux the worker opens our own descriptor by its path below `/proc`: so none is
    /// inherited, and the one that libtest opens closes itself on exec. Neither a test nor
    /// its children see anything of it.
    pub fn path(&self) -> String {
        let Some(fd) = self.worker.as_ref().map(AsRawFd::as_raw_fd) else { return String::new() };
        if cfg!(target_os = "linux") {
            format!("/proc/{}/fd/{fd}", std::process::id())
        } else {
            format!("/dev/fd/{fd}")
        }
    }
}

impl<'g> Supervised<'g> {
    /// Starts the command in a process group of its own, with empty input, and bound to die
    /// with us.
    ///
    /// Must be called from a thread that lives as long as the run: on Linux the parent's
    /// death signal fires when the *thread* that started the process ends.
    pub fn spawn(
        mut command: Command,
        wire: Option<Wire>,
        groups: &'g Groups,
        role: Role,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        // The agent sees to it; without anything to do before exec, std starts the process by
        // `posix_spawn`, which copies nothing of ours.
        let dies_with_us = wire.as_ref().is_some_and(|w| w.hand_over == HandOver::Stdin);
        let (reader, ledger) = match wire {
            Some(Wire { reader, worker: Some(worker), hand_over: HandOver::Stdin }) => {
                command.stdin(worker);
                (Some(reader), None)
            }
            Some(Wire { reader, hand_over: HandOver::Kept, .. }) => {
                command.stdin(Stdio::piped());
                (Some(reader), None)
            }
            Some(Wire { reader, worker, .. }) => (Some(reader), worker.map(Ledger::new)),
            None => (None, None),
        };
        #[cfg(target_os = "linux")]
        let (stdout, gate) = match &ledger {
            Some(ledger) => {
                let (stdout, its_stdout) = std::io::pipe()?;
                let gate = Gate::new(ledger, &its_stdout);
                command.stdout(its_stdout);
                (Some(OwnedFd::from(stdout)), gate)
            }
            None => (None, None),
        };
        #[cfg(not(target_os = "linux"))]
        let stdout: Option<OwnedFd> = None;
        if !dies_with_us {
            let inherited = ledger.as_ref().map(Ledger::descriptor);
            let parent = std::process::id();
            // SAFETY: between fork and exec only async-signal-safe calls are made: prctl,
            // getppid and fcntl, each a plain system call; nothing is allocated.
            unsafe { command.pre_exec(move || before_exec(parent, inherited)) };
        }
        let mut child = command.spawn()?;
        // It holds our copy of the worker's end.
        drop(command);
        let streams = [
            (Stream::Channel, reader),
            (Stream::Stdout, stdout.or(child.stdout.take().map(OwnedFd::from))),
            (Stream::Stderr, child.stderr.take().map(OwnedFd::from)),
        ];
        #[cfg_attr(not(target_os = "linux"), expect(unused_mut))]
        let mut supervised = Self::new(Process::Started(child), streams, ledger, groups, role)?;
        #[cfg(target_os = "linux")]
        if let Some(gate) = gate {
            supervised.pass(gate)?;
        }
        Ok(supervised)
    }

    /// Waits until libtest has opened its log.
    #[cfg(target_os = "linux")]
    fn pass(&mut self, gate: Gate) -> io::Result<()> {
        let is_opened = gate.wait(self.pidfd.as_ref());
        if let Some(ledger) = self.ledger.as_mut().filter(|_| is_opened) {
            // By the worker alone: none of its tests has begun.
            ledger.close();
        }
        let stdout = self.sources.iter().find(|source| source.stream == Stream::Stdout);
        stdout.map_or(Ok(()), |stdout| gate.lift(&stdout.file))
    }

    /// The same for a worker that a prepared process has forked; none where it does not.
    #[cfg(target_os = "linux")]
    pub fn fork(
        prepared: &Prepared,
        command: &Command,
        groups: &'g Groups,
        role: Role,
    ) -> Option<io::Result<Self>> {
        let pipe = || Some(std::io::pipe().ok()?).map(|(ours, its)| (ours.into(), its.into()));
        let pipes: [(OwnedFd, OwnedFd); 3] = [pipe()?, pipe()?, pipe()?];
        let [(channel, its_channel), (stdout, its_stdout), (stderr, its_stderr)] = pipes;
        let descriptors = [its_channel, its_stdout, its_stderr];
        let pid = prepared.fork(command, &channel, descriptors)?;
        let streams = [
            (Stream::Channel, Some(channel)),
            (Stream::Stdout, Some(stdout)),
            (Stream::Stderr, Some(stderr)),
        ];
        Some(Self::new(Process::Forked(pid), streams, None, groups, role))
    }

    /// The channel is read first: what it tells decides whose the other bytes are.
    fn new(
        process: Process,
        streams: [(Stream, Option<OwnedFd>); 3],
        ledger: Option<Ledger>,
        groups: &'g Groups,
        role: Role,
    ) -> io::Result<Self> {
        groups.insert(process.id(), role);
        let pidfd = pidfd(process.pid());
        let mut supervised = Supervised {
            process,
            groups,
            sources: Vec::with_capacity(streams.len()),
            pidfd,
            ledger,
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

    /// Waits for what happens next, at the longest until `until`.
    ///
    /// Neither its end nor a deadline waits for anybody who keeps writing: of what comes after
    /// them nothing is told first.
    pub fn next(&mut self, until: Option<Instant>, buffer: &mut Vec<u8>) -> io::Result<Happening> {
        self.nap();
        loop {
            if std::mem::take(&mut self.lost_channel) {
                self.sources.retain(|source| source.stream != Stream::Channel);
                return Ok(Happening::LostChannel);
            }
            let ready = self.wait(until)?;
            if self.glance() {
                return Ok(Happening::WantsTerminal);
            }
            let had_exited = self.has_exited;
            if ready.has_exited {
                self.has_exited = true;
                self.close_ledger();
            }
            let is_late = !self.has_exited && self.has_passed(until);
            if let Some(stream) = self.read(&ready.readable, is_late, buffer)? {
                return Ok(Happening::Wrote(stream));
            }
            if had_exited && ready.readable.is_empty() {
                if !std::mem::replace(&mut self.is_told, true) {
                    return Ok(Happening::Exited);
                }
                return self.reap().map(Happening::Ended);
            }
            if is_late && self.sources.iter().all(|source| source.before == 0) {
                self.passed = None;
                return Ok(Happening::Nothing);
            }
        }
    }

    /// Whether it is too late for this deadline. What was written before that is noticed still
    /// counts as in time: where the machine is busy, it has waited for us.
    fn has_passed(&mut self, until: Option<Instant>) -> bool {
        let Some(until) = until.filter(|until| clock::now() >= *until) else { return false };
        if self.passed.replace(until) != Some(until) {
            for source in &mut self.sources {
                // Where nobody tells, as much as a pipe holds as a rule.
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

    /// The signal that has stopped it, where it is stopped.
    pub fn stopped_by(&self) -> Option<String> {
        stopped_by(self.process.pid()).map(signal_name)
    }

    /// Whether it, or what it has started, waits for the end of its input.
    pub fn hears_its_input(&self) -> Hearing {
        procfs::hearing(self.process.id())
    }

    /// Its input comes to an end.
    pub fn close_input(&mut self) {
        match &mut self.process {
            Process::Started(child) => drop(child.stdin.take()),
            #[cfg(target_os = "linux")]
            Process::Forked(_) => {}
        }
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: i32) {
        let pid = self.process.pid();
        // SAFETY: the number is the one that the agent has said it listens to; it is below
        // the kernel's highest signal, and any such number may be sent.
        let signal = unsafe { Signal::from_raw_unchecked(signal) };
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Where the process waits for a word before it ends: a pipe of its own, by the number that
    /// it has there. None where nobody can get at it.
    #[cfg(target_os = "linux")]
    pub fn door(&self, descriptor: u32) -> Option<Door> {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        let path = format!("/proc/{}/fd/{descriptor}", self.pid());
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let file = options.write(true).custom_flags(flags).open(path).ok()?;
        let is_pipe = file.metadata().ok()?.file_type().is_fifo();
        let door = is_pipe.then_some(Door(file.into()))?;
        door.knock();
        Some(door)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn door(&self, _descriptor: u32) -> Option<Door> {
        None
    }

    pub fn end(&mut self, how: End) {
        if !self.is_reaped {
            match how {
                End::Terminate => signal_group(self.process.id(), Passed::Terminate),
                End::Kill => kill_group(self.process.id()),
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

    /// How long `poll` may sleep: not at all once the process has ended.
    fn patience(&self, until: Option<Instant>) -> Option<Timespec> {
        let most = match () {
            () if self.has_exited => Duration::ZERO,
            () if self.pidfd.is_none() => TICK,
            () => GLANCE.saturating_sub(self.glanced_at.elapsed()),
        };
        let left = until.map(|until| until.saturating_duration_since(clock::now()));
        Timespec::try_from(left.map_or(most, |left| left.min(most))).ok()
    }

    /// Deals with what no descriptor tells. True once, if it waits for the terminal in vain.
    fn glance(&mut self) -> bool {
        if self.has_exited || self.glanced_at.elapsed() < GLANCE {
            return false;
        }
        self.glanced_at = Instant::now();
        reap_traced(self.process.id());
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
        if !self.lease.as_ref().is_some_and(Lease::is_handed_on) {
            // One that it has and cannot use was taken from it.
            self.lease = None;
            match Lease::give(self.process.pid()) {
                Given::Now(lease) => self.lease = Some(lease),
                Given::Later => return false,
                Given::Not => return !std::mem::replace(&mut self.wants_terminal, true),
            }
        }
        go_on_group(self.process.id());
        false
    }

    #[cfg(not(target_os = "linux"))]
    fn lend_terminal(&mut self) -> bool {
        false
    }

    /// What a person at the terminal has told the process alone, because it had that, and meant
    /// for the run.
    pub fn was_told(&self, status: ExitStatus) -> Option<Passed> {
        use std::os::unix::process::ExitStatusExt;
        match status.signal().filter(|_| self.had_terminal) {
            Some(SIGINT) => Some(Passed::Interrupt),
            Some(SIGQUIT) => Some(Passed::Quit),
            _ => None,
        }
    }

    fn read(
        &mut self,
        readable: &[usize],
        is_late: bool,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Stream>> {
        buffer.clear();
        let awaits_head =
            cfg!(target_os = "linux") && self.ledger.as_ref().is_some_and(Ledger::is_open);
        for at in self.in_order(readable, awaits_head) {
            let source = &mut self.sources[at];
            let is_head = awaits_head && source.stream == Stream::Stdout;
            let limit = match (self.has_exited, is_late) {
                (true, _) => source.allowance,
                (false, true) if source.before == 0 => continue,
                (false, true) => source.before,
                (false, false) if is_head => HEAD_AT_ONCE,
                (false, false) => PIPE_CAPACITY,
            };
            let limit = limit.min(PIPE_CAPACITY);
            match source.file.read(&mut self.room[..limit]) {
                Ok(0) => {
                    let ended = self.sources.remove(at);
                    self.note_end(ended.stream);
                    // The places behind it have moved; the next poll tells them anew.
                    break;
                }
                Ok(count) => {
                    buffer.extend_from_slice(&self.room[..count]);
                    self.trickled = (count < PIPE_CAPACITY / 2 && !is_head).then(Instant::now);
                    if self.has_exited {
                        source.allowance -= count;
                    }
                    source.before = source.before.saturating_sub(count);
                    let stream = source.stream;
                    if is_head {
                        self.hear_head(buffer);
                    }
                    return Ok(Some(stream));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.before = 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The channel is read first, but for the first line of libtest's report: behind that nobody
    /// but the worker may open the channel.
    fn in_order(&self, readable: &[usize], awaits_head: bool) -> Vec<usize> {
        let mut readable = readable.to_vec();
        if awaits_head {
            readable.sort_by_key(|at| self.sources[*at].stream != Stream::Stdout);
        }
        readable
    }

    fn hear_head(&mut self, printed: &[u8]) {
        if self.ledger.as_mut().is_some_and(|ledger| ledger.hears_the_head(printed)) {
            self.close_ledger();
        }
    }

    /// libtest has opened its log, or never will. Where another process may have opened it too,
    /// nothing that came through it proves anything.
    fn close_ledger(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        if !ledger.is_open() {
            return;
        }
        ledger.close();
        if cfg!(not(target_os = "linux")) {
            // There the worker has inherited it, and the pipe has no end while we have it.
            self.ledger = None;
            return;
        }
        let channel = self.sources.iter().find(|source| source.stream == Stream::Channel);
        let is_lost =
            |channel: &Source| !no_agent_log::is_workers_alone(self.process.id(), &channel.file);
        self.lost_channel |= channel.is_some_and(is_lost);
    }

    /// libtest closes its log when it has told all of its tests. Before that a test has closed
    /// it, and what it is told by next may be a file of somebody else's.
    fn note_end(&mut self, stream: Stream) {
        let is_ledger = stream == Stream::Channel && self.ledger.is_some();
        self.lost_channel |= is_ledger && procfs::has_descriptors(self.process.id());
    }

    /// Where bytes come in drops, several are waited for: being woken for each would cost as
    /// much as a tiny test. The end of the process is noticed at once all the same.
    fn nap(&mut self) {
        const NAP: Duration = Duration::from_millis(1);
        let is_trickling = self.trickled.take().is_some_and(|at| at.elapsed() < NAP);
        if self.has_exited || !is_trickling {
            return;
        }
        let patience = Timespec::try_from(NAP).ok();
        // Whatever comes of it, the next poll tells.
        let _ = match &self.pidfd {
            Some(pidfd) => poll(&mut [PollFd::new(pidfd, PollFlags::IN)], patience.as_ref()),
            None => poll(&mut [], patience.as_ref()),
        };
    }

    /// The leader of the group has ended but is not reaped yet, so its number is still its
    /// own, and what is left of its group can be ended safely.
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

    /// Whether the process has ended, without reaping it.
    fn is_zombie(&self) -> bool {
        has_ended(self.process.id())
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        if !self.is_reaped {
            kill_group(self.process.id());
            self.groups.remove(self.process.id());
            while !has_ended(self.process.id()) {
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

fn before_exec(parent: u32, inherited: Option<i32>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let _ = inherited;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above: then nobody would end us.
        let is_orphan =
            rustix::process::getppid().is_none_or(|pid| pid.as_raw_pid() as u32 != parent);
        if is_orphan {
            return Err(io::ErrorKind::NotConnected.into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = parent;
        if let Some(fd) = inherited {
            // SAFETY: the descriptor is owned by the parent's `Wire`, of which this
            // forked child has a copy until exec.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    // Absent before Linux 5.3 and in some sandboxes: then `TICK` serves.
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_pid: Pid) -> Option<OwnedFd> {
    None
}

pub fn kill_group(pid: u32) {
    send(pid, Signal::KILL);
}

pub fn stop_group(pid: u32) {
    send(pid, Signal::STOP);
}

pub fn go_on_group(pid: u32) {
    send(pid, Signal::CONT);
}

pub fn signal_group(pid: u32, signal: Passed) {
    send(
        pid,
        match signal {
            Passed::Interrupt => Signal::INT,
            Passed::Terminate => Signal::TERM,
            Passed::HangUp => Signal::HUP,
            Passed::Quit => Signal::QUIT,
        },
    );
    // A stopped process takes its signal only when it goes on.
    send(pid, Signal::CONT);
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // ESRCH: nobody is left in the group, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// Asks them to end.
pub fn end_tree(pid: u32) {
    signal_tree(pid, Signal::TERM);
}

pub fn stop_tree(pid: u32) {
    signal_tree(pid, Signal::STOP);
}

pub fn go_on_tree(pid: u32) {
    signal_tree(pid, Signal::CONT);
}

/// The youngest first, so that none is left without its parent while it is looked for.
fn signal_tree(pid: u32, signal: Signal) {
    for child in procfs::children_of(&pid.to_string()) {
        signal_tree(child, signal);
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, signal);
}

pub fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// Whether a child of ours has ended, reaped or not.
pub fn has_ended(pid: u32) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // An error says that it is no child any more.
    pid.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
}

/// The signal that has stopped a child of ours; none where it is not stopped.
fn stopped_by(pid: Pid) -> Option<i32> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).ok()??.stopping_signal()
}

/// Ends some of our children, and waits until they are gone.
pub fn end_all(children: &[u32]) {
    use rustix::process::{WaitOptions, kill_process, waitpid};
    let pids = children.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    let pids: Vec<Pid> = pids.collect();
    for pid in &pids {
        // It may have ended by itself.
        let _ = kill_process(*pid, Signal::KILL);
    }
    for pid in pids {
        while let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG) {
            reap_traced(pid.as_raw_pid().unsigned_abs());
            std::thread::sleep(SOON);
        }
    }
}

/// A thread may make its parent its tracer (ptrace(2), PTRACE_TRACEME): that is us. Then it stays
/// when it has ended, and its process with it, until we have waited for the thread too.
#[cfg(target_os = "linux")]
fn reap_traced(pid: u32) {
    use rustix::process::{WaitOptions, waitpid};
    /// Also for threads (`__WALL` of waitpid(2)).
    const ALL: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);
    for thread in procfs::threads_of_ended(pid) {
        let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
        // An error says that it is not ours to wait for.
        let _ = waitpid(thread, ALL | WaitOptions::NOHANG);
    }
}

#[cfg(not(target_os = "linux"))]
fn reap_traced(_pid: u32) {}

/// The processes whose parent we are, by birth or by adoption.
#[cfg(target_os = "linux")]
pub fn children() -> Vec<u32> {
    procfs::children_of("self")
}

/// The priority of a process's input and output (ioprio_get(2)), which no file tells.
#[cfg(target_os = "linux")]
pub fn io_priority(pid: u32) -> Option<u32> {
    use std::ffi::{c_int, c_long};
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    const IOPRIO_WHO_PROCESS: c_int = 1;
    let number: c_long = match std::env::consts::ARCH {
        "x86_64" => 252,
        "aarch64" => 31,
        // There is no agent that would set it.
        _ => return None,
    };
    let pid = c_int::try_from(pid).ok()?;
    // SAFETY: libc's function; the call of that number takes two numbers and touches no memory.
    let priority = unsafe { syscall(number, IOPRIO_WHO_PROCESS, pid) };
    u32::try_from(priority).ok()
}

#[cfg(not(target_os = "linux"))]
pub fn io_priority(_pid: u32) -> Option<u32> {
    None
}

/// From now on, processes that lose their parent become our children instead of init's.
///
/// Called after the build: what cargo leaves running by design (a compiler cache's server)
/// is none of ours.
#[cfg(target_os = "linux")]
pub fn adopt_strays() {
    // Refused only by kernels before 3.4; then strays are init's, as without us.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
pub fn adopt_strays() {}

/// Bounds the memory that a process may write to. Its address space is not bounded: allocators
/// and threads reserve much more of that than they ever use.
pub fn limit_memory(command: &mut Command, bytes: u64) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let set = move || setrlimit(Resource::Data, limit).map_err(io::Error::from);
    // SAFETY: between fork and exec only `setrlimit` is called, a plain system call.
    unsafe { command.pre_exec(set) };
}

/// Starts a process that outlives us: in a session of its own, so that no signal for us
/// reaches it.
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    let detach = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec only `setsid` is called, a plain system call.
    unsafe { command.pre_exec(detach) };
    command.spawn()
}

/// Asks a process that is no child of ours to end.
pub fn ask_to_end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}

/// Ends every process that came home, and those that come home because of that; but not those
/// that are to stay.
///
/// Returns how many there were.
#[cfg(target_os = "linux")]
pub fn end_strays(but: &[u32]) -> usize {
    use rustix::process::{WaitOptions, wait};
    let mut ended = 0;
    loop {
        // Those that have ended by themselves were not left behind, only not waited for.
        let nothing_more = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                nothing_more => break nothing_more,
            }
        };
        if nothing_more.is_err_and(|error| error == Errno::CHILD) {
            return ended;
        }
        let mut strays = children();
        strays.retain(|pid| !but.contains(pid));
        if strays.is_empty() {
            return ended;
        }
        // Their own children come home now, and are the next round's.
        end_all(&strays);
        ended += strays.len();
    }
}

#[cfg(not(target_os = "linux"))]
pub fn end_strays(_but: &[u32]) -> usize {
    0
}
