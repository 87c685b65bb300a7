//! The log that a worker and the runner share: what the worker's tests use outside of their
//! process. The agent and the runner both compile this file.
//!
//! It is a ring of words. The agent appends entries from any of its threads, without a lock and
//! without a system call; the runner takes them at any time, also after the process has died.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The variable that tells the agent where the log is. It is removed before tests can see it.
pub const USES: &str = "PARTEST_AGENT_USES";

/// How many words the ring has: some thousand paths, between two events of a worker.
const WORDS: usize = 1 << 16;

/// The longest text of an entry (PATH_MAX).
pub const LONGEST_TEXT: usize = 4096;

/// What an entry says besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The agent's number of the test; 0 if it is not known, or if no test runs.
    pub test: u32,
    /// Of `kinds::action`.
    pub action: u8,
    /// Of `kinds::sort`.
    pub sort: u8,
}

/// An entry begins with a word that is never zero: its text's length, what it is about, and the
/// test. The text follows.
#[repr(C)]
pub struct UseLog {
    /// How many words have ever been given to entries, and how many of these have been taken back.
    given: AtomicU64,
    taken: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// A whole number of pages for every page size that is in use.
pub const LOG_LENGTH: usize = (size_of::<UseLog>() + 0xffff) & !0xffff;

const WORD: usize = size_of::<u64>();

const fn words_of(length: usize) -> u64 {
    1 + length.div_ceil(WORD) as u64
}

impl UseLog {
    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[at as usize % WORDS]
    }

    /// Appends an entry whose text is in pieces. Returns false if there is no room: the runner has
    /// not kept up, and this use stays unknown.
    pub fn append(&self, entry: Entry, pieces: &[&[u8]]) -> bool {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if length == 0 || length > LONGEST_TEXT {
            return false;
        }
        let count = words_of(length);
        let give = |given: u64| {
            let used = given.wrapping_sub(self.taken.load(Acquire));
            (used.saturating_add(count) <= WORDS as u64).then(|| given.wrapping_add(count))
        };
        let Ok(at) = self.given.fetch_update(AcqRel, Acquire, give) else { return false };
        let (mut place, mut word, mut filled) = (at, 0, 0);
        for byte in pieces.iter().flat_map(|piece| piece.iter()) {
            word |= u64::from(*byte) << (8 * filled);
            filled += 1;
            if filled == WORD {
                place = place.wrapping_add(1);
                self.word(place).store(word, Relaxed);
                (word, filled) = (0, 0);
            }
        }
        if filled > 0 {
            self.word(place.wrapping_add(1)).store(word, Relaxed);
        }
        let about = u64::from(entry.sort) << 8 | u64::from(entry.action);
        let head = (length as u64) << 48 | about << 32 | u64::from(entry.test);
        self.word(at).store(head, Release);
        true
    }

    /// Takes the next entry, and puts its text into `room`. Only one thread may do so at a time.
    pub fn take<'r>(&self, room: &'r mut [u8; LONGEST_TEXT]) -> Option<(Entry, &'r [u8])> {
        let at = self.taken.load(Relaxed);
        let head = self.word(at).load(Acquire);
        if head == 0 {
            return None;
        }
        let text = room.get_mut(..(head >> 48) as usize)?;
        let mut place = at;
        for bytes in text.chunks_mut(WORD) {
            place = place.wrapping_add(1);
            let word = self.word(place).swap(0, Relaxed).to_le_bytes();
            for (to, from) in bytes.iter_mut().zip(word) {
                *to = from;
            }
        }
        self.word(at).store(0, Relaxed);
        self.taken.store(at.wrapping_add(words_of(text.len())), Release);
        let (test, action, sort) = (head as u32, (head >> 32) as u8, (head >> 40) as u8);
        Some((Entry { test, action, sort }, text))
    }

    /// Whether there may be something to take.
    pub fn has_more(&self) -> bool {
        self.word(self.taken.load(Relaxed)).load(Relaxed) != 0
    }

    /// Makes it empty for another process, once the process that had it is gone: that may have died
    /// in the middle of an entry.
    pub fn reset(&self) {
        let (taken, given) = (self.taken.load(Relaxed), self.given.load(Acquire));
        for at in 0..given.wrapping_sub(taken).min(WORDS as u64) {
            self.word(taken.wrapping_add(at)).store(0, Relaxed);
        }
        self.taken.store(given, Release);
    }
}
