//! How far a running batch has come.

use std::collections::BTreeMap;
use std::time::Duration;

use super::group::GroupTest;

/// How far a running batch has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Tests that have not finished.
    pub(super) left: usize,
    /// The expected duration of those that were measured before.
    known: Duration,
    /// How many of those take how long.
    durations: BTreeMap<Duration, usize>,
    /// How many of them never were.
    unknown: usize,
}

impl Progress {
    pub(super) fn of(tests: &[GroupTest]) -> Progress {
        let mut durations = BTreeMap::new();
        for expected in tests.iter().filter_map(|test| test.expected) {
            *durations.entry(expected).or_default() += 1;
        }
        Progress {
            left: tests.len(),
            known: tests.iter().filter_map(|test| test.expected).sum(),
            durations,
            unknown: tests.iter().filter(|test| test.expected.is_none()).count(),
        }
    }

    /// One of the tests has finished.
    pub(super) fn finish(&mut self, test: &GroupTest) {
        self.left = self.left.saturating_sub(1);
        match test.expected {
            Some(expected) => {
                self.known = self.known.saturating_sub(expected);
                if let Some(tests) = self.durations.get_mut(&expected) {
                    *tests -= 1;
                    if *tests == 0 {
                        self.durations.remove(&expected);
                    }
                }
            }
            None => self.unknown = self.unknown.saturating_sub(1),
        }
    }

    /// The expected duration of the longest test that is left and was measured before.
    pub(super) fn longest(&self) -> Duration {
        self.durations.last_key_value().map(|(longest, _)| *longest).unwrap_or_default()
    }

    /// The work that is left, where tests that were never measured take this long.
    pub(super) fn work(&self, assumed: Duration) -> Duration {
        self.known + assumed * u32::try_from(self.unknown).unwrap_or(u32::MAX)
    }
}
