//! The doctests of a run, which rustdoc lists.

use std::thread::ScopedJoinHandle;

use super::binary_facts;
use super::doc_comments;
use super::doctest_lister::DoctestLister;
use super::listing::Listing;
use super::statics::Statics;
use super::test_list::{Dispatch, TestList};
use crate::cargo::binary::{Binary, DOCTESTS};
use crate::cargo::rustdoc;
use crate::cargo::workspace::Workspace;
use crate::cli::settings::Settings;
use crate::config::policy::Policy;
use crate::filterset::filters::Filtersets;
use crate::model::listing::{BinaryName, ListAttempt, ListFailure};
use crate::process::process_groups::ProcessGroups;

/// The doctests of each package that has some, and the packages whose doctests cannot be listed.
#[derive(Debug, Default)]
pub struct Doctests {
    pub listings: Vec<Listing>,
    pub failures: Vec<ListFailure>,
}

/// The packages whose doctests are to be listed, among those with a library that cargo has built:
/// none if the command line leaves doctests out, or filters can choose none.
pub fn packages(
    settings: &Settings,
    workspace: &Workspace,
    filtersets: &Filtersets,
    built: Vec<usize>,
) -> Vec<usize> {
    if !settings.cargo.wants_doctests() {
        return Vec::new();
    }
    let may_be_chosen = |index: usize| {
        let libraries =
            workspace.packages[index].cargo.targets.iter().filter(|target| target.doctest);
        let mut doctests = libraries.map(|target| rustdoc::of_library(workspace, index, target));
        doctests.any(|doctests| !binary_facts::is_excluded(&doctests, filtersets))
    };
    let may_have_some =
        |index: &usize| doc_comments::may_have_doctests(&workspace.packages[*index]);
    built.into_iter().filter(|index| may_be_chosen(*index)).filter(may_have_some).collect()
}

/// Lists the doctests of those of the packages that the user has selected, several at once.
pub fn take(
    packages: &[usize],
    settings: &Settings,
    workspace: &Workspace,
    policy: &Policy,
    groups: &ProcessGroups,
) -> Doctests {
    if packages.is_empty() {
        return Doctests::default();
    }
    let mut binaries = match rustdoc::doctests(settings, workspace, groups) {
        Ok(binaries) => binaries,
        Err(answer) => {
            let name =
                BinaryName { name: String::new(), kind: DOCTESTS.into(), package: String::new() };
            let failure = failure(name, answer);
            return Doctests { listings: Vec::new(), failures: vec![failure] };
        }
    };
    binaries.retain(|binary| packages.contains(&binary.package));
    binaries.sort_by(Binary::compare);
    let list = |binary: Binary| {
        let limit = policy.list_timeout(binary.package);
        let listed = DoctestLister { binary: &binary, limit, groups }.list();
        match listed {
            Ok(tests) => {
                let statics = Statics::Known { statics: Vec::new(), has_barrier: false };
                let dispatch = Dispatch::Doctests;
                let list = TestList { dispatch, tests, statics, takes_agent: false };
                Ok(Listing::new(binary, None, list))
            }
            Err(answer) => Err(failure(binary.full_name(), answer)),
        }
    };
    let mut found = Doctests::default();
    for listed in side_by_side(binaries, settings.slots, &list) {
        match listed {
            Ok(listing) if listing.tests.is_empty() => {}
            Ok(listing) => found.listings.push(listing),
            Err(failure) => found.failures.push(failure),
        }
    }
    found
}

fn failure(binary: BinaryName, answer: ListAttempt) -> ListFailure {
    ListFailure { binary, answer: Box::new(answer), is_doctests: true }
}

/// The results in the order of the items, made by so many threads.
fn side_by_side<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    make: &(impl Fn(T) -> R + Sync),
) -> Vec<R> {
    let threads = threads.clamp(1, items.len().max(1));
    let mut shares: Vec<Vec<(usize, T)>> = (0..threads).map(|_| Vec::new()).collect();
    for (at, item) in items.into_iter().enumerate() {
        shares[at % threads].push((at, item));
    }
    let work = |share: Vec<(usize, T)>| -> Vec<(usize, R)> {
        share.into_iter().map(|(at, item)| (at, make(item))).collect()
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || work(share))).collect();
        let join = |worker: ScopedJoinHandle<'_, Vec<(usize, R)>>| match worker.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
