//! The verdict on a test, with all that is known about it.

use std::time::Duration;

use super::leak::Leak;
use super::outcome::{Flakiness, Outcome};
use super::output::Output;
use super::reason::Reason;

/// An attempt at a test that failed, and was followed by another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub outcome: Outcome,
    pub took: Option<Duration>,
    pub reason: Option<Reason>,
    pub output: Output,
    /// How many other tests its process was handed.
    pub beside: usize,
}

/// The one verdict of a test, with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Not known for a test that never began.
    pub took: Option<Duration>,
    /// CPU time of its threads, if the agent reported it.
    pub cpu_time: Option<Duration>,
    /// How much of a core it used while it ran; not known where it started processes, or
    /// without the agent.
    pub load: Option<f64>,
    /// How often the test has been handed out; the ledger counts it.
    pub attempt: u32,
    /// Those before this one that failed.
    pub failed_before: Vec<Attempt>,
    /// It passed at last, and policy calls that a failure.
    pub is_flaky_failure: bool,
    pub worker: Option<u64>,
    /// One line: the place of the panic, the signal, the fixture.
    pub reason: Option<Reason>,
    pub output: Output,
    /// What the test left behind, as far as the rules do not hide it.
    pub leaks: Vec<Leak>,
}

impl Verdict {
    /// Whether it came after failures, and what these mean: one that failed alone too is
    /// flaky, whatever happened beside others.
    pub fn flakiness(&self) -> Option<Flakiness> {
        let passed = self.outcome == Outcome::Passed || self.is_flaky_failure;
        let failed_alone = self.failed_before.iter().any(|attempt| attempt.beside == 0);
        match self.failed_before.is_empty() || !passed {
            true => None,
            false if failed_alone => Some(Flakiness::Flaky),
            false => Some(Flakiness::OrderDependent),
        }
    }

    pub fn without_run(outcome: Outcome, reason: Option<Reason>) -> Verdict {
        Verdict {
            outcome,
            took: None,
            cpu_time: None,
            load: None,
            attempt: 1,
            failed_before: Vec::new(),
            is_flaky_failure: false,
            worker: None,
            reason,
            output: Output::default(),
            leaks: Vec::new(),
        }
    }
}
