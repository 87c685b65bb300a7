//! The ledger of a run: every test that was started gets exactly one verdict.

use crate::model::outcome::Outcome;
use crate::model::reason::{Reason, WorkerEnd};
use crate::model::test::TestId;
use crate::model::test_output::ProcessOutput;
use crate::model::verdict::{Attempt, Verdict};

#[derive(Debug, Default)]
pub struct Ledger {
    /// By listing, then by index of the test; none for tests that are not in this run.
    accounts: Vec<Vec<Option<Account>>>,
    deaths: Vec<Death>,
}

#[derive(Debug, Default)]
struct Account {
    attempts: u32,
    failed: Vec<Attempt>,
    has_verdict: bool,
    was_interrupted: bool,
    /// How often its whole batch came back without any result.
    fruitless: u32,
    /// How often its worker died because of another test.
    innocent: u32,
    /// The crash that this test is suspected of.
    suspect_of: Option<usize>,
}

/// A worker that crashed or hung while several tests ran. These are run again.
#[derive(Debug)]
struct Death {
    end: WorkerEnd,
    worker: Option<u64>,
    output: ProcessOutput,
    /// How many tests ran.
    ran: usize,
    /// Those of them that have not run again.
    suspects: Vec<TestId>,
    rerun: Rerun,
    /// The passes of suspects that have run again.
    cleared: Vec<(TestId, Verdict)>,
    /// Whether a suspect has ended its process again, in any of its attempts.
    has_culprit: bool,
}

/// How the suspects of a crash are run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    Alone,
    /// One after another in a process: they are all that may have run, and there may be many.
    InTurn,
}

impl Ledger {
    pub fn expect(&mut self, test: TestId) {
        if self.accounts.len() <= test.listing {
            self.accounts.resize_with(test.listing + 1, Vec::new);
        }
        let accounts = &mut self.accounts[test.listing];
        if accounts.len() <= test.test {
            accounts.resize_with(test.test + 1, || None);
        }
        accounts[test.test] = Some(Account::default());
    }

    fn account(&self, test: TestId) -> Option<&Account> {
        self.accounts.get(test.listing)?.get(test.test)?.as_ref()
    }

    fn account_mut(&mut self, test: TestId) -> Option<&mut Account> {
        self.accounts.get_mut(test.listing)?.get_mut(test.test)?.as_mut()
    }

    pub fn note_start(&mut self, test: TestId) {
        if let Some(account) = self.account_mut(test) {
            account.attempts += 1;
        }
    }

    /// Undoes `note_start` for a test that did not start.
    pub fn undo_start(&mut self, test: TestId) {
        if let Some(account) = self.account_mut(test) {
            account.attempts = account.attempts.saturating_sub(1);
        }
    }

    /// Records a verdict, and returns those that are final now. Only the first verdict of a test
    /// counts.
    pub fn record(&mut self, test: TestId, mut verdict: Verdict) -> Vec<(TestId, Verdict)> {
        let Some(account) = self.account_mut(test) else { return Vec::new() };
        if account.has_verdict {
            return Vec::new();
        }
        account.has_verdict = true;
        account.was_interrupted = verdict.outcome == Outcome::Interrupted;
        verdict.attempt = account.attempts.max(1);
        verdict.failed_before = std::mem::take(&mut account.failed);
        match account.suspect_of {
            Some(death) => self.clear(death, test, verdict),
            None => vec![(test, verdict)],
        }
    }

    /// Records a failure that will be retried, if fewer than `most` came before it. Returns how
    /// many there are now; none if the failure is final.
    pub fn note_failure(&mut self, test: TestId, failure: Attempt, most: usize) -> Option<usize> {
        let account = self.account_mut(test).filter(|account| !account.has_verdict);
        match account {
            Some(account) if account.failed.len() < most => {
                let ends_process = failure.outcome.ends_process();
                account.failed.push(failure);
                let (failures, suspect_of) = (account.failed.len(), account.suspect_of);
                if let Some(death) = suspect_of {
                    self.deaths[death].has_culprit |= ends_process;
                }
                Some(failures)
            }
            _ => None,
        }
    }

    /// Counts a crash of this test's worker that another test caused; returns the count.
    pub fn note_innocent(&mut self, test: TestId) -> u32 {
        let Some(account) = self.account_mut(test) else { return 0 };
        account.innocent += 1;
        account.innocent
    }

    /// Counts a worker that achieved nothing with this test; returns the count.
    pub fn note_fruitless(&mut self, test: TestId) -> u32 {
        let Some(account) = self.account_mut(test) else { return u32::MAX };
        account.fruitless += 1;
        account.fruitless
    }

    /// The verdict of a test that will not run again: its latest failure, or the crash that it is
    /// suspected of.
    pub fn final_verdict(&mut self, test: TestId) -> Option<Verdict> {
        let account = self.account_mut(test)?;
        if let Some(Attempt { outcome, took, reason, output, output_lost, .. }) =
            account.failed.pop()
        {
            let verdict = Verdict::without_run(outcome, reason);
            return Some(Verdict { took, output, output_lost, ..verdict });
        }
        let suspect_of = account.suspect_of?;
        let death = &self.deaths[suspect_of];
        let reason = Reason::WorkerEndedBeside { end: death.end.clone(), tests: death.ran };
        let verdict = Verdict::without_run(death.end.outcome(), Some(reason));
        let printed = death.output.of(test);
        let (worker, output, output_lost) = (death.worker, printed.output, printed.lost);
        Some(Verdict { worker, output, output_lost, ..verdict })
    }

    /// Whether a process was started for this test, and has brought a verdict of its own.
    pub fn has_run(&self, test: TestId) -> bool {
        let has_run = |account: &Account| account.has_verdict && !account.was_interrupted;
        self.account(test).is_some_and(|account| has_run(account) && account.attempts > 0)
    }

    pub fn has_verdict(&self, test: TestId) -> bool {
        self.account(test).is_some_and(|account| account.has_verdict)
    }

    /// Whether this test has to run alone, to find out whether it caused a crash.
    pub fn is_suspect(&self, test: TestId) -> bool {
        let open = self.account(test).filter(|account| !account.has_verdict);
        let suspect_of = open.and_then(|account| account.suspect_of);
        suspect_of.is_some_and(|death| self.deaths[death].rerun == Rerun::Alone)
    }

    /// Records a crash with several suspects.
    pub fn note_death(
        &mut self,
        suspects: &[TestId],
        end: WorkerEnd,
        worker: Option<u64>,
        output: ProcessOutput,
        rerun: Rerun,
    ) {
        let death = self.deaths.len();
        for test in suspects {
            if let Some(account) = self.account_mut(*test) {
                account.suspect_of = Some(death);
            }
        }
        self.deaths.push(Death {
            end,
            worker,
            output,
            ran: suspects.len(),
            suspects: suspects.to_vec(),
            rerun,
            cleared: Vec::new(),
            has_culprit: false,
        });
    }

    fn clear(&mut self, death: usize, test: TestId, verdict: Verdict) -> Vec<(TestId, Verdict)> {
        let death = &mut self.deaths[death];
        // It is still open whether an interrupted one explains the crash: the others wait for
        // `release`.
        if verdict.outcome != Outcome::Interrupted {
            death.suspects.retain(|suspect| *suspect != test);
        }
        death.has_culprit |= verdict.outcome.ends_process();
        let mut judged = Vec::new();
        if verdict.outcome.is_success() {
            death.cleared.push((test, verdict));
        } else {
            // A failure is told as it is, but ends no process.
            judged.push((test, verdict));
        }
        // With a culprit, the others need not wait for each other.
        if death.suspects.is_empty() || death.has_culprit {
            let mut cleared = std::mem::take(&mut death.cleared);
            if !death.has_culprit {
                blame_all(death, &mut cleared);
            }
            judged.extend(cleared);
        }
        judged
    }

    /// Tests that were expected and have no verdict.
    pub fn without_verdict(&self) -> Vec<TestId> {
        let is_open = |account: &Option<Account>| {
            account.as_ref().is_some_and(|account| !account.has_verdict)
        };
        let of_listing = |(listing, accounts): (usize, &Vec<Option<Account>>)| {
            let open = (0..accounts.len()).filter(|test| is_open(&accounts[*test]));
            open.map(|test| TestId { listing, test }).collect::<Vec<_>>()
        };
        self.accounts.iter().enumerate().flat_map(of_listing).collect()
    }

    /// Verdicts that still wait for other suspects at the end of a stopped run.
    pub fn release(&mut self) -> Vec<(TestId, Verdict)> {
        self.deaths.iter_mut().flat_map(|death| std::mem::take(&mut death.cleared)).collect()
    }
}

/// A process crashed, and none of its tests does so alone, or after the others: a pass would hide the
/// crash, so all that have passed get it as their verdict.
fn blame_all(death: &Death, cleared: &mut [(TestId, Verdict)]) {
    let others = death.ran - 1;
    for (test, verdict) in cleared {
        let printed = death.output.of(*test);
        verdict.outcome = death.end.outcome();
        let end = death.end.clone();
        verdict.reason = Some(match death.rerun {
            Rerun::Alone => Reason::PassesAlone { end, others },
            Rerun::InTurn => Reason::PassesInTurn { end, others },
        });
        verdict.worker = death.worker;
        verdict.output = printed.output;
        verdict.output_lost = printed.lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(test: usize) -> TestId {
        TestId { listing: 0, test }
    }

    fn verdict(outcome: Outcome) -> Verdict {
        Verdict::without_run(outcome, None)
    }

    fn opened(tests: usize) -> Ledger {
        let mut ledger = Ledger::default();
        (0..tests).for_each(|test| ledger.expect(id(test)));
        ledger
    }

    fn outcomes(judged: Vec<(TestId, Verdict)>) -> Vec<(usize, Outcome)> {
        judged.into_iter().map(|(test, verdict)| (test.test, verdict.outcome)).collect()
    }

    #[test]
    fn a_second_verdict_is_dropped() {
        let mut ledger = opened(2);
        assert_eq!(ledger.record(id(0), verdict(Outcome::Failed)).len(), 1);
        assert_eq!(ledger.record(id(0), verdict(Outcome::Passed)).len(), 0);
        assert_eq!(ledger.record(id(7), verdict(Outcome::Passed)).len(), 0, "never handed out");
        assert_eq!(ledger.without_verdict(), [id(1)]);
    }

    /// What an interrupt has ended might have used more, and what never started has used nothing.
    #[test]
    fn a_test_has_run_if_it_has_started_and_come_to_an_end_of_its_own() {
        let mut ledger = opened(3);
        [0, 1].map(id).into_iter().for_each(|test| ledger.note_start(test));
        let outcomes = [Outcome::Failed, Outcome::Interrupted, Outcome::Ignored];
        for (test, outcome) in outcomes.into_iter().enumerate() {
            assert!(!ledger.has_run(id(test)));
            ledger.record(id(test), verdict(outcome));
        }
        assert_eq!([0, 1, 2].map(|test| ledger.has_run(id(test))), [true, false, false]);
    }

    #[test]
    fn a_culprit_clears_the_other_suspects() {
        let mut ledger = opened(2);
        ledger.note_death(
            &[id(0), id(1)],
            WorkerEnd::Died("SIGABRT".into()),
            None,
            ProcessOutput::default(),
            Rerun::Alone,
        );
        assert_eq!(outcomes(ledger.record(id(0), verdict(Outcome::Passed))), []);
        let judged = outcomes(ledger.record(id(1), verdict(Outcome::Aborted)));
        assert_eq!(judged, [(1, Outcome::Aborted), (0, Outcome::Passed)]);
    }

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            outcome,
            ended: None,
            worker: None,
            took: None,
            reason: None,
            output: Vec::new().into(),
            output_lost: None,
            beside: 0,
        }
    }

    /// What the ledger says of suspects of a SIGABRT, whose attempts end like this, in this order.
    fn judge(attempts: &[(usize, Outcome)]) -> Vec<(usize, Outcome)> {
        let tests = attempts.iter().map(|(test, _)| test + 1).max().unwrap_or_default();
        let mut ledger = opened(tests);
        let suspects: Vec<TestId> = (0..tests).map(id).collect();
        let died = WorkerEnd::Died("SIGABRT".into());
        ledger.note_death(&suspects, died, None, ProcessOutput::default(), Rerun::InTurn);
        let mut judged = Vec::new();
        for (at, (test, outcome)) in attempts.iter().enumerate() {
            let is_last = attempts[at + 1..].iter().all(|(other, _)| other != test);
            if is_last {
                judged.extend(outcomes(ledger.record(id(*test), verdict(*outcome))));
            } else {
                assert!(ledger.note_failure(id(*test), attempt(*outcome), 9).is_some());
            }
        }
        judged.extend(outcomes(ledger.release()));
        judged.sort_unstable();
        assert_eq!(ledger.without_verdict(), []);
        judged
    }

    #[test]
    fn what_explains_a_crash_is_asked_of_every_attempt() {
        use Outcome::{Aborted, Failed, Interrupted, Passed, TimedOut};
        for ended in [Aborted, TimedOut] {
            let judged = judge(&[(0, Passed), (1, ended), (2, Passed), (1, Passed)]);
            assert_eq!(judged, [(0, Passed), (1, Passed), (2, Passed)], "it explains the crash");
        }
        let judged = judge(&[(0, Passed), (1, Failed), (2, Passed), (1, Passed)]);
        assert_eq!(judged, [(0, Aborted), (1, Aborted), (2, Aborted)], "nothing does");
        let judged = judge(&[(0, Passed), (1, Interrupted), (2, Passed)]);
        assert_eq!(judged, [(0, Passed), (1, Interrupted), (2, Passed)], "it may have");
    }

    proptest::proptest! {
        /// Only a test that ends its process again explains a crash. Otherwise nobody passes.
        #[test]
        fn a_crash_is_explained_or_nobody_passes_in_whatever_order_they_run(
            ends in proptest::collection::vec(
                (proptest::collection::vec(0..3_usize, 0..3), 0..5_usize), 2..5,
            ),
            picks in proptest::collection::vec(proptest::num::usize::ANY, 20),
        ) {
            use Outcome::{Aborted, Blocked, Failed, Passed, TimedOut};
            let of = |test: usize| {
                let (failed, last) = &ends[test];
                let failed = failed.iter().map(|at| [Failed, Aborted, TimedOut][*at]);
                let last = [Passed, Failed, Aborted, TimedOut, Blocked][*last];
                failed.chain([last]).collect::<std::collections::VecDeque<Outcome>>()
            };
            let all: Vec<_> = (0..ends.len()).map(of).collect();
            let is_explained = all.iter().flatten().any(|end| matches!(end, Aborted | TimedOut));
            let mut left = all.clone();
            let attempts: Vec<(usize, Outcome)> = picks.iter().map_while(|pick| {
                let open = (0..left.len()).filter(|test| !left[*test].is_empty());
                let open: Vec<usize> = open.collect();
                let test = *open.get(pick.checked_rem(open.len())?)?;
                Some((test, left[test].pop_front()?))
            }).collect();
            let expected = all.iter().enumerate().map(|(test, attempts)| {
                let last = *attempts.back().expect("each has an attempt");
                (test, if last == Passed && !is_explained { Aborted } else { last })
            });
            assert_eq!(judge(&attempts), expected.collect::<Vec<_>>(), "{attempts:?}");
        }
    }

    /// Those that have passed until then, and those that come later.
    #[test]
    fn with_a_culprit_the_others_wait_for_nobody() {
        let died = || WorkerEnd::Died("SIGABRT".into());
        let mut ledger = opened(4);
        let all = [0, 1, 2, 3].map(id);
        ledger.note_death(&all, died(), None, ProcessOutput::default(), Rerun::InTurn);
        assert!(!ledger.is_suspect(id(0)), "it need not run alone");
        assert_eq!(outcomes(ledger.record(id(2), verdict(Outcome::Passed))), []);
        let judged = outcomes(ledger.record(id(1), verdict(Outcome::Aborted)));
        assert_eq!(judged, [(1, Outcome::Aborted), (2, Outcome::Passed)]);
        let judged = outcomes(ledger.record(id(0), verdict(Outcome::Passed)));
        assert_eq!(judged, [(0, Outcome::Passed)]);
        assert_eq!(ledger.without_verdict(), [id(3)]);
    }

    #[test]
    fn a_death_without_a_culprit_is_never_a_pass() {
        let mut ledger = opened(2);
        ledger.note_death(
            &[id(0), id(1)],
            WorkerEnd::Died("SIGABRT".into()),
            None,
            ProcessOutput::default(),
            Rerun::Alone,
        );
        ledger.record(id(1), verdict(Outcome::Passed));
        let judged = ledger.record(id(0), verdict(Outcome::Passed));
        assert!(
            judged[0]
                .1
                .reason
                .as_ref()
                .unwrap()
                .to_string()
                .starts_with("SIGABRT while it ran beside")
        );
        assert_eq!(outcomes(judged), [(1, Outcome::Aborted), (0, Outcome::Aborted)]);
    }
}
