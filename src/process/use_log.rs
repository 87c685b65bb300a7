//! The log that a worker shares with us: what its tests use outside of their process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

#[path = "../agent/use_log.rs"]
#[allow(dead_code, reason = "the agent appends, and the tests here")]
mod layout;

use crate::frames::kinds::sort;
use crate::model::thing::{Actions, Port, Protocol, Thing, Use};

pub use layout::USES;
use layout::{LOG_LENGTH, LONGEST_TEXT};

/// The log of one worker after the other.
#[derive(Debug)]
pub struct UseLog {
    log: NonNull<layout::UseLog>,
    memory: OwnedFd,
    /// Held while entries are taken.
    reading: Mutex<()>,
}

// SAFETY: the log is used through atomics only, and unmapped when its last user is gone.
unsafe impl Send for UseLog {}
// SAFETY: as above.
unsafe impl Sync for UseLog {}

impl UseLog {
    pub fn new() -> io::Result<UseLog> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("partest-uses", flags)?;
        ftruncate(&memory, LOG_LENGTH as u64)?;
        // A test that shrinks it would kill us by SIGBUS.
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let log =
            unsafe { mmap(null_mut(), LOG_LENGTH, protection, MapFlags::SHARED, &memory, 0) }?;
        let log = NonNull::new(log.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(UseLog { log, memory, reading: Mutex::new(()) })
    }

    /// Passes it to a worker that is about to be started; the one that had it is gone.
    pub fn pass_to(&self, command: &mut Command) {
        self.log().reset();
        let (process, memory) = (std::process::id(), self.memory.as_raw_fd());
        command.env(USES, format!("/proc/{process}/fd/{memory}"));
    }

    /// Takes what has been logged since it was last looked at.
    pub fn take(&self, mut visit: impl FnMut(Use)) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = [0; LONGEST_TEXT];
        // A process that never stops must not keep us for ever.
        for _ in 0..LOG_LENGTH / size_of::<u64>() {
            let Some((entry, text)) = self.log().take(&mut room) else { return };
            if let Some(thing) = thing(entry.sort, text) {
                visit(Use { test: entry.test, actions: Actions(entry.action), thing });
            }
        }
    }

    /// Whether there may be something to take.
    pub fn has_more(&self) -> bool {
        self.log().has_more()
    }

    fn log(&self) -> &layout::UseLog {
        // SAFETY: mapped as long as this is there; all of it is atomic, and zeros are valid.
        unsafe { self.log.as_ref() }
    }
}

impl Drop for UseLog {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing refers to any more.
        let _ = unsafe { munmap(self.log.as_ptr().cast(), LOG_LENGTH) };
    }
}

/// The thing of an entry; none if the agent does not write such texts.
fn thing(sort: u8, text: &[u8]) -> Option<Thing> {
    let name = || String::from_utf8_lossy(text).into_owned();
    Some(match sort {
        sort::PATH => Thing::path(&String::from_utf8_lossy(text)),
        sort::TCP => Thing::Port(Port::read(Protocol::Tcp, text)?),
        sort::UDP => Thing::Port(Port::read(Protocol::Udp, text)?),
        sort::ABSTRACT_SOCKET => Thing::AbstractSocket(name()),
        sort::SHARED_MEMORY => Thing::SharedMemory(name()),
        sort::SEMAPHORE => Thing::Semaphore(name()),
        _ => return None,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::frames::kinds::{action::READ, sort::PATH};
    use layout::Entry;

    /// As the agent does it.
    pub fn append(log: &UseLog, test: u32, text: &str) -> bool {
        log.log().append(Entry { test, action: READ, sort: PATH }, &[text.as_bytes()])
    }

    fn taken(log: &UseLog) -> Vec<(u32, String)> {
        let mut taken = Vec::new();
        log.take(|used| taken.push((used.test, used.thing.to_string())));
        taken
    }

    #[test]
    fn what_is_appended_is_taken_once_and_in_order() {
        let log = UseLog::new().unwrap();
        assert!(!log.has_more());
        for (test, path) in [(1, "/a"), (2, "/seventh"), (3, "/exactly"), (4, "/and/one/more")] {
            assert!(append(&log, test, path));
        }
        assert!(log.has_more());
        let all = [(1, "/a"), (2, "/seventh"), (3, "/exactly"), (4, "/and/one/more")];
        assert_eq!(taken(&log), all.map(|(test, path)| (test, path.to_owned())));
        assert_eq!(taken(&log), []);
    }

    #[test]
    fn a_full_log_refuses_and_has_room_again_once_it_is_read() {
        let log = UseLog::new().unwrap();
        let path = format!("/{}", "x".repeat(1_000));
        let mut total = 0;
        // Several times around the ring.
        for _ in 0..5 {
            let appended = (1..).take_while(|test| append(&log, *test, &path)).count();
            let all = taken(&log);
            assert_eq!(all.len(), appended);
            assert!(all.iter().zip(1..).all(|((test, text), at)| *test == at && *text == path));
            total += appended;
        }
        assert!(total > 1_000, "{total}");
    }

    #[test]
    fn threads_append_side_by_side() {
        const EACH: u32 = 2_000;
        let log = UseLog::new().unwrap();
        let mut texts: Vec<(u32, String)> = std::thread::scope(|threads| {
            let appends = |thread: u32| {
                let log: &layout::UseLog = log.log();
                move || {
                    for at in 0..EACH {
                        let text = format!("/{}", "y".repeat(1 + at as usize % 40));
                        let entry = Entry { test: thread, action: READ, sort: PATH };
                        assert!(log.append(entry, &[b"/x", text.as_bytes()]));
                    }
                }
            };
            let appending: Vec<_> = (1..=3).map(|thread| threads.spawn(appends(thread))).collect();
            appending.into_iter().for_each(|thread| thread.join().unwrap());
            taken(&log)
        });
        texts.sort();
        assert_eq!(texts.len() as u32, 3 * EACH);
        let is_whole = |(_, text): &(u32, String)| text.starts_with("/x/");
        assert!(texts.iter().all(is_whole));
    }

    #[test]
    fn the_next_worker_begins_with_an_empty_log() {
        let log = UseLog::new().unwrap();
        append(&log, 1, "/left/by/the/dead");
        log.pass_to(&mut Command::new("x"));
        assert!(append(&log, 2, "/new"));
        assert_eq!(taken(&log), [(2, "/new".to_owned())]);
    }
}
