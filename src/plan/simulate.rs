//! Simulates a plan without running anything.

use std::time::Duration;

use super::candidate::PROCESS_COST;
use super::fixtures::FixtureStep;
use super::group::Batch;
use super::schedule::Plan;

/// One batch of a simulated plan.
#[derive(Debug, Clone)]
pub struct Step {
    pub batch: Batch,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests of the plan read it"))]
    pub starts: Duration,
    pub ends: Duration,
}

/// Simulates a plan in which every test takes as long as expected.
pub fn simulate(mut plan: Plan) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut running: Vec<(Duration, usize)> = Vec::new();
    let mut now = Duration::ZERO;
    loop {
        while let Some(batch) = plan.next() {
            let tests = plan.tests_of(batch.group, &batch.tests);
            let threads = u32::try_from(batch.threads).unwrap_or(1).max(1);
            let ends = now + PROCESS_COST + plan.groups[batch.group].work(&tests) / threads;
            running.push((ends, batch.id));
            steps.push(Step { batch, starts: now, ends });
        }
        // The time that fixtures take to start and stop is unknown.
        match plan.next_fixture() {
            Some(FixtureStep::Start(instance)) => {
                plan.fixture_is_up(instance);
                continue;
            }
            Some(FixtureStep::Stop(instance)) => {
                plan.fixture_is_down(instance);
                continue;
            }
            None => {}
        }
        let Some(first) = (0..running.len()).min_by_key(|at| running[*at]) else { return steps };
        let (ended, batch) = running.swap_remove(first);
        now = ended;
        plan.finished(batch);
    }
}
