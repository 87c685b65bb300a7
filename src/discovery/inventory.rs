//! Every test of every binary, and what the symbol tables say about them.

use rayon::prelude::*;

use super::binary_facts::is_excluded;
use super::inventory_cache::{InventoryCache, Known};
use super::lister::{Found, Lister};
use super::listing::{Listing, Listings};
use super::test_list::TestList;
use super::{compiler, statics};
use crate::cargo::binary::Binary;
use crate::cargo::link_inputs::LinkInputs;
use crate::config::policy::Policy;
use crate::filterset::filters::Filtersets;
use crate::model::listing::{ListFailure, UnlistableHarness};
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
    /// The problems in listing, as notes for the user.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        let remarks = self.remarks.iter().cloned().map(Warning::RunsAsOneTest);
        self.failures.iter().cloned().map(Warning::ListFailed).chain(remarks)
    }
}

/// Lists all binaries, side by side where there is a `pool`, except those whose lists are cached. One
/// that cannot be listed is left out if no expression can choose its tests.
pub fn take(
    binaries: Vec<Binary>,
    (policy, filtersets): (&Policy, &Filtersets),
    link_inputs: &LinkInputs,
    cache: &mut InventoryCache,
    pool: Option<&rayon::ThreadPool>,
    groups: &ProcessGroups,
) -> Inventory {
    let mut with_known = |binary: Binary| {
        let identity = identity(&binary);
        let known = cache.take(&binary, identity.as_deref());
        (binary, identity, known)
    };
    let binaries: Vec<_> = binaries.into_iter().map(&mut with_known).collect();
    let is_all_cached = binaries.iter().all(|(_, _, known)| known.list.is_some());
    let list_one = |(binary, identity, known): (Binary, Option<String>, Known)| {
        let is_new = known.list.is_none() && known.without_tests.is_none();
        let is_excluded = is_excluded(&binary, filtersets);
        let listed = match known.list {
            Some(list) => Ok((list, None)),
            None => {
                let limit = policy.list_timeout(binary.package);
                let lister = Lister { binary: &binary, limit, groups, known: known.dispatch };
                list(lister, known.without_tests, link_inputs)
            }
        };
        match listed {
            // Nobody wants to know.
            Err(_) if is_excluded => None,
            listed => Some(
                listed.map(|(list, remark)| (Listing::new(binary, identity, list), remark, is_new)),
            ),
        }
    };
    // Where nothing is to be listed, waking other threads would take longer than all of this.
    let listed: Vec<_> = match pool.filter(|_| !is_all_cached) {
        None => binaries.into_iter().filter_map(list_one).collect(),
        Some(pool) => pool.install(|| binaries.into_par_iter().filter_map(list_one).collect()),
    };
    let mut inventory = Inventory::default();
    for result in listed {
        match result {
            Ok((listing, remark, is_new)) => {
                inventory.remarks.extend(remark);
                if is_new {
                    cache.note_new(&listing);
                }
                inventory.listings.push(listing);
            }
            Err(failure) => inventory.failures.push(failure),
        }
    }
    inventory
}

/// The identity of the executable, and the command line of its runner.
fn identity(binary: &Binary) -> Option<String> {
    Some(format!("{}:{:?}", state::identity(&binary.executable)?, binary.runner))
}

/// Lists a binary, of which all but the tests may be known.
fn list(
    lister: Lister<'_>,
    known: Option<TestList>,
    link_inputs: &LinkInputs,
) -> Result<(TestList, Option<UnlistableHarness>), ListFailure> {
    let executable = &lister.binary.executable;
    let look = || match known {
        Some(TestList { statics, takes_agent, .. }) => (statics, takes_agent),
        None => {
            // A binary's own crate is the user's code in it, and in no other binary: nobody links
            // a test target.
            let mut link_inputs = link_inputs.clone();
            link_inputs.crates.insert(lister.binary.name.clone());
            let takes_agent = statics::has_loader(executable) && compiler::suits_agent(executable);
            (statics::read(executable, &link_inputs), takes_agent)
        }
    };
    let ask = || lister.list();
    // In a pool the binary lists its tests in the meantime.
    let ((statics, takes_agent), found) = match rayon::current_thread_index() {
        Some(_) => rayon::join(look, ask),
        None => (look(), ask()),
    };
    let Found { dispatch, tests, remark } = found?;
    Ok((TestList { dispatch, tests, statics, takes_agent }, remark))
}
