//! The test lists of earlier runs, each valid as long as its binary stays as it was, so that a
//! second run starts no binary to list it. A custom harness may read its tests from files, and is
//! listed in every run; only what depends on nothing but its executable is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::listing::{Listing, Listings};
use super::one_by_one::OneByOne;
use super::test_list::{Dispatch, KnownDispatch, TestList};
use crate::cargo::binary::{Binary, Harness};
use crate::model::warning::Warning;
use crate::state::{self, Stored};

/// The name of the file in the state directory.
const FILE: &str = "inventory.json";

/// The version of the file's format. To be raised whenever the format or its meaning changes.
const FORMAT: u32 = 11;

/// The test list of one executable; that of a custom harness without its tests.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    identity: String,
    list: TestList,
}

impl Entry {
    fn of(listing: &Listing) -> Option<Entry> {
        let identity = listing.identity.clone()?;
        let mut list = listing.list();
        if listing.binary.harness == Harness::Custom {
            list.tests.clear();
        }
        Some(Entry { identity, list })
    }
}

/// What earlier runs have found out about an executable.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Its tests and all else.
    pub list: Option<TestList>,
    /// All but the tests, of a custom harness.
    pub without_tests: Option<TestList>,
    /// How a custom harness runs its tests.
    pub dispatch: KnownDispatch,
}

type Entries = BTreeMap<PathBuf, Entry>;

/// The test lists of earlier runs.
#[derive(Debug, Default)]
pub struct InventoryCache {
    /// None for a run that must leave no trace.
    path: Option<PathBuf>,
    /// By executable, without those that this run has taken out.
    entries: Entries,
    /// Whether the executables cannot have changed since: those of an archive.
    is_archived: bool,
    /// Whether nothing was known about a binary of this run.
    is_outdated: bool,
    one_by_one: OneByOne,
}

impl InventoryCache {
    pub fn load(state_dir: &Path, warnings: &mut Vec<Warning>) -> InventoryCache {
        let path = state_dir.join(FILE);
        let one_by_one = OneByOne::load(state_dir, warnings);
        let entries = match state::read(&path, FORMAT) {
            Stored::Found(entries) => entries,
            Stored::Absent => Entries::default(),
            Stored::Damaged(why) => {
                warnings.push(Warning::DamagedStateFile { path: path.clone(), why });
                Entries::default()
            }
        };
        InventoryCache { path: Some(path), entries, one_by_one, ..InventoryCache::default() }
    }

    /// The lists of an archive, by executable.
    pub fn archived(lists: Vec<(PathBuf, TestList)>) -> InventoryCache {
        let entry = |(executable, list)| (executable, Entry { identity: String::new(), list });
        let entries = lists.into_iter().map(entry).collect();
        InventoryCache { entries, is_archived: true, ..InventoryCache::default() }
    }

    /// Takes out what is known about a binary, if its executable still has the same identity.
    pub(super) fn take(&mut self, binary: &Binary, identity: Option<&str>) -> Known {
        let entry = self.entries.remove(&binary.executable);
        let is_same = |entry: &Entry| self.is_archived || identity == Some(&entry.identity);
        let list = entry.filter(is_same).map(|entry| entry.list);
        let dispatch = match &list {
            _ if self.one_by_one.has(&binary.executable, identity) => KnownDispatch::OneByOne,
            None => KnownDispatch::Unknown,
            Some(list) => match list.dispatch {
                Dispatch::Whole => KnownDispatch::Whole,
                Dispatch::LoggedBatches => KnownDispatch::LoggedBatches,
                Dispatch::MimicBatches => KnownDispatch::MimicBatches,
                _ => KnownDispatch::Listed,
            },
        };
        // Whatever this run finds out about it will be new.
        self.is_outdated |= list.is_none() && identity.is_some();
        match binary.harness == Harness::Custom && !self.is_archived {
            true => Known { list: None, without_tests: list, dispatch },
            false => Known { list, without_tests: None, dispatch },
        }
    }

    /// Writes the file if there is anything new.
    ///
    /// Lists of other binaries stay as long as those exist: a run of one package must not
    /// cost the next run of the workspace its lists.
    pub fn save(self, listings: &Listings, warnings: &mut Vec<Warning>) {
        let InventoryCache { path, mut entries, is_outdated, .. } = self;
        let Some(path) = path.filter(|_| is_outdated) else { return };
        entries.retain(|executable, _| executable.exists());
        let own = listings.iter().filter_map(|listing| {
            Entry::of(listing).map(|entry| (listing.binary.executable.clone(), entry))
        });
        entries.extend(own);
        if let Err(error) = state::write(&path, FORMAT, &entries) {
            warnings.push(Warning::StateFileNotWritten { path, why: error.to_string() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::statics::Statics;
    use crate::discovery::test_list::Test;

    /// What depends on nothing but the executable is asked once; what else a custom harness says, in
    /// each run.
    #[test]
    fn of_a_custom_harness_only_the_way_to_list_it_is_kept() {
        use KnownDispatch as Known;
        let table = [
            (Dispatch::Whole, Known::Whole),
            (Dispatch::Unlisted, Known::Listed),
            (Dispatch::OneByOne, Known::Listed),
            (Dispatch::LoggedBatches, Known::LoggedBatches),
            (Dispatch::MimicBatches, Known::MimicBatches),
        ];
        let mut binary = Binary::example("web");
        binary.harness = Harness::Custom;
        for (dispatch, expected) in table {
            let statics = Statics::Unreadable("no".into());
            let tests = vec![Test { name: "a".into(), is_ignored: false }];
            let list = TestList { dispatch, tests, statics, takes_agent: true };
            let entry = Entry { identity: "id".into(), list };
            let entries = || Entries::from([(binary.executable.clone(), entry)]);
            let mut cache = InventoryCache { entries: entries(), ..InventoryCache::default() };
            let known = cache.take(&binary, Some("id"));
            assert!(known.list.is_none() && known.without_tests.is_some());
            assert_eq!(known.dispatch, expected);
            assert_eq!(cache.take(&binary, Some("id")).dispatch, Known::Unknown);
        }
        let mut cache = InventoryCache::default();
        assert_eq!(cache.take(&binary, Some("id")).dispatch, Known::Unknown);
    }

    /// A damaged file is reported or ignored; its entries never pass for those of other binaries.
    #[test]
    fn a_damaged_cache_costs_a_note_and_a_new_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let tests = vec![Test { name: "a: b".into(), is_ignored: true }];
        let (dispatch, statics) = (Dispatch::Batches, Statics::Unreadable("no".into()));
        let list = TestList { dispatch, tests, statics, takes_agent: true };
        let entry = Entry { identity: "id".into(), list };
        state::write(&path, FORMAT, Entries::from([(PathBuf::from("/bin"), entry)])).unwrap();
        let mut warnings = Vec::new();
        let load = |warnings: &mut Vec<Warning>| InventoryCache::load(dir.path(), warnings).entries;
        assert_eq!(load(&mut warnings).len(), 1);
        assert!(warnings.is_empty());
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(load(&mut warnings).is_empty());
            assert_eq!(warnings.len(), at + 1, "a truncated file is reported");
            for byte in [0, b'"', b'}', b'9', 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                std::fs::write(&path, &changed).unwrap();
                load(&mut Vec::new());
            }
        }
    }
}
