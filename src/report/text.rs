//! Text for stdout and for terminals.

use std::io::{self, Write};

use crate::cli::settings::{Settings, Verbosity};
use crate::error::{Error, Result};

/// Writes a result and says whether somebody still reads it.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A closed pipe has seen enough; a full disk has lost what somebody wanted to keep.
pub fn unless_closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Result(error)),
        _ => Ok(()),
    }
}

/// Styles for one stream: colored, or plain.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn style(self, style: console::Style, text: &str) -> String {
        style.force_styling(self.0).apply_to(text).to_string()
    }

    pub fn good(self, text: &str) -> String {
        self.style(console::Style::new().green().bold(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.style(console::Style::new().red().bold(), text)
    }

    pub fn warn(self, text: &str) -> String {
        self.style(console::Style::new().yellow().bold(), text)
    }

    pub fn strong(self, text: &str) -> String {
        self.style(console::Style::new().bold(), text)
    }

    pub fn faint(self, text: &str) -> String {
        self.style(console::Style::new().dim(), text)
    }
}

pub fn is_quiet(settings: &Settings) -> bool {
    settings.verbosity == Verbosity::Quiet
}
