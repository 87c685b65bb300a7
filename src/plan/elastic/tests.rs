//! Batches that grow into idle slots and give them back, without a process.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::fixtures::Scope;
use crate::config::keys::Recycle;
use crate::plan::group::Threading;
use crate::plan::schedule::tests::{Chance, any_suite, group, lower_bound, uneven_suite};
use crate::plan::simulate::simulate_with;

fn unit(listing: usize, tests: usize) -> Group {
    group(listing, Isolation::Unit, &vec![None; tests])
}

/// Starts all that may start now: `group/threads` of each.
fn start(plan: &mut Plan) -> Vec<String> {
    std::iter::from_fn(|| plan.next().map(|batch| format!("{}/{}", batch.group, batch.threads)))
        .collect()
}

fn threads(resize: Option<Resize>) -> Option<(usize, usize)> {
    resize.map(|resize| (resize.batch, resize.threads))
}

#[test]
fn an_idle_slot_goes_to_the_batch_with_the_most_work_left() {
    let mut plan = Plan::new(vec![unit(0, 10), unit(1, 9), unit(2, 9)], 3, None);
    assert_eq!(start(&mut plan), ["0/1", "1/1", "2/1"]);
    assert_eq!(plan.widen(), None, "every slot is taken");
    plan.finished(2);
    assert!(start(&mut plan).is_empty());
    assert_eq!(threads(plan.widen()), Some((0, 2)));
    for test in plan.group(0).tests.clone().iter().take(8) {
        plan.test_finished(0, test.id);
    }
    plan.finished(1);
    assert_eq!(plan.widen(), None, "each of the last two tests has a thread");
}

#[test]
fn a_wide_batch_gives_a_slot_to_one_that_could_start() {
    let mut plan = Plan::new(vec![unit(0, 10)], 2, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    assert_eq!(plan.narrow(), None, "nothing else could start");
    plan.add(vec![unit(1, 3)]);
    assert!(start(&mut plan).is_empty());
    assert_eq!(threads(plan.narrow()), Some((0, 1)));
    assert_eq!(plan.narrow(), None, "one slot is enough for it");
    assert!(start(&mut plan).is_empty(), "the slot is in use until a test finishes");
    plan.narrowed(0);
    assert_eq!(start(&mut plan), ["1/1"]);
    assert_eq!((plan.widen(), plan.narrow()), (None, None));
    plan.finished(0);
    assert_eq!(threads(plan.widen()), Some((1, 2)));
}

#[test]
fn a_batch_that_would_end_last_gets_a_slot_before_another_starts() {
    let known = |listing, tests| group(listing, Isolation::Unit, &vec![Some(100); tests]);
    let mut plan = Plan::new(vec![known(0, 4), known(1, 3), known(2, 1)], 2, None);
    assert_eq!(start(&mut plan), ["0/1", "1/1"]);
    // Earlier than expected.
    plan.finished(1);
    assert!(start(&mut plan).is_empty(), "0.4 s are left of one batch, and 0.1 s of the rest");
    assert_eq!(threads(plan.widen()), Some((0, 2)));
    assert_eq!(plan.narrow(), None, "or it would be given back at once");
    let tests: Vec<TestId> = plan.group(0).tests.iter().map(|test| test.id).collect();
    tests.iter().take(3).for_each(|test| plan.test_finished(0, *test));
    assert_eq!(threads(plan.narrow()), Some((0, 1)));
    plan.narrowed(0);
    assert_eq!(start(&mut plan), ["2/1"]);
}

/// One more thread would not make its longest test any shorter.
#[test]
fn a_batch_with_one_long_test_keeps_no_slot_from_others() {
    let long = |rest: u64| group(0, Isolation::Unit, &[Some(rest), Some(100), Some(rest)]);
    let short = || group(1, Isolation::Unit, &[Some(10), Some(10)]);
    let mut plan = Plan::new(vec![long(1), short()], 2, None);
    assert_eq!(start(&mut plan), ["0/1", "1/1"]);
    plan.finished(1);
    assert_eq!(threads(plan.widen()), Some((0, 2)), "nobody else wants it");
    plan.add(vec![short()]);
    assert!(start(&mut plan).is_empty());
    assert_eq!(threads(plan.narrow()), Some((0, 1)));
    // All of them are needed for 240 ms of work, as long as two tests of 70 ms are among it.
    let mut plan = Plan::new(vec![long(70), short()], 2, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    let tests: Vec<TestId> = plan.group(0).tests.iter().map(|test| test.id).collect();
    assert_eq!(plan.narrow(), None);
    plan.test_finished(0, tests[0]);
    assert_eq!(plan.narrow(), None, "170 ms are left of it, and 20 ms of the rest");
    plan.test_finished(0, tests[2]);
    assert_eq!(threads(plan.narrow()), Some((0, 1)), "one test is left");
    plan.narrowed(0);
    assert_eq!(start(&mut plan), ["1/1"]);
}

#[test]
fn a_slot_goes_to_who_would_end_earlier_with_it_and_is_not_kept_idle() {
    let long = group(0, Isolation::Unit, &[Some(1), Some(1_000), Some(1)]);
    let many = group(1, Isolation::Unit, &[Some(80); 7]);
    let short = group(2, Isolation::Unit, &[Some(1)]);
    let mut plan = Plan::new(vec![long, many, short], 3, None);
    assert_eq!(start(&mut plan), ["0/1", "1/1", "2/1"]);
    plan.finished(2);
    assert_eq!(threads(plan.widen()), Some((1, 2)));
    // One that has more threads than tests left gives them up.
    let mut plan = Plan::new(vec![Group::clone(plan.group(0))], 2, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    let tests: Vec<TestId> = plan.group(0).tests.iter().map(|test| test.id).collect();
    plan.test_finished(0, tests[0]);
    assert_eq!(plan.narrow(), None);
    plan.test_finished(0, tests[2]);
    assert_eq!(threads(plan.narrow()), Some((0, 1)), "though nothing else could start");
    plan.narrowed(0);
    assert_eq!(plan.widen(), None);
}

#[test]
fn a_batch_that_ends_before_it_gives_a_slot_up_gives_up_all() {
    let mut plan = Plan::new(vec![unit(0, 10)], 2, None);
    start(&mut plan);
    plan.add(vec![unit(1, 3)]);
    assert!(start(&mut plan).is_empty() && plan.narrow().is_some());
    plan.finished(0);
    plan.narrowed(0);
    assert_eq!(start(&mut plan), ["1/2"]);
}

#[test]
fn fixtures_of_a_batch_that_waits_for_a_slot_start_before_it_has_one() {
    use crate::plan::fixtures::FixtureStep;
    use crate::plan::group::{Instance, Need};
    let mut plan = Plan::new(vec![unit(0, 10)], 2, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    let mut with_fixture = unit(1, 3);
    with_fixture.fixtures = vec![vec![Need { fixture: 0, scope: Scope::Run }]];
    plan.add(vec![with_fixture]);
    assert!(start(&mut plan).is_empty() && plan.next_fixture().is_none());
    assert_eq!(plan.narrow(), None, "its fixture is not up");
    assert!(plan.wants_fixtures());
    let server = Instance { fixture: 0, slot: None };
    assert_eq!(plan.next_fixture(), Some(FixtureStep::Start(server)));
    plan.fixture_is_up(server);
    assert_eq!(threads(plan.narrow()), Some((0, 1)));
}

#[test]
fn promises_about_threads_and_slots_are_kept() {
    let declared: [fn(&mut Group); 6] = [
        |group| group.threads = Threads::Exactly(1),
        |group| group.slots = 2,
        |group| group.exclusive = true,
        |group| group.threading = Threading::InTurn,
        |group| group.recycling = Recycle::OnFailure.into(),
        |group| group.at_once = Some(1),
    ];
    for declare in declared {
        let mut only = unit(0, 10);
        declare(&mut only);
        let mut plan = Plan::new(vec![only], 4, None);
        start(&mut plan);
        assert_eq!(plan.widen(), None);
    }
    let mut plan = Plan::new(vec![unit(0, 10), unit(1, 1)], 2, Some(1));
    start(&mut plan);
    plan.finished(1);
    assert_eq!(plan.widen(), None, "`--test-threads` bounds the threads of a process");
    plan.fix_threads(0);
    assert_eq!(plan.widen(), None);
}

#[test]
fn cores_that_are_busy_are_not_crowded() {
    let slots = crate::plan::group::Slots { count: 8, cores: Some(2), likely: 2 };
    let mut plan = Plan::new(vec![unit(0, 20)], slots, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    assert_eq!(plan.widen(), None);
    plan.learn(0, Duration::from_millis(100), Some(0.1));
    let mut widest = 0;
    while let Some(resize) = plan.widen() {
        widest = resize.threads;
    }
    assert_eq!(widest, 8, "tests that wait leave the cores to others");
}

#[test]
fn slots_are_held_once_whatever_grows_and_shrinks() {
    let mut chance = Chance(7);
    for _ in 0..300 {
        let (suite, slots) = (any_suite(&mut chance), 1 + chance.below(8) as usize);
        let mut plan = Plan::new(suite, slots, None);
        let mut running: Vec<(usize, Vec<TestId>)> = Vec::new();
        loop {
            while let Some(batch) = plan.next() {
                running.push((batch.id, batch.tests));
            }
            while plan.widen().is_some() {}
            plan.narrow();
            let held: Vec<usize> = plan.running.values().flat_map(|b| b.slots.clone()).collect();
            let distinct: BTreeSet<usize> = held.iter().copied().chain(plan.free.clone()).collect();
            assert_eq!((held.len() + plan.free.len(), distinct.len()), (slots, slots));
            assert!(
                plan.running.values().all(|batch| (1..=batch.slots.len()).contains(&batch.threads))
            );
            if running.is_empty() {
                break;
            }
            let at = chance.below(running.len() as u64) as usize;
            let (id, tests) = &mut running[at];
            let id = *id;
            if let Some(test) = tests.pop() {
                plan.test_finished(id, test);
            }
            if plan.narrowing().is_some_and(|resize| chance.below(2) == 0 || resize.batch == id) {
                plan.narrowed(plan.narrowing().unwrap().batch);
            }
            if tests.is_empty() {
                running.swap_remove(at);
                plan.finished(id);
            }
        }
        assert!(plan.is_done());
    }
}

type AnySuite = fn(&mut Chance) -> Vec<Group>;

/// Simulated ends as multiples of the lower bound: mean and worst.
fn ratios(count: usize, any_suite: AnySuite, is_known: bool) -> (f64, f64) {
    let mut chance = Chance(1);
    let ratio = |_| {
        let (groups, slots) = (any_suite(&mut chance), 2 + chance.below(7) as usize);
        let bound = lower_bound(&groups, slots);
        let took = |test: TestId| {
            let of_group = groups.iter().find(|group| group.has(test));
            of_group.and_then(|group| group.find(test)?.expected).unwrap_or_default()
        };
        let mut planned = groups.clone();
        planned.iter_mut().for_each(|group| group.has_explicit_policy = chance.below(2) == 0);
        if !is_known {
            planned.iter_mut().flat_map(|group| &mut group.tests).for_each(|t| t.expected = None);
        }
        let steps = simulate_with(Plan::new(planned, slots, None), took);
        let ends = steps.iter().map(|step| step.ends).max().unwrap_or_default();
        ends.as_secs_f64() / bound.as_secs_f64()
    };
    let ratios: Vec<f64> = (0..count).map(ratio).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    (mean, ratios.into_iter().fold(0.0, f64::max))
}

#[test]
fn suites_end_close_to_the_earliest_time_possible_known_or_not() {
    let table: [(&str, usize, AnySuite, [f64; 2]); 2] = [
        ("all groups alike", 1000, any_suite, [1.03, 1.15]),
        ("most of the work in a few groups", 250, uneven_suite, [1.05, 1.2]),
    ];
    for (what, count, suite, bounds) in table {
        for (is_known, bound) in [true, false].into_iter().zip(bounds) {
            let (mean, worst) = ratios(count, suite, is_known);
            println!("{what}, known: {is_known}: mean {mean:.3}, worst {worst:.3}");
            assert!(mean <= bound, "{what}, known: {is_known}: {mean}");
        }
    }
}

#[test]
fn running_tests_that_wait_make_room_before_any_has_finished() {
    let slots = crate::plan::group::Slots { count: 8, cores: Some(2), likely: 2 };
    let mut plan = Plan::new(vec![unit(0, 20), unit(1, 1), unit(2, 1)], slots, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    let second = Duration::from_secs(1);
    plan.observe(0, second, 0.0);
    assert_eq!(start(&mut plan), ["1/1", "2/1"], "both cores are idle");
    plan.observe(1, second, 0.0);
    let mut widest = 0;
    while let Some(resize) = plan.widen() {
        assert_eq!(resize.batch, 0, "the others have one test each");
        widest = resize.threads;
    }
    assert_eq!(widest, 6);
}

/// They may wait for what their process does once: more processes would all do it.
#[test]
fn tests_that_nobody_asked_to_split_stay_in_one_process_while_they_wait() {
    let slots = || crate::plan::group::Slots { count: 8, cores: Some(2), likely: 8 };
    let first_batch = |load: f64, has_explicit_policy: bool| {
        let mut tests = group(0, Isolation::Split, &[Some(1000); 40]);
        tests.tests.iter_mut().for_each(|test| test.load = load);
        tests.has_explicit_policy = has_explicit_policy;
        let batch = Plan::new(vec![tests], slots(), None).next().unwrap();
        (batch.tests.len(), batch.threads)
    };
    assert_eq!(first_batch(0.01, false), (40, 8));
    assert!(first_batch(1.0, false).0 < 40, "tests that compute are spread, the longest first");
    assert!(first_batch(0.01, true).0 < 40, "the policy says that they may be split");
}

#[test]
fn tests_that_begin_to_compute_give_up_what_they_had_while_they_waited() {
    let slots = crate::plan::group::Slots { count: 8, cores: Some(2), likely: 2 };
    let mut plan = Plan::new(vec![unit(0, 100)], slots, None);
    start(&mut plan);
    plan.observe(0, Duration::from_secs(1), 0.0);
    while plan.widen().is_some() {}
    assert_eq!(plan.narrow(), None, "nobody else wants a slot, and the cores are idle");
    for _ in 0..10 {
        plan.observe(0, Duration::from_secs(1), 1.0);
    }
    let mut threads = 8;
    while let Some(resize) = plan.narrow() {
        threads = resize.threads;
        plan.narrowed(0);
        assert_eq!(plan.widen(), None, "it would be taken back at once");
    }
    assert_eq!(threads, 2);
}

/// Otherwise a third test would compute on two cores.
#[test]
fn a_thread_that_is_to_be_given_up_keeps_its_core_until_its_test_ends() {
    let slots = crate::plan::group::Slots { count: 8, cores: Some(2), likely: 2 };
    let mut plan = Plan::new(vec![unit(0, 20)], slots, None);
    assert_eq!(start(&mut plan), ["0/2"]);
    plan.add(vec![unit(1, 1)]);
    plan.observe(0, Duration::from_secs(1), 1.0);
    assert!(start(&mut plan).is_empty(), "both cores are busy");
    assert_eq!(threads(plan.narrow()), Some((0, 1)));
    plan.observe(0, Duration::from_secs(1), 1.0);
    assert!(start(&mut plan).is_empty(), "both tests still run");
    plan.narrowed(0);
    assert_eq!(start(&mut plan), ["1/1"]);
}

#[test]
fn trivial_tests_keep_no_other_from_a_core() {
    let slots = crate::plan::group::Slots { count: 8, cores: Some(2), likely: 2 };
    let mut plan = Plan::new(vec![unit(0, 100), unit(1, 100)], slots, None);
    assert_eq!(start(&mut plan), ["0/1", "1/1"]);
    assert_eq!(plan.widen(), None, "each is assumed to keep a core busy");
    plan.learn(0, Duration::from_micros(10), None);
    assert_eq!(threads(plan.widen()), Some((1, 2)));
}

#[test]
fn what_is_chosen_by_number_does_not_follow_the_load() {
    let mut plan = Plan::new(vec![unit(0, 100)], 4, None);
    start(&mut plan);
    plan.observe(0, Duration::from_secs(1), 0.0);
    while plan.widen().is_some() {}
    plan.observe(0, Duration::from_secs(1), 1.0);
    assert_eq!(plan.narrow(), None, "`-j 4` is four");
}
