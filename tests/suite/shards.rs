//! A suite on several machines: every test runs in exactly one shard, what belongs together stays
//! together, and every machine comes to the same plan.

#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::fixture::{Package, Ran, text};
use serde_json::Value;

static SUITE: LazyLock<Package> = LazyLock::new(large_suite);

/// The same in another directory, as on another machine.
static ELSEWHERE: LazyLock<Package> = LazyLock::new(large_suite);

/// 2,000 tests: of eight modules, one is a unit because of its static, and two have a lock in common.
fn large_suite() -> Package {
    let mut library = String::from(
        "#[cfg(test)] macro_rules! tests { ($($name:ident)*) => { $(#[test] fn $name() {})* } }\n",
    );
    for module in 0..8 {
        let names: Vec<String> = (0..249).map(|test| format!("t{test:03}")).collect();
        let first = match module {
            0 => {
                "pub static SEEN: std::sync::Mutex<u32> = std::sync::Mutex::new(0);\n\
                 #[test] fn first() { *SEEN.lock().unwrap() += 1; }\n"
            }
            _ => "#[test] fn first() {}\n",
        };
        library += &format!(
            "#[cfg(test)] mod m{module} {{\n{first}tests! {{ {} }}\n}}\n",
            names.join(" ")
        );
    }
    let locks = "[package.metadata.partest.modules]\n\
        \"shop::m1\" = { policy = \"split\", locks = [\"till\"] }\n\
        \"shop::m2\" = { policy = \"split\", locks = { read = [\"till\"] } }\n";
    let package = Package::shop(locks, &library);
    package.partest().args("--no-run").run().exits(0);
    package
}

fn shard_event(ran: &Ran) -> Value {
    let found = ran.events().into_iter().find(|event| event["event"] == "shard");
    found.unwrap_or_else(|| panic!("no shard; {ran}"))
}

#[test]
fn every_test_runs_in_one_shard_and_units_and_locks_do_not_part() {
    // src/plan has suites of all kinds.
    for shards in [1, 2, 5, 20] {
        let mut shard_of = BTreeMap::new();
        let mut plans = BTreeSet::new();
        for shard in 1..=shards {
            let place = if shard % 2 == 1 { &SUITE } else { &ELSEWHERE };
            let call = place.partest().args(&format!("--shard {shard}/{shards}"));
            let ran = call.json().run().exits(0);
            let event = shard_event(&ran);
            plans.insert(text(&event["plan"]));
            let verdicts = ran.verdicts();
            let elsewhere = event["in-other-shards"].as_u64().unwrap();
            assert_eq!(verdicts.len() as u64 + elsewhere, 2_000, "{ran}");
            for (id, outcome) in verdicts {
                assert_eq!(outcome, "passed", "{ran}");
                assert_eq!(shard_of.insert(id.clone(), shard), None, "{id} ran twice");
            }
        }
        assert_eq!((shard_of.len(), plans.len()), (2_000, 1), "{shards} shards");
        let of = |modules: &[&str]| -> BTreeSet<i32> {
            let is_one = |id: &&String| modules.iter().any(|module| id.contains(module));
            shard_of.keys().filter(is_one).map(|id| shard_of[id]).collect()
        };
        assert_eq!(of(&["::m0::"]).len(), 1, "a unit");
        assert_eq!(of(&["::m1::", "::m2::"]).len(), 1, "a lock");
        assert_eq!(of(&["::m3::"]).len(), shards as usize, "may go anywhere");
    }
}

#[test]
fn what_ran_here_before_and_how_many_slots_there_are_do_not_matter() {
    let package = Package::shop("", "#[test] fn a() {}\n#[test] fn b() {}\n#[test] fn c() {}\n");
    let plan = |words: &str| {
        let ran = package.partest().args(words).json().run().exits(0);
        let event = shard_event(&ran);
        (text(&event["plan"]), event["binaries"].clone())
    };
    let before = plan("plan --shard 1/2");
    package.partest().run().exits(0);
    assert!(package.path("target/partest/history.json").exists());
    for words in ["plan --shard 1/2", "plan --shard 1/2 -j7", "--partition hash:1/2"] {
        assert_eq!(plan(words), before, "{words}");
    }
    assert_ne!(plan("plan --shard 1/2 --isolate").0, plan("plan --shard 1/3 --isolate").0);
}

#[test]
fn filters_come_first_and_ignored_tests_are_of_one_shard() {
    let tests = "#[test] fn a() {}\n#[test] fn b() {}\n#[test] #[ignore] fn b_ignored() {}\n";
    let package = Package::shop("", tests);
    let mut outcomes = BTreeMap::new();
    for shard in 1..=2 {
        let ran = package.partest().args(&format!("--shard {shard}/2 shop::b")).json().run();
        let ran = ran.exits(0);
        assert_eq!(ran.verdicts().len() + others(&ran), 2, "{ran}");
        outcomes.extend(ran.verdicts());
    }
    let expected = [("shop::b", "passed"), ("shop::b_ignored", "ignored")];
    assert_eq!(outcomes, expected.map(|(id, of)| (id.to_owned(), of.to_owned())).into());
    // Nothing matches anywhere.
    package.partest().args("--shard 1/2 nothing").run().exits(4);
    let listed: usize = (1..=2)
        .map(|shard| {
            let ran = package.partest().args(&format!("list --shard {shard}/2")).run().exits(0);
            ran.stdout.lines().count()
        })
        .sum();
    assert_eq!(listed, 3);
}

fn others(ran: &Ran) -> usize {
    ran.finished()["in-other-shards"].as_u64().unwrap_or_default() as usize
}

#[test]
fn a_shard_without_a_test_succeeds_and_says_so() {
    let package = Package::shop("", "#[test] fn a() {}\n");
    let runs =
        [1, 2].map(|shard| package.partest().args(&format!("--shard {shard}/2")).run().exits(0));
    let count = |words: &str| runs.iter().filter(|ran| ran.stdout.contains(words)).count();
    assert_eq!(count("1 passed in "), 1, "{}{}", runs[0], runs[1]);
    assert_eq!(count("no test is in this shard, 1 in other shards in "), 1, "{}", runs[0]);
}

#[test]
fn a_file_of_durations_balances_the_work_and_a_long_unit_is_named() {
    let module = |name: &str| format!("#[cfg(test)] mod {name} {{ #[test] fn t() {{}} }}\n");
    let library: String = ["a", "b", "c", "d"].map(module).concat();
    let package = Package::shop("", &library);
    let durations = |a: f64| {
        let lines = [("a", a), ("b", 3.0), ("c", 2.0), ("d", 1.0)];
        let lines = lines.map(|(module, took)| format!("\"{module}::t\" = {took:?}\n"));
        package.write("durations.toml", &format!("[\"shop/lib/shop\"]\n{}", lines.concat()));
    };
    durations(4.0);
    let plan = |shard: &str| {
        let words = format!("plan --durations-file durations.toml --shard {shard}");
        package.partest().args(&words).json().run().exits(0)
    };
    for shard in ["1/2", "2/2"] {
        let event = shard_event(&plan(shard));
        assert_eq!(event["seconds"], 5.0, "{event}");
        assert_eq!(event["seconds-of-all"], 10.0, "{event}");
        assert_eq!(event["unbalanced"], Value::Null, "{event}");
    }
    durations(60.0);
    let why = "the shards are unbalanced: `shop::a::t` in shard 1/2 cannot be divided and takes \
        60.0 s; a fair share is 33.0 s";
    assert_eq!(shard_event(&plan("2/2"))["unbalanced"], why);
    let before = std::fs::read_to_string(package.path("durations.toml")).unwrap();
    let words = "--durations-file durations.toml --shard 2/2";
    let shown = package.partest().args(&format!("plan {words}")).run().exits(0);
    assert!(shown.stdout.contains("\nshard 2/2: 3 of 4 tests, 6.00 s of 66.0 s\n"), "{shown}");
    assert!(shown.stdout.contains(why), "{shown}");
    let ran = package.partest().args(words).run().exits(0);
    assert!(ran.stderr.contains("       Shard 2/2: 3 of 4 tests, 6.00 s of 66.0 s\n"), "{ran}");
    assert!(ran.stderr.contains(&format!("warning: {why}")), "{ran}");
    let after = std::fs::read_to_string(package.path("durations.toml")).unwrap();
    assert_eq!(before, after, "a shard only reads it");
    // A whole run writes what it has measured.
    package.partest().args("--durations-file durations.toml").run().exits(0);
    let after = std::fs::read_to_string(package.path("durations.toml")).unwrap();
    assert!(after.contains("[\"shop/lib/shop\"]\n") && !after.contains("= 60.0"), "{after}");
    package.write("durations.toml", "nonsense");
    for words in [words, "--durations-file durations.toml"] {
        let ran = package.partest().args(words).run().exits(2);
        assert!(ran.stderr.contains("`durations.toml` is not a file of durations: "), "{ran}");
        assert!(!ran.stderr.contains("Running"), "it is known before any test runs; {ran}");
    }
}

/// What other machines choose is not known, and durations would divide it in another way.
#[test]
fn a_choice_by_history_that_durations_divide_is_warned_of() {
    let package = Package::shop("", "#[test] fn a() {}\n#[test] fn b() {}\n");
    package.write("durations.toml", "[\"shop/lib/shop\"]\n\"a\" = 2.0\n\"b\" = 1.0\n");
    let by_durations = "--durations-file durations.toml";
    let cases = [
        (format!("{by_durations} --last-failed --shard 1/2"), true),
        (format!("{by_durations} --shard 1/2"), false),
        ("--last-failed --shard 1/2".to_owned(), false),
        (format!("{by_durations} --last-failed"), false),
    ];
    let warns = |ran: &Ran| ran.stderr.contains("a test may be in no shard");
    for (words, expected) in cases {
        let ran = package.partest().args(&words).run().exits(0);
        assert_eq!(warns(&ran), expected, "{ran}");
    }
    for (expression, expected) in [("slow(<1h)", true), ("not failed()", true), ("all()", false)] {
        let call = package.partest().args(&format!("{by_durations} --shard 1/2"));
        let ran = call.arg("-E").arg(expression).run();
        assert_eq!(warns(&ran), expected, "{ran}");
    }
}

#[test]
fn durations_that_cannot_be_saved_hide_no_verdict() {
    let library = "#[test] fn spoils() { std::fs::write(\"durations.toml\", \"nonsense\").unwrap() }\n\
        #[test] fn fails() { assert!(std::env::var_os(\"PASS\").is_some()) }\n";
    let package = Package::shop("", library);
    let call = || package.partest().args("--durations-file durations.toml");
    let error = "error: `durations.toml` is not a file of durations: ";
    let ran = call().run().exits(100);
    assert!(ran.stderr.contains(error) && ran.stdout.contains("1 failed"), "{ran}");
    std::fs::remove_file(package.path("durations.toml")).unwrap();
    let ran = call().env("PASS", "1").run().exits(1);
    assert!(ran.stderr.contains(error) && ran.stdout.contains("2 passed"), "{ran}");
}

#[test]
fn engines_tell_by_variables_which_shard_it_is() {
    let package = Package::shop("", "#[test] fn a() {}\n#[test] fn b() {}\n");
    let plan = |words: &str, variables: &[(&str, &str)]| {
        let call = package.partest().args("plan").args(words).json();
        variables.iter().fold(call, |call, (name, value)| call.env(name, value)).run()
    };
    let status = package.path("status");
    let bazel = [
        ("TEST_SHARD_INDEX", "1"),
        ("TEST_TOTAL_SHARDS", "3"),
        ("TEST_SHARD_STATUS_FILE", status.to_str().unwrap()),
        ("CI_PIPELINE_ID", "4711"),
    ];
    let event = shard_event(&plan("--shard auto", &bazel).exits(0));
    assert_eq!((&event["shard"], &event["shards"]), (&2.into(), &3.into()));
    assert_eq!(event["pipeline"], "CI_PIPELINE_ID=4711");
    assert!(status.exists(), "Bazel looks for it");
    let event = shard_event(&plan("--shard auto/4", &[("JOB_COMPLETION_INDEX", "3")]).exits(0));
    assert_eq!((&event["shard"], &event["shards"]), (&4.into(), &4.into()));
    let nothing = plan("--shard auto", &[]).exits(2);
    let reason = text(&nothing.events()[0]["reason"]);
    assert!(reason.contains("CI_NODE_INDEX and CI_NODE_TOTAL (GitLab)"), "{nothing}");
    assert!(nothing.stderr.contains("--shard auto/N"), "{nothing}");
    let wrong = plan("--shard 3/2", &[]).exits(2);
    assert!(wrong.stderr.contains("there is no shard 3/2: the last one of 2 is 2/2"), "{wrong}");
}
