//! What each process of a module pays to set up what its tests share. Pure.

use std::time::Duration;

use super::phases::PhaseVerdicts;
use crate::model::diagnosis::Phase;
use crate::model::outcome::Outcome;
use crate::model::test::TestId;
use crate::plan::group::Group;

/// What a process pays below this is noise.
const LEAST_COST: Duration = Duration::from_millis(50);

/// So much longer a test that sets everything up has to take than one that finds it set up.
const LEAST_SHARE: f64 = 1.0 / 3.0;

/// One test of a module sets up what the others find; from fewer than two others nothing follows.
const FEWEST_TESTS: usize = 3;

/// What a process pays before its first test of a group, and how long the tests take without that.
pub struct SetupCost {
    pub cost: Duration,
    pub tests: Vec<(TestId, Duration)>,
}

/// None if the tests of a group take as long alone as after others of their process.
pub fn setup_cost(group: &Group, phases: &[PhaseVerdicts]) -> Option<SetupCost> {
    let took = |is_meant: fn(Phase) -> bool, test: TestId| {
        let phase = phases.iter().find(|of| is_meant(of.phase))?;
        phase.verdicts.get(&test).filter(|of| of.outcome == Outcome::Passed)?.took
    };
    let both = |test: TestId| {
        let alone = took(|phase| phase == Phase::Alone, test)?;
        Some((test, alone, took(|phase| phase == Phase::Together, test)?))
    };
    let ids = group.tests.iter().map(|test| test.id);
    let times: Vec<(TestId, Duration, Duration)> = ids.map(both).collect::<Option<_>>()?;
    let mut costs: Vec<Duration> = Vec::new();
    for (_, alone, together) in &times {
        let cost = alone.saturating_sub(*together);
        if cost >= LEAST_COST && cost >= alone.mul_f64(LEAST_SHARE) {
            costs.push(cost);
        }
    }
    // All but the one that sets it up for the others.
    if times.len() < FEWEST_TESTS || costs.len() + 1 < times.len() {
        return None;
    }
    costs.sort_unstable();
    let cost = costs[costs.len() / 2];
    let without = |(test, alone, together): (TestId, Duration, Duration)| {
        (test, together.min(alone.saturating_sub(cost)))
    };
    Some(SetupCost { cost, tests: times.into_iter().map(without).collect() })
}
