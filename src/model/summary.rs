//! The totals of a run.

use std::time::Duration;

use super::bottleneck::Bottleneck;
use super::leak::{Leak, LeakAction};
use super::listing::ListFailure;
use super::outcome::{Flakiness, OUTCOMES, Outcome};
use super::verdict::Verdict;

/// Everything the last line of a report and the exit code are derived from.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub counts: [usize; OUTCOMES.len()],
    /// Selected, but never started because the run was stopped.
    pub not_run: usize,
    /// Selected, and left to other machines.
    pub in_other_shards: usize,
    /// Not selected.
    pub filtered_out: usize,
    pub flaky: usize,
    /// Passed by themselves, after another test had made them fail.
    pub interfered: usize,
    pub order_dependent: usize,
    /// Those among both that the policy counts as failed.
    pub flaky_failures: [usize; 2],
    pub leaks: usize,
    pub denied_leaks: usize,
    pub list_failures: usize,
    /// Those among them that are doctests, which could not be built.
    pub doctest_failures: usize,
    pub failed_fixtures: usize,
    pub binaries: usize,
    pub workers: u64,
    pub slots: usize,
    /// What held up the run while slots were idle.
    pub bottleneck: Option<Bottleneck>,
    /// The share of the slots' time that was used, from 0 to 1.
    pub fill: f64,
    pub took: Duration,
    pub interrupted: bool,
    /// It exceeded `run-timeout`.
    pub timed_out: bool,
    /// A report could not be written to its file.
    pub lacks_report: bool,
    /// A thread of the runner panicked.
    pub internal_error: bool,
}

impl Summary {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.counts[outcome as usize]
    }

    pub fn add_list_failure(&mut self, failure: &ListFailure) {
        self.list_failures += 1;
        self.doctest_failures += usize::from(failure.is_doctests);
    }

    pub fn add(&mut self, verdict: &Verdict) {
        self.counts[verdict.outcome as usize] += 1;
        match verdict.flakiness() {
            Some(Flakiness::Flaky) => self.flaky += 1,
            Some(Flakiness::OrderDependent) => self.order_dependent += 1,
            None => {}
        }
        self.interfered += usize::from(verdict.interference.is_some());
        if let Some(flakiness) = verdict.flakiness().filter(|_| verdict.is_flaky_failure) {
            self.flaky_failures[flakiness as usize] += 1;
        }
        self.add_leaks(&verdict.leaks);
    }

    pub fn add_leaks(&mut self, leaks: &[Leak]) {
        self.leaks += leaks.len();
        let is_denied = |leak: &&Leak| leak.action == LeakAction::Deny;
        self.denied_leaks += leaks.iter().filter(is_denied).count();
    }

    /// The number of tests that ran and did not pass.
    pub fn failures(&self) -> usize {
        let failures = OUTCOMES.iter().filter(|outcome| outcome.is_failure());
        failures.map(|outcome| self.count(*outcome)).sum()
    }

    /// Whether nothing has failed, and nothing was left out that should have run.
    pub fn is_success(&self) -> bool {
        let good = self.count(Outcome::Passed) + self.count(Outcome::Ignored);
        let was_ended = self.interrupted || self.timed_out || self.internal_error;
        let bad = self.denied_leaks + self.list_failures + self.failed_fixtures + self.not_run;
        self.total() == good && bad == 0 && !was_ended
    }

    /// All tests with a verdict.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}
