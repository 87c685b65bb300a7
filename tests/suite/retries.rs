//! Tests that run again: what fails for good, what passes in the end, and what its surroundings
//! have to do with it.

#![cfg(target_os = "linux")]

use crate::fixture::{Package, text};
use serde_json::json;

/// `flickers` passes at its third attempt, `z_minds_its_company` after nothing else, `fails`
/// never, and `dies` kills its process the first time.
const LIBRARY: &str = r#"
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    static DIRTY: AtomicBool = AtomicBool::new(false);
    fn attempts(name: &str) -> usize {
        let path = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name);
        let former = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{former}again\n")).unwrap();
        former.lines().count() + 1
    }
    #[test]
    fn a_passes() {
        DIRTY.store(true, Ordering::SeqCst);
    }
    #[test]
    fn b_flickers() {
        println!("attempt {}", attempts("flickers"));
        assert!(attempts("flickered") > 2, "not yet");
    }
    #[test]
    fn c_fails() {
        assert!(attempts("fails") > 100, "never");
    }
    #[test]
    fn d_dies_once() {
        if attempts("dies") == 1 {
            std::process::abort();
        }
    }
    #[test]
    fn z_minds_its_company() {
        assert!(!DIRTY.load(Ordering::SeqCst), "somebody was here");
    }
}
"#;

fn package(keys: &str) -> Package {
    let unit = "\"shop::tests\" = { policy = \"unit\", threads = 1 }";
    Package::shop(
        &format!(
            "[package.metadata.partest]\n{keys}\n[package.metadata.partest.modules]\n{unit}\n"
        ),
        LIBRARY,
    )
}

#[test]
fn without_them_a_failure_is_the_last_word() {
    let ran = package("").partest().json().run().exits(100);
    assert_eq!(ran.ids("failed").len(), 2, "{ran}");
    assert_eq!(ran.ids("aborted"), ["shop::tests::d_dies_once"], "{ran}");
    assert_eq!(ran.finished()["flaky"], 0, "{ran}");
}

#[test]
fn a_test_that_passes_at_last_is_flaky_or_minds_its_company() {
    let ran = package("retries = 2").partest().json().run().exits(100);
    assert_eq!(ran.ids("failed"), ["shop::tests::c_fails"], "{ran}");
    let flickers = ran.test("shop::tests::b_flickers");
    assert_eq!((&flickers["flaky"], &flickers["attempt"]), (&true.into(), &3.into()), "{ran}");
    let failed = flickers["failed-before"].as_array().unwrap();
    assert_eq!(failed.len(), 2, "{ran}");
    assert!(text(&failed[0]["output"]).contains("attempt 1"), "{ran}");
    assert_eq!(failed[1]["beside"], 0, "it runs again alone; {ran}");
    assert_eq!(ran.log("fails").len(), 3, "{ran}");
    let minds = ran.test("shop::tests::z_minds_its_company");
    assert_eq!(minds["outcome"], "passed", "{ran}");
    // After the abort it began in a process that nobody had used.
    let finished = ran.finished();
    assert_eq!((&finished["passed"], &finished["failed"]), (&4.into(), &1.into()), "{ran}");
}

#[test]
fn what_fails_beside_others_and_passes_alone_is_told_apart() {
    let package = package("retries = 1");
    let ran = package.partest().json().args("-- a_ z_").run().exits(0);
    let minds = ran.test("shop::tests::z_minds_its_company");
    assert_eq!(
        (&minds["order-dependent"], &minds["flaky"]),
        (&true.into(), &false.into()),
        "{ran}"
    );
    assert_eq!(ran.finished()["order-dependent"], 1, "{ran}");
    let ran = package.partest().args("-- a_ z_").run().exits(0);
    let words = [
        "ORDER DEPENDENT shop::tests::z_minds_its_company: failed beside 1 other test, passed alone",
        "    somebody was here\n",
        "  rerun: cargo partest -p shop --lib -- --exact tests::z_minds_its_company",
        "  rerun with others: cargo partest -j0 -p shop --lib",
        "2 passed, 1 order dependent",
    ];
    for word in words {
        assert!(ran.stdout.contains(word), "{word:?} in {ran}");
    }
}

#[test]
fn the_command_line_beats_the_metadata() {
    let package = package("retries = { count = 5, delay = \"1ms\", backoff = \"exponential\" }");
    let ran = package.partest().json().args("--retries 0 -- flickers").run().exits(100);
    assert_eq!(ran.ids("failed"), ["shop::tests::b_flickers"], "{ran}");
    let ran = package.partest().json().args("--retries 9 -- c_fails").run().exits(100);
    assert_eq!(ran.log("fails").len(), 10, "{ran}");
}

#[test]
fn a_flaky_test_may_count_as_failed() {
    let package = package("retries = { count = 3, flaky = \"fail\" }");
    let ran = package.partest().json().args("-- flickers").run().exits(100);
    let test = ran.test("shop::tests::b_flickers");
    assert_eq!((&test["outcome"], &test["flaky"]), (&"failed".into(), &true.into()), "{ran}");
    assert!(text(&test["reason"]).starts_with("passed only when it ran again"), "{ran}");
    // One test is counted once.
    let ran = package.partest().args("-- flickers").run().exits(100);
    assert!(ran.stdout.contains("1 failed, ") && !ran.stdout.contains("1 flaky"), "{ran}");
    let ran = package.partest().args("--flaky pass -- flickers").run().exits(0);
    assert!(ran.stdout.contains("1 passed, 1 flaky, "), "{ran}");
}

#[test]
fn fail_fast_waits_for_the_last_attempt() {
    let package = package("retries = 3");
    package.partest().json().args("--fail-fast -- flickers a_").run().exits(0);
    let ran = package.partest().json().args("--fail-fast -- c_fails").run().exits(100);
    assert_eq!(ran.log("fails").len(), 4, "{ran}");
}

#[test]
fn wrong_words_are_told() {
    for (key, word) in [
        ("retries = { cuont = 1 }", "did you mean `count`?"),
        ("retries = { backoff = \"expo\" }", "unknown value `expo` for `backoff`"),
        ("retries = -1", "`retries` must be an integer of at least 0"),
    ] {
        let ran = package(key).partest().run().exits(2);
        assert!(ran.stderr.contains(word), "{word:?} in {ran}");
    }
}

/// Two tests change what belongs to their process; two fail after that, one of them after it has
/// changed something itself.
const CHANGING: &str = r#"
#[cfg(test)]
mod tests {
    #[test]
    fn a_moves() {
        std::env::set_current_dir("/").unwrap();
    }
    #[test]
    fn b_renames() {
        unsafe { std::env::set_var("SHOP", "closed") };
    }
    #[test]
    fn c_fails() {
        assert!(std::path::Path::new("Cargo.toml").exists());
    }
    #[test]
    fn d_passes() {}
}
"#;

#[test]
fn a_failure_tells_what_others_changed_of_its_process() {
    let unit = "[package.metadata.partest.modules]\n\"shop::tests\" = { policy = \"unit\", threads = 1 }\n";
    let package = Package::shop(unit, CHANGING);
    let ran = package.partest().json().run().exits(100);
    let output = text(&ran.test("shop::tests::c_fails")["output"]);
    for (test, what) in [("a_moves", "the current directory"), ("b_renames", "the variable SHOP")] {
        let note = format!("note: in the same process, `tests::{test}` had changed {what}\n");
        assert!(output.contains(&note), "{note:?} in {ran}");
    }
    assert_eq!(ran.ids("failed"), ["shop::tests::c_fails"], "{ran}");
    let neighbors = ["shop::tests::a_moves", "shop::tests::b_renames"];
    assert_eq!(ran.test("shop::tests::c_fails")["neighbors"], json!(neighbors), "{ran}");
    // Alone there is nothing to tell, and no reason to fail.
    package.partest().json().args("c_fails").run().exits(0);
}

/// The command that reruns it alone would show a test that passes.
#[test]
fn a_failure_after_changes_by_others_has_a_command_that_shows_it_again() {
    let unit = "[package.metadata.partest.modules]\n\"shop::tests\" = { policy = \"unit\", threads = 1 }\n";
    let package = Package::shop(unit, CHANGING);
    let ran = package.partest().run().exits(100);
    let after = |word: &str| {
        let line = ran.stdout.lines().find_map(|line| line.trim().strip_prefix(word));
        let line = line.unwrap_or_else(|| panic!("no `{word}` in {ran}"));
        line.trim().strip_prefix("cargo partest ").unwrap().to_owned()
    };
    package.partest().args(&after("rerun:")).run().exits(0);
    let together = after("rerun with what ran before it:");
    let again = package.partest().json().args(&together).run().exits(100);
    assert_eq!(again.ids("failed"), ["shop::tests::c_fails"], "{again}");
    assert_eq!(again.ids("passed").len(), 2, "{again}");
    assert!(together.contains("tests::a_moves tests::b_renames tests::c_fails"), "{together}");
}

/// Five tests change something each, and one fails; what is undone before that is no reason.
const UNDOING: &str = r#"
#[cfg(test)]
mod tests {
    fn set(name: &str, value: &str) { unsafe { std::env::set_var(name, value) } }
    #[test] fn a() { set("A", "1") }
    #[test] fn b() { set("B", "1") }
    #[test] fn c() { set("C", "1"); unsafe { std::env::remove_var("C") } }
    #[test] fn d() { set("D", "1"); set("HOME", "/nowhere") }
    #[test] fn e() { set("E", "1") }
    #[test] fn f() {
        let here = std::env::current_dir().unwrap();
        std::env::set_current_dir("/").unwrap();
        std::env::set_current_dir(here).unwrap();
        set("HOME", &std::env::var("KEPT_HOME").unwrap());
    }
    #[test] fn g() { set("GIVEN", "2"); set("GIVEN", "1") }
    #[test] fn h_fails() { panic!("B is set") }
}
"#;

#[test]
fn notes_name_every_change_in_force_and_what_the_failure_names_first() {
    let unit = "[package.metadata.partest.modules]\n\
        \"shop::tests\" = { policy = \"unit\", threads = 1, env = { GIVEN = \"1\" } }\n";
    let package = Package::shop(unit, UNDOING);
    let home = std::env::var("HOME").unwrap();
    let ran = package.partest().env("KEPT_HOME", home).json().run().exits(100);
    let output = text(&ran.test("shop::tests::h_fails")["output"]);
    let notes: Vec<&str> = output.lines().filter(|line| line.starts_with("note: in the")).collect();
    let expected = [("b", "B"), ("e", "E"), ("d", "D"), ("a", "A")].map(|(test, name)| {
        format!("note: in the same process, `tests::{test}` had changed the variable {name}")
    });
    assert_eq!(notes, expected, "{ran}");
}
