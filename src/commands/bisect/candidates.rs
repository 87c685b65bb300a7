//! Which tests can run with a test, and the groups of a trial.

use crate::config::keys::{Locks, Recycle, Threads};
use crate::model::bisection::Company;
use crate::model::test::TestId;
use crate::plan::group::{Group, Isolation};

/// How many tests of a process run at once at the least, where they shall meet.
const FEWEST_AT_ONCE: usize = 4;

/// A test, and all groups of the run that it is a part of.
pub struct Candidates<'c> {
    pub test: TestId,
    pub groups: &'c [Group],
    pub slots: usize,
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
        if own.can_thread {
            let declared = match own.isolation {
                Isolation::PerTest => Vec::new(),
                Isolation::Unit | Isolation::Split => before(&ids(own)),
            };
            let together = ids(&self.together(own));
            sets.push((Company::After, declared));
            sets.push((Company::After, before(&together)));
            sets.push((Company::Beside, others(together)));
        }
        sets.push((Company::Declared, others(all)));
        sets.retain(|(_, tests)| !tests.is_empty());
        sets.dedup();
        sets
    }

    /// The groups of a trial, and its slots.
    pub fn trial(&self, company: Company, others: &[TestId]) -> (Vec<Group>, usize) {
        let is_chosen = |id: TestId| id == self.test || others.contains(&id);
        if company == Company::Declared {
            let mut groups = self.groups.to_vec();
            groups.iter_mut().for_each(|group| group.tests.retain(|test| is_chosen(test.id)));
            groups.retain(|group| !group.tests.is_empty());
            return (groups.into_iter().map(Group::without_retries).collect(), self.slots);
        }
        let Some(own) = self.own() else { return (Vec::new(), 1) };
        let mut group = self.together(own);
        group.tests.retain(|test| is_chosen(test.id));
        let at_once = match company {
            Company::Beside => FEWEST_AT_ONCE.max(self.slots),
            _ => 1,
        };
        group.threads = Threads::Exactly(at_once);
        (vec![group], at_once)
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
            recycle: Recycle::Never,
            ..own.clone()
        };
        group.without_retries()
    }
}
