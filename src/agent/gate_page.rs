//! The page that a worker and the runner share: how many tests may run, and how many do. The agent
//! and the runner both compile this file.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// The variable that tells the agent of the page, as `PERMITS:PATH`. It is removed before tests can
/// see it.
pub const GATE: &str = "PARTEST_AGENT_GATE";

pub const LENGTH: usize = 4096;

#[repr(C)]
pub struct GatePage {
    /// Permits in the lower half, running tests in the upper one.
    state: AtomicU64,
    /// Changes whenever waiting threads are to look again.
    wake: AtomicU32,
    waiting: AtomicU32,
}

const RUNNING: u64 = 1 << 32;

const fn permits(state: u64) -> u32 {
    state as u32
}

const fn running(state: u64) -> u32 {
    (state >> 32) as u32
}

impl GatePage {
    pub const fn new(permits: u32) -> GatePage {
        GatePage {
            state: AtomicU64::new(permits as u64),
            wake: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        }
    }

    /// Lets one more test run if there is a permit for it, besides those for `before` others.
    pub fn enter(&self, before: u32) -> bool {
        let may_enter = |state: u64| {
            let used = running(state).saturating_add(before);
            (used < permits(state)).then(|| state + RUNNING)
        };
        self.state.fetch_update(SeqCst, SeqCst, may_enter).is_ok()
    }

    /// A test that has entered has finished.
    pub fn leave(&self) {
        let _ = self.state.fetch_update(SeqCst, SeqCst, |state| state.checked_sub(RUNNING));
    }

    /// Waits until `is_over`, by `wait_while(word, value)`.
    pub fn wait(&self, is_over: impl Fn() -> bool, wait_while: impl Fn(&AtomicU32, u32)) {
        self.waiting.fetch_add(1, SeqCst);
        loop {
            let seen = self.wake.load(SeqCst);
            if is_over() {
                break;
            }
            wait_while(&self.wake, seen);
        }
        self.waiting.fetch_sub(1, SeqCst);
    }

    /// Wakes those that wait, if there are any, by `wake_all(word)`.
    pub fn notify(&self, wake_all: impl Fn(&AtomicU32)) {
        if self.waiting.load(SeqCst) > 0 {
            self.wake.fetch_add(1, SeqCst);
            wake_all(&self.wake);
        }
    }

    /// Sets the number of permits. Returns how many tests run.
    pub fn set_permits(&self, permits: u32) -> u32 {
        let set = |state: u64| Some((state & !(RUNNING - 1)) | u64::from(permits));
        self.state.fetch_update(SeqCst, SeqCst, set).map_or(0, running)
    }

    /// How many tests run.
    pub fn running(&self) -> u32 {
        running(self.state.load(SeqCst))
    }

    /// No test runs: another process begins. Returns the number of permits.
    pub fn reset(&self) -> u32 {
        self.waiting.store(0, SeqCst);
        permits(self.state.fetch_and(RUNNING - 1, SeqCst))
    }
}
