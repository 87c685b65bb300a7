//! Supervision by threads: one for each stream, and one look at the process now and then.
//!
//! Not responsible for process groups: what a worker leaves behind is not found here.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{End, Groups, Happening, Role, Stream};
use crate::clock;

/// How often the end of the process is looked for.
const TICK: Duration = Duration::from_millis(10);

pub struct Supervised<'g> {
    child: Child,
    groups: &'g Groups,
    chunks: Receiver<Chunk>,
}

type Chunk = (Stream, Vec<u8>);

/// libtest can write its log to a file only, where there is no `/dev/fd`: nothing here, so
/// every test is judged by exit code.
#[cfg(not(unix))]
pub struct Wire(Sender<Chunk>, Receiver<Chunk>);

/// The way to whoever supervises a process: what is sent wakes them.
#[cfg(not(unix))]
pub struct Orders(Sender<Chunk>);

#[cfg(not(unix))]
impl Orders {
    pub fn send(&self) {
        // Nobody supervises it any more.
        let _ = self.0.send((Stream::Channel, Vec::new()));
    }
}

#[cfg(not(unix))]
impl Wire {
    /// A way for orders to the supervisor of a process.
    pub fn orders() -> io::Result<(Wire, Orders)> {
        let (sender, chunks) = channel();
        Ok((Wire(sender.clone(), chunks), Orders(sender)))
    }

    pub fn ledger_pipe() -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn agent_pipe() -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn path(&self) -> String {
        String::new()
    }
}

/// Nothing here tells which processes a worker left behind.
#[cfg(not(unix))]
pub fn adopt_strays() {}

#[cfg(not(unix))]
pub fn io_priority(_pid: u32) -> Option<u32> {
    None
}

#[cfg(not(unix))]
pub fn end_all(_children: &[u32]) {}

#[cfg(not(unix))]
pub fn end_strays(_but: &[u32]) -> usize {
    0
}

#[cfg(not(unix))]
pub fn spawn_detached(_command: Command) -> io::Result<Child> {
    Err(io::Error::other("fixtures stay up on Unix systems only"))
}

/// There is no such bound here: the tests run without it.
#[cfg(not(unix))]
pub fn limit_memory(_command: &mut Command, _bytes: u64) {}

#[cfg(not(unix))]
pub fn ask_to_end(_pid: u32) {}

/// Whether a child has ended cannot be asked by its number.
#[cfg(not(unix))]
pub fn has_ended(_pid: u32) -> bool {
    false
}

#[cfg(not(unix))]
fn ends_of(wire: Option<Wire>) -> (Sender<Chunk>, Receiver<Chunk>) {
    wire.map_or_else(channel, |Wire(sender, chunks)| (sender, chunks))
}

#[cfg(unix)]
use super::unix::Wire;

#[cfg(unix)]
fn ends_of(_wire: Option<Wire>) -> (Sender<Chunk>, Receiver<Chunk>) {
    channel()
}

impl<'g> Supervised<'g> {
    pub fn spawn(
        mut command: Command,
        wire: Option<Wire>,
        groups: &'g Groups,
        role: Role,
    ) -> io::Result<Self> {
        // Only a fixture is told something by the end of its input.
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
        Ok(Supervised { child, groups, chunks })
    }

    pub fn next(&mut self, until: Option<Instant>, buffer: &mut Vec<u8>) -> io::Result<Happening> {
        loop {
            match self.chunks.recv_timeout(TICK) {
                Ok((stream, bytes)) => {
                    *buffer = bytes;
                    return Ok(Happening::Wrote(stream));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    self.groups.remove(self.child.id());
                    return Ok(Happening::Ended(status));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                if let Ok((stream, bytes)) = self.chunks.try_recv() {
                    *buffer = bytes;
                    return Ok(Happening::Wrote(stream));
                }
                self.groups.remove(self.child.id());
                return Ok(Happening::Ended(status));
            }
            if until.is_some_and(|until| clock::now() >= until) {
                return Ok(Happening::Nothing);
            }
        }
    }

    #[cfg(not(unix))]
    pub fn hears_its_input(&self) -> super::Hearing {
        super::Hearing::Unknown
    }

    #[cfg(not(unix))]
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    #[cfg(not(unix))]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nobody listens: there is no agent here.
    #[cfg(not(unix))]
    pub fn signal(&self, _signal: i32) {}

    pub fn end(&mut self, _how: End) {
        // It may have ended by itself just now.
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
            if to.send((stream, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
}
