//! The CPU load of the tests of a group, from what is known of them and what they do now.

use std::time::Duration;

use super::group::GroupTest;

/// The assumed duration of a test where there is no history at all. Only the proportions between
/// groups matter then: work is proportional to the number of tests.
pub(super) const ASSUMED: Duration = Duration::from_millis(1);

/// The CPU load of a test that is so short that its slot mostly waits for the next one, which libtest
/// starts in another thread. (Not in
/// proportion: beside others it takes longer, and the estimate would oscillate between runs.)
pub(super) fn load_if_trivial(took: Duration) -> Option<f64> {
    const TRIVIAL: Duration = Duration::from_micros(100);
    (took < TRIVIAL).then_some(0.25)
}

/// Whether tests with this mean load leave cores to others.
pub(super) fn mostly_waits(load: f64) -> bool {
    const FILLED: f64 = 0.7;
    load < FILLED
}

/// The CPU load of a group: that of its running tests, once it has been measured. Until then tests
/// that were never measured are assumed to be like others of the group, or to keep a core busy.
#[derive(Debug, Default)]
pub struct CpuLoad {
    known: Sum,
    /// How many tests were never measured before this run.
    unknown: usize,
    /// How many tests this run has measured in the group, and their seconds.
    took: (usize, f64),
    /// Those of them whose loads are known; unmeasured tests are assumed to be like them.
    learnt: Sum,
    /// What the running tests have wanted, the last moments most.
    seen: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    count: usize,
    /// In seconds.
    time: f64,
    /// The part of that time in which a core was busy.
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

    pub fn learn(&mut self, took: Duration, load: Option<f64>) {
        self.took.0 += 1;
        self.took.1 += took.as_secs_f64();
        if let Some(load) = load {
            self.learnt.add(took, load);
        }
    }

    /// Running tests have wanted this share of a core for so long, all together.
    pub fn see(&mut self, running: Duration, share: f64) {
        self.seen.time /= 2.0;
        self.seen.busy /= 2.0;
        self.seen.add(running, share);
    }

    /// Whether some tests were never measured before this run.
    pub fn has_unknown(&self) -> bool {
        self.unknown > 0
    }

    /// How many tests this run has measured.
    pub fn measured(&self) -> usize {
        self.took.0
    }

    /// The mean duration of the tests that this run has measured, whenever their number has
    /// doubled.
    pub fn new_mean(&self) -> Option<Duration> {
        let (count, time) = self.took;
        count.is_power_of_two().then(|| Duration::from_secs_f64(time / count as f64))
    }

    /// Whether nothing has been measured.
    pub fn is_guess(&self) -> bool {
        self.known.count == 0 && self.took.0 == 0 && self.seen.count == 0
    }

    /// The mean over the time of the tests, from 0 to 1.
    pub fn mean(&self) -> f64 {
        if self.seen.count > 0 {
            return self.seen.busy / self.seen.time;
        }
        let assumed = Sum { count: 1, time: ASSUMED.as_secs_f64(), busy: ASSUMED.as_secs_f64() };
        let like = if self.learnt.count > 0 { &self.learnt } else { &assumed };
        let unknown = self.unknown as f64 / like.count as f64;
        let time = self.known.time + like.time * unknown;
        (self.known.busy + like.busy * unknown) / time.max(1e-6)
    }
}
