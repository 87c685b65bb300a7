//! `explain`: what decides about one test, and what is known of it.

use crate::commands::project::Project;
use crate::config::diagnostic::nearest;
use crate::config::policy::covers;
use crate::discovery::filter::Choice;
use crate::discovery::inventory::Inventory;
use crate::discovery::selection::Past;
use crate::error::{Error, Mistake, Result};
use crate::model::test::TestId;
use crate::plan::grouping;
use crate::plan::history::History;
use crate::report::explanation::{Explanation, Fixture, LearntLock};
use crate::report::messages;
use crate::report::view::View;
use crate::sharing::learnt::{Lock, User};

/// Everything about the test that `wanted` names.
pub fn explain(
    wanted: &str,
    project: Project<'_>,
    history: &History,
    choices: &[Vec<Choice>],
) -> Result<String> {
    let Project { settings, policy, inventory, .. } = project;
    let test = find(wanted, inventory)?;
    let listing = &inventory.listings[test.listing];
    let (binary, name) = (&listing.binary, &listing.tests[test.test].name);
    let all: Vec<Vec<Choice>> =
        inventory.listings.iter().map(|listing| vec![Choice::Run; listing.tests.len()]).collect();
    let grouped = grouping::group(inventory, 0, &all, settings, policy, history);
    let is_its =
        |group: &&crate::plan::group::Group| group.listing == test.listing && group.has(test);
    let group = grouped.groups.iter().find(is_its).ok_or_else(|| not_found(wanted, None))?;
    // With the name of the crate, by which the metadata is looked up.
    let id = format!("{}::{name}", binary.name);
    let fixtures = policy.fixtures_of(binary.package, &id).into_iter().map(|(name, place)| {
        Fixture { name: policy.key_of(&name), place: place.map(|place| place.to_string()) }
    });
    let key = binary.key();
    let record = history.past(&key, name);
    let learnt = history.learnt.used_by(&key, name).filter(|_| policy.learns());
    let is_fixture = policy.fixture_tests().any(|(package, test)| {
        package.is_none_or(|package| package == binary.package)
            && binary.test_name(&test.value) == Some(name)
    });
    let explanation = Explanation {
        test,
        choice: choices[test.listing][test.test],
        is_fixture,
        settings: policy.settings(binary.package, &id),
        group,
        record,
        last_result: match record {
            _ if history.has_failed(&key, name) => Some("failed"),
            _ if history.is_unfinished(&key, name) => Some("did not get to run"),
            Some(_) => Some("passed"),
            None => None,
        },
        learnt: learnt.map(|lock| learnt_lock(lock, &key, name, inventory)).collect(),
        fixtures: fixtures.collect(),
    };
    let root = project.workspace.root();
    Ok(explanation.shown(View { inventory, settings, root: &root }))
}

fn learnt_lock(lock: &Lock, binary: &str, test: &str, inventory: &Inventory) -> LearntLock {
    let is_own =
        |user: &User| user.binary == binary && user.test.as_deref().is_none_or(|own| own == test);
    let shown = |user: &User| {
        let listing = inventory.listings.iter().find(|known| known.binary.key() == user.binary);
        let prefix = listing.map_or(&*user.binary, |listing| &*listing.binary.prefix);
        match &user.test {
            Some(test) => format!("{prefix}::{test}"),
            None => prefix.to_owned(),
        }
    };
    let own = lock.users.iter().find(|user| is_own(&user.user));
    let others = lock.users.iter().filter(|user| !is_own(&user.user));
    LearntLock {
        thing: lock.thing.to_string(),
        only_reads: own.is_some_and(|own| own.only_reads),
        proven: lock.is_proven,
        with: others.map(|user| shown(&user.user)).collect(),
    }
}

/// A test with its id.
type Named = (TestId, String);

/// The test with this id, with this name, or the only one whose id ends like this.
fn find(wanted: &str, inventory: &Inventory) -> Result<TestId> {
    let mut all: Vec<Named> = Vec::new();
    for (listing, known) in inventory.listings.iter().enumerate() {
        let ids = known.tests.iter().enumerate();
        all.extend(ids.map(|(test, own)| (TestId { listing, test }, known.binary.id(&own.name))));
    }
    let test = |id: TestId| {
        let listing = &inventory.listings[id.listing];
        (&listing.binary, listing.tests[id.test].name.as_str())
    };
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
    let ids = || all.iter().map(|(_, id)| id.as_str());
    let last = |id: &'_ str| -> usize { id.rfind("::").map_or(0, |at| at + 2) };
    let by_last_word = || {
        let near = nearest(&wanted[last(wanted)..], ids().map(|id| &id[last(id)..]))?;
        ids().find(|id| &id[last(id)..] == near)
    };
    Err(not_found(wanted, nearest(wanted, ids()).or_else(by_last_word)))
}

fn several_tests(wanted: &str, tests: &[&Named]) -> Error {
    let ids: Vec<String> = tests.iter().map(|(_, id)| id.clone()).collect();
    let number = messages::count(ids.len(), "test");
    mistake(
        format!("`{wanted}` names {number}"),
        format!("choose one of them: {}", messages::list(&ids)),
    )
}

fn not_found(wanted: &str, near: Option<&str>) -> Error {
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`cargo partest list` lists all tests".to_owned(),
    };
    mistake(format!("no test is named `{wanted}`"), help)
}

fn mistake(message: String, help: String) -> Error {
    let text = format!("{message}; {help}");
    Error::Metadata { text, mistakes: vec![Mistake { place: None, message, help: Some(help) }] }
}
