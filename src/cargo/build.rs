//! The running `cargo test --no-run`.

use std::io::BufReader;
use std::sync::mpsc::{Receiver, channel};

use cargo_metadata::Message;

use super::command;
use crate::cli::settings::Settings;
use crate::error::{Error, Result};
use crate::process::platform::{self, Fostered};

/// cargo at work.
pub struct Build {
    pub cargo: Fostered,
    /// What it tells. They end when it has closed its output, which it does at its own end.
    pub news: Receiver<Message>,
}

impl Build {
    /// Where tests may run `beside_tests`, what the build leaves running is told from what they do.
    pub fn start(settings: &Settings, beside_tests: bool) -> Result<Build> {
        let command = command::build(settings);
        let program = command.get_program().to_string_lossy().into_owned();
        let started = match beside_tests {
            true => Fostered::spawn(command),
            false => Fostered::spawn_alone(command),
        };
        let (mut cargo, stdout) = started.map_err(|source| Error::Start { program, source })?;
        let stdout = stdout.ok_or(Error::Build)?;
        let (sender, news) = channel();
        let read = move || {
            // Text that is no message is what a build script or a wrapper printed; nothing of
            // ours. Nobody who listens any more has given the build up.
            let messages = Message::parse_stream(BufReader::new(stdout)).flatten();
            messages.map_while(|message| sender.send(message).ok()).for_each(drop);
        };
        match std::thread::Builder::new().name("cargo".into()).spawn(read) {
            Ok(_) => Ok(Build { cargo, news }),
            Err(error) => {
                platform::end_tree(cargo.id());
                // It has been killed; there is nothing more to learn of it.
                let _ = cargo.wait();
                cargo.release();
                Err(Error::Thread(error))
            }
        }
    }
}
