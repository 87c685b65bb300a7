//! A fork server: a process of a test binary that is loaded, and stopped before any code of the
//! program runs. Workers are forked from it, which saves them the work of the dynamic loader.
//!
//! They are our own children all the same, so that everything about them is as if we had
//! started them. The agent's side, and what a request looks like, is in `agent/fork_server.rs` and
//! `agent/fork_request.rs`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags,
    SocketType, sendmsg, shutdown, socketpair,
};
use rustix::process::{Pid, Signal, kill_process};

use super::child::wait_for;
use super::procfs;

#[path = "../agent/fork_request.rs"]
mod fork_request;

use super::permits::GATE;
use super::use_log::USES;
use fork_request::{DESCRIPTORS, HEADER, LONGEST_REQUEST, REQUESTS};

/// How long a fork server may take to be loaded, and a fork to answer. Loading takes some
/// milliseconds; a process that takes this long hangs, and would hang in every worker.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct ForkServer {
    child: Child,
    /// The socket that its forks read requests from.
    requests: OwnedFd,
    /// Set once a request has failed: no further ones are sent.
    is_broken: AtomicBool,
    /// Our environment, which a command's variables are added to.
    environment: BTreeMap<OsString, OsString>,
}

/// The answer of a fork server or of one of its forks.
struct Answer {
    error: u32,
    process: Option<Pid>,
}

impl ForkServer {
    /// Spawns the command, which must load the agent. None if that fails, or if forks of the
    /// process would share anything that separate processes do not.
    ///
    /// Must be called from a thread that lives as long as the run: the forks die with it, as do
    /// processes that it spawns itself.
    pub fn start(mut command: Command) -> Option<ForkServer> {
        let (requests, its) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .ok()?;
        command.stdin(its).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0).env(REQUESTS, "0");
        let child = command.spawn().ok()?;
        // It holds our copy of the server's end.
        drop(command);
        let environment = std::env::vars_os().collect();
        let prepared =
            ForkServer { child, requests, is_broken: AtomicBool::new(false), environment };
        let answer = hear_soon(&prepared.requests);
        let is_ready = answer.is_ok_and(|answer| answer.process == Some(prepared.pid()));
        (is_ready && procfs::is_alone(prepared.child.id(), DESCRIPTORS)).then_some(prepared)
    }

    /// Forks a process that runs the command, with these descriptors as its channel, stdout and
    /// stderr; `channel` is our end of the first. None if that failed, and the command has to be
    /// spawned.
    pub fn fork(
        &self,
        command: &Command,
        channel: &OwnedFd,
        descriptors: [OwnedFd; 3],
    ) -> Option<Pid> {
        let request = self.request(command).filter(|_| !self.is_broken.load(Relaxed))?;
        match ask(&self.requests, &request, &descriptors) {
            Ok(()) => {}
            // It is too long for the socket.
            Err(Errno::MSGSIZE) => return None,
            Err(_) => {
                self.is_broken.store(true, Relaxed);
                return None;
            }
        }
        // Now only the fork that has taken the request holds the other end of the channel.
        drop(descriptors);
        let answer = hear_soon(channel);
        if let Ok(Answer { error: 0, process: Some(process) }) = answer {
            return Some(process);
        }
        self.is_broken.store(true, Relaxed);
        // A fork that has not answered yet finds the channel closed, and exits before its test.
        if let Some(process) = answer.ok().and_then(|answer| answer.process) {
            end(process);
        }
        None
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// None if the request would be too long.
    fn request(&self, command: &Command) -> Option<Vec<u8>> {
        let mut variables: BTreeMap<&OsStr, &OsStr> =
            self.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => drop(variables.insert(name, value)),
                None => drop(variables.remove(name)),
            }
        }
        let mut request = vec![0; HEADER];
        let mut arguments = 0;
        for word in std::iter::once(command.get_program()).chain(command.get_args()) {
            put(&mut request, &[word]);
            arguments += 1;
        }
        let length = request.len() - HEADER;
        let of_agent = [GATE, USES].map(|name| variables.remove(OsStr::new(name)));
        for (name, value) in &variables {
            put(&mut request, &[name, OsStr::new("="), value]);
        }
        let numbers = [arguments, variables.len(), length, request.len() - HEADER - length];
        of_agent.iter().for_each(|value| put(&mut request, &[value.unwrap_or_default()]));
        for (place, number) in request.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&u32::try_from(number).ok()?.to_ne_bytes());
        }
        (request.len() <= LONGEST_REQUEST).then_some(request)
    }
}

impl Drop for ForkServer {
    /// The server exits by itself, and names the forks that were not used: they are our children.
    fn drop(&mut self) {
        let _ = shutdown(&self.requests, Shutdown::Write);
        let mut spares = Vec::new();
        while let Ok(answer) = hear_soon(&self.requests) {
            spares.extend(answer.process);
        }
        end(self.pid());
        spares.into_iter().filter(|spare| *spare != self.pid()).for_each(end);
    }
}

/// Ends a child, and waits for it.
fn end(child: Pid) {
    // It may have ended by itself, and is not waited for yet: its number is still its own.
    let _ = kill_process(child, Signal::KILL);
    let _ = wait_for(child);
}

fn put(request: &mut Vec<u8>, parts: &[&OsStr]) {
    parts.iter().for_each(|part| request.extend_from_slice(part.as_bytes()));
    request.push(0);
}

fn ask(requests: &OwnedFd, request: &[u8], descriptors: &[OwnedFd; 3]) -> rustix::io::Result<()> {
    let descriptors = descriptors.each_ref().map(OwnedFd::as_fd);
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut beside = SendAncillaryBuffer::new(&mut room);
    beside.push(SendAncillaryMessage::ScmRights(&descriptors));
    loop {
        match sendmsg(requests, &[IoSlice::new(request)], &mut beside, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The other side is gone, or does not answer in time.
struct Silence;

/// Waits for an answer, up to the timeout.
fn hear_soon(from: &OwnedFd) -> Result<Answer, Silence> {
    let patience = Timespec::try_from(PATIENCE).ok();
    loop {
        match poll(&mut [PollFd::new(from, PollFlags::IN)], patience.as_ref()) {
            Ok(1..) => return read_answer(from),
            Err(Errno::INTR) => {}
            _ => return Err(Silence),
        }
    }
}

fn read_answer(from: &OwnedFd) -> Result<Answer, Silence> {
    let mut answer = [0; 8];
    loop {
        match rustix::io::read(from, &mut answer) {
            Ok(length) if length == answer.len() => break,
            Err(Errno::INTR) => {}
            _ => return Err(Silence),
        }
    }
    let number = |at: usize| {
        let bytes = answer[at..].first_chunk().copied().unwrap_or_default();
        u32::from_ne_bytes(bytes)
    };
    let process = i32::try_from(number(4)).ok().and_then(Pid::from_raw);
    Ok(Answer { error: number(0), process })
}
