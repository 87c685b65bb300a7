//! A hash that is the same on every machine and in every version of this program: std promises that
//! of none of its own.

/// FNV-1a with the finalizer of SplitMix64, which spreads the small differences between similar
/// names over all bits.
#[derive(Debug, Clone, Copy)]
pub struct StableHash(u64);

impl StableHash {
    /// Of these parts, which are told apart.
    pub fn of(parts: &[&str]) -> StableHash {
        let mut hash = StableHash(0xcbf2_9ce4_8422_2325);
        parts.iter().for_each(|part| hash.add(part));
        hash
    }

    pub fn add(&mut self, part: &str) {
        // No text has this byte.
        for byte in part.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn with(mut self, part: &str) -> StableHash {
        self.add(part);
        self
    }

    pub fn value(self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards of one run may be planned by different versions.
    #[test]
    fn values_never_change() {
        assert_eq!(StableHash::of(&[]).value(), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(StableHash::of(&["web/lib/web", "db"]).value(), 0xd958_df2f_887e_1f2c);
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(StableHash::of(&["ab", "c"]).value(), StableHash::of(&["a", "bc"]).value());
        assert_eq!(StableHash::of(&["a"]).with("b").value(), StableHash::of(&["a", "b"]).value());
    }
}
