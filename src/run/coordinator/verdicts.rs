//! What becomes of a test: a verdict, a retry, or a place in the queue.

use std::collections::BTreeMap;

use super::fixtures::with_block;
use super::state::{Run, Suspicion};
use crate::config::keys::Flaky;
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::reason::{Reason, Requeued};
use crate::model::state_change::StateChange;
use crate::model::test::TestId;
use crate::model::verdict::{Attempt, Verdict};
use crate::plan::group::Batch;
use crate::worker::inbox::BatchEnd;

/// A batch that comes back whole so often, without verdicts or suspects, is given up: its process
/// dies before any test starts.
const MOST_FRUITLESS: u32 = 3;

impl Run<'_> {
    /// Tells what tests have left changed in their process, test by test.
    pub(super) fn state_changed(&mut self, changes: Vec<(TestId, StateChange)>) {
        let mut by_test: BTreeMap<TestId, Vec<StateChange>> = BTreeMap::new();
        for (test, change) in changes {
            by_test.entry(test).or_default().push(change);
        }
        for (test, changes) in by_test {
            self.emit(Event::StateChanged { test, changes });
        }
    }

    pub(super) fn take_verdict(&mut self, test: TestId, verdict: Verdict) {
        if verdict.outcome.is_success() || self.context.fixtures.is_empty() {
            return self.record_verdict(test, verdict);
        }
        match self.fixture_suspicion(test) {
            Suspicion::None => self.record_verdict(test, verdict),
            Suspicion::Ended(instance) => self.held_failures.push((instance, test, verdict)),
            Suspicion::Lost(blocked) => self.record_verdict(test, with_block(verdict, &blocked)),
        }
    }

    pub(super) fn record_verdict(&mut self, test: TestId, verdict: Verdict) {
        let Some(verdict) = self.rerun_or_return(test, verdict) else { return };
        let Some(verdict) = self.retry_or_return(test, verdict) else { return };
        for (test, verdict) in self.ledger.record(test, verdict) {
            let verdict = self.with_interference(test, verdict);
            let verdict = self.apply_flaky_policy(test, verdict);
            self.report_verdict(test, verdict);
        }
    }

    /// Applies the policy for flaky tests to a test that failed first and passed later.
    pub(super) fn apply_flaky_policy(&self, test: TestId, verdict: Verdict) -> Verdict {
        let Some(flakiness) = verdict.flakiness() else { return verdict };
        let rules = self.group_of(test).map(|group| self.plan.group(group).retries(test));
        match rules.unwrap_or_default().flaky {
            Flaky::Pass => verdict,
            Flaky::Fail => Verdict {
                outcome: Outcome::Failed,
                is_flaky_failure: true,
                reason: Some(Reason::FlakyFails(flakiness)),
                ..verdict
            },
        }
    }

    pub(super) fn report_verdict(&mut self, test: TestId, verdict: Verdict) {
        self.summary.add(&verdict);
        let listing = &self.context.inventory.listings[test.listing];
        let id = || listing.binary.id(&listing.tests[test.test].name);
        self.slot_usage.note_test(verdict.took.unwrap_or_default(), id);
        let is_bad = !verdict.outcome.is_success();
        self.emit(Event::TestFinished { test, verdict });
        if is_bad && self.fail_fast {
            self.stop();
        }
    }

    /// Schedules a retry for a failure, or returns the verdict if it is final.
    pub(super) fn retry_or_return(&mut self, test: TestId, verdict: Verdict) -> Option<Verdict> {
        if self.phase.is_stopped() || !verdict.outcome.is_failure() {
            return Some(verdict);
        }
        let Some(group) = self.group_of(test) else { return Some(verdict) };
        let rules = self.plan.group(group).retries(test);
        if self.lost_fixture_of(self.plan.group(group)).is_some() {
            // It could not run again: its fixture is lost.
            return Some(verdict);
        }
        let attempt = self.attempt(test, &verdict);
        // One that ran again by itself has not used up a retry.
        let most = rules.count + usize::from(self.suspects.is_one(test));
        let outcome = verdict.outcome;
        let Some(failures) = self.ledger.note_failure(test, attempt, most) else {
            return Some(verdict);
        };
        self.plan.delay(group, test);
        self.retries.add(group, test, rules, failures);
        let (attempt, attempts) = (failures + 1, most + 1);
        self.emit(Event::Retrying { test, outcome, attempt, attempts });
        None
    }

    /// A failure that another attempt follows.
    pub(super) fn attempt(&self, test: TestId, verdict: &Verdict) -> Attempt {
        Attempt {
            outcome: verdict.outcome,
            ended: verdict.ended,
            worker: verdict.worker,
            took: verdict.took,
            reason: verdict.reason.clone(),
            output: verdict.output.clone(),
            output_lost: verdict.output_lost.clone(),
            beside: self.beside(test),
        }
    }

    /// Gives up a test that will not run again: it gets the verdict that is known, or counts as not
    /// run.
    pub(super) fn give_up(&mut self, test: TestId) {
        match self.ledger.final_verdict(test) {
            Some(verdict) => self.record_verdict(test, verdict),
            None => self.not_run(test),
        }
    }

    pub(super) fn not_run(&mut self, test: TestId) {
        self.summary.not_run += 1;
        self.emit(Event::NotRun { test });
    }

    /// Records that the worker reported nothing about these tests.
    pub(super) fn missing(&mut self, tests: &[TestId], rest: &BatchEnd) {
        for test in tests {
            let printed = rest.output.of(*test);
            let verdict = Verdict {
                worker: rest.worker,
                output: printed.output,
                output_lost: printed.lost,
                ..Verdict::without_run(Outcome::Missing, Some(Reason::NotRun))
            };
            self.take_verdict(*test, verdict);
        }
    }

    /// Requeues tests that a worker did not reach. If it reached none, the next one may not either,
    /// so this is limited.
    pub(super) fn requeue_or_give_up(
        &mut self,
        batch: &Batch,
        tests: Vec<TestId>,
        cause: Requeued,
    ) {
        if tests.len() < batch.tests.len() || self.phase.is_stopped() {
            return self.requeue(batch, tests);
        }
        let is_hopeless = |test: &TestId| self.ledger.note_fruitless(*test) >= MOST_FRUITLESS;
        let (hopeless, others): (Vec<_>, Vec<_>) = tests.into_iter().partition(is_hopeless);
        self.requeue(batch, others);
        for test in hopeless {
            let (cause, times) = (cause.clone(), MOST_FRUITLESS);
            let reason = Reason::NeverBegan { cause, times };
            self.take_verdict(test, Verdict::without_run(Outcome::Aborted, Some(reason)));
        }
    }

    pub(super) fn requeue(&mut self, batch: &Batch, tests: Vec<TestId>) {
        let open = tests.into_iter().filter(|test| !self.ledger.has_verdict(*test));
        let open: Vec<TestId> = open.collect();
        if self.phase.is_stopped() {
            open.into_iter().for_each(|test| self.give_up(test));
        } else if let Some(blocked) = self.lost_fixture_of(self.plan.group(batch.group)).cloned() {
            open.into_iter().for_each(|test| self.block(test, &blocked));
        } else {
            let (alone, others): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|test| self.runs_alone(*test));
            self.plan.requeue_alone(batch.group, &alone);
            self.plan.requeue(batch.group, &others);
        }
    }

    /// A suspect runs alone whatever happens in between: beside others it could become a suspect of
    /// another crash, and the first would be forgotten. So does a test with a protocol of its own,
    /// which the others would have to share.
    pub(super) fn runs_alone(&self, test: TestId) -> bool {
        self.ledger.is_suspect(test) || self.misheard.contains_key(&test)
    }
}
