//! Finds the tests on which another one depends, and tells what only fails at times.

use std::collections::HashSet;

use super::phases::{self, PhaseVerdicts};
use crate::commands::bisect::command::{failures, find_out};
use crate::commands::trials::{TrialSetup, Trials};
use crate::error::{Error, Result};
use crate::model::bisection::{Company, Finding, TestSet};
use crate::model::diagnosis::{Dependence, Diagnosis, Phase};
use crate::model::test::TestId;
use crate::plan::group::{Group, Isolation};
use crate::report::diagnosis::DiagnosisReport;

/// How often a set of others runs with a test that fails only at times.
const TIMES_WHERE_FLAKY: usize = 3;

/// How often a failure has to come back, and a success, where that can be a matter of luck.
const TIMES_AGAIN: usize = 2;

pub struct Naming<'n, 'r> {
    pub trials: &'n mut Trials<'r>,
    pub groups: &'n [Group],
    pub phases: &'n [PhaseVerdicts],
    pub report: &'n DiagnosisReport<'n>,
    /// The tests of which it is certain, by repetition, how they depend on others.
    pub certain: HashSet<TestId>,
}

impl Naming<'_, '_> {
    /// As far as the time goes.
    pub fn name_all(&mut self, found: &mut Diagnosis) -> Result<()> {
        match self.run_broken_alone(found) {
            Err(Error::Interrupted) if !self.trials.is_interrupted() => found.is_cut_short = true,
            ended => ended?,
        }
        for (test, dependence) in &mut found.dependences {
            match self.name_others(*test, dependence) {
                Err(Error::Interrupted) if !self.trials.is_interrupted() => {
                    found.is_cut_short = true;
                    break;
                }
                named => named?,
            }
        }
        Ok(())
    }

    /// Each in a process of its own, tests still run beside others: one that has failed in every
    /// company may pass when nothing else runs.
    fn run_broken_alone(&mut self, found: &mut Diagnosis) -> Result<()> {
        let is_broken = |of: &Dependence| matches!(of, Dependence::Broken { .. });
        let broken = found.dependences.iter_mut().filter(|(_, of)| is_broken(of));
        let mut broken: Vec<&mut (TestId, Dependence)> = broken.collect();
        let mut groups = phases::groups(Phase::Alone, self.groups);
        let is_meant = |id: TestId| broken.iter().any(|(test, _)| *test == id);
        groups.iter_mut().for_each(|group| group.tests.retain(|test| is_meant(test.id)));
        groups.retain(|group| !group.tests.is_empty());
        if groups.is_empty() {
            return Ok(());
        }
        let progress = self.report.begin(Phase::Alone, 0);
        let setup = TrialSetup { slots: 1, thread_cap: Some(1), watches_state: false };
        let tried = self.trials.run(groups, setup)?;
        drop(progress);
        for (test, dependence) in &mut broken {
            let verdict = tried.verdicts.get(test);
            if verdict.is_some_and(|verdict| !verdict.has_failed_once()) {
                let reason = dependence.reason().map(str::to_owned);
                *dependence = Dependence::Race { reason, met: None, beside: None };
            }
        }
        Ok(())
    }

    /// Finds those on which a test depends, as far as those of its process decide.
    fn name_others(&mut self, test: TestId, dependence: &mut Dependence) -> Result<()> {
        let repeat = match dependence {
            Dependence::Brittle { .. } | Dependence::Victim { .. } => 1,
            Dependence::Race { met: None, .. } => TIMES_WHERE_FLAKY,
            _ => return Ok(()),
        };
        let progress = self.report.begin_search(test);
        let bisection = find_out(test, repeat, self.groups, self.trials)?;
        let reason = dependence.reason().map(str::to_owned);
        let flaky = Dependence::Flaky { reason: reason.clone() };
        match (&mut *dependence, bisection.finding) {
            (_, finding) if bisection.is_interrupted => {
                self.take_unproven(test, dependence, finding);
                return Err(Error::Interrupted);
            }
            (Dependence::Brittle { relies_on, .. }, Finding::Alone { passes_with, .. }) => {
                match passes_with {
                    Some(set) if self.relies_on(test, &set)? => {
                        *relies_on = Some(set);
                        self.certain.insert(test);
                    }
                    Some(_) => *dependence = flaky,
                    None => {}
                }
            }
            (_, Finding::With(set)) if is_proven(&set) => {
                *dependence = self.with(test, reason, set);
                self.certain.insert(test);
            }
            // Since others have run it fails by itself, every time.
            (_, Finding::With(set)) if set.failed_alone.0 == set.failed_alone.1 => {
                *dependence = self.with(test, reason, set);
            }
            (_, Finding::With(_)) => *dependence = flaky,
            (_, Finding::Passed(_) | Finding::Alone { .. } | Finding::Unknown) => {
                let again = self.failures_again(test)?;
                match dependence {
                    _ if again == 0 => *dependence = flaky,
                    // It fails alone only beside processes of other tests.
                    Dependence::Brittle { .. } => {
                        *dependence = Dependence::Race { reason, met: None, beside: None };
                    }
                    // In an order that no set repeats.
                    Dependence::Victim { .. } if again == TIMES_AGAIN => {
                        self.certain.insert(test);
                    }
                    _ => {}
                }
            }
        }
        drop(progress);
        Ok(())
    }

    /// What a search that was cut short has found.
    fn take_unproven(&self, test: TestId, dependence: &mut Dependence, finding: Finding) {
        let reason = dependence.reason().map(str::to_owned);
        match (&mut *dependence, finding) {
            (Dependence::Brittle { relies_on, .. }, Finding::Alone { passes_with, .. }) => {
                *relies_on = passes_with;
            }
            (_, Finding::With(set)) => *dependence = self.with(test, reason, set),
            _ => {}
        }
    }

    /// The dependence of a test that fails with these.
    fn with(&self, test: TestId, reason: Option<String>, set: TestSet) -> Dependence {
        match set.company {
            Company::After | Company::Reordered => {
                let is_kept_apart = self.are_apart(test, &set);
                Dependence::Victim { reason, after: Some(set), is_kept_apart }
            }
            Company::Alone | Company::Beside | Company::Declared => {
                Dependence::Race { reason, met: None, beside: Some(set) }
            }
        }
    }

    /// Whether the policy of a test keeps it apart from all of these.
    fn are_apart(&self, test: TestId, set: &TestSet) -> bool {
        let own = self.groups.iter().find(|group| group.has(test));
        own.is_some_and(|own| {
            own.isolation == Isolation::PerTest
                || !set.others.iter().any(|other| own.has(other.test))
        })
    }

    /// Whether a test fails without these, and passes with them, each time.
    fn relies_on(&mut self, test: TestId, set: &TestSet) -> Result<bool> {
        let others: Vec<TestId> = set.others.iter().map(|other| other.test).collect();
        let (groups, times) = (self.groups, TIMES_AGAIN);
        let mut failures = |company: Company, others: &[TestId]| {
            failures(test, (company, others), times, groups, self.trials)
        };
        Ok(failures(Company::Alone, &[])? == times && failures(set.company, &others)? == 0)
    }

    /// How often a test fails if the first phase in which it did runs again.
    fn failures_again(&mut self, test: TestId) -> Result<usize> {
        let failed = self.phases.iter().find(|of| of.failed(test) == Some(true));
        let Some(phase) = failed.map(|of| of.phase) else { return Ok(0) };
        let mut groups = phases::groups(phase, self.groups);
        if !matches!(phase, Phase::Declared | Phase::Alone) {
            groups.retain(|group| group.listing == test.listing);
        }
        let mut count = 0;
        for _ in 0..TIMES_AGAIN {
            let run = phases::run(self.trials, phase, groups.clone(), self.groups)?;
            count += usize::from(run.failed(test) == Some(true));
        }
        Ok(count)
    }
}

/// Whether it is no luck that a test fails with a set, and passes by itself.
fn is_proven(set: &TestSet) -> bool {
    let (failed, runs) = set.failed;
    let is_certain = match set.company {
        Company::Beside | Company::Declared => failed * 2 > runs,
        Company::Alone | Company::After | Company::Reordered => failed == runs,
    };
    failed > 0 && is_certain && set.failed_alone.0 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_at_times_is_no_dependence() {
        let is_proven = |company, failed, failed_alone| {
            let test = TestId { listing: 0, test: 0 };
            is_proven(&TestSet { failed, failed_alone, ..TestSet::new(company, &[test]) })
        };
        assert!(is_proven(Company::After, (3, 3), (0, 3)));
        assert!(!is_proven(Company::After, (2, 3), (0, 3)));
        assert!(!is_proven(Company::After, (3, 3), (1, 3)));
        assert!(!is_proven(Company::After, (0, 0), (0, 0)));
        assert!(is_proven(Company::Beside, (3, 5), (0, 3)));
        assert!(!is_proven(Company::Declared, (2, 5), (0, 3)));
    }
}
