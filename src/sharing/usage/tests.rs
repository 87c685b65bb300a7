//! Tables that are filled by hand: who is suspected, and what is shared.

use std::time::Duration;

use super::*;
use crate::frames::kinds::action::{CREATE, READ, TRUNCATE};
use crate::model::interference::InterferenceKind::{Removed, Truncated};

/// A table, and the time in seconds.
struct Run {
    table: Table,
    start: Instant,
}

fn test(process: u64, test: u32) -> TestId {
    TestId { listing: process as usize, test: test as usize }
}

impl Run {
    /// Processes that run from the beginning to the end.
    fn of(processes: std::ops::Range<u64>) -> Run {
        let mut run = Run { table: Table::default(), start: Instant::now() };
        for process in processes {
            let (log, first) = (None, test(process, 1));
            let (began, ended) = (run.start, Some(run.at(100)));
            let (tests, used) = (HashMap::new(), BTreeMap::new());
            let has_used = Arc::default();
            let entry = Process { log, has_used, first, began, ended, tests, used };
            run.table.processes.insert(process, entry);
        }
        run
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    /// A test of a process runs from one second to another.
    fn ran(&mut self, process: u64, number: u32, [from, to]: [u64; 2]) {
        self.ran_as(process, number, test(process, number), [from, to]);
    }

    fn ran_as(&mut self, process: u64, number: u32, test: TestId, [from, to]: [u64; 2]) {
        let span = Span { test, began: self.at(from), ended: self.at(to) };
        self.table.processes.get_mut(&process).unwrap().tests.insert(number, span);
    }

    fn used(&mut self, process: u64, test: u32, action: u8, path: &str) {
        let thing = Thing::path(path);
        self.table.add(process, Use { test, actions: Actions(action), thing });
    }

    /// The process and the number of the test that is suspected, and what of.
    fn suspect(&mut self, process: u64, number: u32) -> Option<(u64, u32, String)> {
        self.suspect_of_those(process, number, &|_| true)
    }

    /// The same among the tests that may run beside it.
    fn suspect_of_those(
        &mut self,
        process: u64,
        number: u32,
        may_meet: &dyn Fn(TestId) -> bool,
    ) -> Option<(u64, u32, String)> {
        let found = self.table.suspect(process, test(process, number), "", may_meet);
        found.map(|one| (one.user.process, one.user.test, one.thing.to_string()))
    }

    fn shared(&mut self) -> Vec<(String, InterferenceKind, Vec<TestId>)> {
        let found = self.table.shared_things(&|_, _| true, &|_| None).into_iter();
        let users = |shared: &SharedThing| shared.users.iter().map(|user| user.test).collect();
        found.map(|shared| (shared.thing.to_string(), shared.kind, users(&shared))).collect()
    }
}

#[test]
fn only_what_ran_at_the_same_time_is_suspected() {
    let mut run = Run::of(1..4);
    run.ran(1, 1, [10, 20]);
    run.used(1, 1, READ, "/tmp/a");
    for (process, span) in [(2, [0, 5]), (3, [15, 30])] {
        run.ran(process, 1, span);
        run.used(process, 1, REMOVE, "/tmp/a");
    }
    assert_eq!(run.suspect(1, 1), Some((3, 1, "/tmp/a".to_owned())));
    run.ran(3, 1, [0, 5]);
    assert_eq!(run.suspect(1, 1), None);
}

/// Or a run that measures coverage would have one process at a time.
#[test]
fn files_of_coverage_are_not_shared() {
    for (path, is_shared) in [("/tmp/a.profraw", false), ("/tmp/a.gcda", false), ("/tmp/a", true)] {
        let mut run = Run::of(1..3);
        run.used(1, 0, TRUNCATE, path);
        run.used(2, 0, TRUNCATE, path);
        assert_eq!(!run.shared().is_empty(), is_shared, "{path}");
    }
}

#[test]
fn what_an_earlier_test_of_the_process_has_set_up_counts_since_then() {
    let mut run = Run::of(1..3);
    run.ran(1, 1, [0, 5]);
    run.used(1, 1, CREATE, "/tmp/d");
    run.ran(2, 1, [3, 8]);
    run.used(2, 1, REMOVE, "/tmp/d");
    run.ran(1, 2, [10, 20]);
    run.used(1, 2, TRUNCATE, "/tmp/d/mine");
    assert_eq!(run.suspect(1, 2), Some((2, 1, "/tmp/d".to_owned())));
}

#[test]
fn what_other_tests_of_the_process_use_is_no_reason() {
    let mut run = Run::of(1..3);
    run.ran(1, 1, [0, 50]);
    run.ran(1, 2, [10, 20]);
    run.ran(2, 1, [0, 50]);
    run.used(1, 1, CREATE, "/tmp/others");
    run.used(2, 1, REMOVE, "/tmp/others");
    run.used(1, 2, READ, "/tmp/own");
    run.used(2, 1, TRUNCATE, "/tmp/own");
    assert_eq!(run.suspect(1, 2), Some((2, 1, "/tmp/own".to_owned())));
    run.used(1, 0, CREATE, "/tmp/before/main");
    run.used(2, 1, REMOVE, "/tmp/before");
    run.ran(1, 3, [10, 20]);
    assert_eq!(run.suspect(1, 3), Some((2, 1, "/tmp/before".to_owned())));
}

#[test]
fn a_test_is_not_suspected_of_its_own_failure() {
    let mut run = Run::of(1..3);
    for process in [1, 2] {
        // The second one is another attempt.
        run.ran_as(process, 1, test(2, 1), [0, 50]);
        run.used(process, 1, TRUNCATE, "/tmp/a");
    }
    assert_eq!(run.suspect(2, 1), None);
    assert_eq!(run.shared(), []);
}

#[test]
fn tests_that_take_a_common_lock_do_not_meet() {
    let mut run = Run::of(1..3);
    for process in [1, 2] {
        run.ran(process, 1, [0, 50]);
        run.used(process, 1, TRUNCATE, "/tmp/a");
        run.used(process, 1, LOCK, "/tmp/lock");
    }
    assert_eq!((run.suspect(1, 1), run.shared()), (None, vec![]));
}

/// The runner may hear of the start of a test late, so that times alone do not tell.
#[test]
fn tests_that_the_plan_keeps_apart_are_not_suspected() {
    let mut run = Run::of(1..4);
    run.ran(1, 1, [10, 20]);
    run.used(1, 1, READ, "/tmp/a");
    for process in [2, 3] {
        run.ran(process, 1, [9, 10]);
        run.used(process, 1, REMOVE, "/tmp/a");
    }
    let may_meet = |other: TestId| other == test(2, 1);
    assert_eq!(run.suspect_of_those(1, 1, &may_meet), Some((2, 1, "/tmp/a".to_owned())));
    assert_eq!(run.suspect_of_those(1, 1, &|_| false), None);
}

#[test]
fn a_test_that_is_not_known_stays_unknown() {
    let mut run = Run::of(1..3);
    run.ran(1, 1, [10, 20]);
    run.used(1, 1, READ, "/tmp/a");
    run.used(2, 0, REMOVE, "/tmp/a");
    let usage = Usage(Mutex::new(run.table));
    let suspect = usage.suspect(1, test(1, 1), "", &|_| true).unwrap();
    let named = usage.name(&suspect).unwrap();
    assert_eq!((named.other, named.process_of), (None, test(2, 1)));
}

#[test]
fn what_would_break_is_shared_once_for_the_directory_and_what_is_in_it() {
    let mut run = Run::of(1..4);
    for process in 1..4 {
        run.ran(process, 1, [process * 10, process * 10 + 5]);
        run.used(process, 1, TRUNCATE, &format!("/tmp/own/{process}"));
        run.used(process, 1, REMOVE, &format!("/tmp/own/{process}"));
        run.used(process, 1, CREATE, "/tmp/own");
        run.used(process, 1, READ, "/tmp/read");
    }
    assert_eq!(run.shared(), []);
    for process in 1..3 {
        run.used(process, 1, REMOVE | CREATE, "/tmp/d");
        run.used(process, 1, TRUNCATE, "/tmp/d/file");
    }
    run.used(3, 1, READ, "/tmp/d/file");
    let both = vec![test(1, 1), test(2, 1), test(3, 1)];
    assert_eq!(
        run.shared(),
        [("/tmp/d".into(), Removed, both.clone()), ("/tmp/d/file".into(), Truncated, both)]
    );
}

/// While a test runs, another one fails, and all logs are looked at.
#[cfg(target_os = "linux")]
#[test]
fn a_test_keeps_its_name_whoever_takes_what_it_has_used() {
    use crate::process::use_log::tests::append;
    let usage = Usage::default();
    let process = usage.enter(1, test(1, 1)).unwrap();
    process.test_ended(test(1, 4), Some(4), None);
    assert!(append(&process.log, 5, "/tmp/a"));
    assert_eq!(usage.suspect(2, test(2, 1), "", &|_| true), None, "it has used nothing");
    process.test_ended(test(1, 5), Some(5), None);
    let table = usage.lock();
    let user = |test| User { process: 1, test };
    assert_eq!(table.test_of(user(5)), Some((test(1, 5), false)));
    assert_eq!(table.test_of(user(4)), Some((test(1, 1), true)), "nothing was used then");
}
