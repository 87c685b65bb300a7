//! What tests leave behind, labelled. A test whose name ends in `_left` leaves something of its
//! module's kind: a thread, an unobserved panic, a process. One whose name ends in `_harmless`
//! does nearly the same and leaves nothing. The line that starts what is left says so, with what
//! the report calls it: `// left: sleep 1000`; where another function does it, also for whom:
//! `// left by NAME: reaper`.
//!
//! All tests pass. Under `cargo partest` (Linux with glibc) the report names every `_left` test,
//! what it left and that line, and no `_harmless` one, however the tests are spread over
//! processes and threads: `-j1`, `-j2`, `--isolate`, `threads = 4`.
//! With `--leaks deny` the tests of `panics` that leave one fail, and the exit code is 100; without
//! them it is 102. Whatever is left would last for 1000 seconds or for ever; when the run has
//! ended, it is gone.
//!
//! No false report on a busy machine, 200 times (`tests/suite/leaks.rs` does the same):
//!
//! ```sh
//! for n in $(seq 200); do cargo partest -q -j8 --leaks deny harmless || break; done
//! ```

#[cfg(all(test, target_os = "linux"))]
mod panics;
#[cfg(all(test, target_os = "linux"))]
mod processes;
#[cfg(all(test, target_os = "linux"))]
mod threads;
