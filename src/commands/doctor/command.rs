//! Runs the suite in several ways, and tells what that shows.

use super::dependences::dependence;
use super::manifest;
use super::phases::{self, Budget, PhaseVerdicts};
use super::suggestions::{Examined, Proposal};
use crate::cli::settings::DoctorTask;
use crate::commands::bisect::command::find_out;
use crate::commands::trials::Trials;
use crate::config::keys::Threads;
use crate::error::{Error, Exit, Result};
use crate::model::bisection::Finding;
use crate::model::diagnosis::{Dependence, Diagnosis, Phase};
use crate::model::test::TestId;
use crate::model::warning::Warning;
use crate::plan::group::Group;
use crate::report::diagnosis::DiagnosisReport;
use crate::report::view::View;

/// In how many runs a suggestion has to do well.
const PROOFS: usize = 2;

pub fn run(
    task: &DoctorTask,
    mut trials: Trials<'_>,
    groups: &[Group],
    warnings: &[Warning],
) -> Result<Exit> {
    let project = trials.project;
    let root = project.workspace.root();
    let view = View { inventory: project.inventory, settings: project.settings, root: &root };
    let report = DiagnosisReport::new(view);
    report.warn(warnings);
    let tests = groups.iter().map(|group| group.tests.len()).sum();
    if tests == 0 {
        let tip = "no test to examine: `cargo partest list` shows what there is";
        return Err(Error::usage(tip.to_owned()));
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
    Ok(match found.dependences.is_empty() {
        _ if found.is_interrupted => Exit::Interrupted,
        true => Exit::Success,
        false => Exit::TestFailed,
    })
}

struct Doctor<'d, 'r> {
    trials: &'d mut Trials<'r>,
    groups: &'d [Group],
    budget: Budget,
    report: &'d DiagnosisReport<'d>,
}

impl Doctor<'_, '_> {
    fn examine(&mut self, found: &mut Diagnosis) -> Result<()> {
        let mut done: Vec<PhaseVerdicts> = Vec::new();
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            if self.budget.is_spent() {
                found.is_cut_short = true;
                break;
            }
            let verdicts = self.run(phase, self.groups, Phase::ALL.len() - at - 1)?;
            found.is_cut_short |= !verdicts.is_complete;
            found.phases.push(verdicts.result());
            done.push(verdicts);
        }
        for group in self.groups {
            let keeps_order = group.threads == Threads::Exactly(1);
            for test in &group.tests {
                let dependence = dependence(test.id, keeps_order, &done);
                found.dependences.extend(dependence.map(|dependence| (test.id, dependence)));
            }
        }
        for (test, dependence) in &mut found.dependences {
            self.name_others(*test, dependence)?;
        }
        let project = self.trials.project;
        let examined = Examined { project, groups: self.groups, phases: &done };
        let against = found.dependences.iter().flat_map(|(test, of)| examined.against(*test, of));
        let (units, splittable) = examined.units();
        found.splittable = splittable;
        let mut proposals: Vec<Proposal> = Vec::new();
        for proposal in against.chain(units) {
            match proposals.iter_mut().find(|known| known.is_same_line(&proposal)) {
                Some(known) => known.tests.extend(proposal.tests),
                None => proposals.push(proposal),
            }
        }
        let ended = self.prove(&mut proposals, &examined, found);
        found.suggestions = proposals.into_iter().map(|proposal| proposal.suggestion).collect();
        ended
    }

    /// Runs a phase, of which so many are still to come.
    fn run(&mut self, phase: Phase, groups: &[Group], to_come: usize) -> Result<PhaseVerdicts> {
        let progress = self.report.begin(phase, to_come);
        let verdicts = phases::run(self.trials, phase, groups)?;
        drop(progress);
        self.report.ran(&verdicts.result())?;
        Ok(verdicts)
    }

    /// Finds those on which a test depends, as far as the order in a process decides.
    fn name_others(&mut self, test: TestId, dependence: &mut Dependence) -> Result<()> {
        if !matches!(dependence, Dependence::Brittle { .. } | Dependence::Victim { .. }) {
            return Ok(());
        }
        let progress = self.report.begin_search(test);
        let bisection = find_out(test, self.groups, self.trials)?;
        drop(progress);
        match (dependence, bisection.finding) {
            (Dependence::Brittle { relies_on, .. }, Finding::Alone { passes_with, .. }) => {
                *relies_on = passes_with;
            }
            (Dependence::Victim { after, .. }, Finding::With(set)) => *after = Some(set),
            // It fails alone only beside processes of other tests.
            (of @ Dependence::Brittle { .. }, Finding::Passed(_)) => {
                let reason = of.reason().map(str::to_owned);
                *of = Dependence::Race { reason, interference: None };
            }
            _ => {}
        }
        if bisection.is_interrupted { Err(Error::Interrupted) } else { Ok(()) }
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
            let verdicts = self.run(Phase::Proof, &examined.with(proposals), PROOFS - run - 1)?;
            found.phases.push(verdicts.result());
            found.is_cut_short |= !verdicts.is_complete;
            proposals.retain(|proposal| !proposal.is_refuted(&verdicts));
            let proven = proposals.iter_mut().filter(|proposal| proposal.is_confirmed(&verdicts));
            proven.for_each(|proposal| proposal.suggestion.proven += 1);
        }
        Ok(())
    }
}
