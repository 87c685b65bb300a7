//! The plan without a process: first as sentences over small cases, then by property.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::fixtures::Scope;
use crate::config::keys::{Locks, Recycle, RetryKeys, Threads};
use crate::model::test::TestId;
use crate::plan::candidate::PROCESS_COST;
use crate::plan::group::{Isolation, Need, Recycling, Threading};
use crate::plan::simulate::{Step, simulate};

pub fn group(listing: usize, isolation: Isolation, expected_ms: &[Option<u64>]) -> Group {
    let test = |(test, ms): (usize, &Option<u64>)| GroupTest {
        id: TestId { listing, test },
        expected: ms.map(Duration::from_millis),
        load: 1.0,
        failed: false,
        timeout: None,
        slow: Duration::MAX,
        retries: RetryKeys::default(),
        leaks: None,
    };
    Group {
        has_explicit_policy: true,
        listing,
        node: format!("g{listing}"),
        isolation,
        why: String::new(),
        tests: expected_ms.iter().enumerate().map(test).collect(),
        is_whole: false,
        tests_in_binary: expected_ms.len(),
        process_cost: PROCESS_COST,
        threading: Threading::Threads,
        can_resize: true,
        threads: Threads::Auto,
        least_threads: 1,
        at_once: None,
        shuffle: None,
        slots: 1,
        locks: Locks::default(),
        exclusive: false,
        memory: None,
        recycling: Recycling::default(),
        env: BTreeMap::new(),
        fixtures: Vec::new(),
    }
}

fn unknown(count: usize) -> Vec<Option<u64>> {
    vec![None; count]
}

fn known(count: usize, ms: u64) -> Vec<Option<u64>> {
    vec![Some(ms); count]
}

/// `group*tests/threads` of every batch that may start now.
fn startable(plan: &mut Plan) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(batch) = plan.next() {
        found.push(format!("{}*{}/{}", batch.group, batch.tests.len(), batch.threads));
    }
    found
}

#[test]
fn a_binary_alone_in_the_queue_gets_all_slots_as_threads() {
    let mut plan = Plan::new(vec![group(0, Isolation::Split, &unknown(10_000))], 4, None);
    assert_eq!(startable(&mut plan), ["0*10000/4"]);
    let mut plan = Plan::new(vec![group(0, Isolation::Unit, &unknown(1000))], 4, None);
    assert_eq!(startable(&mut plan), ["0*1000/4"]);
    let mut plan = Plan::new(vec![group(0, Isolation::Unit, &unknown(1000))], 4, Some(3));
    assert_eq!(startable(&mut plan), ["0*1000/3"]);
    let mut plan = Plan::new(vec![group(0, Isolation::Unit, &unknown(3))], 8, None);
    assert_eq!(startable(&mut plan), ["0*3/3"], "never more threads than tests");
}

#[test]
fn what_is_added_shares_what_is_left_and_what_runs_goes_on() {
    let mut plan = Plan::new(vec![group(0, Isolation::Unit, &known(4, 10))], 2, None);
    assert_eq!(startable(&mut plan), ["0*4/2"]);
    let later =
        [group(1, Isolation::Unit, &known(1, 30)), group(2, Isolation::Unit, &known(1, 90))];
    plan.add(later.to_vec());
    assert!(startable(&mut plan).is_empty() && !plan.is_done());
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["2*1/1", "1*1/1"], "the longest first");
    (1..3).for_each(|batch| plan.finished(batch));
    assert!(plan.is_done());
}

#[test]
fn few_splittable_tests_are_spread_over_two_processes_at_least() {
    for tests in [unknown(12), known(12, 0), known(12, 100)] {
        let mut plan = Plan::new(vec![group(0, Isolation::Split, &tests)], 2, None);
        let batches = startable(&mut plan);
        assert!(batches.len() == 2 && batches.iter().all(|b| b.ends_with("/1")), "{batches:?}");
    }
}

#[test]
fn with_one_slot_a_second_process_would_serve_nobody() {
    for threading in [Threading::InTurn, Threading::Threads] {
        for tests in [unknown(1_000), known(1_000, 1), known(1_000, 100)] {
            let split = Group { threading, ..group(0, Isolation::Split, &tests) };
            assert_eq!(startable(&mut Plan::new(vec![split], 1, None)), ["0*1000/1"]);
        }
    }
}

/// Such as those of a harness whose log names a test only when it has ended.
#[test]
fn a_unit_that_hides_what_runs_has_threads_unless_it_is_known_to_be_short() {
    let first = |tests: &[Option<u64>], threads: Threads, least_threads: usize| {
        let hidden = Group {
            threading: Threading::HiddenStarts,
            can_resize: false,
            threads,
            least_threads,
            ..group(0, Isolation::Unit, tests)
        };
        let mut plan = Plan::new(vec![hidden], 4, None);
        let batch = startable(&mut plan);
        plan.run_in_turn(0);
        plan.finished(0);
        plan.requeue(0, &[TestId { listing: 0, test: 1 }, TestId { listing: 0, test: 2 }]);
        assert_eq!(startable(&mut plan), ["0*2/1"], "one after another");
        batch.concat()
    };
    assert_eq!(first(&unknown(12), Threads::Auto, 1), "0*12/4");
    assert_eq!(first(&known(12, 10), Threads::Auto, 1), "0*12/4");
    assert_eq!(first(&known(12, 8), Threads::Auto, 1), "0*12/1", "less than 100 ms");
    assert_eq!(
        first(&known(12, 8), Threads::Auto, usize::MAX),
        "0*12/4",
        "they wait for each other"
    );
    assert_eq!(first(&known(12, 8), Threads::Exactly(3), 1), "0*12/3");
}

/// What tests set up without saying so is set up again in every process.
#[test]
fn what_nobody_has_asked_for_stays_together_while_it_is_short() {
    let unasked = |tests: &[Option<u64>]| Group {
        has_explicit_policy: false,
        ..group(0, Isolation::Split, tests)
    };
    let first = |groups: Vec<Group>| startable(&mut Plan::new(groups, 2, None));
    assert_eq!(first(vec![unasked(&known(12, 8))]), ["0*12/2"]);
    assert_eq!(first(vec![unasked(&known(12, 15))]), ["0*12/2"], "what is left is short");
    assert_eq!(first(vec![unasked(&known(12, 50))]), ["0*6/1", "0*2/1"]);
    assert_eq!(first(vec![unasked(&unknown(12))]), ["0*12/2"], "short or not, it can be widened");
    let fixed = Group { can_resize: false, ..unasked(&unknown(12)) };
    assert_eq!(first(vec![fixed]).len(), 2, "nobody knows that it is short");
    let by_exit_code = Group { threading: Threading::InTurn, ..unasked(&known(12, 8)) };
    assert_eq!(first(vec![by_exit_code]).len(), 2, "one process would run them one by one");
    let shorter = Group { threading: Threading::InTurn, ..unasked(&known(12, 2)) };
    assert_eq!(first(vec![shorter]), ["0*12/1"], "a second process would take as long as that");
}

/// Such as that of a harness that reads a directory before it runs a part of the tests.
#[test]
fn costly_processes_are_few() {
    let processes = |process_cost: u64| {
        let one_by_one = Group {
            threading: Threading::InTurn,
            process_cost: Duration::from_millis(process_cost),
            ..group(0, Isolation::Split, &known(1_000, 1))
        };
        let mut plan = Plan::new(vec![one_by_one], 2, None);
        let mut processes = 0;
        for at in 0.. {
            processes += startable(&mut plan).len();
            if at == processes {
                return processes;
            }
            plan.finished(at);
        }
        unreachable!()
    };
    let (cheap, dearer, costly) = (processes(2), processes(4), processes(20));
    assert!(dearer < cheap && dearer <= 6, "{dearer} and {cheap}");
    assert!((2..=4).contains(&costly), "{costly}");
}

/// Slots end together without many processes where it is known how long tests take.
#[test]
fn tests_that_run_in_turn_are_shared_by_all_slots() {
    let in_turn = |tests: &[Option<u64>], slots: usize| {
        let group = Group {
            threading: Threading::InTurn,
            process_cost: Duration::from_millis(4),
            ..group(0, Isolation::Split, tests)
        };
        Plan::new(vec![group], slots, None)
    };
    let mut plan = in_turn(&known(1_000, 1), 2);
    assert_eq!(startable(&mut plan), ["0*500/1", "0*375/1"]);
    let mut plan = in_turn(&known(1_000, 1), 8);
    let expected = [["0*125/1"; 1].as_slice(), &["0*94/1"; 7]].concat();
    assert_eq!(startable(&mut plan), expected);
    let mut plan = in_turn(&unknown(1_000), 8);
    assert_eq!(startable(&mut plan)[..2], ["0*125/1", "0*55/1"], "they may be of any length");
    let tests = [known(600, 1), unknown(400)].concat();
    let mut many_failed = Group {
        threading: Threading::InTurn,
        process_cost: Duration::from_millis(4),
        ..group(0, Isolation::Split, &tests)
    };
    many_failed.tests[..600].iter_mut().for_each(|test| test.failed = true);
    let mut plan = Plan::new(vec![many_failed], 2, None);
    assert_eq!(startable(&mut plan), ["0*500/1", "0*125/1"], "those after them are not known");
    let mut plan = in_turn(&unknown(1_000), 2);
    assert_eq!(startable(&mut plan), ["0*500/1", "0*125/1"]);
    (0..64).for_each(|_| plan.learn(0, Duration::from_millis(1), None));
    plan.finished(1);
    assert_eq!(startable(&mut plan), ["0*188/1"], "half of those that may be longer");
}

/// A process that cannot be widened later takes no more than half of what may be long.
#[test]
fn unmeasured_tests_that_run_in_turn_are_halved_until_they_are_known_to_be_short() {
    let tests = unknown(1_000);
    let unasked = Group {
        has_explicit_policy: false,
        threading: Threading::InTurn,
        ..group(0, Isolation::Split, &tests)
    };
    let table = [(Duration::from_micros(20), "0*375/1"), (Duration::from_millis(1), "0*94/1")];
    for (took, rest) in table {
        let mut plan = Plan::new(vec![unasked.clone()], 2, None);
        assert_eq!(startable(&mut plan), ["0*500/1", "0*125/1"]);
        (0..64).for_each(|_| plan.learn(0, took, None));
        plan.finished(0);
        assert_eq!(startable(&mut plan), [rest], "{took:?}");
    }
}

#[test]
fn many_small_binaries_run_side_by_side_with_one_thread_each() {
    let groups = (0..50).map(|at| group(at, Isolation::Split, &known(20, 1))).collect();
    let mut plan = Plan::new(groups, 2, None);
    assert_eq!(startable(&mut plan), ["0*20/1", "1*20/1"]);
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["2*20/1"]);
}

#[test]
fn a_unit_beyond_its_fair_share_gets_more_threads() {
    let groups =
        vec![group(0, Isolation::Unit, &known(300, 1)), group(1, Isolation::Unit, &known(100, 1))];
    let mut plan = Plan::new(groups, 2, None);
    assert_eq!(startable(&mut plan), ["0*300/2"]);
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["1*100/2"], "what nothing else could use is used");
}

#[test]
fn threads_as_declared_are_kept() {
    let mut one = group(0, Isolation::Unit, &unknown(10));
    one.threads = Threads::Exactly(1);
    let mut eight = group(1, Isolation::Unit, &unknown(10));
    eight.threads = Threads::Exactly(8);
    let mut plan = Plan::new(vec![one, eight], 2, None);
    assert_eq!(startable(&mut plan), ["0*10/1"], "the other wants more than is free");
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["1*10/2"], "more than -j means all of them");
}

#[test]
fn tests_that_may_wait_for_each_other_run_side_by_side_whatever_history_says() {
    let mut meeting = group(0, Isolation::Unit, &known(4, 1));
    meeting.least_threads = usize::MAX;
    let groups = vec![meeting, group(1, Isolation::Unit, &known(1, 300))];
    let mut plan = Plan::new(groups, 2, None);
    assert_eq!(startable(&mut plan), ["1*1/1"]);
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["0*4/2"]);
}

#[test]
fn unknown_comes_before_known_and_long_before_short() {
    let groups = vec![
        group(0, Isolation::Unit, &known(1, 10)),
        group(1, Isolation::Unit, &known(1, 500)),
        group(2, Isolation::Unit, &unknown(1)),
        group(3, Isolation::Unit, &known(1, 90)),
    ];
    let mut plan = Plan::new(groups, 4, Some(1));
    assert_eq!(startable(&mut plan), ["2*1/1", "1*1/1", "3*1/1", "0*1/1"]);
}

#[test]
fn a_binary_that_runs_as_one_unmeasured_test_comes_before_single_tests() {
    let mut whole = group(1, Isolation::Split, &unknown(1));
    (whole.is_whole, whole.threading) = (true, Threading::InTurn);
    let small = group(0, Isolation::Unit, &unknown(2));
    let mut plan = Plan::new(vec![small.clone(), whole.clone()], 1, None);
    assert_eq!(startable(&mut plan)[0], "1*1/1");
    whole.tests[0].expected = Some(Duration::from_millis(1));
    let mut plan = Plan::new(vec![small, whole], 1, None);
    assert_eq!(startable(&mut plan)[0], "0*2/1");
}

#[test]
fn split_batches_shrink_towards_the_end() {
    let groups = vec![
        group(0, Isolation::Split, &known(400, 20)),
        group(1, Isolation::Unit, &known(1, 3000)),
    ];
    let steps = simulate(Plan::new(groups, 2, None));
    let sizes: Vec<usize> =
        steps.iter().filter(|s| s.batch.group == 0).map(|s| s.batch.tests.len()).collect();
    assert!(sizes.len() > 3 && sizes.windows(2).all(|pair| pair[0] >= pair[1]), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), 400);
    let end = steps.iter().map(|step| step.ends).max().unwrap();
    assert!(end < Duration::from_millis(5800), "fair share 5.5 s, planned {end:?}");
}

#[test]
fn tiny_tests_are_not_cut_where_naming_them_costs_more_than_running_them() {
    let groups = (0..2).map(|at| group(at, Isolation::Split, &[Some(0); 10_000])).collect();
    let mut plan = Plan::new(groups, 2, None);
    assert_eq!(startable(&mut plan), ["0*10000/1", "1*10000/1"]);
}

#[test]
fn isolated_tests_get_a_process_each() {
    let mut plan = Plan::new(vec![group(0, Isolation::PerTest, &unknown(3))], 2, None);
    assert_eq!(startable(&mut plan), ["0*1/1", "0*1/1"]);
}

#[test]
fn one_unit_uses_one_worker_whatever_the_slots() {
    let mut unit = group(0, Isolation::Unit, &unknown(5));
    unit.threads = Threads::Exactly(1);
    let mut plan = Plan::new(vec![unit], 8, None);
    assert_eq!(startable(&mut plan), ["0*5/1"]);
}

#[test]
fn locks_are_taken_together_and_readers_share() {
    let locked = |at, read: &[&str], write: &[&str]| {
        let mut group = group(at, Isolation::Unit, &known(1, 10));
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        group.locks = Locks { read: own(read), write: own(write) };
        group
    };
    let groups = vec![
        locked(0, &["a"], &[]),
        locked(1, &["a"], &["b"]),
        locked(2, &[], &["a", "c"]),
        locked(3, &[], &["b"]),
        locked(4, &["c"], &[]),
    ];
    let mut plan = Plan::new(groups, 8, None);
    assert_eq!(startable(&mut plan), ["0*1/1", "1*1/1", "4*1/1"]);
    plan.finished(1);
    assert_eq!(startable(&mut plan), ["3*1/1"]);
    plan.finished(0);
    plan.finished(2);
    assert_eq!(startable(&mut plan), ["2*1/1"]);
}

#[test]
fn a_test_runs_by_itself_once_nothing_else_runs_or_waits() {
    let groups = [0, 1].map(|listing| group(listing, Isolation::PerTest, &known(2, 10)));
    let mut plan = Plan::new(groups.to_vec(), 2, None);
    assert_eq!(startable(&mut plan), ["0*1/1", "0*1/1"]);
    plan.run_by_itself(0, TestId { listing: 0, test: 0 });
    plan.run_by_itself(0, TestId { listing: 0, test: 1 });
    (0..2).for_each(|batch| plan.finished(batch));
    assert_eq!(startable(&mut plan), ["1*1/1", "1*1/1"], "others wait");
    plan.finished(2);
    assert_eq!(startable(&mut plan), [""; 0], "another one runs");
    plan.finished(3);
    assert_eq!(startable(&mut plan), ["0*1/1"]);
    plan.add(vec![group(2, Isolation::Unit, &known(1, 10))]);
    assert_eq!(startable(&mut plan), [""; 0], "it runs by itself");
    plan.finished(4);
    assert_eq!(startable(&mut plan), ["2*1/1"]);
    plan.finished(5);
    assert_eq!((startable(&mut plan).len(), plan.is_done()), (1, false));
    plan.finished(6);
    assert!(plan.is_done());
    plan.run_by_itself(1, TestId { listing: 1, test: 0 });
    assert_eq!(plan.stop(), [TestId { listing: 1, test: 0 }], "it will not run");
    assert!(plan.is_done());
}

#[test]
fn an_exclusive_batch_is_alone_on_the_machine_and_comes_last() {
    let mut alone = group(0, Isolation::Unit, &known(2, 1000));
    alone.exclusive = true;
    let mut plan = Plan::new(vec![alone, group(1, Isolation::Unit, &known(1, 1))], 4, None);
    assert_eq!(startable(&mut plan), ["1*1/1"]);
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["0*2/1"], "its tests do not meet each other either");
}

#[test]
fn a_bound_on_the_tests_of_a_binary_holds_for_all_of_its_processes() {
    let bound = |listing, isolation, at_once| Group {
        at_once: Some(at_once),
        ..group(listing, isolation, &known(8, 100))
    };
    let groups = vec![bound(0, Isolation::PerTest, 1), bound(0, Isolation::Unit, 1)];
    let mut plan = Plan::new([groups, vec![bound(1, Isolation::Unit, 3)]].concat(), 8, None);
    assert_eq!(startable(&mut plan), ["1*8/1", "2*8/3"], "two binaries run side by side");
    plan.finished(0);
    assert_eq!(startable(&mut plan), ["0*1/1"]);
    assert!(startable(&mut plan).is_empty());
}

/// A group whose tests use so much of a core while they run.
fn loaded(mut group: Group, load: f64) -> Group {
    group.tests.iter_mut().for_each(|test| test.load = load);
    group
}

const TWO_CORES: Slots = Slots { count: 8, cores: Some(2), likely: 8 };

#[test]
fn tests_that_wait_fill_more_slots_than_there_are_cores() {
    let unit = || group(0, Isolation::Unit, &known(200, 100));
    let mut plan = Plan::new(vec![loaded(unit(), 0.1)], TWO_CORES, None);
    assert_eq!(startable(&mut plan), ["0*200/8"]);
    let mut plan = Plan::new(vec![loaded(unit(), 0.5)], TWO_CORES, None);
    assert_eq!(startable(&mut plan), ["0*200/4"], "as many as keep two cores busy");
    let mut plan = Plan::new(vec![unit()], TWO_CORES, None);
    assert_eq!(startable(&mut plan), ["0*200/2"], "what computes has the cores");
    let many = |load: f64| -> Vec<Group> {
        (0..20).map(|at| loaded(group(at, Isolation::Unit, &known(1, 100)), load)).collect()
    };
    assert_eq!(startable(&mut Plan::new(many(0.1), TWO_CORES, None)).len(), 8);
    assert_eq!(startable(&mut Plan::new(many(1.0), TWO_CORES, None)).len(), 2);
}

#[test]
fn tests_that_turn_out_to_wait_make_room_for_others() {
    let tests = || vec![group(0, Isolation::Split, &unknown(200))];
    let plan = || Plan::new(tests(), TWO_CORES, None);
    let taught = |load: f64| {
        let mut plan = plan();
        assert_eq!(startable(&mut plan), ["0*12/1", "0*11/1"], "first a few, on the cores");
        plan.learn(0, Duration::from_millis(100), Some(load));
        let threads = |batch: &String| batch.rsplit('/').next()?.parse::<usize>().ok();
        startable(&mut plan).iter().filter_map(threads).sum::<usize>()
    };
    assert_eq!(taught(1.0), 0);
    assert_eq!(taught(0.5), 2);
    assert_eq!(taught(0.0), 6);
    let mut by_number = Plan::new(tests(), 2, None);
    assert_eq!(startable(&mut by_number), ["0*100/1", "0*25/1"]);
    let mut locked = tests().remove(0);
    locked.locks.read = vec!["port".into()];
    let mut plan = Plan::new(vec![locked], TWO_CORES, None);
    startable(&mut plan);
    plan.learn(0, Duration::from_millis(100), Some(0.0));
    assert_eq!(startable(&mut plan).len(), 0, "what takes locks is not crowded");
}

#[test]
fn what_takes_locks_is_not_crowded() {
    let locked = |at| {
        let mut group = loaded(group(at, Isolation::Unit, &known(1, 100)), 0.1);
        group.locks.read = vec!["port".into()];
        group
    };
    let mut plan = Plan::new((0..20).map(locked).collect(), TWO_CORES, None);
    assert_eq!(startable(&mut plan).len(), 2);
}

#[test]
fn what_failed_comes_first() {
    let mut unit = group(0, Isolation::Unit, &known(3, 1));
    unit.tests[1].failed = true;
    let mut plan = Plan::new(vec![group(1, Isolation::Unit, &known(9, 500)), unit], 1, None);
    assert_eq!(startable(&mut plan), ["1*3/1"]);
    let mut split = group(0, Isolation::Split, &known(100, 50));
    split.tests[17].failed = true;
    let mut plan = Plan::new(vec![split], 2, None);
    assert!(plan.next().unwrap().tests.iter().any(|id| id.test == 17));
}

#[test]
fn a_unit_that_lost_its_worker_never_runs_twice_at_once() {
    let mut plan = Plan::new(vec![group(0, Isolation::Unit, &unknown(5))], 4, Some(1));
    let batch = plan.next().unwrap();
    plan.finished(batch.id);
    plan.requeue_alone(0, &batch.tests[..2]);
    plan.requeue(0, &batch.tests[2..]);
    for expected in ["0*1/1", "0*1/1", "0*3/1"] {
        assert_eq!(startable(&mut plan), [expected]);
        let newest = *plan.running.keys().next().unwrap();
        plan.finished(newest);
    }
    assert!(plan.is_done());
}

#[test]
fn recycling_bounds_the_tests_of_a_process() {
    let mut unit = group(0, Isolation::Unit, &unknown(5));
    unit.recycling = Recycle::After(2).into();
    let steps = simulate(Plan::new(vec![unit], 4, None));
    let sizes: Vec<usize> = steps.iter().map(|step| step.batch.tests.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert!(steps.windows(2).all(|pair| pair[0].ends <= pair[1].starts), "one after another");
}

#[test]
fn stopping_gives_back_what_never_ran() {
    let mut plan = Plan::new(vec![group(0, Isolation::PerTest, &unknown(5))], 2, None);
    assert_eq!(startable(&mut plan).len(), 2);
    assert_eq!(plan.stop().len(), 3);
    assert_eq!(plan.next(), None);
    plan.finished(0);
    plan.finished(1);
    assert!(plan.is_done());
}

/// Each of two fixtures that a test needs on its slot may be up already, on another one.
#[test]
fn halves_of_what_a_test_needs_on_several_slots_hold_up_nothing() {
    let need = |fixture| Need { fixture, scope: Scope::Slot };
    let needing = |at, needs: &[usize]| {
        let mut group = group(at, Isolation::Unit, &known(1, 10));
        group.fixtures = vec![needs.iter().copied().map(need).collect()];
        group
    };
    let mut plan =
        Plan::new(vec![needing(0, &[0]), needing(1, &[1]), needing(2, &[0, 1])], 2, None);
    let mut done = 0;
    for _ in 0..40 {
        while let Some(batch) = plan.next() {
            plan.finished(batch.id);
            done += 1;
        }
        match plan.next_fixture() {
            Some(FixtureStep::Start(instance)) => plan.fixture_is_up(instance),
            Some(FixtureStep::Stop(instance)) => plan.fixture_is_down(instance),
            None => break,
        }
    }
    assert!(done == 3 && plan.is_done(), "{done} of 3");
}

fn any_group() -> impl Strategy<Value = Group> {
    let isolation =
        prop_oneof![Just(Isolation::Unit), Just(Isolation::Split), Just(Isolation::PerTest)];
    let tests = prop::collection::vec(prop::option::of(0_u64..300), 1..40);
    let threads = prop_oneof![
        3 => Just(Threads::Auto),
        1 => (1_usize..9).prop_map(Threads::Exactly)
    ];
    let recycle = prop_oneof![
        4 => Just(Recycle::Never),
        1 => Just(Recycle::OnFailure),
        1 => (1_usize..5).prop_map(Recycle::After)
    ];
    let names = || prop::collection::btree_set("[a-c]", 0..2);
    let locks = (names(), names()).prop_map(|(read, write)| Locks {
        read: read.difference(&write).cloned().collect(),
        write: write.into_iter().collect(),
    });
    let exclusive = prop::bool::weighted(0.1);
    let load = prop_oneof![Just(1.0), Just(0.5), Just(0.05)];
    let exclusive = (exclusive, load, prop::bool::ANY);
    (isolation, tests, threads, recycle, locks, 1_usize..6, exclusive, any_fixtures()).prop_map(
        |(
            isolation,
            tests,
            threads,
            recycle,
            locks,
            slots,
            (exclusive, load, has_explicit_policy),
            fixtures,
        )| {
            let mut group = loaded(group(0, isolation, &tests), load);
            group.has_explicit_policy = has_explicit_policy;
            (group.threads, group.recycling, group.locks) = (threads, recycle.into(), locks);
            (group.slots, group.exclusive, group.fixtures) = (slots, exclusive, fixtures);
            group
        },
    )
}

/// Some of four fixtures, of which the later ones stand above the earlier ones, and the last
/// two are there for each slot.
fn any_fixtures() -> impl Strategy<Value = Vec<Vec<Need>>> {
    let level = |fixtures: Vec<usize>| -> Vec<Need> {
        let need =
            |fixture| Need { fixture, scope: if fixture < 2 { Scope::Run } else { Scope::Slot } };
        fixtures.into_iter().map(need).collect()
    };
    let levels = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![vec![0]]),
        1 => Just(vec![vec![0, 1]]),
        1 => Just(vec![vec![0], vec![1]]),
        1 => Just(vec![vec![2]]),
        1 => Just(vec![vec![1], vec![2, 3]]),
    ];
    levels.prop_map(move |levels| levels.into_iter().map(level).collect())
}

/// The fixtures that are there while a plan is played, in the order of starting.
#[derive(Default)]
struct Fixtures {
    there: Vec<(Instance, bool)>,
    lost: BTreeSet<usize>,
}

impl Fixtures {
    fn is_up(&self, instance: Instance) -> bool {
        self.there.contains(&(instance, true))
    }

    /// Does what the plan asks for. What is started comes up at once, later, or never.
    fn follow(
        &mut self,
        plan: &mut Plan,
        running: &[Batch],
        chance: usize,
    ) -> Result<Option<Vec<TestId>>, TestCaseError> {
        match plan.next_fixture() {
            None => return Ok(None),
            Some(FixtureStep::Start(instance)) => {
                prop_assert!(!self.lost.contains(&instance.fixture), "tried again");
                prop_assert!(!self.there.iter().any(|(i, _)| *i == instance), "there twice");
                self.there.push((instance, false));
                match chance % 8 {
                    0 => return self.lose(instance, plan).map(Some),
                    1..=5 => self.come_up(instance, plan),
                    _ => {}
                }
            }
            Some(FixtureStep::Stop(instance)) => {
                let is_used = |batch: &Batch| needs(plan, batch).contains(&instance);
                prop_assert!(!running.iter().any(is_used), "stopped while it is used");
                let at = self.there.iter().position(|(i, _)| *i == instance);
                let above = |group: &Group| {
                    let needs: Vec<usize> =
                        group.fixtures.iter().flatten().map(|need| need.fixture).collect();
                    let later = self.there[at.unwrap() + 1..].iter();
                    needs.contains(&instance.fixture)
                        && later.clone().any(|(i, _)| {
                            i.fixture != instance.fixture && needs.contains(&i.fixture)
                        })
                };
                prop_assert!(!plan.groups().any(above), "not the last in, and first out");
                self.there.retain(|(i, _)| *i != instance);
                plan.fixture_is_down(instance);
            }
        }
        Ok(Some(Vec::new()))
    }

    fn come_up(&mut self, instance: Instance, plan: &mut Plan) {
        self.there.iter_mut().filter(|(i, _)| *i == instance).for_each(|(_, up)| *up = true);
        plan.fixture_is_up(instance);
    }

    fn lose(&mut self, instance: Instance, plan: &mut Plan) -> Result<Vec<TestId>, TestCaseError> {
        self.there.retain(|(i, _)| *i != instance);
        self.lost.insert(instance.fixture);
        Ok(plan.fixture_is_lost(instance).0)
    }
}

/// What a batch needs, on the slot that it has.
fn needs(plan: &Plan, batch: &Batch) -> Vec<Instance> {
    let all = plan.group(batch.group).fixtures.iter().flatten();
    let slot = |need: &Need| (need.scope == Scope::Slot).then(|| batch.slots[0]);
    all.map(|need| Instance { fixture: need.fixture, slot: slot(need) }).collect()
}

/// Plays a plan with chance deciding which batch ends next and how, and checks at every
/// step what must always hold.
fn play(groups: Vec<Group>, slots: Slots, chances: &[u8]) -> Result<(), TestCaseError> {
    let groups: Vec<Group> = groups
        .into_iter()
        .enumerate()
        .map(|(at, mut group)| {
            group.listing = at;
            group.tests.iter_mut().for_each(|test| test.id.listing = at);
            group
        })
        .collect();
    let expected: BTreeSet<TestId> =
        groups.iter().flat_map(|group| &group.tests).map(|test| test.id).collect();
    let mut plan = Plan::new(groups, slots, None);
    let mut done = BTreeSet::new();
    let mut running: Vec<Batch> = Vec::new();
    let mut chances = chances.iter().copied().cycle();
    let mut steps = 0;
    let mut fixtures = Fixtures::default();
    loop {
        loop {
            while let Some(batch) = plan.next() {
                for instance in needs(&plan, &batch) {
                    prop_assert!(fixtures.is_up(instance), "{instance:?} is not up");
                }
                running.push(batch);
            }
            let chance = usize::from(chances.next().unwrap_or(0));
            match fixtures.follow(&mut plan, &running, chance)? {
                None => break,
                Some(blocked) => done.extend(blocked),
            }
        }
        if plan.is_done() {
            break;
        }
        check_running(&plan, &running, slots.count)?;
        // One that takes its time has come up by now.
        let late = fixtures.there.iter().find(|(_, is_up)| !is_up).map(|(i, _)| *i);
        if let Some(instance) = late {
            fixtures.come_up(instance, &mut plan);
            continue;
        }
        prop_assert!(!running.is_empty(), "work waits, nothing runs: a deadlock");
        let chance = usize::from(chances.next().unwrap_or(0));
        let batch = running.swap_remove(chance % running.len());
        plan.finished(batch.id);
        steps += 1;
        // Now and then a worker dies: some tests had ended, some ran, some never began.
        let dies = chance % 5 == 0 && steps < 200;
        let ended = if dies { (chance / 5) % batch.tests.len() } else { batch.tests.len() };
        let ran = (ended + batch.threads).min(batch.tests.len());
        for test in &batch.tests[..ended] {
            prop_assert!(done.insert(*test), "{test:?} had ended already");
        }
        match &batch.tests[ended..ran] {
            [culprit] => prop_assert!(done.insert(*culprit)),
            suspects => plan.requeue_alone(batch.group, suspects),
        }
        plan.requeue(batch.group, &batch.tests[ran..]);
        // What has lost its fixture never runs.
        for fixture in fixtures.lost.clone() {
            done.extend(plan.fixture_is_lost(Instance { fixture, slot: None }).0);
        }
    }
    prop_assert!(fixtures.there.is_empty(), "left behind: {:?}", fixtures.there);
    prop_assert_eq!(done, expected);
    Ok(())
}

fn check_running(plan: &Plan, running: &[Batch], slots: usize) -> Result<(), TestCaseError> {
    let used: Vec<usize> = running.iter().flat_map(|batch| batch.slots.clone()).collect();
    let distinct: BTreeSet<usize> = used.iter().copied().collect();
    prop_assert_eq!(used.len(), distinct.len(), "a slot is held twice");
    prop_assert!(used.len() <= slots && distinct.iter().all(|slot| *slot < slots));
    for (at, batch) in running.iter().enumerate() {
        let group = plan.group(batch.group);
        prop_assert!(batch.threads <= batch.slots.len());
        prop_assert!(batch.tests.is_sorted());
        prop_assert!(!group.exclusive || running.len() == 1, "exclusive beside another");
        for other in &running[at + 1..] {
            let beside = plan.group(other.group);
            prop_assert!(
                group.isolation != Isolation::Unit || other.group != batch.group,
                "a torn unit"
            );
            let clash = |a: &Locks, b: &Locks| {
                a.write.iter().any(|name| b.write.contains(name) || b.read.contains(name))
            };
            prop_assert!(
                !clash(&group.locks, &beside.locks) && !clash(&beside.locks, &group.locks)
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_test_runs_once_and_nothing_is_held_twice(
        groups in prop::collection::vec(any_group(), 1..8),
        slots in 1_usize..9,
        cores in prop::option::of(1_usize..4),
        chances in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        play(groups, Slots { count: slots, cores, likely: slots }, &chances)?;
    }

    #[test]
    fn a_unit_that_nothing_interrupts_is_one_batch(
        groups in prop::collection::vec(any_group(), 1..8),
        slots in 1_usize..9,
    ) {
        let units = groups.iter().filter(|g| g.isolation == Isolation::Unit && g.recycling.after.is_none());
        let units = units.count();
        let steps = simulate(Plan::new(groups.clone(), slots, None));
        let is_unit = |step: &&Step| {
            let group = &groups[step.batch.group];
            group.isolation == Isolation::Unit && group.recycling.after.is_none()
        };
        prop_assert_eq!(steps.iter().filter(is_unit).count(), units);
    }
}

/// A generator of numbers that are the same in every run.
pub struct Chance(pub u64);

impl Chance {
    /// From 0 up to, and without, `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A suite of units and splittable groups whose durations are known, mostly short ones.
pub fn any_suite(chance: &mut Chance) -> Vec<Group> {
    let groups = 1 + chance.below(30) as usize;
    let any_group = |at| {
        let count = 1 + chance.below(60) as usize;
        let duration = |_| {
            let scale = [10, 100, 1000][chance.below(3) as usize];
            Some(1 + chance.below(scale))
        };
        let tests: Vec<Option<u64>> = (0..count).map(duration).collect();
        let isolation = if chance.below(2) == 0 { Isolation::Unit } else { Isolation::Split };
        group(at, isolation, &tests)
    };
    (0..groups).map(any_group).collect()
}

/// A suite as they often are: most groups have trivial tests, and a few have most of the work.
pub fn uneven_suite(chance: &mut Chance) -> Vec<Group> {
    let groups = 10 + chance.below(21) as usize;
    let any_group = |at| {
        let count = 1 + chance.below(20) as usize;
        let scale = [1, 2, 4, 10, 20, 500][chance.below(6) as usize];
        // One of them may take much longer than all others.
        let long = [None, Some((chance.below(count as u64), 1000))][chance.below(4) as usize / 3];
        let duration = |test| {
            let scale = long.filter(|(at, _)| *at == test).map_or(scale, |(_, scale)| scale);
            Some(1 + chance.below(scale))
        };
        let tests: Vec<Option<u64>> = (0..count as u64).map(duration).collect();
        let isolation = if chance.below(2) == 0 { Isolation::Unit } else { Isolation::Split };
        group(at, isolation, &tests)
    };
    (0..groups).map(any_group).collect()
}

/// No plan ends earlier: all slots busy all the time, or the longest test alone.
pub fn lower_bound(groups: &[Group], slots: usize) -> Duration {
    let durations = || groups.iter().flat_map(|group| &group.tests).filter_map(|t| t.expected);
    let all: Duration = durations().sum();
    (all / slots as u32).max(durations().max().unwrap_or_default())
}

#[test]
fn a_seed_decides_which_batches_start_and_in_which_order() {
    let isolations = [Isolation::Unit, Isolation::Split, Isolation::PerTest];
    let groups = |shuffle: Option<u64>| {
        let groups = isolations.iter().enumerate();
        let group = |(at, isolation): (usize, &Isolation)| Group {
            shuffle,
            ..group(at, *isolation, &[Some(5); 40])
        };
        groups.map(group).collect::<Vec<_>>()
    };
    let starts = |seed: u64, oldest_ends_first: bool| {
        let mut plan = Plan::new(groups(Some(seed)), 2, None);
        let (mut running, mut started) = (Vec::new(), Vec::new());
        loop {
            while let Some(batch) = plan.next() {
                running.push(batch.id);
                started.push((batch.group, batch.tests));
            }
            match oldest_ends_first {
                _ if running.is_empty() => return started,
                true => plan.finished(running.remove(0)),
                false => plan.finished(running.pop().unwrap()),
            }
        }
    };
    let order = starts(1, true);
    assert_eq!(order.iter().map(|(_, tests)| tests.len()).sum::<usize>(), 120);
    assert!(order.iter().filter(|(group, _)| *group == 1).count() > 1, "it is split");
    assert_eq!(order, starts(1, false), "what ends first makes no difference");
    assert_ne!(order, starts(2, true));
}

#[test]
fn quick_tests_go_in_few_processes_once_the_first_are_known() {
    let sizes = |threading: Threading, took: Duration| {
        let mut many = group(0, Isolation::Split, &unknown(1000));
        many.threading = threading;
        let other = group(1, Isolation::Unit, &known(1, 100_000));
        let mut plan = Plan::new(vec![many, other], 2, None);
        let mut sizes = Vec::new();
        while let Some(batch) = plan.next() {
            if batch.group == 0 {
                sizes.push(batch.tests.len());
                batch.tests.iter().for_each(|_| plan.learn(0, took, None));
                plan.finished(batch.id);
            }
        }
        sizes
    };
    let quick = Duration::from_micros(20);
    assert_eq!(sizes(Threading::Threads, quick), [251, 749]);
    assert_eq!(
        sizes(Threading::InTurn, quick),
        [251, 375, 187, 94, 47, 32, 14],
        "the rest may be slower"
    );
    assert!(sizes(Threading::InTurn, Duration::from_secs(1)).len() > 8);
}
