//! Handing the terminal over to another program for good.

use std::io;
use std::process::{Command, ExitStatus};

/// Puts the program in the place of this process, so that it has its terminal, its process group and
/// its exit code; returns only if that fails.
#[cfg(unix)]
pub fn exec(mut command: Command) -> io::Result<ExitStatus> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

/// Runs the program with the console, where a process cannot be replaced.
#[cfg(not(unix))]
pub fn exec(mut command: Command) -> io::Result<ExitStatus> {
    command.status()
}
