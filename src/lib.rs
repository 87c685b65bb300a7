//! The library of `cargo partest`: threads that belong to their test, fixtures that are started
//! once and shared by many tests, and where in a run a test stands. It works the same whether
//! `cargo partest`, `cargo test` or nextest runs the tests.
//!
//! Nobody needs it: `cargo partest` runs unchanged tests. It depends on nothing but the standard
//! library, if it is used as
//!
//! ```toml
//! [dev-dependencies]
//! partest = { package = "cargo-partest", version = "0.1", default-features = false }
//! ```
//!
//! # Threads
//!
//! If a thread panics and nobody joins it, no test fails. If a test forgets a thread, nobody
//! notices either: Rust does not wait for threads at the end of a process.
//!
//! ```
//! use std::time::Duration;
//!
//! // At the end of the test: fails for threads that panicked, reports those still alive.
//! let _threads = partest::watch();
//!
//! // Waits for the threads that are started here, and fails if they take longer.
//! partest::join_threads(Duration::from_secs(5), || {
//!     partest::spawn(|| assert_eq!(6 * 7, 42));
//! });
//!
//! // Counts the threads that this test started and that are alive.
//! assert_eq!(partest::active_count(), 0);
//! ```
//!
//! | for | use |
//! |---|---|
//! | a thread whose panic counts, even if nobody joins it | [`spawn`], [`Builder`] |
//! | an expected panic, without output and without failure | [`Builder::silent`] |
//! | a failure for threads that panicked and a report on threads left behind, under `cargo test` | [`watch`]; its wording and destination: [`Watch::format`], [`Watch::sink`] |
//! | waiting for threads | [`join_threads`], [`ThreadJoiner`] |
//! | listing and counting threads | [`active`], [`active_count`], [`sees_every_thread`] |
//!
//! # Fixtures
//!
//! [`fixture!`] declares what many tests share, such as a server or a database, in Rust.
//! `cargo partest` starts it once for the whole run, in a process of its own; under `cargo test`
//! each test binary starts its own when a test first asks for it.
//!
//! ```
//! partest::fixture! {
//!     /// The server that all tests here talk to.
//!     static SERVER = fn server(setup) {
//!         let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//!         setup.set("SERVER_ADDR", listener.local_addr().unwrap());
//!         std::thread::spawn(move || for _client in listener.incoming() {});
//!         setup.ready();
//!         setup.wait();
//!         // Code to take it down goes here.
//!     }
//! }
//!
//! # /*
//! #[test]
//! # */
//! fn answers() {
//!     let address: std::net::SocketAddr = SERVER.get("SERVER_ADDR");
//!     std::net::TcpStream::connect(address).unwrap();
//! }
//! # fn main() {
//! #     if std::env::args().any(|arg| arg == "--ignored") { SERVER.serve() } else { answers() }
//! # }
//! ```
//!
//! # The run
//!
//! [`is_active`], [`run_id`], [`slot`] and [`worker`] tell where in a run a test stands, for
//! example to choose a port or a database. Outside of a run they return `false` and `None`.
//!
//! # Stability
//!
//! Versions follow semver. Structs with public fields are `#[non_exhaustive]`, since reports may
//! learn more; the texts of messages may change in any version. Items that are hidden from this
//! documentation are for the macros of this crate only.

#![forbid(unsafe_code)]
#![deny(missing_docs, missing_debug_implementations, rustdoc::broken_intra_doc_links)]

mod library;

pub use library::active::{active, active_count, sees_every_thread};
pub use library::fixture::{Setup, Shared};
pub use library::joiner::{JoinTimeout, ThreadJoiner, join_threads};
pub use library::run::{is_active, run_id, slot, worker};
pub use library::spawn::{Builder, JoinHandle, spawn};
pub use library::threads::ThreadInfo;
pub use library::watch::{LeftBehind, Watch, watch};

#[cfg(test)]
mod tests {
    use super::*;

    /// Taking one of these away would break users.
    #[test]
    fn all_but_the_guard_may_be_sent_and_shared() {
        fn is_send_and_sync<T: Send + Sync>() {}
        is_send_and_sync::<Builder>();
        is_send_and_sync::<JoinHandle<std::cell::Cell<u8>>>();
        is_send_and_sync::<JoinTimeout>();
        is_send_and_sync::<LeftBehind>();
        is_send_and_sync::<Setup>();
        is_send_and_sync::<Shared>();
        is_send_and_sync::<ThreadInfo>();
        is_send_and_sync::<ThreadJoiner>();
    }
}
