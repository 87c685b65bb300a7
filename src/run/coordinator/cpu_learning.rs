//! Measures the CPU load of new tests during the run, so that tests that mostly wait make room for
//! others.

use std::time::{Duration, Instant};

use crate::model::verdict::Verdict;
use crate::plan::schedule::Plan;
use crate::process::procfs::SystemCpuTime;

/// The kernel counts in hundredths of a second, so shorter intervals are too coarse.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

/// A low load counts only if this much of the machine was idle: on a busy machine all tests wait
/// for a core.
const IDLE: f64 = 0.3;

/// A load above this counts on a busy machine too.
const COMPUTES: f64 = 0.7;

#[derive(Debug)]
pub struct Learning {
    /// Measurements that the plan does not have yet.
    measured: Vec<Measured>,
    looked: Option<(Instant, SystemCpuTime)>,
    /// How much of the machine has been idle since an earlier look.
    idle_since: fn(SystemCpuTime) -> Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    group: usize,
    took: Duration,
    load: f64,
}

impl Default for Learning {
    fn default() -> Learning {
        let idle_since = |then| Some(SystemCpuTime::now()?.idle_since(then));
        Learning { measured: Vec::new(), looked: None, idle_since }
    }
}

impl Learning {
    pub fn begin(&mut self, plan: &Plan) {
        if plan.learns() {
            self.looked = SystemCpuTime::now().map(|now| (Instant::now(), now));
        }
    }

    pub fn note(&mut self, plan: &Plan, group: usize, verdict: &Verdict) {
        if let Some((took, load)) = verdict.took.zip(verdict.load).filter(|_| plan.learns()) {
            self.measured.push(Measured { group, took, load });
        }
    }

    /// Passes reliable measurements to the plan.
    pub fn teach(&mut self, plan: &mut Plan) {
        let Some((at, then)) = self.looked.filter(|_| !self.measured.is_empty()) else { return };
        if at.elapsed() < LONG_ENOUGH {
            return;
        }
        let is_idle = (self.idle_since)(then).is_some_and(|idle| idle >= IDLE);
        for Measured { group, took, load } in self.measured.drain(..) {
            if is_idle || load >= COMPUTES {
                plan.learn(group, took, load);
            }
        }
        self.begin(plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Outcome;
    use crate::plan::group::{Isolation, Slots};
    use crate::plan::schedule::tests::group;

    #[test]
    fn a_plan_is_taught_what_waits_unless_the_machine_is_busy() {
        let began = |load: Option<f64>, idle_since: fn(SystemCpuTime) -> Option<f64>| {
            let slots = Slots { count: 8, cores: Some(2), likely: 2 };
            let groups = vec![group(0, Isolation::Split, &[None; 200])];
            let mut plan = Plan::new(groups, slots, None);
            let now = SystemCpuTime::now().map(|now| (Instant::now() - LONG_ENOUGH, now));
            let mut learning = Learning { idle_since, looked: now, ..Learning::default() };
            let start = |plan: &mut Plan| {
                std::iter::from_fn(|| plan.next()).map(|b| b.threads).sum::<usize>()
            };
            let first = start(&mut plan);
            let took = Some(Duration::from_millis(100));
            let verdict = Verdict { took, load, ..Verdict::without_run(Outcome::Passed, None) };
            learning.note(&plan, 0, &verdict);
            learning.teach(&mut plan);
            (first, start(&mut plan))
        };
        assert_eq!(began(Some(0.1), |_| Some(0.9)), (2, 6));
        assert_eq!(began(Some(1.0), |_| Some(0.9)), (2, 0), "they compute");
        assert_eq!(began(Some(0.1), |_| Some(0.1)), (2, 0), "all wait for a core");
        assert_eq!(began(Some(0.1), |_| None), (2, 0), "nobody tells");
        assert_eq!(began(None, |_| Some(0.9)), (2, 0), "not measured");
    }
}
