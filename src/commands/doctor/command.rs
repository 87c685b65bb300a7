//! Runs the suite in several ways, and tells what that shows.

use std::collections::HashSet;

use super::dependences::{dependence, shared_things};
use super::naming::Naming;
use super::phases::{self, Budget, PhaseVerdicts};
use super::suggestions::{Examined, Proposal};
use super::{leaks, manifest};
use crate::cli::task::DoctorTask;
use crate::commands::trials::Trials;
use crate::config::keys::Threads;
use crate::error::{Error, Exit, Result};
use crate::model::diagnosis::{Dependence, Diagnosis, Phase, PolicyLine, Suggestion};
use crate::model::test::TestId;
use crate::model::warning::Warning;
use crate::plan::group::Group;
use crate::report::diagnosis::DiagnosisReport;
use crate::report::warnings;

/// In how many runs a suggestion has to do well.
const PROOFS: usize = 2;

/// The share of the budget after which nobody is searched for any more.
const SEARCH_SHARE: f64 = 0.75;

pub fn run(
    task: &DoctorTask,
    mut trials: Trials<'_>,
    groups: &[Group],
    warnings: &[Warning],
) -> Result<Exit> {
    let project = trials.project;
    warnings::print_all(warnings, project.settings);
    let report = DiagnosisReport::new(project.view());
    let tests = groups.iter().map(|group| group.tests.len()).sum();
    if tests == 0 {
        let tip = "no test to examine: `cargo partest list` shows what there is";
        return Err(Error::NoTests(tip.to_owned()));
    }
    let budget = Budget::start(task.budget);
    trials.ends_at = budget.ends_at();
    let mut found = Diagnosis { tests, budget: task.budget, ..Diagnosis::default() };
    let ended = Doctor { trials: &mut trials, groups, budget, report: &report }.examine(&mut found);
    // What ends a trial like an interrupt may be the budget.
    match ended {
        Err(Error::Interrupted) if trials.is_interrupted() => found.is_interrupted = true,
        Err(Error::Interrupted) => found.is_cut_short = true,
        ended => ended?,
    }
    if task.write && !found.is_interrupted {
        let proven = found.suggestions.iter().filter(|suggestion| suggestion.proven > 0);
        found.written = manifest::write(proven)?;
    }
    (found.runs, found.took) = (trials.count, budget.spent());
    report.finish(&found, task.write)?;
    let is_fine = found.shared.is_empty()
        && found.dependences.iter().all(|(_, dependence)| dependence.is_kept_apart());
    Ok(match is_fine {
        _ if found.is_interrupted => Exit::Interrupted,
        true => Exit::Success,
        false => Exit::TestFailed,
    })
}

/// One suggestion for each node, since a key can stand only once in a table.
fn by_node(mut suggestions: Vec<Suggestion>) -> Vec<Suggestion> {
    suggestions.sort_by_key(|of| (of.manifest.clone(), of.node.clone()));
    let mut found: Vec<Suggestion> = Vec::new();
    for new in suggestions {
        match found.last_mut() {
            Some(known) if known.manifest == new.manifest && known.node == new.node => {
                known.line = PolicyLine::All(vec![known.line.clone(), new.line]);
                known.proven = known.proven.min(new.proven);
                known.gain = known.gain.or(new.gain);
            }
            _ => found.push(new),
        }
    }
    found
}

struct Doctor<'d, 'r> {
    trials: &'d mut Trials<'r>,
    groups: &'d [Group],
    budget: Budget,
    report: &'d DiagnosisReport<'d>,
}

impl Doctor<'_, '_> {
    fn examine(&mut self, found: &mut Diagnosis) -> Result<()> {
        let done = self.run_all(found)?;
        for group in self.groups {
            let keeps_order = group.threads == Threads::Exactly(1);
            for test in &group.tests {
                let dependence = dependence(test.id, keeps_order, &done);
                found.dependences.extend(dependence.map(|dependence| (test.id, dependence)));
            }
        }
        found.shared = shared_things(&done, &found.dependences);
        found.leaks = leaks::by_module(self.groups, &done);
        let certain = self.name_all(found, &done)?;
        let project = self.trials.project;
        let examined = Examined { project, groups: self.groups, phases: &done };
        let is_known =
            |(test, of): &&(TestId, Dependence)| certain.contains(test) || of.met().is_some();
        let known = found.dependences.iter().filter(is_known);
        let against = known.flat_map(|(test, of)| examined.against(*test, of));
        let locks = found.shared.iter().flat_map(|shared| examined.locks(shared));
        let (units, splittable) = examined.units();
        found.splittable = splittable;
        found.shared_fixtures = examined.shared_fixtures();
        let mut proposals: Vec<Proposal> = Vec::new();
        for proposal in against.chain(locks).chain(units) {
            match proposals.iter_mut().find(|known| known.is_same_line(&proposal)) {
                Some(known) => known.tests.extend(proposal.tests),
                None => proposals.push(proposal),
            }
        }
        let ended = self.prove(&mut proposals, &examined, found);
        let suggestions = proposals.into_iter().map(|proposal| proposal.suggestion);
        found.suggestions = by_node(suggestions.collect());
        ended
    }

    /// Runs the suite in all ways for which there is time.
    fn run_all(&mut self, found: &mut Diagnosis) -> Result<Vec<PhaseVerdicts>> {
        let mut done: Vec<PhaseVerdicts> = Vec::new();
        let with_groups = |phase: Phase| (phase, phases::groups(phase, self.groups));
        let ways: Vec<(Phase, Vec<Group>)> = Phase::ALL
            .into_iter()
            .map(with_groups)
            .filter(|(_, groups)| !groups.is_empty())
            .collect();
        let mut to_come = ways.len();
        for (phase, groups) in ways {
            to_come -= 1;
            if self.budget.is_spent() {
                found.is_cut_short = true;
                found.not_run.push(phase);
                continue;
            }
            let verdicts = self.run(phase, groups, to_come)?;
            found.is_cut_short |= !verdicts.is_complete;
            done.push(verdicts);
        }
        Ok(done)
    }

    /// Runs a phase, of which so many are still to come.
    fn run(&mut self, phase: Phase, groups: Vec<Group>, to_come: usize) -> Result<PhaseVerdicts> {
        let progress = self.report.begin(phase, to_come);
        let verdicts = phases::run(self.trials, phase, groups, self.groups)?;
        drop(progress);
        self.report.ran(&verdicts.result())?;
        Ok(verdicts)
    }

    /// Finds those on which tests depend, and leaves time for the proof. Returns the tests of which
    /// it is certain how they depend on others.
    fn name_all(
        &mut self,
        found: &mut Diagnosis,
        phases: &[PhaseVerdicts],
    ) -> Result<HashSet<TestId>> {
        self.trials.ends_at = self.budget.ends_at_share(SEARCH_SHARE);
        let (groups, report) = (self.groups, self.report);
        let certain = HashSet::new();
        let mut naming = Naming { trials: self.trials, groups, phases, report, certain };
        let named = naming.name_all(found);
        let certain = naming.certain;
        self.trials.ends_at = self.budget.ends_at();
        named.map(|()| certain)
    }

    /// Runs the suite with the suggestions, and drops those with which one of their tests fails.
    fn prove(
        &mut self,
        proposals: &mut Vec<Proposal>,
        examined: &Examined<'_>,
        found: &mut Diagnosis,
    ) -> Result<()> {
        for run in 0..PROOFS {
            if proposals.is_empty() {
                return Ok(());
            }
            let groups = phases::groups(Phase::Proof, &examined.with(proposals));
            let verdicts = self.run(Phase::Proof, groups, PROOFS - run - 1)?;
            found.is_cut_short |= !verdicts.is_complete;
            proposals.retain(|proposal| !proposal.is_refuted(&verdicts));
            let proven = proposals.iter_mut().filter(|proposal| proposal.is_confirmed(&verdicts));
            proven.for_each(|proposal| proposal.suggestion.proven += 1);
        }
        Ok(())
    }
}
