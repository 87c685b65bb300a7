//! Diagnostics on the metadata that need the list of tests.

use crate::cargo::binary::DOCTESTS;
use crate::cli::settings::Settings;
use crate::config::diagnostic::{Diagnostic, Severity};
use crate::config::policy::Policy;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::error::{Error, Mistake, Result};
use crate::fixture::test_fixture;
use crate::process::stderr::write_line;
use crate::report::messages;

/// Reports paths in the metadata that match no test of this run, and fixtures that are not tests.
pub fn check_paths(settings: &Settings, policy: &Policy, inventory: &Inventory) -> Result<()> {
    let mut diagnostics = Vec::new();
    test_fixture::check_tests(policy, inventory, &mut diagnostics);
    for package in (0..policy.packages.len()).map(Some).chain([None]) {
        let has_paths = match package {
            Some(index) => !policy.packages[index].config.modules.is_empty(),
            None => policy.of_workspace().any(|config| !config.modules.is_empty()),
        };
        if !has_paths {
            continue;
        }
        let listings = inventory.listings.iter();
        let own = listings.filter(|l| package.is_none_or(|package| package == l.binary.package));
        let all_ids = |listing: &Listing| {
            let ids = listing.tests.iter().map(|test| listing.binary.id(&test.name));
            ids.flat_map(|id| listing.binary.spellings(&id)).collect::<Vec<_>>()
        };
        // A run may leave doctests out.
        let doctests_of = |listing: &&Listing| {
            let is_library = !matches!(listing.binary.kind, "bin" | "test" | "bench" | "example");
            is_library.then(|| listing.binary.id(DOCTESTS))
        };
        let own: Vec<&Listing> = own.collect();
        let doctests = own.iter().filter_map(doctests_of);
        let ids: Vec<String> = own.iter().flat_map(|own| all_ids(own)).chain(doctests).collect();
        policy.check_paths(package, &ids, &mut diagnostics);
    }
    for diagnostic in &diagnostics {
        write_line(&diagnostic.render(settings.color.stderr));
    }
    fail_on_errors(&diagnostics)
}

pub fn fail_on_errors(diagnostics: &[Diagnostic]) -> Result<()> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let mistakes: Vec<Mistake> = errors.map(Diagnostic::mistake).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    let count = messages::count(mistakes.len(), "previous error");
    Err(Error::Metadata { text: format!("aborting due to {count}"), mistakes })
}
