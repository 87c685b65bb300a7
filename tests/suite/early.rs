//! Tests run while cargo still builds others, where nothing forbids it.

#![cfg(target_os = "linux")]

use crate::fixture::{Call, Package, await_that, is_alive, text};
use rustix::process::Signal;

/// For what compiles and for tests: they meet by files.
const MEETS: &str = r#"
#[allow(dead_code)]
fn path(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
}

#[allow(dead_code)]
fn leave(name: &str) {
    let half = path(&format!("half-{name}"));
    std::fs::write(&half, format!("{}\n", std::process::id())).unwrap();
    std::fs::rename(half, path(name)).unwrap();
}

#[allow(dead_code)]
fn await_file(name: &str) {
    let began = std::time::Instant::now();
    while !path(name).exists() {
        assert!(began.elapsed().as_secs() < 60, "{name} has not come");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
"#;

/// What is done while `slow` is compiled, and the tests of `shop`.
struct Workspace {
    compiled: &'static str,
    tests: &'static str,
    /// In the manifest of `shop`.
    declared: &'static str,
}

/// Both wait for each other: neither comes to its end before the other has begun.
const BESIDE: Workspace = Workspace {
    compiled: "leave(\"builds\"); await_file(\"runs\");",
    tests: "#[test] fn runs() { await_file(\"builds\"); leave(\"runs\") }",
    declared: "",
};

/// Fails where it is run before `slow` is built, which takes longer than it has to.
const BEHIND: Workspace = Workspace {
    compiled: "await_shop(); std::thread::sleep(std::time::Duration::from_millis(300)); leave(\"built\")",
    tests: "#[test] fn runs() { assert!(path(\"built\").exists()) }",
    declared: "",
};

/// Until the tests of `shop` are built.
const AWAITS_SHOP: &str = r#"
#[allow(dead_code)]
fn await_shop() {
    let target = std::env::var("FIXTURE_TARGET").unwrap();
    let deps = std::path::Path::new(&target).join("debug/deps");
    let is_program = |name: &str| name.starts_with("shop-") && !name.contains('.');
    let is_there = || {
        let mut names = std::fs::read_dir(&deps).unwrap().flatten();
        names.any(|entry| is_program(&entry.file_name().to_string_lossy()))
    };
    while !is_there() { std::thread::sleep(std::time::Duration::from_millis(1)) }
}
"#;

/// cargo has room for all that waits.
fn partest(package: &Package) -> Call {
    package.partest().args("--build-jobs 8").env("FIXTURE_TARGET", package.path("target"))
}

fn manifest(name: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n{more}")
}

/// A package whose tests compile for as long as `compiled` takes.
fn add_package(package: &Package, name: &str, compiled: &str, library: &str) {
    add_step(package, name, "--test", compiled);
    let step = format!("{name}_step");
    let uses = format!("[dependencies]\n{step} = {{ path = \"../{step}\" }}\n");
    package.write(&format!("{name}/Cargo.toml"), &manifest(name, &uses));
    package.write(&format!("{name}/src/lib.rs"), &format!("{step}::compile!();\n{library}"));
}

/// The macro that does it, where the compiler's arguments have this word.
fn add_step(package: &Package, name: &str, word: &str, compiled: &str) {
    let step = format!("{name}_step");
    let is_macro = "[lib]\nproc-macro = true\ntest = false\ndoctest = false\n";
    package.write(&format!("{step}/Cargo.toml"), &manifest(&step, is_macro));
    let compile = format!(
        "{MEETS} {AWAITS_SHOP} #[proc_macro] pub fn compile(_: proc_macro::TokenStream) -> \
         proc_macro::TokenStream {{ if std::env::args().any(|word| word == \"{word}\") \
         {{ {compiled} }} proc_macro::TokenStream::new() }}"
    );
    package.write(&format!("{step}/src/lib.rs"), &compile);
}

impl Workspace {
    fn package(&self) -> Package {
        let members = "[workspace]\nresolver = \"2\"\nmembers = [\"s*\"]\n";
        let package = Package::new(&[
            ("Cargo.toml", members),
            ("shop/Cargo.toml", &manifest("shop", self.declared)),
            ("shop/src/lib.rs", &format!("#[cfg(test)] mod tests {{ {MEETS} {} }}", self.tests)),
        ]);
        add_package(&package, "slow", self.compiled, "#[test] fn is_slow() {}");
        package
    }
}

#[test]
fn a_test_runs_while_cargo_builds_another_and_the_report_is_as_ever() {
    let ran = partest(&BESIDE.package()).json().run().exits(0);
    let started = &ran.events()[0];
    assert_eq!(started["event"], "run-started", "{ran}");
    assert_eq!((&started["tests"], &started["binaries"]), (&2.into(), &2.into()), "{ran}");
    assert_eq!(ran.ids("passed"), ["shop::tests::runs", "slow::is_slow"], "{ran}");

    let ran = partest(&BESIDE.package()).run().exits(0);
    assert!(ran.stdout.contains("2 passed in "), "{ran}");
    let place = |words: &str| ran.stderr.find(words).unwrap_or_else(|| panic!("{words}: {ran}"));
    assert!(place("Finished `test`") < place("Running 2 tests of 2 binaries"), "{ran}");
}

/// Each is built only when a test of the one before it has run.
#[test]
fn what_is_ready_joins_one_after_the_other() {
    let package = BESIDE.package();
    let test = |name: &str| format!("{MEETS} #[test] fn runs() {{ leave(\"{name}\") }}");
    add_package(&package, "slow", BESIDE.compiled, &test("slow"));
    add_package(&package, "slower", "await_file(\"slow\")", &test("slower"));
    add_package(&package, "slowest", "await_file(\"slower\")", &test("slowest"));
    // Here the first of all becomes ready last.
    add_package(&package, "sand", "await_file(\"slowest\")", &test("sand"));
    let ran = partest(&package).args("--ordered").json().run().exits(0);
    let order: Vec<String> = ran.tests().iter().map(|test| text(&test["id"])).collect();
    let all = ["sand::runs", "shop::tests::runs", "slow::runs", "slower::runs", "slowest::runs"];
    assert_eq!(order, all, "{ran}");
    assert_eq!(ran.ids("passed"), all, "{ran}");
    assert_eq!(ran.events()[0]["tests"], 5, "{ran}");
    let lists = std::fs::read_to_string(package.path("target/partest/inventory.json")).unwrap();
    for name in ["shop", "slow", "slower", "slowest"] {
        assert!(lists.contains(&format!("/deps/{name}-")), "{lists}");
    }
}

#[test]
fn none_does_where_it_could_meet_what_is_not_ready_or_somebody_has_said_so() {
    let off = "[package.metadata.partest]\nearly = false\n";
    let fixture = "[package.metadata.partest.fixtures.any]\nstart = [\"true\"]\n";
    let alone = "[package.metadata.partest]\nexclusive = true\n";
    let tables =
        [(off, ""), (alone, ""), (fixture, ""), ("", "--no-agent"), ("", "-- --nocapture")];
    for (declared, flags) in tables {
        let package = Workspace { declared, ..BEHIND }.package();
        let ran = partest(&package).json().args(flags).run().exits(0);
        assert_eq!(ran.ids("passed").len(), 2, "{declared} {flags}: {ran}");
    }
    // A program of `slow`, which its own tests may run, and so may all others. The library of the
    // same name is there long before.
    let package = BEHIND.package();
    add_step(&package, "slow", "bin", BEHIND.compiled);
    package.write("slow/src/main.rs", "slow_step::compile!(); fn main() {}");
    package.write("slow/tests/runs_it.rs", "#[test] fn runs() {}");
    partest(&package).run().exits(0);
    // The same for an example.
    let package = BEHIND.package();
    add_step(&package, "slow", "slow/examples/slow.rs", BEHIND.compiled);
    package.write("slow/src/main.rs", "fn main() {}");
    package.write("slow/examples/slow.rs", "slow_step::compile!(); fn main() {}");
    partest(&package).run().exits(0);
    // What its build script tells, every test is told.
    let package = BEHIND.package();
    let main = format!("fn main() {{ {} }}", BEHIND.compiled);
    package.write("slow/build.rs", &format!("{MEETS} {AWAITS_SHOP} {main}"));
    add_step(&package, "slow", "--test", "");
    partest(&package).run().exits(0);
}

#[test]
fn what_runs_beside_a_build_that_fails_counts_for_nothing_and_is_ended() {
    let tests = "#[test] fn runs() { await_file(\"builds\"); leave(\"runs\"); loop { std::thread::park() } }\n\
        #[test] fn passes() {}";
    let fails = "leave(\"builds\"); await_file(\"runs\"); panic!(\"on purpose\")";
    let package = Workspace { compiled: fails, tests, ..BESIDE }.package();
    let ran = partest(&package).json().run().exits(101);
    let events = ran.events();
    assert_eq!((events.len(), &events[0]["event"]), (1, &"build-failed".into()), "{ran}");
    assert!(events[0]["errors"].to_string().contains("could not compile `slow`"), "{ran}");
    assert!(ran.stderr.contains("on purpose"), "{ran}");
    let pid = ran.log("runs").concat();
    await_that("its end", || !is_alive(&pid));
}

#[test]
fn what_is_built_is_told_and_ctrl_c_ends_the_build_and_the_tests() {
    let tests = "#[test] fn runs() { await_file(\"builds\"); leave(\"runs\"); loop { std::thread::park() } }";
    let stays = "leave(\"builds\"); loop { std::thread::park() }";
    let package = Workspace { compiled: stays, tests, ..BESIDE }.package();
    let run = partest(&package).start();
    let pids = [run.await_log("builds"), run.await_log("runs")];
    run.send_until_stderr(Signal::USR1, "cargo is still building: `");
    run.send(Signal::INT);
    let ran = run.wait().exits(130);
    assert!(ran.stderr.contains("interrupted while cargo was building: `"), "{ran}");
    for pid in pids {
        await_that("its end", || !is_alive(&pid.concat()));
    }
    assert!(ran.stdout.is_empty(), "{ran}");
}

#[test]
fn with_fail_fast_the_tests_that_are_built_later_are_counted_and_do_not_run() {
    let tests = "#[test] fn runs() { await_file(\"builds\"); leave(\"runs\"); panic!() }";
    let build = "leave(\"builds\"); await_file(\"runs\")";
    let package = Workspace { compiled: build, tests, ..BESIDE }.package();
    let ran = partest(&package).json().args("--fail-fast").run().exits(100);
    assert_eq!(ran.ids("failed"), ["shop::tests::runs"], "{ran}");
    assert_eq!(ran.tests().len() as u64 + ran.finished()["not-run"].as_u64().unwrap(), 2, "{ran}");
}

/// Starts a process that outlives whoever starts it, and writes its number into this file; `through`
/// is a command that it is started by.
fn daemon(name: &str, through: &str) -> String {
    format!(
        "let log = std::env::var(\"FIXTURE_LOG\").unwrap(); \
         let line = \"sleep 600 >/dev/null 2>&1 & echo $! > $0/{name}\"; \
         let words = \"{through} sh -c\".split_whitespace().chain([line, &log]); \
         let words: Vec<&str> = words.collect(); \
         let mut command = std::process::Command::new(words[0]); \
         assert!(command.args(&words[1..]).status().unwrap().success());"
    )
}

/// Such as a compiler's cache, which serves the next build as well. Nobody has to say whose it is:
/// who takes everything off that could tell is no less a test's process, or the build's.
#[test]
fn what_the_build_leaves_running_stays_and_what_a_test_leaves_ends() {
    const NAMELESS: &str = "env -i setsid setsid -w setarch --uname-2.6 ionice -c 2 -n 4";
    let [builders, testers] = ["builders", "testers"].map(|name| {
        let nameless = daemon(&format!("nameless_{name}"), NAMELESS);
        format!("{{ {} }} {{ {nameless} }}", daemon(name, "setsid"))
    });
    let build = format!("leave(\"builds\"); {builders} await_file(\"runs\")");
    let tests =
        format!("#[test] fn runs() {{ await_file(\"builds\"); {testers} leave(\"runs\") }}");
    let package = Workspace { compiled: build.leak(), tests: tests.leak(), ..BESIDE }.package();
    let ran = partest(&package).json().run().exits(0);
    let pid = |name: &str| ran.log(name).concat();
    let [builders, testers] = ["builders", "testers"]
        .map(|name| [pid(name), pid(&format!("nameless_{name}"))].map(|pid| (is_alive(&pid), pid)));
    for (is_alive, pid) in builders.iter().chain(&testers) {
        if let (true, Ok(pid)) = (is_alive, pid.parse()) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
    }
    assert!(builders.iter().all(|(is_alive, _)| *is_alive), "{builders:?} {ran}");
    assert!(testers.iter().all(|(is_alive, _)| !is_alive), "{testers:?} {ran}");
    assert_eq!(ran.test("shop::tests::runs")["leaks"][0]["kind"], "process", "{ran}");
}

/// A cargo that does this after it has built everything, and before it exits.
fn with_a_slow_end(package: &Package, end: &str) -> Call {
    let script =
        format!("#!/bin/sh\ncargo \"$@\" || exit\ncase \"$*\" in test*--no-run*) {end};; esac\n");
    let path = package.write_script("slow-cargo", &script);
    package.partest().env("CARGO", path)
}

/// A minute at most, and fails then.
const UNTIL_A_TEST_RUNS: &str = "for i in $(seq 6000); do [ -e \"$FIXTURE_LOG/runs\" ] && break; \
    sleep 0.01; done; [ -e \"$FIXTURE_LOG/runs\" ] || exit 99";

fn library(test: &str) -> String {
    format!("{MEETS} #[test] fn runs() {{ leave(\"runs\"); {test} }}")
}

#[test]
fn tests_run_while_cargo_has_built_everything_and_has_yet_to_exit() {
    let package = Package::shop("", &library(""));
    for _first_and_later in 0..2 {
        let ran = with_a_slow_end(&package, UNTIL_A_TEST_RUNS).json().run().exits(0);
        assert_eq!(ran.ids("passed"), ["shop::runs"], "{ran}");
        let stages: Vec<_> = ran.events().iter().filter_map(|e| e.get("stage").cloned()).collect();
        assert_eq!(stages, ["building", "listing"], "{ran}");
    }
}

#[test]
fn warnings_about_the_metadata_are_told_before_the_number_of_tests() {
    let package = Package::shop(
        "[package.metadata.partest.modules]\n\"shop::nowhere\" = \"unit\"\n",
        &library(""),
    );
    let ran = with_a_slow_end(&package, UNTIL_A_TEST_RUNS).run().exits(0);
    let place = |words: &str| ran.stderr.find(words).unwrap_or_else(|| panic!("{words}: {ran}"));
    assert!(place("Finished `test`") < place("matches no test"), "{ran}");
    assert!(place("matches no test") < place("Running 1 test"), "{ran}");
}

#[test]
fn a_cargo_that_fails_after_it_has_built_everything_is_a_failed_build() {
    let package = Package::shop("", &library(""));
    let end = format!("{UNTIL_A_TEST_RUNS}; exit 7");
    let ran = with_a_slow_end(&package, &end).json().run().exits(101);
    assert_eq!(ran.events()[0]["event"], "build-failed", "{ran}");
}

#[test]
fn ctrl_c_while_cargo_exits_leaves_the_verdicts_and_ends_both() {
    let package = Package::shop("", &library("loop { std::thread::park() }"));
    let end = "echo $$ > \"$FIXTURE_LOG/half2\"; mv \"$FIXTURE_LOG/half2\" \"$FIXTURE_LOG/cargo\"; \
        while :; do sleep 1; done";
    let run = with_a_slow_end(&package, end).json().start();
    let pids = [run.await_log("cargo"), run.await_log("runs")];
    run.send(Signal::INT);
    let ran = run.wait().exits(130);
    assert_eq!(ran.ids("interrupted"), ["shop::runs"], "{ran}");
    for pid in pids {
        await_that("its end", || !is_alive(&pid.concat()));
    }
}

mod beside_lists {
    use super::*;

    const TILL: &str = "[[test]]\nname = \"till\"\nharness = false\n";

    /// `shop`, and a test binary that does this before it says that it has the test `late`.
    fn package(declared: &str, test: &str, lists: &str) -> Package {
        let package = Package::shop(&format!("{declared}{TILL}"), &library(test));
        package.write("tests/till.rs", &till(lists));
        package
    }

    fn till(lists: &str) -> String {
        format!(
            "{MEETS} fn main() {{ let has = |known: &str| std::env::args().any(|word| word == known); \
             if has(\"--list\") && has(\"terse\") {{ {lists}; \
             if !has(\"--ignored\") {{ println!(\"late: test\") }} }} }}"
        )
    }

    #[test]
    fn tests_run_and_the_report_is_as_ever() {
        let package = package("", "", "await_file(\"runs\")");
        for _first_and_later in 0..2 {
            let ran = package.partest().json().args("-j2").run().exits(0);
            assert_eq!(ran.ids("passed"), ["shop::runs", "till::late"], "{ran}");
            let events = ran.events();
            assert_eq!(events[0]["event"], "run-started", "{ran}");
            assert_eq!((&events[0]["tests"], &events[0]["binaries"]), (&2.into(), &2.into()));
            // Only `building` if cargo was slow to tell of one binary after the other.
            let last = events.iter().rfind(|event| event.get("stage").is_some()).unwrap();
            let of_shop = events.iter().filter(|event| event["event"] == "worker-ended");
            let began =
                of_shop.filter_map(|event| event["began"].as_f64()).fold(f64::MAX, f64::min);
            assert!(last["ended"].as_f64().unwrap() > began, "{ran}");
        }
        let ran = package.partest().run().exits(0);
        assert!(ran.stderr.contains("Running 2 tests of 2 binaries"), "{ran}");
    }

    #[test]
    fn none_does_where_somebody_has_said_so() {
        let listed = "std::thread::sleep(std::time::Duration::from_millis(300)); leave(\"listed\")";
        let off = "[package.metadata.partest]\nearly = false\n";
        let package = package(off, "assert!(path(\"listed\").exists())", listed);
        let ran = package.partest().json().run().exits(0);
        assert_eq!(ran.ids("passed").len(), 2, "{ran}");
    }

    #[test]
    fn ctrl_c_ends_the_list_and_leaves_the_verdicts() {
        let for_ever = "loop { std::thread::park() }";
        let tests = format!("{for_ever} }} #[test] fn a_passes() {{");
        let package = package("", &tests, &format!("leave(\"lists\"); {for_ever}"));
        let run = package.partest().json().args("-j2 --junit junit.xml").start();
        let pids = [run.await_log("lists"), run.await_log("runs")];
        run.send_until_stderr(Signal::USR1, "1 test finished; not all are listed yet");
        // Not while cargo has yet to exit: what runs until then counts only if the build succeeds.
        run.send_until_stderr(Signal::USR1, "still listing tests: `");
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        assert!(ran.stderr.contains("interrupted while tests were being listed: `"), "{ran}");
        assert!(!ran.stderr.contains("not reported"), "{ran}");
        assert_eq!(ran.events()[0]["event"], "run-started", "{ran}");
        assert_eq!(ran.ids("interrupted"), ["shop::runs"], "{ran}");
        assert_eq!(ran.ids("passed"), ["shop::a_passes"], "{ran}");
        let what = "before the tests of `till` (test of shop) were listed";
        assert!(ran.stderr.contains(what), "{ran}");
        let junit = std::fs::read_to_string(package.path("junit.xml")).unwrap();
        assert!(junit.contains("not listed: the run was interrupted before"), "{junit}");
        for pid in pids {
            await_that("its end", || !is_alive(&pid.concat()));
        }
    }

    /// It belongs to no test that runs meanwhile.
    #[test]
    fn what_it_leaves_running_ends_and_is_no_leak_of_a_test() {
        let lists = format!("{{ {} }} leave(\"lists\")", daemon("daemon", "setsid"));
        let test = "await_file(\"lists\")";
        let package = package("", test, &format!("await_file(\"runs\"); {lists}"));
        let ran = package.partest().json().args("-j2").run().exits(0);
        assert_eq!(ran.ids("passed"), ["shop::runs", "till::late"], "{ran}");
        assert_eq!(ran.test("shop::runs")["leaks"], serde_json::json!([]), "{ran}");
        let pid = ran.log("daemon").concat();
        await_that("its end", || !is_alive(&pid));
    }

    /// `till` of the member `shop` is listed while `slow` is compiled.
    fn beside_a_build(compiled: &'static str, lists: &str) -> Package {
        let declared = "[package.metadata.partest]\nlist-timeout = \"1h\"\n";
        let declared = format!("{declared}{TILL}").leak();
        let package = Workspace { compiled, declared, tests: "" }.package();
        package.write("shop/tests/till.rs", &till(lists));
        package
    }

    #[test]
    fn one_that_takes_long_holds_up_none_that_is_built_later() {
        let package =
            beside_a_build("await_file(\"lists\")", "leave(\"lists\"); await_file(\"runs\")");
        let test = format!("{MEETS} #[test] fn runs() {{ leave(\"runs\") }}");
        package.write("slow/src/lib.rs", &format!("slow_step::compile!();\n{test}"));
        let ran = partest(&package).json().args("-j2").run().exits(0);
        assert_eq!(ran.ids("passed"), ["slow::runs", "till::late"], "{ran}");
    }

    #[test]
    fn it_ends_when_the_build_has_failed() {
        let fails = "await_file(\"lists\"); panic!(\"on purpose\")";
        let package = beside_a_build(fails, "leave(\"lists\"); loop { std::thread::park() }");
        let ran = partest(&package).json().run().exits(101);
        assert_eq!(ran.events()[0]["event"], "build-failed", "{ran}");
        let pid = ran.log("lists").concat();
        await_that("its end", || !is_alive(&pid));
    }

    #[test]
    fn beside_a_build_it_is_told_and_ctrl_c_ends_both() {
        let for_ever = "loop { std::thread::park() }";
        let package = beside_a_build(for_ever, &format!("leave(\"lists\"); {for_ever}"));
        let run = partest(&package).json().start();
        let pid = run.await_log("lists").concat();
        run.send_until_stderr(Signal::USR1, "cargo is still building; also listing tests: `");
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        let told = "interrupted while cargo was building and tests were being listed: `";
        assert!(ran.stderr.contains(told) && ran.stderr.contains("not reported"), "{ran}");
        await_that("its end", || !is_alive(&pid));
    }

    #[test]
    fn with_fail_fast_those_that_are_listed_later_are_counted_and_do_not_run() {
        // Until its process has been reaped, and so its failure has ended the run.
        let listed = "await_file(\"runs\"); let pid = std::fs::read_to_string(path(\"runs\")).unwrap(); \
            while std::path::Path::new(\"/proc\").join(pid.trim()).exists() \
            { std::thread::sleep(std::time::Duration::from_millis(1)) }";
        let package = package("", "panic!()", listed);
        let ran = package.partest().json().args("--fail-fast").run().exits(100);
        assert_eq!(ran.ids("failed"), ["shop::runs"], "{ran}");
        assert_eq!(
            ran.tests().len() as u64 + ran.finished()["not-run"].as_u64().unwrap(),
            2,
            "{ran}"
        );
    }
}
