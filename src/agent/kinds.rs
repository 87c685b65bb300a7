//! The numbers of the frames' kinds, read by both ends: the agent and the runner's decoder.
//! A number is never given a new meaning; a change of a frame's fields raises `VERSION`.

/// The protocol's version, the first field of `hello`.
pub const VERSION: u32 = 3;
/// No frame is longer than this, its header included. A pipe takes one that short as a whole
/// (PIPE_BUF, pipe(7)), so that frames of several threads never mix.
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

/// What a test has changed of its process: the current directory, or a variable.
pub const DIRECTORY: u8 = 0;
pub const VARIABLE: u8 = 1;

/// A thread that runs a test carries a mark, which the kernel hands on to all that it starts,
/// through every fork and exec. So a daemon that has lost its parent and its environment still
/// tells whose it is, and nobody has to watch.
///
/// It stands in bits of the personality word (personality(2)) that have never had a meaning:
/// every program keeps them, and whoever started it may read them. Where that word may not be
/// changed, as by the rules that Docker gives its containers, the mark is a hint of the priority
/// of input and output (ioprio_set(2), since Linux 6.5), of those that no device listens to.
///
/// Of ten bits, the higher ones are those of the test. They are never all zero: a mark is none
/// of the seven hints that disks know. The lower ones are those of the worker's place, which no
/// other has as long as it lives; there may be more places than that.
pub const fn mark(slot: u32, test: u32) -> u32 {
    ((test % 127 + 1) << 3) | (slot % SLOTS)
}

/// So many workers at once have marks of their own.
pub const SLOTS: u32 = 8;

/// Where a mark stands in the personality word: its lower bits and its higher ones. Below the
/// first are the systems whose ways are followed, between them flags that have a meaning, and
/// above the second the sign, which would look like an error.
pub const IN_PERSONALITY: [u32; 2] = [0x0000_ff00, 0x3000_0000];

/// Where it stands in the priority of input and output: between the level and the class.
pub const IN_PRIORITY: u32 = 0x3ff << 3;
