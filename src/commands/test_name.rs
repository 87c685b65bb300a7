//! The one test that a command is about, by the name that was typed.

use crate::cli::settings::TestFilter;
use crate::config::diagnostic::nearest;
use crate::config::policy::covers;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::error::{Error, Result};
use crate::model::printable::printable_name;
use crate::model::test::TestId;
use crate::report::messages;

/// A test with its id.
type Named = (TestId, String);

/// Of these tests the one with this id, with this name, or the only one whose id ends like this.
/// `otherwise` is the help where no name is near.
pub fn find(
    wanted: &str,
    inventory: &Inventory,
    tests: impl IntoIterator<Item = TestId>,
    otherwise: &str,
) -> Result<TestId> {
    let test = |id: TestId| {
        let listing = &inventory.listings[id.listing];
        (&listing.binary, listing.tests[id.test].name.as_str())
    };
    let named = |id: TestId| (id, test(id).0.id(test(id).1));
    let all: Vec<Named> = tests.into_iter().map(named).collect();
    let is_id = |id: TestId| test(id).0.test_name(wanted) == Some(test(id).1);
    let ends_so = |id: &str| {
        id.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with("::"))
    };
    let ways: [Vec<&Named>; 3] = [
        all.iter().filter(|(id, _)| is_id(*id)).collect(),
        all.iter().filter(|(id, _)| test(*id).1 == wanted).collect(),
        all.iter().filter(|(_, id)| ends_so(id)).collect(),
    ];
    for found in ways {
        match found.as_slice() {
            [] => {}
            [(id, _)] => return Ok(*id),
            several => return Err(several_tests(wanted, several)),
        }
    }
    let inner = format!("::{wanted}::");
    let is_below = |(_, id): &&Named| covers(wanted, id) || id.contains(&inner);
    let below: Vec<&Named> = all.iter().filter(is_below).collect();
    if !below.is_empty() {
        return Err(several_tests(wanted, &below));
    }
    let help = match near(wanted, &all) {
        Some(near) => format!("did you mean `{}`?", printable_name(near)),
        None => otherwise.to_owned(),
    };
    Err(Error::usage_with_help(format!("no test is named `{wanted}`"), help))
}

/// What to type instead of the only filter, if there is one filter and nothing else. It may have been
/// meant as a package, a file or a pattern; otherwise the nearest test is named.
pub fn tip(filter: &TestFilter, inventory: &Inventory) -> Option<String> {
    let ([wanted], []) = (filter.filters.as_slice(), filter.filtersets.as_slice()) else {
        return None;
    };
    let mut listings = inventory.listings.iter();
    if listings.any(|listing| listing.binary.full_name().package == *wanted) {
        return Some(format!("for the tests of a package, use `-p {wanted}`"));
    }
    if wanted.contains('*') {
        return Some(format!(
            "a filter is a part of a name; for a pattern, use `-E 'test(#{wanted})'`"
        ));
    }
    for_file(wanted).or_else(|| Some(format!("did you mean `{}`?", nearest_id(wanted, inventory)?)))
}

/// What to type for the tests of a source file.
fn for_file(wanted: &str) -> Option<String> {
    let path = wanted.strip_suffix(".rs")?;
    let below = |folder: &str| {
        path.strip_prefix(folder).or_else(|| path.split_once(&format!("/{folder}")).map(|at| at.1))
    };
    let instead = match (below("tests/"), below("src/")) {
        (Some(target), _) if !target.contains('/') => format!("--test {target}"),
        (_, Some("lib")) => "--lib".to_owned(),
        (_, Some("main")) => "--bins".to_owned(),
        (_, Some(module)) => {
            format!("{}::", module.strip_suffix("/mod").unwrap_or(module).replace('/', "::"))
        }
        _ => return Some("a filter is a part of a test's name, not a file".to_owned()),
    };
    Some(format!("for the tests of a file, use `{instead}`"))
}

/// The id of the test that is nearest.
fn nearest_id(wanted: &str, inventory: &Inventory) -> Option<String> {
    let of_listing = |(place, listing): (usize, &Listing)| -> Vec<Named> {
        let tests = listing.tests.iter().enumerate();
        let named =
            tests.map(|(test, it)| (TestId { listing: place, test }, listing.binary.id(&it.name)));
        named.collect()
    };
    let all: Vec<Named> = inventory.listings.iter().enumerate().flat_map(of_listing).collect();
    near(wanted, &all).map(printable_name)
}

/// The id that is nearest, as a whole or by its last word.
fn near<'n>(wanted: &str, all: &'n [Named]) -> Option<&'n str> {
    let ids = || all.iter().map(|(_, id)| id.as_str());
    let last = |id: &str| -> usize { id.rfind("::").map_or(0, |at| at + 2) };
    let by_last_word = || {
        let near = nearest(&wanted[last(wanted)..], ids().map(|id| &id[last(id)..]))?;
        ids().find(|id| &id[last(id)..] == near)
    };
    nearest(wanted, ids()).or_else(by_last_word)
}

fn several_tests(wanted: &str, tests: &[&Named]) -> Error {
    let ids: Vec<String> = tests.iter().map(|(_, id)| printable_name(id)).collect();
    let number = messages::count(ids.len(), "test");
    Error::usage_with_help(
        format!("`{wanted}` names {number}"),
        format!("choose one of them: {}", messages::list(&ids)),
    )
}
