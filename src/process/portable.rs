//! Supervision by threads: one thread for each stream, and polling for the exit.
//!
//! Process groups are not handled here: what a worker leaves running is not found.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::clock;
use super::event::{ProcessEvent, Role, Stream, TerminateMode};
#[cfg(not(unix))]
use super::no_fork_server::ForkServer;
use super::process_groups::ProcessGroups;

/// How often the exit of the process is polled for.
const TICK: Duration = Duration::from_millis(10);

/// What it has written on its way out is read within that time, on a busy machine too. Only who leaves
/// a child with one of the pipes costs all of it: where they are closed, nothing is waited for.
const SOON: Duration = Duration::from_millis(200);

/// How much may still be returned once the process has exited: what its pipes can hold. Anything
/// beyond that comes from another process, which must not keep us waiting.
const ALLOWANCE: usize = 2 * 64 * 1024;

pub struct Supervised<'g> {
    child: Child,
    groups: &'g ProcessGroups,
    chunks: Receiver<Chunk>,
    /// A chunk that was read after the deadline, which is returned first.
    held: Option<Chunk>,
    /// The deadline that has passed, and when we noticed.
    passed: Option<(Instant, Instant)>,
    status: Option<ExitStatus>,
    allowance: usize,
}

struct Chunk {
    stream: Stream,
    bytes: Vec<u8>,
    /// When it was read.
    at: Instant,
}

/// Without `/dev/fd` libtest can write its log only to a file: there is no channel, and each test
/// is judged by its exit code. The pipe only wakes the supervisor.
#[cfg(not(unix))]
pub struct ChannelPipe(Sender<Chunk>, Receiver<Chunk>);

/// Wakes the supervisor of a process.
#[cfg(not(unix))]
pub struct Waker(Sender<Chunk>);

#[cfg(not(unix))]
impl Waker {
    pub fn wake(&self) {
        // Fails if nobody supervises the process any more.
        let chunk = Chunk { stream: Stream::Channel, bytes: Vec::new(), at: Instant::now() };
        let _ = self.0.send(chunk);
    }
}

#[cfg(not(unix))]
impl ChannelPipe {
    /// A pipe that only wakes the supervisor.
    pub fn waker() -> io::Result<(ChannelPipe, Waker)> {
        let (sender, chunks) = channel();
        Ok((ChannelPipe(sender.clone(), chunks), Waker(sender)))
    }

    pub fn for_logfile() -> io::Result<ChannelPipe> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn for_harness_log() -> io::Result<ChannelPipe> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn for_agent() -> io::Result<ChannelPipe> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn logfile_path(&self) -> String {
        String::new()
    }
}

/// What a process waits at before it ends: nothing here does.
#[cfg(not(unix))]
pub enum HeldExit {}

#[cfg(not(unix))]
impl HeldExit {
    /// Lets the process exit.
    pub fn release(self) {
        match self {}
    }
}

#[cfg(not(unix))]
impl<'g> Supervised<'g> {
    pub fn hold_exit(&self, _descriptor: u32) -> Option<HeldExit> {
        None
    }

    pub fn fork(
        prepared: &ForkServer,
        _command: &Command,
        _groups: &'g ProcessGroups,
        _role: Role,
    ) -> Option<io::Result<Self>> {
        match *prepared {}
    }
}

/// Orphans are not found here.
#[cfg(not(unix))]
pub fn become_subreaper() {}

#[cfg(not(unix))]
pub fn kill_and_reap(_children: &[u32]) {}

#[cfg(not(unix))]
pub fn kill_orphans(_but: &[u32]) -> usize {
    0
}

#[cfg(not(unix))]
pub fn spawn_detached(_command: Command) -> io::Result<Child> {
    Err(io::Error::other("keeping fixtures running is not supported on this platform"))
}

/// There is no such limit here: the tests run without it.
#[cfg(not(unix))]
pub fn limit_memory(_command: &mut Command, _bytes: u64) {}

/// Ctrl-C reaches the processes by itself, and nothing else terminates them early.
#[cfg(not(unix))]
pub fn terminate_tree(_pid: u32) {}

#[cfg(not(unix))]
pub fn terminate(_pid: u32) {}

/// Whether a child has exited cannot be found out by its PID.
#[cfg(not(unix))]
pub fn has_exited(_pid: u32) -> bool {
    false
}

#[cfg(not(unix))]
fn ends_of(wire: Option<ChannelPipe>) -> (Sender<Chunk>, Receiver<Chunk>) {
    wire.map_or_else(channel, |ChannelPipe(sender, chunks)| (sender, chunks))
}

#[cfg(unix)]
use super::channel_pipe::ChannelPipe;

#[cfg(unix)]
fn ends_of(_wire: Option<ChannelPipe>) -> (Sender<Chunk>, Receiver<Chunk>) {
    channel()
}

impl<'g> Supervised<'g> {
    pub fn spawn(
        mut command: Command,
        wire: Option<ChannelPipe>,
        groups: &'g ProcessGroups,
        role: Role,
    ) -> io::Result<Self> {
        // Only a fixture is stopped by closing its input.
        let stdin = if role == Role::Fixture { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        groups.insert(child.id(), role);
        let (sender, chunks) = ends_of(wire);
        if let Some(stdout) = child.stdout.take() {
            forward(stdout, Stream::Stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            forward(stderr, Stream::Stderr, sender);
        }
        let (held, passed, status) = (None, None, None);
        let allowance = ALLOWANCE;
        Ok(Supervised { child, groups, chunks, held, passed, status, allowance })
    }

    /// A process that keeps writing delays neither its exit nor a deadline.
    pub fn next(
        &mut self,
        until: Option<Instant>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<ProcessEvent> {
        loop {
            if self.status.is_none() {
                self.status = self.child.try_wait()?;
            }
            let noticed = self.when_passed(until);
            let came = match self.held.take() {
                Some(held) => Ok(held),
                None => self.chunks.recv_timeout(if self.status.is_some() { SOON } else { TICK }),
            };
            match (came, self.status) {
                (Ok(chunk), None) if noticed.is_some_and(|noticed| chunk.at > noticed) => {
                    self.held = Some(chunk);
                    self.passed = None;
                    return Ok(ProcessEvent::DeadlinePassed);
                }
                (Ok(chunk), status) if status.is_none() || self.allowance >= chunk.bytes.len() => {
                    if status.is_some() {
                        self.allowance -= chunk.bytes.len();
                    }
                    *buffer = chunk.bytes;
                    return Ok(ProcessEvent::Output(chunk.stream));
                }
                (_, Some(status)) => {
                    self.groups.remove(self.child.id());
                    return Ok(ProcessEvent::Reaped(status));
                }
                (Err(RecvTimeoutError::Disconnected), None) => {
                    // It has closed its streams, and may go on running.
                    thread::sleep(TICK);
                }
                _ => {}
            }
            if noticed.is_some() {
                self.passed = None;
                return Ok(ProcessEvent::DeadlinePassed);
            }
        }
    }

    /// When we noticed that the deadline has passed. What was read before that is in time.
    fn when_passed(&mut self, until: Option<Instant>) -> Option<Instant> {
        let until = until.filter(|until| clock::now() >= *until)?;
        match self.passed {
            Some((passed, noticed)) if passed == until => Some(noticed),
            _ => Some(self.passed.insert((until, Instant::now())).1),
        }
    }

    #[cfg(not(unix))]
    pub fn waits_for_stdin(&self) -> crate::process::event::StdinWait {
        crate::process::event::StdinWait::Unknown
    }

    #[cfg(not(unix))]
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    #[cfg(not(unix))]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// There is no agent here that would handle it.
    #[cfg(not(unix))]
    pub fn signal(&self, _signal: i32) {}

    /// Not known here.
    #[cfg(not(unix))]
    pub fn stopped_by(&self) -> Option<String> {
        None
    }

    /// A console sends Ctrl-C to every process by itself.
    #[cfg(not(unix))]
    pub fn terminal_signal(
        &self,
        _status: ExitStatus,
    ) -> Option<crate::process::event::ForwardedSignal> {
        None
    }

    pub fn terminate(&mut self, _how: TerminateMode) {
        // It may have exited by itself just now.
        let _ = self.child.kill();
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.groups.remove(self.child.id());
    }
}

fn forward(mut from: impl Read + Send + 'static, stream: Stream, to: Sender<Chunk>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let chunk = Chunk { stream, bytes: buffer[..count].to_vec(), at: Instant::now() };
            if to.send(chunk).is_err() {
                return;
            }
        }
    });
}
