//! Lines for Cargo.toml, and the groups that they would make. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::dependences::is_independent;
use super::phases::PhaseVerdicts;
use crate::commands::project::Project;
use crate::config::keys::{Locks, Threads};
use crate::model::diagnosis::{Dependence, Phase, PolicyLine, Suggestion};
use crate::model::test::TestId;
use crate::plan::group::{Group, GroupTest, Isolation};
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
            (Some(verdict), PolicyLine::Lock(_)) => verdict.has_failed_once(),
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
            Dependence::Broken { .. } | Dependence::Brittle { .. } => Vec::new(),
            // Its policy keeps it apart from them already.
            Dependence::Victim { after: Some(set), .. }
                if !set.others.iter().any(|other| group.has(other.test)) =>
            {
                Vec::new()
            }
            Dependence::Victim { .. } => {
                vec![self.proposal(self.name(test), PolicyLine::Isolate, vec![test])]
            }
            Dependence::Race { interference: Some(found), .. } => {
                let lock = PolicyLine::Lock(found.thing.lock_name());
                let both = [test, found.other.unwrap_or(found.process_of)];
                let line = |test: TestId| self.proposal(self.name(test), lock.clone(), vec![test]);
                both.into_iter().map(line).collect()
            }
            Dependence::Race { .. } if group.isolation == Isolation::Unit => {
                let tests = group.tests.iter().map(|test| test.id).collect();
                vec![self.proposal(self.node(group), PolicyLine::OneThread, tests)]
            }
            Dependence::Race { .. } => Vec::new(),
        }
    }

    /// Units that can be split with a gain, and the names of those that can be without one.
    pub fn units(&self) -> (Vec<Proposal>, Vec<String>) {
        let now = self
            .makespan(&self.groups.iter().map(|group| self.measured(group)).collect::<Vec<_>>());
        let (mut with_gain, mut without) = (Vec::new(), Vec::new());
        let is_unit = |group: &&Group| {
            group.isolation == Isolation::Unit && group.tests.len() > 1 && group.can_thread
        };
        for group in self.groups.iter().filter(is_unit) {
            if !group.tests.iter().all(|test| is_independent(test.id, self.phases)) {
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
                    PolicyLine::Lock(name) => {
                        rest.locks.add(&Locks { read: Vec::new(), write: vec![name.clone()] });
                    }
                    PolicyLine::Isolate => {
                        let own: Vec<GroupTest> =
                            rest.tests.extract_if(.., |test| tests.contains(&test.id)).collect();
                        let isolation = Isolation::PerTest;
                        groups.push(Group { tests: own, isolation, ..rest.clone() });
                    }
                }
            }
            groups.push(rest);
        }
        groups.retain(|group| !group.tests.is_empty());
        groups
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
        let listing = &self.project.inventory.listings[test.listing];
        format!("{}::{}", listing.binary.name, listing.tests[test.test].name)
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
