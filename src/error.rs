//! Errors that keep the runner from doing its job, and the exit codes. The result of a test is an
//! `Outcome`, never an error.

use std::path::PathBuf;

/// The exit codes of the command (docs/json-and-exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    Error = 1,
    Usage = 2,
    NoTests = 4,
    TestFailed = 100,
    BuildFailed = 101,
    DeniedLeak = 102,
    FixtureFailed = 105,
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

/// A mistake in what the user has written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// `Cargo.toml:9:1`; none on the command line.
    pub place: Option<String>,
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where there are mistakes with places, diagnostics have already been printed for them.
    #[error("{text}")]
    Metadata { text: String, mistakes: Vec<Mistake> },
    /// cargo has already printed the cause.
    #[error("the build failed")]
    Build {
        /// cargo's last errors, for a report that is read without stderr.
        errors: Vec<String>,
    },
    #[error("{0}")]
    Cargo(String),
    #[error("cannot start `{program}`: {source}{hint}", hint = start_hint(program, source))]
    Start { program: String, source: std::io::Error },
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// An archive that cannot be written or run.
    #[error("archive `{path}`: {why}")]
    Archive { path: PathBuf, why: String },
    #[error("cannot write the durations to `{path}`: {source}")]
    Durations { path: PathBuf, source: std::io::Error },
    #[error("cannot add lines to `{path}`: {source}")]
    Manifest { path: PathBuf, source: std::io::Error },
    #[error("cannot start a thread: {}{}", .0, hint(.0))]
    Thread(std::io::Error),
    #[error(
        "cannot start {slots} threads, one for each slot: {source}; use fewer slots (`-j`); `ulimit -u` shows the limit on processes and threads"
    )]
    Pool { slots: usize, source: rayon::ThreadPoolBuildError },
    #[error("cannot listen for signals: {}{}", .0, hint(.0))]
    Signals(std::io::Error),
    #[error("cannot merge these results:{}", listed(.problems))]
    Merge { problems: Vec<String> },
    #[error("cannot write into the temporary directory: {}{}", .0, hint(.0))]
    Scratch(std::io::Error),
    #[error("cannot stop a fixture: {0}")]
    Fixture(String),
    /// Tests that are examined cannot run without it.
    #[error("{0}")]
    FixtureLost(String),
    #[error("{0}")]
    NoTests(String),
    #[error("cannot write the result to stdout: {0}")]
    Result(std::io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("internal error: {thread} panicked: {why}; please report it")]
    Internal { thread: String, why: String },
}

/// The same for a program, which may not be there.
fn start_hint(program: &str, error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound if program == "cargo" => {
            "; install Rust, or add the directory of `cargo` to PATH"
        }
        _ => hint(error),
    }
}

/// A hint for errors that are caused by a resource limit.
fn hint(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        #[cfg(unix)]
        Some(code) if code == rustix::io::Errno::AGAIN.raw_os_error() => {
            "; `ulimit -u` shows the limit on processes and threads"
        }
        #[cfg(unix)]
        Some(code) if code == rustix::io::Errno::MFILE.raw_os_error() => {
            "; `ulimit -n` shows the limit on open files"
        }
        _ => "",
    }
}

fn listed(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// The message of a panic.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "unknown cause".to_owned())
}

impl Error {
    /// A mistake that has no place in a manifest.
    pub fn usage(text: String) -> Error {
        let mistake = Mistake { place: None, message: text.clone(), help: None };
        Error::Metadata { text, mistakes: vec![mistake] }
    }

    /// The same, with what to write instead.
    pub fn usage_with_help(message: String, help: String) -> Error {
        let text = format!("{message}; {help}");
        Error::Metadata { text, mistakes: vec![Mistake { place: None, message, help: Some(help) }] }
    }

    /// A thread of the runner panicked.
    pub fn panicked(thread: &str, panic: &(dyn std::any::Any + Send)) -> Error {
        Error::Internal { thread: thread.to_owned(), why: panic_message(panic) }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Error::Metadata { .. } => Exit::Usage,
            Error::Build { .. } | Error::Cargo(_) => Exit::BuildFailed,
            Error::Interrupted => Exit::Interrupted,
            Error::FixtureLost(_) => Exit::FixtureFailed,
            Error::NoTests(_) => Exit::NoTests,
            _ => Exit::Error,
        }
    }

    /// Whether the cause has been printed already, by cargo or in answer to an interrupt.
    pub fn is_reported(&self) -> bool {
        matches!(self, Error::Build { .. } | Error::Interrupted)
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
