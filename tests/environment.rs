//! A test is surrounded by the same things under `cargo partest` as under `cargo test`: every
//! variable and the working directory, for every kind of target.

#![cfg(feature = "command")]

mod fixture;

use std::collections::BTreeMap;

use fixture::{Call, Package, Ran, cargo};

/// What is ours, or of this very test.
const OURS: [&str; 5] =
    ["PARTEST=", "PARTEST_RUN_ID=", "PARTEST_SLOT=", "PARTEST_WORKER=", "FIXTURE_LOG="];

/// What each target wrote down: its working directory, and every variable.
fn surroundings(ran: &Ran) -> BTreeMap<String, Vec<String>> {
    let files = std::fs::read_dir(ran.log_directory()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), ran.log(&name))).collect()
}

fn without_ours(lines: &[String]) -> Vec<&String> {
    let is_ours = |line: &&String| OURS.iter().any(|name| line.starts_with(name));
    lines.iter().filter(|line| !is_ours(line)).collect()
}

/// Compares line by line, and says which differ: an environment is too long to look at.
fn compare(theirs: Call, ours: Call, targets: &[&str]) {
    let (theirs, ours) = (theirs.run().exits(0), ours.run().exits(0));
    let (expected, found) = (surroundings(&theirs), surroundings(&ours));
    assert_eq!(expected.keys().collect::<Vec<_>>(), targets, "{theirs}");
    assert_eq!(found.keys().collect::<Vec<_>>(), targets, "{ours}");
    for target in targets {
        let (expected, found) = (without_ours(&expected[*target]), without_ours(&found[*target]));
        let only = |these: &[&String], those: &[&String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).map(|l| (*l).clone()).collect()
        };
        let (missing, surplus) = (only(&expected, &found), only(&found, &expected));
        assert_eq!((missing, surplus), (vec![], vec![]), "missing, surplus in {target}; {ours}");
        assert_eq!(found, expected, "{target}; {ours}");
    }
}

const TARGETS: [&str; 5] =
    ["demonstration.env", "environment.env", "integration.env", "measurement.env", "recorder.env"];

#[test]
fn every_kind_of_target_sees_what_cargo_test_shows_it() {
    for partest in ["partest", "partest --isolate -j1", "partest -j0"] {
        let (theirs, ours) = (cargo("environment").args("test"), cargo("environment"));
        compare(theirs, ours.args(partest), &TARGETS);
    }
}

#[test]
fn a_users_variables_reach_the_tests_and_library_paths_keep_their_order() {
    let with = |call: Call| {
        let call =
            call.env("LD_LIBRARY_PATH", "/nowhere:/elsewhere").env("CARGO_TERM_COLOR", "never");
        call.env("RUST_BACKTRACE", "0").env("RUST_LOG", "a=b, c").env("EMPTY", "")
    };
    let (theirs, ours) = (cargo("environment").args("test"), cargo("environment").args("partest"));
    compare(with(theirs), with(ours), &TARGETS);
}

#[test]
fn ours_are_four_and_say_where_a_test_runs() {
    let ran = cargo("environment").args("partest -j2").run().exits(0);
    for (target, lines) in surroundings(&ran) {
        let value = |name: &str| {
            let found = lines.iter().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_else(|| panic!("{name} in {target}; {ran}")).trim_matches('"')
        };
        let ours = lines.iter().filter(|line| line.starts_with("PARTEST")).count();
        assert_eq!((ours, value("PARTEST=")), (4, "1"), "{target}; {ran}");
        assert!(!value("PARTEST_RUN_ID=").is_empty(), "{target}; {ran}");
        assert!(value("PARTEST_SLOT=").parse::<u32>().unwrap() < 2, "{target}; {ran}");
        assert!(value("PARTEST_WORKER=").parse::<u32>().is_ok(), "{target}; {ran}");
    }
}

const RECORDER: &str = r#"
#[cfg(test)]
mod tests {
    #[test]
    fn writes_it_down() {
        let mut lines: Vec<String> = std::env::vars_os().map(|v| format!("{}={:?}\n", v.0.display(), v.1)).collect();
        lines.sort();
        let text = format!("{:?}\n{}", std::env::current_dir().unwrap(), lines.concat());
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        std::fs::write(log.join("macros.env"), text).unwrap();
    }
}
"#;

const CONFIG: &str = r#"
[env]
PLAIN = "one"
RELATIVE = { value = "some/where", relative = true }
FORCED = { value = "by the configuration", force = true }
NOT_FORCED = "by the configuration"
"#;

/// A proc-macro's tests need rustc's own libraries; the configuration has variables, too.
#[test]
fn proc_macros_and_configured_variables_are_as_under_cargo_test() {
    let package = Package::new(&[
        (
            "Cargo.toml",
            "[package]\nname = \"macros\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n[workspace]\n",
        ),
        ("src/lib.rs", RECORDER),
        (".cargo/config.toml", CONFIG),
    ]);
    let with = |call: Call| call.env("FORCED", "by the user").env("NOT_FORCED", "by the user");
    let (theirs, ours) = (package.cargo().args("test"), package.cargo().args("partest"));
    compare(with(theirs), with(ours), &["macros.env"]);
}

/// rusty-fork, and with it proptest's `fork`, start the test again with the arguments that
/// they find; those of the agent's channel would be refused.
#[test]
fn tests_that_start_themselves_again_find_arguments_that_libtest_takes() {
    let again = r#"
        #[test]
        fn starts_itself_again() {
            if std::env::var_os("AGAIN").is_some() {
                return;
            }
            let own = std::env::current_exe().unwrap();
            let given = std::env::args().skip(1);
            let given: Vec<String> = given.filter(|arg| !arg.contains("::")).collect();
            let mut command = std::process::Command::new(own);
            let ended = command.args(given).env("AGAIN", "1").output().unwrap();
            assert!(ended.status.success(), "{ended:?}");
        }
    "#;
    let ran = fixture::Package::shop("", again).partest().args("-j1").run().exits(0);
    assert!(ran.stdout.contains("PASSED 1 passed"), "{ran}");
}
