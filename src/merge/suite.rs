//! The binaries and tests that streams tell of, as if they had been listed here.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::line::{Line, TestLine};
use super::stream::Stream;
use crate::cargo::binary::{Binary, DOCTESTS};
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::discovery::statics::Statics;
use crate::discovery::test_list::{Dispatch, Test, TestList};
use crate::model::test::TestId;

#[derive(Debug, Default)]
pub struct Suite {
    pub inventory: Inventory,
    /// By id and kind.
    tests: HashMap<(String, String), TestId>,
    /// By id alone, for what names no kind.
    by_id: HashMap<String, TestId>,
}

/// A binary in the streams: its tests by name, and where it was read.
#[derive(Default)]
struct StreamBinary {
    path: PathBuf,
    binary: String,
    target: String,
    /// Whether each test is ignored.
    tests: BTreeMap<String, bool>,
}

impl Suite {
    pub fn new(streams: &[Stream]) -> Suite {
        let mut binaries: BTreeMap<(String, String, String), StreamBinary> = BTreeMap::new();
        for stream in streams {
            for line in &stream.lines {
                let Line::Test(test) = line else { continue };
                let key = (test.package.clone(), test.kind.clone(), prefix(test).to_owned());
                let found = binaries.entry(key).or_insert_with(|| StreamBinary {
                    path: stream.path.clone(),
                    binary: test.binary.clone(),
                    target: test.target.clone().unwrap_or_else(|| test.binary.clone()),
                    tests: BTreeMap::new(),
                });
                found.tests.insert(test.name.clone(), test.ignored || test.outcome == "ignored");
            }
        }
        let mut suite = Suite::default();
        for (place, ((package, kind, prefix), found)) in binaries.into_iter().enumerate() {
            for (at, test) in found.tests.keys().enumerate() {
                let id = TestId { listing: place, test: at };
                let name = format!("{prefix}::{test}");
                suite.by_id.entry(name.clone()).or_insert(id);
                suite.tests.insert((name, kind.clone()), id);
            }
            suite.inventory.listings.push(listing(package, &kind, prefix, found));
        }
        suite
    }

    pub fn test(&self, line: &TestLine) -> Option<TestId> {
        self.tests.get(&(line.id.clone(), line.kind.clone())).copied()
    }

    pub fn by_id(&self, id: &str) -> Option<TestId> {
        self.by_id.get(id).copied()
    }

    /// A test of the binary whose ids begin with this.
    pub fn of_binary(&self, prefix: &str) -> Option<TestId> {
        let mut listings = self.inventory.listings.iter();
        let listing = listings.position(|listing| listing.binary.prefix == prefix)?;
        Some(TestId { listing, test: 0 })
    }
}

/// What the ids of a binary's tests begin with.
fn prefix(test: &TestLine) -> &str {
    let before = test.id.strip_suffix(&test.name).and_then(|before| before.strip_suffix("::"));
    before.unwrap_or(&test.binary)
}

fn listing(package: String, kind: &str, prefix: String, found: StreamBinary) -> Listing {
    let StreamBinary { path, binary, target, tests } = found;
    // What has not changed since the stream was written is what the tests were built from.
    let dispatch = if kind == DOCTESTS { Dispatch::Doctests } else { Dispatch::Batches };
    let binary = Binary::without_launch(package, binary, prefix, (target, kind), path);
    let test = |(name, is_ignored)| Test { name, is_ignored };
    let list = TestList {
        dispatch,
        tests: tests.into_iter().map(test).collect(),
        statics: Statics::Known { statics: Vec::new(), has_barrier: false },
        takes_agent: false,
    };
    Listing::new(binary, None, list)
}
