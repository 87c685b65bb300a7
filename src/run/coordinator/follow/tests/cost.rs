//! What the coordinator costs for each test: measured by hand, with
//! `cargo test --release -- --ignored --nocapture coordinator_costs`.

use super::*;

/// Workers that pass one test each in turn.
#[derive(Default)]
struct Workers {
    running: VecDeque<(usize, VecDeque<TestId>)>,
    said: VecDeque<Message>,
}

impl Workers {
    fn start(&mut self, batch: &Batch) {
        self.running.push_back((batch.id, batch.tests.iter().copied().collect()));
    }

    fn next(&mut self) -> Option<Message> {
        if self.said.is_empty() {
            let (batch, mut tests) = self.running.pop_front()?;
            match tests.pop_front() {
                Some(test) => {
                    let verdict = Verdict::without_run(Outcome::Passed, None);
                    self.said.push_back(Message::TestEnded { batch, test });
                    self.said.push_back(Message::Judged { batch, test, verdict });
                    self.running.push_back((batch, tests));
                }
                None => self.said.push_back(Message::Finished { batch, rest: BatchEnd::done() }),
            }
        }
        self.said.pop_front()
    }
}

/// The time that a run takes with this number of tests in each of a hundred binaries.
fn run(tests: usize, slots: usize, isolation: Isolation) -> Duration {
    let durations: Vec<Option<u64>> = (0..tests as u64).map(|test| Some(1 + test % 50)).collect();
    let groups: Vec<Group> = (0..100).map(|at| group(at, isolation, &durations)).collect();
    let inventory = inventory(&groups);
    let own_groups = ProcessGroups::default();
    let context = context(&inventory, &own_groups, slots);
    let workers = RefCell::new(Workers::default());
    let mut emit = |_| true;
    let began = std::time::Instant::now();
    let run = Run::new(&context, Plan::new(groups, slots, None), false, &mut emit);
    let worker = |job: Job| workers.borrow_mut().start(&job.batch);
    let fixture = |_, _| unreachable!("no test needs one");
    let starter = Starter { worker: &worker, fixture: &fixture };
    let mut next = |_| workers.borrow_mut().next();
    let summary = run.follow(&starter, &mut next).unwrap();
    assert_eq!(summary.count(Outcome::Passed), 100 * tests);
    began.elapsed()
}

#[test]
#[ignore = "a measurement, for which the machine has to be idle"]
fn coordinator_costs() {
    for isolation in [Isolation::Unit, Isolation::Split, Isolation::PerTest] {
        for (tests, slots) in [(100, 2), (1_000, 2), (100, 64), (1_000, 64)] {
            let took = run(tests, slots, isolation);
            let each = took.as_secs_f64() * 1e6 / (100 * tests) as f64;
            println!("{isolation:?}: {} tests, {slots} slots: {each:.2} µs each", 100 * tests);
        }
    }
}

#[test]
fn every_test_of_many_has_its_verdict() {
    for isolation in [Isolation::Unit, Isolation::Split, Isolation::PerTest] {
        run(5, 64, isolation);
    }
}
