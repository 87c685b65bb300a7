//! The list by which workers compare statics from test to test.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

#[path = "../agent/watch_list.rs"]
mod layout;

use layout::{Entry, WATCH};

/// A list that all workers of a binary read.
#[derive(Debug)]
pub struct WatchList(File);

impl WatchList {
    /// Of statics, each by its address in the file and its length.
    pub fn new(statics: impl Iterator<Item = (u64, u64)>) -> io::Result<WatchList> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("partest-watch", flags)?);
        let entries = statics.map(|(address, length)| Entry { address, length }.bytes());
        file.write_all(&entries.flatten().collect::<Vec<u8>>())?;
        // No test may change what others are compared by.
        let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        fcntl_add_seals(&file, all)?;
        Ok(WatchList(file))
    }

    /// Passes it to a worker that is about to be started.
    pub fn pass_to(&self, command: &mut Command) {
        let (process, file) = (std::process::id(), self.0.as_raw_fd());
        command.env(WATCH, format!("/proc/{process}/fd/{file}"));
    }
}
