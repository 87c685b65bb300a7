//! The agent as a file that the loader of a worker can open.
//!
//! A sealed in-memory file, opened through our own descriptor: nothing is left behind, and nobody
//! can replace it between writing and loading.

use std::ffi::OsString;
use std::process::Command;

/// The shared object that `build.rs` compiled; empty for targets without an agent.
static AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.so"));

#[derive(Debug)]
pub struct AgentFile {
    path: String,
    /// Keeps the path alive.
    #[cfg(target_os = "linux")]
    _file: std::os::fd::OwnedFd,
}

impl AgentFile {
    /// Whether this platform has an agent.
    pub fn exists() -> bool {
        !AGENT.is_empty()
    }

    /// None if this platform has no agent, or no file can be created for it.
    #[cfg(target_os = "linux")]
    pub fn new() -> Option<AgentFile> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        use std::io::Write;
        use std::os::fd::AsRawFd;
        if !AgentFile::exists() {
            return None;
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("partest-agent", flags).ok()?;
        let mut file = std::fs::File::from(file);
        file.write_all(AGENT).ok()?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).ok()?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        Some(AgentFile { path, _file: file.into() })
    }

    #[cfg(not(target_os = "linux"))]
    pub fn new() -> Option<AgentFile> {
        None
    }

    /// Makes a worker load the agent and use its standard input as the channel.
    pub fn prepare(&self, command: &mut Command) {
        // The worker's standard input is the channel.
        self.preload(command);
        command.env("PARTEST_AGENT_FD", "0");
    }

    /// Makes a process load the agent, before any libraries that the user preloads, here or for the
    /// command. The agent removes its variables before any code of the tests runs.
    pub fn preload(&self, command: &mut Command) {
        const PRELOAD: &str = "LD_PRELOAD";
        let own = command.get_envs().find(|(name, _)| *name == PRELOAD);
        let others = match own {
            Some((_, others)) => others.map(ToOwned::to_owned),
            None => std::env::var_os(PRELOAD),
        };
        let mut preload = OsString::from(&self.path);
        if let Some(others) = others.filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        command.env(PRELOAD, preload);
    }
}
