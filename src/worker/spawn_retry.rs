//! Retries a spawn that fails for want of processes, descriptors or memory: tests of other workers
//! may have used them up, and will give them back.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::process::clock;
use crate::worker::context::Context;
use crate::worker::inbox::EndCause;
use crate::worker::job::Job;

/// The pause between two attempts, at first and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// How long a spawn is retried while no other worker runs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a process was not started.
pub enum SpawnError {
    Failed(io::Error),
    /// The run was stopped, or a fixture of the tests was lost.
    Stopped,
}

/// Calls `attempt` until it succeeds, as long as it fails only for want of resources that others
/// may free.
pub fn start<T>(
    job: &Job,
    context: &Context<'_>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Result<T, SpawnError> {
    let (mut pause, mut alone_since) = (PAUSE, clock::now());
    loop {
        let error = match attempt() {
            Ok(started) => return Ok(started),
            Err(error) => error,
        };
        if context.state.stopping.load(Ordering::Relaxed)
            || job.fixture_is_lost.load(Ordering::Relaxed)
        {
            return Err(SpawnError::Stopped);
        }
        if !is_want_of_room(&error) || clock::since(alone_since) > PATIENCE {
            return Err(SpawnError::Failed(error));
        }
        context.state.note_unused_number();
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        if !context.state.active.is_empty() {
            alone_since = clock::now();
        }
    }
}

/// Whether the error is about processes, descriptors or memory, which others may free.
#[cfg(unix)]
fn is_want_of_room(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let wanting = [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    wanting.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_want_of_room(_error: &io::Error) -> bool {
    false
}

/// The end of a batch whose process could not be started.
pub fn cause(error: &SpawnError) -> EndCause {
    let SpawnError::Failed(error) = error else { return EndCause::Stopped };
    match error.kind() {
        // A platform without pipes that have a path.
        std::io::ErrorKind::Unsupported => EndCause::NoChannel,
        _ => EndCause::NotStarted(error.to_string()),
    }
}
