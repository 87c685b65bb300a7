//! Output on stdout, and colors.

use std::io::{self, Write};

use crate::cli::settings::{Settings, Verbosity};
use crate::error::{Error, Result};
use crate::model::printable::{printable, printable_in_color};

/// Writes a result to stdout and flushes it.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Ignores a closed pipe, whose reader has seen enough. Other errors lose output, as on a full disk.
pub fn unless_closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Result(error)),
        _ => Ok(()),
    }
}

/// The styles of one stream: colored, or plain.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn style(self, style: console::Style, text: &str) -> String {
        match text.is_empty() {
            true => String::new(),
            false => style.force_styling(self.0).apply_to(text).to_string(),
        }
    }

    /// What a terminal may get of a text with these styles: names in it may be anybody's.
    pub fn printable(self, text: &str) -> String {
        match self.0 {
            true => printable_in_color(text.as_bytes()),
            false => printable(text.as_bytes()),
        }
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

    pub fn place(self, text: &str) -> String {
        self.style(console::Style::new().cyan(), text)
    }

    pub fn removed(self, text: &str) -> String {
        self.style(console::Style::new().red(), text)
    }

    pub fn removed_word(self, text: &str) -> String {
        self.style(console::Style::new().red().bold().underlined(), text)
    }

    pub fn added(self, text: &str) -> String {
        self.style(console::Style::new().green(), text)
    }

    pub fn added_word(self, text: &str) -> String {
        self.style(console::Style::new().green().bold().underlined(), text)
    }

    pub fn faint(self, text: &str) -> String {
        self.style(console::Style::new().dim(), text)
    }
}

pub fn is_quiet(settings: &Settings) -> bool {
    settings.verbosity == Verbosity::Quiet
}
