//! What came before, and what this owes to it: the rows N1 to N20 of nose's multiprocess plugin,
//! each with its intent, and B3, B7 and B8 of a post on threads and processes in integration tests.
//! N6 stands in `src/plan/grouping/tests.rs`; N3, N7, N8 and N11 to N13, with nose's own example, in `nose.rs`;
//! N26 and N28 to N31, what shared fixtures do when something goes wrong, in `shared.rs`; N17
//! needs what does not exist yet.

use std::collections::BTreeSet;
use std::path::Path;

use crate::fixture::{PROGRAM, Package, Ran, partest, text};

fn different<T: Ord + Clone>(things: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    things.into_iter().collect()
}

/// The processes that ran tests, as the run numbers them.
fn workers(ran: &Ran) -> BTreeSet<u64> {
    different(ran.tests().iter().filter_map(|test| test["worker"].as_u64()))
}

/// The places that a run announces.
fn slots(flags: &str) -> u64 {
    let ran = partest("passes").args(flags).json().run().exits(0);
    ran.events()[0]["slots"].as_u64().unwrap()
}

/// N1: tests that wait overlap, on any number of cores. They wait for each other, so nothing but
/// eight places at once lets them pass.
#[test]
fn eight_waiting_tests_overlap_in_eight_slots() {
    let ran = partest("waits_for_each_other").args("-j8").json().run().exits(0);
    assert_eq!((ran.ids("passed").len(), workers(&ran).len()), (8, 8), "{ran}");
}

/// N2: a number of slots, the number of cores, fewer, or no partition.
#[test]
fn slots_are_counted_as_the_user_says() {
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let fewer = (cores - 1).max(1);
    let table = [
        ("-j1", 1),
        ("-j 3", 3),
        ("--jobs 99", 99),
        ("--jobs=-1", fewer),
        ("-j auto", cores),
        ("-j default", cores),
        ("", cores),
        ("-j0", 1),
        ("--no-partition", cores),
    ];
    for (flags, expected) in table {
        assert_eq!(slots(flags), expected, "`{flags}`");
    }
}

/// N2: nose took junk for "off"; that trap is not kept.
#[test]
fn junk_for_the_number_of_slots_is_a_usage_error() {
    for junk in ["many", "2x", "1.5", "99999999999999999999"] {
        let ran = partest("passes").args("-j").arg(junk).run().exits(2);
        assert_eq!(ran.stdout, "", "{ran}");
        assert!(ran.stderr.contains(&format!("invalid value '{junk}' for '--jobs <N>'")), "{ran}");
    }
}

/// N3: a module with fixtures is dispatched as a whole, and sets them up once, in the process of
/// its tests.
#[test]
fn a_unit_sets_up_once_in_one_process() {
    for flags in ["-j1", "-j2", "-j8"] {
        let ran = partest("sets_up_once").args(flags).json().run().exits(0);
        assert_eq!(ran.log("set-ups").len(), 1, "{ran}");
        assert_eq!((ran.log("pids").len(), different(ran.log("pids")).len()), (6, 1), "{ran}");
    }
}

/// N4: modules without fixtures go wherever there is room.
#[test]
fn tests_without_fixtures_go_to_several_processes() {
    let ran = partest("statics").args("-p rules --test immutable -j2").json().run().exits(0);
    let pids = [ran.log("immutable.tables"), ran.log("immutable.texts")].concat();
    assert_eq!(pids.len(), 4, "{ran}");
    assert!(different(pids).len() > 1, "{ran}");
}

/// N5: what an ancestor declares counts, until a nearer key says otherwise.
#[test]
fn a_policy_covers_the_modules_below() {
    let ran = partest("inherits").args("-j2").json().run().exits(0);
    let pids = |module: &str| ran.log(&format!("inherits.{module}.tests"));
    let unit = [pids("orders"), pids("orders.billing"), pids("orders.shipping.abroad")].concat();
    assert_eq!((unit.len(), different(unit.clone()).len()), (5, 1), "the unit; {ran}");
    let nearer = [pids("orders.archive"), pids("drafts.notes")].concat();
    assert_eq!((nearer.len(), different(nearer.clone()).len()), (4, 4), "the nearer keys; {ran}");
    assert_eq!(different([unit, nearer].concat()).len(), 5, "{ran}");
}

/// N7: a split module's fixture runs once in each process that gets one of its tests. nose ran
/// it for typically every test.
#[test]
fn a_split_module_sets_up_once_in_each_process() {
    let ran = partest("splits").args("-j2").json().run().exits(0);
    let (set_ups, pids) = (ran.log("set-ups"), ran.log("pids"));
    assert_eq!(pids.len(), 12, "{ran}");
    assert!(set_ups.len() >= 2, "{ran}");
    assert_eq!(different(set_ups.clone()).len(), set_ups.len(), "{ran}");
    assert_eq!(different(set_ups), different(pids), "{ran}");
}

/// N9: two policies for one module are a mistake, with its place; nothing runs.
#[test]
fn two_policies_are_refused() {
    let ran = partest("two_policies").run().exits(2);
    assert_eq!(ran.stdout, "", "{ran}");
    assert!(ran.stderr.contains("Cargo.toml:9:36"), "{ran}");
    assert!(ran.stderr.contains("`policy` must be one policy, not a list"), "{ran}");
    assert!(!ran.stderr.contains("Running"), "{ran}");
}

/// N10: nose dropped tests that are "not safe for multiprocess"; here they run alone, and none is
/// lost.
#[test]
fn exclusive_tests_run_alone_and_none_is_dropped() {
    let listed = partest("runs_alone").args("list").run().exits(0);
    let ran = partest("runs_alone").args("-j8").json().run().exits(0);
    let names: Vec<String> = listed.stdout.lines().map(str::to_owned).collect();
    assert_eq!(different(ran.ids("passed")), different(names), "{listed}\n{ran}");
}

/// N11: without any partition everything behaves the same, in a fixed order.
#[test]
fn without_partition_verdicts_are_the_same_and_the_order_is_fixed() {
    for fixture in ["sets_up_once", "fails", "dies"] {
        let spread = partest(fixture).args("-j2").json().run();
        let whole = partest(fixture).args("-j0").json().run();
        let again = partest(fixture).args("-j0").json().run();
        let order =
            |ran: &Ran| ran.tests().iter().map(|test| text(&test["id"])).collect::<Vec<_>>();
        assert_eq!(whole.verdicts(), spread.verdicts(), "{whole}\n{spread}");
        assert_eq!(order(&whole), order(&again), "{whole}\n{again}");
    }
}

/// N12: what the number of slots cannot help is said.
#[test]
fn the_plan_says_that_one_unit_uses_one_slot() {
    let ran = partest("depends_on_order").args("plan -j2").run().exits(0);
    let unit = "unit      depends_on_order::tests    2 tests, 1 thread  [unit: Cargo.toml:8]";
    assert!(ran.stdout.contains(unit), "{ran}");
    assert!(ran.stdout.contains("2 tests in 1 process over 2 slots"), "{ran}");
    assert!(ran.stdout.contains("only 1 slot can be used"), "{ran}");
}

/// N13: a fixture that cannot be set up twice fails where it is declared `split`, and passes as
/// a unit.
#[test]
fn a_fixture_that_is_not_reentrant_fails_when_split() {
    let split = partest("not_reentrant").args("-j2").json().run().exits(100);
    assert_eq!((split.ids("passed").len(), split.ids("failed").len()), (1, 3), "{split}");
    for id in split.ids("failed") {
        let output = text(&split.test(&id)["output"]);
        assert!(output.contains("the kitchen is taken"), "{id}; {split}");
    }
    let unit = partest("not_reentrant").args("-j2 --policy unit").json().run().exits(0);
    assert_eq!(unit.ids("passed").len(), 4, "{unit}");
}

/// N14: workers run what was planned; a planned test that its binary does not run is an error.
#[test]
fn a_test_that_its_binary_ignores_is_missing() {
    let ran = partest("ignores_a_name").json().run().exits(1);
    assert_eq!(ran.ids("missing"), ["roll_call::grace"], "{ran}");
    assert_eq!(ran.ids("passed"), ["roll_call::ada", "roll_call::charles"], "{ran}");
    let reason = text(&ran.test("roll_call::grace")["reason"]);
    assert_eq!(reason, "the binary listed it and did not run it", "{ran}");
}

/// N15: results come in any order, the order of what is held back is fixed.
#[test]
fn ordered_results_come_in_the_same_order_always() {
    let order = |flags: &str| {
        let ran = partest("statics").args("--workspace --ordered").args(flags).json().run();
        ran.tests().iter().map(|test| text(&test["id"])).collect::<Vec<_>>()
    };
    let first = order("-j1");
    assert_eq!(first.len(), 49);
    assert_eq!(order("-j8"), first);
    assert_eq!(order("-j8 --isolate"), first);
}

/// N16: counts and failures of all processes are merged into one result, in which the order of
/// arrival cannot be seen.
#[test]
fn the_merged_result_does_not_depend_on_who_ran_what() {
    let merged = |flags: &str| {
        let call = partest("tour").args("--workspace --features complaints/broken --ordered");
        let ran = call.args(flags).json().run().exits(100);
        let counts = ["passed", "failed", "ignored", "timed-out", "aborted"];
        (ran.verdicts(), counts.map(|count| ran.finished()[count].clone()))
    };
    let first = merged("-j1");
    assert_eq!(merged("-j8"), first);
    assert_eq!(merged("-j2 --isolate"), first);
}

/// N18: a run within a run works, in the places of the outer run, and leaves its files alone.
#[test]
fn a_run_within_a_run_passes_and_keeps_no_state() {
    let target = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let call = partest("runs_partest").own_target(&target).env("PARTEST_EXE", PROGRAM);
    let ran = call.args("-j2").json().run().exits(0);
    assert_eq!(ran.ids("passed").len(), 2, "{ran}");
    let outer = target.path().join("target/partest");
    let inner = target.path().join("target/tmp/nested/partest");
    assert!(outer.join("history.json").is_file(), "{ran}");
    assert!(!outer.join("../tmp/partest").exists() && !inner.exists(), "{ran}");
}

/// N19: names go to the workers, however many there are.
#[test]
fn twenty_thousand_names_reach_their_workers() {
    // Its build takes long, and would hold the others up in the common directory.
    let large = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large");
    let table = [
        ("-j2", 20_000),
        ("-j2 --policy split book_00", 10_000),
        ("-j1 -- --skip 9_stands", 18_000),
    ];
    for (flags, expected) in table {
        let call = partest("twenty_thousand_tests").env("CARGO_TARGET_DIR", &large).json();
        let page = large.join("page.html");
        let ran = call.arg("--html").arg(&page).args(flags).run().exits(0);
        assert_eq!(ran.ids("passed").len(), expected, "{ran}");
        let size = std::fs::metadata(&page).unwrap().len();
        assert!(size < 2 << 20, "a page of {size} bytes");
    }
}

/// N20: a binary that cannot be listed is an error of the run; the others run all the same.
#[test]
fn a_binary_that_cannot_be_listed_does_not_stop_the_others() {
    let ran = Package::with_a_lost_list().partest().json().run().exits(1);
    assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
    assert_eq!(ran.finished()["list-failures"], 1, "{ran}");
    assert!(ran.stderr.contains("no file catalogue.txt"), "{ran}");
}

/// B3, B7: a system of thirty components is started once for all of its tests, as threads of one
/// process or as processes of their own. B8: each of them has to come to a clean end. In Python
/// the program would wait for one that did not; here it would be reported.
#[test]
fn thirty_components_are_threads_or_processes_and_all_of_them_are_shut_down() {
    for flags in ["-j1", "-j2 --leaks deny"] {
        let ran = partest("runs_thirty_components").args(flags).json().run().exits(0);
        let (threads, processes) = (ran.log("as_threads"), ran.log("as_processes"));
        assert_eq!((threads.len(), different(threads).len()), (30, 1), "{ran}");
        assert_eq!((processes.len(), different(processes).len()), (30, 30), "{ran}");
        assert_eq!(ran.log("closed").len(), 60, "{ran}");
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
    }
}
