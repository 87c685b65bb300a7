//! Numbers that only a seed decides, for an order that can be repeated.

use super::stable_hash::StableHash;

/// The number of the seed for this text and this index: the same in every run, on every machine.
pub fn number(seed: u64, text: &str, index: usize) -> u64 {
    StableHash::of(&[&seed.to_string(), text, &index.to_string()]).value()
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
