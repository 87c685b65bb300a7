//! Handles the end of a batch: which tests get a verdict, and which run again.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::{Run, Running, aborted};
use crate::model::event::{Event, LeakedBy};
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::{Reason, Requeued, WorkerEnd};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::group::{Batch, Isolation};
use crate::process::clock;
use crate::run::ledger::Rerun;
use crate::worker::inbox::{BatchEnd, EndCause, LateLeaks, Overdue};

/// After so many crashes that other tests caused, a test runs alone.
const MOST_INNOCENT: u32 = 2;

impl Run<'_> {
    pub(super) fn batch_finished(&mut self, id: usize, mut rest: BatchEnd) {
        let Some(running) = self.running.remove(&id) else { return };
        let Running { batch, protocol, began, reported, held, fixture_is_lost, .. } = running;
        let forgotten = reconcile(&mut rest, &batch, &reported);
        rest.not_begun.iter().for_each(|test| self.ledger.undo_start(*test));
        self.requeue_innocent(&batch, &mut rest);
        self.ending = Some(batch.clone());
        self.plan.finished(id);
        let took = clock::since(began);
        self.slot_usage.note(self.plan.group(batch.group), took, held.time());
        self.left_behind(&batch, std::mem::take(&mut rest.left_behind));
        self.missing(&forgotten, &rest);
        let running: Vec<TestId> = rest.running.iter().map(|(test, _)| *test).collect();
        if fixture_is_lost.load(Ordering::Relaxed) {
            return self.fixture_was_lost(&batch, rest);
        }
        if protocol == Protocol::HarnessLog
            && batch.threads > 1
            && self.may_run_in_turn(&rest.cause)
        {
            return self.run_in_turn(&batch, rest);
        }
        match &rest.cause {
            EndCause::Done => self.missing(&[running, rest.not_begun.clone()].concat(), &rest),
            EndCause::Died(_) if self.is_cut_short() => self.cut_short(&batch, rest),
            EndCause::Died(how) => self.died(&batch, &running, how.clone(), rest),
            EndCause::TimedOut(overdue) => self.timed_out(&batch, overdue.clone(), rest),
            EndCause::Recycled => {
                let tests = [running, rest.not_begun].concat();
                self.requeue_or_give_up(&batch, tests, Requeued::Recycled);
            }
            EndCause::NoChannel => {
                self.no_channel(&batch, protocol, [running, rest.not_begun].concat())
            }
            EndCause::Misheard => {
                self.misheard(&batch, protocol, [running, rest.not_begun].concat())
            }
            EndCause::Stopped => self.requeue(&batch, [running, rest.not_begun].concat()),
            EndCause::NotStarted(why) => {
                let reason = Reason::WorkerNotStarted(why.clone());
                for test in [running, rest.not_begun].concat() {
                    let verdict = Verdict::without_run(Outcome::Aborted, Some(reason.clone()));
                    self.take_verdict(test, verdict);
                }
            }
        }
    }

    /// Requeues tests whose worker crashed because of another test; those that met this too often
    /// run alone.
    pub(super) fn requeue_innocent(&mut self, batch: &Batch, rest: &mut BatchEnd) {
        let mut innocent = std::mem::take(&mut rest.innocent);
        let may_run = !self.is_cut_short() && !self.phase.is_stopped();
        if may_run && self.lost_fixture_of(self.plan.group(batch.group)).is_none() {
            let is_unlucky = |test: &mut TestId| self.ledger.note_innocent(*test) >= MOST_INNOCENT;
            let unlucky: Vec<TestId> = innocent.extract_if(.., is_unlucky).collect();
            self.plan.requeue_alone(batch.group, &unlucky);
        }
        rest.not_begun.append(&mut innocent);
    }

    pub(super) fn left_behind(&mut self, batch: &Batch, left: Vec<LateLeaks>) {
        for LateLeaks { test, leaks } in left {
            let unit = || LeakedBy::Unit(self.plan.group(batch.group).node.clone());
            let by = test.map_or_else(unit, LeakedBy::Test);
            self.summary.add_leaks(&leaks);
            self.emit(Event::LeftBehind { by, leaks });
        }
    }

    pub(super) fn died(
        &mut self,
        batch: &Batch,
        running: &[TestId],
        how: String,
        mut rest: BatchEnd,
    ) {
        self.blame(batch, running, WorkerEnd::Died(how.clone()), &mut rest);
        self.note_fresh_process(batch, &rest.not_begun, &how);
        self.requeue_or_give_up(batch, rest.not_begun, Requeued::WorkerDied(how));
        self.count_crash();
    }

    fn count_crash(&mut self) {
        self.crashes += 1;
        if self.crashes == self.context.config.max_crashes {
            self.emit(Event::Warning(Warning::TooManyCrashes { workers: self.crashes }));
            self.stop();
        }
    }

    fn may_run_in_turn(&self, cause: &EndCause) -> bool {
        let is_failure =
            matches!(cause, EndCause::Died(_) | EndCause::TimedOut(_) | EndCause::NoChannel);
        is_failure && !self.is_cut_short() && !self.phase.is_stopped()
    }

    /// A harness that ran several tests at once came to an end of which it is not known whose it is,
    /// since it only told which tests have ended. The others run again one after another. If that
    /// goes well, all of them have failed.
    fn run_in_turn(&mut self, batch: &Batch, rest: BatchEnd) {
        let BatchEnd { cause, running, not_begun, worker, output, .. } = rest;
        let running: Vec<TestId> = running.into_iter().map(|(test, _)| test).collect();
        running.iter().for_each(|test| self.ledger.undo_start(*test));
        let open = [running, not_begun].concat();
        let end = match cause {
            EndCause::Died(how) => Some((how.clone(), WorkerEnd::Died(how))),
            EndCause::TimedOut(Overdue { timeout, .. }) => {
                Some(("a test timed out".to_owned(), WorkerEnd::TimedOut(timeout)))
            }
            _ => None,
        };
        self.plan.run_in_turn(batch.group);
        if let Some((why, end)) = end {
            self.note_fresh_process(batch, &open, &why);
            let is_crash = matches!(end, WorkerEnd::Died(_));
            self.ledger.note_death(&open, end, worker, output, Rerun::InTurn);
            self.requeue(batch, open);
            if is_crash {
                self.count_crash();
            }
        } else {
            self.requeue(batch, open);
        }
    }

    pub(super) fn timed_out(&mut self, batch: &Batch, overdue: Overdue, mut rest: BatchEnd) {
        let is_suspect = |(test, _): &(TestId, Duration)| overdue.tests.contains(test);
        let innocent = rest.running.extract_if(.., |running| !is_suspect(running));
        let back: Vec<TestId> = innocent.map(|(test, _)| test).collect();
        let back = [back, std::mem::take(&mut rest.not_begun)].concat();
        let suspects: Vec<TestId> = rest.running.iter().map(|(test, _)| *test).collect();
        let end = WorkerEnd::TimedOut(overdue.timeout.clone());
        self.blame(batch, &suspects, end, &mut rest);
        let why = if suspects.is_empty() { "its process timed out" } else { "a test timed out" };
        self.note_fresh_process(batch, &back, why);
        self.requeue_or_give_up(batch, back, Requeued::WorkerTimedOut(overdue.timeout));
    }

    /// One of these tests crashed or hung the worker: if there is only one, it gets the verdict;
    /// otherwise each runs again alone.
    pub(super) fn blame(
        &mut self,
        batch: &Batch,
        suspects: &[TestId],
        end: WorkerEnd,
        rest: &mut BatchEnd,
    ) {
        let outcome = end.outcome();
        match suspects {
            [] => {}
            [culprit] => {
                let verdict = Verdict { outcome, ..aborted(rest, 0, Reason::WorkerEnded(end)) };
                self.take_verdict(*culprit, verdict);
            }
            _ if self.phase.is_stopped()
                || self.lost_fixture_of(self.plan.group(batch.group)).is_some() =>
            {
                for (at, suspect) in suspects.iter().enumerate() {
                    let (end, tests) = (end.clone(), suspects.len());
                    let reason = Reason::WorkerEndedBeside { end, tests };
                    self.take_verdict(*suspect, Verdict { outcome, ..aborted(rest, at, reason) });
                }
            }
            suspects => {
                let output = std::mem::take(&mut rest.output);
                self.ledger.note_death(suspects, end, rest.worker, output, Rerun::Alone);
                self.plan.requeue_alone(batch.group, suspects);
            }
        }
    }

    pub(super) fn no_channel(&mut self, batch: &Batch, protocol: Protocol, tests: Vec<TestId>) {
        let listing = self.plan.group(batch.group).listing;
        if protocol == Protocol::ExitCode {
            return self.requeue_or_give_up(batch, tests, Requeued::SilentWorker);
        }
        // Some of the tests have a protocol of their own; the others use that of the binary.
        for test in &tests {
            if let Some(own) = self.misheard.get_mut(test).filter(|own| **own == protocol) {
                *own = protocol.next();
            }
        }
        // Several workers of one binary may find out at the same time.
        if protocol == Protocol::HarnessLog {
            self.context.state.note_wrong_log(listing);
        }
        if self.protocols[listing] == protocol {
            self.protocols[listing] = protocol.next();
            let binary = self.context.inventory.listings[listing].binary.prefix.clone();
            self.emit(Event::Warning(Warning::ProtocolFailed { binary, protocol }));
        }
        self.requeue(batch, tests);
    }

    /// The results of these tests were lost: each runs again alone, so that its output cannot
    /// disturb another verdict, and with a simpler protocol.
    pub(super) fn misheard(&mut self, batch: &Batch, protocol: Protocol, tests: Vec<TestId>) {
        if protocol == Protocol::ExitCode {
            return self.requeue_or_give_up(batch, tests, Requeued::LostVerdict);
        }
        let open = tests.into_iter().filter(|test| !self.ledger.has_verdict(*test));
        let open: Vec<TestId> = open.collect();
        self.misheard.extend(open.iter().map(|test| (*test, protocol.next())));
        if self.phase.is_stopped() || self.lost_fixture_of(self.plan.group(batch.group)).is_some() {
            return self.requeue(batch, open);
        }
        self.plan.requeue_alone(batch.group, &open);
    }

    /// Warns that the rest of a unit continues in a new process, in which its state is set up
    /// again.
    pub(super) fn note_fresh_process(&mut self, batch: &Batch, rest: &[TestId], why: &str) {
        let group = self.plan.group(batch.group);
        if group.isolation == Isolation::Unit && !rest.is_empty() && !self.phase.is_stopped() {
            let warning = Warning::UnitRestarted { node: group.node.clone(), why: why.to_owned() };
            self.emit(Event::Warning(warning));
        }
    }
}

/// Makes the batch end consistent: each test without a verdict is in exactly one of its lists.
/// Returns those that are in none.
fn reconcile(rest: &mut BatchEnd, batch: &Batch, told: &[bool]) -> Vec<TestId> {
    let untold = batch.tests.iter().zip(told).filter(|(_, is_told)| !**is_told);
    let mut open: BTreeSet<TestId> = untold.map(|(test, _)| *test).collect();
    rest.running.retain(|(test, _)| open.remove(test));
    rest.innocent.retain(|test| open.remove(test));
    rest.not_begun.retain(|test| open.remove(test));
    open.into_iter().collect()
}
