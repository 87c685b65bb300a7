//! libtest's `--shuffle-seed`, so that a seed can be found for an order that is wanted.

use std::hash::{DefaultHasher, Hash, Hasher};

/// How many steps the search for a seed takes at the most: a fraction of a second.
const MOST_STEPS: usize = 4_000_000;

/// How often each place is expected to come up before the search ends.
const MOST_ROUNDS: usize = 20;

/// A seed with which libtest runs this one of the tests after all others; after nearly all of them if
/// there are very many. `names` are those of all tests that its filters have left, in its order.
pub fn seed_for_last(names: &[&str], last: usize) -> u64 {
    let count = names.len().max(1);
    let seeds = (MOST_STEPS / count).min(MOST_ROUNDS * count).max(1) as u64;
    let drawn_from = hash_of_names(names);
    let mut best = (0, 0);
    for seed in 1..=seeds {
        let place = place(seed, drawn_from, count, last);
        if place + 1 == count {
            return seed;
        }
        best = best.max((place, seed));
    }
    best.1
}

/// The place that a test takes: one after another, each place is filled with a test that is drawn
/// from those that are left, and the one that was there takes the place of that.
fn place(seed: u64, drawn_from: u64, count: usize, test: usize) -> usize {
    let (mut state, mut at) = (seed, test);
    for next in 0..count {
        state = hash(&(state, drawn_from));
        let drawn = next + (state % (count - next) as u64) as usize;
        if drawn == at {
            return next;
        }
        if next == at {
            at = drawn;
        }
    }
    at
}

/// libtest hashes names as values of an enum: of the third variant, with a padding that is none for
/// `#[test]`. Where a release of Rust has it otherwise, the seed gives another order, in which the
/// others may come later: a search then finds less, and nothing that is wrong.
fn hash_of_names(names: &[&str]) -> u64 {
    const ALIGNED_NAME: isize = 2;
    const NO_PADDING: isize = 0;
    let hashed = |name: &&str| (ALIGNED_NAME, (*name).to_owned(), NO_PADDING);
    hash(&names.iter().map(hashed).collect::<Vec<_>>())
}

fn hash<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That libtest has the same order is what the tests of `bisect` show.
    #[test]
    fn a_seed_gives_each_test_a_place_of_its_own() {
        let names: Vec<String> = (0..50).map(|at| format!("t{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for seed in 0..20 {
            let from = hash_of_names(&names);
            let mut places: Vec<usize> = (0..50).map(|test| place(seed, from, 50, test)).collect();
            places.sort_unstable();
            assert_eq!(places, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_test_can_come_last() {
        let names = ["a", "b", "c", "d"];
        for last in 0..4 {
            let seed = seed_for_last(&names, last);
            assert_eq!(place(seed, hash_of_names(&names), 4, last), 3);
        }
        assert_eq!(seed_for_last(&["a"], 0), 1);
    }
}
