//! A unit of a harness that is built on `libtest-mimic`: its tests run in the harness's own threads,
//! as under `cargo test`, and its log tells of each when it has ended.

use std::collections::BTreeMap;

use crate::fixture::{Call, Package, Ran, await_that, is_alive, text};
use rustix::process::Signal;

/// As `libtest-mimic` 0.8 does it. `DO` says what its tests do, `ORDER` how they are begun.
const THREADS: &str = r##"
    use std::io::Write;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    // What makes it a unit.
    static RUNNING: AtomicUsize = AtomicUsize::new(0);

    // In no order of names.
    const TESTS: [&str; 24] = [
        "t05", "t06", "fails", "t07", "t08", "t09", "hangs", "t10", "t11", "aborts", "later", "t12",
        "t13", "one", "other", "t14", "t15", "t16", "t17", "t18", "t19", "t20", "t21", "t22",
    ];

    fn path(name: &str) -> std::path::PathBuf {
        std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
    }

    fn note(name: &str, what: usize) {
        let mut log = std::fs::File::options().create(true).append(true).open(path(name)).unwrap();
        // In one call, since others write there at the same time.
        log.write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    fn is_wanted(word: &str) -> bool {
        std::env::var("DO").is_ok_and(|words| words.split(' ').any(|known| known == word))
    }

    fn is_reversed() -> bool {
        std::env::var("ORDER").is_ok_and(|order| order == "reversed")
    }

    fn await_file(name: &str) {
        let began = std::time::Instant::now();
        while !path(name).exists() {
            assert!(began.elapsed().as_secs() < 60, "{name} has not come");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn run(name: &str, threads: usize) -> Result<(), String> {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        note(name, std::process::id() as usize);
        match name {
            "one" if is_wanted("meets") => await_file("other"),
            "other" if is_wanted("meets") => await_file("one"),
            "aborts" if is_wanted("aborts") => std::process::abort(),
            "aborts" if is_wanted("aborts-beside-others") && threads > 1 => {
            // Of those that have begun before it.
            await_file(if is_reversed() { "logged-t22" } else { "logged-t05" });
            std::process::abort()
        }
            "hangs" if is_wanted("hangs") => loop { std::thread::park() },
            "fails" if is_wanted("fails") => {
                eprintln!("what it has printed");
                return Err("on purpose".to_owned());
            }
            _ => {}
        }
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    struct Log(Box<dyn Write>, usize);

    impl Log {
        fn started(&mut self, name: &str) {
            writeln!(self.0, r#"{{ "type": "test", "event": "started", "name": "{name}" }}"#).unwrap();
        }

        fn ended(&mut self, name: &str, outcome: Option<Result<(), String>>) {
            let (event, more) = match outcome {
                None => ("ignored", String::new()),
                Some(Ok(())) => ("ok", String::new()),
                Some(Err(why)) => {
                    self.1 += 1;
                    ("failed", format!(r#", "stdout": "Error: \"{why}\"\n""#))
                }
            };
            let end = format!(r#"{{ "type": "test", "name": "{name}", "event": "{event}"{more} }}"#);
            writeln!(self.0, "{end}").unwrap();
            note(&format!("logged-{name}"), 0);
        }
    }

    fn main() {
        let (mut skipped, mut filter, mut log, mut words) = (vec![], None, None, std::env::args());
        let (mut lists, mut exact, mut ignored, mut threads) = (false, false, false, 8);
        words.next();
        while let Some(word) = words.next() {
            match &*word {
                "--color" => assert_eq!(words.next().unwrap(), "always"),
                "libtest-mimic-0.8.2/src/lib.rs" => unreachable!(),
                "--list" => lists = true,
                "--exact" => exact = true,
                "--ignored" => ignored = true,
                "--include-ignored" => {}
                "--skip" => skipped.push(words.next().unwrap()),
                "--logfile" => log = words.next(),
                "--test-threads" => threads = words.next().unwrap().parse().unwrap(),
                "--format" => assert!(["terse", "json"].contains(&&*words.next().unwrap())),
                _ if word.starts_with('-') => panic!("{word}"),
                _ => filter = Some(word),
            }
        }
        let is_skipped = |name: &str| skipped.iter().any(|skip| match exact {
            true => skip == name,
            false => name.contains(&**skip),
        });
        let is_ignored = |name: &str| name == "later";
        let mut tests: Vec<&str> = TESTS.into_iter().filter(|name| {
            filter.as_ref().is_none_or(|filter| filter == name)
                && !is_skipped(name)
                && (!ignored || is_ignored(name))
        }).collect();
        let out: Box<dyn Write> = match &log {
            Some(path) => Box::new(std::fs::File::create(path).unwrap()),
            None => Box::new(std::io::stdout()),
        };
        let mut log = Log(out, 0);
        if lists {
            return tests.iter().for_each(|name| writeln!(log.0, "{name}: test").unwrap());
        }
        if is_reversed() {
            tests.reverse();
        }
        note("threads", threads);
        writeln!(log.0, r#"{{ "type": "suite", "event": "started" }}"#).unwrap();
        let runs = |name: &str| (!is_ignored(name) || ignored).then(|| run(name, threads));
        if threads == 1 {
            for name in tests {
                log.started(name);
                log.ended(name, runs(name));
            }
        } else {
            let (sender, receiver) = std::sync::mpsc::channel();
            let tests = Mutex::new(tests.into_iter());
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    let sender = sender.clone();
                    let (tests, runs) = (&tests, &runs);
                    scope.spawn(move || loop {
                        let next = tests.lock().unwrap().next();
                        let Some(name) = next else { break };
                        sender.send((name, runs(name))).unwrap();
                    });
                }
                drop(sender);
                for (name, outcome) in receiver {
                    log.started(name);
                    if is_wanted("says-it-twice-beside-others") && name == "t20" { log.started(name) }
                    log.ended(name, outcome);
                }
            });
        }
        let event = if log.1 > 0 { "failed" } else { "ok" };
        writeln!(log.0, r#"{{ "type": "suite", "event": "{event}" }}"#).unwrap();
        std::process::exit(if log.1 > 0 { 101 } else { 0 })
    }
"##;

const ORDERS: [&str; 2] = ["as listed", "reversed"];

fn package() -> Package {
    let package = Package::shop("[[test]]\nname = \"files\"\nharness = false\n", "");
    package.write("tests/files.rs", THREADS);
    package
}

/// A first run, as long as nobody knows that the tests are short.
fn first_run(package: &Package, does: &str, order: &str) -> Call {
    let _ = std::fs::remove_dir_all(package.path("target/partest"));
    package.partest().json().args("-j2 --no-fail-fast").env("DO", does).env("ORDER", order)
}

/// All tests pass but these.
fn verdicts(others: &[(&str, &str)]) -> BTreeMap<String, String> {
    let names = ["aborts", "fails", "hangs", "one", "other"].map(String::from);
    let names = names.into_iter().chain((5..23).map(|at| format!("t{at:02}")));
    let mut verdicts: BTreeMap<String, String> =
        names.map(|name| (format!("files::{name}"), "passed".to_owned())).collect();
    verdicts.insert("files::later".into(), "ignored".into());
    let others = others.iter().map(|(name, outcome)| (format!("files::{name}"), (*outcome).into()));
    verdicts.extend(others);
    verdicts
}

/// How many tests its processes ran at once, one after the other.
fn threads(ran: &Ran) -> Vec<String> {
    ran.log("threads")
}

#[test]
fn tests_of_a_unit_run_at_once_and_know_how_long_they_took() {
    let package = package();
    for order in ORDERS {
        let ran = first_run(&package, "meets", order).run().exits(0);
        assert_eq!(ran.verdicts(), verdicts(&[]), "{ran}");
        assert_eq!(threads(&ran), ["2"], "{ran}");
        let both =
            ["one", "other"].map(|name| ran.test(&format!("files::{name}"))["seconds"].clone());
        assert!(both.iter().any(|seconds| seconds.as_f64().unwrap() > 0.0), "{order}: {ran}");
    }
    let plan = package.partest().args("plan -j2").run().exits(0);
    assert!(plan.stdout.contains("in threads of its own harness"), "{plan}");
    let declared = "[package.metadata.partest.modules.files]\npolicy = \"unit\"\nthreads = 1\n";
    let manifest = std::fs::read_to_string(package.path("Cargo.toml")).unwrap();
    package.write("Cargo.toml", &format!("{manifest}\n{declared}"));
    let ran = first_run(&package, "", "as listed").run().exits(0);
    assert_eq!((ran.verdicts(), threads(&ran)), (verdicts(&[]), vec!["1".into()]), "{ran}");
}

/// The next run knows that, and each test is logged when it begins.
#[test]
fn short_ones_run_one_after_another_once_that_is_known() {
    let package = package();
    await_that("a run of which it is known", || {
        // On a busy machine, even these may take long.
        first_run(&package, "", "as listed").run().exits(0);
        let ran = package.partest().json().args("-j2").run().exits(0);
        assert_eq!(ran.verdicts(), verdicts(&[]), "{ran}");
        threads(&ran) == ["1"]
    });
}

#[test]
fn a_failure_has_its_message_and_its_process_what_was_printed() {
    let package = package();
    for order in ORDERS {
        let ran = first_run(&package, "fails", order).run().exits(100);
        assert_eq!(ran.verdicts(), verdicts(&[("fails", "failed")]), "{ran}");
        assert_eq!(threads(&ran), ["2"], "{ran}");
        let output = text(&ran.test("files::fails")["output"]);
        assert!(output.contains("on purpose") && !output.contains("has printed"), "{ran}");
        let of_process = ran.events().into_iter().find(|event| event["event"] == "worker-output");
        let of_process = of_process.unwrap();
        assert!(text(&of_process["output"]).contains("has printed"), "{ran}");
    }
}

/// The rest runs one after another, where it is known which test it was.
#[test]
fn a_crash_or_a_hang_costs_one_test() {
    let package = package();
    let table = [("aborts", "aborted", "SIGABRT"), ("hangs", "timed-out", "timed out after 2s")];
    for (does, outcome, why) in table {
        for order in ORDERS {
            let ran = first_run(&package, does, order).args("--timeout 2s").run().exits(100);
            assert_eq!(ran.verdicts(), verdicts(&[(does, outcome)]), "{ran}");
            assert_eq!(threads(&ran)[..2], ["2", "1"], "{ran}");
            let reason = ran.test(&format!("files::{does}"))["reason"].clone();
            assert_eq!(reason, why, "{ran}");
            assert!(ran.stderr.contains("run in a fresh process"), "{ran}");
            for (id, _) in verdicts(&[]).iter().filter(|(id, _)| *id != "files::later") {
                let begun = ran.log(id.strip_prefix("files::").unwrap()).len();
                assert!((1..=2).contains(&begun), "{id} has begun {begun} times; {ran}");
            }
        }
    }
}

/// A pass would hide the crash. Which test it was nobody knows, and those that had passed have.
#[test]
fn a_crash_that_does_not_come_again_is_that_of_all_that_had_not_ended() {
    let package = package();
    for order in ORDERS {
        let ran = first_run(&package, "aborts-beside-others", order).run().exits(100);
        assert_eq!(threads(&ran), ["2", "1"], "{ran}");
        let (aborted, passed) = (ran.ids("aborted"), ran.ids("passed"));
        assert!(aborted.contains(&"files::aborts".to_owned()), "{ran}");
        assert_eq!(aborted.len() + passed.len(), 23, "{ran}");
        let logged = if order == "reversed" { "files::t22" } else { "files::t05" };
        assert!(passed.contains(&logged.to_owned()), "{ran}");
        let reason = ran.test("files::aborts")["reason"].clone();
        let reason = reason.as_str().unwrap();
        assert!(reason.starts_with("SIGABRT in a process that ran it and "), "{ran}");
    }
}

#[test]
fn a_log_that_does_not_add_up_is_tried_again_one_after_another() {
    let package = package();
    let ran = first_run(&package, "fails says-it-twice-beside-others", "as listed");
    let ran = ran.run().exits(100);
    assert_eq!(ran.verdicts(), verdicts(&[("fails", "failed")]), "{ran}");
    assert_eq!(threads(&ran), ["2", "1"], "{ran}");
    assert!(!ran.stderr.contains("does not agree"), "{ran}");
}

#[test]
fn ctrl_c_leaves_the_verdicts_and_no_process() {
    let package = package();
    let run = first_run(&package, "hangs", "as listed").start();
    let pid = run.await_log("hangs").concat();
    run.await_log("logged-t21");
    run.send(Signal::INT);
    run.send(Signal::INT);
    let ran = run.wait().exits(130);
    assert!(ran.ids("interrupted").contains(&"files::hangs".to_owned()), "{ran}");
    // The last one may not have been logged.
    assert!(ran.ids("passed").len() >= 21, "{ran}");
    await_that("its end", || !is_alive(&pid));
}
