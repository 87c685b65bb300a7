//! One part of a suite that several machines run: which tests are left to the others, and what is
//! learned about durations.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use super::project::Project;
use crate::cli::shard_args::ShardChoice;
use crate::cli::shard_variables;
use crate::discovery::filter::Choice;
use crate::error::Result;
use crate::model::shard::{Shard, ShardPlan, ShardWork};
use crate::model::test::TestId;
use crate::model::warning::Warning;
use crate::plan::durations::{self, Durations, Measured};
use crate::plan::grouping;
use crate::plan::history::History;
use crate::plan::shards::{self, Unit};

/// The shard of each selected test, from 0 on.
type Assigned = BTreeMap<TestId, usize>;

/// Leaves the tests of other shards out. None if this machine runs the whole suite.
pub fn select(
    project: Project<'_>,
    choices: &mut [Vec<Choice>],
    warnings: &mut Vec<Warning>,
) -> Result<Option<ShardPlan>> {
    let settings = project.settings;
    let Some(ShardChoice { shard, is_auto }) = settings.shard else { return Ok(None) };
    if is_auto {
        touch_status_file();
    }
    let durations = match &settings.durations_file {
        Some(path) => Durations::load(path)?,
        None => None,
    };
    let goes_by_history = settings.filter.last_failed || project.filtersets.go_by_history();
    if durations.is_some() && goes_by_history {
        warnings.push(Warning::ShardsByHistory);
    }
    // What this machine has run before must not count.
    let history = History::default();
    let Project { policy, inventory, .. } = project;
    let grouped = grouping::group(inventory, 0, choices, settings, policy, &history);
    let units = shards::units(&grouped.groups, inventory, durations.as_ref());
    let of_units = shards::assign(&units, shard.total);
    let mut assigned: Assigned = units
        .iter()
        .zip(&of_units)
        .flat_map(|(unit, shard)| unit.tests.iter().map(|test| (*test, *shard)))
        .collect();
    assign_ignored(project, choices, shard, &mut assigned);
    let is_own = |assigned: &usize| assigned + 1 == shard.index;
    let own = assigned.iter().filter(|(_, shard)| is_own(shard));
    let tests: Vec<TestId> = own.map(|(test, _)| *test).collect();
    for (test, _) in assigned.iter().filter(|(_, shard)| !is_own(shard)) {
        choices[test.listing][test.test] = Choice::LeaveOut;
    }
    Ok(Some(ShardPlan {
        shard,
        fingerprint: fingerprint(project, shard.total, &assigned),
        pipeline: shard_variables::pipeline(),
        elsewhere: assigned.len() - tests.len(),
        tests,
        work: work(&units, &of_units, shard),
        unbalanced: shards::long_unit(&units, &of_units, shard.total),
    }))
}

/// Ignored tests are reported by one shard too.
fn assign_ignored(
    project: Project<'_>,
    choices: &[Vec<Choice>],
    shard: Shard,
    assigned: &mut Assigned,
) {
    for (listing, choices) in choices.iter().enumerate() {
        let key = project.inventory.listings[listing].binary.key();
        for (test, _) in choices.iter().enumerate().filter(|(_, of)| **of == Choice::Ignore) {
            let name = &project.inventory.listings[listing].tests[test].name;
            let shard = shards::by_hash(&format!("{key} test {name}"), shard.total);
            assigned.insert(TestId { listing, test }, shard);
        }
    }
}

fn fingerprint(project: Project<'_>, total: usize, assigned: &Assigned) -> String {
    let tests = assigned.iter().map(|(test, shard)| {
        let listing = &project.inventory.listings[test.listing];
        (listing.binary.key(), listing.tests[test.test].name.as_str(), *shard)
    });
    shards::fingerprint(total, tests)
}

fn work(units: &[Unit], assigned: &[usize], shard: Shard) -> Option<ShardWork> {
    let mut work = ShardWork { own: Duration::ZERO, all: Duration::ZERO };
    for (unit, assigned) in units.iter().zip(assigned) {
        work.all += unit.work?;
        if assigned + 1 == shard.index {
            work.own += unit.work?;
        }
    }
    (!units.is_empty()).then_some(work)
}

/// Tells Bazel that this program is a shard. It would complain otherwise; no result depends on it.
fn touch_status_file() {
    if let Some(path) = std::env::var_os(shard_variables::STATUS_FILE) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|file| file.set_modified(std::time::SystemTime::now()));
    }
}

/// Updates the file with the durations of tests that passed.
pub fn save_durations(
    project: Project<'_>,
    path: &Path,
    passed: &[(TestId, Duration)],
) -> Result<()> {
    let listings = project.inventory.listings.iter();
    let mut news: Vec<(String, Measured)> = listings
        .map(|listing| {
            let all = listing.tests.iter().map(|test| test.name.clone()).collect();
            (listing.binary.key(), Measured { all: Some(all), ..Measured::default() })
        })
        .collect();
    for (test, took) in passed {
        let name = &project.inventory.listings[test.listing].tests[test.test].name;
        news[test.listing].1.took.insert(name.clone(), *took);
    }
    let mut by_binary: BTreeMap<String, Measured> = BTreeMap::new();
    // A target that is built for two platforms has two binaries.
    for (key, Measured { took, all }) in news {
        let known = by_binary.entry(key).or_default();
        known.took.extend(took);
        known.all.get_or_insert_default().extend(all.unwrap_or_default());
    }
    durations::update_file(path, by_binary)
}
