//! The last event of a JSON stream that ends without `run-finished`.

use serde::Serialize;

use super::json_line::json_line;
use crate::error::{Error, Exit, Mistake};

/// Says why there is no result, or that none was asked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum StreamEnd {
    /// Wrong usage of the command line, or wrong metadata.
    UsageError {
        reason: String,
        errors: Vec<Mistake>,
        exit_code: u8,
    },
    BuildFailed {
        reason: String,
        errors: Vec<String>,
        exit_code: u8,
    },
    /// The user interrupted the run before its first test.
    Interrupted {
        reason: String,
        exit_code: u8,
    },
    /// An error of the runner itself.
    Error {
        reason: String,
        exit_code: u8,
    },
    /// With `--no-run`.
    BuildFinished {
        binaries: usize,
    },
    /// By `archive`.
    ArchiveWritten {
        path: String,
        tests: usize,
        binaries: usize,
        files: usize,
        size: u64,
    },
}

impl StreamEnd {
    pub fn of(error: &Error) -> StreamEnd {
        let (reason, exit_code) = (error.to_string(), error.exit() as u8);
        match error {
            Error::Metadata { mistakes, .. } => {
                StreamEnd::UsageError { reason, errors: mistakes.clone(), exit_code }
            }
            Error::Build { errors } => {
                StreamEnd::BuildFailed { reason, errors: errors.clone(), exit_code }
            }
            Error::Cargo(text) => StreamEnd::BuildFailed {
                reason: Error::Build { errors: Vec::new() }.to_string(),
                errors: vec![text.clone()],
                exit_code,
            },
            Error::Interrupted => StreamEnd::Interrupted { reason, exit_code },
            _ => StreamEnd::Error { reason, exit_code },
        }
    }

    /// A mistake on the command line, which has no place.
    pub fn of_usage(message: String, help: Option<String>) -> StreamEnd {
        let errors = vec![Mistake { place: None, message: message.clone(), help }];
        StreamEnd::UsageError { reason: message, errors, exit_code: Exit::Usage as u8 }
    }

    /// The event as a line.
    pub fn line(&self) -> String {
        json_line(self)
    }
}
