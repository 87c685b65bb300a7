use proptest::prelude::*;

use super::*;
use crate::cargo::binary::Binary;
use crate::cli::cargo_config::CargoConfig;
use crate::cli::command_line;
use crate::cli::settings::Settings;
use crate::config::keys::Locks;
use crate::config::policy::{PackagePolicy, Policy};
use crate::discovery::filter::Choice;
use crate::discovery::listing::Listing;
use crate::discovery::statics::{Static, Statics};
use crate::discovery::test_list::{Dispatch, Test};
use crate::plan::durations::Measured;
use crate::plan::grouping;
use crate::plan::history::History;
use crate::plan::schedule;

/// A module of a binary: its tests have these rules in common.
#[derive(Debug, Clone)]
struct Module {
    isolation: Isolation,
    /// How long each test takes, in milliseconds.
    tests: Vec<u64>,
    lock: Option<u8>,
    is_read: bool,
    exclusive: bool,
}

/// The modules of each binary.
type Suite = Vec<Vec<Module>>;

/// With fewer tests than that.
fn modules(most: usize) -> impl Strategy<Value = Module> {
    let isolation =
        prop_oneof![Just(Isolation::Unit), Just(Isolation::Split), Just(Isolation::PerTest)];
    let tests = prop::collection::vec(20_u64..2_000, 1..most);
    let lock = prop::option::weighted(0.2, 0_u8..4);
    let rules = (isolation, tests, lock, any::<bool>(), prop::bool::weighted(0.05));
    rules.prop_map(|(isolation, tests, lock, is_read, exclusive)| Module {
        isolation,
        tests,
        lock,
        is_read,
        exclusive,
    })
}

fn suites() -> impl Strategy<Value = Suite> {
    prop::collection::vec(prop::collection::vec(modules(20), 1..12), 1..6)
}

/// 2,000 tests in ten binaries.
fn large_suites() -> impl Strategy<Value = Suite> {
    prop::collection::vec(modules(120), 60).prop_map(|mut modules| {
        let mut left = 2_000;
        for module in &mut modules {
            module.tests.truncate(left);
            left -= module.tests.len();
        }
        modules[0].tests.extend(std::iter::repeat_n(100, left));
        modules.retain(|module| !module.tests.is_empty());
        modules.chunks(modules.len().div_ceil(10)).map(<[Module]>::to_vec).collect()
    })
}

fn test_name(module: usize, test: usize) -> String {
    format!("m{module:02}::t{test:02}")
}

fn group(listing: usize, module: usize, first: usize, of: &Module) -> Group {
    let mut locks = Locks::default();
    if let Some(lock) = of.lock {
        let which = if of.is_read { &mut locks.read } else { &mut locks.write };
        which.push(format!("lock{lock}"));
    }
    let mut group = schedule::tests::group(listing, of.isolation, &vec![None; of.tests.len()]);
    group.tests.iter_mut().for_each(|test| test.id.test += first);
    let module =
        if of.isolation == Isolation::Unit { format!("::m{module:02}") } else { String::new() };
    Group { node: format!("{}{module}", name(listing)), locks, exclusive: of.exclusive, ..group }
}

fn name(listing: usize) -> String {
    format!("binary{listing}")
}

/// The suite as one machine sees it: its binaries and groups in any order.
fn seen(suite: &Suite, is_reversed: bool) -> (Inventory, Vec<Group>) {
    let mut listings = Vec::new();
    let mut groups = Vec::new();
    let mut order: Vec<usize> = (0..suite.len()).collect();
    if is_reversed {
        order.reverse();
    }
    for (place, binary) in order.into_iter().enumerate() {
        let mut tests = Vec::new();
        for (module, of) in suite[binary].iter().enumerate() {
            let mut group = group(place, module, tests.len(), of);
            group.node = group.node.replace(&name(place), &name(binary));
            groups.push(group);
            let names = (0..of.tests.len()).map(|test| test_name(module, test));
            tests.extend(names.map(|name| Test { name, is_ignored: false }));
        }
        let statics = Statics::Known { statics: vec![], has_barrier: false };
        let binary = Binary::example(&name(binary));
        listings.push(Listing::example(binary, Dispatch::Batches, tests, statics));
    }
    if is_reversed {
        groups.reverse();
    }
    let inventory = Inventory { listings: listings.into_iter().collect(), ..Inventory::default() };
    (inventory, groups)
}

fn durations(suite: &Suite) -> Durations {
    let mut durations = Durations::default();
    let of_binary = |(binary, modules): (usize, &Vec<Module>)| {
        let took = modules.iter().enumerate().flat_map(|(module, of)| {
            let test =
                |(test, ms): (usize, &u64)| (test_name(module, test), Duration::from_millis(*ms));
            of.tests.iter().enumerate().map(test).collect::<Vec<_>>()
        });
        let measured = Measured { took: took.collect(), all: None };
        (Binary::example(&name(binary)).key(), measured)
    };
    durations.update(suite.iter().enumerate().map(of_binary).collect());
    durations
}

/// The shard of each test by its name, and what the units were.
fn divided(
    suite: &Suite,
    shards: usize,
    durations: Option<&Durations>,
    is_reversed: bool,
) -> (BTreeMap<String, usize>, Vec<(Unit, usize)>) {
    let (inventory, groups) = seen(suite, is_reversed);
    let units = units(&groups, &inventory, durations);
    let assigned = assign(&units, shards);
    let mut of_tests = BTreeMap::new();
    for (unit, shard) in units.iter().zip(&assigned) {
        for test in &unit.tests {
            let listing = &inventory.listings[test.listing];
            let id = listing.binary.id(&listing.tests[test.test].name);
            assert!(*shard < shards);
            assert_eq!(of_tests.insert(id.clone(), *shard), None, "{id} is in two units");
        }
    }
    (of_tests, units.into_iter().zip(assigned).collect())
}

/// Names of tests that may not part, of each unit, lock and of all that run alone.
fn bound(suite: &Suite) -> Vec<Vec<String>> {
    let mut bound: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (binary, modules) in suite.iter().enumerate() {
        for (module, of) in modules.iter().enumerate() {
            let ids = (0..of.tests.len())
                .map(|test| format!("{}::{}", name(binary), test_name(module, test)));
            let ids: Vec<String> = ids.collect();
            let unit = (of.isolation == Isolation::Unit).then(|| format!("unit {binary} {module}"));
            let lock = of.lock.map(|lock| format!("lock {lock}"));
            let alone = of.exclusive.then(|| "alone".to_owned());
            for why in [unit, lock, alone].into_iter().flatten() {
                bound.entry(why).or_default().extend(ids.clone());
            }
        }
    }
    bound.into_values().collect()
}

proptest! {
    #[test]
    fn every_machine_has_the_same_plan_and_nothing_that_belongs_together_parts(
        suite in suites(),
        shards in 1_usize..=20,
        has_durations: bool,
    ) {
        let durations = has_durations.then(|| durations(&suite));
        let (of_tests, units) = divided(&suite, shards, durations.as_ref(), false);
        let (again, _) = divided(&suite, shards, durations.as_ref(), true);
        prop_assert_eq!(&of_tests, &again, "whatever the order");
        let count: usize = suite.iter().flatten().map(|module| module.tests.len()).sum();
        prop_assert_eq!(of_tests.len(), count, "the union is complete");
        for ids in bound(&suite) {
            let shards: BTreeSet<usize> = ids.iter().map(|id| of_tests[id]).collect();
            prop_assert_eq!(shards.len(), 1, "{:?}", ids);
        }
        if has_durations {
            let mut works = vec![Duration::ZERO; shards];
            units.iter().for_each(|(unit, shard)| works[*shard] += unit.work.unwrap());
            let spread = *works.iter().max().unwrap() - *works.iter().min().unwrap();
            let longest = units.iter().map(|(unit, _)| unit.work.unwrap()).max().unwrap();
            prop_assert!(spread <= longest, "{:?}", works);
        }
    }

    #[test]
    fn a_new_test_moves_no_other_one_where_the_hash_decides(
        suite in suites(),
        shards in 1_usize..=20,
        at in any::<prop::sample::Index>(),
        module in modules(20),
    ) {
        let (before, _) = divided(&suite, shards, None, false);
        let mut larger = suite.clone();
        // At the end, since the tests of this suite are named by their number.
        let binary = at.index(suite.len());
        larger[binary].push(Module { lock: None, exclusive: false, ..module });
        larger[binary][0].tests.push(20);
        let (after, _) = divided(&larger, shards, None, false);
        for (id, shard) in before {
            prop_assert_eq!(after[&id], shard, "{}", id);
        }
    }
}

/// 2,000 tests of 40 modules, some of them units.
fn two_thousand() -> Suite {
    let module = |at: u64| Module {
        isolation: if at.is_multiple_of(4) { Isolation::Unit } else { Isolation::Split },
        tests: (0..50).map(|test| 20 + (at * 37 + test * 11) % 90).collect(),
        lock: None,
        is_read: false,
        exclusive: false,
    };
    (0..4).map(|binary| (0..10).map(|at| module(binary * 10 + at)).collect()).collect()
}

#[test]
fn with_durations_all_shards_have_the_same_work() {
    let suite = two_thousand();
    let durations = durations(&suite);
    for shards in [1, 2, 5, 20] {
        let (_, units) = divided(&suite, shards, Some(&durations), false);
        let mut works = vec![Duration::ZERO; shards];
        units.iter().for_each(|(unit, shard)| works[*shard] += unit.work.unwrap());
        let (least, most) = (works.iter().min().unwrap(), works.iter().max().unwrap());
        assert!(most.as_secs_f64() <= 1.1 * least.as_secs_f64(), "{works:?}");
        let (units, assigned): (Vec<_>, Vec<_>) = units.into_iter().unzip();
        assert_eq!(long_unit(&units, &assigned, shards), None);
    }
}

#[test]
fn by_hash_every_shard_has_its_share_of_tests() {
    let (of_tests, _) = divided(&two_thousand(), 5, None, false);
    let mut counts = [0; 5];
    of_tests.values().for_each(|shard| counts[*shard] += 1);
    assert!(counts.iter().all(|count| (250..550).contains(count)), "{counts:?}");
}

#[test]
fn what_is_longer_than_a_fair_share_is_named() {
    let mut suite = two_thousand();
    suite[1][0].tests[0] = 600_000;
    let durations = durations(&suite);
    for (durations, expected) in [(Some(&durations), true), (None, false)] {
        let (_, units) = divided(&suite, 2, durations, false);
        let (units, assigned): (Vec<_>, Vec<_>) = units.into_iter().unzip();
        let found = long_unit(&units, &assigned, 2);
        assert_eq!(found.is_some(), expected, "{found:?}");
    }
    suite[1][0].isolation = Isolation::Unit;
    suite[1][0].tests = vec![20; 5_000];
    let (_, units) = divided(&suite, 2, None, false);
    let (units, assigned): (Vec<_>, Vec<_>) = units.into_iter().unzip();
    let found = long_unit(&units, &assigned, 2).unwrap();
    assert_eq!(found.name, "binary1::m00");
    assert!(matches!(found.size, UnitSize::Tests { unit: 5_000, .. }), "{found:?}");
}

#[test]
fn slots_and_threads_of_a_machine_do_not_matter() {
    let names = ["cache::a", "cache::b", "db::a", "db::b", "top"];
    let tests = names.iter().map(|name| Test { name: (*name).into(), is_ignored: false }).collect();
    let statics = vec![Static { path: "web::db::TABLE".into(), module: "web::db".into() }];
    let statics = Statics::Known { statics, has_barrier: false };
    let listing = Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics);
    let inventory = Inventory { listings: [listing].into_iter().collect(), ..Inventory::default() };
    let policy = Policy { packages: vec![PackagePolicy::default()], ..Policy::default() };
    let choices = vec![vec![Choice::Run; names.len()]];
    let units = |slots: usize, is_free: bool| {
        let args = command_line::parse(&["cargo-partest".into()]);
        let mut settings = Settings::new(args, CargoConfig::default());
        (settings.slots, settings.may_overcommit) = (slots, is_free);
        settings.thread_cap = (!is_free).then_some(slots);
        settings.tests_at_once = (!is_free).then_some(slots);
        let history = History::default();
        let grouped = grouping::group(&inventory, 0, &choices, &settings, &policy, &history);
        units(&grouped.groups, &inventory, None)
    };
    let expected = units(2, true);
    let keys: Vec<&str> = expected.iter().map(|unit| unit.key.as_str()).collect();
    let of_tests = ["test cache::a", "test cache::b", "test top", "unit ::db"];
    assert_eq!(keys, of_tests.map(|key| format!("web/lib/web {key}")));
    for (slots, is_free) in [(1, true), (64, true), (1, false), (64, false)] {
        assert_eq!(units(slots, is_free), expected, "{slots} {is_free}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn two_thousand_tests_are_divided_completely_and_evenly(
        suite in large_suites(),
        shards in prop::sample::select(vec![1, 2, 5, 20]),
        has_durations: bool,
        has_units: bool,
    ) {
        let mut suite = suite;
        if !has_units {
            for module in suite.iter_mut().flatten() {
                *module = Module {
                    isolation: Isolation::PerTest,
                    lock: None,
                    exclusive: false,
                    ..module.clone()
                };
            }
        }
        let durations = has_durations.then(|| durations(&suite));
        let (of_tests, units) = divided(&suite, shards, durations.as_ref(), false);
        let (elsewhere, _) = divided(&suite, shards, durations.as_ref(), true);
        // `divided` fails where a test is in two shards.
        prop_assert_eq!(of_tests.len(), 2_000);
        prop_assert_eq!(of_tests, elsewhere);
        let mut works = vec![Duration::ZERO; shards];
        units.iter().for_each(|(unit, shard)| works[*shard] += unit.work.unwrap_or_default());
        let tenth = works.iter().sum::<Duration>() / works.len() as u32 / 10;
        let longest = units.iter().filter_map(|(unit, _)| unit.work).max().unwrap_or_default();
        prop_assert!(has_units || longest <= tenth, "single tests are short enough");
        if longest <= tenth {
            let spread = *works.iter().max().unwrap() - *works.iter().min().unwrap();
            prop_assert!(spread <= tenth, "{:?}", works);
        }
    }
}
