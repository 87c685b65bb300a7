//! Finds out in which company a test fails, and the smallest set of others that it takes.

use super::candidates::{Candidates, TrialPlan};
use super::links;
use super::search::{Found, smallest};
use crate::cli::task::BisectTask;
use crate::commands::test_name;
use crate::commands::trials::{TrialSetup, Trials, Tried};
use crate::error::{Error, Exit, Result};
use crate::model::bisection::{Bisection, Company, Finding, Other, TestSet, Trial};
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::Group;
use crate::report::bisection::BisectionReport;
use crate::report::warnings;

/// How often a set runs where it depends on time whether tests meet.
const TIMES_WHERE_TIMED: usize = 5;

/// How often what was found is confirmed where a failure may come and go.
const TIMES_AFTER: usize = 3;

/// Finds out about the test, and reports it.
pub fn run(
    task: &BisectTask,
    mut trials: Trials<'_>,
    groups: &[Group],
    warnings: &[Warning],
) -> Result<Exit> {
    let project = trials.project;
    warnings::print_all(warnings, project.settings);
    let report = BisectionReport::new(project.view());
    let tests = groups.iter().flat_map(|group| &group.tests).map(|test| test.id);
    let test = test_name::find(&task.test, project.inventory, tests, NO_TEST)?;
    let repeat = task.repeat.map_or(Repeat::AsNeeded, Repeat::Times);
    let bisect = Bisect { report: Some(&report), ..Bisect::new(test, groups, &mut trials, repeat) };
    let bisection = bisect.run()?;
    report.finish(&bisection)?;
    Ok(match bisection.finding {
        _ if bisection.is_interrupted => Exit::Interrupted,
        Finding::Passed(_) | Finding::Unknown => Exit::Success,
        Finding::Alone { .. } | Finding::With(_) => Exit::TestFailed,
    })
}

/// Finds out about a test, each set tried so often, without a report; what is found is confirmed more
/// often. That the time of the trials is over ends it like an interrupt.
pub fn find_out(
    test: TestId,
    repeat: usize,
    groups: &[Group],
    trials: &mut Trials<'_>,
) -> Result<Bisection> {
    Bisect::new(test, groups, trials, Repeat::ThenConfirm(repeat)).run()
}

/// In how many of so many runs a test fails in a company with others.
pub fn failures(
    test: TestId,
    (company, others): (Company, &[TestId]),
    times: usize,
    groups: &[Group],
    trials: &mut Trials<'_>,
) -> Result<usize> {
    let mut bisect = Bisect::new(test, groups, trials, Repeat::Times(times));
    Ok(bisect.repeat_with(company, others, Purpose::Confirm)?.failed)
}

/// What to do where no name is near.
const NO_TEST: &str = "`cargo partest list` shows what there is, and ignored tests run with \
                       `-- --include-ignored`";

struct Bisect<'b, 'r> {
    candidates: Candidates<'b>,
    trials: &'b mut Trials<'r>,
    repeat: Repeat,
    report: Option<&'b BisectionReport<'b>>,
}

/// How often a set runs.
#[derive(Debug, Clone, Copy)]
enum Repeat {
    /// Once, or more often where it depends on time whether tests meet.
    AsNeeded,
    Times(usize),
    /// So often while sets are tried. What is found is confirmed more often, since it may come and go.
    ThenConfirm(usize),
}

impl Repeat {
    fn times(self, company: Company, purpose: Purpose) -> usize {
        let is_timed = matches!(company, Company::Beside | Company::Declared);
        match (self, purpose) {
            (Repeat::ThenConfirm(_), Purpose::Confirm) if is_timed => TIMES_WHERE_TIMED,
            (Repeat::ThenConfirm(_), Purpose::Confirm) => TIMES_AFTER,
            (Repeat::Times(times) | Repeat::ThenConfirm(times), _) => times,
            (Repeat::AsNeeded, _) if is_timed => TIMES_WHERE_TIMED,
            (Repeat::AsNeeded, _) => 1,
        }
    }
}

/// What a set is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// One failure is enough.
    Search,
    /// Failures are counted, and it is watched what links the tests.
    Confirm,
}

/// One or several runs of a set.
struct Outcome {
    failed: usize,
    runs: usize,
    /// The last failed run, or the last one.
    run: Tried,
}

impl<'b, 'r> Bisect<'b, 'r> {
    fn new(
        test: TestId,
        groups: &'b [Group],
        trials: &'b mut Trials<'r>,
        repeat: Repeat,
    ) -> Bisect<'b, 'r> {
        let project = trials.project;
        let slots = project.settings.slots;
        let candidates = Candidates { test, groups, inventory: project.inventory, slots };
        Bisect { candidates, trials, repeat, report: None }
    }

    fn run(mut self) -> Result<Bisection> {
        let mut finding = Finding::Unknown;
        let ended = self.find_out(&mut finding);
        let is_interrupted = matches!(ended, Err(Error::Interrupted));
        if !is_interrupted {
            ended?;
        }
        let (test, runs) = (self.candidates.test, self.trials.count);
        Ok(Bisection { test, finding, runs, is_interrupted })
    }

    fn find_out(&mut self, finding: &mut Finding) -> Result<()> {
        let alone = self.try_with(Company::Alone, &[])?;
        let sets = self.candidates.sets();
        if alone.failed > 0 {
            let reason = self.reason(&alone.run);
            *finding = Finding::Alone { reason: reason.clone(), passes_with: None };
            let after = sets.into_iter().filter(|(company, _)| company.is_one_after_another());
            for (company, others) in after {
                if self.try_with(company, &others)?.failed == 0 {
                    let mut set = TestSet::new(company, &others);
                    let ended = self.shrink(&mut set, false);
                    self.note_seed(&mut set);
                    *finding = Finding::Alone { reason, passes_with: Some(set) };
                    return ended;
                }
            }
            return Ok(());
        }
        let mut passed = vec![(Company::Alone, 0)];
        for (company, others) in sets {
            let outcome = self.try_with(company, &others)?;
            if outcome.failed > 0 {
                let mut set = TestSet::new(company, &others);
                set.reason = self.reason(&outcome.run);
                let ended = self.shrink(&mut set, true);
                let ended = ended.and_then(|()| self.confirm(&mut set, (&others, &outcome.run)));
                *finding = Finding::With(set);
                return ended;
            }
            passed.push((company, others.len()));
        }
        *finding = Finding::Passed(passed);
        Ok(())
    }

    /// Shrinks a set with which the test fails, or passes.
    fn shrink(&mut self, set: &mut TestSet, fails: bool) -> Result<()> {
        let others: Vec<TestId> = set.others.iter().map(|other| other.test).collect();
        let company = set.company;
        let mut changes = |others: &[TestId]| {
            self.try_with(company, others).map(|outcome| (outcome.failed > 0) == fails)
        };
        let Found { set: mut found, end } = smallest(&others, &mut changes);
        found.sort_unstable();
        *set = TestSet {
            is_smallest: end.is_ok(),
            reason: set.reason.take(),
            ..TestSet::new(company, &found)
        };
        end
    }

    /// Runs the set once more, and the test without it, and looks for what links them. `first` is
    /// the first run in which the test failed, and with which others.
    fn confirm(&mut self, set: &mut TestSet, first: (&[TestId], &Tried)) -> Result<()> {
        let others: Vec<TestId> = set.others.iter().map(|other| other.test).collect();
        let with = self.repeat_with(set.company, &others, Purpose::Confirm)?;
        let alone = self.repeat_with(Company::Alone, &[], Purpose::Confirm)?;
        set.reason = self.reason(&with.run).or(set.reason.take());
        let reason = set.reason.clone().unwrap_or_default();
        let test = self.candidates.test;
        let company = set.company;
        let link = |other: &TestId| {
            let thing = |run: &Tried| links::thing(run, company, *other, test, &reason);
            Other { test: *other, thing: thing(&with.run).or_else(|| thing(first.1)) }
        };
        set.others = others.iter().map(link).collect();
        if alone.failed > 0 {
            // Since that run it fails in whatever company. What is linked to it is suspect.
            set.is_smallest = false;
            set.others = first.0.iter().map(link).filter(|other| other.thing.is_some()).collect();
        }
        self.note_seed(set);
        (set.failed, set.failed_alone) = ((with.failed, with.runs), (alone.failed, alone.runs));
        Ok(())
    }

    /// Notes the order in which the set was tried.
    fn note_seed(&self, set: &mut TestSet) {
        let others: Vec<TestId> = set.others.iter().map(|other| other.test).collect();
        set.seed = self.candidates.trial(set.company, &others).seed;
    }

    /// Whether the test fails with a set.
    fn try_with(&mut self, company: Company, others: &[TestId]) -> Result<Outcome> {
        self.repeat_with(company, others, Purpose::Search)
    }

    fn repeat_with(
        &mut self,
        company: Company,
        others: &[TestId],
        purpose: Purpose,
    ) -> Result<Outcome> {
        let times = self.repeat.times(company, purpose);
        let run = self.trials.count + 1;
        let progress = self.report.map(|report| report.begin(company, others.len(), run));
        let (mut failed, mut runs, mut last) = (0, 0, None);
        while runs < times && !(purpose == Purpose::Search && failed > 0) {
            let TrialPlan { groups, slots, thread_cap, .. } =
                self.candidates.trial(company, others);
            let watches_state = purpose == Purpose::Confirm;
            let setup = TrialSetup { slots, thread_cap, watches_state };
            let run = self.trials.run(groups, setup)?;
            if !run.is_complete {
                return Err(Error::Interrupted);
            }
            runs += 1;
            let verdict = run.verdicts.get(&self.candidates.test);
            let has_failed = verdict.is_some_and(Verdict::has_failed_once);
            failed += usize::from(has_failed);
            if has_failed || last.is_none() {
                last = Some(run);
            }
        }
        drop(progress);
        if let Some(report) = self.report {
            let trial = Trial { company, others: others.len(), failed: failed > 0 };
            report.tried(self.trials.count, trial)?;
        }
        match last {
            Some(run) => Ok(Outcome { failed, runs, run }),
            None => Err(Error::Interrupted),
        }
    }

    /// Why the test failed in a run.
    fn reason(&self, run: &Tried) -> Option<String> {
        let verdict = run.verdicts.get(&self.candidates.test)?;
        verdict.first_failure().map(Reason::to_string)
    }
}
