//! The list by which the runner asks which statics have changed. The agent and the runner both
//! compile this file.
//!
//! It is a file of entries, one for each static.

/// The variable that tells the agent where the list is. It is removed before tests can see it.
pub const WATCH: &str = "PARTEST_AGENT_WATCH";

/// A static of the executable. The agent names it by its place in the list.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the symbol table has it, without the address at which the executable is loaded.
    pub address: u64,
    pub length: u64,
}

impl Entry {
    /// As it is in the file.
    pub fn bytes(&self) -> [u8; size_of::<Entry>()] {
        let mut bytes = [0; size_of::<Entry>()];
        let words = [self.address, self.length];
        let places = bytes.chunks_exact_mut(size_of::<u64>());
        for (place, word) in places.zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}
