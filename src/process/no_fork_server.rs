//! Where no process can be prepared, because there is no agent: all are started.

use std::process::Command;

pub enum ForkServer {}

impl ForkServer {
    pub fn start(_command: Command) -> Option<ForkServer> {
        None
    }
}
