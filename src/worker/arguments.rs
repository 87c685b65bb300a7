//! The arguments that select the tests of a batch, split where the platform's argument limit
//! requires it.

use crate::discovery::listing::Listing;
use crate::discovery::test_list::Dispatch;
use crate::libtest;
use crate::libtest::select::Listed;
use crate::model::test::TestId;

/// The argument limit of the platform, less what the environment may take.
const ARGUMENT_SPACE: usize = if cfg!(windows) {
    24 * 1024
} else if cfg!(target_os = "linux") {
    // 2 MiB in all.
    1024 * 1024
} else {
    // About 1 MiB in all.
    512 * 1024
};

/// Splits the tests into as many parts as needed, each with the arguments that select them.
pub fn parts(listing: &Listing, tests: &[TestId]) -> Vec<(Vec<TestId>, Vec<String>)> {
    if listing.dispatch == Dispatch::Doctests {
        return doctest_parts(listing, tests);
    }
    let args = selection(listing, tests);
    // Each argument costs its bytes, a terminator and a pointer.
    let space: usize = args.iter().map(|arg| arg.len() + 9).sum();
    if space <= ARGUMENT_SPACE || tests.len() == 1 {
        return vec![(tests.to_vec(), args)];
    }
    let (first, second) = tests.split_at(tests.len() / 2);
    let mut found = parts(listing, first);
    found.extend(parts(listing, second));
    found
}

/// Splits doctests where no arguments would choose all of them and no others.
fn doctest_parts(listing: &Listing, tests: &[TestId]) -> Vec<(Vec<TestId>, Vec<String>)> {
    let listed = listed(listing, tests);
    match libtest::doctest::select(&listed) {
        Some(args) => vec![(tests.to_vec(), args)],
        None if tests.len() == 1 => {
            vec![(tests.to_vec(), libtest::doctest::select_roughly(&listed))]
        }
        None => {
            let (first, second) = tests.split_at(tests.len() / 2);
            let parts = [first, second].into_iter().map(|half| doctest_parts(listing, half));
            parts.flatten().collect()
        }
    }
}

fn selection(listing: &Listing, tests: &[TestId]) -> Vec<String> {
    let listed = listed(listing, tests);
    match listing.dispatch {
        Dispatch::Batches => libtest::select::select(&listed).args,
        _ => libtest::select::select_by_skipping(&listed).args,
    }
}

fn listed<'l>(listing: &'l Listing, tests: &[TestId]) -> Vec<Listed<'l>> {
    let mut chosen = vec![false; listing.tests.len()];
    tests.iter().for_each(|id| chosen[id.test] = true);
    listing
        .tests
        .iter()
        .zip(chosen)
        .map(|(test, is_chosen)| Listed {
            name: &test.name,
            is_ignored: test.is_ignored,
            is_chosen,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::binary::Binary;
    use crate::discovery::statics::Statics;
    use crate::discovery::test_list::Test;

    #[test]
    fn what_fits_on_no_command_line_comes_in_parts_that_do() {
        let test =
            |at: usize| Test { name: format!("{at}::{}", "x".repeat(200)), is_ignored: false };
        let statics = Statics::Known { statics: vec![], has_barrier: false };
        let tests = (0..20_000).map(test).collect();
        let listing = Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics);
        // Neither all nor most of them, for which there are shorter words.
        let chosen = (0..20_000).step_by(2).map(|test| TestId { listing: 0, test });
        let chosen: Vec<TestId> = chosen.collect();
        let parts = parts(&listing, &chosen);
        assert!(parts.len() > 1, "{}", parts.len());
        for (_, args) in &parts {
            assert!(args.iter().map(String::len).sum::<usize>() < ARGUMENT_SPACE);
        }
        let all: Vec<TestId> = parts.into_iter().flat_map(|(tests, _)| tests).collect();
        assert_eq!(all, chosen);
    }
}
