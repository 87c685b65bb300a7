//! The verdict on a test.

use std::time::{Duration, Instant};

use super::interference::Interference;
use super::leak::Leak;
use super::lost_output::LostOutput;
use super::outcome::{Flakiness, Outcome};
use super::output::Output;
use super::reason::Reason;
use super::test::TestId;

/// A failed attempt that was followed by another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub outcome: Outcome,
    /// When the runner learnt that it had ended, by the run's clock, and its worker.
    pub ended: Option<Instant>,
    pub worker: Option<u64>,
    pub took: Option<Duration>,
    pub reason: Option<Reason>,
    pub output: Output,
    pub output_lost: Option<LostOutput>,
    /// The number of other tests in its batch.
    pub beside: usize,
}

/// The final verdict on a test. Every selected test gets exactly one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// When the runner learnt that it had ended, by the run's clock: soon after that.
    pub ended: Option<Instant>,
    /// `None` for a test that never started.
    pub took: Option<Duration>,
    /// CPU time of its threads, if the agent reported it.
    pub cpu_time: Option<Duration>,
    /// The share of a core that it used; `None` if it started processes, or without the agent.
    pub load: Option<f64>,
    /// How often the test has been dispatched.
    pub attempt: u32,
    /// The failed attempts before this one.
    pub failed_before: Vec<Attempt>,
    /// Why the first of them failed, if it passed when it ran again by itself.
    pub interference: Option<Interference>,
    /// It passed in the end, which the policy counts as a failure.
    pub is_flaky_failure: bool,
    pub worker: Option<u64>,
    /// One line: the place of the panic, the signal, the fixture.
    pub reason: Option<Reason>,
    pub output: Output,
    /// Why it may have printed more than that.
    pub output_lost: Option<LostOutput>,
    /// Its leaks, except those that a rule allows.
    pub leaks: Vec<Leak>,
    /// If it failed: others that had changed the state of its process.
    pub neighbors: Vec<TestId>,
}

impl Verdict {
    /// `None` unless the test failed first and passed later. A test that also failed alone is flaky,
    /// whatever happened in a process with other tests.
    pub fn flakiness(&self) -> Option<Flakiness> {
        let passed = self.outcome == Outcome::Passed || self.is_flaky_failure;
        // The first attempt failed because of a test of another process.
        let explained = usize::from(self.interference.is_some());
        let failures = self.failed_before.get(explained..).unwrap_or_default();
        let failed_alone = failures.iter().any(|attempt| attempt.beside == 0);
        match failures.is_empty() || !passed {
            true => None,
            false if failed_alone => Some(Flakiness::Flaky),
            false => Some(Flakiness::OrderDependent),
        }
    }

    /// Whether it failed, even if it passed when it ran again.
    pub fn has_failed_once(&self) -> bool {
        self.outcome.is_failure() || !self.failed_before.is_empty()
    }

    /// Whether it failed, other than because of a test of another process.
    pub fn has_failed_unexplained(&self) -> bool {
        let explained = usize::from(self.interference.is_some());
        self.outcome.is_failure() || self.failed_before.len() > explained
    }

    /// Why it failed at first, if it failed.
    pub fn first_failure(&self) -> Option<&Reason> {
        match self.failed_before.first() {
            Some(attempt) => attempt.reason.as_ref(),
            None => self.reason.as_ref().filter(|_| self.outcome.is_failure()),
        }
    }

    pub fn without_run(outcome: Outcome, reason: Option<Reason>) -> Verdict {
        Verdict {
            outcome,
            ended: None,
            took: None,
            cpu_time: None,
            load: None,
            attempt: 1,
            failed_before: Vec::new(),
            interference: None,
            is_flaky_failure: false,
            worker: None,
            reason,
            output: Output::default(),
            output_lost: None,
            leaks: Vec::new(),
            neighbors: Vec::new(),
        }
    }
}
