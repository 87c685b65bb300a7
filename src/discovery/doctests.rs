//! The doctests of a run, which rustdoc lists.

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

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
    // The threads of the run may all wait for tests.
    let threads = settings.slots.clamp(1, binaries.len().max(1));
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let listed: Vec<Result<Listing, ListFailure>> = match pool {
        Ok(pool) => pool.install(|| binaries.into_par_iter().map(list).collect()),
        Err(_) => binaries.into_iter().map(list).collect(),
    };
    for listed in listed {
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
