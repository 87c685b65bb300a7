//! What people and scripts get to see, to the letter.

#![cfg(unix)]

use std::collections::BTreeSet;

use crate::fixture::{self, Call, Package, Ran, cargo, partest, text};
use serde_json::Value;

/// A report without what changes from run to run: times, how well the slots were filled, how
/// many processes that took, and the thread ids in messages of panics.
fn timeless(report: &str) -> String {
    // A time that nobody would notice is left out.
    report.lines().map(|line| timeless_line(line).replace(" ( s)", "") + "\n").collect()
}

fn timeless_line(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let word = |at: usize| {
        let is_measured = words.get(at + 1).is_some_and(|unit| is_unit(unit));
        let is_thread = at > 1 && words[at - 2] == "thread";
        match is_measured || is_thread {
            true => words[at].replace(|c: char| c.is_ascii_digit() || c == '.', ""),
            false => words[at].to_owned(),
        }
    };
    (0..words.len()).map(word).collect::<Vec<_>>().join(" ")
}

fn is_unit(word: &str) -> bool {
    ["s", "s)", "s):", "%", "process,", "processes,"].contains(&word)
}

mod people {
    use super::*;

    fn is_the_same_in_every_run(fixture: &str, flags: &str) {
        let run = || partest(fixture).args(flags).run().exits(100);
        let (first, second) = (run(), run());
        assert_eq!(timeless(&first.stdout), timeless(&second.stdout), "{first}");
    }

    #[test]
    fn the_report_is_the_same_in_every_run() {
        for flags in ["-j0", "-j1 --policy unit", "-j2 --isolate"] {
            is_the_same_in_every_run("fails", flags);
        }
        is_the_same_in_every_run("dies", "-j2 --isolate");
    }

    /// What the standard library prints from its handler, on a stack of the agent's.
    #[test]
    fn an_overflow_of_the_stack_names_its_test() {
        for flags in ["-j1", "--isolate", "--no-agent"] {
            let ran = partest("dies").args("overflows").args(flags).run().exits(100);
            let told = "thread 'overflows::dies_of_its_stack' () has overflowed its stack";
            assert!(timeless(&ran.stdout).contains(told), "{ran}");
        }
    }

    const REPORT: &str = "\
failures:

FAILED fails::tests::an_assertion_fails_after_some_output
  panicked at src/lib.rs:29:9
    assertion `left == right` failed: the clock is slow
     left: Ok(450)
    right: Ok(451)

    27 |         println!(\"this line went to stdout before the failure\");
    28 |         eprintln!(\"this line went to stderr before the failure\");
  > 29 |         assert_eq!(minutes(\"7:30\"), Ok(7 * 60 + 31), \"the clock is slow\");
    30 |     }
    31 |

  | this line went to stdout before the failure
  | this line went to stderr before the failure
  rerun: cargo partest -p fails --lib -- --exact tests::an_assertion_fails_after_some_output

FAILED fails::tests::returns_an_error
  returned Error: \"there is no 24:00\"
  rerun: cargo partest -p fails --lib -- --exact tests::returns_an_error

FAILED fails::tests::should_panic_but_does_not
  test did not panic as expected at src/lib.rs:58:8

    56 |     #[test]
    57 |     #[should_panic]
  > 58 |     fn should_panic_but_does_not() {
       |        ^
    59 |         minutes(\"9:15\").unwrap();
    60 |     }

  rerun: cargo partest -p fails --lib -- --exact tests::should_panic_but_does_not

FAILED fails::tests::should_panic_with_another_message
  panicked at src/lib.rs:65:25
    called `Result::unwrap()` on an `Err` value: \"there is no 9:75\"

    63 |     #[should_panic(expected = \"is no hour\")]
    64 |     fn should_panic_with_another_message() {
  > 65 |         minutes(\"9:75\").unwrap();
       |                         ^
    66 |     }
    67 |

    note: panic did not contain expected string
          panic message: \"called `Result::unwrap()` on an `Err` value: \\\"there is no 9:75\\\"\"
     expected substring: \"is no hour\"
  rerun: cargo partest -p fails --lib -- --exact tests::should_panic_with_another_message

FAILED fails::tests::the_message_has_several_lines
  panicked at src/lib.rs:70:9
    the timetable is wrong:
      expected 9:15
      found    9:16

    test tests::midnight_is_zero ... ok

    68 |     #[test]
    69 |     fn the_message_has_several_lines() {
  > 70 |         panic!(
    71 |             \"the timetable is wrong:\\n  expected 9:15\\n  found    9:16\\n\\ntest tests::midnight_is_zero ... ok\"
    72 |         );

  rerun: cargo partest -p fails --lib -- --exact tests::the_message_has_several_lines

failed tests:
  fails::tests::an_assertion_fails_after_some_output
  fails::tests::returns_an_error
  fails::tests::should_panic_but_does_not
  fails::tests::should_panic_with_another_message
  fails::tests::the_message_has_several_lines

set RUST_BACKTRACE=1 to see backtraces
5 failed, 3 passed in 1 s
";

    #[test]
    fn every_failure_stands_with_its_output_and_the_command_to_run_it_again() {
        let ran = partest("fails").args("-j0").run().exits(100);
        assert_eq!(timeless(&ran.stdout), timeless(REPORT), "{ran}");
    }

    #[test]
    fn a_test_that_hangs_or_dies_is_shown_with_the_line_where_it_did() {
        let table = [
            ("dies", "dies_of_sigabrt", "  > 17 |         std::process::abort();\n"),
            ("hangs", "waits_for_ever", "  > 36 |         assert_eq!(ear.recv(), Ok(\"dong\"));\n"),
        ];
        for (fixture, test, line) in table {
            let ran = partest(fixture).args(test).run().exits(100);
            let (place, _) = ran.stdout.split_once(line).unwrap_or_else(|| panic!("{ran}"));
            assert!(place.contains("\n  at src/lib.rs:"), "{ran}");
        }
    }

    #[test]
    fn the_panic_of_a_thread_is_shown_as_the_cause() {
        let test = "#[test]\nfn joins() {\n    \
            let thread = std::thread::spawn(|| panic!(\"the disk is full\"));\n    \
            thread.join().unwrap();\n}\n";
        let ran = Package::shop("", test).partest().run().exits(100);
        let cause =
            "  caused by a panic at src/lib.rs:3:40 in thread `<unnamed>`\n    the disk is full\n";
        assert!(ran.stdout.contains(cause), "{ran}");
        assert_eq!(ran.stdout.matches("the disk is full\n").count(), 1, "{ran}");
    }

    #[test]
    fn stdout_is_the_result_and_stderr_the_progress() {
        let ran = partest("passes").args("-j1").run().exits(0);
        let report = "7 passed in 1 s\n";
        assert_eq!(timeless(&ran.stdout), timeless(report), "{ran}");
        let running = "     Running 7 tests of 2 binaries in 1 slot\n";
        assert!(ran.stderr.ends_with(running), "{ran}");
    }

    #[test]
    fn quiet_leaves_failures_and_the_last_line() {
        let ran = partest("passes").args("-q").run().exits(0);
        assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, ""), "{ran}");
        assert!(ran.stdout.starts_with("7 passed in "), "{ran}");
        let ran = partest("fails").args("-q").run().exits(100);
        assert_eq!(ran.stdout.matches("FAILED fails::tests::").count(), 5, "{ran}");
        assert_eq!(ran.stderr, "", "{ran}");
    }

    #[test]
    fn verbose_names_every_test_as_it_ends() {
        let named = |call: Call| {
            let ran = call.run().exits(0);
            let verdicts = ran.stderr.lines().filter(|line| line.contains(" ignores::tests::"));
            let words = verdicts.map(|line| line.split_whitespace().next().unwrap_or_default());
            let words: Vec<&str> = words.collect();
            ["IGNORED", "PASSED"].map(|word| words.iter().filter(|own| **own == word).count())
        };
        let call = || partest("ignores");
        assert_eq!(named(call().args("-v")), [4, 1]);
        // What is typed counts before a variable, as in cargo.
        let quiet = || call().env("CARGO_TERM_QUIET", "true");
        assert_eq!(named(quiet().args("-v")), [4, 1]);
        assert_eq!(named(quiet()), [0, 0]);
    }

    /// How often each failure of `fails` is shown with its output, and how often by its name alone.
    fn shown(flags: &str) -> (usize, usize) {
        let ran = partest("fails").args("-j1").args(flags).run().exits(100);
        let (blocks, list) = ran.stdout.split_once("failed tests:\n").unwrap();
        (blocks.matches("FAILED fails::tests::").count(), list.matches("  fails::tests::").count())
    }

    #[test]
    fn failures_are_shown_when_they_are_asked_for() {
        let table = [
            ("final", (5, 5)),
            ("immediate", (5, 5)),
            ("immediate-final", (10, 5)),
            ("never", (0, 5)),
        ];
        for (when, expected) in table {
            assert_eq!(shown(&format!("--failure-output {when}")), expected, "{when}");
        }
    }

    #[test]
    fn a_failure_that_is_shown_at_once_has_no_other_line() {
        let ran = partest("fails").args("--failure-output immediate").run().exits(100);
        assert!(!ran.stdout.contains("failures:") && !ran.stderr.contains("FAILED"), "{ran}");
    }

    #[test]
    fn passes_are_shown_when_they_are_asked_for() {
        for (when, times) in [("never", 0), ("final", 1), ("immediate", 1), ("immediate-final", 2)]
        {
            let call = partest("fails").args("midnight --success-output").arg(when);
            let ran = call.run().exits(0);
            let line = "  | a passing test's output is not shown\n";
            assert_eq!(ran.stdout.matches(line).count(), times, "{when}; {ran}");
        }
    }

    #[test]
    fn a_panic_that_was_expected_is_only_output() {
        let call = partest("fails").args("should_panic_and_does --success-output final");
        let ran = call.run().exits(0);
        assert!(ran.stdout.contains("  | thread 'tests::should_panic_and_does' "), "{ran}");
        assert!(!ran.stdout.contains("  panicked at"), "{ran}");
    }

    #[test]
    fn each_status_level_prints_what_it_names() {
        let table = [("none", 0), ("fail", 5), ("leak", 5), ("pass", 8), ("all", 8)];
        for (level, lines) in table {
            let ran = partest("fails").args("--status-level").arg(level).run().exits(100);
            let told = ran.stderr.matches(" fails::tests::").count();
            assert_eq!(told, lines, "{level}; {ran}");
        }
    }

    #[test]
    fn what_is_not_captured_is_printed_once() {
        for flags in ["--no-capture", "-- --nocapture"] {
            let ran = partest("fails").args("an_assertion").args(flags).run().exits(100);
            let all = ran.stdout.clone() + &ran.stderr;
            assert_eq!(all.matches("went to stdout before the failure\n").count(), 1, "{ran}");
            assert!(ran.stdout.contains("  panicked at src/lib.rs:29:9\n"), "{ran}");
        }
    }

    #[test]
    fn the_slowest_tests_are_listed_in_any_number() {
        for (flags, listed) in [("", 0), ("--durations 2", 2), ("--durations 0", 7)] {
            let ran = partest("passes").args(flags).run().exits(0);
            let list = ran.stdout.split_once("slowest:\n").map_or("", |(_, list)| list);
            assert_eq!(list.matches(" s  ").count(), listed, "{ran}");
        }
    }

    #[test]
    fn a_pipe_gets_no_escape_codes() {
        let table =
            [("fails", ""), ("writes_past_the_capture", "--features broken -- --show-output")];
        for (fixture, flags) in table {
            let ran = partest(fixture).args(flags).run();
            assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'), "{ran}");
        }
    }

    #[test]
    fn colors_come_where_they_are_asked_for() {
        let colored = |call: Call| {
            let ran = call.run();
            (ran.stdout.contains("\x1b["), ran.stderr.contains("\x1b["))
        };
        let passes = || partest("passes");
        assert_eq!(colored(passes().args("--color always")), (true, true));
        assert_eq!(colored(passes().env("CARGO_TERM_COLOR", "always")), (true, true));
        let never = passes().env("CARGO_TERM_COLOR", "always").args("--color never");
        assert_eq!(colored(never), (false, false));
    }

    #[test]
    fn what_a_test_prints_cannot_pass_for_a_result() {
        let call = partest("writes_past_the_capture").args("--features broken");
        let ran = call.args("-- --show-output").run().exits(100);
        let is_ours = |line: &&str| line.contains("forged::by_hand") && !line.starts_with("  | ");
        assert_eq!(ran.stdout.lines().find(is_ours), None, "{ran}");
    }

    #[test]
    fn a_reader_that_leaves_ends_the_run_quietly() {
        let table = ["", "list", "plan", "--message-format json", "-v", "--help"];
        for flags in table {
            let ran = partest("fails").args(flags).run_without_reader();
            let noise = ["panicked", "roken pipe", "error:"];
            assert!(!noise.iter().any(|noise| ran.stderr.contains(noise)), "{ran}");
        }
    }
}

mod the_command_to_run_it_again {
    use super::*;

    /// Runs each command as a shell would, and looks that one test ran, and came to the same.
    fn runs_that_test(fixture: &str, flags: &str, failures: usize) {
        let ran = partest(fixture).args(flags).run();
        let mut lines = ran.stdout.lines();
        let mut found = 0;
        while let Some(line) = lines.next() {
            let Some((word, rest)) = line.split_once(' ').filter(|(word, _)| is_verdict(word))
            else {
                continue;
            };
            let rerun = lines.by_ref().find_map(|line| line.strip_prefix("  rerun: "));
            if let Some(again) = rerun {
                found += 1;
                comes_again(fixture, again, &id_of(rest), &word.to_lowercase());
            }
        }
        assert_eq!(found, failures, "commands; {ran}");
    }

    fn is_verdict(word: &str) -> bool {
        ["FAILED", "ABORTED", "TIMED", "MISSING"].contains(&word)
    }

    /// `dies::exits::ends (0.002 s): exit code 3`
    fn id_of(rest: &str) -> String {
        let id = rest.trim_start_matches("OUT ").split([' ', '\n']).next().unwrap_or_default();
        id.trim_end_matches(':').to_owned()
    }

    fn comes_again(fixture: &str, again: &str, id: &str, word: &str) {
        let json = again.replacen("partest", "partest --message-format json", 1);
        let ran = cargo(fixture).shell(&json).run();
        let verdicts = ran.verdicts();
        let only: Vec<(&str, &str)> =
            verdicts.iter().map(|(id, outcome)| (id.as_str(), outcome.as_str())).collect();
        let [(came, outcome)] = only[..] else { panic!("one test; {ran}") };
        assert_eq!(came, id, "{ran}");
        assert!(outcome.starts_with(word), "{outcome}, not {word}; {ran}");
    }

    #[test]
    fn works_for_failures() {
        runs_that_test("fails", "", 5);
    }

    #[test]
    fn works_for_tests_that_died() {
        runs_that_test("dies", "", 6);
    }

    #[test]
    fn works_for_tests_that_hang() {
        runs_that_test("hangs", "", 1);
    }

    #[test]
    fn works_for_ignored_tests() {
        runs_that_test("ignores", "-- --include-ignored", 1);
    }

    #[test]
    fn works_with_features_and_between_two_targets_of_one_name() {
        runs_that_test("same_names", "--features broken", 1);
    }

    #[test]
    fn works_for_harnesses_of_ones_own() {
        runs_that_test("speaks_the_protocol", "--features broken", 1);
        runs_that_test("ignores_arguments", "--features broken", 1);
        runs_that_test("ignores_a_name", "", 1);
    }

    #[test]
    fn works_in_a_workspace() {
        runs_that_test("tour", "-p complaints --features broken", 5);
    }
}

mod scripts {
    use super::*;

    fn fields(event: &Value) -> BTreeSet<&str> {
        event.as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// Fields may be added: here, too. They are never renamed.
    #[test]
    fn json_has_these_fields() {
        let ran = partest("fails").json().run().exits(100);
        let table: [(&str, &[&str]); 5] = [
            ("run-started", &["binaries", "event", "run", "slots", "tests"]),
            (
                "test",
                &[
                    "attempt", "binary", "event", "id", "kind", "leaks", "name", "outcome",
                    "output", "package", "reason", "seconds", "worker",
                ],
            ),
            ("stage-ended", &["began", "ended", "event", "stage"]),
            (
                "worker-ended",
                &[
                    "began",
                    "ended",
                    "event",
                    "most-threads",
                    "node",
                    "pid",
                    "slots",
                    "threads",
                    "unit",
                    "worker",
                ],
            ),
            (
                "run-finished",
                &[
                    "aborted",
                    "blocked",
                    "event",
                    "failed",
                    "ignored",
                    "leaks",
                    "missing",
                    "passed",
                    "seconds",
                    "timed-out",
                ],
            ),
        ];
        for event in ran.events() {
            let (_, expected) = table.iter().find(|(name, _)| event["event"] == *name).unwrap();
            let there = fields(&event);
            let missing: Vec<_> = expected.iter().filter(|name| !there.contains(*name)).collect();
            assert!(missing.is_empty(), "{missing:?} in {event}; {ran}");
        }
    }

    #[test]
    fn a_failure_says_where_why_and_what_it_printed() {
        let ran = partest("fails").json().run().exits(100);
        let test = ran.test("fails::tests::an_assertion_fails_after_some_output");
        let expected = [
            ("package", "fails"),
            ("binary", "fails"),
            ("kind", "lib"),
            ("name", "tests::an_assertion_fails_after_some_output"),
            ("outcome", "failed"),
            ("reason", "panicked at src/lib.rs:29:9"),
        ];
        for (field, value) in expected {
            assert_eq!(test[field], value, "{field}; {ran}");
        }
        let output = text(&test["output"]);
        assert!(output.starts_with("this line went to stdout before the failure\n"), "{ran}");
        assert!(output.contains("assertion `left == right` failed: the clock is slow"), "{ran}");
        let foreign = ["returns_an_error", "no 9:75", "timetable"];
        assert!(!foreign.iter().any(|other| output.contains(other)), "{ran}");
    }

    /// libtest prints a failure's output when all tests have ended, which a worker that dies or
    /// hangs does not live to see.
    #[test]
    fn what_a_failed_test_printed_survives_its_worker() {
        let call = partest("tour").args("-j0 -p complaints --features broken");
        let ran = call.json().run().exits(100);
        let test = ran.test("complaints::letters::are_copied_word_by_word");
        assert_eq!(test["reason"], "panicked at complaints/src/lib.rs:25:9", "{ran}");
        let output = text(&test["output"]);
        assert!(output.contains("comparing the letter with its copy"), "{ran}");
        assert!(output.contains("the copy differs"), "{ran}");
    }

    /// Its beginning and its end, which says why; and nothing of 64 MiB that passed.
    #[test]
    fn a_flood_of_output_is_kept_in_parts() {
        let ran = partest("prints_a_lot").args("--features broken").json().run().exits(100);
        for passed in ["whispers", "recites_the_saga"] {
            assert_eq!(ran.test(&format!("prints_a_lot::tests::{passed}"))["output"], "");
        }
        let stumbles = ran.test("prints_a_lot::tests::recites_the_saga_and_stumbles");
        let output = text(&stumbles["output"]);
        assert!(output.starts_with("00000000 la la"), "{ran}");
        assert!(output.contains("panicked at src/lib.rs:"), "{ran}");
        assert!(ran.stdout.len() < 1 << 20, "{}", ran.stdout.len());
    }

    /// Who has closed a pipe has seen enough; a full disk loses what somebody wanted to keep.
    #[test]
    fn a_result_that_cannot_be_written_is_an_error() {
        let told = "error: cannot write the result to stdout: No space left on device";
        for task in ["", "--message-format json", "plan", "list"] {
            let line = format!("exec {} partest {task} >/dev/full", fixture::PROGRAM);
            let ran = partest("passes").shell(&line).run().exits(1);
            assert_eq!(ran.stderr.matches(told).count(), 1, "{ran}");
        }
    }

    #[test]
    fn two_targets_of_one_name_differ_in_their_kind() {
        let ran = partest("same_names").json().run().exits(0);
        let of = |test: &Value| (text(&test["id"]), text(&test["kind"]));
        let kinds: BTreeSet<_> = ran.tests().iter().map(of).collect();
        let expected = ["bin", "lib"].map(|kind| ("same_names::tests::starts".into(), kind.into()));
        assert!(expected.iter().all(|one| kinds.contains(one)), "{ran}");
    }
}

mod looking {
    use super::*;

    #[test]
    fn the_plan_and_the_list_run_no_test() {
        for task in ["plan", "list", "plan --message-format json", "list --message-format json"] {
            let ran = partest("sets_up_once").args(task).run().exits(0);
            assert!(!ran.stdout.is_empty(), "{ran}");
            assert_eq!(std::fs::read_dir(ran.log_directory()).unwrap().count(), 0, "{ran}");
        }
    }

    #[test]
    fn the_list_has_every_test_once() {
        let ran = partest("tour").args("list --workspace").run().exits(0);
        let all: Vec<&str> = ran.stdout.lines().collect();
        let different: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!((all.len(), different.len()), (39, 39), "{ran}");
    }

    /// Every test binary is started by way of this.
    const CONFIG: &str = "[target.'cfg(all())']\nrunner = ['sh', 'notes_listings.sh']\n";
    const RUNNER: &str = "\
case \"$*\" in *--list*) echo listed >> \"$FIXTURE_LOG/listed\";; esac
exec \"$@\"
";

    fn was_listed(package: &Package, task: &str) -> bool {
        !package.partest().args(task).run().exits(0).log("listed").is_empty()
    }

    #[test]
    fn a_second_run_lists_nothing_until_something_is_built() {
        let library = "#[cfg(test)] mod tests { #[test] fn opens() {} }";
        let package = Package::shop("", library);
        package.write("notes_listings.sh", RUNNER);
        package.write(".cargo/config.toml", CONFIG);
        assert!(was_listed(&package, "list"), "the first time");
        for task in ["list", "", "plan"] {
            assert!(!was_listed(&package, task), "`{task}` when nothing has changed");
        }
        package.write("src/lib.rs", &library.replace("opens", "closes"));
        assert!(was_listed(&package, ""), "after a change");
    }
}

mod help {
    use super::*;

    fn help(flag: &str) -> Ran {
        partest("passes").args(flag).run().exits(0)
    }

    /// After a change: `cargo partest -h > tests/suite/output/help.txt`.
    #[test]
    fn the_short_one_is_this_and_fits_on_a_screen() {
        let ran = help("-h");
        assert_eq!(ran.stdout, include_str!("output/help.txt"), "{ran}");
        assert!(ran.stdout.lines().count() <= 56, "{ran}");
    }

    #[test]
    fn the_long_one_has_exit_codes_and_libtests_flags() {
        let ran = help("--help");
        for word in ["--ignored", "--exact", "100 a test failed", "--manifest-path", "--no-tests"] {
            assert!(ran.stdout.contains(word), "{word}; {ran}");
        }
    }

    #[test]
    fn the_version_is_the_packages() {
        let ran = help("--version");
        assert_eq!(ran.stdout, concat!("cargo partest ", env!("CARGO_PKG_VERSION"), "\n"), "{ran}");
    }

    #[test]
    fn cargo_shows_it_as_its_own() {
        let ran = cargo("passes").args("partest -h").run().exits(0);
        assert_eq!(ran.stdout, help("-h").stdout, "{ran}");
    }
}

/// Nothing else is printed in a pipe while a test takes long.
#[test]
fn a_long_silence_is_broken_by_what_runs() {
    let package = Package::shop(
        "",
        r#"
        #[test]
        fn takes_long() {
            let go = std::path::Path::new(&std::env::var_os("FIXTURE_LOG").unwrap()).join("go");
            while !go.exists() { std::thread::sleep(std::time::Duration::from_millis(5)) }
        }
        #[test]
        fn is_quick() {}
    "#,
    );
    let run = package.partest().start();
    // The silence begins when cargo has exited, and the test before.
    run.await_stderr(" s: shop::takes_long\n");
    std::fs::write(run.log_directory().join("go"), "").unwrap();
    let ran = run.wait().exits(0);
    assert!(ran.stderr.contains("\n       still running after 3"), "{ran}");
    assert_eq!(ran.stderr.matches("still running").count(), 1, "{ran}");
}
