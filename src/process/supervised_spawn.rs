//! How a supervised process is started.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::channel_pipe::{ChannelPipe, WorkerEnd};
use super::child::Process;
use super::event::{Role, Stream};

#[cfg(target_os = "linux")]
use super::fork_server::ForkServer;
use super::held_log::HeldLog;
use super::log_path::LogPath;
#[cfg(target_os = "linux")]
use super::log_path::StdoutGate;
#[cfg(not(target_os = "linux"))]
use super::no_fork_server::ForkServer;
use super::process_groups::ProcessGroups;
use super::spawn::before_exec;
use super::supervised::Supervised;

impl<'g> Supervised<'g> {
    /// Starts the command in a process group of its own, with empty input, and bound to die
    /// with us.
    ///
    /// Must be called from a thread that lives as long as the run: on Linux the parent's
    /// death signal fires when the *thread* that started the process ends.
    pub fn spawn(
        mut command: Command,
        wire: Option<ChannelPipe>,
        groups: &'g ProcessGroups,
        role: Role,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        // The guard or the agent sees to it; without anything to do before exec, std starts the
        // process by `posix_spawn`, which copies nothing of ours.
        let dies_with_us = groups.is_left_to_guard(role)
            || wire.as_ref().is_some_and(|w| w.worker_end == WorkerEnd::Stdin);
        let is_harness = wire.as_ref().is_some_and(ChannelPipe::is_harness_log);
        let (reader, log_path) = match wire {
            Some(ChannelPipe { reader, worker: Some(worker), worker_end: WorkerEnd::Stdin }) => {
                command.stdin(worker);
                (Some(reader), None)
            }
            Some(ChannelPipe { reader, worker_end: WorkerEnd::Kept, .. }) => {
                command.stdin(Stdio::piped());
                (Some(reader), None)
            }
            Some(ChannelPipe { reader, worker, .. }) => (Some(reader), worker.map(LogPath::new)),
            None => (None, None),
        };
        #[cfg(target_os = "linux")]
        let (stdout, gate) = match &log_path {
            Some(log_path) => {
                let (stdout, its_stdout) = std::io::pipe()?;
                let gate = StdoutGate::new(log_path, (!is_harness).then_some(&its_stdout));
                command.stdout(its_stdout);
                (Some(OwnedFd::from(stdout)), gate)
            }
            None => (None, None),
        };
        #[cfg(not(target_os = "linux"))]
        let stdout: Option<OwnedFd> = None;
        if !dies_with_us {
            let inherited = log_path.as_ref().map(LogPath::descriptor);
            let parent = std::process::id();
            // SAFETY: between fork and exec only async-signal-safe calls are made: prctl,
            // getppid and fcntl, each a plain system call; nothing is allocated.
            unsafe { command.pre_exec(move || before_exec(parent, inherited)) };
        }
        let _birth = groups.birth();
        let mut child = command.spawn()?;
        // It holds our copy of the worker's end.
        drop(command);
        let streams = [
            (Stream::Channel, reader),
            (Stream::Stdout, stdout.or(child.stdout.take().map(OwnedFd::from))),
            (Stream::Stderr, child.stderr.take().map(OwnedFd::from)),
        ];
        let mut supervised = Self::new(Process::Started(child), streams, log_path, groups, role)?;
        supervised.held_log = is_harness.then(HeldLog::default);
        #[cfg(target_os = "linux")]
        gate.map_or(Ok(()), |gate| supervised.pass(gate))?;
        Ok(supervised)
    }

    /// Waits until libtest has opened its log.
    #[cfg(target_os = "linux")]
    fn pass(&mut self, gate: StdoutGate) -> io::Result<()> {
        let is_opened = gate.wait(self.pidfd.as_ref());
        if let Some(log_path) = self.log_path.as_mut().filter(|_| is_opened) {
            // By the worker alone: none of its tests has begun.
            log_path.close();
        }
        let stdout = self.sources.iter().find(|source| source.stream == Stream::Stdout);
        stdout.map_or(Ok(()), |stdout| gate.lift(&stdout.file))
    }

    /// The same for a worker that a prepared process has forked; none where it does not.
    #[cfg(target_os = "linux")]
    pub fn fork(
        prepared: &ForkServer,
        command: &Command,
        groups: &'g ProcessGroups,
        role: Role,
    ) -> Option<io::Result<Self>> {
        let pipe = || Some(std::io::pipe().ok()?).map(|(ours, its)| (ours.into(), its.into()));
        let pipes: [(OwnedFd, OwnedFd); 3] = [pipe()?, pipe()?, pipe()?];
        let [(channel, its_channel), (stdout, its_stdout), (stderr, its_stderr)] = pipes;
        let descriptors = [its_channel, its_stdout, its_stderr];
        let _birth = groups.birth();
        let pid = prepared.fork(command, &channel, descriptors)?;
        let streams = [
            (Stream::Channel, Some(channel)),
            (Stream::Stdout, Some(stdout)),
            (Stream::Stderr, Some(stderr)),
        ];
        Some(Self::new(Process::Forked(pid), streams, None, groups, role))
    }

    #[cfg(not(target_os = "linux"))]
    pub fn fork(
        prepared: &ForkServer,
        _command: &Command,
        _groups: &'g ProcessGroups,
        _role: Role,
    ) -> Option<io::Result<Self>> {
        match *prepared {}
    }
}
