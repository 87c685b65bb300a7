//! `cargo partest doctor`: which tests depend on others, and what to declare because of that.

#![cfg(target_os = "linux")]

use crate::fixture::{Package, Ran, is_alive, text};
use serde_json::Value;

const LIBRARY: &str = r#"
#![cfg(test)]

mod hangs {
    #[test]
    #[ignore]
    fn does_not() {}
    #[test]
    #[ignore]
    fn forever() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        // In the run of this number.
        let mut runs = std::fs::OpenOptions::new().create(true).append(true).open(log.join("runs"));
        std::io::Write::write_all(runs.as_mut().unwrap(), b".").unwrap();
        let run = runs.unwrap().metadata().unwrap().len().to_string();
        if std::env::var("HANGS_IN").ok() != Some(run) {
            return;
        }
        std::fs::write(log.join("hangs.new"), std::process::id().to_string()).unwrap();
        std::fs::rename(log.join("hangs.new"), log.join("hangs")).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1000));
    }
}
mod races {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    /// Waits for the other one, if it can run at the same time.
    fn meets(other: &str) -> bool {
        let args: Vec<String> = std::env::args().collect();
        let has = |word: &str| args.iter().any(|arg| arg == word);
        // Tests are chosen by their names, or the others are skipped.
        let is_chosen = if has("--skip") { !has(other) } else { !has("--exact") || has(other) };
        INSIDE.fetch_add(1, SeqCst);
        for _ in 0..if is_chosen && !has("1") { 2000 } else { 0 } {
            if INSIDE.load(SeqCst) == 2 {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        INSIDE.fetch_sub(1, SeqCst);
        false
    }
    #[test] fn one() { assert!(!meets("races::two"), "met") }
    #[test] fn two() { assert!(!meets("races::one"), "met") }
}
mod files {
    fn file() -> std::path::PathBuf {
        std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join("of-both")
    }
    #[test] fn clears() { let _ = std::fs::remove_file(file()); }
    #[test] fn fills() { std::fs::write(file(), "").unwrap(); }
    #[test] fn rests() {}
}
mod relies {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    static READY: AtomicBool = AtomicBool::new(false);
    #[test] fn a_sets_up() { READY.store(true, SeqCst) }
    #[test] fn b_brittle() { assert!(READY.load(SeqCst), "not set up") }
}
mod slow {
    fn waits() { std::thread::sleep(std::time::Duration::from_millis(50)) }
    #[test] fn a() { waits() }
    #[test] fn b() { waits() }
    #[test] fn c() { waits() }
    #[test] fn d() { waits() }
}
mod stock {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    static SOLD: AtomicBool = AtomicBool::new(false);
    #[test] fn a_harmless() {}
    #[test] fn b_polluter() { SOLD.store(true, SeqCst) }
    #[test] fn c_victim() { assert!(!SOLD.load(SeqCst), "sold out") }
}
"#;

/// One reads a file that the other one removes, at the same time where `MEETS` is set.
const READS: &str = r#"
#[test] fn reads() {
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(1000)));
    fs::write(at("file"), "").unwrap();
    fs::create_dir_all(at("written")).unwrap();
    wait("removed");
    fs::read(at("file")).unwrap();
}
"#;
const REMOVES: &str = r#"
#[test] fn removes() {
    wait("written");
    let _ = fs::remove_file(at("file"));
    fs::create_dir_all(at("removed")).unwrap();
}
"#;
const BOTH: &str = r#"
use std::fs;
fn at(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
}
fn wait(name: &str) {
    while std::env::var_os("MEETS").is_some() && !at(name).exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
"#;

const METADATA: &str = "\n# Ours\n[package.metadata.partest.modules]\n\
    \"shop::slow\" = { policy = \"unit\", threads = 1 } # one server\n";

/// Tests that may be split, against their nature.
const MAY_BE_SPLIT: &str = r#"
#![cfg(test)]
fn at(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
}
fn clear(name: &str) {
    let _ = std::fs::remove_dir_all(at(name));
    std::fs::create_dir_all(at(name)).unwrap();
}
mod counted {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    fn next() { crate::clear(&format!("case-{}", NEXT.fetch_add(1, SeqCst))) }
    #[test] fn a() { next() }
    #[test] fn b() { next() }
    #[test] fn c() { next() }
}
mod fixed {
    #[test] fn a() { crate::clear("fixed") }
    #[test] fn b() { crate::clear("fixed") }
    #[test] fn c() {}
}
mod flaky {
    #[test] fn fails_at_first() {
        let is_first = !crate::at("ran").exists();
        std::fs::write(crate::at("ran"), "").unwrap();
        assert!(!is_first, "at first");
    }
}
mod relies {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    static READY: AtomicBool = AtomicBool::new(false);
    #[test] fn a_sets_up() { READY.store(true, SeqCst) }
    #[test] fn b_brittle() { assert!(READY.load(SeqCst), "not set up") }
    #[test] fn c_harmless() {}
}
mod reordered {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    static SOLD: AtomicBool = AtomicBool::new(false);
    #[test] fn a_victim() { assert!(!SOLD.load(SeqCst), "sold out") }
    #[test] fn b_harmless() {}
    #[test] fn c_polluter() { SOLD.store(true, SeqCst) }
}
"#;

/// Each leaves a file by way of a child, which nobody watches.
const LEAVE: &str = r#"
fn leave(name: &str) {
    let log = std::env::var("FIXTURE_LOG").unwrap();
    let touch = format!("echo {} > {log}/pid; touch {log}/{name}", std::process::id());
    assert!(std::process::Command::new("sh").args(["-c", &touch]).status().unwrap().success());
}
#[test] fn leaves_a() { leave("a") }
#[test] fn leaves_b() { leave("b") }
#[test] fn leaves_c() { leave("c") }
#[test] fn rests() {}
"#;
/// Fails beside a process that leaves all of these files. In the first slot it is by itself.
const LOOKS: &str = r#"
#[test]
fn looks() {
    let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
    let is_beside = std::env::var("PARTEST_SLOT").unwrap() != "0";
    let sees = |name: &str| log.join(name).exists();
    let all = || ["a", "b", "c"].iter().all(|name| sees(name));
    let leaver = || std::fs::read_to_string(log.join("pid")).unwrap_or_default();
    let is_gone = || {
        let pid = leaver();
        !pid.is_empty() && !std::path::Path::new("/proc").join(pid.trim()).exists()
    };
    while is_beside && !all() && !is_gone() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let has_met = is_beside && all();
    let clear = format!("cd {} && rm -f a b c pid", log.display());
    assert!(std::process::Command::new("sh").args(["-c", &clear]).status().unwrap().success());
    assert!(!has_met, "met");
}
"#;

#[test]
fn what_keeps_processes_apart_or_tests_together_is_told() {
    let metadata = "\n[package.metadata.partest.modules]\n\"shop\" = \"split\"\n";
    let package = Package::shop(metadata, MAY_BE_SPLIT);
    let ran = package.partest().args("doctor -j2").json().run().exits(100);
    let last = diagnosed(&ran);
    let isolated = "{ policy = \"split\", isolate = true }";
    let expected = [
        ("shop::counted", "\"unit\""),
        ("shop::fixed::a", "{ locks = [\"fixed\"], threads = 1 }"),
        ("shop::fixed::b", "{ locks = [\"fixed\"], threads = 1 }"),
        ("shop::relies", "{ policy = \"unit\", threads = 1 }"),
        ("shop::reordered::a_victim", isolated),
    ];
    let expected = expected.map(|(node, value)| (node.to_owned(), value.to_owned(), 2));
    assert_eq!(suggestions(&last), expected, "{ran}");
    let flaky = dependence(&last, "shop::flaky::fails_at_first").unwrap();
    assert_eq!(flaky, ("flaky".to_owned(), vec![]), "{ran}");
    let polluter = "shop::reordered::c_polluter".to_owned();
    let thing = "\"the static shop::reordered::SOLD\"".to_owned();
    assert_eq!(
        dependence(&last, "shop::reordered::a_victim").unwrap(),
        ("victim".to_owned(), vec![(polluter, thing)]),
        "{ran}"
    );
}

#[test]
fn a_test_that_fails_beside_many_is_to_run_alone() {
    let package = Package::shop("", "");
    package.write("tests/leaves.rs", LEAVE);
    package.write("tests/looks.rs", LOOKS);
    let ran = package.partest().args("doctor -j2").json().run().exits(100);
    let last = diagnosed(&ran);
    let (kind, with) = dependence(&last, "looks::looks").unwrap();
    let others: Vec<String> = with.into_iter().map(|(id, _)| id).collect();
    assert_eq!(kind, "race", "{ran}");
    assert_eq!(others, ["a", "b", "c"].map(|of| format!("leaves::leaves_{of}")), "{ran}");
    let alone = ("looks::looks".to_owned(), "{ exclusive = true }".to_owned(), 2);
    assert_eq!(suggestions(&last), [alone], "{ran}");
}

#[test]
fn what_each_process_sets_up_for_itself_is_told_with_what_a_shared_fixture_gains() {
    let package = Package::that_sets_up_in_each_process();
    let ran = package.partest().args("doctor -j2").json().run().exits(0);
    let last = diagnosed(&ran);
    let fixtures = last["shared-fixtures"].as_array().unwrap();
    let [fixture] = &fixtures[..] else { panic!("{ran}") };
    assert_eq!(fixture["node"], "shop::db", "{ran}");
    assert_eq!(fixture["statics"], serde_json::json!(["shop::db::SERVER"]), "{ran}");
    let seconds = |name: &str| fixture[name].as_f64().unwrap();
    assert!(seconds("seconds-after") < seconds("seconds-before"), "{ran}");
    // Two processes would set it up twice: nothing is gained by that.
    assert!(suggestions(&last).is_empty(), "{ran}");
    assert!(last["splittable"].as_array().unwrap().contains(&"shop::db".into()), "{ran}");
}

fn labelled() -> Package {
    let package = Package::shop(METADATA, LIBRARY);
    package.write("tests/one.rs", &[BOTH, READS].concat());
    package.write("tests/other.rs", &[BOTH, REMOVES].concat());
    package
}

fn manifest(package: &Package) -> String {
    std::fs::read_to_string(package.path("Cargo.toml")).unwrap()
}

/// The last event.
#[track_caller]
fn diagnosed(ran: &Ran) -> Value {
    let last = ran.events().pop().unwrap();
    assert_eq!(last["event"], "diagnosed", "{ran}");
    last
}

/// The kind of a test's dependence, and on which tests by way of which thing.
fn dependence(last: &Value, id: &str) -> Option<(String, Vec<(String, String)>)> {
    let all = last["dependences"].as_array().unwrap();
    let found = all.iter().find(|of| of["id"] == id)?;
    let with = found["with"].as_array().unwrap().iter();
    let with = with.map(|other| (text(&other["id"]), other["thing"].to_string()));
    Some((text(&found["kind"]), with.collect()))
}

/// Node, value and number of runs of each suggestion.
fn suggestions(last: &Value) -> Vec<(String, String, u64)> {
    let all = last["suggestions"].as_array().unwrap().iter();
    let mut all: Vec<_> = all
        .map(|of| (text(&of["node"]), text(&of["value"]), of["passed-runs"].as_u64().unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn dependences_are_named_and_what_helps_is_proven_and_written() {
    let package = labelled();
    package.partest().args("-j2").run();
    let state = || {
        ["history.json", "last-run.json"]
            .map(|name| std::fs::read(package.path("target/partest").join(name)).unwrap())
    };
    let before = state();
    what_may_be_split_is_told_with_its_gain(&package);
    a_budget_that_is_spent_is_told(&package);
    an_interrupt_writes_and_leaves_nothing(&package);
    what_would_break_is_told(&package);
    let split = manifest(&package);

    let ran = package.partest().args("doctor -j2 --write").json().env("MEETS", "1").run();
    let ran = ran.exits(100);
    let last = diagnosed(&ran);
    let brittle = dependence(&last, "shop::relies::b_brittle").unwrap();
    assert_eq!(brittle.0, "brittle", "{ran}");
    assert_eq!(brittle.1.len(), 1, "{ran}");
    assert_eq!(brittle.1[0].0, "shop::relies::a_sets_up", "{ran}");
    let polluter = ("shop::stock::b_polluter".into(), "\"the static shop::stock::SOLD\"".into());
    assert_eq!(
        dependence(&last, "shop::stock::c_victim").unwrap(),
        ("victim".into(), vec![polluter]),
        "{ran}"
    );
    let (kind, with) = dependence(&last, "one::reads").unwrap();
    let file = format!("{:?}", ran.log_directory().join("file"));
    assert_eq!((kind, with), ("race".into(), vec![("other::removes".into(), file)]), "{ran}");
    for (test, other) in [("one", "two"), ("two", "one")] {
        let (kind, with) = dependence(&last, &format!("shop::races::{test}")).unwrap();
        let other = (format!("shop::races::{other}"), "null".to_owned());
        assert_eq!((kind, with), ("race".into(), vec![other]), "{ran}");
    }
    assert_eq!(last["dependences"].as_array().unwrap().len(), 5, "{ran}");
    let phases: Vec<String> =
        ran.events().iter().filter_map(|event| Some(event["phase"].as_str()?.to_owned())).collect();
    assert_eq!(
        phases,
        ["declared", "alone", "together", "beside", "shuffled", "shuffled", "proof", "proof"],
        "{ran}"
    );
    let isolated = "{ policy = \"split\", isolate = true }";
    let expected = [
        ("one::reads", "{ locks = [\"file\"] }"),
        ("other::removes", "{ locks = [\"file\"] }"),
        ("shop::files::clears", "{ locks = [\"of-both\"], threads = 1 }"),
        ("shop::files::fills", "{ locks = [\"of-both\"], threads = 1 }"),
        ("shop::races", "{ threads = 1 }"),
        ("shop::stock::c_victim", isolated),
    ];
    let expected = expected.map(|(node, value)| (node.to_owned(), value.to_owned(), 2));
    assert_eq!(suggestions(&last), expected, "{ran}");
    let once = manifest(&package);
    let added = once.strip_prefix(&*split).unwrap();
    for (node, value, _) in &expected {
        assert!(added.contains(&format!("\"{node}\" = {value}\n")), "{added}");
    }
    assert_eq!(added.lines().count(), expected.len(), "{added}");

    // With these lines, only what no line helps against is left, and there is nothing to write.
    let ran = package.partest().args("doctor -j2 --write").json().run().exits(100);
    let last = diagnosed(&ran);
    assert_eq!(last["dependences"].as_array().unwrap().len(), 1, "{ran}");
    assert!(dependence(&last, "shop::relies::b_brittle").is_some(), "{ran}");
    assert!(suggestions(&last).is_empty(), "{ran}");
    assert_eq!(manifest(&package), once, "{ran}");
    assert!(state() == before, "{ran}");
}

fn what_may_be_split_is_told_with_its_gain(package: &Package) {
    let call = || package.partest().args("doctor -j2");
    let before = manifest(package);
    let told = call().args("slow::").run().exits(0);
    let line = "    \"shop::slow\" = \"split\"  # ";
    assert!(told.stdout.contains(line), "{told}");
    assert!(told.stdout.contains(" by the plan, passed in 2 runs\n"), "{told}");
    assert!(told.stdout.contains("--write puts them there\n"), "{told}");
    assert!(told.stderr.contains("Ran each test in a process of its own: 4 passed\n"), "{told}");
    assert_eq!(manifest(package), before);
    let of_some = call().args("slow::a slow::b").run().exits(0);
    assert!(!of_some.stdout.contains("split"), "{of_some}");
    call().args("--write slow::").run().exits(0);
    let was = "{ policy = \"unit\", threads = 1 } # one server";
    let is = "{ policy = \"split\", threads = 1 } # one server";
    assert_eq!(manifest(package), before.replace(was, is));
}

/// What earlier runs have learnt does not hide it.
fn what_would_break_is_told(package: &Package) {
    let ran = package.partest().args("doctor -j1 reads removes").json().run().exits(100);
    let last = diagnosed(&ran);
    let file = ran.log_directory().join("file");
    let expected = serde_json::json!([
        { "thing": file, "kind": "removed", "users": ["one::reads", "other::removes"] }
    ]);
    assert_eq!(last["shared"], expected, "{ran}");
    assert_eq!(last["dependences"].as_array().unwrap().len(), 0, "{ran}");
    let lock = |node: &str| (node.to_owned(), "{ locks = [\"file\"] }".to_owned(), 2);
    assert_eq!(suggestions(&last), ["one::reads", "other::removes"].map(lock), "{ran}");
    let leaks = serde_json::json!([
        { "module": "one", "tests": 1, "threads": 1, "processes": 0, "panics": 0 }
    ]);
    assert_eq!(last["leaks-by-module"], leaks, "{ran}");
    let told = package.partest().args("doctor -j1 reads").run().exits(0);
    let lines =
        "leaks of one in 1 test: 1 thread\n  to deny new ones: cargo partest --write-baseline";
    assert!(told.stdout.contains(lines), "{told}");
}

fn a_budget_that_is_spent_is_told(package: &Package) {
    let before = manifest(package);
    let ran = package.partest().args("doctor --budget 1ms --write slow::").run().exits(0);
    assert!(ran.stdout.contains("the budget of 1ms was not enough"), "{ran}");
    assert!(ran.stdout.contains("not run: each test in a process of its own\n"), "{ran}");
    assert_eq!(manifest(package), before);
    let ran = package.partest().args("doctor --budget soon").run().exits(2);
    assert!(ran.stderr.contains("expected a number and a unit"), "{ran}");
    let ran = package.partest().args("doctor nowhere").run().exits(4);
    assert!(ran.stderr.contains("no test to examine"), "{ran}");
}

/// In whichever run: as declared, alone, together, beside and shuffled.
fn an_interrupt_writes_and_leaves_nothing(package: &Package) {
    let before = manifest(package);
    for in_run in ["1", "2", "3", "4", "6"] {
        let call = package.partest().args("doctor --write hangs:: -- --ignored");
        let run = call.env("NO_COLOR", "1").env("HANGS_IN", in_run).start();
        let hangs = run.await_log("hangs").remove(0);
        run.send(rustix::process::Signal::INT);
        let ran = run.wait().exits(130);
        assert!(ran.stdout.contains("interrupted: what is known so far\n"), "{ran}");
        assert!(!is_alive(&hangs), "{ran}");
        assert_eq!(manifest(package), before);
    }
    let files = std::fs::read_dir(package.path("")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let strange: Vec<String> = names.filter(|name| !is_of_the_package(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

fn is_of_the_package(name: &str) -> bool {
    ["Cargo.lock", "Cargo.toml", "src", "target", "tests"].contains(&name)
}
