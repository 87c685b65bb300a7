//! Directories of one run: each is locked for as long as its run goes on, and removed by a later
//! run if its own could not.

use std::fs;
use std::io;
use std::path::Path;

/// How often another directory is made, where a run that removes old ones has taken the new one for
/// one of them.
pub const ATTEMPTS: usize = 10;

/// Holds a directory for as long as its process lives, and those that it has forked.
#[derive(Debug)]
pub struct DirectoryLock(
    #[cfg(unix)]
    #[allow(dead_code, reason = "held")]
    std::os::fd::OwnedFd,
);

impl DirectoryLock {
    /// None where another run has it, or has just removed it.
    #[cfg(unix)]
    pub fn of(directory: &Path) -> io::Result<Option<DirectoryLock>> {
        use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match open(directory, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            file => file?,
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        Ok((fstat(&file)?.st_nlink > 0).then_some(DirectoryLock(file)))
    }

    #[cfg(not(unix))]
    pub fn of(_directory: &Path) -> io::Result<Option<DirectoryLock>> {
        Ok(None)
    }
}

/// Removes the directories in `place` whose names begin like this and whose runs have ended. Those of
/// other users stay, and so does what a link leads to.
pub fn remove_old(place: &Path, prefix: &str) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_of_a_run = entry.file_name().to_string_lossy().starts_with(prefix);
        // What cannot be removed now is found by the next run.
        if is_of_a_run
            && is_ours(&path)
            && let Ok(Some(_lock)) = DirectoryLock::of(&path)
        {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Whether it is a directory of this user: not a link, and not somebody else's, whose it would be to
/// say where our files go.
#[cfg(unix)]
pub fn is_ours(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir() && found.uid() == user)
}

#[cfg(not(unix))]
pub fn is_ours(directory: &Path) -> bool {
    fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir())
}
