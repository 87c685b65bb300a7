//! How long the run sleeps while nobody tells it anything.

use std::cell::Cell;

use super::*;
use crate::model::test_output::ProcessOutput;
use crate::plan::schedule::Plan;
use crate::run::coordinator::state::{Growth, Subscriptions};
use crate::worker::inbox::{BatchEnd, EndCause};

/// Plays a run of one batch in which a test runs on and on, until it is called slow or the run has
/// waited so often; returns how long the run was ready to wait each time.
fn waits(subscriptions: Subscriptions, slow: Duration) -> (Vec<Option<Duration>>, bool) {
    const MOST: usize = 20;
    let mut only = group(0, Isolation::Unit, &tests(2));
    only.tests.iter_mut().for_each(|test| test.slow = slow);
    let setting = Setting::new(vec![only], 1);
    let (inventory, groups) = (inventory(&setting.groups), ProcessGroups::default());
    let context = context(&inventory, &groups, 1);
    let (mut waits, is_slow) = (Vec::new(), Cell::new(false));
    let mut emit = |event: Event| {
        is_slow.set(is_slow.get() || matches!(event, Event::Slow { .. }));
        true
    };
    let mut run = Run::new(&context, Plan::new(setting.groups.clone(), 1, None), false, &mut emit);
    run.subscribe(subscriptions);
    let place = context.state.active.enter(0, 0);
    let mut next = |patience: Option<Duration>| {
        let is_over = patience.is_none_or(|left| left > SHORT) || waits.len() == MOST;
        waits.push(patience);
        match waits.len() {
            // The first test begins while nobody looks.
            1 => place.began(TestId { listing: 0, test: 0 }, clock::now()),
            _ if is_slow.get() || is_over => {
                let (cause, not_begun) = (EndCause::Done, vec![]);
                let (running, output, left_behind) = (vec![], ProcessOutput::default(), vec![]);
                let rest =
                    BatchEnd { cause, running, not_begun, output, left_behind, ..BatchEnd::done() };
                return Some(Message::Finished { batch: 0, rest });
            }
            _ => {}
        }
        std::thread::sleep(patience.unwrap_or_default().min(SHORT));
        None
    };
    let starter = Starter { worker: &|_| (), fixture: &|_, _| () };
    run.follow(&starter, &mut next).unwrap();
    (waits, is_slow.get())
}

const SHORT: Duration = Duration::from_millis(500);

#[test]
fn the_run_sleeps_until_a_test_may_have_become_slow() {
    let slow = Subscriptions { slow: true, time: None };
    let (found, is_slow) = waits(slow, Duration::from_millis(300));
    assert!(is_slow, "{found:?}");
    // When the batch may first have a slow test, and when this one is; a system that wakes
    // somebody too early may add one or the other.
    assert!(found.len() <= 6, "{found:?}");
    let (found, _) = waits(slow, Duration::from_secs(3600));
    assert!(found.iter().all(|wait| wait.unwrap() > Duration::from_secs(3000)), "{found:?}");
}

#[test]
fn the_run_sleeps_until_somebody_tells_something_where_nobody_looks() {
    let (found, _) = waits(Subscriptions::default(), Duration::from_millis(1));
    assert!(found.iter().all(Option::is_none), "{found:?}");
    let (found, _) = waits(Subscriptions { slow: true, time: None }, Duration::MAX);
    assert!(found.iter().all(Option::is_none), "{found:?}");
}

/// A build that takes longer than a run may, with tests beside it, and then a test that does.
#[test]
fn the_time_of_a_run_begins_when_all_is_built() {
    let setting = Setting::new(vec![group(0, Isolation::Unit, &tests(1))], 1);
    let (inventory, groups) = (inventory(&setting.groups), ProcessGroups::default());
    let mut context = context(&inventory, &groups, 1);
    context.config.run_timeout = Some(SHORT);
    let mut emit = |_| true;
    let mut grow = |_: std::ops::Range<usize>| Growth::default();
    let plan = Plan::new(setting.groups.clone(), 1, None);
    let mut run = Run::new(&context, plan, false, &mut emit);
    run.grow(&mut grow);
    let mut waits = Vec::new();
    let mut next = |patience: Option<Duration>| {
        waits.push(patience);
        match waits.len() {
            1 => Some(Message::Built(Ok(()))),
            2 => {
                std::thread::sleep(SHORT);
                None
            }
            _ => {
                let (cause, not_begun) = (EndCause::Stopped, vec![TestId { listing: 0, test: 0 }]);
                let (running, output, left_behind) = (vec![], ProcessOutput::default(), vec![]);
                let rest =
                    BatchEnd { cause, running, not_begun, output, left_behind, ..BatchEnd::done() };
                Some(Message::Finished { batch: 0, rest })
            }
        }
    };
    let starter = Starter { worker: &|_| (), fixture: &|_, _| () };
    let summary = run.follow(&starter, &mut next).unwrap();
    assert_eq!(waits[0], None, "while it is built");
    assert!(waits[1].is_some_and(|left| left <= SHORT), "{waits:?}");
    assert!(summary.timed_out, "{waits:?}");
}
