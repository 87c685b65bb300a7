//! Failed tests that wait for their next attempt.

use std::time::{Duration, Instant};

use crate::config::keys::{Backoff, RetryKeys};
use crate::model::test::TestId;
use crate::process::clock;

/// Failed tests that wait, with their groups.
#[derive(Debug, Default)]
pub(super) struct Retries(Vec<(Instant, usize, TestId)>);

impl Retries {
    /// Lets a test of a group wait, after so many failures.
    pub(super) fn add(&mut self, group: usize, test: TestId, rules: RetryKeys, failures: usize) {
        self.0.push((clock::within(delay(rules, failures)), group, test));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|(due, _, _)| *due).min()
    }

    /// Takes those that are due, with their groups.
    pub(super) fn take_due(&mut self) -> impl Iterator<Item = (usize, TestId)> {
        let now = clock::now();
        let due = self.0.extract_if(.., move |(due, _, _)| *due <= now);
        due.map(|(_, group, test)| (group, test))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How long a test waits before its next attempt, after so many failures.
fn delay(rules: RetryKeys, failures: usize) -> Duration {
    /// The longest delay.
    const LONGEST: Duration = Duration::from_secs(600);
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = match rules.backoff {
        Backoff::Fixed => 1,
        Backoff::Exponential => 2_u32.saturating_pow(doublings),
    };
    rules.delay.saturating_mul(factor).min(LONGEST)
}
