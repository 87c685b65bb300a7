//! How a run ends: by a signal, by a timeout, with processes that do not want to. Nothing that a
//! run started outlives it.

#![cfg(all(feature = "command", target_os = "linux"))]

mod fixture;

use fixture::{Package, Ran, Running, await_that, is_alive, partest, text};
use rustix::process::Signal;

/// One test passes; one says that it is there, and stays. What it does first is up to the
/// caller.
fn stays(first: &str) -> Package {
    let library = r#"
#[cfg(test)]
mod tests {
    unsafe extern "C" {
        #[allow(dead_code)]
        fn signal(number: i32, handler: usize) -> usize;
        #[allow(dead_code)]
        fn raise(number: i32) -> i32;
    }
    fn log() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        std::fs::write(log.join("half"), format!("{}\n", std::process::id())).unwrap();
        // Whole, or not there at all.
        std::fs::rename(log.join("half"), log.join("stays")).unwrap();
    }
    #[test]
    fn a_passes() {}
    #[test]
    fn b_stays() {
        FIRST
        // Past the capture, which nobody can read before the test has ended.
        std::io::Write::write_all(&mut std::io::stderr(), b"still here\n").unwrap();
        log();
        LAST
        loop { std::thread::park() }
    }
    #[test]
    fn c_comes_later() {}
}
"#;
    let (first, last) = first.split_once('|').unwrap_or((first, ""));
    let modules = "[package.metadata.partest.modules]\n\"shop::tests\" = { policy = \"unit\", threads = 1 }\n";
    Package::shop(modules, &library.replace("FIRST", first).replace("LAST", last))
}

const IGNORES_INT: &str = "unsafe { signal(2, 1) };";
const IGNORES_TERM: &str = "unsafe { signal(15, 1) };";
const STOPS_ITSELF: &str = "|unsafe { raise(19) };";

#[track_caller]
fn has_ended(pid: &str) {
    await_that(&format!("the end of process {pid}"), || !is_alive(pid));
}

mod by_a_signal {
    use super::*;

    /// Starts, waits until the test that stays is there, and gives its process.
    fn started(package: &Package) -> (Running, String) {
        let run = package.partest().json().start();
        let pid = run.await_log("stays").concat();
        (run, pid)
    }

    /// What had ended keeps its verdict, what ran is aborted, what had not begun is counted.
    #[track_caller]
    fn is_told_to_the_end(ran: &Ran) {
        let reason = |id: &str| text(&ran.test(id)["reason"]);
        assert_eq!(ran.ids("aborted"), ["shop::tests::b_stays"], "{ran}");
        assert_eq!(reason("shop::tests::b_stays"), "interrupted", "{ran}");
        assert_eq!(ran.ids("passed"), ["shop::tests::a_passes"], "{ran}");
        let finished = ran.finished();
        assert_eq!(finished["not-run"], 1, "{ran}");
        assert_eq!(finished["interrupted"], true, "{ran}");
    }

    #[test]
    fn one_is_enough_and_the_report_comes() {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let (run, pid) = started(&stays(""));
            run.send(signal);
            let ran = run.wait().exits(130);
            is_told_to_the_end(&ran);
            has_ended(&pid);
        }
    }

    #[test]
    fn a_second_one_ends_tests_that_ignore_the_first() {
        let (mut run, pid) = started(&stays(IGNORES_INT));
        run.send_until_the_end(Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    #[test]
    fn tests_that_have_stopped_themselves_end_too() {
        let (mut run, pid) = started(&stays(STOPS_ITSELF));
        run.send_until_the_end(Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    #[test]
    fn people_see_the_report_of_an_interrupted_run() {
        let package = stays("");
        let run = package.partest().start();
        run.await_log("stays");
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        assert!(ran.stdout.starts_with("ABORTED shop::tests::b_stays ("), "{ran}");
        assert!(ran.stdout.contains("  | still here\n"), "{ran}");
        assert!(ran.stdout.contains("\nINTERRUPTED 1 passed, 1 aborted, 1 not run ("), "{ran}");
    }

    #[test]
    fn workers_die_with_a_runner_that_is_killed() {
        let (run, pid) = started(&stays(""));
        run.send(Signal::KILL);
        let ran = run.wait();
        assert_eq!(ran.ended_by(), Some(9), "{ran}");
        has_ended(&pid);
    }

    #[test]
    fn the_build_ends_with_the_run() {
        let package = Package::shop("", "");
        package.write(
            "build.rs",
            r#"
            fn main() {
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                std::fs::write(log.join("half"), format!("{}\n", std::process::id())).unwrap();
                std::fs::rename(log.join("half"), log.join("builds")).unwrap();
                loop { std::thread::park() }
            }
        "#,
        );
        let run = package.partest().start();
        let pid = run.await_log("builds").concat();
        run.send(Signal::INT);
        run.wait().exits(130);
        has_ended(&pid);
    }

    #[test]
    fn the_listing_ends_with_the_run() {
        let patient = "[package.metadata.partest]\nlist-timeout = \"1h\"\n";
        let till = "[[test]]\nname = \"till\"\nharness = false\n";
        let package = Package::shop(&format!("{patient}{till}"), "");
        package.write(
            "tests/till.rs",
            r#"
            fn main() {
                assert!(std::env::args().any(|word| word == "--list" || word == "terse"));
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                std::fs::write(log.join("half"), format!("{}\n", std::process::id())).unwrap();
                std::fs::rename(log.join("half"), log.join("lists")).unwrap();
                loop { std::thread::park() }
            }
        "#,
        );
        let run = package.partest().start();
        let pid = run.await_log("lists").concat();
        run.send(Signal::INT);
        has_ended(&pid);
        run.wait().exits(130);
    }
}

mod by_a_timeout {
    use super::*;

    /// The test costs its worker, and no other test its verdict.
    fn ends(first: &str) {
        let ran = stays(first).partest().args("--timeout 500ms").json().run().exits(100);
        assert_eq!(ran.ids("timed-out"), ["shop::tests::b_stays"], "{ran}");
        let others = ["shop::tests::a_passes", "shop::tests::c_comes_later"];
        assert_eq!(ran.ids("passed"), others, "{ran}");
        assert_eq!(ran.test("shop::tests::b_stays")["reason"], "timed out after 500ms", "{ran}");
        has_ended(&ran.log("stays").concat());
    }

    #[test]
    fn a_test_that_waits_costs_its_worker_only() {
        ends("");
    }

    #[test]
    fn a_test_that_ignores_the_first_word_is_killed() {
        ends(IGNORES_TERM);
    }

    #[test]
    fn a_test_that_has_stopped_itself_is_killed() {
        ends(STOPS_ITSELF);
    }

    #[test]
    fn what_it_printed_is_shown() {
        let ran = stays("").partest().args("--timeout 500ms -j1").run().exits(100);
        assert!(ran.stdout.contains("TIMED OUT shop::tests::b_stays ("), "{ran}");
        assert!(ran.stdout.contains("  | still here\n"), "{ran}");
        assert!(ran.stdout.contains("  again: cargo partest -p shop --lib"), "{ran}");
    }
}

mod with_processes_left {
    use super::*;

    #[test]
    fn children_and_daemons_have_ended_when_the_run_has() {
        for flags in ["-j1", "-j2 --isolate", "-j0"] {
            let ran = partest("leaves_a_child").args(flags).json().run().exits(0);
            has_ended(&ran.log("child").concat());
            has_ended(&ran.log("daemon").concat());
        }
    }

    #[test]
    fn one_that_holds_the_output_open_holds_nothing_up() {
        for flags in ["-j1", "--isolate", "-- --nocapture"] {
            let ran = partest("holds_a_pipe").args(flags).run().exits(0);
            has_ended(&ran.log("child").concat());
        }
    }

    #[test]
    fn none_is_told_of_where_there_was_none() {
        for fixture in ["passes", "dies", "exits_zero", "dies_at_the_end"] {
            for flags in ["-j2", "-j8 --isolate"] {
                let ran = partest(fixture).args(flags).run();
                assert!(!ran.stderr.contains("outlived"), "{ran}");
            }
        }
    }
}

mod early {
    use super::*;

    #[test]
    fn with_fail_fast_what_has_not_begun_is_counted_and_has_no_event() {
        let ran = partest("fails").args("-j1 --isolate --fail-fast").json().run().exits(100);
        let started = ran.events()[0]["tests"].as_u64().unwrap();
        let not_run = ran.finished()["not-run"].as_u64().unwrap();
        assert_eq!(ran.ids("failed").len(), 1, "{ran}");
        assert!(not_run > 0, "{ran}");
        assert_eq!(started, ran.tests().len() as u64 + not_run, "{ran}");
    }

    #[test]
    fn without_it_everything_runs() {
        for flags in ["", "--no-fail-fast", "--fail-fast --no-fail-fast"] {
            let ran = partest("fails").args("-j1").args(flags).json().run().exits(100);
            assert_eq!((ran.tests().len(), ran.ids("failed").len()), (8, 5), "{ran}");
        }
    }
}

mod that_dies_too_often {
    use super::*;

    /// Every test ends its process.
    const DEADLY: &str = r#"
#[cfg(test)]
mod tests {
    #[test] fn a() { std::process::abort() }
    #[test] fn b() { std::process::abort() }
    #[test] fn c() { std::process::abort() }
    #[test] fn d() { std::process::abort() }
}
"#;

    #[test]
    fn the_run_is_given_up_loudly() {
        let package = Package::shop("", DEADLY);
        let ran = package.partest().json().args("-j1 --isolate --max-crashes 2").run().exits(100);
        assert_eq!(ran.ids("aborted").len(), 2, "{ran}");
        assert_eq!(ran.finished()["not-run"], 2, "{ran}");
        assert!(ran.stderr.contains("error: gave up: 2 processes died under their tests"), "{ran}");
    }
}

mod with_a_bound_on_memory {
    use super::*;

    const GREEDY: &str = r#"
#[cfg(test)]
mod tests {
    #[test]
    fn a_is_modest() {
        assert_eq!(vec![1_u8; 1 << 20].iter().map(|b| u64::from(*b)).sum::<u64>(), 1 << 20);
    }
    #[test]
    fn b_is_greedy() {
        let all: Vec<Vec<u8>> = (0..64).map(|_| vec![1_u8; 64 << 20]).collect();
        assert_eq!(all.len(), 64);
    }
    #[test]
    fn c_is_modest() {}
}
"#;

    #[test]
    fn the_greedy_test_fails_and_the_machine_stays_well() {
        let modules = "[package.metadata.partest.modules]\n\
            \"shop::tests\" = { policy = \"unit\", threads = 1, memory = \"256MiB\" }\n";
        let package = Package::shop(modules, GREEDY);
        for more in ["", "--no-agent"] {
            let ran = package.partest().json().args(more).run().exits(100);
            assert_eq!(ran.ids("aborted"), ["shop::tests::b_is_greedy"], "{ran}");
            assert_eq!(ran.ids("passed").len(), 2, "{ran}");
        }
    }
}
