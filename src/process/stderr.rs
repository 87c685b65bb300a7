//! Lines on stderr, from whichever thread has something to report.

use std::io::{self, IsTerminal, Write};

use crate::model::printable::printable;

/// Writes a line; one that nobody can read any more is no reason to stop.
pub fn write_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether the terminal understands no escape sequences.
pub fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The same where somebody, such as cargo, may be drawing a line of progress in the same place.
pub fn write_line_over_progress(line: &str) {
    write_line(&format!("{}{}", clear(), printable(line.as_bytes())));
}

/// Clears what a process that was ended has left of a line of progress.
pub fn clear_progress() {
    let _ = io::stderr().write_all(clear().as_bytes());
}

/// What clears the line of progress on a terminal.
fn clear() -> &'static str {
    let is_drawn = io::stderr().is_terminal() && !is_dumb_terminal();
    if is_drawn { "\r\u{1b}[J" } else { "" }
}
