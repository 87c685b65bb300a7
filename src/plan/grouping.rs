//! Groups tests by policy: which tests stay together, and which may be spread. Everything follows
//! from one function from a test to its group.

mod coalesce;
mod kept_together;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use self::coalesce::{coalesce, tell_apart};
use self::kept_together::{BoundNode, bound_nodes, kept_together, module_of};
use super::candidate::PROCESS_COST;
use super::cpu_load::{load_if_trivial, mostly_waits};
use super::history::{History, Record};
use crate::cli::settings::Settings;
use crate::config::keys::{Kind, Locks, Recycle, Threads};
use crate::config::policy::by_module::RulesByModule;
use crate::config::policy::{FixtureName, Policy, Rules};
use crate::discovery::filter::Choice;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::discovery::statics::Statics;
use crate::discovery::test_list::Dispatch;
use crate::model::test::TestId;
use crate::plan::group::{Group, GroupTest, Isolation, Need, Recycling, Slots, Threading};

/// The groups of the selected tests.
#[derive(Debug, Default)]
pub struct Grouped {
    pub groups: Vec<Group>,
    /// The fixtures that the groups need, which refer to them by index.
    pub fixtures: Vec<FixtureName>,
}

/// Groups the tests of the listings from the `first` one on, as selected by `choices`.
pub fn group(
    inventory: &Inventory,
    first: usize,
    choices: &[Vec<Choice>],
    settings: &Settings,
    policy: &Policy,
    history: &History,
) -> Grouped {
    let mut grouped = Grouped::default();
    // A shuffled order depends on the seed alone, but what would break still does not meet.
    let shuffled = settings.shuffle.map(|_| History::of_locks(history.learnt.clone()));
    let history = shuffled.as_ref().unwrap_or(history);
    let listings = inventory.listings.iter().enumerate().skip(first);
    for ((index, listing), choices) in listings.zip(choices) {
        let chosen: Vec<usize> =
            (0..listing.tests.len()).filter(|test| choices[*test] == Choice::Run).collect();
        if !chosen.is_empty() {
            let own = grouped.groups.len();
            group_listing(index, listing, &chosen, policy, history, &mut grouped);
            for group in &mut grouped.groups[own..] {
                (group.at_once, group.shuffle) = (settings.tests_at_once, settings.shuffle);
                // It needs the agent.
                let is_libtest = listing.dispatch == Dispatch::Batches;
                group.can_resize = settings.agent && is_libtest && listing.takes_agent();
            }
            tell_apart(listing, &mut grouped.groups[own..]);
            match settings.may_overcommit {
                true => coalesce(&mut grouped.groups, own),
                // A user who sets the number of slots expects that many processes.
                false => {
                    grouped.groups[own..].iter_mut().for_each(|g| g.has_explicit_policy = true)
                }
            }
        }
    }
    grouped
}

/// How many slots the plan gets: as many as the user says, or as there are cores; more if tests are
/// known to wait most of their time, or may turn out to. Groups that are still to come are unknown.
pub fn slots(
    groups: &[Group],
    more_to_come: bool,
    settings: &Settings,
    overcommit: usize,
) -> Slots {
    const LONG: f64 = 0.05;
    let tests = || groups.iter().flat_map(|group| &group.tests);
    let known = tests().filter_map(|test| Some((test.expected?.as_secs_f64(), test.load)));
    let (time, busy) =
        known.fold((0.0, 0.0), |(time, busy), (took, load)| (time + took, busy + took * load));
    let cores = settings.slots;
    let count = settings.most_slots(overcommit);
    if count == cores {
        cores.into()
    } else if time > LONG && mostly_waits(busy / time) {
        Slots { count, cores: Some(cores), likely: count }
    } else if more_to_come || tests().any(|test| test.expected.is_none()) {
        Slots { count, cores: Some(cores), likely: cores }
    } else {
        cores.into()
    }
}

/// Tests of a binary with the same key are in one group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GroupKey {
    kept_together: Option<String>,
    isolated: bool,
    env: BTreeMap<String, String>,
    fixtures: Vec<Vec<FixtureName>>,
    /// What splittable tests must have in common to share a batch; a unit, which is never split,
    /// merges these instead.
    of_split: Option<(Threads, usize, Locks, bool, Option<u64>, Recycle)>,
}

fn group_listing(
    index: usize,
    listing: &Listing,
    chosen: &[usize],
    policy: &Policy,
    history: &History,
    grouped: &mut Grouped,
) {
    let binary = &listing.binary;
    let history_key = binary.key();
    let learnt = Some(&history.learnt).filter(|learnt| policy.learns() && !learnt.is_empty());
    let mut placing = Placement {
        index,
        listing,
        policy,
        learnt: learnt.map(|learnt| learnt.of_binary(&history_key)).unwrap_or_default(),
        bound: bound_nodes(listing),
        rules_of: RulesByModule::new(policy, binary.package),
        places: HashMap::new(),
        locks_of_tests: HashMap::new(),
        grouped,
    };
    // Nearly always the module alone decides, and tests are listed module by module.
    let mut last: Option<(Option<&str>, usize, Rc<Rules>)> = None;
    let mut id = String::new();
    for &test in chosen {
        let name = &listing.tests[test].name;
        id.clear();
        id.extend([&binary.name, "::", name]);
        let module = match listing.dispatch {
            // Their names are no paths.
            Dispatch::Doctests => None,
            _ => module_of(name),
        };
        let by_module = !placing.names(&id);
        let known = last.take().filter(|(of, ..)| by_module && *of == module);
        let (place, rules) = match known {
            Some((_, place, rules)) => (place, rules),
            None => placing.find(&id),
        };
        placing.keep_apart(place, &rules);
        let past = history.past(&history_key, name);
        placing.grouped.groups[place].tests.push(GroupTest {
            id: TestId { listing: index, test },
            expected: past.map(|past| past.took + hand_over(listing.dispatch)),
            load: past.map_or(1.0, |past| load(past, listing.dispatch)),
            failed: past.is_some_and(|past| past.failed),
            timeout: rules.timeout,
            slow: rules.slow,
            retries: rules.retries,
            leaks: Some(rules.leaks.clone()),
        });
        last = by_module.then_some((module, place, rules));
    }
}

/// How long a slot waits after each test for libtest's main thread, which prints, joins and starts
/// the next one. With 10,000 trivial tests two threads on two cores took 0.24 s, three to eight
/// 0.18 s. Under other harnesses tests run one after another, and no slot waits.
fn hand_over(dispatch: Dispatch) -> Duration {
    match dispatch {
        Dispatch::Batches => Duration::from_micros(20),
        _ => Duration::ZERO,
    }
}

/// The CPU load of a test. One that was never measured is assumed to keep a core busy, unless it is
/// trivial.
fn load(past: Record, dispatch: Dispatch) -> f64 {
    let trivial = load_if_trivial(past.took)
        .filter(|_| threading(dispatch, Isolation::Split) != Threading::InTurn);
    past.load.or(trivial).unwrap_or(1.0)
}

/// What a process costs before its first test, if listing all of them took so long.
fn process_cost(took: Option<Duration>) -> Duration {
    /// A list that took longer may have waited for a compiler. Long tests shall not share a process
    /// for that.
    const MOST: Duration = Duration::from_millis(100);
    took.unwrap_or_default().clamp(PROCESS_COST, MOST)
}

fn threading(dispatch: Dispatch, isolation: Isolation) -> Threading {
    match (dispatch, isolation) {
        (Dispatch::Batches | Dispatch::Doctests, _) => Threading::Threads,
        // Tests of a unit cannot be shared by processes. Otherwise each of those runs one test after
        // another, so that it is always known which one.
        (Dispatch::MimicBatches, Isolation::Unit) => Threading::HiddenStarts,
        _ => Threading::InTurn,
    }
}

/// Assigns the tests of one binary to groups.
struct Placement<'p> {
    index: usize,
    listing: &'p Listing,
    policy: &'p Policy,
    /// The locks of its tests that earlier runs have learnt.
    learnt: BTreeMap<Option<String>, Locks>,
    bound: Vec<BoundNode>,
    rules_of: RulesByModule<'p>,
    places: HashMap<GroupKey, usize>,
    /// By group, the locks of its tests so far.
    locks_of_tests: HashMap<usize, Locks>,
    grouped: &'p mut Grouped,
}

impl Placement<'_> {
    /// Whether a key or a static names this test instead of its module.
    fn names(&self, id: &str) -> bool {
        self.rules_of.names(id)
            || self.bound.iter().any(|b| b.node == id)
            || !self.learnt.is_empty()
    }

    /// The rules of a test, with the locks that were learnt.
    fn rules(&mut self, id: &str) -> Rc<Rules> {
        let rules = self.rules_of.get(id);
        let name = id.strip_prefix(&self.listing.binary.name).and_then(|id| id.strip_prefix("::"));
        let of_test = name.and_then(|name| self.learnt.get(&Some(name.to_owned())));
        let learnt: Vec<&Locks> = self.learnt.get(&None).into_iter().chain(of_test).collect();
        if learnt.is_empty() {
            return rules;
        }
        let mut rules = Rules::clone(&rules);
        learnt.into_iter().for_each(|locks| rules.locks.add(locks));
        Rc::new(rules)
    }

    /// Tests that exclude each other do so in one process as well, unless its threads are declared.
    /// What was learnt of all tests of a binary keeps only its processes apart from others.
    fn keep_apart(&mut self, place: usize, rules: &Rules) {
        let own = match self.learnt.get(&None) {
            Some(of_processes) => rules.locks.without(of_processes),
            None => rules.locks.clone(),
        };
        if own == Locks::default() {
            return;
        }
        let group = &mut self.grouped.groups[place];
        let others = self.locks_of_tests.entry(place).or_default();
        if group.threads == Threads::Auto && others.exclude(&own) {
            group.threads = Threads::Exactly(1);
        }
        others.add(&own);
    }

    /// The index of a test's group, and the test's rules.
    fn find(&mut self, id: &str) -> (usize, Rc<Rules>) {
        let Placement { index, listing, policy, .. } = *self;
        let rules = self.rules(id);
        let (kept_together, why) = match listing.dispatch {
            Dispatch::Doctests => (Some(listing.binary.name.clone()), DOCTESTS_ARE_UNIT.to_owned()),
            _ => kept_together(&rules, id, &self.bound, &listing.binary),
        };
        let key = key(&rules, kept_together.clone());
        let grouped = &mut *self.grouped;
        let place = *self.places.entry(key).or_insert_with(|| {
            let mut group = new_group(index, listing, &rules, kept_together, why);
            group.fixtures = needs(&rules.fixtures, policy, &mut grouped.fixtures);
            grouped.groups.push(group);
            grouped.groups.len() - 1
        });
        sum_up(&mut grouped.groups[place], &rules);
        (place, rules)
    }
}

/// A second process would compile them all again.
const DOCTESTS_ARE_UNIT: &str = "unit: rustdoc compiles the doctests of a package together";

/// The fixtures that a group needs, as indices into `all`, to which new ones are added.
fn needs(
    levels: &[Vec<FixtureName>],
    policy: &Policy,
    all: &mut Vec<FixtureName>,
) -> Vec<Vec<Need>> {
    let mut need = |name: &FixtureName| {
        let fixture = all.iter().position(|known| known == name).unwrap_or_else(|| {
            all.push(name.clone());
            all.len() - 1
        });
        let scope = policy.fixture(name).map(|keys| keys.scope).unwrap_or_default();
        Need { fixture, scope }
    };
    levels.iter().map(|level| level.iter().map(&mut need).collect()).collect()
}

fn key(rules: &Rules, kept_together: Option<String>) -> GroupKey {
    let of_split = kept_together.is_none().then(|| {
        let locks = rules.locks.clone();
        (rules.threads, rules.slots, locks, rules.exclusive, rules.memory, rules.recycle)
    });
    let isolated = rules.isolate && kept_together.is_none();
    let (env, fixtures) = (rules.env.clone(), rules.fixtures.clone());
    GroupKey { kept_together, isolated, env, fixtures, of_split }
}

fn new_group(
    index: usize,
    listing: &Listing,
    rules: &Rules,
    kept_together: Option<String>,
    why: String,
) -> Group {
    let isolation = match kept_together {
        Some(_) => Isolation::Unit,
        None if rules.isolate => Isolation::PerTest,
        None => Isolation::Split,
    };
    Group {
        listing: index,
        node: listing.binary.node_id(kept_together.as_ref().unwrap_or(&listing.binary.name)),
        isolation,
        has_explicit_policy: rules.kind != Kind::Auto,
        why,
        tests: Vec::new(),
        is_whole: listing.dispatch.is_whole(),
        tests_in_binary: listing.tests.len(),
        process_cost: process_cost(listing.harness.as_ref().map(|list| list.took)),
        threading: threading(listing.dispatch, isolation),
        can_resize: false,
        threads: rules.threads,
        // Tests that wait for each other under `cargo test` have to run at the same time here too.
        least_threads: match (rules.kind, &listing.statics) {
            (Kind::Auto, Statics::Known { has_barrier: true, .. }) => usize::MAX,
            _ => 1,
        },
        at_once: None,
        slots: rules.slots,
        shuffle: None,
        locks: Locks::default(),
        exclusive: false,
        memory: None,
        recycling: match listing.dispatch {
            // Each doctest has a process of its own.
            Dispatch::Doctests => Recycling::default(),
            _ => rules.recycle.into(),
        },
        env: rules.env.clone(),
        fixtures: Vec::new(),
    }
}

/// Adds the requirements of a nested node to its unit.
fn sum_up(group: &mut Group, rules: &Rules) {
    group.slots = group.slots.max(rules.slots);
    group.exclusive |= rules.exclusive;
    // The unit's process runs all of them: the tightest limit would fail the others.
    group.memory = match (group.memory, rules.memory) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    };
    // A node that wants its tests one after another has them so, whatever the others may do.
    group.threads = match (group.threads, rules.threads) {
        (Threads::Exactly(one), Threads::Exactly(other)) => Threads::Exactly(one.min(other)),
        (Threads::Exactly(only), Threads::Auto) | (_, Threads::Exactly(only)) => {
            Threads::Exactly(only)
        }
        (Threads::Auto, Threads::Auto) => Threads::Auto,
    };
    group.recycling.add(rules.recycle.into());
    group.locks.add(&rules.locks);
}

#[cfg(test)]
mod tests;
