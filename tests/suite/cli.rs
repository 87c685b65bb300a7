//! The words of the command line, and what they choose.

#![cfg(unix)]

use std::collections::BTreeSet;

use crate::fixture::{Call, Package, cargo, directly, directory, partest, text};
use serde_json::Value;

/// The tests that have run, by the last part of their name.
#[track_caller]
fn chosen(call: Call, words: &str) -> BTreeSet<String> {
    let ran = call.json().args(words).run();
    let last = |test: &Value| text(&test["id"]).rsplit("::").next().unwrap_or_default().to_owned();
    ran.tests().iter().filter(|test| test["outcome"] != "ignored").map(last).collect()
}

#[track_caller]
fn choose(call: Call, words: &str, expected: &[&str]) {
    let expected: BTreeSet<String> =
        expected.iter().flat_map(|names| names.split(' ')).map(str::to_owned).collect();
    assert_eq!(chosen(call, words), expected, "`{words}`");
}

#[test]
fn all_ways_to_call_it_are_one() {
    let all = chosen(partest("passes"), "");
    assert_eq!(all.len(), 7);
    assert_eq!(chosen(directly("passes"), ""), all);
    assert_eq!(chosen(directly("passes").args("run"), ""), all);
    assert_eq!(chosen(cargo("passes").args("partest"), ""), all);
    assert_eq!(chosen(cargo("passes").args("partest run"), ""), all);
}

#[test]
fn help_is_a_command_and_a_flag() {
    let of = |words: &str| partest("passes").args(words).run().exits(0).stdout;
    assert_eq!(of("help"), of("--help"));
    assert_eq!(of("help plan"), of("plan --help"));
    assert_eq!(of("help fixtures start"), of("fixtures start --help"));
    assert!(of("help list").starts_with("List the tests"));
}

mod filters {
    use super::*;

    const MILES: &str = "a_nautical_mile_is_longer sixty_are_a_degree";
    const KILOMETRES: &str = "a_kilometre_is_a_thousand_metres";
    const JOURNEY: &str = "a_journey_adds_up a_warm_day_is_warm_in_both";
    const SCALES: &str = "the_scales_meet_at_forty_below water_freezes";

    #[test]
    fn are_parts_of_names_or_beginnings_of_ids() {
        let table: [(&str, &[&str]); 9] = [
            ("", &[MILES, KILOMETRES, JOURNEY, SCALES]),
            ("nautical", &[MILES]),
            ("distance::nautical::tests::", &[MILES]),
            ("journey::", &[JOURNEY]),
            ("passes::distance", &[MILES, KILOMETRES]),
            ("water_freezes journey::a_journey", &["water_freezes a_journey_adds_up"]),
            ("-- nautical", &[MILES]),
            ("water_freezes -- nautical", &[MILES, "water_freezes"]),
            ("run temperature", &[SCALES]),
        ];
        for (words, expected) in table {
            choose(partest("passes"), words, expected);
        }
    }

    #[test]
    fn are_whole_names_or_ids_with_exact() {
        let id = "passes::temperature::tests::water_freezes";
        choose(partest("passes"), &format!("-- --exact {id}"), &["water_freezes"]);
        let name = "temperature::tests::water_freezes";
        choose(partest("passes"), &format!("-- --exact {name}"), &["water_freezes"]);
        choose(partest("passes"), &format!("{name} -- --exact"), &["water_freezes"]);
        let ran = partest("passes").args("-- --exact water_freezes").run().exits(4);
        assert!(
            ran.stderr.contains("error: no test is named `water_freezes` (`--exact`): "),
            "{ran}"
        );
    }

    #[test]
    fn leave_out_with_skip() {
        let table: [(&str, &[&str]); 4] = [
            ("-- --skip nautical", &[KILOMETRES, JOURNEY, SCALES]),
            ("-- --skip passes::distance", &[JOURNEY, SCALES]),
            ("-- --skip nautical --skip journey::", &[KILOMETRES, SCALES]),
            ("distance -- --skip nautical", &[KILOMETRES]),
        ];
        for (words, expected) in table {
            choose(partest("passes"), words, expected);
        }
    }

    #[test]
    fn hold_for_the_list_and_the_plan() {
        let listed = partest("passes").args("list nautical").run().exits(0);
        let expected = "passes::distance::nautical::tests::a_nautical_mile_is_longer\n\
                        passes::distance::nautical::tests::sixty_are_a_degree\n";
        assert_eq!(listed.stdout, expected, "{listed}");
        let planned = partest("passes").args("plan nautical").run().exits(0);
        assert!(planned.stdout.contains("\n2 tests in "), "{planned}");
    }
}

mod ignored_tests {
    use super::*;

    const IGNORED: &str =
        "with_a_reason with_a_reason_that_looks_like_a_result without_a_reason would_fail";

    #[test]
    fn run_where_they_are_asked_for() {
        choose(partest("ignores"), "", &["centuries_are_none"]);
        choose(partest("ignores"), "-- --ignored", &[IGNORED]);
        choose(partest("ignores"), "-- --include-ignored", &[IGNORED, "centuries_are_none"]);
        choose(partest("ignores"), "would_fail -- --ignored", &["would_fail"]);
    }

    #[test]
    fn that_run_are_judged_like_others() {
        let ran = partest("ignores").json().args("-- --ignored").run().exits(100);
        assert_eq!(ran.ids("failed"), ["ignores::tests::would_fail"], "{ran}");
        assert_eq!((ran.ids("passed").len(), ran.tests().len()), (3, 4), "{ran}");
    }

    /// Also in a harness that takes one name only.
    #[test]
    fn of_ones_own_harness_run_too() {
        let pages = "intro usage handle screw";
        choose(partest("speaks_the_protocol"), "", &[pages]);
        choose(partest("speaks_the_protocol"), "-- --ignored", &["appendix"]);
        choose(partest("speaks_the_protocol"), "-- --include-ignored", &[pages, "appendix"]);
    }
}

mod packages_and_targets {
    use super::*;

    const LENDER: &str = "a_book_comes_back a_book_is_late four_weeks_at_first";
    const BORROWER: &str = "a_book_comes_back a_day_costs_ten";

    #[test]
    fn are_those_that_cargo_would_test() {
        let table: [(&str, &[&str]); 6] = [
            ("", &[LENDER]),
            ("-p borrower", &[BORROWER]),
            ("-p borrower -p lender", &[LENDER, BORROWER]),
            ("--workspace", &[LENDER, BORROWER]),
            ("--workspace --exclude lender", &[BORROWER]),
            ("--workspace --test api", &["a_book_comes_back a_book_is_late"]),
        ];
        for (words, expected) in table {
            choose(partest("two_packages"), words, expected);
        }
    }

    #[test]
    fn are_those_of_the_directory() {
        choose(partest("two_packages").within("borrower"), "", &[BORROWER]);
        choose(partest("two_packages").within("borrower"), "--workspace", &[LENDER, BORROWER]);
        choose(partest("two_packages").within("lender/src"), "", &[LENDER]);
    }

    #[test]
    fn are_those_of_the_manifest_that_is_named() {
        let elsewhere = || partest("passes").within("../two_packages");
        let manifest = directory("two_packages").join("borrower/Cargo.toml");
        let words = format!("--manifest-path {}", manifest.display());
        choose(partest("passes"), &words, &[BORROWER]);
        choose(elsewhere(), "--manifest-path borrower/Cargo.toml", &[BORROWER]);
    }

    #[test]
    fn may_be_one_kind_only() {
        let of_library = "a_kilometre_is_a_thousand_metres a_nautical_mile_is_longer \
                          sixty_are_a_degree the_scales_meet_at_forty_below water_freezes";
        let journey = "a_journey_adds_up a_warm_day_is_warm_in_both";
        choose(partest("passes"), "--lib", &[of_library]);
        choose(partest("passes"), "--test journey", &[journey]);
        choose(partest("same_names"), "--test program", &["ends starts"]);
        choose(partest("environment"), "--bins", &["of_the_program"]);
        choose(partest("environment"), "--bin recorder", &["of_the_program"]);
        choose(partest("environment"), "--examples", &["of_the_example"]);
        choose(
            partest("environment"),
            "--benches",
            &["of_the_bench of_the_library of_the_program"],
        );
    }

    #[test]
    fn may_have_features() {
        let without = chosen(partest("recycles"), "");
        for words in ["--features broken", "-F broken", "--all-features"] {
            let ran = partest("recycles").args(words).json().run().exits(100);
            assert_eq!(ran.verdicts().len(), without.len(), "{ran}");
        }
    }

    #[test]
    fn may_be_built_only() {
        let ran = partest("sets_up_once").args("--no-run").run().exits(0);
        assert_eq!((ran.stdout.as_str(), ran.log("pids")), ("", vec![]), "{ran}");
    }

    #[test]
    fn may_be_built_elsewhere() {
        let package = Package::shop("", "#[cfg(test)] mod tests { #[test] fn opens() {} }");
        let ran = package.partest().args("--target-dir elsewhere").json().run().exits(0);
        assert_eq!(ran.ids("passed"), ["shop::tests::opens"], "{ran}");
        assert!(package.path("elsewhere/partest/history.json").is_file(), "{ran}");
        let mut there = std::fs::read_dir(package.path("target")).unwrap();
        let is_from_before = |name: std::ffi::OsString| name == ".rustc_info.json";
        assert!(there.all(|entry| is_from_before(entry.unwrap().file_name())), "{ran}");
    }
}

mod output_of_tests {
    use super::*;

    const PRINTED: &str = "a passing test's output is not shown";

    fn printed(words: &str) -> (bool, bool) {
        let ran = partest("fails").args("midnight").args(words).run().exits(0);
        let (out, err) = (ran.stdout.contains(PRINTED), ran.stderr.contains(PRINTED));
        let is_behind_a_bar = ran.stdout.contains(&format!("  | {PRINTED}"));
        ((out || err) && !is_behind_a_bar, is_behind_a_bar)
    }

    #[test]
    fn of_a_passing_test_is_shown_where_it_is_asked_for() {
        assert_eq!(printed(""), (false, false));
        assert_eq!(printed("-- --nocapture"), (true, false));
        assert_eq!(printed("-- --show-output"), (false, true));
    }

    #[test]
    fn follows_the_variable_that_libtest_reads() {
        let nocapture = |value| partest("fails").env("RUST_TEST_NOCAPTURE", value);
        let ran = nocapture("1").args("midnight").run().exits(0);
        assert!(ran.stdout.contains(PRINTED) || ran.stderr.contains(PRINTED), "{ran}");
        let ran = nocapture("0").args("midnight").run().exits(0);
        assert!(!ran.stdout.contains(PRINTED) && !ran.stderr.contains(PRINTED), "{ran}");
    }

    #[test]
    fn never_gets_among_the_json() {
        let ran = partest("writes_past_the_capture").json().args("-- --nocapture").run().exits(0);
        assert_eq!(ran.ids("passed").len(), 10, "{ran}");
        assert_eq!(ran.finished()["passed"], 10, "{ran}");
    }

    /// Verdicts are the same, shown or not.
    #[test]
    fn shown_or_not_changes_no_verdict() {
        for fixture in ["fails", "dies", "ignores"] {
            let plain = partest(fixture).json().run();
            let shown = partest(fixture).json().args("-- --nocapture").run();
            assert_eq!(shown.verdicts(), plain.verdicts(), "{shown}");
        }
    }
}

mod places {
    use super::*;

    fn slots(call: Call) -> u64 {
        call.run().exits(0).events()[0]["slots"].as_u64().unwrap()
    }

    #[test]
    fn follow_the_bound_on_threads_unless_they_are_counted() {
        let passes = || partest("passes").json();
        assert_eq!(slots(passes().args("-- --test-threads 1")), 1);
        assert_eq!(slots(passes().args("-- --test-threads=1")), 1);
        assert_eq!(slots(passes().env("RUST_TEST_THREADS", "1")), 1);
        assert_eq!(slots(passes().env("RUST_TEST_THREADS", "1").args("-j3")), 3);
        partest("passes")
            .env("RUST_TEST_THREADS", "1")
            .env("RUST_TEST_SHUFFLE", "1")
            .run()
            .exits(0);
    }

    /// Four tests wait for each other, so that all places are in use at once.
    const FOUR: &str = r#"
#[cfg(test)]
mod tests {
    fn meet(name: &str) {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        let place = ["PARTEST_SLOT", "PARTEST_WORKER", "PARTEST_RUN_ID"].map(|v| std::env::var(v).unwrap());
        std::fs::write(log.join(name), place.join("\n")).unwrap();
        let began = std::time::Instant::now();
        while std::fs::read_dir(&log).unwrap().count() < 4 {
            assert!(began.elapsed().as_secs() < 60, "the others never came");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    #[test] fn north() { meet("north"); }
    #[test] fn east() { meet("east"); }
    #[test] fn south() { meet("south"); }
    #[test] fn west() { meet("west"); }
}
"#;

    #[test]
    fn have_numbers_below_j_and_workers_have_their_own() {
        let ran = Package::shop("", FOUR).partest().args("-j4 --isolate").json().run().exits(0);
        let noted = ["north", "east", "south", "west"].map(|name| ran.log(name));
        let column =
            |at: usize| noted.iter().map(|lines| lines[at].clone()).collect::<BTreeSet<_>>();
        assert_eq!(column(0), ["0", "1", "2", "3"].map(str::to_owned).into(), "slots; {ran}");
        let workers: BTreeSet<String> =
            ran.tests().iter().map(|test| test["worker"].to_string()).collect();
        assert_eq!((column(1).len(), column(1)), (4, workers), "workers; {ran}");
        assert_eq!(column(2), [text(&ran.events()[0]["run"])].into(), "the run; {ran}");
    }
}
