//! How much of a core the tests of a group keep busy.

use std::time::Duration;

use super::group::GroupTest;

/// What a test is taken to last where there is no history at all: only the proportions
/// between groups matter then, and this says "as many tests, as much work".
pub(super) const ASSUMED: Duration = Duration::from_millis(1);

/// Sums over the tests of a group. What was never measured is taken to compute, until others of
/// its kind have been measured.
#[derive(Debug, Default)]
pub struct CpuLoad {
    known: Sum,
    /// How many tests nobody has measured before this run.
    unknown: usize,
    /// What this run has measured in the group: those are taken to be like it.
    learnt: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    count: usize,
    /// In seconds.
    time: f64,
    /// The part of it in which a core was busy.
    busy: f64,
}

impl Sum {
    fn add(&mut self, took: Duration, load: f64) {
        let time = took.as_secs_f64().max(1e-6);
        self.count += 1;
        self.time += time;
        self.busy += time * load;
    }
}

impl CpuLoad {
    pub fn of(tests: &[GroupTest]) -> CpuLoad {
        let mut loads = CpuLoad::default();
        for test in tests {
            match test.expected {
                Some(expected) => loads.known.add(expected, test.load),
                None => loads.unknown += 1,
            }
        }
        loads
    }

    pub fn learn(&mut self, took: Duration, load: f64) {
        self.learnt.add(took, load);
    }

    /// How long the tests take that this run has measured, on average; told anew whenever there
    /// are twice as many of them.
    pub fn new_mean(&self) -> Option<Duration> {
        let Sum { count, time, .. } = self.learnt;
        count.is_power_of_two().then(|| Duration::from_secs_f64(time / count as f64))
    }

    /// Whether all that can be said is that nobody knows.
    pub fn is_guess(&self) -> bool {
        self.known.count == 0 && self.learnt.count == 0
    }

    /// On average over their time, from 0 to 1.
    pub fn mean(&self) -> f64 {
        let assumed = Sum { count: 1, time: ASSUMED.as_secs_f64(), busy: ASSUMED.as_secs_f64() };
        let like = if self.learnt.count > 0 { &self.learnt } else { &assumed };
        let unknown = self.unknown as f64 / like.count as f64;
        let time = self.known.time + like.time * unknown;
        (self.known.busy + like.busy * unknown) / time.max(1e-6)
    }
}
