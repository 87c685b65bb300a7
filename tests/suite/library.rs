//! The library in tests of a package that uses it, under `cargo test` and under `cargo partest`.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::fixture::{Package, Ran, SHOP, await_that, cargo_in, laid_out, partest_in, text};

/// The rows T1 to T18 of `tl.testing.thread`.
const EXAMPLES: &str = include_str!("library/examples.rs");
const FIXTURES: &str = include_str!("library/fixtures.rs");

/// What the manifest of a package needs whose tests use the library.
fn dependency() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    format!(
        "[dev-dependencies]\n\
         partest = {{ package = \"cargo-partest\", path = {here:?}, default-features = false }}\n"
    )
}

/// Where a package with this library stands whose tests use ours.
fn place(name: &str, library: &str) -> PathBuf {
    laid_out(name, &[("Cargo.toml", &(SHOP.to_owned() + &dependency())), ("src/lib.rs", library)])
}

fn examples() -> PathBuf {
    place("library-examples", EXAMPLES)
}

fn fixtures() -> PathBuf {
    place("library-fixtures", FIXTURES)
}

/// The tests of a source, without those that only a fixture's starter runs, and those that have
/// to fail.
fn names(source: &str) -> (usize, BTreeSet<String>) {
    let mut module = "";
    let mut all = Vec::new();
    let mut is_test = false;
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("mod ") {
            module = name.trim_end_matches(" {");
        }
        if let (true, Some(rest)) = (is_test, line.trim().strip_prefix("fn ")) {
            all.push(format!("{module}::{}", rest.split('(').next().unwrap()));
        }
        is_test = line.trim() == "#[test]";
    }
    let fail = all.iter().filter(|name| name.ends_with("_fails")).cloned().collect();
    (all.len(), fail)
}

/// What failed, by libtest's closing list, of which there is one for each binary.
fn failed(ran: &Ran) -> BTreeSet<String> {
    let list = ran.stdout.rsplit("\nfailures:\n").next().unwrap();
    let listed = list.lines().take_while(|line| line.starts_with("    "));
    listed.map(|line| line.trim().to_owned()).collect()
}

#[track_caller]
fn comes_out_as_its_names_say(ran: &Ran, source: &str) {
    let (all, fail) = names(source);
    assert!(!fail.is_empty() && all > fail.len());
    assert_eq!(failed(ran), fail, "{ran}");
    let counts = format!("{} passed; {} failed;", all - fail.len(), fail.len());
    assert!(ran.stdout.contains(&counts), "{counts} {ran}");
}

#[test]
fn the_examples_come_out_the_same_whoever_runs_them() {
    let shop = examples();
    for threads in ["1", "8"] {
        let ran = cargo_in(&shop).args("test -- --test-threads").arg(threads).run().exits(101);
        comes_out_as_its_names_say(&ran, EXAMPLES);
    }
    let (all, fail) = names(EXAMPLES);
    let fail: Vec<String> = fail.iter().map(|name| format!("shop::{name}")).collect();
    for flags in ["-j2", "-j1 --no-agent", "-j4 --isolate"] {
        let ran = partest_in(&shop).args(flags).json().run().exits(100);
        assert_eq!(ran.ids("failed"), fail, "{ran}");
        assert_eq!(ran.ids("passed").len(), all - fail.len(), "{ran}");
    }
}

/// T9 and T10: what a guard prints, and when, by its very words.
#[test]
fn threads_left_behind_are_reported_although_the_tests_pass() {
    let call = cargo_in(&examples()).args("test sample_test -- --test-threads=1");
    let ran = call.run().exits(0);
    let (_, output) = ran.stdout.split_once("running 6 tests\n").unwrap();
    let (output, _) = output.split_once("\ntest result: ok. 6 passed").unwrap();
    let expected = "\
test sample_test::a_thread_has_started_when_spawn_returns ... ok
test sample_test::dont_leave_behind_a_thread ... ok
test sample_test::format_message_on_threads_left_behind ... \n\
\n\
Messy test: shop::sample_test::format_message_on_threads_left_behind
The mess: [\"Thread-8\"]\n\
\n\
ok
test sample_test::leave_behind_a_thread ... \n\
The following test left new threads behind:
  shop::sample_test::leave_behind_a_thread
New thread(s):
  Thread-7 (tid N)
ok
test sample_test::leave_behind_a_thread_of_std ... \n\
The following test left new threads behind:
  shop::sample_test::leave_behind_a_thread_of_std
New thread(s):
  unnamed (tid N)
ok
test sample_test::report_threads_left_behind ... ok
";
    assert_eq!(without_tids(output), expected, "{ran}");
}

fn without_tids(text: &str) -> String {
    let mut parts = text.split("(tid ");
    let first = parts.next().unwrap_or_default().to_owned();
    let others = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    others.fold(first, |all, part| all + "(tid N" + part)
}

/// T4, T5, T13 and T14: what failures say.
#[test]
fn failures_of_threads_are_told_with_message_and_place() {
    let call = cargo_in(&examples()).args("test _fails -- --test-threads=1");
    let ran = call.run().exits(101);
    let output = |name: &str| {
        let (_, rest) = ran.stdout.split_once(&format!("---- {name} stdout ----\n")).unwrap();
        without_tids(rest.split("\n---- ").next().unwrap())
    };
    let says = |name: &str, texts: &[&str]| {
        texts.iter().for_each(|text| assert!(output(name).contains(text), "{text:?} {ran}"));
    };
    let line = |code: &str| {
        let at = EXAMPLES.lines().position(|line| line.contains(code)).unwrap();
        format!("src/lib.rs:{}:", at + 1)
    };
    let stuck = "timeout joining thread Thread-2 (tid N): still alive after 100ms";
    says("joining::a_stuck_one_fails", &[stuck, &line("let _threads = partest::join_threads")]);
    let stuck = "timeout joining thread Thread-3 (tid N): still alive after 100ms";
    says("joining::body_and_stuck_thread_both_count_fails", &["the body's own", stuck]);
    let failed = "a thread of this test failed: thread";
    let door = line("panic!(\"just for fun\")).unwrap()");
    says(
        "collecting::assertions_in_threads_become_failures_fails",
        &[&format!("{failed} `door` panicked at {door}"), ": just for fun\n"],
    );
    says(
        "collecting::unhandled_errors_in_threads_become_failures_fails",
        &[&format!("{failed} `unnamed` panicked at "), ": attempt to divide by zero\n"],
    );
    says(
        "collecting::test_and_thread_both_count_fails",
        &["the thread's\n", "the test's\n", failed],
    );
}

/// T15 and T17: the runner knows whose a late panic is, and nothing of a silent one; and what a
/// guard has told of is not told again.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_runner_charges_late_panics_and_sees_no_others() {
    let ran = partest_in(&examples()).args("-j2").json().run().exits(100);
    let mut panics = Vec::new();
    let mut places = Vec::new();
    for test in ran.tests() {
        for leak in test["leaks"].as_array().unwrap() {
            places.push(text(&leak["where"]));
            if leak["kind"] == "panic" {
                panics.push((text(&test["id"]), text(&leak["what"])));
            }
        }
    }
    assert_eq!(panics, [("shop::late::b_late".to_owned(), "just for fun".to_owned())], "{ran}");
    // Where the test has started a thread, and not where the library has.
    assert!(places.iter().all(|place| place.starts_with("src/lib.rs:")), "{places:?} {ran}");
    let swallowed = text(&ran.test("shop::silencing::expected_panics_are_swallowed")["output"]);
    assert_eq!(swallowed, "", "{ran}");
}

/// T18 beside other tests: with the agent it is always known whose a thread is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn under_the_agent_threads_of_std_are_counted_beside_other_tests() {
    let test = |number: usize| {
        format!(
            "#[test] fn counts_{number}() {{\n    assert!(partest::sees_every_thread());\n    \
             for _ in 0..50 {{\n        \
             let threads = [(); 3].map(|()| std::thread::spawn(std::thread::park));\n        \
             assert_eq!(partest::active_count(), 3);\n        \
             for thread in threads {{ thread.thread().unpark(); thread.join().unwrap(); }}\n        \
             assert_eq!(partest::active_count(), 0);\n    }}\n}}\n"
        )
    };
    let policy = "[package.metadata.partest.modules]\nshop = { policy = \"unit\", threads = 8 }\n";
    let library: String = (0..8).map(test).collect();
    let shop = Package::shop(&(dependency() + policy), &library);
    let ran = shop.partest().args("-j8").json().run().exits(0);
    let workers: BTreeSet<u64> =
        ran.tests().iter().filter_map(|test| test["worker"].as_u64()).collect();
    assert_eq!((ran.ids("passed").len(), workers.len()), (8, 1), "{ran}");
}

#[test]
fn a_fixture_is_set_up_once_for_a_test_binary_and_taken_down_after_it() {
    let ran = cargo_in(&fixtures()).args("test -- --test-threads=4").run().exits(101);
    comes_out_as_its_names_say(&ran, FIXTURES);
    assert_eq!((ran.log("set-ups").len(), ran.log("users").len()), (1, 2), "{ran}");
    let its_process = |log: &str| !ran.log("users").contains(&ran.log(log)[0]);
    assert!(its_process("set-ups"), "{ran}");
    await_that("the fixture's end", || ran.log("tear-downs") == ran.log("set-ups"));
    let says = |text: &str| assert!(ran.stdout.contains(text), "{text:?} {ran}");
    says("fixture `server` did not set SERVER_PORT; it set [SERVER_ADDR, SERVER_NAME]");
    says("which is not a valid u16: invalid digit found in string");
    says("fixture `kitchen` is not running any more (exit status: 101). Its output:");
    says("there is no gas");
}

#[test]
fn a_fixture_that_the_runner_has_started_is_not_started_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move || {
        for client in listener.incoming() {
            client.unwrap().write_all(b"at your service").unwrap();
        }
    };
    std::thread::spawn(serve);
    let call = cargo_in(&fixtures()).args("test users").env("SERVER_NAME", "the server");
    let call = call.env("PARTEST_FIXTURES", "clock,server").env("SERVER_ADDR", address);
    let ran = call.run().exits(0);
    assert_eq!((ran.log("set-ups").len(), ran.log("users").len()), (0, 2), "{ran}");
}

/// The contract with the runner, from the fixture's side.
#[test]
fn a_fixture_says_when_it_is_ready_and_stops_with_its_input() {
    let call = cargo_in(&fixtures()).args("test -- --exact server --ignored --test-threads=1");
    let directory = tempfile::tempdir().unwrap();
    let values = directory.path().join("values");
    let ran = call.env("PARTEST_FIXTURE", "server").env("PARTEST_ENV", &values).run().exits(0);
    assert!(ran.stdout.lines().any(|line| line == "PARTEST_READY"), "{ran}");
    let values = std::fs::read_to_string(values).unwrap();
    let keys: Vec<&str> = values.lines().filter_map(|line| line.split('=').next()).collect();
    assert_eq!(keys, ["SERVER_ADDR", "SERVER_NAME"], "{ran}");
    assert_eq!(ran.log("tear-downs").len(), 1, "{ran}");
}

#[test]
fn a_fixture_that_is_started_by_hand_does_not_wait() {
    let call = cargo_in(&fixtures()).args("test server -- --ignored");
    let ran = call.run().exits(0);
    assert_eq!(ran.log("tear-downs").len(), 1, "{ran}");
}
