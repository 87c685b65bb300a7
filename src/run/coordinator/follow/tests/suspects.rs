//! What becomes of tests that are suspected of a death.

use super::*;
use crate::plan::schedule::Plan;
use crate::worker::inbox::{BatchEnd, EndCause};

/// A worker dies while two of its tests run, and those that come next say nothing of theirs: the
/// two still run alone. Beside others they could become suspects of another death, and nobody
/// would ask for the first any more.
#[test]
fn suspects_run_alone_although_their_worker_says_nothing() {
    let setting = Setting::new(vec![group(0, Isolation::Unit, &tests(4))], 1);
    let (inventory, groups) = (inventory(&setting.groups), ProcessGroups::default());
    let context = context(&inventory, &groups, 1);
    let jobs = RefCell::new(VecDeque::new());
    let mut handed_out: Vec<Vec<TestId>> = Vec::new();
    let mut emit = |_| true;
    let run = Run::new(&context, Plan::new(setting.groups.clone(), 1, None), false, &mut emit);
    let mut next = |_| {
        let job: Job = jobs.borrow_mut().pop_front()?;
        let tests = job.batch.tests.clone();
        let is_first = handed_out.is_empty();
        handed_out.push(tests.clone());
        let (mut messages, mut rest) = (Vec::new(), BatchEnd::done());
        if is_first {
            rest.cause = EndCause::Died("SIGABRT".into());
            rest.running = tests[..2].iter().map(|test| (*test, Duration::ZERO)).collect();
            rest.not_begun = tests[2..].to_vec();
        } else if job.protocol != Protocol::ExitCode {
            (rest.cause, rest.not_begun) = (EndCause::NoChannel, tests);
        } else {
            let batch = job.batch.id;
            let passed = |test| {
                let verdict = Verdict::without_run(Outcome::Passed, None);
                Message::Judged { batch, test, verdict }
            };
            messages.extend(tests.into_iter().map(passed));
        }
        messages.push(Message::Finished { batch: job.batch.id, rest });
        Some(Message::Several(messages))
    };
    let starter = Starter { worker: &|job| jobs.borrow_mut().push_back(job), fixture: &|_, _| () };
    let summary = run.follow(&starter, &mut next).unwrap();
    let (first, others) = handed_out.split_first().unwrap();
    let is_suspect = |test: &TestId| first[..2].contains(test);
    let are_apart = |tests: &Vec<TestId>| tests.len() == 1 || !tests.iter().any(is_suspect);
    assert!(others.iter().all(are_apart), "{handed_out:?}");
    assert_eq!(summary.count(Outcome::Aborted), 2, "both pass alone, and the process died");
}
