//! Without the agent, nothing is compared from test to test.

use std::io;
use std::process::Command;

/// A list that a worker cannot read.
#[derive(Debug)]
pub struct WatchList;

impl WatchList {
    pub fn new(_statics: impl Iterator<Item = (u64, u64)>) -> io::Result<WatchList> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn pass_to(&self, _command: &mut Command) {}
}
