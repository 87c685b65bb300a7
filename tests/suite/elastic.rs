//! How many tests of a process run at once is decided while they run: a slot with nothing else to do
//! goes to a process that has tests left, and nothing runs above `-j`.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use crate::fixture::{Package, Ran, await_that, is_alive};
use rustix::process::Signal;

/// For tests that meet by files.
const MEETS: &str = r#"
#[allow(dead_code)]
fn path(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
}

#[allow(dead_code)]
fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed().as_secs() < 60, "{what} has not come");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
"#;

const MANIFEST: &str = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

/// All binaries are known before the first test: otherwise the first one could have all slots.
const NOT_EARLY: &str = "[package.metadata.partest]\nearly = false\n";

/// The unit starts with one thread, since another binary runs beside it: `library` is its only
/// test. `unit` is what the unit's tests do.
fn beside_another(library: &str, unit: &str) -> Package {
    let kept_together = "static HERE: std::sync::atomic::AtomicUsize = \
        std::sync::atomic::AtomicUsize::new(0);\n\
        use std::sync::atomic::Ordering::SeqCst;\n";
    Package::new(&[
        ("Cargo.toml", &format!("{MANIFEST}{NOT_EARLY}")),
        ("src/lib.rs", &format!("#[cfg(test)] mod tests {{ {MEETS}\n{library} }}")),
        ("tests/unit.rs", &format!("{MEETS}{kept_together}{unit}")),
    ])
}

/// Without the agent, threads are fixed when a process starts.
#[track_caller]
fn is_by_the_agent(ran: &Ran) {
    assert!(!ran.stderr.contains("agent"), "{ran}");
}

#[test]
fn a_slot_with_nothing_else_to_do_goes_to_a_process_that_runs() {
    let package = beside_another(
        "#[test] fn quick() { await_that(\"a unit\", || path(\"began\").exists()) }",
        "fn meet() {
            HERE.fetch_add(1, SeqCst);
            std::fs::write(path(\"began\"), \"\").unwrap();
            await_that(\"the other test\", || HERE.load(SeqCst) == 2);
        }
        #[test] fn one() { meet() }
        #[test] fn other() { meet() }",
    );
    let ran = package.partest().json().args("-j2").run().exits(0);
    is_by_the_agent(&ran);
    assert_eq!(ran.ids("passed").len(), 3, "{ran}");
    let [one, other] = ["unit::one", "unit::other"].map(|id| ran.test(id)["worker"].clone());
    assert_eq!(one, other, "they share a process: {ran}");
}

#[test]
fn a_test_that_waits_for_its_turn_has_not_begun() {
    let package = beside_another(
        // It has its slot until the other process is gone, so that nothing else can begin before. (It
        // opens no file of the other one, which would be a reason to run that one again.)
        "#[test] fn quick() {
            let log = || std::fs::read_dir(path(\"\")).unwrap().map(|entry| entry.unwrap().file_name());
            let pid = || log().find_map(|name| name.to_str()?.strip_prefix(\"crashes-\").map(String::from));
            await_that(\"the crash\", || pid().is_some());
            let process = std::path::PathBuf::from(format!(\"/proc/{}\", pid().unwrap()));
            await_that(\"the end of the process\", || !process.exists());
        }",
        // Which thread comes to its turn first, nobody knows.
        "fn first_crashes() {
            let has_crashed = |entry: std::io::Result<std::fs::DirEntry>| {
                entry.unwrap().file_name().to_string_lossy().starts_with(\"crashes-\")
            };
            if std::fs::read_dir(path(\"\")).unwrap().any(has_crashed) {
                return;
            }
            // The thread of the next test is there by now, and waits.
            let threads = || std::fs::read_dir(\"/proc/self/task\").unwrap().count();
            await_that(\"a thread\", || threads() >= 3);
            std::fs::write(path(&format!(\"crashes-{}\", std::process::id())), \"\").unwrap();
            HERE.fetch_add(1, SeqCst);
            std::process::abort()
        }
        #[test] fn a() { first_crashes() }
        #[test] fn b() { first_crashes() }
        #[test] fn c() { first_crashes() }",
    );
    let ran = package.partest().json().args("-j2").run().exits(100);
    is_by_the_agent(&ran);
    assert_eq!(ran.ids("aborted").len(), 1, "{ran}");
    let passed = ran.ids("passed");
    let of_unit: Vec<&String> = passed.iter().filter(|id| id.starts_with("unit::")).collect();
    assert_eq!(of_unit.len(), 2, "{ran}");
    assert!(of_unit.iter().all(|id| ran.test(id)["attempt"] == 1), "{ran}");
}

/// Every test takes one of as many places as there are slots, and fails if all are taken.
const TAKES_A_PLACE: &str = r#"
fn takes_a_place() {
    let places = || (0..3).map(|place| path(&format!("place-{place}")));
    let mine = places().find(|place| std::fs::create_dir(place).is_ok());
    let mine = mine.expect("more tests run than there are slots");
    std::thread::sleep(std::time::Duration::from_millis(2));
    std::fs::remove_dir(mine).unwrap();
}
"#;

fn crowd(tests: usize) -> String {
    (0..tests).map(|at| format!("#[test] fn t{at}() {{ takes_a_place() }}\n")).collect()
}

#[test]
fn nothing_runs_above_the_number_of_slots_while_processes_grow_and_shrink() {
    let kept_together = "static _HERE: std::sync::atomic::AtomicUsize = \
        std::sync::atomic::AtomicUsize::new(0);\n";
    let common = format!("{MEETS}{TAKES_A_PLACE}");
    let unit = |tests| format!("{common}{kept_together}{}", crowd(tests));
    let manifest = format!(
        "{MANIFEST}[package.metadata.partest.modules]\n\
        split = {{ policy = \"split\" }}\nalone = {{ isolate = true }}\n\
        serial = {{ threads = 1 }}\n"
    );
    let package = Package::new(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", ""),
        ("tests/long.rs", &unit(60)),
        ("tests/short.rs", &unit(7)),
        ("tests/serial.rs", &unit(12)),
        ("tests/split.rs", &format!("{common}{}", crowd(40))),
        ("tests/alone.rs", &format!("{common}{}", crowd(6))),
    ]);
    // The first run knows nothing of the tests, the second one knows how long they take.
    for _ in 0..2 {
        let ran = package.partest().json().args("-j3").run().exits(0);
        is_by_the_agent(&ran);
        assert_eq!(ran.ids("passed").len(), 125, "{ran}");
    }
}

/// The unit has both slots while the fixture of `later` comes up. The verdict of `a` waits for what
/// follows it, and its slot does not.
#[test]
fn a_slot_is_free_when_its_test_has_ended() {
    let waits = "while [ ! -e $FIXTURE_LOG/began ]; do sleep 0.01; done; \
        touch $FIXTURE_LOG/is-ready; echo PARTEST_READY; cat >/dev/null";
    let manifest = format!(
        "{MANIFEST}[package.metadata.partest.modules]\nlater = {{ fixture = \"server\" }}\n\
        [package.metadata.partest.fixtures]\n\
        server.start = [\"sh\", \"-c\", '{waits}']\n"
    );
    let unit = "static HERE: std::sync::atomic::AtomicUsize = \
        std::sync::atomic::AtomicUsize::new(0);\n\
        #[test] fn a() {
            HERE.store(1, std::sync::atomic::Ordering::SeqCst);
            await_that(\"the fixture\", || path(\"is-ready\").exists());
        }
        #[test] fn b() {
            std::fs::write(path(\"began\"), \"\").unwrap();
            await_that(\"the other binary\", || path(\"later\").exists());
        }\n";
    let later = "#[test] fn comes() { std::fs::write(path(\"later\"), \"\").unwrap() }\n";
    let package = Package::new(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", ""),
        ("tests/unit.rs", &format!("{MEETS}{unit}")),
        ("tests/later.rs", &format!("{MEETS}{later}")),
    ]);
    let ran = package.partest().json().args("-j2").run().exits(0);
    is_by_the_agent(&ran);
    assert_eq!(ran.ids("passed"), ["later::comes", "unit::a", "unit::b"], "{ran}");
}

/// Both slots are taken: `quick` runs, and so does one test of the unit, whose other one waits for a
/// permit. Which of the two comes to its turn first, nobody knows. Each test that runs leaves its
/// process.
fn one_waits(manifest: &str) -> Package {
    let leaves = "fn leave(name: &str) {
        std::fs::write(path(name), format!(\"{}\\n\", std::process::id())).unwrap()
    }";
    let library = format!(
        "{leaves} #[test] fn quick() {{
            leave(\"quick\");
            await_that(\"the next test\", || path(\"second\").exists());
        }}"
    );
    let unit = format!(
        "{leaves} fn first_stays() {{
            HERE.fetch_add(1, SeqCst);
            // Also in a process that comes after this one.
            if std::fs::create_dir(path(\"begun\")).is_err() {{
                return leave(\"second\");
            }}
            let threads = || std::fs::read_dir(\"/proc/self/task\").unwrap().count();
            await_that(\"a thread\", || threads() >= 3);
            leave(\"first\");
            loop {{ std::thread::park() }}
        }}
        #[test] fn one() {{ first_stays() }}
        #[test] fn other() {{ first_stays() }}"
    );
    let package = beside_another(&library, &unit);
    package.write("Cargo.toml", &format!("{MANIFEST}{NOT_EARLY}{manifest}"));
    package
}

#[test]
fn a_test_that_hangs_costs_none_that_waits_for_its_turn() {
    let keys = "[package.metadata.partest.modules]\nunit = { timeout = \"1s\" }\n";
    let ran = one_waits(keys).partest().json().args("-j2 --no-fail-fast").run().exits(100);
    is_by_the_agent(&ran);
    let [timed_out, passed] = ["timed-out", "passed"].map(|outcome| ran.ids(outcome));
    assert_eq!((timed_out.len(), passed.len()), (1, 2), "{ran}");
    assert!(timed_out[0].starts_with("unit::"), "{ran}");
    assert!(passed.iter().all(|id| ran.test(id)["attempt"] == 1), "{ran}");
}

#[test]
fn an_interrupted_run_does_not_start_what_waits_for_its_turn() {
    let package = one_waits("");
    let running = package.partest().json().args("-j2").own_group().start();
    running.await_log("quick");
    running.await_log("first");
    running.send_to_group(Signal::INT);
    let ran = running.wait().exits(130);
    is_by_the_agent(&ran);
    let interrupted = ran.ids("interrupted");
    assert_eq!(interrupted.len(), 2, "{ran}");
    assert!(interrupted.contains(&"shop::tests::quick".to_owned()), "{ran}");
    assert_eq!(ran.finished()["not-run"], 1, "{ran}");
    assert!(!ran.log_directory().join("second").exists(), "{ran}");
}

#[test]
fn a_run_that_is_killed_leaves_no_test_that_waits_for_its_turn() {
    let package = one_waits("");
    let mut running = package.partest().json().args("-j2").own_group().start();
    let workers = ["quick", "first"].map(|name| running.await_log(name)[0].clone());
    running.send(Signal::KILL);
    running.await_end();
    for worker in workers {
        await_that("the end of a worker", || !is_alive(&worker));
    }
    assert!(!running.log_directory().join("second").exists());
}
