//! Warnings and errors that are printed at once, outside of a report.

use super::messages;
use super::text::Paint;
use crate::cli::settings::Settings;
use crate::model::printable::printable;
use crate::model::warning::Warning;
use crate::process::stderr::write_line;

/// Prints what was noticed before there was a report, one line for each.
pub fn print_all(warnings: &[Warning], settings: &Settings) {
    for warning in warnings {
        print(&printable(messages::warning(warning).as_bytes()), settings);
    }
}

/// Prints an error that does not end the command.
pub fn print_error(text: &str, settings: &Settings) {
    let word = Paint(settings.color.stderr).bad("error");
    write_line(&format!("{word}: {text}"));
}

/// Prints one line, without regard to `--quiet`.
pub fn print(text: &str, settings: &Settings) {
    let word = Paint(settings.color.stderr).warn("warning");
    write_line(&format!("{word}: {text}"));
}
