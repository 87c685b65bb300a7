//! Divides a suite among several machines. A pure function of the tests, their rules and a file of
//! durations: every machine comes to the same plan, whatever it has run before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::durations::Durations;
use super::group::{Group, Isolation};
use super::stable_hash::StableHash;
use crate::discovery::inventory::Inventory;
use crate::model::shard::{LongUnit, Shard, UnitSize};
use crate::model::test::TestId;

/// Tests that have to run on one machine: those of one process, and all that exclude each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The same on every machine, and however many tests are added to it.
    pub key: String,
    /// For people.
    pub name: String,
    /// Sorted.
    pub tests: Vec<TestId>,
    /// How long its tests take, one after another; none if that is not to be considered.
    pub work: Option<Duration>,
}

/// Tests of a group that may not part, before those with common locks are joined.
struct Part {
    key: String,
    name: String,
    tests: Vec<TestId>,
    bonds: BTreeSet<Bond>,
}

/// What keeps units of different processes on one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Bond {
    Exclusive,
    Lock(String),
}

impl Bond {
    fn key(&self) -> String {
        match self {
            Bond::Exclusive => "exclusive".to_owned(),
            Bond::Lock(name) => format!("lock {name}"),
        }
    }

    fn name(&self) -> String {
        match self {
            Bond::Exclusive => "the tests with `exclusive`".to_owned(),
            Bond::Lock(name) => format!("the tests with the lock `{name}`"),
        }
    }
}

/// The units of these groups, sorted by their keys. The groups have to be made without a history,
/// which is another one on every machine.
pub fn units(groups: &[Group], inventory: &Inventory, durations: Option<&Durations>) -> Vec<Unit> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for part in groups.iter().flat_map(|group| parts_of(group, inventory)) {
        match parts.get_mut(&part.key) {
            Some(known) => {
                known.tests.extend(part.tests);
                known.bonds.extend(part.bonds);
            }
            None => drop(parts.insert(part.key.clone(), part)),
        }
    }
    let mut units = joined(parts.into_values().collect());
    for unit in &mut units {
        let took = |durations: &Durations| -> Duration {
            let took = |test: &TestId| {
                let listing = &inventory.listings[test.listing];
                durations.expected(&listing.binary.key(), &listing.tests[test.test].name)
            };
            unit.tests.iter().map(took).sum()
        };
        unit.work = durations.map(took);
    }
    units.sort_by(|one, other| one.key.cmp(&other.key));
    units
}

fn parts_of(group: &Group, inventory: &Inventory) -> Vec<Part> {
    let listing = &inventory.listings[group.listing];
    let binary = &listing.binary;
    let locks = group.locks.read.iter().chain(&group.locks.write);
    let bonds: BTreeSet<Bond> = locks
        .map(|name| Bond::Lock(name.clone()))
        .chain(group.exclusive.then_some(Bond::Exclusive))
        .collect();
    // An id begins with the package where another target has that name too, and its key must not
    // change when one is added.
    let node = group.node.strip_prefix(&*binary.prefix).unwrap_or(&group.node);
    let part = |key: [&str; 3], name: String, tests: Vec<TestId>| Part {
        key: key.join(" "),
        name,
        tests,
        bonds: bonds.clone(),
    };
    let binary_key = binary.key();
    if group.isolation == Isolation::Unit {
        let tests = group.tests.iter().map(|test| test.id).collect();
        return vec![part([&binary_key, "unit", node], group.node.clone(), tests)];
    }
    let of_test = |id: TestId| {
        let name = &listing.tests[id.test].name;
        part([&binary_key, "test", name], binary.id(name), vec![id])
    };
    group.tests.iter().map(|test| of_test(test.id)).collect()
}

/// Joins parts that have a bond in common, directly or by way of others.
fn joined(parts: Vec<Part>) -> Vec<Unit> {
    let (free, bound): (Vec<Part>, Vec<Part>) =
        parts.into_iter().partition(|part| part.bonds.is_empty());
    let mut sets: Vec<(BTreeSet<Bond>, Vec<Part>)> = Vec::new();
    for part in bound {
        let (mut bonds, mut members) = (part.bonds.clone(), vec![part]);
        let is_met = |(of, _): &mut (BTreeSet<Bond>, Vec<Part>)| !of.is_disjoint(&members[0].bonds);
        let met: Vec<_> = sets.extract_if(.., is_met).collect();
        for (more_bonds, more) in met {
            bonds.extend(more_bonds);
            members.extend(more);
        }
        sets.push((bonds, members));
    }
    let free = free.into_iter().map(|Part { key, name, tests, .. }| unit(key, name, tests));
    let of_set = |(bonds, mut members): (BTreeSet<Bond>, Vec<Part>)| {
        let bond = bonds.first().unwrap_or(&Bond::Exclusive);
        let name = match &mut *members {
            [only] => std::mem::take(&mut only.name),
            _ => bond.name(),
        };
        // Not by its members: one that is added must not move the others.
        unit(bond.key(), name, members.into_iter().flat_map(|part| part.tests).collect())
    };
    free.chain(sets.into_iter().map(of_set)).collect()
}

fn unit(key: String, name: String, mut tests: Vec<TestId>) -> Unit {
    tests.sort_unstable();
    Unit { key, name, tests, work: None }
}

/// The shard of each unit, from 0 on.
///
/// With durations, the longest unit goes first, each to the shard with the least work: no two shards
/// differ by more than the longest unit. Without them, each unit goes to the shard that its key and
/// the shard's number hash highest with, so that a new unit moves no other one.
pub fn assign(units: &[Unit], shards: usize) -> Vec<usize> {
    let mut assigned: Vec<usize> = units.iter().map(|unit| by_hash(&unit.key, shards)).collect();
    if units.iter().any(|unit| unit.work.is_none()) {
        return assigned;
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    let rank = |at: &usize| (std::cmp::Reverse(units[*at].work), &units[*at].key);
    order.sort_by(|one, other| rank(one).cmp(&rank(other)));
    let mut works = vec![Duration::ZERO; shards];
    for at in order {
        let least = (0..shards).min_by_key(|shard| works[*shard]).unwrap_or_default();
        works[least] += units[at].work.unwrap_or_default();
        assigned[at] = least;
    }
    assigned
}

/// The shard with the highest hash of a key and the shard's number.
pub fn by_hash(key: &str, shards: usize) -> usize {
    let hash = StableHash::of(&[key]);
    let value = |shard: &usize| hash.with(&shard.to_string()).value();
    (0..shards).max_by_key(value).unwrap_or_default()
}

/// Identifies a division: the shard of each test, by the name of the test.
pub fn fingerprint<'t>(
    shards: usize,
    tests: impl Iterator<Item = (String, &'t str, usize)>,
) -> String {
    let mut all: Vec<_> = tests.collect();
    all.sort_unstable();
    let mut hash = StableHash::of(&[&shards.to_string()]);
    for (binary, test, shard) in &all {
        [binary, *test, &shard.to_string()].into_iter().for_each(|part| hash.add(part));
    }
    format!("{:016x}", hash.value())
}

/// The longest unit, if it is longer than a fair share of the work by more than a tenth.
pub fn long_unit(units: &[Unit], assigned: &[usize], shards: usize) -> Option<LongUnit> {
    const SURPLUS: f64 = 1.1;
    let found = |at: usize, size: UnitSize| {
        let shard = Shard { index: assigned[at] + 1, total: shards };
        LongUnit { name: units[at].name.clone(), shard, size }
    };
    let all: Option<Duration> = units.iter().map(|unit| unit.work).sum();
    match all {
        Some(all) => {
            let share = all.div_f64(shards as f64);
            let longest = (0..units.len()).max_by_key(|at| units[*at].work)?;
            let unit = units[longest].work?;
            let is_long = unit.as_secs_f64() > share.as_secs_f64() * SURPLUS;
            is_long.then(|| found(longest, UnitSize::Work { unit, share }))
        }
        None => {
            let all: usize = units.iter().map(|unit| unit.tests.len()).sum();
            let share = all / shards;
            let largest = (0..units.len()).max_by_key(|at| units[*at].tests.len())?;
            let unit = units[largest].tests.len();
            let is_large = unit > 1 && unit as f64 > share as f64 * SURPLUS;
            is_large.then(|| found(largest, UnitSize::Tests { unit, share }))
        }
    }
}

#[cfg(test)]
mod tests;
