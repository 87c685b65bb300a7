//! Every test of every binary, and what the symbol tables say about them. Kept from run to
//! run by the binary's identity, so that a second run starts no binary to list it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::compiler;
use super::lister::{Found, Lister};
use super::statics::{self, Statics};
use crate::cargo::binary::{Binary, Harness};
use crate::cargo::origins::Origins;
use crate::config::policy::Policy;
use crate::model::event::Note;
use crate::model::listing::{ListFailure, WholeBinary};
use crate::process::groups::Groups;
use crate::state::{self, Stored};

/// How a binary's tests can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dispatch {
    /// libtest: many tests in a process, each with a verdict of its own.
    Batches,
    /// A process for each test, judged by its exit code.
    OneByOne,
    /// The binary is one test, and takes no arguments.
    Whole,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub is_ignored: bool,
}

/// One binary with its tests, in the order in which libtest runs them.
#[derive(Debug)]
pub struct Listing {
    pub binary: Binary,
    pub dispatch: Dispatch,
    pub tests: Vec<Test>,
    pub statics: Statics,
    /// Of the executable and its runner; empty where nobody could tell.
    identity: String,
    /// Whether it is started by a loader that would load the agent, and suits that.
    takes_agent: bool,
    by_name: OnceLock<HashMap<String, usize>>,
}

impl Listing {
    #[cfg(test)]
    pub fn new(binary: Binary, dispatch: Dispatch, tests: Vec<Test>, statics: Statics) -> Listing {
        let kept = Kept { identity: String::new(), dispatch, tests, statics, takes_agent: false };
        Listing::of(binary, kept)
    }

    fn of(binary: Binary, kept: Kept) -> Listing {
        let Kept { identity, dispatch, tests, statics, takes_agent } = kept;
        let by_name = OnceLock::new();
        Listing { binary, dispatch, tests, statics, identity, takes_agent, by_name }
    }

    /// Whether the agent can be loaded into it; a runner may be anything.
    pub fn takes_agent(&self) -> bool {
        self.binary.runner.is_empty() && self.takes_agent
    }

    /// A custom harness may read its list from files: only libtest's is fixed by the binary.
    fn may_be_kept(&self) -> bool {
        self.binary.harness == Harness::Libtest && !self.identity.is_empty()
    }

    /// What the next run may believe of it.
    fn kept(&self) -> Option<Kept> {
        let Listing { dispatch, takes_agent, .. } = *self;
        self.may_be_kept().then(|| Kept {
            identity: self.identity.clone(),
            dispatch,
            tests: self.tests.clone(),
            statics: self.statics.clone(),
            takes_agent,
        })
    }

    /// The place of each test by its name; made once, for all of the binary's workers.
    pub fn by_name(&self) -> &HashMap<String, usize> {
        self.by_name.get_or_init(|| {
            self.tests.iter().enumerate().map(|(at, test)| (test.name.clone(), at)).collect()
        })
    }
}

/// The binaries whose tests are known. Some may join them while the tests of others run, and
/// those keep their places.
#[derive(Debug, Default)]
pub struct Listings(boxcar::Vec<Listing>);

impl Listings {
    pub fn len(&self) -> usize {
        self.0.count()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Listing> {
        self.0.iter().map(|(_, listing)| listing)
    }

    /// Behind all others.
    pub fn push(&self, listing: Listing) {
        self.0.push(listing);
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

#[derive(Debug, Default)]
pub struct Inventory {
    pub listings: Listings,
    /// Binaries that could not be listed.
    pub failures: Vec<ListFailure>,
    /// Custom harnesses that run as one test although they seem to know `--list`.
    pub remarks: Vec<WholeBinary>,
}

impl Inventory {
    /// What the user should know about the lists.
    pub fn notes(&self) -> impl Iterator<Item = Note> {
        let remarks = self.remarks.iter().cloned().map(Note::RunsWhole);
        self.failures.iter().cloned().map(Note::ListFailed).chain(remarks)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    identity: String,
    dispatch: Dispatch,
    #[serde(with = "names")]
    tests: Vec<Test>,
    statics: Statics,
    /// Whether it is started by a loader that would load the agent, and suits that.
    takes_agent: bool,
}

/// Raised whenever what is kept changes its form, or its meaning.
const FORMAT: u32 = 5;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Cache {
    binaries: BTreeMap<PathBuf, Kept>,
}

/// The listings of earlier runs.
#[derive(Debug, Default)]
pub struct Lists {
    /// Where they are kept; none for a run that must leave no trace.
    path: Option<PathBuf>,
    /// Those of binaries that this run has not come across.
    cache: Cache,
    /// Whether it has listed any that may be kept.
    has_news: bool,
}

impl Lists {
    /// Reads them from a file, where there is one.
    pub fn load(path: PathBuf, notes: &mut Vec<Note>) -> Lists {
        let cache = match state::read::<Cache>(&path, FORMAT) {
            Stored::Found(cache) => cache,
            Stored::Absent => Cache::default(),
            Stored::Damaged(why) => {
                notes.push(Note::DamagedState { path: path.clone(), why });
                Cache::default()
            }
        };
        Lists { path: Some(path), cache, has_news: false }
    }

    /// Writes the file, where it would say something new.
    ///
    /// Listings of other binaries stay as long as those exist: a run of one package must not
    /// cost the next run of the workspace its lists.
    pub fn keep(self, inventory: &Inventory, notes: &mut Vec<Note>) {
        let Lists { path, mut cache, has_news } = self;
        let Some(path) = path.filter(|_| has_news) else { return };
        cache.binaries.retain(|executable, _| executable.exists());
        let own = inventory.listings.iter().filter_map(|listing| {
            listing.kept().map(|kept| (listing.binary.executable.clone(), kept))
        });
        cache.binaries.extend(own);
        if let Err(error) = state::write(&path, FORMAT, &cache) {
            notes.push(Note::StateNotWritten { path, why: error.to_string() });
        }
    }
}

/// Lists all binaries, side by side where there is a `pool`, but for those that are in `lists` as
/// they are now.
pub fn take(
    binaries: Vec<Binary>,
    policy: &Policy,
    origins: &Origins,
    lists: &mut Lists,
    pool: Option<&rayon::ThreadPool>,
    groups: &Groups,
) -> Inventory {
    let mut with_known = |binary: Binary| {
        let identity = identity(&binary);
        let kept = lists.cache.binaries.remove(&binary.executable);
        let kept = kept.filter(|kept| Some(&kept.identity) == identity.as_ref());
        (binary, identity, kept)
    };
    let binaries: Vec<_> = binaries.into_iter().map(&mut with_known).collect();
    let is_all_known = binaries.iter().all(|(_, _, kept)| kept.is_some());
    let list_one = |(binary, identity, kept): (Binary, Option<String>, Option<Kept>)| {
        let is_new = kept.is_none();
        let found = match kept {
            Some(kept) => Ok((kept, None)),
            None => list(&binary, origins, policy.list_timeout(binary.package), groups).map(
                |(kept, remark)| (Kept { identity: identity.unwrap_or_default(), ..kept }, remark),
            ),
        };
        found.map(|(kept, remark)| (Listing::of(binary, kept), remark, is_new))
    };
    // Where nothing is to be listed, waking other threads would take longer than all of this.
    let listed: Vec<_> = match pool.filter(|_| !is_all_known) {
        None => binaries.into_iter().map(list_one).collect(),
        Some(pool) => pool.install(|| binaries.into_par_iter().map(list_one).collect()),
    };
    let mut inventory = Inventory::default();
    for found in listed {
        match found {
            Ok((listing, remark, is_new)) => {
                inventory.remarks.extend(remark);
                lists.has_news |= is_new && listing.may_be_kept();
                inventory.listings.push(listing);
            }
            Err(message) => inventory.failures.push(message),
        }
    }
    inventory
}

/// Tests as one text and a list of numbers: few long values are read faster than many short
/// ones.
mod names {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Test;

    #[derive(Serialize, Deserialize)]
    struct Names {
        /// A line each.
        names: String,
        /// Their places.
        ignored: Vec<usize>,
    }

    pub fn serialize<S: Serializer>(tests: &[Test], serializer: S) -> Result<S::Ok, S::Error> {
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        let ignored = (0..tests.len()).filter(|at| tests[*at].is_ignored).collect();
        Names { names: names.join("\n"), ignored }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Test>, D::Error> {
        let Names { names, ignored } = Names::deserialize(from)?;
        let test = |name: &str| Test { name: name.to_owned(), is_ignored: false };
        let mut tests: Vec<Test> = names.lines().map(test).collect();
        for at in ignored {
            let unknown = || D::Error::custom("an ignored test that it does not list");
            tests.get_mut(at).ok_or_else(unknown)?.is_ignored = true;
        }
        Ok(tests)
    }
}

/// The executable's, and its runner's words.
fn identity(binary: &Binary) -> Option<String> {
    Some(format!("{}:{:?}", state::identity(&binary.executable)?, binary.runner))
}

fn list(
    binary: &Binary,
    origins: &Origins,
    limit: Duration,
    groups: &Groups,
) -> Result<(Kept, Option<WholeBinary>), ListFailure> {
    // Its own crate counts in it, and in no other: a test target of any name is linked by nobody.
    let mut origins = origins.clone();
    origins.crates.insert(binary.name.clone());
    let statics = statics::read(&binary.executable, &origins);
    let takes_agent =
        statics::has_loader(&binary.executable) && compiler::suits_agent(&binary.executable);
    let Found { dispatch, tests, remark } = Lister { binary, limit, groups }.list()?;
    let kept = Kept { identity: String::new(), dispatch, tests, statics, takes_agent };
    Ok((kept, remark))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is damaged is told of or of no use; it is never read as something else's.
    #[test]
    fn a_damaged_cache_costs_a_note_and_a_new_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("listings.json");
        let tests = vec![Test { name: "a: b".into(), is_ignored: true }];
        let (dispatch, statics) = (Dispatch::Batches, Statics::Unreadable("no".into()));
        let kept = Kept { identity: "id".into(), dispatch, tests, statics, takes_agent: true };
        let binaries = BTreeMap::from([(PathBuf::from("/bin"), kept)]);
        let cache = Cache { binaries };
        state::write(&path, FORMAT, &cache).unwrap();
        let mut notes = Vec::new();
        let load = |notes: &mut Vec<Note>| Lists::load(path.clone(), notes).cache.binaries;
        assert_eq!(load(&mut notes).len(), 1);
        assert!(notes.is_empty());
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(load(&mut notes).is_empty());
            assert_eq!(notes.len(), at + 1, "a file that is cut is told of");
            for byte in [0, b'"', b'}', b'9', 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                std::fs::write(&path, &changed).unwrap();
                load(&mut Vec::new());
            }
        }
    }
}
