//! Every test of every binary, and what the symbol tables say about them.

use rayon::prelude::*;

use super::binary_facts::is_excluded;
use super::inventory_cache::InventoryCache;
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
    let mut with_cached = |binary: Binary| {
        let identity = identity(&binary);
        let is_one_by_one = cache.is_one_by_one(&binary.executable, identity.as_deref());
        let cached = cache.take(&binary.executable, identity.as_deref());
        (binary, identity, cached, is_one_by_one)
    };
    let binaries: Vec<_> = binaries.into_iter().map(&mut with_cached).collect();
    let is_all_cached = binaries.iter().all(|(_, _, cached, _)| cached.is_some());
    type Known = (Binary, Option<String>, Option<TestList>, bool);
    let list_one = |(binary, identity, cached, is_one_by_one): Known| {
        let is_new = cached.is_none();
        let is_excluded = is_excluded(&binary, filtersets);
        let listed = match cached {
            Some(list) => Ok((list, None)),
            None => {
                let limit = policy.list_timeout(binary.package);
                list(Lister { binary: &binary, limit, groups, is_one_by_one }, link_inputs)
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
                    cache.note_listed(&listing);
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

fn list(
    lister: Lister<'_>,
    link_inputs: &LinkInputs,
) -> Result<(TestList, Option<UnlistableHarness>), ListFailure> {
    let binary = lister.binary;
    // A binary's own crate is the user's code in it, and in no other binary: nobody links a test
    // target.
    let mut link_inputs = link_inputs.clone();
    link_inputs.crates.insert(binary.name.clone());
    let statics = statics::read(&binary.executable, &link_inputs);
    let takes_agent =
        statics::has_loader(&binary.executable) && compiler::suits_agent(&binary.executable);
    let Found { dispatch, tests, remark } = lister.list()?;
    Ok((TestList { dispatch, tests, statics, takes_agent }, remark))
}
