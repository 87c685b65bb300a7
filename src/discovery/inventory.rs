//! Every test of every binary, and what the symbol tables say about them.

use std::sync::{Mutex, PoisonError};

use rayon::ThreadPoolBuilder;

use super::binary_facts::is_excluded;
use super::file_parts::FileParts;
use super::inventory_cache::{InventoryCache, Known};
use super::lister::{Found, Lister};
use super::listing::{Listing, Listings};
use super::statics::Statics;
use super::test_list::{HarnessList, KnownDispatch, TestList};
use super::{compiler, statics};
use crate::cargo::binary::{Binary, Harness};
use crate::cargo::link_inputs::LinkInputs;
use crate::config::policy::Policy;
use crate::filterset::filters::Filtersets;
use crate::model::listing::{BinaryName, ListFailure, UnlistableHarness};
use crate::model::warning::Warning;
use crate::process::process_groups::ProcessGroups;
use crate::state;

/// All tests of a run, and the problems in listing them.
#[derive(Debug, Default)]
pub struct Inventory {
    pub listings: Listings,
    /// Binaries that could not be listed.
    pub failures: Vec<ListFailure>,
    /// Custom harnesses that run as one test although they seem to know `--list`.
    pub remarks: Vec<UnlistableHarness>,
}

impl Inventory {
    pub fn add(&mut self, other: Inventory) {
        self.listings.append(other.listings);
        self.failures.extend(other.failures);
        self.remarks.extend(other.remarks);
    }

    /// The problems in listing, as notes for the user.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        let remarks = self.remarks.iter().cloned().map(Warning::RunsAsOneTest);
        self.failures.iter().cloned().map(Warning::ListFailed).chain(remarks)
    }
}

/// A binary to list, and what earlier runs have found out about it.
pub struct Candidate {
    binary: Binary,
    identity: Option<String>,
    known: Known,
}

impl Candidate {
    /// Whether its tests are known without starting it.
    pub fn is_known(&self) -> bool {
        self.known.list.is_some() || self.known.dispatch == KnownDispatch::Whole
    }

    /// Its name in messages.
    pub fn full_name(&self) -> BinaryName {
        self.binary.full_name()
    }

    /// Where it belongs among others that are to be listed: custom harnesses come first. Either they
    /// run as one test, which should start early, or it takes several calls to list them.
    pub fn priority(&self) -> impl Ord + use<> {
        self.binary.harness != Harness::Custom
    }
}

/// Takes out what is known about these binaries.
pub fn look_up(binaries: Vec<Binary>, cache: &mut InventoryCache) -> Vec<Candidate> {
    let look_up = |binary: Binary| {
        let identity = identity(&binary);
        let known = cache.take(&binary, identity.as_deref());
        Candidate { binary, identity, known }
    };
    binaries.into_iter().map(look_up).collect()
}

/// How binaries are listed.
#[derive(Clone, Copy)]
pub struct Listers<'l> {
    pub policy: &'l Policy,
    pub filtersets: &'l Filtersets,
    pub link_inputs: &'l LinkInputs,
    pub groups: &'l ProcessGroups,
}

/// Lists binaries, as many at once as there are `threads`, and passes on each with its index as soon as
/// it is listed, in any order.
///
/// The threads are not those of the run, which may all wait for tests.
pub fn list(
    candidates: Vec<Candidate>,
    listers: Listers<'_>,
    threads: usize,
    mut take: impl FnMut(usize, Inventory) + Send,
) {
    // Where nothing is to be listed, waking other threads would take longer than all of this.
    let unknown = candidates.iter().filter(|candidate| !candidate.is_known()).count();
    let threads = threads.min(unknown);
    let pool = (threads > 1).then(|| ThreadPoolBuilder::new().num_threads(threads).build());
    let mut candidates: Vec<_> = candidates.into_iter().enumerate().collect();
    let Some(Ok(pool)) = pool else {
        let list = |(index, candidate)| take(index, listers.list(candidate));
        candidates.into_iter().for_each(list);
        return;
    };
    candidates.sort_by_key(|(_, candidate)| candidate.priority());
    let take = &Mutex::new(take);
    pool.scope_fifo(|scope| {
        for (index, candidate) in candidates {
            scope.spawn_fifo(move |_| {
                let listed = listers.list(candidate);
                take.lock().unwrap_or_else(PoisonError::into_inner)(index, listed);
            });
        }
    });
}

impl Listers<'_> {
    /// What is found in one binary. One that cannot be listed is left out if no expression can choose
    /// its tests.
    pub fn list(self, candidate: Candidate) -> Inventory {
        let Candidate { binary, identity, known } = candidate;
        let is_excluded = is_excluded(&binary, self.filtersets);
        let listed = match known.list {
            Some(list) => Ok((Listing::new(binary, identity, list), None)),
            None => {
                let (limit, groups) = (self.policy.list_timeout(binary.package), self.groups);
                let lister = Lister { binary: &binary, limit, groups, known: known.dispatch };
                let listed = list_unknown(lister, known.without_tests, self.link_inputs);
                listed.map(|(list, remark, harness)| {
                    (Listing::new(binary, identity, list).of_harness(harness), remark)
                })
            }
        };
        let mut found = Inventory::default();
        match listed {
            Ok((listing, remark)) => {
                found.remarks.extend(remark);
                found.listings.push(listing);
            }
            // Nobody wants to know.
            Err(_) if is_excluded => {}
            Err(failure) => found.failures.push(failure),
        }
        found
    }
}

/// The identity of the executable, and the command line of its runner.
fn identity(binary: &Binary) -> Option<String> {
    Some(format!("{}:{:?}", state::identity(&binary.executable)?, binary.runner))
}

/// Lists a binary, of which all but the tests may be known.
fn list_unknown(
    lister: Lister<'_>,
    known: Option<TestList>,
    link_inputs: &LinkInputs,
) -> Result<(TestList, Option<UnlistableHarness>, Option<HarnessList>), ListFailure> {
    let executable = &lister.binary.executable;
    let look = || match known {
        Some(TestList { statics, takes_agent, .. }) => (statics, takes_agent),
        None => {
            // A binary's own crate is the user's code in it, and in no other binary: nobody links
            // a test target.
            let mut link_inputs = link_inputs.clone();
            link_inputs.crates.insert(lister.binary.name.clone());
            match FileParts::open(executable) {
                Ok(executable) => {
                    let takes_agent =
                        statics::has_loader(&executable) && compiler::suits_agent(&executable);
                    (statics::read(&executable, &link_inputs), takes_agent)
                }
                Err(why) => (Statics::Unreadable(why.to_string()), false),
            }
        }
    };
    let (found, seen) = lister.list(look);
    let unread = || (Statics::Unreadable("it runs as one test".into()), false);
    let (statics, takes_agent) = seen.unwrap_or_else(unread);
    let Found { dispatch, tests, remark, harness } = found?;
    Ok((TestList { dispatch, tests, statics, takes_agent }, remark, harness))
}
