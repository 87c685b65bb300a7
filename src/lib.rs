//! What tests use besides plain Rust, whether `cargo partest` runs them, `cargo test` or
//! nextest: threads that belong to their test, fixtures that are started once, and the place of
//! a test in the run.
//!
//! Nobody has to: `cargo partest` runs unchanged tests. This library has no dependencies; a
//! crate's tests use it as
//!
//! ```toml
//! [dev-dependencies]
//! partest = { package = "cargo-partest", version = "0.1", default-features = false }
//! ```
//!
//! # Threads
//!
//! A thread that panics fails nobody's test unless somebody joins it, and the end of the process
//! takes along whatever a test has forgotten: Rust never waits for threads, as if all were
//! daemons. So a forgotten thread holds up nothing, and nobody notices it.
//!
//! ```
//! use std::time::Duration;
//!
//! // At the end of the test: fails for threads that panicked, reports those that are alive.
//! let _threads = partest::watch();
//!
//! // Waits for the threads that are started here, and fails if they take longer.
//! partest::join_threads(Duration::from_secs(5), || {
//!     partest::spawn(|| assert_eq!(6 * 7, 42));
//! });
//!
//! // This test's threads, not those that were there before.
//! assert_eq!(partest::active_count(), 0);
//! ```
//!
//! | for | there is |
//! |---|---|
//! | a thread whose panic counts, also if nobody joins it | [`spawn`], [`Builder`] |
//! | an expected panic, without output and without failure | [`Builder::silent`] |
//! | a failure by threads, and a report on those left behind, under plain `cargo test` | [`watch`], with wording and sink: [`Watch::format`], [`Watch::sink`] |
//! | waiting for threads | [`join_threads`], [`ThreadJoiner`] |
//! | counting threads | [`active`], [`active_count`], [`sees_every_thread`] |
//!
//! # Fixtures
//!
//! [`fixture!`] declares what many tests share, say a server or a database: once, as ordinary
//! Rust. `cargo partest` starts it once for the whole run, in a process of its own; under
//! `cargo test` each test binary starts its own when a test first asks for it.
//!
//! ```no_run
//! partest::fixture! {
//!     /// The server that all tests here talk to.
//!     static SERVER = fn server(setup) {
//!         let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//!         setup.set("SERVER_ADDR", listener.local_addr().unwrap());
//!         std::thread::spawn(move || for _client in listener.incoming() {});
//!         setup.ready();
//!         setup.wait();
//!         // Whatever is to be taken down goes here.
//!     }
//! }
//!
//! #[test]
//! fn answers() {
//!     let address: std::net::SocketAddr = SERVER.get("SERVER_ADDR");
//!     std::net::TcpStream::connect(address).unwrap();
//! }
//! # fn main() {}
//! ```
//!
//! # The run
//!
//! [`is_active`], [`run_id`], [`slot`] and [`worker`] tell where in a run a test stands, to choose
//! a port or a database by it.

#![forbid(unsafe_code)]

mod library;

use std::env;

pub use library::fixture::{Setup, Shared};
pub use library::joiner::{StillAlive, ThreadJoiner, join_threads};
pub use library::owner::{active, active_count, sees_every_thread};
pub use library::spawn::{Builder, JoinHandle, spawn};
pub use library::threads::ThreadInfo;
pub use library::watch::{LeftBehind, Watch, watch};

/// Whether this process was started by `cargo partest`.
///
/// ```
/// let patience = if partest::is_active() { 30 } else { 300 };
/// # let _ = patience;
/// ```
pub fn is_active() -> bool {
    env::var_os("PARTEST").is_some_and(|value| value == "1")
}

/// The id of the run, the same in all of its workers, or `None` outside of one.
///
/// ```
/// let schema = match partest::run_id() {
///     Some(run) => format!("test_{run}"),
///     None => "test".to_owned(),
/// };
/// # assert!(schema.starts_with("test"));
/// ```
pub fn run_id() -> Option<String> {
    env::var("PARTEST_RUN_ID").ok()
}

/// The slot of this worker, from 0 to one less than the run's `-j`, or `None`
/// outside of a run.
///
/// No two workers that live at the same time have the same slot, so it is a safe
/// way to share out ports, databases or directories.
///
/// ```
/// let database = format!("test_{}", partest::slot().unwrap_or(0));
/// # assert!(database.starts_with("test_"));
/// ```
pub fn slot() -> Option<usize> {
    env::var("PARTEST_SLOT").ok()?.parse().ok()
}

/// The number of this worker, unique in its run, or `None` outside of a run.
///
/// ```
/// let log = format!("worker-{}.log", partest::worker().unwrap_or(0));
/// # assert!(log.ends_with(".log"));
/// ```
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
