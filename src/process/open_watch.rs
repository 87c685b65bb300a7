//! Whether a file has been opened, told by inotify.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// Instances that watch nothing, for the next worker. Closing one takes about 16 ms if it, or another
/// one at the same time, has just lost its watch; a short worker takes less than that.
static IDLE: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Watches for a file being opened.
pub struct OpenWatch {
    /// None only once it is dropped.
    instance: Option<OwnedFd>,
    /// Unique in the instance: an event of an earlier watch does not count.
    watch: i32,
}

impl OpenWatch {
    /// None if the system is out of inotify instances or watches.
    pub fn new(path: &Path) -> Option<OpenWatch> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let instance = idle.or_else(|| inotify::init(flags).ok())?;
        let watch = inotify::add_watch(&instance, path, WatchFlags::OPEN).ok()?;
        Some(OpenWatch { instance: Some(instance), watch })
    }

    /// Waits until the file has been opened, and returns whether it has; not once the process of this
    /// pidfd has exited, and not for longer than `patience`.
    pub fn wait(&self, process: Option<&OwnedFd>, patience: Duration) -> bool {
        let Some(instance) = &self.instance else { return false };
        let until = Instant::now() + patience;
        loop {
            let mut fds = vec![PollFd::new(instance, PollFlags::IN)];
            fds.extend(process.map(|process| PollFd::new(process, PollFlags::IN)));
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
            // After an interruption by a signal it counts as not opened.
            let _ = poll(&mut fds, left.as_ref());
            if !fds[0].revents().contains(PollFlags::IN) {
                return false;
            }
            if self.take_events(instance) {
                return true;
            }
        }
    }

    /// Reads all events, and returns whether one of them is ours.
    fn take_events(&self, instance: &OwnedFd) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = Reader::new(instance, &mut buffer);
        let mut is_opened = false;
        while let Ok(event) = reader.next() {
            is_opened |= event.wd() == self.watch && event.events().contains(ReadFlags::OPEN);
        }
        is_opened
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else { return };
        // One that cannot be used again is closed.
        if inotify::remove_watch(&instance, self.watch).is_ok() {
            self.take_events(&instance);
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_told_to_the_watch_of_the_file_alone() {
        let (one, other) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        // Each has the instance of the one before it, unless other tests take that.
        for _ in 0..3 {
            let first = OpenWatch::new(one.path()).unwrap();
            let second = OpenWatch::new(other.path()).unwrap();
            std::fs::File::open(one.path()).unwrap();
            assert!(!second.wait(None, Duration::ZERO));
            assert!(first.wait(None, Duration::from_secs(60)));
            std::fs::File::open(other.path()).unwrap();
            drop(second);
            let third = OpenWatch::new(other.path()).unwrap();
            assert!(!third.wait(None, Duration::ZERO), "that was before it");
        }
    }
}
