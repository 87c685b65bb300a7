//! A build without a subreaper, as on every system but Linux: no tests run beside it.

use std::io;
use std::process::{Child, ChildStdout, Command, ExitStatus};

#[derive(Debug)]
pub struct BuildProcess(Child);

impl BuildProcess {
    pub fn spawn(mut command: Command) -> io::Result<(BuildProcess, Option<ChildStdout>)> {
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        Ok((BuildProcess(child), stdout))
    }

    pub fn spawn_without_subreaper(
        command: Command,
    ) -> io::Result<(BuildProcess, Option<ChildStdout>)> {
        BuildProcess::spawn(command)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn subreaper(&self) -> Option<u32> {
        None
    }

    pub fn left_running(&self) -> Vec<u32> {
        Vec::new()
    }

    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }

    pub fn release(self) {}
}
