//! `explain`: what decides about one test, and what is known of it.

use crate::commands::project::Project;
use crate::commands::test_name;
use crate::discovery::filter::Choice;
use crate::discovery::inventory::Inventory;
use crate::discovery::selection::Past;
use crate::error::{Error, Result};
use crate::model::test::TestId;
use crate::plan::grouping;
use crate::plan::history::History;
use crate::report::explanation::{Explanation, Fixture, LearntLock};
use crate::sharing::lock::{Lock, User};

/// Everything about the test that `wanted` names.
pub fn explain(
    wanted: &str,
    project: Project<'_>,
    history: &History,
    choices: &[Vec<Choice>],
) -> Result<String> {
    let Project { settings, policy, inventory, .. } = project;
    let listings = inventory.listings.iter().enumerate();
    let tests = listings
        .flat_map(|(listing, of)| (0..of.tests.len()).map(move |test| TestId { listing, test }));
    let test = test_name::find(wanted, inventory, tests, "`cargo partest list` lists all tests")?;
    let listing = &inventory.listings[test.listing];
    let (binary, name) = (&listing.binary, &listing.tests[test.test].name);
    let all: Vec<Vec<Choice>> =
        inventory.listings.iter().map(|listing| vec![Choice::Run; listing.tests.len()]).collect();
    let grouped = grouping::group(inventory, 0, &all, settings, policy, history);
    let is_its =
        |group: &&crate::plan::group::Group| group.listing == test.listing && group.has(test);
    let group = grouped.groups.iter().find(is_its);
    let group = group.ok_or_else(|| Error::usage(format!("`{wanted}` is in no group")))?;
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
    Ok(explanation.shown(project.view()))
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
