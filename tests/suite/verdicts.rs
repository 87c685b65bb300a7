//! The same verdicts, however the tests are spread over processes: every fixture comes out as
//! `fixtures-examples/EXPECTED.md` says.

use std::collections::{BTreeMap, BTreeSet};

use crate::fixture::expected::{Build, Expected, fixtures};
use crate::fixture::{PROGRAM, Ran, directory, partest, text};
use serde_json::Value;

/// All ways to spread tests over processes.
///
/// Each list has a way without the agent: both channels give the same verdicts.
const ANYHOW: &[&str] = &[
    "-j1",
    "-j2",
    "-j8",
    "-j0",
    "--policy unit",
    "--policy split",
    "--isolate",
    "-j2 --no-agent",
    "-j0 --no-agent",
];
const AS_DECLARED: &[&str] = &["-j1", "-j2", "-j8", "-j2 --no-agent"];
/// For tests that share what is in their process.
const TOGETHER: &[&str] = &["-j1", "-j2", "-j8", "-j0", "--policy unit", "-j2 --no-agent"];
/// For tests that must not share a process.
const APART: &[&str] = &["-j1", "-j2", "-j8", "--isolate", "-j2 --no-agent"];

/// A line for each fixture: its name, the ways that keep its verdicts, what else it needs.
macro_rules! come_out_as_expected {
    ($($fixture:ident: $ways:expr, $flags:expr;)*) => {
        const TESTED: &[&str] = &[$(stringify!($fixture)),*];
        mod comes_out_as_expected {
            use super::*;
            $(#[test] fn $fixture() { check(stringify!($fixture), $ways, $flags); })*
        }
    };
}

come_out_as_expected! {
    asks_for_a_fixture: &["-j1", "-j2", "-j8", "-j0"], "";
    changes_directory: APART, "";
    counts_directories: TOGETHER, "";
    depends_on_order: TOGETHER, "";
    dies: ANYHOW, "";
    dies_among_many: ANYHOW, "";
    dies_at_the_end: TOGETHER, "";
    environment: ANYHOW, "";
    exits_zero: ANYHOW, "";
    fails: ANYHOW, "";
    fails_while_listing: ANYHOW, "";
    hangs: &["-j1", "-j8", "-j0", "--isolate"], "";
    hangs_while_listing: &["-j1", "-j0"], "";
    holds_a_pipe: ANYHOW, "";
    ignores: ANYHOW, "";
    ignores_a_name: ANYHOW, "";
    ignores_arguments: ANYHOW, "";
    inherits: ANYHOW, "";
    is_hostile: APART, "";
    leaves_a_child: ANYHOW, "";
    // Two of its tests meet: they need two places.
    locks: &["-j2", "-j8", "-j2 --isolate"], "";
    no_tests: ANYHOW, "";
    not_reentrant: APART, "";
    passes: ANYHOW, "";
    prints_a_lot: AS_DECLARED, "";
    recycles: ANYHOW, "";
    runs_alone: ANYHOW, "";
    runs_partest: &["-j2", "-j0"], "";
    runs_thirty_components: ANYHOW, "";
    same_names: ANYHOW, "";
    // Of two modules, which `--policy unit` would part.
    serial: ANYHOW, "";
    sets_up_once: ANYHOW, "";
    speaks_the_protocol: ANYHOW, "";
    splits: ANYHOW, "";
    statics: ANYHOW, "";
    three_nose_modules: AS_DECLARED, "";
    torture: &["-j1", "-j2", "-j8", "-j1 --no-agent", "-j8 --no-agent"], "";
    tour: APART, "";
    two_packages: ANYHOW, "--workspace";
    waits_for_each_other: &["-j8", "-j8 --isolate"], "";
    writes_past_the_capture: ANYHOW, "";
}

mod comes_out_as_expected_when_broken {
    use super::*;

    macro_rules! broken {
        ($($fixture:ident: $ways:expr, $flags:expr;)*) => {
            $(#[test] fn $fixture() {
                compare(stringify!($fixture), Build::Broken, $ways, $flags);
            })*
        };
    }

    broken! {
        ignores_arguments: ANYHOW, "--features broken";
        prints_a_lot: &["-j2"], "--features broken";
        recycles: ANYHOW, "--features broken";
        same_names: ANYHOW, "--features broken";
        speaks_the_protocol: ANYHOW, "--features broken";
        tour: APART, "--workspace --features complaints/broken";
        writes_past_the_capture: ANYHOW, "--features broken";
    }
}

fn check(fixture: &str, ways: &[&str], flags: &str) {
    compare(fixture, Build::Whole, ways, flags);
}

fn compare(fixture: &str, build: Build, ways: &[&str], flags: &str) {
    let expected = Expected::of(fixture, build);
    for way in ways {
        // `runs_partest` is told where the program is while it is built.
        let call = partest(fixture).env("PARTEST_EXE", PROGRAM).args(flags).args(way);
        let ran = call.json().run();
        events_add_up(&ran);
        expected.compare(ran);
    }
}

/// Started first, finished last, one verdict for each test between them, and counts that agree.
/// Fixtures come and go meanwhile, each of them once.
fn events_add_up(ran: &Ran) {
    let (fixtures, events): (Vec<Value>, Vec<Value>) =
        ran.events().into_iter().partition(|event| event["event"] == "fixture");
    let in_state = |state: &str| -> BTreeSet<String> {
        let found = fixtures.iter().filter(|event| event["state"] == state);
        found.map(|event| format!("{}{}", event["name"], event["slot"])).collect()
    };
    assert_eq!(in_state("ready"), in_state("stopped"), "the fixtures; {ran}");
    assert_eq!(in_state("ready").len() * 2, fixtures.len(), "the fixtures; {ran}");
    // What is found later than its verdict, or is of no known test, comes in between.
    const BETWEEN: [&str; 5] =
        ["stage-ended", "worker-ended", "left-behind", "worker-output", "locks-learnt"];
    let names = events.iter().map(|event| text(&event["event"]));
    let names: Vec<String> = names.filter(|name| !BETWEEN.contains(&name.as_str())).collect();
    let tests = ran.tests();
    let mut expected = vec!["test"; tests.len() + 2];
    expected[0] = "run-started";
    expected[tests.len() + 1] = "run-finished";
    assert_eq!(names, expected, "the order of events; {ran}");
    let ended = events.iter().filter(|event| event["event"] == "worker-ended");
    let ended: BTreeSet<u64> = ended.map(|event| event["worker"].as_u64().unwrap()).collect();
    let ran_in = tests.iter().filter_map(|test| test["worker"].as_u64());
    assert_eq!(ran_in.filter(|worker| !ended.contains(worker)).max(), None, "a process; {ran}");
    let mut counts = BTreeMap::new();
    tests.iter().for_each(|test| *counts.entry(text(&test["outcome"])).or_insert(0) += 1);
    let finished = ran.finished();
    for outcome in
        ["passed", "failed", "ignored", "timed-out", "aborted", "blocked", "missing", "not-run"]
    {
        let counted = counts.remove(outcome).unwrap_or_default();
        assert_eq!(finished[outcome], counted, "the count of {outcome}; {ran}");
    }
    assert_eq!(counts, BTreeMap::new(), "outcomes that are none; {ran}");
    assert_eq!(events[0]["tests"], Value::from(tests.len()), "the number of tests; {ran}");
}

/// Those that have no verdicts to compare or need more than Rust, each with the test that runs
/// it.
const TESTED_ELSEWHERE: &[&str] = &[
    "asks_a_database",        // database
    "does_not_build",         // bad_input
    "ends_around_its_linger", // leaks
    "leaves_things_behind",   // leaks
    "threads_of_python",      // leaks
    "twenty_thousand_tests",  // lineage
    "two_policies",           // bad_input
    "wrong_keys",             // bad_input
];

#[test]
fn every_fixture_is_expected_and_tested() {
    let tested: BTreeSet<String> =
        TESTED.iter().chain(TESTED_ELSEWHERE).map(|name| (*name).to_owned()).collect();
    assert_eq!(tested, fixtures(), "EXPECTED.md and this file");
    let there = std::fs::read_dir(directory("")).unwrap().map(Result::unwrap);
    let is_fixture = |entry: &std::fs::DirEntry| entry.path().is_dir();
    let there = there.filter(is_fixture).map(|e| e.file_name().into_string().unwrap()).collect();
    assert_eq!(tested, there, "EXPECTED.md and the directories");
}
