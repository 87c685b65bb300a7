//! A test is surrounded by the same things under `cargo partest` as under `cargo test`: every
//! variable and the working directory, for every kind of target.

use std::collections::BTreeMap;

use crate::fixture::{self, Call, Package, Ran, cargo};

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

/// It is the agent's variable too, which puts its own library first.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn libraries_that_the_project_preloads_are_loaded() {
    let manifest = "[package.metadata.partest.modules]\n\
        \"shop::a\" = { env = { LD_PRELOAD = \"libresolv.so.2\" } }\n";
    let library = r#"
mod a {
    #[test]
    fn is_loaded() {
        assert_eq!(std::env::var("LD_PRELOAD").as_deref(), Ok("libresolv.so.2"));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.contains("libresolv.so.2"), "{maps}");
    }
    #[test]
    fn is_here_too() { is_loaded() }
}
"#;
    let package = Package::shop(manifest, library);
    // With and without processes that are forked from one that is loaded already.
    for words in ["", "--isolate", "--no-agent"] {
        package.partest().args(words).run().exits(0);
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

/// Its tests need rustc's own libraries.
fn macros(config: &str) -> Package {
    Package::new(&[
        (
            "Cargo.toml",
            "[package]\nname = \"macros\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n[workspace]\n",
        ),
        ("src/lib.rs", RECORDER),
        (".cargo/config.toml", config),
    ])
}

#[test]
fn proc_macros_and_configured_variables_are_as_under_cargo_test() {
    let package = macros(CONFIG);
    let with = |call: Call| call.env("FORCED", "by the user").env("NOT_FORCED", "by the user");
    let (theirs, ours) = (package.cargo().args("test"), package.cargo().args("partest"));
    compare(with(theirs), with(ours), &["macros.env"]);
}

/// Tests get it as typed, and not as `cargo metadata` is read.
#[test]
fn rust_versions_are_as_under_cargo_test() {
    let root = "[workspace]\nresolver = \"2\"\nmembers = [\"inherits\", \"old\", \"quotes\"]\n\
        [workspace.package]\nrust-version = '1.70'\n";
    let member = |name: &str, keys: &str| format!("[package]\nname = \"{name}\"\n{keys}\n");
    let library = "#[test]\nfn writes_it_down() {\n    let v = |name| std::env::var(name).unwrap();\n\
        let to = v(\"FIXTURE_LOG\") + \"/\" + &v(\"CARGO_PKG_NAME\");\n\
        std::fs::write(to, v(\"CARGO_PKG_RUST_VERSION\")).unwrap();\n}\n";
    let package = Package::new(&[
        ("Cargo.toml", root),
        ("inherits/Cargo.toml", &member("inherits", "rust-version.workspace = true")),
        // This edition alone may go with so old a version, and cargo_metadata does not read it.
        ("old/Cargo.toml", &member("old", "edition = \"2015\"\nrust-version = \"1\"")),
        ("quotes/Cargo.toml", &member("quotes", "rust-version = '1.71'")),
        ("inherits/src/lib.rs", library),
        ("old/src/lib.rs", library),
        ("quotes/src/lib.rs", library),
    ]);
    let (theirs, ours) = (package.cargo().args("test"), package.partest());
    for call in [theirs, ours] {
        let ran = call.args("--lib").run().exits(0);
        let versions = ["inherits", "old", "quotes"].map(|name| ran.log(name).concat());
        assert_eq!(versions, ["1.70", "1", "1.71"], "{ran}");
    }
}

/// A shell that starts `cargo-partest` does not say which cargo there is.
#[test]
fn whoever_starts_it_finds_the_same_toolchain() {
    let package = macros("");
    let (by_cargo, by_a_shell) = (package.partest(), package.partest().without_cargos_variable());
    compare(by_cargo, by_a_shell, &["macros.env"]);
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
    assert!(ran.stdout.contains("1 passed in "), "{ran}");
}

/// A library that writes its surroundings down, configured by a file that includes another, and
/// with files that only the command line names.
fn configured() -> Package {
    let package = Package::shop("", RECORDER);
    let files = [
        (
            ".cargo/config.toml",
            "include = [\"included.toml\"]\n[build]\njobs = \"default\"\n[env]\nFILE = \"near\"\n\
             BOTH = \"near\"\nTABLE = { value = \"a/b\", relative = true }\n",
        ),
        (
            ".cargo/included.toml",
            "[env]\nFILE = \"included\"\nINCLUDED = { value = \"c\", relative = true }\n",
        ),
        (
            "named/deep/named.toml",
            "[env]\nBOTH = \"named\"\nNAMED = { value = \"d\", relative = true }\n",
        ),
        (
            "named/deep/runner.toml",
            "[target.'cfg(unix)']\nrunner = [\"deep/../runner.sh\", \"by file\"]\n",
        ),
        ("inner/README", ""),
    ];
    files.iter().for_each(|(path, text)| package.write(path, text));
    let runner = "#!/bin/sh\nexport RUNNER=\"$1\"; shift; exec \"$@\"\n";
    package.write_script("named/runner.sh", runner);
    package
}

/// Values of `--config`, the user's variables, the directory that cargo is called in.
type Way = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

/// The command line beats variables, and those beat files.
#[test]
fn what_the_command_line_configures_is_as_under_cargo_test() {
    const BY_VARIABLE: (&str, &str) =
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "named/runner.sh variable");
    const BY_CFG: &str = "target.'cfg(unix)'.runner='named/runner.sh by-value'";
    const BY_TRIPLE: &str =
        "target.x86_64-unknown-linux-gnu.runner=['named/runner.sh', 'by value']";
    const USERS: (&str, &str) = ("USERS", "theirs");
    let ways: [Way; 12] = [
        (&[], &[], ""),
        (&["named/deep/named.toml", "env.LATER='value'", "env.BOTH='last'"], &[], ""),
        (&["env.BOTH='first'", "named/deep/named.toml"], &[], ""),
        (&["env.K.value='k'", "env.K.relative=true", "env.TABLE.value='t/u'"], &[], "inner"),
        (&["../named/deep/named.toml"], &[], "inner"),
        (&["env.USERS='ours'"], &[USERS], ""),
        (&["env.USERS.value='ours'", "env.USERS.force=true"], &[USERS], ""),
        (&["env.BOTH='value'"], &[("CARGO_ENV_BOTH", "var"), ("CARGO_ENV_FILE", "var")], ""),
        (&[BY_CFG], &[], ""),
        (&[BY_CFG], &[BY_VARIABLE], ""),
        (&["named/deep/runner.toml"], &[], ""),
        (&[BY_TRIPLE], &[BY_VARIABLE], ""),
    ];
    let package = configured();
    for (options, variables, directory) in ways {
        let with = |call: Call| {
            let call = options.iter().fold(call.within(directory), |c, o| c.arg("--config").arg(o));
            variables.iter().fold(call.args("--lib"), |call, (name, value)| call.env(name, value))
        };
        for flags in ["", "-j8", "--no-agent", "--isolate"] {
            let (theirs, ours) = (package.cargo().args("test"), package.cargo().args("partest"));
            compare(with(theirs), with(ours.args(flags)), &["macros.env"]);
        }
    }
}

#[test]
fn a_target_may_be_named_in_every_way_and_a_compilers_wrapper_is_no_compiler() {
    const HOST: &str = "x86_64-unknown-linux-gnu";
    let package = configured();
    package.write_script("wrapper.sh", "#!/bin/sh\nexec \"$@\"\n");
    let (by_flag, by_value) =
        (format!("--target {HOST}"), format!("--config build.target=\"{HOST}\""));
    let all = ["--release", "--target host-tuple", &by_flag, &by_value];
    let is_host = cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"));
    for way in &all[..if is_host { 4 } else { 2 }] {
        let with = |call: Call| {
            call.args("--lib").args(way).env("RUSTC_WRAPPER", package.path("wrapper.sh"))
        };
        let (theirs, ours) = (package.cargo().args("test"), package.cargo().args("partest"));
        compare(with(theirs), with(ours), &["macros.env"]);
    }
}

const MODES: [&str; 6] = ["", "-j1", "-j8", "-j8 --no-agent", "--isolate", "-j8 --isolate"];

/// Ten tests that fail where two of them meet.
fn ten_that_must_not_meet() -> String {
    let alone = "
        fn alone() {
            let inside = std::path::PathBuf::from(std::env::var_os(\"FIXTURE_LOG\").unwrap()).join(\"inside\");
            std::fs::create_dir(&inside).expect(\"another test is inside\");
            std::thread::sleep(std::time::Duration::from_millis(10));
            std::fs::remove_dir(inside).unwrap();
        }";
    (0..10).fold(alone.to_owned(), |text, at| format!("{text}\n#[test] fn t{at}() {{ alone() }}"))
}

/// It holds as if the user had set it: for all tests of a binary, in however many processes.
#[test]
fn a_bound_on_threads_may_be_configured() {
    let package = Package::shop("", &ten_that_must_not_meet());
    let all_pass = |call: Call| {
        let ran = call.json().run().exits(0);
        assert_eq!(ran.ids("passed").len(), 10, "{ran}");
    };
    package.write(".cargo/config.toml", "[env]\nRUST_TEST_THREADS = \"1\"\n");
    MODES.iter().for_each(|mode| all_pass(package.partest().args(mode)));
    let users = package.partest().json().env("RUST_TEST_THREADS", "2").run();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(users.events()[0]["slots"], 2.min(cores), "the user has the last word; {users}");
    package.write(".cargo/config.toml", "");
    let by_value = "--config env.RUST_TEST_THREADS=\"1\"";
    MODES.iter().for_each(|mode| all_pass(package.partest().args(mode).args(by_value)));
    all_pass(package.partest().args("-j8").env("RUST_TEST_THREADS", "1"));
}

#[test]
fn that_nothing_is_captured_may_be_configured() {
    let package = Package::shop("", "#[test] fn says_it() { println!(\"as it comes\") }");
    let says_it = |ran: &Ran| ran.stdout.contains("as it comes");
    let ran = package.partest().run().exits(0);
    assert!(!says_it(&ran), "{ran}");
    for (value, expected) in [("1", true), ("0", false)] {
        let text = format!("[env]\nRUST_TEST_NOCAPTURE = \"{value}\"\n");
        package.write(".cargo/config.toml", &text);
        for mode in MODES {
            let ran = package.partest().args(mode).run().exits(0);
            assert_eq!(says_it(&ran), expected, "{mode}: {ran}");
        }
    }
}

/// libtest reads them where unstable options are on, as they are under the agent, and never are
/// under `cargo test` with a stable toolchain.
#[test]
fn variables_of_unstable_options_mean_nothing() {
    let test = |name: &str| {
        format!(
            "#[test] fn {name}() {{ use std::io::Write; let log = std::env::var(\"FIXTURE_LOG\")\
             .unwrap(); let file = std::fs::File::options().create(true).append(true)\
             .open(log + \"/order\"); writeln!(file.unwrap(), \"{name}\").unwrap(); \
             assert_eq!(std::env::var(\"RUST_TEST_SHUFFLE\").unwrap(), \"1\"); }}\n"
        )
    };
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let package = Package::shop("", &names.map(test).concat());
    for mode in ["-j1 --policy unit", "-j1 --policy unit --no-agent"] {
        let call = package.partest().args(mode).env("RUST_TEST_SHUFFLE", "1");
        let call = call.env("RUST_TEST_SHUFFLE_SEED", "7").env("RUST_TEST_TIME_UNIT", "no time");
        let ran = call.run().exits(0);
        assert_eq!(ran.log("order"), names, "{mode}: {ran}");
    }
}
