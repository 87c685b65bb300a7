//! Nothing that a test does may break the run, nor what happens to the run's surroundings. What
//! tests do to their process is in the fixture `torture`, which `verdicts` compares.

#![cfg(target_os = "linux")]

use crate::fixture::{self, Call, Package, Ran, partest, text};

const BOTH_WAYS: [&str; 2] = ["", "--no-agent"];

mod memory {
    use super::*;
    use std::time::Duration;

    /// The most memory that the runner had, in KiB.
    fn of_the_runner(call: Call) -> u64 {
        let mut running = call.start();
        let user = running.pid().to_string();
        // The guard is below the process that was started, and the runner below the guard.
        let below = |pid: String| fixture::children_of(&pid).into_iter().next();
        let runner = || below(user.clone()).and_then(below);
        fixture::await_that("the runner", || runner().is_some());
        let status = format!("/proc/{}/status", runner().unwrap());
        let most = std::thread::spawn(move || {
            let mut most = 0;
            while let Ok(text) = std::fs::read_to_string(&status) {
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let Some(line) = line else { break };
                most = line.trim().trim_end_matches(" kB").parse().unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        });
        running.await_end();
        most.join().unwrap()
    }

    /// Of 64 MiB that a test prints, a part of both ends is kept: where it fails, passes, and
    /// writes past the capture.
    #[test]
    fn does_not_grow_with_what_tests_print() {
        const MOST: u64 = 48 * 1024;
        for way in BOTH_WAYS {
            let call = partest("prints_a_lot").args("-j2 --features broken").args(way);
            let broken = of_the_runner(call);
            assert!(broken < MOST, "{broken} KiB with {way:?}");
            let flood = of_the_runner(partest("torture").args("-j2 floods").args(way));
            assert!(flood < MOST, "{flood} KiB with {way:?}");
        }
    }
}

mod a_process_that_dies_before_its_tests {
    use super::*;

    /// It lists its tests, and dies of SIGABRT where a worker's number is set.
    const STILLBORN: &str = r#"
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = {
    extern "C" fn at_start() {
        if std::env::var_os("PARTEST_WORKER").is_some() {
            std::process::abort();
        }
    }
    at_start
};

#[test] fn a() {}
#[test] fn b() {}
"#;

    /// It costs its own tests, after a few attempts, and nobody else's.
    #[test]
    fn does_not_run_for_ever() {
        let package = Package::shop("", "#[test] fn opens() {}");
        package.write("tests/stillborn.rs", STILLBORN);
        for way in BOTH_WAYS {
            let ran = package.partest().json().args("-j2").args(way).run().exits(100);
            assert_eq!(ran.ids("aborted"), ["stillborn::a", "stillborn::b"], "{ran}");
            assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
            assert_eq!(ran.finished()["not-run"], 0, "{ran}");
            assert!(text(&ran.test("stillborn::a")["reason"]).contains("SIGABRT"), "{ran}");
        }
    }
}

mod surroundings {
    use super::*;

    const LIBRARY: &str = "#[test] fn opens() {}\n#[test] fn closes() { panic!() }\n";

    fn comes_out_right(ran: Ran) {
        let ran = ran.exits(100);
        assert_eq!(ran.ids("failed"), ["shop::closes"], "{ran}");
        assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
    }

    /// Bytes that are no text are not among them: rustc itself takes none.
    #[test]
    fn a_target_directory_may_have_any_name() {
        let package = Package::shop("", LIBRARY);
        for name in ["a target", "ta'r$g\"et", "t\u{e4}rget"] {
            let target = package.path(name);
            for way in BOTH_WAYS {
                let call = package.partest().json().args(way).env("CARGO_TARGET_DIR", &target);
                comes_out_right(call.run());
            }
        }
    }

    /// Verdicts do not hang on what is kept between runs. Who may write everywhere still may.
    #[test]
    fn a_target_directory_may_be_read_only() {
        use std::os::unix::fs::PermissionsExt;
        let package = Package::shop("", LIBRARY);
        comes_out_right(package.partest().json().run());
        let target = package.path("target");
        let set = |mode| {
            let state = target.join("partest");
            let all = [state, target.clone()].into_iter().filter(|path| path.exists());
            all.for_each(|path| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            });
        };
        set(0o555);
        for way in BOTH_WAYS {
            let ran = package.partest().json().args(way).run();
            set(0o755);
            comes_out_right(ran);
            set(0o555);
        }
        set(0o755);
    }

    /// Each has verdicts of its own, and all of them.
    #[test]
    fn two_runs_may_share_a_target_directory() {
        let package = Package::shop("", LIBRARY);
        comes_out_right(package.partest().json().run());
        let starts = (0..4).map(|at| {
            let way = BOTH_WAYS[at % 2];
            package.partest().json().args("-j2").args(way).start()
        });
        let runs: Vec<_> = starts.collect();
        runs.into_iter().for_each(|run| comes_out_right(run.wait()));
    }

    /// If the system has no `/proc`, or hides it, less is reported but nothing false. cargo and
    /// rustc need it.
    #[test]
    fn proc_may_be_missing() {
        const LEAVES: &str = "#[test] fn leaves_a_process() {\n    \
            std::process::Command::new(\"sleep\").arg(\"600\").spawn().unwrap();\n}\n";
        const HIDDEN: &str = "mount -t tmpfs none /proc";
        let may = |what: &str| {
            let mut unshare = std::process::Command::new("unshare");
            unshare.args(["-m", "sh", "-c", what]).output().is_ok_and(|out| out.status.success())
        };
        if !may(HIDDEN) || !may("mount -t proc proc /proc") {
            return fixture::skip("only root may mount /proc, and not in every container");
        }
        let package = Package::shop("", &format!("{LIBRARY}{LEAVES}"));
        for name in ["cargo", "rustc"] {
            let script = format!(
                "#!/bin/sh\nexec unshare -m sh -c 'mount -t proc proc /proc; exec {name} \"$@\"' {name} \"$@\"\n"
            );
            package.write_script(name, &script);
        }
        package.cargo().args("test --no-run").run().exits(0);
        for way in ["-j2", "-j2 --no-agent", "-j8 --isolate"] {
            let line = format!(
                "exec unshare -m sh -c '{HIDDEN}; exec {} partest --message-format json {way}'",
                fixture::PROGRAM
            );
            let call = package.partest().env("CARGO", package.path("cargo"));
            let ran = call.env("RUSTC", package.path("rustc")).shell(&line).run().exits(100);
            assert_eq!(ran.ids("failed"), ["shop::closes"], "{way} {ran}");
            assert_eq!(ran.ids("passed"), ["shop::leaves_a_process", "shop::opens"], "{way} {ran}");
            let mark = format!("FIXTURE_LOG={}", ran.log_directory().display());
            let is_left = |pid: &std::path::PathBuf| {
                std::fs::read(pid.join("environ")).is_ok_and(|all| {
                    all.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
                })
            };
            fixture::await_that("the end of all that the run has started", || {
                let all = std::fs::read_dir("/proc").unwrap().flatten();
                !all.map(|entry| entry.path()).any(|pid| is_left(&pid))
            });
        }
    }

    /// Few descriptors are enough, or the run says what it lacks; it never hangs.
    #[test]
    fn few_descriptors_are_enough_or_missed_loudly() {
        let package = Package::shop("", LIBRARY);
        comes_out_right(package.partest().json().run());
        for limit in [8, 16, 24, 32] {
            for way in ["-j8 --isolate", "-j8 --isolate --no-agent"] {
                let line = format!(
                    "ulimit -n {limit}; exec {} partest --message-format json {way}",
                    fixture::PROGRAM
                );
                let ran = package.partest().shell(&line).run();
                match ran.has_not_begun() {
                    true => assert!(ran.stderr.contains("error: "), "{limit} {ran}"),
                    false => {
                        assert!(!ran.ids("passed").contains(&"shop::closes".to_owned()), "{ran}");
                        assert_eq!(ran.verdicts().len(), 2, "{limit} {ran}");
                        ran.exits(100);
                    }
                }
            }
        }
    }

    /// A binary that a build replaces, or that somebody deletes, while its tests run: what has
    /// begun ends as it would, what has not is told.
    #[test]
    fn a_binary_may_go_while_it_runs() {
        const GOES: &str = "\
            #[test] fn a_deletes_its_own_binary() {\n    \
            std::fs::remove_file(std::env::current_exe().unwrap()).unwrap();\n}\n\
            #[test] fn b_dies() { std::process::abort() }\n\
            #[test] fn c_comes_later() {}\n";
        for way in BOTH_WAYS {
            let keys = "[package.metadata.partest.modules]\n\
                \"shop\" = { policy = \"unit\", threads = 1 }\n";
            let package = Package::shop(keys, GOES);
            let ran = package.partest().json().args("-j2").args(way).run().exits(100);
            assert_eq!(ran.ids("passed"), ["shop::a_deletes_its_own_binary"], "{ran}");
            assert_eq!(ran.ids("aborted"), ["shop::b_dies", "shop::c_comes_later"], "{ran}");
            let reason = text(&ran.test("shop::c_comes_later")["reason"]);
            assert!(reason.contains("could not be started"), "{ran}");
        }
    }

    /// Somebody builds again while the tests run: no verdict is told of a program that is not the
    /// one that was listed.
    #[test]
    fn a_binary_may_be_replaced_while_it_runs() {
        const STAYS: &str = "\
            #[test] fn a_waits_for_the_other_build() {\n    \
            let place = std::path::PathBuf::from(std::env::var_os(\"FIXTURE_LOG\").unwrap());\n    \
            std::fs::write(place.join(\"half\"), \"x\\n\").unwrap();\n    \
            std::fs::rename(place.join(\"half\"), place.join(\"runs\")).unwrap();\n    \
            while !place.join(\"go\").exists() { std::thread::yield_now() }\n}\n\
            #[test] fn b_is_wrong() { panic!() }\n";
        for way in ["-j1 --isolate", "-j1 --isolate --no-agent"] {
            let package = Package::shop("", STAYS);
            let run = package.partest().json().args(way).start();
            run.await_log("runs");
            package.write("src/lib.rs", &STAYS.replace("panic!()", ""));
            package.cargo().args("test --no-run").run().exits(0);
            std::fs::write(run.log_directory().join("go"), "").unwrap();
            let ran = run.wait().exits(100);
            assert_eq!(ran.ids("passed"), ["shop::a_waits_for_the_other_build"], "{ran}");
            assert_eq!(ran.ids("aborted"), ["shop::b_is_wrong"], "{ran}");
            let reason = text(&ran.test("shop::b_is_wrong")["reason"]);
            assert!(reason.contains("/shop-") && reason.contains("` was replaced"), "{ran}");
            // The next run knows the new one.
            package.write("go", "");
            let next = package.partest().json().args("b_is_wrong").run().exits(0);
            assert_eq!(next.ids("passed"), ["shop::b_is_wrong"], "{next}");
        }
    }
}

mod names {
    use super::*;

    /// As long as rustc takes them: longer than what the system keeps of a path.
    #[test]
    fn of_four_thousand_bytes_are_handed_out_and_told() {
        let names: Vec<String> = ["x", "y", "z"].map(|letter| letter.repeat(4_000)).into();
        let test = |name: &String| format!("#[test] fn {name}() {{}}\n");
        let library: String = names.iter().map(test).collect();
        let package = Package::shop("", &(library + "#[test] fn other() { panic!() }\n"));
        for way in ["-j1", "-j8 --isolate", "-j2 --no-agent", "-j8 --isolate --no-agent"] {
            let ran = package.partest().json().args(way).run().exits(100);
            let expected: Vec<String> = names.iter().map(|name| format!("shop::{name}")).collect();
            assert_eq!(ran.ids("passed"), expected, "{way}");
            assert_eq!(ran.ids("failed"), ["shop::other"], "{way}");
        }
    }

    /// Of threads, in panics, in what is printed: none moves the cursor or sets a title.
    #[test]
    fn and_messages_with_escapes_leave_the_terminal_alone() {
        for way in BOTH_WAYS {
            let call = partest("torture").args("-j2 escapes").args(way).args("-- --show-output");
            let ran = call.run().exits(100);
            let shown = ran.stdout.clone() + &ran.stderr;
            let is_bad = |c: &char| {
                (c.is_control() && !matches!(c, '\n' | '\t'))
                    || ('\u{202a}'..='\u{202e}').contains(c)
            };
            assert_eq!(shown.chars().find(is_bad), None, "{ran}");
            assert!(shown.contains("and so on"), "{ran}");
        }
    }
}

mod binaries {
    use super::*;

    const MANY: usize = 500;

    fn name(at: usize) -> String {
        format!("t{at:03}")
    }

    /// A package of many test programs, all of them links to the first: cargo's answer is made
    /// of the one that it gave for that.
    fn linked() -> (Package, std::path::PathBuf) {
        const PASSES: &str = "#[test] fn passes() {}\n#[test] fn fails() { assert!(\n\
            !std::env::current_exe().unwrap().to_string_lossy().contains(\"t123-\")) }\n";
        let package = Package::shop("", "");
        package.write("tests/t000.rs", PASSES);
        let line = "test --no-run --test t000 --message-format json";
        let built = package.cargo().args(line).run().exits(0);
        let is_first = |line: &&str| line.contains("\"executable\":\"/") && line.contains("t000-");
        let first = built.stdout.lines().find(is_first).unwrap_or_else(|| panic!("{built}"));
        let executable = serde_json::from_str::<serde_json::Value>(first).unwrap();
        let executable = text(&executable["executable"]);
        let mut lines = String::new();
        for name in (0..MANY).map(name) {
            if name != "t000" {
                package.write(&format!("tests/{name}.rs"), PASSES);
                std::fs::hard_link(&executable, executable.replace("t000-", &format!("{name}-")))
                    .unwrap();
            }
            lines += &first.replace("t000", &name);
            lines.push('\n');
        }
        package.write("answer", &lines);
        let answer = package.path("answer").display().to_string();
        let script = format!("#!/bin/sh\n[ $1 = test ] && exec cat {answer}\nexec cargo \"$@\"\n");
        let cargo = package.write_script("cargo.sh", &script);
        (package, cargo)
    }

    #[track_caller]
    fn come_out_right(ran: Ran, fails: &[&str]) {
        assert_eq!(ran.ids("failed"), fails, "{}", ran.stderr);
        assert_eq!(ran.ids("passed").len() + fails.len(), 2 * MANY, "{}", ran.stderr);
        assert_eq!(ran.events()[0]["binaries"], MANY, "{}", ran.stderr);
    }

    #[test]
    fn may_be_five_hundred() {
        let (package, cargo) = linked();
        for way in ["-j8", "-j2 --no-agent"] {
            let ran = package.partest().json().args(way).env("CARGO", &cargo).run();
            come_out_right(ran, &["t123::fails"]);
        }
    }

    /// Takes minutes: `cargo test --test suite torture -- --ignored`.
    #[test]
    #[ignore = "links 500 programs"]
    fn may_be_five_hundred_that_cargo_has_built() {
        let package = Package::shop("", "");
        for name in (0..MANY).map(name) {
            package.write(&format!("tests/{name}.rs"), "#[test] fn a() {}\n#[test] fn b() {}\n");
        }
        for way in ["-j8", "-j8 --no-agent"] {
            let ran = package.partest().json().args("--tests").args(way).run();
            // The library is one more, without tests.
            assert_eq!(ran.ids("passed").len(), 2 * MANY, "{}", ran.stderr);
            ran.exits(0);
        }
    }
}
