//! The build of the test binaries.

use std::io::BufReader;
use std::sync::mpsc::{Receiver, channel};

use cargo_metadata::Message;

use super::build_stderr::BuildStderr;
use super::command;
use super::rustdoc;
use crate::cli::settings::Settings;
use crate::error::{Error, Result};
use crate::process::platform::{self, BuildProcess};

/// A running `cargo test --no-run`.
pub struct Build {
    pub cargo: BuildProcess,
    /// Disconnected when cargo has closed its output, which it does when it exits.
    pub messages: Receiver<Message>,
    /// None if the build writes to ours.
    pub stderr: Option<BuildStderr>,
}

impl Build {
    /// With `beside_tests`, the processes that the build leaves running are kept apart from those
    /// that tests start meanwhile.
    pub fn start(settings: &Settings, beside_tests: bool) -> Result<Build> {
        let mut command = command::build(settings);
        if settings.cargo.doctests.doc {
            let stand_in = rustdoc::stand_in(&mut command, &settings.cargo_config);
            stand_in.map_err(|source| Error::Start { program: "rustdoc".into(), source })?;
        }
        let is_piped = command::is_stderr_piped(settings);
        let stderr = is_piped.then(|| BuildStderr::pipe(&mut command)).transpose()?;
        let program = command.get_program().to_string_lossy().into_owned();
        let started = match beside_tests {
            true => BuildProcess::spawn(command),
            false => BuildProcess::spawn_without_subreaper(command),
        };
        let (mut cargo, stdout) = started.map_err(|source| Error::Start { program, source })?;
        let stdout = stdout.ok_or(Error::Build { errors: Vec::new() })?;
        let (sender, receiver) = channel();
        let read = move || {
            // Lines that are no messages come from build scripts or wrappers. The receiver is gone
            // when the build has been given up.
            let messages = Message::parse_stream(BufReader::new(stdout)).flatten();
            messages.map_while(|message| sender.send(message).ok()).for_each(drop);
        };
        let reader = std::thread::Builder::new().name("cargo".into()).spawn(read);
        match reader {
            Ok(_) => Ok(Build { cargo, messages: receiver, stderr }),
            Err(error) => {
                platform::terminate_tree(cargo.id());
                // It has been killed; its status says nothing new.
                let _ = cargo.wait();
                cargo.release();
                Err(Error::Thread(error))
            }
        }
    }
}
