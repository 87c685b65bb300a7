//! Maps by numbers that count up: the hash of the standard library, made for keys that somebody
//! chooses with bad intentions, costs more than the rest of a look-up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;
pub type NumberSet<K> = HashSet<K, BuildHasherDefault<Mix>>;

/// Spreads each number over all bits by one multiplication (Knuth's multiplicative hashing).
#[derive(Debug, Default, Clone)]
pub struct Mix(u64);

impl Mix {
    /// The golden ratio, as a fraction of 2^64.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.add(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, which the product mixes least.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, Hash};

    #[test]
    fn numbers_that_count_up_fall_into_different_places() {
        fn places(keys: impl Iterator<Item = impl Hash>) -> usize {
            let hash = BuildHasherDefault::<Mix>::default();
            // The low bits choose a place, the highest tell keys of one place apart.
            let place = |key| (hash.hash_one(&key) & 0xfff, hash.hash_one(&key) >> 57);
            keys.map(place).collect::<HashSet<_>>().len()
        }
        assert!(places(0..4096_u32) > 4000);
        assert!(places((0..4096_usize).map(|number| (number % 8, number / 8))) > 4000);
        assert!(places((0..4096_u32).map(|number| number * 1024)) > 4000);
    }
}
