//! Lines for Cargo.toml, and the groups that they would make. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::dependences::is_independent;
use super::phases::{PhaseVerdicts, meet};
use crate::cargo::binary::Binary;
use crate::commands::project::Project;
use crate::config::keys::{Locks, Threads};
use crate::config::policy::covers;
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
        let has_failed = |test: &TestId| match (run.verdicts.get(test), &self.suggestion.line) {
            // That is what it is against.
            (Some(verdict), PolicyLine::Lock(_) | PolicyLine::LockAndOneThread(_)) => {
                verdict.has_failed_once()
            }
            (Some(verdict), _) => verdict.has_failed_unexplained(),
            (None, _) => false,
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

/// The line against meeting at a thing. `share_group` is whether one process may run several of
/// those that use it.
fn lock(thing: &Thing, share_group: bool) -> PolicyLine {
    match share_group {
        true => PolicyLine::LockAndOneThread(thing.lock_name()),
        false => PolicyLine::Lock(thing.lock_name()),
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
            Dependence::Broken { .. } | Dependence::Brittle { .. } | Dependence::Unknown { .. } => {
                Vec::new()
            }
            _ if dependence.is_kept_apart() => Vec::new(),
            Dependence::Victim { .. } => {
                vec![self.proposal(self.name(test), PolicyLine::Isolate, vec![test])]
            }
            Dependence::Race { met: Some(found), .. } => {
                let both = [test, found.other.unwrap_or(found.process_of)];
                let lock = lock(&found.thing, both.iter().all(|test| group.has(*test)));
                let line = |test: TestId| self.proposal(self.name(test), lock.clone(), vec![test]);
                both.into_iter().map(line).collect()
            }
            Dependence::Race { .. } if meet(group) => {
                let tests = group.tests.iter().map(|test| test.id).collect();
                vec![self.proposal(self.node(group), PolicyLine::OneThread, tests)]
            }
            Dependence::Race { .. } => Vec::new(),
        }
    }

    /// The lines that keep the users of a thing apart: one for a module of which all are users.
    pub fn locks(&self, shared: &SharedThing) -> Vec<Proposal> {
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
            Some(self.proposal(node, lock(&shared.thing, in_group > 1), tests))
        };
        shared.users.iter().filter_map(line).collect()
    }

    /// Units that can be split with a gain, and the names of those that can be without one.
    pub fn units(&self) -> (Vec<Proposal>, Vec<String>) {
        let now = self
            .makespan(&self.groups.iter().map(|group| self.measured(group)).collect::<Vec<_>>());
        let (mut with_gain, mut without) = (Vec::new(), Vec::new());
        let is_unit = |group: &&Group| {
            group.isolation == Isolation::Unit
                && group.tests.len() > 1
                && group.can_thread
                && self.is_whole(group)
        };
        for group in self.groups.iter().filter(is_unit) {
            if !group.tests.iter().all(|test| is_independent(test.id, meet(group), self.phases)) {
                continue;
            }
            let tests: Vec<TestId> = group.tests.iter().map(|test| test.id).collect();
            let mut proposal = self.proposal(self.node(group), PolicyLine::Split, tests);
            let then = self.makespan(&self.with(std::slice::from_ref(&proposal)));
            let gains = now.saturating_sub(then);
            if gains >= LEAST_TIME && gains >= now.mul_f64(LEAST_GAIN) {
                proposal.suggestion.gain = Some((now, then));
                with_gain.push(proposal);
            } else {
                without.push(group.node.clone());
            }
        }
        (with_gain, without)
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
                    PolicyLine::OneThread => rest.threads = Threads::Exactly(1),
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

    /// A test as its package's manifest names it.
    fn name(&self, test: TestId) -> String {
        let name = &self.project.inventory.listings[test.listing].tests[test.test].name;
        format!("{}::{name}", self.binary(test).name)
    }

    fn binary(&self, test: TestId) -> &Binary {
        &self.project.inventory.listings[test.listing].binary
    }

    /// A group's node as its package's manifest names it.
    fn node(&self, group: &Group) -> String {
        let binary = &self.project.inventory.listings[group.listing].binary;
        let below = group.node.strip_prefix(&*binary.prefix).unwrap_or_default();
        format!("{}{below}", binary.name)
    }

    /// With the times that the tests took as declared.
    fn measured(&self, group: &Group) -> Group {
        let mut group = group.clone();
        let declared = self.phases.iter().find(|of| of.phase == Phase::Declared);
        for test in &mut group.tests {
            let verdict = declared.and_then(|of| of.verdicts.get(&test.id));
            test.expected = verdict.and_then(|verdict| verdict.took).or(test.expected);
        }
        group
    }

    fn makespan(&self, groups: &[Group]) -> Duration {
        let settings = self.project.settings;
        let steps = simulate(Plan::new(groups.to_vec(), settings.slots, settings.thread_cap));
        steps.iter().map(|step| step.ends).max().unwrap_or_default()
    }
}
