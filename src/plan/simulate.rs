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

/// How long so many threads take, each of which begins the next test when it is free.
fn makespan(tests: impl Iterator<Item = Duration>, threads: usize) -> Duration {
    let mut threads = vec![Duration::ZERO; threads.max(1)];
    for test in tests {
        if let Some(first) = threads.iter_mut().min() {
            *first += test;
        }
    }
    threads.into_iter().max().unwrap_or_default()
}

/// Simulates a plan in which every test takes as long as expected.
pub fn simulate(mut plan: Plan) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut running: Vec<(Duration, usize)> = Vec::new();
    let mut now = Duration::ZERO;
    loop {
        while let Some(batch) = plan.next() {
            let tests = plan.tests_of(batch.group, &batch.tests);
            let state = &plan.groups[batch.group];
            let expected = tests.iter().map(|test| state.expected(test));
            let ends = now + PROCESS_COST + makespan(expected, batch.threads);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_as_long_as_the_longest_test_at_least() {
        let seconds = Duration::from_secs;
        let table: [(&[u64], usize, u64); 5] =
            [(&[3, 1, 1], 2, 3), (&[1, 1, 3], 2, 4), (&[2, 2], 1, 4), (&[5], 4, 5), (&[], 2, 0)];
        for (tests, threads, expected) in table {
            let durations = tests.iter().copied().map(seconds);
            assert_eq!(makespan(durations, threads), seconds(expected), "{tests:?} {threads}");
        }
    }
}
