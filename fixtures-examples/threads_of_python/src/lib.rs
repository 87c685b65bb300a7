//! The examples of Python's `tl.testing.thread`, in plain Rust: a report on a thread that was left
//! behind, failures of threads collected as failures of their tests, a late one charged to the
//! test that started it, and expected ones silenced.
//!
//! `cargo partest sample_test` passes and reports one thread for two tests. `cargo partest` fails:
//! `late::b_late` and both tests of `collected`, whose modules deny unobserved panics.

#[cfg(test)]
mod sample_test {
    fn wait_for_ever() {
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn leave_behind_a_thread() {
        std::thread::spawn(wait_for_ever);
    }

    #[test]
    fn dont_leave_behind_a_thread() {}
}

#[cfg(test)]
mod late {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    static B_WAITS: AtomicBool = AtomicBool::new(false);
    static C_RUNS: AtomicBool = AtomicBool::new(false);
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);

    #[test]
    fn a_early() {}

    #[test]
    fn b_late() {
        std::thread::spawn(|| {
            while !C_RUNS.load(SeqCst) {
                std::thread::yield_now();
            }
            HAS_FAILED.store(true, SeqCst);
            panic!("just for fun");
        });
        B_WAITS.store(true, SeqCst);
    }

    /// After `b_late`, and in the same process, which its statics see to.
    #[test]
    fn c_runs_meanwhile() {
        C_RUNS.store(true, SeqCst);
        while B_WAITS.load(SeqCst) && !HAS_FAILED.load(SeqCst) {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod collected {
    #[test]
    fn failed_assertions_in_threads_become_test_failures() {
        std::thread::spawn(|| panic!("just for fun"));
    }

    #[test]
    fn unhandled_errors_in_threads_become_test_failures() {
        std::thread::spawn(|| 1 / std::hint::black_box(0));
    }
}

#[cfg(test)]
mod silenced {
    #[test]
    fn expected_errors_in_threads_are_swallowed() {
        std::thread::spawn(|| 1 / std::hint::black_box(0));
    }
}
