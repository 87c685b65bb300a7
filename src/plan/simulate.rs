//! Simulates a plan without running anything.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::candidate::PROCESS_COST;
use super::elastic::Resize;
use super::fixtures::FixtureStep;
use super::group::{Batch, GroupTest};
use super::schedule::Plan;
use crate::model::test::TestId;

/// One batch of a simulated plan.
#[derive(Debug, Clone)]
pub struct Step {
    pub batch: Batch,
    pub starts: Duration,
    pub ends: Duration,
}

/// A batch that runs.
struct Running {
    step: usize,
    threads: usize,
    /// Tests that have not started, with their durations.
    waiting: VecDeque<(TestId, Duration)>,
    active: Vec<Active>,
}

/// A test that runs.
#[derive(Clone, Copy)]
struct Active {
    test: TestId,
    began: Duration,
    ends: Duration,
}

impl Running {
    fn start_tests(&mut self, now: Duration) {
        while self.active.len() < self.threads
            && let Some((test, took)) = self.waiting.pop_front()
        {
            self.active.push(Active { test, began: now, ends: now + took });
        }
    }
}

/// Simulates a plan in which every test takes as long as expected.
pub fn simulate(plan: Plan) -> Vec<Step> {
    let expected = |plan: &Plan, group: usize, test: &GroupTest| plan.groups[group].expected(test);
    play(plan, &expected)
}

/// Simulates a plan in which every test takes as long as `took` says.
#[cfg(test)]
pub fn simulate_with(plan: Plan, took: impl Fn(TestId) -> Duration) -> Vec<Step> {
    play(plan, &|_, _, test| took(test.id))
}

/// The plan learns as it would in a run.
fn play(mut plan: Plan, took: &dyn Fn(&Plan, usize, &GroupTest) -> Duration) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut running: HashMap<usize, Running> = HashMap::new();
    let mut now = Duration::ZERO;
    loop {
        while let Some(batch) = plan.next() {
            let tests = plan.tests_of(batch.group, &batch.tests);
            let timed = |test: &GroupTest| (test.id, took(&plan, batch.group, test));
            let waiting = tests.iter().map(timed).collect();
            let mut begun =
                Running { step: steps.len(), threads: batch.threads, waiting, active: Vec::new() };
            begun.start_tests(now + PROCESS_COST);
            running.insert(batch.id, begun);
            steps.push(Step { batch, starts: now, ends: now });
        }
        if set_up_or_tear_down(&mut plan) {
            continue;
        }
        if let Some(resize) = plan.widen() {
            resized(&mut running, resize, now);
            continue;
        }
        if let Some(resize) = plan.narrow() {
            resized(&mut running, resize, now);
        }
        let next = running
            .iter()
            .flat_map(|(id, batch)| batch.active.iter().map(|active| (*id, *active)))
            .min_by_key(|(id, active)| (active.ends, *id, active.test));
        let Some((id, Active { test, began, ends })) = next else { return steps };
        now = ends;
        let Some(batch) = running.get_mut(&id) else { continue };
        batch.active.retain(|active| active.test != test);
        batch.start_tests(now);
        plan.test_finished(id, test);
        steps[batch.step].ends = now;
        plan.learn(steps[batch.step].batch.group, now - began, None);
        let (is_narrow, is_over) = (batch.active.len() <= batch.threads, batch.active.is_empty());
        if is_narrow && plan.narrowing().is_some_and(|resize| resize.batch == id) {
            plan.narrowed(id);
        }
        if is_over {
            running.remove(&id);
            plan.finished(id);
        }
    }
}

/// Starts or stops the next fixture, and says whether there is one. How long that takes is unknown.
fn set_up_or_tear_down(plan: &mut Plan) -> bool {
    match plan.next_fixture() {
        Some(FixtureStep::Start(instance)) => plan.fixture_is_up(instance),
        Some(FixtureStep::Stop(instance)) => plan.fixture_is_down(instance),
        None => return false,
    }
    true
}

fn resized(running: &mut HashMap<usize, Running>, resize: Resize, now: Duration) {
    if let Some(batch) = running.get_mut(&resize.batch) {
        batch.threads = resize.threads;
        batch.start_tests(now);
    }
}
