//! What is wrong with the input is told once, clearly, with its place and the way out; nothing is
//! left half done.

#![cfg(unix)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::process::Signal;

use crate::fixture::{self, Package, Ran, cargo, partest};

/// stderr without the lines of progress, which depend on what had to be built.
fn complaints(ran: &Ran) -> String {
    let is_progress = |line: &&str| {
        let verb = line.trim_start().split(' ').next().unwrap_or_default();
        let verbs = ["Blocking", "Compiling", "Finished", "Running", "Updating"];
        line.starts_with("   ") && verbs.contains(&verb)
    };
    ran.stderr.lines().filter(|line| !is_progress(line)).map(|line| format!("{line}\n")).collect()
}

const PASSING: &str = "#[cfg(test)] mod tests { #[test] fn opens() {} }";

mod metadata {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_told_by_its_key_or_flag() {
        let limit = "[workspace.metadata.partest]\nrun-timeout = \"0s\"\n";
        let package = Package::shop(limit, PASSING);
        let ran = package.partest().run().exits(2);
        assert!(ran.stderr.contains("error: `run-timeout` must not be zero\n"), "{ran}");
        assert!(ran.stderr.contains("remove `run-timeout` to set no limit"), "{ran}");
        let ran = Package::shop("", PASSING).partest().args("--max-crashes 0").run().exits(2);
        assert!(ran.stderr.contains("expected a number, 1 or more"), "{ran}");
    }

    const WRONG_KEYS: &str = r#"error: unknown key `treads`
 --> Cargo.toml:9:1
  |
9 | treads = 2 # an unknown key: threads
  | ^^^^^^
  |
  = help: did you mean `threads`?
error: `timeout` must be a duration such as "30s"
  --> Cargo.toml:10:11
   |
10 | timeout = 30 # a number where a duration such as "30s" belongs
   |           ^^
error: invalid duration for `linger`
  --> Cargo.toml:11:10
   |
11 | linger = "100 parsecs" # no unit of time
   |          ^^^^^^^^^^^^^
   |
   = help: expected a number and a unit, such as 100ms, 30s, 2m or 1h
error: unknown policy `spilt`
  --> Cargo.toml:14:26
   |
14 | "wrong_keys::spelling" = "spilt" # an unknown policy: split
   |                          ^^^^^^^
   |
   = help: did you mean `split`?
error: `isolate` must be true or false
  --> Cargo.toml:15:53
   |
15 | "wrong_keys::types" = { policy = "split", isolate = "yes" } # a text where true or false belongs
   |                                                     ^^^^^
error: lock `scales` is in both `read` and `write`
  --> Cargo.toml:16:51
   |
16 | "wrong_keys::scales" = { policy = "unit", locks = { read = ["scales"], write = ["scales"] } } # one lock, both ways
   |                                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove it from `read`: a writer excludes all readers
error: fixture `databse` is not defined
  --> Cargo.toml:17:55
   |
17 | "wrong_keys::server" = { policy = "shared", fixture = "databse" } # an undefined fixture: database
   |                                                       ^^^^^^^^^
   |
   = help: did you mean `database`?
error: `policy = "shared"` requires `fixture`
  --> Cargo.toml:18:24
   |
18 | "wrong_keys::client" = "shared" # shared without a fixture
   |                        ^^^^^^^^
   |
   = help: use { policy = "shared", fixture = "NAME" }
error: `fixture` conflicts with `policy = "split"`
  --> Cargo.toml:19:55
   |
19 | "wrong_keys::offline" = { policy = "split", fixture = "database" } # a fixture without shared
   |                                                       ^^^^^^^^^^
   |
   = help: use policy = "shared", or remove `fixture`
error: unknown value `on-error` for `recycle`
  --> Cargo.toml:21:51
   |
21 | "wrong_keys::pool" = { policy = "unit", recycle = "on-error" } # an unknown value: on-failure
   |                                                   ^^^^^^^^^^
   |
   = help: expected one of: on-failure, on-leak
error: aborting due to 10 previous errors
"#;

    #[test]
    fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
        for task in ["", "plan", "list"] {
            let ran = partest("wrong_keys").args(task).run().exits(2);
            assert_eq!((complaints(&ran).as_str(), ran.stdout.as_str()), (WRONG_KEYS, ""), "{ran}");
        }
    }

    const PATH: &str = "\
warning: `shop::test` matches no test
 --> Cargo.toml:6:1
  |
6 | \"shop::test\" = \"unit\"
  | ^^^^^^^^^^^^
  |
  = help: did you mean `shop::tests`?
";

    #[test]
    fn a_path_that_matches_no_test_is_a_warning_only() {
        let modules = "[package.metadata.partest.modules]\n\"shop::test\" = \"unit\"\n";
        let ran = Package::shop(modules, PASSING).partest().run().exits(0);
        assert_eq!(complaints(&ran), PATH, "{ran}");
    }

    #[test]
    fn a_configuration_of_nextest_is_a_warning_until_there_is_one_of_ours() {
        let told = "warning: .config/nextest.toml is not read; settings are in Cargo.toml, under \
                    [workspace.metadata.partest]\n";
        let ours = "[package.metadata.partest]\ntimeout = \"30s\"\n";
        for (metadata, task, expected) in [("", "", 1), ("", "plan", 1), (ours, "", 0)] {
            let package = Package::shop(metadata, PASSING);
            package.write(".config/nextest.toml", "[profile.default]\nretries = 2\n");
            let ran = package.partest().args(task).run().exits(0);
            assert_eq!(complaints(&ran).matches(told).count(), expected, "{ran}");
        }
    }

    #[test]
    fn a_key_of_nextest_is_told_what_it_is_called_here() {
        let keys = "[package.metadata.partest]\nslow-timeout = { period = \"60s\" }\n";
        let ran = Package::shop(keys, PASSING).partest().run().exits(2);
        let help = "= help: use `slow` for the time after which a test is reported, `timeout` for \
                    the time after which it is stopped\n";
        assert!(complaints(&ran).starts_with("error: unknown key `slow-timeout`\n"), "{ran}");
        assert!(ran.stderr.contains(help), "{ran}");
    }

    const NOT_YET: &str = "\
error: leaks of kind `fd` are not supported yet
 --> Cargo.toml:6:11
  |
6 | leaks = { fd = \"deny\", thread = \"deny\", ignore = [{ socket = \"*\" }] }
  |           ^^
  |
  = help: remove it; supported kinds: thread, process, panic, pool
error: leaks of kind `socket` are not supported yet
 --> Cargo.toml:6:53
  |
6 | leaks = { fd = \"deny\", thread = \"deny\", ignore = [{ socket = \"*\" }] }
  |                                                     ^^^^^^
  |
  = help: remove it; supported kinds: thread, process, panic, pool
error: aborting due to 2 previous errors
";

    #[test]
    fn no_kind_of_leak_is_promised_that_nobody_looks_for() {
        let leaks = r#"leaks = { fd = "deny", thread = "deny", ignore = [{ socket = "*" }] }"#;
        let package = Package::shop(&format!("[package.metadata.partest]\n{leaks}\n"), PASSING);
        let ran = package.partest().run().exits(2);
        assert_eq!(complaints(&ran), NOT_YET, "{ran}");
        for kind in ["output", "cwd", "env", "tempfile"] {
            let leaks = format!("[package.metadata.partest]\nleaks = {{ {kind} = \"allow\" }}\n");
            let ran = Package::shop(&leaks, PASSING).partest().run().exits(2);
            let title = format!("leaks of kind `{kind}` are not supported yet");
            assert!(ran.stderr.contains(&title), "{ran}");
        }
    }

    #[test]
    fn a_duplicate_key_is_cargos_to_complain_about() {
        let modules = "[package.metadata.partest]\ntimeout = \"1s\"\ntimeout = \"2s\"\n";
        let package = Package::shop(modules, PASSING);
        let theirs = package.cargo().args("test --no-run").run().exits(101);
        let ours = package.partest().run().exits(101);
        assert_eq!(complaints(&ours), complaints(&theirs), "{ours}");
        assert!(ours.stderr.contains("Cargo.toml:7:1"), "{ours}");
    }
}

mod the_build {
    use super::*;

    /// What cargo says, once, and with its exit code.
    #[track_caller]
    fn as_cargo_says(package: &Package, flags: &str) {
        let theirs = package.cargo().args("test --no-run").args(flags).run().exits(101);
        let ours = package.partest().args(flags).run().exits(101);
        assert_eq!(complaints(&ours), complaints(&theirs), "{ours}");
        assert_eq!(ours.stdout, "", "{ours}");
        assert!(!theirs.stderr.is_empty(), "{theirs}");
    }

    #[test]
    fn a_manifest_that_cannot_be_parsed_is_told_once() {
        as_cargo_says(&Package::new(&[("Cargo.toml", "[package\nname = 1")]), "");
    }

    #[test]
    fn a_directory_without_a_manifest_is_told_once() {
        // Not below this repository, in which cargo would find one.
        let nowhere = tempfile::TempDir::new().unwrap();
        let theirs = cargo("passes").within(nowhere.path()).args("test --no-run").run().exits(101);
        let ours = partest("passes").within(nowhere.path()).run().exits(101);
        assert_eq!(complaints(&ours), complaints(&theirs), "{ours}");
    }

    #[test]
    fn a_package_nobody_knows_is_told_once() {
        as_cargo_says(&Package::shop("", PASSING), "-p bank");
    }

    #[test]
    fn a_target_nobody_knows_is_told_once() {
        as_cargo_says(&Package::shop("", PASSING), "--test till");
    }

    #[test]
    fn a_type_error_is_shown_as_rustc_shows_it() {
        let ran = partest("does_not_build").run().exits(101);
        assert_eq!(ran.stdout, "", "{ran}");
        let error = "error[E0308]: mismatched types\n --> src/lib.rs:7:5\n";
        assert_eq!(ran.stderr.matches(error).count(), 1, "{ran}");
        assert!(ran.stderr.contains("error: could not compile `does_not_build`"), "{ran}");
    }

    /// A build that is ended within a line of progress, which cargo writes piece by piece.
    const HALF_A_LINE: &str = "#!/bin/sh
case \"$1\" in test) printf '   Compi' >&2; echo >\"$FIXTURE_LOG/builds\"; exec sleep 600;; esac
until [ -e \"$FIXTURE_LOG/builds\" ]; do sleep 0.01; done
exec cargo \"$@\"
";

    #[test]
    fn what_ends_it_within_a_line_is_told_on_a_line_of_its_own() {
        let begun = "   Compi\n";
        let wrong = Package::shop("[package.metadata.partest]\ntreads = 2\n", PASSING);
        let cargo = wrong.write_script("half-a-line", HALF_A_LINE);
        let ran = wrong.partest().env("CARGO", &cargo).run().exits(2);
        assert!(ran.stderr.starts_with(&format!("{begun}error: unknown key `treads`\n")), "{ran}");

        let package = Package::shop("", PASSING);
        let cargo = package.write_script("half-a-line", HALF_A_LINE);
        let builds = package.partest().env("CARGO", &cargo).start();
        builds.await_log("builds");
        builds.send(Signal::INT);
        let ran = builds.wait().exits(130);
        assert!(ran.stderr.lines().any(|line| line == begun.trim_end()), "{ran}");
        assert!(ran.stderr.lines().any(|line| line.starts_with("interrupted")), "{ran}");
    }

    #[test]
    fn a_cargo_that_does_not_exist_is_named() {
        let ran = partest("passes").env("CARGO", "/nowhere/cargo").run().exits(1);
        assert!(ran.stderr.starts_with("error: "), "{ran}");
        assert!(ran.stderr.contains("/nowhere/cargo"), "{ran}");
    }
}

mod the_command_line {
    use super::*;

    #[test]
    fn a_wrong_word_is_told_the_nearest_right_one() {
        let table = [
            ("--no-fail-fats", "`--no-fail-fast`"),
            ("--polcy unit", "`--policy`"),
            ("--policy spilt", "'split'"),
            ("--message-format jsn", "'json'"),
            ("--no-tests=past", "'pass'"),
            ("-- --includ-ignored", "`--include-ignored`"),
            ("-- --exat", "`--exact`"),
        ];
        for (flags, nearest) in table {
            let ran = partest("passes").args(flags).run().exits(2);
            assert!(ran.stderr.contains(nearest) && ran.stdout.is_empty(), "{nearest}; {ran}");
        }
    }

    /// All flags are in the unit tests of src/cli.
    #[test]
    fn a_flag_of_another_test_runner_is_told_what_to_use_here() {
        let table = [
            ("--list", "--list", "to list the tests, use `cargo partest list`"),
            ("-- --list", "--list", "to list the tests, use `cargo partest list`"),
            ("plan -- --doc", "--doc", "`--doc` goes before `--`: cargo partest --doc"),
            (
                "--cargo-profile=ci",
                "--cargo-profile",
                "use `--profile NAME`, which is cargo's profile",
            ),
            (
                "--nocapture",
                "--nocapture",
                "`--nocapture` goes after `--`: cargo partest -- --nocapture",
            ),
            ("-- --isolate", "--isolate", "`--isolate` goes before `--`: cargo partest --isolate"),
        ];
        for (flags, flag, tip) in table {
            let ran = partest("passes").args(flags).run().exits(2);
            let told = format!("error: unexpected argument '{flag}' found\n\n  tip: {tip}\n");
            let rest = ran.stderr.strip_prefix(&told);
            let rest = rest.unwrap_or_else(|| panic!("{told}; {ran}"));
            assert!(!rest.contains("tip:") && ran.stdout.is_empty(), "one tip only; {ran}");
        }
    }

    #[test]
    fn a_command_that_is_misspelled_is_told_the_nearest_one() {
        let ran = partest("passes").args("lst").run().exits(4);
        let told = "error: no test matches `lst`: did you mean the command `list`?\n";
        assert_eq!(complaints(&ran), told, "{ran}");
        // After a command, it is a filter and nothing else.
        let ran = partest("passes").args("run lst").run().exits(4);
        let told = "error: no test matches `lst`: `cargo partest list` shows what there is\n";
        assert_eq!(complaints(&ran), told, "{ran}");
    }

    #[test]
    fn a_test_that_is_misspelled_is_told_the_nearest_one() {
        for (filter, near) in [
            ("water_freeses", "passes::temperature::tests::water_freezes"),
            ("journey::a_jorney_adds_up", "journey::a_journey_adds_up"),
        ] {
            let ran = partest("passes").args(filter).run().exits(4);
            let told = format!("error: no test matches `{filter}`: did you mean `{near}`?\n");
            assert_eq!(complaints(&ran), told, "{ran}");
        }
        let ran = partest("passes").args("--debugger true water_freeses").run().exits(4);
        assert!(ran.stderr.contains("did you mean `passes::temperature::tests"), "{ran}");
        for (filter, tip) in [
            ("passes", "for the tests of a package, use `-p passes`"),
            ("tests/journey.rs", "for the tests of a file, use `--test journey`"),
            ("src/lib.rs", "for the tests of a file, use `--lib`"),
            ("crates/a/src/db/mod.rs", "for the tests of a file, use `db::`"),
            ("water*", "a filter is a part of a name; for a pattern, use `-E 'test(#water*)'`"),
        ] {
            let ran = partest("passes").args(filter).run().exits(4);
            let told = format!("error: no test matches `{filter}`: {tip}\n");
            assert_eq!(complaints(&ran), told, "{ran}");
        }
        // Which of them was wrong is not known.
        let ran = partest("passes").args("water_freeses nowhere").run().exits(4);
        assert!(ran.stderr.contains("shows what there is"), "{ran}");
    }

    #[test]
    fn a_number_of_threads_is_one_or_more() {
        for number in ["0", "-1", "many"] {
            let ran = partest("passes").args(&format!("-- --test-threads={number}")).run().exits(2);
            assert!(ran.stderr.contains("expected a number of threads, 1 or more\n"), "{ran}");
        }
    }

    #[test]
    fn a_value_of_a_flag_is_what_the_error_says() {
        let a_limit = "expected a duration above 0\n";
        for (flags, expected) in [
            ("--retries=many", "expected a number\n"),
            ("--shuffle=again", "expected a number\n"),
            ("--durations all", "expected a number\n"),
            ("--timeout 0s", a_limit),
            ("--run-timeout 0s", a_limit),
        ] {
            let ran = partest("passes").args(flags).run().exits(2);
            assert!(ran.stderr.contains(expected), "{ran}");
        }
        let ran = partest("passes").args("list --html out.html").run().exits(0);
        let told = "warning: `--html` has no effect: no test is run\n";
        assert_eq!(complaints(&ran), told, "{ran}");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let table = [
            "--isolate --policy unit",
            "--isolate --no-partition",
            "--no-partition --policy split",
            "-- --ignored --include-ignored",
            "--timeout soon",
            "-j",
        ];
        for flags in table {
            let ran = partest("passes").args(flags).run().exits(2);
            assert!(ran.stderr.starts_with("error: ") && ran.stdout.is_empty(), "{ran}");
        }
    }

    #[test]
    fn where_there_is_no_cargo_the_error_says_what_to_do() {
        let call = partest("passes").without_cargos_variable().env("PATH", "/nowhere");
        let ran = call.run().exits(1);
        let told = "; install Rust, or add the directory of `cargo` to PATH\n";
        assert!(ran.stderr.starts_with("error: cannot start `cargo`: "), "{ran}");
        assert!(ran.stderr.ends_with(told), "{ran}");
    }

    #[test]
    fn words_that_are_no_text_are_refused() {
        let ran = partest("passes").arg(OsStr::from_bytes(b"caf\xe9")).run().exits(2);
        assert!(ran.stderr.contains("invalid UTF-8"), "{ran}");
    }

    #[test]
    fn no_test_that_matches_is_an_error_a_warning_or_well() {
        let told = "no test matches `nowhere`: `cargo partest list` shows what there is\n";
        let table =
            [("", 4, "error: "), ("--no-tests=warn", 0, "warning: "), ("--no-tests=pass", 0, "")];
        for (flags, code, word) in table {
            let ran = partest("passes").args("nowhere").args(flags).run().exits(code);
            let expected = if word.is_empty() { String::new() } else { format!("{word}{told}") };
            assert_eq!(complaints(&ran), expected, "{ran}");
        }
        let ran = partest("no_tests").run().exits(4);
        let told = "error: no test to run: `cargo partest list` shows what there is\n";
        assert_eq!(complaints(&ran), told, "{ran}");
    }
}

mod listing {
    use super::*;

    /// What is told of a binary, and the command, and what it said.
    #[track_caller]
    fn tells(ran: &Ran, first: &str, binary: &str, said: &str) {
        let lines: Vec<String> = complaints(ran).lines().map(str::to_owned).collect();
        let [what, command, output] = &lines[..] else { panic!("three lines; {ran}") };
        assert_eq!((what.as_str(), output.trim()), (first, said), "{ran}");
        assert!(command.starts_with("  command: ") && command.contains(binary), "{ran}");
        assert!(command.ends_with(" --list --format terse"), "{ran}");
    }

    #[test]
    fn one_of_libtest_that_fails_shows_what_was_said() {
        let ran = Package::with_a_lost_list().partest().run().exits(1);
        let first =
            "error: cannot list the tests of `lost` (test of shop): it ended with exit code 1";
        tells(&ran, first, "/lost-", "| no file catalogue.txt");
        assert!(ran.stdout.starts_with("1 passed, 1 binary not listed in "), "{ran}");
    }

    /// Neither by a run nor by a command that runs nothing.
    #[test]
    fn what_was_said_does_nothing_to_the_terminal() {
        let package = Package::with_a_lost_list();
        let binary = std::fs::read_to_string(package.path("tests/lost.rs")).unwrap();
        let (title, clear) = ("\\x1b]0;mine\\x07", "\\x1b[2J");
        let said = format!("no {title}file {clear}catalogue.txt");
        package.write("tests/lost.rs", &binary.replace("no file catalogue.txt", &said));
        for command in ["", "plan"] {
            let ran = package.partest().args(command).run().exits(1);
            assert!(ran.stderr.contains("| no file catalogue.txt"), "{ran}");
            let is_plain = |c: char| !c.is_control() || c == '\n';
            assert!(ran.stderr.chars().all(is_plain), "{:?}; {ran}", ran.stderr);
        }
    }

    #[test]
    fn a_target_runner_that_does_not_exist_is_named() {
        let package = Package::shop("", PASSING);
        let config = "[target.'cfg(all())']\nrunner = [\"no-such-runner\", \"--quick\"]\n";
        package.write(".cargo/config.toml", config);
        let ran = package.partest().run().exits(1);
        assert!(
            ran.stderr.contains("could not be started: target runner `no-such-runner`: "),
            "{ran}"
        );
        assert!(ran.stderr.contains("command: no-such-runner --quick "), "{ran}");
    }

    /// `cargo test` does not ask for lists.
    #[test]
    fn a_harness_of_ones_own_that_does_not_list_is_one_test() {
        let table = [
            (
                "fails_while_listing",
                "lost_catalogue",
                "it ended with exit code 1",
                "| the terse list is lost: no file catalogue.txt",
            ),
            (
                "hangs_while_listing",
                "slow_catalogue",
                "it did not exit within 1s (`list-timeout`)",
                "| looking for the terse list",
            ),
        ];
        for (fixture, binary, how, said) in table {
            let ran = partest(fixture).run().exits(0);
            let first = format!(
                "warning: `{binary}` (test of {fixture}) runs as one test, judged by its exit code: listing its tests failed: {how}"
            );
            tells(&ran, &first, binary, said);
            assert!(ran.stdout.contains("2 passed in "), "{ran}");
            assert!(!ran.stdout.contains("threads and panics of "), "{ran}");
            // What can never be checked is said to who asks for more.
            let ran = partest(fixture).args("-v").run().exits(0);
            assert!(ran.stdout.contains("threads and panics of "), "{ran}");
        }
    }
}

mod state {
    use super::*;

    fn shop() -> Package {
        Package::shop("", PASSING)
    }

    /// The files of the state directory, all of them whole.
    #[track_caller]
    fn is_whole(package: &Package) {
        let files = std::fs::read_dir(package.path("target/partest")).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        // What cargo says of the packages is there from the first run on in which nothing changed.
        let always: Vec<&String> = names.iter().filter(|n| !n.starts_with("metadata-")).collect();
        assert_eq!(always, ["history.json", "inventory.json"]);
        for name in names {
            let text = std::fs::read_to_string(package.path("target/partest").join(&name)).unwrap();
            let read = serde_json::from_str::<serde_json::Value>(&text);
            assert!(read.is_ok(), "{name}: {read:?} in {text}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_costs_a_warning() {
        let package = shop();
        package.write("target/partest", "somebody's notes");
        let ran = package.partest().run().exits(0);
        assert!(ran.stdout.ends_with("\n") && ran.stdout.contains("1 passed in "), "{ran}");
        assert!(complaints(&ran).contains("warning: could not write "), "{ran}");
        let kept = std::fs::read_to_string(package.path("target/partest")).unwrap();
        assert_eq!(kept, "somebody's notes");
    }

    #[test]
    fn a_damaged_file_is_told_and_written_anew() {
        let package = shop();
        for damage in ["", "{", "[1, 2]", "\0\0\0", "{\"binaries\": 7}", "null"] {
            package.write("target/partest/history.json", damage);
            package.write("target/partest/inventory.json", damage);
            let ran = package.partest().run().exits(0);
            for name in ["history.json", "inventory.json"] {
                let path = package.path("target/partest").join(name);
                let told = format!("warning: ignored damaged file `{}` (", path.display());
                assert_eq!(ran.stderr.matches(&told).count(), 1, "{damage:?}; {ran}");
            }
            is_whole(&package);
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_costs_a_warning() {
        let package = shop();
        for name in ["history.json", "inventory.json"] {
            package.write(&format!("target/partest/{name}/in_the_way"), "");
        }
        let ran = package.partest().run().exits(0);
        for name in ["history.json", "inventory.json"] {
            let path = package.path("target/partest").join(name);
            let told = format!("warning: could not write `{}`", path.display());
            assert_eq!(ran.stderr.matches(&told).count(), 1, "{ran}");
        }
        let files = std::fs::read_dir(package.path("target/partest")).unwrap();
        assert_eq!(files.count(), 2, "no temporary file is left; {ran}");
    }

    /// A limit of no bytes for a file is what a full disk is like.
    #[test]
    fn a_full_disk_leaves_the_old_files_whole() {
        let package = Package::shop(
            "",
            "#[test] fn opens() { assert!(std::env::var_os(\"FAILS\").is_none()) }\n",
        );
        package.partest().run().exits(0);
        let before = std::fs::read_to_string(package.path("target/partest/history.json")).unwrap();
        // A failure is news for the plan of the next run.
        let ran = package.partest().env("FAILS", "1").with_a_full_disk().run().exits(100);
        assert!(complaints(&ran).contains("warning: could not write "), "{ran}");
        is_whole(&package);
        let after = std::fs::read_to_string(package.path("target/partest/history.json")).unwrap();
        assert_eq!(after, before, "{ran}");
    }

    /// The signal of a limit on the size of files, which nobody ignores here.
    #[test]
    fn a_limit_on_the_size_of_files_does_not_end_the_run_without_a_report() {
        let package = Package::shop(
            "",
            "#[test] fn opens() { assert!(std::env::var_os(\"FAILS\").is_none()) }\n",
        );
        package.partest().run().exits(0);
        let line = format!("ulimit -f 0; exec {} partest", fixture::PROGRAM);
        let ran = package.partest().env("FAILS", "1").shell(&line).run().exits(100);
        assert!(ran.stdout.contains("1 failed in "), "{ran}");
        assert!(complaints(&ran).contains("warning: could not write "), "{ran}");
    }

    #[test]
    fn two_runs_at_once_leave_whole_files() {
        let package = shop();
        package.partest().run().exits(0);
        let runs: Vec<_> = (0..4).map(|_| package.partest().start()).collect();
        runs.into_iter().for_each(|run| drop(run.wait().exits(0)));
        is_whole(&package);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_anything_is_built() {
    let package = Package::shop("", "compile_error!(\"built\");");
    let elsewhere = "name a file elsewhere";
    let table = [
        ("--html .", "`--html .`: it is a directory; name a file in it"),
        ("--durations-file src", "`--durations-file src`: it is a directory; name a file in it"),
        ("archive --file src/", "`--file src/`: it is a directory; name a file in it"),
        ("merge none.json --trace src", "`--trace src`: it is a directory; name a file in it"),
        (
            "--junit src/lib.rs/new/out.xml",
            &format!(
                "`--junit src/lib.rs/new/out.xml`: cannot create a file in `src/lib.rs`: it is no \
                 directory; {elsewhere}"
            ),
        ),
        ("--markdown out --html out", "`--markdown` and `--html` name the same file, `out`"),
    ];
    for (words, says) in table {
        let ran = package.partest().args(words).json().run().exits(2);
        assert_eq!(ran.stderr, format!("error: {says}\n"), "{ran}");
        assert_eq!(ran.events()[0]["event"], "usage-error", "{ran}");
    }
    // Where nobody can create a file.
    if cfg!(target_os = "linux") {
        let ran = package.partest().args("--html /proc/out.html").run().exits(2);
        let says = "error: `--html /proc/out.html`: cannot create a file in `/proc`: ";
        assert!(ran.stderr.starts_with(says) && ran.stderr.lines().count() == 1, "{ran}");
    }

    let table = "[package.metadata.partest]\nreports = { html = \"src\" }\n";
    let declared = Package::shop(table, "compile_error!(\"built\");");
    let ran = declared.partest().run().exits(2);
    let says = "error: `reports.html = \"src\"`: it is a directory; name a file in it\n";
    assert_eq!(complaints(&ran), says, "{ran}");
    // Another one, in directories that are made when it is written.
    let ran = declared.partest().args("--html new/dir/out.html --junit /dev/stdout").run();
    assert!(ran.exits(101).stderr.contains("built"));
    assert!(!declared.path("new").exists());
}
