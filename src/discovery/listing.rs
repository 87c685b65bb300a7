//! A test binary with its tests.

use std::collections::HashMap;
use std::ops::{Index, Range};
use std::sync::OnceLock;

use super::statics::Statics;
use super::test_list::{Dispatch, HarnessList, Test, TestList};
use crate::cargo::binary::Binary;
use crate::libtest::doctest;

/// One binary with its tests, in the order in which libtest runs them; by name for a harness that logs.
#[derive(Debug)]
pub struct Listing {
    pub binary: Binary,
    pub dispatch: Dispatch,
    pub tests: Vec<Test>,
    pub statics: Statics,
    /// Of the executable and its runner when it was listed; none where it could not be read.
    pub(super) identity: Option<String>,
    /// Of a custom harness that runs many tests in a process.
    pub harness: Option<HarnessList>,
    takes_agent: bool,
    by_name: OnceLock<HashMap<String, usize>>,
}

impl Listing {
    pub fn new(binary: Binary, identity: Option<String>, list: TestList) -> Listing {
        let TestList { dispatch, tests, statics, takes_agent } = list;
        let by_name = OnceLock::new();
        let harness = None;
        Listing { binary, dispatch, tests, statics, identity, harness, takes_agent, by_name }
    }

    /// This listing of a custom harness.
    pub fn of_harness(mut self, harness: Option<HarnessList>) -> Listing {
        self.harness = harness;
        self
    }

    #[cfg(test)]
    pub fn example(
        binary: Binary,
        dispatch: Dispatch,
        tests: Vec<Test>,
        statics: Statics,
    ) -> Listing {
        Listing::new(binary, None, TestList { dispatch, tests, statics, takes_agent: false })
    }

    /// Whether the agent can be loaded into it. Not with a runner, which may be anything.
    pub fn takes_agent(&self) -> bool {
        self.binary.runner.is_empty() && self.takes_agent
    }

    /// What a later run may reuse.
    pub fn list(&self) -> TestList {
        TestList {
            dispatch: self.dispatch,
            tests: self.tests.clone(),
            statics: self.statics.clone(),
            takes_agent: self.takes_agent,
        }
    }

    pub fn is_doctests(&self) -> bool {
        self.dispatch == Dispatch::Doctests
    }

    /// Where a test is, as far as its name says it: `src/lib.rs:12` for a doctest.
    pub fn place(&self, test: usize) -> Option<String> {
        self.is_doctests().then(|| doctest::place(&self.tests[test].name))?
    }

    /// The index of each test by its name; made once, for all of the binary's workers.
    pub fn by_name(&self) -> &HashMap<String, usize> {
        self.by_name.get_or_init(|| {
            self.tests.iter().enumerate().map(|(at, test)| (test.name.clone(), at)).collect()
        })
    }
}

/// All listed binaries. More may be added while tests run; indices stay the same.
#[derive(Debug, Default)]
pub struct Listings(boxcar::Vec<Listing>);

impl Listings {
    pub fn len(&self) -> usize {
        self.0.count()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Listing> {
        self.0.iter().map(|(_, listing)| listing)
    }

    /// Adds a listing at the end.
    pub fn push(&self, listing: Listing) {
        self.0.push(listing);
    }

    /// Adds listings at the end, and returns their indices. Not from two threads at once.
    pub fn append(&self, listings: impl IntoIterator<Item = Listing>) -> Range<usize> {
        let first = self.len();
        listings.into_iter().for_each(|listing| self.push(listing));
        first..self.len()
    }
}

impl Index<usize> for Listings {
    type Output = Listing;

    fn index(&self, place: usize) -> &Listing {
        &self.0[place]
    }
}

impl IntoIterator for Listings {
    type Item = Listing;
    type IntoIter = boxcar::IntoIter<Listing>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Listing> for Listings {
    fn from_iter<I: IntoIterator<Item = Listing>>(listings: I) -> Listings {
        Listings(listings.into_iter().collect())
    }
}
