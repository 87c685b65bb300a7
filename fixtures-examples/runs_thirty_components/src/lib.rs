//! A system of thirty components that talk to each other, written once, and run as thirty threads
//! of one process or as thirty processes. Which of the two is the policy's decision: the tests are
//! the same, and so is the code under test.
//!
//! Under `cargo partest` the seven tests of `tests/letters` run twice, and all pass. `as_threads` is
//! a `unit`: its first test opens the offices in a static, as threads beside it. `as_processes` is
//! `shared`: the runner starts the program `post`, which opens the offices as processes. Either way
//! they are opened once, every one of them is closed in good order, and nothing is left behind. Under
//! `cargo test` all of them are threads.
//!
//! Who forgets to close the threads (`atexit` in `tests/letters/post.rs`) is told so, thirty times:
//! a Rust program ends whoever is still at work.
//!
//! The components are post offices in a ring. Each knows the next one only, keeps the letters that
//! are for itself and hands on the others.

pub mod office;
pub mod system;

/// How many components there are.
pub const OFFICES: usize = 30;
