//! "We could not do our job", and the exit codes. What a test did is an `Outcome`; the two
//! never mix.

use std::path::PathBuf;

/// How the command ends (docs/json-and-exit-codes.md).
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

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Already told, with its place.
    #[error("{0}")]
    Metadata(String),
    /// cargo has already told why.
    #[error("the build failed")]
    Build,
    #[error("{0}")]
    Cargo(String),
    #[error("cannot start `{program}`: {source}{hint}", hint = hint(source))]
    Start { program: String, source: std::io::Error },
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot start a thread beside cargo: {}{}", .0, hint(.0))]
    Thread(std::io::Error),
    #[error(
        "cannot start {slots} threads for the slots: {source}; `-j1` takes fewer, and `ulimit -u` shows how many processes and threads there may be"
    )]
    Pool { slots: usize, source: rayon::ThreadPoolBuildError },
    #[error("cannot listen for signals: {}{}", .0, hint(.0))]
    Signals(std::io::Error),
    #[error("a fixture cannot be stopped: {0}")]
    Fixture(String),
    #[error("cannot write the result to stdout: {0}")]
    Result(std::io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("internal error: {thread} panicked: {why}; please report it")]
    Internal { thread: String, why: String },
}

/// What to do where the system has no room for one more process or descriptor.
fn hint(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        #[cfg(unix)]
        Some(code) if code == rustix::io::Errno::AGAIN.raw_os_error() => {
            "; `ulimit -u` shows how many processes and threads there may be"
        }
        #[cfg(unix)]
        Some(code) if code == rustix::io::Errno::MFILE.raw_os_error() => {
            "; `ulimit -n` shows how many files may be open"
        }
        _ => "",
    }
}

/// What a panic said.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "nobody knows why".to_owned())
}

impl Error {
    /// A thread of ours is lost.
    pub fn panicked(thread: &str, panic: &(dyn std::any::Any + Send)) -> Error {
        Error::Internal { thread: thread.to_owned(), why: panic_message(panic) }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Error::Metadata(_) => Exit::Usage,
            Error::Build | Error::Cargo(_) => Exit::BuildFailed,
            Error::Interrupted => Exit::Interrupted,
            _ => Exit::Error,
        }
    }

    /// Whether the user has been told already, by cargo or by a rendered mistake.
    pub fn is_reported(&self) -> bool {
        matches!(self, Error::Build | Error::Interrupted)
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
