//! Numbers that only a seed decides, for an order that can be repeated.

/// The number of the seed for this text and this index: the same in every run, on every machine.
pub fn number(seed: u64, text: &str, index: usize) -> u64 {
    let mixed = text.bytes().fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)));
    mix(mixed ^ index as u64)
}

/// One step of SplitMix64, which maps close numbers far from each other.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_text_and_index_decide() {
        assert_eq!(number(7, "web::db", 1), number(7, "web::db", 1));
        assert_ne!(number(7, "web::db", 1), number(8, "web::db", 1));
        assert_ne!(number(7, "web::db", 1), number(7, "web::dc", 1));
        assert_ne!(number(7, "web::db", 1), number(7, "web::db", 2));
        // As many orders of three as there are.
        let order = |seed: u64| {
            let mut three = [0, 1, 2];
            three.sort_by_key(|at| number(seed, "web", *at));
            three
        };
        let orders: std::collections::HashSet<_> = (0..100).map(order).collect();
        assert_eq!(orders.len(), 6);
    }
}
