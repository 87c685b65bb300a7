//! Lines for Cargo.toml, and the groups that they would make. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::dependences::is_independent;
use super::phases::{PhaseVerdicts, meet};
use super::setup_costs::setup_cost;
use crate::cargo::binary::Binary;
use crate::commands::project::Project;
use crate::config::keys::{Locks, Threads};
use crate::config::policy::covers;
use crate::model::bisection::{Company, TestSet};
use crate::model::diagnosis::{Dependence, Phase, PolicyLine, Suggestion};
use crate::model::interference::{SharedThing, ThingUser};
use crate::model::test::TestId;
use crate::model::thing::Thing;
use crate::plan::group::{Group, Isolation};
use crate::plan::schedule::Plan;
use crate::plan::simulate::simulate;

/// A gain below this is none: a process costs time too, and so does reading the line.
const LEAST_GAIN: f64 = 0.1;
const LEAST_TIME: Duration = Duration::from_millis(50);

/// Whether that is a gain in time.
pub fn is_gain(now: Duration, then: Duration) -> bool {
    let gains = now.saturating_sub(then);
    gains >= LEAST_TIME && gains >= now.mul_f64(LEAST_GAIN)
}

/// So many tests get a lock; more would rather have a test alone.
const MOST_LOCKED: usize = 3;

/// A line, and the tests that it is for.
pub struct Proposal {
    pub suggestion: Suggestion,
    pub tests: Vec<TestId>,
}

impl Proposal {
    pub fn is_same_line(&self, other: &Proposal) -> bool {
        let line = |of: &Proposal| (of.suggestion.node.clone(), of.suggestion.line.clone());
        self.suggestion.manifest == other.suggestion.manifest && line(self) == line(other)
    }

    /// Whether one of its tests failed in a run with it.
    pub fn is_refuted(&self, run: &PhaseVerdicts) -> bool {
        let has_failed = |test: &TestId| match run.verdicts.get(test) {
            // That is what it is against.
            Some(verdict) if self.suggestion.line.keeps_processes_apart() => {
                verdict.has_failed_once()
            }
            Some(verdict) => verdict.has_failed_unexplained(),
            None => false,
        };
        self.tests.iter().any(has_failed)
    }

    /// Whether all of its tests passed in a run with it.
    pub fn is_confirmed(&self, run: &PhaseVerdicts) -> bool {
        let has_run = |test: &TestId| run.verdicts.contains_key(test);
        self.tests.iter().all(has_run) && !self.is_refuted(run)
    }
}

/// Takes these tests from a group, as a group of their own.
fn part(group: &mut Group, tests: &[TestId]) -> Group {
    let own = group.tests.extract_if(.., |test| tests.contains(&test.id)).collect();
    Group { tests: own, ..group.clone() }
}

fn lock_group(group: &mut Group, locks: &Locks, line: &PolicyLine) {
    group.locks.add(locks);
    if matches!(line, PolicyLine::LockAndOneThread(_)) {
        group.threads = Threads::Exactly(1);
    }
}

/// The line with a lock. `share_group` is whether one process may run several of those that take it.
fn lock(name: &str, share_group: bool) -> PolicyLine {
    match share_group {
        true => PolicyLine::LockAndOneThread(name.to_owned()),
        false => PolicyLine::Lock(name.to_owned()),
    }
}

/// What all proposals are made from.
pub struct Examined<'e> {
    pub project: Project<'e>,
    pub groups: &'e [Group],
    pub phases: &'e [PhaseVerdicts],
}

impl Examined<'_> {
    /// The lines that help against a dependence.
    pub fn against(&self, test: TestId, dependence: &Dependence) -> Vec<Proposal> {
        let Some(group) = self.group(test) else { return Vec::new() };
        match dependence {
            Dependence::Broken { .. } | Dependence::Flaky { .. } | Dependence::Unknown { .. } => {
                Vec::new()
            }
            _ if dependence.is_kept_apart() => Vec::new(),
            Dependence::Brittle { relies_on, .. } => {
                relies_on.iter().flat_map(|set| self.in_order(group, test, set)).collect()
            }
            Dependence::Victim { .. } => {
                vec![self.proposal(self.name(test), PolicyLine::Isolate, vec![test])]
            }
            Dependence::Race { met: Some(found), .. } => {
                let both = [test, found.other.unwrap_or(found.process_of)];
                let unit = self.as_unit(&found.thing, &both);
                unit.map_or_else(|| self.locked(&found.thing.lock_name(), &both), |unit| vec![unit])
            }
            Dependence::Race { beside: Some(set), .. } if set.company == Company::Declared => {
                let all: Vec<TestId> =
                    set.others.iter().map(|other| other.test).chain([test]).collect();
                match set.is_smallest && all.len() <= MOST_LOCKED {
                    true => self.locked(self.short_name(test), &all),
                    false => {
                        vec![self.proposal(self.name(test), PolicyLine::Exclusive, vec![test])]
                    }
                }
            }
            Dependence::Race { beside, .. } if meet(group) && self.has_failed_in_process(test) => {
                let others = beside.iter().flat_map(|set| &set.others).map(|other| other.test);
                vec![self.of_module(
                    group,
                    &others.chain([test]).collect::<Vec<_>>(),
                    PolicyLine::OneThread,
                )]
            }
            Dependence::Race { .. } => Vec::new(),
        }
    }

    /// The line for a test that relies on others before it, if its module may be split.
    fn in_order(&self, group: &Group, test: TestId, relies_on: &TestSet) -> Option<Proposal> {
        let mut tests: Vec<TestId> = relies_on.others.iter().map(|other| other.test).collect();
        let has_all = tests.iter().all(|test| group.has(*test));
        tests.push(test);
        let is_in_order = relies_on.company == Company::After;
        let may_be_split = group.isolation != Isolation::Unit;
        (may_be_split && has_all && is_in_order)
            .then(|| self.of_module(group, &tests, PolicyLine::UnitInOrder))
    }

    /// One lock for all of these tests.
    fn locked(&self, name: &str, tests: &[TestId]) -> Vec<Proposal> {
        let share_group = |test: TestId| {
            let group = self.group(test);
            tests.iter().filter(|other| group.is_some_and(|of| of.has(**other))).count() > 1
        };
        let line = lock(name, tests.iter().any(|test| share_group(*test)));
        tests
            .iter()
            .map(|test| self.proposal(self.name(*test), line.clone(), vec![*test]))
            .collect()
    }

    /// The line that keeps the module of these tests together, if it may be split, and they use the
    /// same thing only in several processes, as where a static counts what they name.
    fn as_unit(&self, thing: &Thing, users: &[TestId]) -> Option<Proposal> {
        let group = self.group(*users.first()?)?;
        if group.isolation == Isolation::Unit || !users.iter().all(|test| group.has(*test)) {
            return None;
        }
        let unit = self.of_module(group, users, PolicyLine::Unit);
        let mut together = self.phases.iter().filter(|of| of.phase.is_one_process()).peekable();
        let use_others = |of: &PhaseVerdicts| {
            let have_passed = unit.tests.iter().all(|test| of.failed(*test) == Some(false));
            have_passed && of.usage.users_of(thing).is_some_and(|users| users.len() < 2)
        };
        (together.peek().is_some() && together.all(use_others)).then_some(unit)
    }

    /// Whether it failed while several tests of its process ran.
    fn has_failed_in_process(&self, test: TestId) -> bool {
        let may_meet = |of: &&PhaseVerdicts| matches!(of.phase, Phase::Declared | Phase::Beside);
        self.phases.iter().filter(may_meet).any(|of| of.failed(test) == Some(true))
    }

    /// The lines that keep the users of a thing apart: one for a module of which all are users.
    pub fn locks(&self, shared: &SharedThing) -> Vec<Proposal> {
        let users: Vec<TestId> = shared.users.iter().map(|user| user.test).collect();
        if let Some(unit) = self.as_unit(&shared.thing, &users) {
            return vec![unit];
        }
        let is_user = |test: TestId| shared.users.iter().any(|user| user.test == test);
        let line = |user: &ThingUser| {
            let group = self.group(user.test)?;
            let all: Vec<TestId> = group.tests.iter().map(|test| test.id).collect();
            let is_module =
                all.len() > 1 && all.iter().all(|test| is_user(*test)) && self.is_whole(group);
            let (node, tests) = match is_module {
                _ if user.is_process => (self.binary(user.test).name.clone(), all),
                true => (self.node(group), all),
                false => (self.name(user.test), vec![user.test]),
            };
            let in_group = shared.users.iter().filter(|user| group.has(user.test)).count();
            Some(self.proposal(node, lock(&shared.thing.lock_name(), in_group > 1), tests))
        };
        shared.users.iter().filter_map(line).collect()
    }

    /// Units that can be split with a gain, and the names of those that can be without one.
    pub fn units(&self) -> (Vec<Proposal>, Vec<String>) {
        let now = self.makespan_now();
        let (mut with_gain, mut without) = (Vec::new(), Vec::new());
        for group in self.splittable_groups() {
            let mut proposal = self.of_group(group, PolicyLine::Split);
            let mut groups = self.with(std::slice::from_ref(&proposal));
            // Each process sets up for itself what one process does once.
            if setup_cost(group, self.phases).is_some() {
                let alone = self.phases.iter().find(|of| of.phase == Phase::Alone);
                let took = |test| alone.and_then(|of| of.verdicts.get(&test)?.took);
                let own = groups.iter_mut().filter(|of| of.has(proposal.tests[0]));
                for test in own.flat_map(|of| &mut of.tests) {
                    test.expected = took(test.id).or(test.expected);
                }
            }
            let then = self.makespan(&groups);
            if is_gain(now, then) {
                proposal.suggestion.gain = Some((now, then));
                with_gain.push(proposal);
            } else {
                without.push(group.node.clone());
            }
        }
        (with_gain, without)
    }

    /// Units of which every test passed alone and in other orders.
    pub fn splittable_groups(&self) -> impl Iterator<Item = &Group> {
        let is_unit = |group: &&Group| {
            group.isolation == Isolation::Unit
                && group.tests.len() > 1
                && group.is_threaded_by_libtest()
                && self.is_whole(group)
                // Every process would compile them all again.
                && !self.project.inventory.listings[group.listing].is_doctests()
        };
        let is_independent = |group: &&Group| {
            group.tests.iter().all(|test| is_independent(test.id, meet(group), self.phases))
        };
        self.groups.iter().filter(is_unit).filter(is_independent)
    }

    /// The groups as they would be with these lines.
    pub fn with(&self, proposals: &[Proposal]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for group in self.groups {
            let mut rest = self.measured(group);
            for Proposal { suggestion, tests } in proposals {
                if !rest.tests.iter().any(|test| tests.contains(&test.id)) {
                    continue;
                }
                match &suggestion.line {
                    PolicyLine::Split => {
                        (rest.isolation, rest.has_explicit_policy) = (Isolation::Split, true);
                    }
                    PolicyLine::Unit | PolicyLine::UnitInOrder => {
                        let mut own = part(&mut rest, tests);
                        (own.isolation, own.has_explicit_policy) = (Isolation::Unit, true);
                        if suggestion.line == PolicyLine::UnitInOrder {
                            own.threads = Threads::Exactly(1);
                        }
                        groups.push(own);
                    }
                    PolicyLine::Exclusive => {
                        let own = part(&mut rest, tests);
                        groups.push(Group { exclusive: true, ..own });
                    }
                    PolicyLine::OneThread => {
                        let own = part(&mut rest, tests);
                        groups.push(Group { threads: Threads::Exactly(1), ..own });
                    }
                    PolicyLine::Lock(name) | PolicyLine::LockAndOneThread(name) => {
                        let locks = Locks { read: Vec::new(), write: vec![name.clone()] };
                        let is_whole = rest.isolation == Isolation::Unit
                            || rest.tests.iter().all(|test| tests.contains(&test.id));
                        let own = if is_whole { None } else { Some(part(&mut rest, tests)) };
                        match own {
                            None => lock_group(&mut rest, &locks, &suggestion.line),
                            Some(mut own) => {
                                lock_group(&mut own, &locks, &suggestion.line);
                                groups.push(own);
                            }
                        }
                    }
                    PolicyLine::All(_) => {}
                    PolicyLine::Isolate => {
                        let own = part(&mut rest, tests);
                        groups.push(Group { isolation: Isolation::PerTest, ..own });
                    }
                }
            }
            groups.push(rest);
        }
        groups.retain(|group| !group.tests.is_empty());
        groups
    }

    /// Whether all tests of the group's module run, and not only those that were chosen.
    fn is_whole(&self, group: &Group) -> bool {
        let listing = &self.project.inventory.listings[group.listing];
        let is_below = |name: &str| covers(&group.node, &listing.binary.id(name));
        let tests = listing.tests.iter().enumerate();
        let mut tests = tests.filter(|(_, test)| !test.is_ignored && is_below(&test.name));
        tests.all(|(test, _)| self.group(TestId { listing: group.listing, test }).is_some())
    }

    fn group(&self, test: TestId) -> Option<&Group> {
        self.groups.iter().find(|group| group.has(test))
    }

    fn proposal(&self, node: String, line: PolicyLine, tests: Vec<TestId>) -> Proposal {
        let listing = tests.first().map(|test| &self.project.inventory.listings[test.listing]);
        let package = listing.and_then(|of| self.project.workspace.packages.get(of.binary.package));
        let manifest = package.map(|package| PathBuf::from(&package.cargo.manifest_path));
        let manifest = manifest.unwrap_or_default();
        Proposal { suggestion: Suggestion { manifest, node, line, proven: 0, gain: None }, tests }
    }

    /// A line for all tests of a group.
    fn of_group(&self, group: &Group, line: PolicyLine) -> Proposal {
        let tests = group.tests.iter().map(|test| test.id).collect();
        self.proposal(self.node(group), line, tests)
    }

    /// A line for the module of these tests of a group: for all of the group if that is a unit, as
    /// one that may be split can hold several modules.
    fn of_module(&self, group: &Group, tests: &[TestId], line: PolicyLine) -> Proposal {
        if group.isolation == Isolation::Unit {
            return self.of_group(group, line);
        }
        let listing = &self.project.inventory.listings[group.listing];
        let path = |test: TestId| -> Vec<&str> {
            let mut path: Vec<&str> = listing.tests[test.test].name.split("::").collect();
            path.pop();
            path
        };
        let common = |one: Vec<&'_ str>, other: Vec<&'_ str>| -> usize {
            one.iter().zip(&other).take_while(|(one, other)| one == other).count()
        };
        let first = tests.first().map(|test| path(*test)).unwrap_or_default();
        let depths = tests.iter().map(|test| common(first.clone(), path(*test)));
        let module = &first[..depths.min().unwrap_or_default()];
        let below = group.tests.iter().map(|test| test.id);
        let below = below.filter(|test| path(*test).starts_with(module)).collect();
        let node = [&[&*listing.binary.name], module].concat().join("::");
        self.proposal(node, line, below)
    }

    /// A test as its package's manifest names it.
    fn name(&self, test: TestId) -> String {
        let name = &self.project.inventory.listings[test.listing].tests[test.test].name;
        format!("{}::{name}", self.binary(test).name)
    }

    /// A test without its module.
    fn short_name(&self, test: TestId) -> &str {
        let name = &self.project.inventory.listings[test.listing].tests[test.test].name;
        name.rsplit("::").next().unwrap_or(name)
    }

    fn binary(&self, test: TestId) -> &Binary {
        &self.project.inventory.listings[test.listing].binary
    }

    /// A group's node as its package's manifest names it.
    pub fn node(&self, group: &Group) -> String {
        let binary = &self.project.inventory.listings[group.listing].binary;
        let below = group.node.strip_prefix(&*binary.prefix).unwrap_or_default();
        format!("{}{below}", binary.name)
    }

    /// With the times that the tests took as declared.
    pub fn measured(&self, group: &Group) -> Group {
        let mut group = group.clone();
        let declared = self.phases.iter().find(|of| of.phase == Phase::Declared);
        for test in &mut group.tests {
            let verdict = declared.and_then(|of| of.verdicts.get(&test.id));
            test.expected = verdict.and_then(|verdict| verdict.took).or(test.expected);
        }
        group
    }

    pub fn makespan_now(&self) -> Duration {
        self.makespan(&self.groups.iter().map(|group| self.measured(group)).collect::<Vec<_>>())
    }

    pub fn makespan(&self, groups: &[Group]) -> Duration {
        let settings = self.project.settings;
        let steps = simulate(Plan::new(groups.to_vec(), settings.slots, settings.thread_cap));
        steps.iter().map(|step| step.ends).max().unwrap_or_default()
    }
}
