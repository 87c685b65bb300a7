//! The numbers of the frames' kinds, read by both ends: the agent and the runner's decoder.
//! A number is never given a new meaning; a change of a frame's fields raises `VERSION`.

/// The protocol's version, the first field of `hello`.
pub const VERSION: u32 = 1;
/// No frame is longer than this, its header included. A socket takes one that short as a whole
/// or not at all, so that frames of several threads never mix.
pub const LONGEST: usize = 4096;

pub const HELLO: u8 = 1;
pub const MODULE: u8 = 2;
pub const LIBTEST: u8 = 3;
pub const TEST_STARTED: u8 = 4;
pub const OUTPUT: u8 = 5;
pub const THREAD_STARTED: u8 = 6;
pub const THREAD_ENDED: u8 = 7;
pub const THREAD_JOINED: u8 = 8;
pub const THREAD_DETACHED: u8 = 9;
pub const PANIC_RAISED: u8 = 10;
pub const PANIC_CAUGHT: u8 = 11;
pub const PROCESS_STARTED: u8 = 12;
pub const PROCESS_REAPED: u8 = 13;
pub const EXITING: u8 = 14;
pub const CRASHING: u8 = 15;
pub const STACKS_ASKED: u8 = 16;
pub const STACK: u8 = 17;
pub const THREAD_ALIVE: u8 = 18;
pub const GOODBYE: u8 = 19;
pub const THREAD_RUNS: u8 = 20;

/// A thread that runs a test carries a mark, added to this, as its timer slack in nanoseconds:
/// the one property that threads and processes inherit, through every fork and exec, that
/// nobody looks at, and that changes nothing that could be noticed. So a daemon that has lost
/// its parent and its environment still tells whose it is. 50,000 is the kernel's own default.
pub const SLACK: u64 = 50_000;

/// The mark: the last digits of the worker's and of the test's number. More would make timers
/// late.
pub const fn mark(worker: u32, test: u32) -> u32 {
    ((worker % 16) << 12) | (test % 4096)
}
