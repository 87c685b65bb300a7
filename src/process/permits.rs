//! How many tests of a worker may run at once, in a page of memory that its agent shares.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU32;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;

#[path = "../agent/gate_page.rs"]
#[allow(dead_code, reason = "the agent passes the gate, and the tests here")]
mod gate_page;

pub use gate_page::GATE;
use gate_page::{GatePage, LENGTH};

/// The permits of one worker.
#[derive(Debug)]
pub struct Permits {
    page: NonNull<GatePage>,
    memory: OwnedFd,
}

// SAFETY: the page is used through atomics only, and unmapped when the last user is gone.
unsafe impl Send for Permits {}
// SAFETY: as above.
unsafe impl Sync for Permits {}

impl Permits {
    /// Permits for so many tests at once.
    pub fn new(count: usize) -> io::Result<Permits> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("partest-permits", flags)?;
        ftruncate(&memory, LENGTH as u64)?;
        // A test that shrinks it would kill us by SIGBUS.
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let page = unsafe { mmap(null_mut(), LENGTH, protection, MapFlags::SHARED, &memory, 0) }?;
        let page = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let permits = Permits { page, memory };
        permits.set(count);
        Ok(permits)
    }

    /// Passes them to a worker that is about to be started. None of its tests runs yet.
    pub fn pass_to(&self, command: &mut Command) {
        // The number may have changed since the batch was handed out.
        let count = self.page().reset();
        let (process, memory) = (std::process::id(), self.memory.as_raw_fd());
        command.env(GATE, format!("{count}:/proc/{process}/fd/{memory}"));
    }

    /// Changes their number. More tests may run than that, until some of them have ended.
    pub fn set(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.page().set_permits(count);
        self.page().notify(wake_all);
    }

    /// How many tests run.
    pub fn running(&self) -> usize {
        self.page().running() as usize
    }

    fn page(&self) -> &GatePage {
        // SAFETY: mapped as long as this is there; all of it is atomic, and zeros are valid.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing refers to any more.
        let _ = unsafe { munmap(self.page.as_ptr().cast(), LENGTH) };
    }
}

fn wake_all(word: &AtomicU32) {
    let all = i32::MAX.unsigned_abs();
    // Without threads that sleep there is nothing to do.
    let _ = futex::wake(word, futex::Flags::empty(), all);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// As the agent waits.
    fn enter(page: &GatePage) {
        page.wait(
            || page.enter(0),
            |word, seen| {
                let _ = futex::wait(word, futex::Flags::empty(), seen, None);
            },
        );
    }

    #[test]
    fn no_more_tests_run_than_there_are_permits_and_none_waits_for_ever() {
        const TESTS: usize = 200;
        let permits = Permits::new(1).unwrap();
        let (running, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    while entered.fetch_add(1, SeqCst) < TESTS {
                        enter(permits.page());
                        assert!(running.fetch_add(1, SeqCst) < 3);
                        std::thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                        permits.page().leave();
                        permits.page().notify(wake_all);
                    }
                    is_over.store(true, SeqCst);
                });
            }
            for count in (1..=3).cycle() {
                permits.set(count);
                std::thread::yield_now();
                if is_over.load(SeqCst) {
                    break;
                }
            }
            // Those that still wait go on with what there is.
            permits.set(1);
        });
        assert_eq!(permits.running(), 0);
    }

    #[test]
    fn earlier_tests_have_precedence() {
        let page = GatePage::new(2);
        assert!(!page.enter(2), "both permits are for those before it");
        assert!(page.enter(1) && page.running() == 1);
        assert!(!page.enter(1));
        assert!(page.enter(0) && !page.enter(0));
        page.leave();
        assert!(page.enter(0));
        assert_eq!(page.set_permits(1), 2);
        page.leave();
        assert!(!page.enter(0), "as many run as may");
    }
}
