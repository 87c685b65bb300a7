//! The kinds of frames. The agent and the runner both compile this file.
//!
//! A number never gets a new meaning, and a change to a frame's fields increments `VERSION`.

/// The protocol's version, the first field of `hello`.
pub const VERSION: u32 = 6;
/// The longest frame, including its header. A pipe writes that much atomically (PIPE_BUF, pipe(7)),
/// so that frames of several threads are never interleaved.
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
pub const CHANGED: u8 = 21;
pub const LIBTEST_LINE: u8 = 22;
pub const LEAVING: u8 = 23;
pub const CAPTURED: u8 = 24;
pub const CAPTURE_LOST: u8 = 25;
pub const TEST_RUNS: u8 = 26;
pub const STATIC_CHANGED: u8 = 27;
pub const STATE_CHANGED: u8 = 28;
/// The greatest of them.
#[allow(dead_code, reason = "the agent only sends")]
pub const LAST: u8 = STATE_CHANGED;

/// Why captured output cannot be read: the executable has no symbol table, the thread was printing,
/// the standard library keeps it in another way, or the system does not let the agent read it.
pub const NO_SYMBOL: u8 = 1;
pub const PRINTING: u8 = 2;
pub const UNKNOWN_LAYOUT: u8 = 3;
pub const FORBIDDEN: u8 = 4;

/// The place of output that was written past the capture, if it is not known how much had been
/// captured before it.
pub const UNKNOWN_PLACE: u64 = u64::MAX;

/// What a test has changed in its process: the current directory, or an environment variable.
pub const DIRECTORY: u8 = 0;
pub const VARIABLE: u8 = 1;

/// How many bytes of a static are reported of it before and after a change.
#[allow(dead_code, reason = "the agent only sends")]
pub const MOST_OF_STATIC: usize = 1024;

/// What a change has led to: a variable that is not there, or something that is not known.
pub const ABSENT: u64 = 0;
pub const UNKNOWN: u64 = u64::MAX;

/// What a change has led to, from the variable's value or the directory's path: two states are equal
/// if nothing is left of the changes between them. A hash (FNV-1a), which is neither of the two
/// above.
pub const fn state(value: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < value.len() {
        hash = (hash ^ value[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    if hash == ABSENT || hash == UNKNOWN { 1 } else { hash }
}

/// The mark of a thread that runs a test. Every process and thread that it starts inherits the
/// mark, through fork and exec, so that a daemon that has left its parent and its environment
/// behind can still be traced to its test, without being watched.
///
/// It is stored in bits of the personality (personality(2)) that have never had a meaning: every
/// program keeps them, and the user who started it may read them. Where the personality may not be
/// changed, as by Docker's default seccomp profile, it is stored as a hint in the I/O priority
/// (ioprio_set(2), since Linux 6.5) that no device understands.
///
/// Of its ten bits, the upper seven stand for the test. They are never all zero, so that a mark is
/// none of the seven hints that disks understand. The lower three stand for the worker's slot. No
/// other running worker has the same slot, but there may be more slots than these bits can tell
/// apart.
pub const fn mark(slot: u32, test: u32) -> u32 {
    ((test % 127 + 1) << 3) | (slot % SLOTS)
}

/// How many slots the marks tell apart.
pub const SLOTS: u32 = 8;

/// The bits of the personality that hold the lower and the upper bits of a mark. Below the first
/// mask is the execution domain, between the two are flags with a meaning, and above the second is
/// the sign bit, which would look like an error.
pub const IN_PERSONALITY: [u32; 2] = [0x0000_ff00, 0x3000_0000];

/// The bits of the I/O priority that hold a mark: those between the level and the class.
pub const IN_PRIORITY: u32 = 0x3ff << 3;

/// What of a process is compared from test to test, besides its statics.
pub mod watched {
    pub const UMASK: u8 = 0;
    pub const HANDLER: u8 = 1;
    pub const LIMIT: u8 = 2;
    pub const DESCRIPTOR: u8 = 3;
    pub const TIMER: u8 = 4;
    pub const LOCALE: u8 = 5;
}

/// What a test does to a thing outside of its process: one of these bits in each entry of the log
/// (`use_log.rs`).
pub mod action {
    pub const READ: u8 = 1;
    /// Created unless it was there already: a directory, or a file that is appended to.
    pub const CREATE: u8 = 2;
    /// Created, where it must not have been there before.
    pub const CREATE_NEW: u8 = 4;
    /// Written, or replaced as a whole.
    pub const WRITE: u8 = 8;
    pub const TRUNCATE: u8 = 16;
    /// Removed, or renamed to something else.
    pub const REMOVE: u8 = 32;
    pub const BIND: u8 = 64;
    pub const LOCK: u8 = 128;
}

/// What such a thing is, and so what its text in the log is.
pub mod sort {
    /// An absolute path.
    pub const PATH: u8 = 0;
    /// A port in network byte order, and an address of 4 or 16 bytes.
    pub const TCP: u8 = 1;
    pub const UDP: u8 = 2;
    /// Its name.
    pub const ABSTRACT_SOCKET: u8 = 3;
    pub const SHARED_MEMORY: u8 = 4;
    pub const SEMAPHORE: u8 = 5;
}
