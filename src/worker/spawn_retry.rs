//! Room for one more process: where the system has none, because of what the other workers'
//! tests have started, a worker waits for them instead of failing its tests.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::process::clock;
use crate::worker::context::Context;
use crate::worker::inbox::EndCause;
use crate::worker::job::Job;

/// Between two attempts, at first and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// With nothing else running for so long, there will be no more room.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a process was not started.
pub enum SpawnError {
    Failed(io::Error),
    /// The run, or the fixture of its tests, has ended meanwhile.
    Stopped,
}

/// Starts something, again and again as long as there is only no room for it and others may
/// make some.
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
        if context.stopping.load(Ordering::Relaxed) || job.fixture_is_lost.load(Ordering::Relaxed) {
            return Err(SpawnError::Stopped);
        }
        if !is_want_of_room(&error) || clock::since(alone_since) > PATIENCE {
            return Err(SpawnError::Failed(error));
        }
        context.note_unused_number();
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        if !context.running.is_empty() {
            alone_since = clock::now();
        }
    }
}

/// Processes, descriptors or memory that somebody may give back.
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

/// What it means for the batch.
pub fn cause(error: &SpawnError) -> EndCause {
    let SpawnError::Failed(error) = error else { return EndCause::Stopped };
    match error.kind() {
        // A platform without pipes that have a path.
        std::io::ErrorKind::Unsupported => EndCause::NoChannel,
        _ => EndCause::NotStarted(error.to_string()),
    }
}
