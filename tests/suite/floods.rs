//! What a test prints beyond what is kept in memory stands in a file, whole, for as long as
//! somebody may want to read it.

#![cfg(target_os = "linux")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fixture::{self, Package, Ran, text};
use rustix::process::Signal;

const WAYS: [&str; 4] = ["", "--no-agent", "--isolate", "--isolate --no-agent"];

/// Two MiB, line by line, and the end of it; and what it is that floods.
const FLOODS: &str = r#"
#[allow(dead_code)]
fn saga(mut line: impl FnMut(&str)) {
    for at in 0..32_768 { line(&format!("{at:05} \"la\" \t\u{1b}[1m\\ {}\n", "la ".repeat(16))); }
    line("the end\n");
}
#[allow(dead_code)]
fn recite() { saga(|line| print!("{line}")); }
#[allow(dead_code)]
fn shout() { saga(|line| std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap()); }
"#;

fn saga() -> String {
    let line = |at| format!("{at:05} \"la\" \t\u{1b}[1m\\ {}\n", "la ".repeat(16));
    (0..32_768).map(line).collect::<String>() + "the end\n"
}

fn floods(tests: &str) -> Package {
    let keys = "[package.metadata.partest.modules]\n\
        \"shop\" = { policy = \"unit\", threads = 1, timeout = \"2m\" }\n";
    Package::shop(keys, &format!("{FLOODS}{tests}"))
}

/// Every file of the directory of floods.
fn kept(package: &Package) -> Vec<PathBuf> {
    let runs = std::fs::read_dir(package.path("target/partest/output")).into_iter().flatten();
    let files = runs.flat_map(|run| std::fs::read_dir(run.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The file that the test's line names.
#[track_caller]
fn file_of(ran: &Ran, id: &str) -> PathBuf {
    let test = ran.test(id);
    let files = test["output-files"].as_array().unwrap_or_else(|| panic!("{id}; {}", ran.stderr));
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0]["whole"], true, "{files:?}");
    PathBuf::from(text(&files[0]["path"]))
}

#[track_caller]
fn has_all_of_it(file: &Path) {
    let all = std::fs::read_to_string(file).unwrap();
    let saga = saga();
    let at = all.find(&saga[..100]).unwrap_or_else(|| panic!("no beginning: {}", &all[..200]));
    // Not by `assert_eq`: nobody wants to see them both.
    assert!(all[at..].starts_with(&saga), "{} of {}", all.len() - at, saga.len());
}

#[test]
fn a_failed_test_has_all_of_its_output_in_a_file_for_its_user_alone() {
    let tests = "#[test] fn a_passes() { recite(); shout() }\n\
        #[test] fn b_recites() { println!(\"once\"); recite(); panic!(\"no more\") }\n\
        #[test] fn c_recites_too() { recite(); panic!() }\n\
        #[test] fn d_is_quiet() { println!(\"hush\"); panic!() }\n";
    let package = floods(tests);
    for way in WAYS {
        let ran = package.partest().json().args("-j2").args(way).run().exits(100);
        assert_eq!(kept(&package).len(), 2, "{way:?}: {:?}", kept(&package));
        for id in ["shop::b_recites", "shop::c_recites_too"] {
            let file = file_of(&ran, id);
            has_all_of_it(&file);
            let (run, all) = (file.parent().unwrap(), file.parent().unwrap().parent().unwrap());
            let modes = [&file, run, all].map(|path| std::fs::metadata(path).unwrap().mode());
            assert_eq!(modes.map(|mode| mode & 0o777), [0o600, 0o700, 0o700]);
        }
        let all = std::fs::read_to_string(file_of(&ran, "shop::b_recites")).unwrap();
        assert!(all.starts_with("once\n"), "{way:?}: {}", &all[..40]);
        assert!(all.contains("no more") && !all.contains("failures:"), "{way:?}");
        assert!(!all.contains("hush") && !all.contains("c_recites_too"), "{way:?}");
        assert!(ran.test("shop::d_is_quiet")["output-files"].is_null());
    }
}

/// Past the capture; where the process dies, hangs, or takes no test's name.
#[test]
fn what_passes_the_capture_is_in_there_too() {
    let tests = "#[test] fn a_shouts() { shout(); panic!() }\n\
        #[test] fn b_dies() { shout(); std::process::abort() }\n";
    let package = floods(tests);
    for (way, ids) in [
        ("", &["shop::a_shouts", "shop::b_dies"][..]),
        ("--isolate", &["shop::a_shouts", "shop::b_dies"]),
        ("--isolate --no-agent", &["shop::a_shouts", "shop::b_dies"]),
    ] {
        let ran = package.partest().json().args(way).run().exits(100);
        ids.iter().for_each(|id| has_all_of_it(&file_of(&ran, id)));
        assert_eq!(kept(&package).len(), ids.len(), "{way:?}");
    }
    let hangs = floods("#[test] fn hangs() { shout(); loop { std::thread::park() } }\n");
    for way in ["", "--no-agent"] {
        let ran = hangs.partest().json().args("--timeout 5s").args(way).run().exits(100);
        assert_eq!(ran.ids("timed-out"), ["shop::hangs"], "{}", ran.stderr);
        has_all_of_it(&file_of(&ran, "shop::hangs"));
    }
    let both = floods("#[test] fn both() { recite(); shout(); panic!() }\n");
    let ran = both.partest().json().run().exits(100);
    let all = std::fs::read_to_string(file_of(&ran, "shop::both")).unwrap();
    assert_eq!(all.matches("the end\n").count(), 2);
    assert_eq!(kept(&both).len(), 1);
}

#[test]
fn people_are_told_where_it_is() {
    let package = floods(
        "#[test] fn recites() { recite(); panic!() }\n\
        #[test] fn talks() { (0..300).for_each(|at| println!(\"line {at}\")); panic!() }\n\
        #[test] fn whispers() { println!(\"hush\"); panic!() }\n",
    );
    let ran = package.partest().run().exits(100);
    let told: Vec<&str> =
        ran.stdout.lines().filter(|line| line.contains("complete output")).collect();
    let [recites, talks] = &told[..] else { panic!("{ran}") };
    assert!(
        recites.starts_with(
            "  complete output (2.1 MiB, kept until the next run): target/partest/output/run-"
        ),
        "{recites}"
    );
    let file = |line: &str| package.path(line.rsplit_once(": ").unwrap().1);
    has_all_of_it(&file(recites));
    assert!(recites.ends_with("/shop.recites.txt"), "{recites}");
    // What is cut for the eye only is there, too.
    assert!(talks.ends_with("/shop.talks.txt"), "{talks}");
    let talk = std::fs::read_to_string(file(talks)).unwrap();
    assert_eq!(talk.lines().filter(|line| line.starts_with("line ")).count(), 300);
}

#[test]
fn attempts_that_failed_have_files_of_their_own() {
    let tests = "#[test] fn passes_at_last() {\n    recite();\n    \
        let log = std::path::PathBuf::from(std::env::var_os(\"FIXTURE_LOG\").unwrap()).join(\"ran\");\n    \
        assert!(log.exists() || std::fs::write(log, \"\").is_err());\n}\n";
    let package = floods(tests);
    let ran = package.partest().json().args("--retries 1").run().exits(0);
    let test = ran.test("shop::passes_at_last");
    has_all_of_it(Path::new(&text(&test["failed-before"][0]["output-files"][0]["path"])));
    assert!(test["output-files"].is_null());
    assert_eq!(kept(&package).len(), 1);
}

#[test]
fn the_next_run_removes_what_the_last_one_left_also_where_it_was_killed() {
    let tests = "#[test] fn floods() { shout(); assert!(std::env::var_os(\"WELL\").is_some()) }\n\
        #[test] fn stays() { if std::env::var_os(\"STAYS\").is_none() { return }\n    shout();\n    \
        let log = std::path::PathBuf::from(std::env::var_os(\"FIXTURE_LOG\").unwrap());\n    \
        std::fs::write(log.join(\"stays\"), \"x\").unwrap();\n    loop { std::thread::park() } }\n";
    let package = floods(tests);
    package.partest().json().run().exits(100);
    let first = kept(&package);
    assert_eq!(first.len(), 1);
    // While one goes on another does not touch its files, but those of the one before.
    let other = package.partest().json().env("STAYS", "1").start();
    other.await_log("stays");
    fixture::await_that("the file of the run that goes on", || kept(&package).len() == 2);
    assert!(!first[0].exists());
    let of_other = kept(&package);
    package.partest().json().run().exits(100);
    assert_eq!(kept(&package).len(), 3);
    assert!(of_other.iter().all(|file| file.exists()));
    other.send(Signal::KILL);
    other.wait();
    let passes = || drop(package.partest().json().env("WELL", "1").run().exits(0));
    fixture::await_that("the end of what the killed run had left", || {
        passes();
        !package.path("target/partest/output").exists()
    });
}

/// Nobody is led to write or remove anything elsewhere.
#[test]
fn a_link_in_the_way_is_not_followed_and_told() {
    let package = floods("#[test] fn recites() { recite(); panic!() }\n");
    package.write("precious/run-precious/notes", "");
    package.write("target/partest/x", "");
    std::os::unix::fs::symlink(package.path("precious"), package.path("target/partest/output"))
        .unwrap();
    let ran = package.partest().run().exits(100);
    assert!(
        ran.stderr.contains("warning: could not keep the complete output of tests in `"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("no directory of this user's; remove it"), "{}", ran.stderr);
    assert!(ran.stdout.contains("more lines"), "{}", ran.stderr);
    assert!(package.path("precious/run-precious/notes").exists());
    assert_eq!(std::fs::read_dir(package.path("precious")).unwrap().count(), 1);
}

#[test]
fn a_full_disk_costs_the_file_and_no_verdict() {
    let package = floods("#[test] fn a_recites() { recite(); panic!() }\n#[test] fn b() {}\n");
    package.partest().json().run().exits(100);
    for way in WAYS {
        let call = package.partest().json().args(way).with_a_full_disk();
        let ran = call.run().exits(100);
        assert_eq!(
            (ran.ids("failed"), ran.ids("passed")),
            (vec!["shop::a_recites".into()], vec!["shop::b".into()])
        );
        assert_eq!(
            ran.stderr.matches("could not keep the complete output").count(),
            1,
            "{}",
            ran.stderr
        );
        assert!(kept(&package).is_empty(), "{way:?}");
        assert!(text(&ran.test("shop::a_recites")["output"]).contains("bytes left out"));
    }
}

/// A run inside a test of a run leaves the outer one's files alone, and none of its own.
#[test]
fn a_run_inside_of_another_writes_none() {
    let package = floods("#[test] fn recites() { recite(); panic!() }\n");
    let ran = package.partest().json().env("PARTEST_RUN_ID", "outer").env("PARTEST", "1").run();
    let ran = ran.exits(100);
    assert!(ran.test("shop::recites")["output-files"].is_null());
    assert!(!package.path("target/partest/output").exists());
}
