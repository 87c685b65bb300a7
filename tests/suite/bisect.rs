//! `cargo partest bisect`: with which other tests a test fails.

#![cfg(target_os = "linux")]

use crate::fixture::{Package, Ran, is_alive, text};
use serde_json::Value;

const SEEDED: &str = r#"
#![cfg(test)]
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

static FLAGS: [AtomicBool; 10] = [const { AtomicBool::new(false) }; 10];
fn set(flag: usize) { FLAGS[flag].store(true, SeqCst) }
fn is_set(flag: usize) -> bool { FLAGS[flag].load(SeqCst) }
fn at(name: &str) -> PathBuf { PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name) }
/// Whether the flag is set within some time.
fn comes(flag: usize) -> bool {
    let began = Instant::now();
    while !is_set(flag) && began.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(1));
    }
    is_set(flag)
}

mod behind {
    use super::*;
    #[test] fn a_victim() { assert!(!is_set(6), "behind") }
    #[test] fn b_harmless() {}
    #[test] #[ignore] fn c_ignored() {}
    #[test] fn d_polluter() { set(6) }
    #[test] fn e_harmless() {}
}
mod beside {
    use super::*;
    #[test] fn a_harmless() {}
    #[test] fn b_victim() { set(8); assert!(!comes(9), "met") }
    #[test] fn c_harmless() {}
    #[test] fn d_polluter() { if comes(8) { set(9) } }
}
mod broken {
    #[test] fn always() { panic!("always") }
}
mod file {
    use super::*;
    #[test] fn a_harmless() {}
    #[test] fn b_polluter() { fs::write(at("owner"), std::process::id().to_string()).unwrap() }
    #[test] fn c_victim() {
        let owner = fs::read_to_string(at("owner")).unwrap_or_default();
        assert_ne!(owner, std::process::id().to_string(), "owned");
    }
}
mod hangs {
    use super::*;
    #[test] fn a_polluter() { set(7) }
    #[test] fn b_hangs_the_second_time() {
        if at("once").exists() {
            fs::write(at("hangs"), std::process::id().to_string()).unwrap();
            std::thread::sleep(Duration::from_secs(1000));
        }
        fs::write(at("once"), "").unwrap();
    }
    #[test] fn c_victim() { assert!(!is_set(7)) }
}
mod relies {
    use super::*;
    #[test] fn a_harmless() {}
    #[test] fn b_sets_up() { set(6) }
    #[test] fn c_harmless() {}
    #[test] fn d_brittle() { assert!(is_set(6), "not set up") }
}
mod stays {
    use super::*;
    #[test] fn a_harmless() {}
    #[test] fn b_polluter() { fs::write(at("left"), "").unwrap() }
    #[test] fn c_victim() { assert!(fs::read(at("left")).is_err(), "left") }
}
mod three {
    use super::*;
    #[test] fn a_first() { set(3) }
    #[test] fn b_harmless() {}
    #[test] fn c_second() { set(4) }
    #[test] fn d_third() { set(5) }
    #[test] fn e_victim() { assert!(!(is_set(3) && is_set(4) && is_set(5)), "three") }
}
mod two {
    use super::*;
    #[test] fn a_first() { set(1) }
    #[test] fn b_second() { set(2) }
    #[test] fn c_harmless() {}
    #[test] fn d_victim() { assert!(!(is_set(1) && is_set(2)), "two") }
}
"#;

/// The tests of `SEEDED`, and a module of 500 of which one fails after another one.
fn seeded() -> Package {
    let body = |at: usize| match at {
        137 => "crate::set(0)",
        499 => "assert!(!crate::is_set(0), \"one\")",
        _ => "",
    };
    let tests: String =
        (0..500).map(|at| format!("#[test] fn t{at:03}() {{ {} }}\n", body(at))).collect();
    Package::shop("", &format!("{SEEDED}\nmod many {{ {tests} }}\n"))
}

struct Bisected {
    ran: Ran,
    last: Value,
}

impl Bisected {
    fn of(package: &Package, words: &str) -> Bisected {
        let ran = package.partest().args("bisect").args(words).json().run();
        let last = ran.events().pop().unwrap();
        assert_eq!(last["event"], "bisected", "{ran}");
        Bisected { ran, last }
    }

    /// The tests with which it fails or passes, without the crate.
    fn with(&self) -> Vec<String> {
        let others = self.last["with"].as_array().unwrap().iter();
        others.map(|other| text(&other["id"]).replace("shop::", "")).collect()
    }

    #[track_caller]
    fn is(&self, code: i32, finding: &str, with: &[&str]) {
        assert_eq!(self.ran.code(), Some(code), "{}", self.ran);
        assert_eq!(
            (&*text(&self.last["finding"]), &*self.with()),
            (finding, &*with.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()),
            "{}",
            self.ran
        );
    }

    /// The command of the result, run: it shows the same test failing.
    #[track_caller]
    fn is_shown_by_its_command(&self, package: &Package) {
        let command = text(&self.last["command"]);
        let words = command.strip_prefix("cargo partest ").unwrap();
        let ran = package.partest().args("--message-format json").args(words).run().exits(100);
        assert_eq!(ran.ids("failed"), [text(&self.last["id"])], "{ran}");
        assert_eq!(ran.tests().len(), self.with().len() + 1, "{ran}");
    }
}

#[test]
fn the_smallest_set_is_found_and_shown_by_a_command() {
    let package = seeded();
    let one = Bisected::of(&package, "-E test(many::) many::t499");
    one.is(100, "with", &["many::t137"]);
    assert_eq!(one.last["company"], "after", "{}", one.ran);
    assert_eq!(one.last["smallest"], true, "{}", one.ran);
    assert!(one.last["runs"].as_u64().unwrap() <= 16, "{}", one.ran);
    assert!(text(&one.last["reason"]).starts_with("panicked at src/lib.rs:"), "{}", one.ran);
    assert_eq!(one.last["with"][0]["thing"], "the static shop::FLAGS", "{}", one.ran);
    one.is_shown_by_its_command(&package);

    let two = Bisected::of(&package, "-E test(two::) two::d_victim");
    two.is(100, "with", &["two::a_first", "two::b_second"]);
    two.is_shown_by_its_command(&package);

    let three = Bisected::of(&package, "-E test(three::) three::e_victim");
    three.is(100, "with", &["three::a_first", "three::c_second", "three::d_third"]);
    assert!(three.last["runs"].as_u64().unwrap() <= 36, "{}", three.ran);
    three.is_shown_by_its_command(&package);

    let behind = Bisected::of(&package, "-E test(behind::) behind::a_victim");
    behind.is(100, "with", &["behind::d_polluter"]);
    assert_eq!(behind.last["company"], "reordered", "{}", behind.ran);
    assert_eq!(behind.last["smallest"], true, "{}", behind.ran);
    behind.is_shown_by_its_command(&package);

    let beside = Bisected::of(&package, "-E test(beside::) beside::b_victim");
    beside.is(100, "with", &["beside::d_polluter"]);
    assert_eq!(beside.last["company"], "beside", "{}", beside.ran);

    let ran = package.partest().args("bisect -E test(two::) two::d_victim").run().exits(100);
    let expected = "shop::two::d_victim fails after 2 tests in one process:\n\
        \x20   shop::two::a_first (through the static shop::FLAGS)\n\
        \x20   shop::two::b_second (through the static shop::FLAGS)\n";
    assert!(ran.stdout.starts_with(expected), "{ran}");
    assert!(ran.stderr.contains("Tried after 3 tests in one process: failed\n"), "{ran}");

    a_thing_outside_of_the_process_is_named(&package);
    what_is_no_dependence_is_told(&package);
    an_interrupt_leaves_the_smallest_set_so_far(&package);
    a_wrong_name_is_an_error(&package);
    // The state of ordinary runs, such as those of the commands above, stays as it was.
    let state = || {
        ["history.json", "last-run.json"]
            .map(|name| std::fs::read(package.path("target/partest").join(name)).unwrap())
    };
    let before = state();
    Bisected::of(&package, "-E test(two::) two::d_victim").is(
        100,
        "with",
        &["two::a_first", "two::b_second"],
    );
    assert!(state() == before);
}

fn a_thing_outside_of_the_process_is_named(package: &Package) {
    let file = Bisected::of(package, "-E test(file::) file::c_victim");
    file.is(100, "with", &["file::b_polluter"]);
    let thing = file.last["with"][0]["thing"].clone();
    assert_eq!(
        text(&thing),
        file.ran.log_directory().join("owner").to_str().unwrap(),
        "{}",
        file.ran
    );

    // From the first run on, the test fails by itself.
    let stays = Bisected::of(package, "-E test(stays::) stays::c_victim");
    stays.is(100, "with", &["stays::b_polluter"]);
    assert_eq!(stays.last["failed-alone"], 1, "{}", stays.ran);
    assert_eq!(stays.last["smallest"], false, "{}", stays.ran);
}

fn what_is_no_dependence_is_told(package: &Package) {
    let brittle = Bisected::of(package, "-E test(relies::) relies::d_brittle");
    brittle.is(100, "alone", &["relies::b_sets_up"]);
    let words = text(&brittle.last["command"]).replace("cargo partest ", "");
    package.partest().args(&words).run().exits(0);

    let broken = Bisected::of(package, "-E test(broken::) broken::always");
    broken.is(100, "alone", &[]);
    broken.is_shown_by_its_command(package);

    let passes = Bisected::of(package, "-E test(two::) --repeat 2 two::b_second");
    passes.is(0, "passed", &[]);
    // Alone, after one, after three, beside three, and all of them as declared: each twice.
    assert_eq!(passes.last["runs"], 10, "{}", passes.ran);
    assert_eq!(passes.last["command"], Value::Null, "{}", passes.ran);
}

fn an_interrupt_leaves_the_smallest_set_so_far(package: &Package) {
    let call = package.partest().args("bisect -E test(hangs::) hangs::c_victim").json();
    let run = call.start();
    let hangs = run.await_log("hangs").remove(0);
    run.send(rustix::process::Signal::INT);
    let ran = run.wait().exits(130);
    let last = ran.events().pop().unwrap();
    assert_eq!((&last["finding"], &last["interrupted"]), (&"with".into(), &true.into()), "{ran}");
    assert_eq!(last["with"].as_array().unwrap().len(), 2, "{ran}");
    assert_eq!(last["smallest"], false, "{ran}");
    assert!(!is_alive(&hangs), "{ran}");
}

fn a_wrong_name_is_an_error(package: &Package) {
    let ran = package.partest().args("bisect two::d_victin").run().exits(2);
    assert!(ran.stderr.contains("did you mean `shop::two::d_victim`?"), "{ran}");
    let ran = package.partest().args("bisect a_first").run().exits(2);
    assert!(ran.stderr.contains("`a_first` names 2 tests"), "{ran}");
}
