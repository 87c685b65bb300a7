//! Which tests can run with a test, and the groups of a trial.

use crate::config::keys::{Locks, Threads};
use crate::discovery::inventory::Inventory;
use crate::discovery::test_list::Dispatch;
use crate::libtest::select::{self, Listed};
use crate::libtest::shuffle;
use crate::model::bisection::Company;
use crate::model::test::TestId;
use crate::plan::group::{Group, Isolation, Recycling};

/// How many tests of a process run at once at the least, where they shall meet.
const FEWEST_AT_ONCE: usize = 4;

/// A test, and all groups of the run that it is a part of.
pub struct Candidates<'c> {
    pub test: TestId,
    pub groups: &'c [Group],
    pub inventory: &'c Inventory,
    pub slots: usize,
}

/// The groups of a trial, and how they run.
pub struct TrialPlan {
    pub groups: Vec<Group>,
    pub slots: usize,
    pub thread_cap: Option<usize>,
    /// The seed of the order, if it is not that of the list.
    pub seed: Option<u64>,
}

impl Candidates<'_> {
    /// Sets of others that may change the outcome of the test, each with the company in which they
    /// run with it: what is most likely and cheapest comes first.
    pub fn sets(&self) -> Vec<(Company, Vec<TestId>)> {
        let Some(own) = self.own() else { return Vec::new() };
        let ids = |group: &Group| group.tests.iter().map(|test| test.id).collect::<Vec<_>>();
        let before = |tests: &[TestId]| -> Vec<TestId> {
            tests.iter().copied().filter(|other| *other < self.test).collect()
        };
        let others = |tests: Vec<TestId>| -> Vec<TestId> {
            tests.into_iter().filter(|other| *other != self.test).collect()
        };
        let (mut sets, all) = (Vec::new(), self.groups.iter().flat_map(ids).collect());
        if own.is_threaded_by_libtest() {
            let declared = match own.isolation {
                Isolation::PerTest => Vec::new(),
                Isolation::Unit | Isolation::Split => before(&ids(own)),
            };
            let together = ids(&self.together(own));
            sets.push((Company::After, declared));
            sets.push((Company::After, before(&together)));
            if self.can_reorder() && together.iter().any(|other| *other > self.test) {
                sets.push((Company::Reordered, others(together.clone())));
            }
            sets.push((Company::Beside, others(together)));
        }
        sets.push((Company::Declared, others(all)));
        sets.retain(|(_, tests)| !tests.is_empty());
        sets.dedup();
        sets
    }

    pub fn trial(&self, company: Company, others: &[TestId]) -> TrialPlan {
        let is_chosen = |id: TestId| id == self.test || others.contains(&id);
        let (slots, thread_cap) = (self.slots, None);
        if company == Company::Declared {
            let mut groups = self.groups.to_vec();
            groups.iter_mut().for_each(|group| group.tests.retain(|test| is_chosen(test.id)));
            groups.retain(|group| !group.tests.is_empty());
            let groups = groups.into_iter().map(Group::without_retries).collect();
            return TrialPlan { groups, slots, thread_cap, seed: None };
        }
        let Some(own) = self.own() else {
            return TrialPlan { groups: Vec::new(), slots: 1, thread_cap, seed: None };
        };
        let mut group = self.together(own);
        group.tests.retain(|test| is_chosen(test.id));
        if company == Company::Reordered {
            // One thread by a declaration would promise the order of the list.
            group.threads = Threads::Auto;
            group.shuffle = Some(self.seed(others));
            let seed = group.shuffle;
            return TrialPlan { groups: vec![group], slots: 1, thread_cap: Some(1), seed };
        }
        let at_once = match company {
            Company::Beside => FEWEST_AT_ONCE.max(self.slots),
            _ => 1,
        };
        group.threads = Threads::Exactly(at_once);
        TrialPlan { groups: vec![group], slots: at_once, thread_cap, seed: None }
    }

    /// Whether libtest can run the test's binary in another order.
    fn can_reorder(&self) -> bool {
        let listing = &self.inventory.listings[self.test.listing];
        listing.dispatch == Dispatch::Batches && listing.takes_agent()
    }

    /// The seed with which the test comes after the others.
    fn seed(&self, others: &[TestId]) -> u64 {
        let tests = &self.inventory.listings[self.test.listing].tests;
        let mut is_chosen = vec![false; tests.len()];
        others.iter().chain([&self.test]).for_each(|id| is_chosen[id.test] = true);
        let listed = tests.iter().zip(is_chosen).map(|(test, is_chosen)| Listed {
            name: &test.name,
            is_ignored: test.is_ignored,
            is_chosen,
        });
        let names = select::left_by_filters(&listed.collect::<Vec<_>>());
        let own = &tests[self.test.test].name;
        let last = names.iter().position(|name| name == own).unwrap_or_default();
        shuffle::seed_for_last(&names, last)
    }

    fn own(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.has(self.test))
    }

    /// All tests of the binary that one process can run with those of this group.
    fn together(&self, own: &Group) -> Group {
        let can_join = |group: &&Group| {
            group.listing == own.listing && group.env == own.env && group.fixtures == own.fixtures
        };
        let joined = self.groups.iter().filter(can_join);
        let mut tests: Vec<_> = joined.flat_map(|group| group.tests.iter().cloned()).collect();
        tests.sort_by_key(|test| test.id);
        let group = Group {
            isolation: Isolation::Unit,
            has_explicit_policy: true,
            tests,
            least_threads: 1,
            at_once: None,
            slots: 1,
            shuffle: None,
            locks: Locks::default(),
            exclusive: false,
            recycling: Recycling::default(),
            ..own.clone()
        };
        group.without_retries()
    }
}
