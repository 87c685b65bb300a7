//! What a test can learn from `cargo partest` about the run it is part of.
//!
//! This library has no dependencies; a crate's tests use it as
//!
//! ```toml
//! [dev-dependencies]
//! partest = { package = "cargo-partest", version = "0.1", default-features = false }
//! ```
//!
//! Nobody has to: `cargo partest` runs unchanged tests. It is for the test that
//! wants to know which of the run's slots it has been given, to choose a port or
//! a database by it.

use std::env;

/// Whether this process was started by `cargo partest`.
pub fn is_active() -> bool {
    env::var_os("PARTEST").is_some_and(|value| value == "1")
}

/// The id of the run, the same in all of its workers, or `None` outside of one.
pub fn run_id() -> Option<String> {
    env::var("PARTEST_RUN_ID").ok()
}

/// The slot of this worker, from 0 to one less than the run's `-j`, or `None`
/// outside of a run.
///
/// No two workers that live at the same time have the same slot, so it is a safe
/// way to share out ports, databases or directories.
pub fn slot() -> Option<usize> {
    env::var("PARTEST_SLOT").ok()?.parse().ok()
}

/// The number of this worker, unique in its run, or `None` outside of a run.
pub fn worker() -> Option<u64> {
    env::var("PARTEST_WORKER").ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn slot_and_worker_are_told_exactly_when_a_run_is_on() {
        assert_eq!(super::slot().is_some(), super::is_active());
        assert_eq!(super::worker().is_some(), super::is_active());
        assert_eq!(super::run_id().is_some(), super::is_active());
    }
}
