//! How a run ends: by a signal, by a timeout, with processes that do not want to. Nothing that a
//! run started outlives it.

#![cfg(target_os = "linux")]

use crate::fixture::{
    Package, Ran, Running, await_that, children_of, is_alive, is_stopped, name_of, partest, text,
};
use rustix::process::{Pid, Signal, kill_process};

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
        #[allow(dead_code)]
        fn setsid() -> i32;
        #[allow(dead_code)]
        fn ptrace(request: i32, ...) -> i64;
    }
    fn place(name: &str) -> std::path::PathBuf {
        std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
    }
    fn log(name: &str) {
        let half = place(&format!("half-{name}"));
        std::fs::write(&half, format!("{}\n", std::process::id())).unwrap();
        // Whole, or not there at all.
        std::fs::rename(half, place(name)).unwrap();
    }
    #[allow(dead_code)]
    static ASKED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    #[allow(dead_code)]
    extern "C" fn note(_: i32) { ASKED.store(true, std::sync::atomic::Ordering::SeqCst) }
    #[allow(dead_code)]
    fn wait_for(holds: impl Fn() -> bool) {
        while !holds() { std::thread::sleep(std::time::Duration::from_millis(1)) }
    }
    /// A process that has nothing in common with the test: its parent is gone, it has a session
    /// of its own, and knows nothing.
    #[allow(dead_code)]
    fn start_daemon() {
        let mut shell = std::process::Command::new("sh");
        let script = "sleep 600 </dev/null >/dev/null 2>&1 & echo $! >$0.half; mv $0.half $0";
        shell.env_clear().arg("-c").arg(script).arg(place("daemon"));
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut shell, || { setsid(); Ok(()) });
        }
        assert!(shell.status().unwrap().success());
    }
    #[test]
    fn a_passes() {}
    #[test]
    fn b_stays() {
        FIRST
        // Past the capture, which nobody can read before the test has ended.
        std::io::Write::write_all(&mut std::io::stderr(), b"still here\n").unwrap();
        log("stays");
        LAST
        #[allow(unreachable_code)]
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

/// Tells that it was asked to end, and ends when `go` is there.
const NOTES_INT: &str = "unsafe { signal(2, note as extern \"C\" fn(i32) as usize) };|
    wait_for(|| ASKED.load(std::sync::atomic::Ordering::SeqCst));
    log(\"asked\");
    wait_for(|| place(\"go\").exists());
    return;";
const ENDS_ON_GO: &str = "|wait_for(|| place(\"go\").exists()); return;";
const STARTS_A_DAEMON: &str = "start_daemon();";
const IGNORES_TERM: &str = "unsafe { signal(15, 1) };";
/// Its thread stays, with its process, until its tracer has waited for it: that is the runner.
const IS_TRACED: &str = "assert_eq!(unsafe { ptrace(0, 0, 0, 0) }, 0);";
const STOPS_ITSELF: &str = "|unsafe { raise(19) };";

#[track_caller]
fn has_ended(pid: &str) {
    await_that(&format!("the end of process {pid}"), || !is_alive(pid));
}

mod by_a_signal {
    use super::*;

    /// Starts, waits until the test that stays is there, and gives its process.
    fn started(package: &Package) -> (Running, String) {
        let run = package.partest().json().hearing_hang_ups().start();
        let pid = run.await_log("stays").concat();
        (run, pid)
    }

    /// What had ended keeps its verdict, what ran is interrupted, what had not begun is counted.
    #[track_caller]
    fn is_told_to_the_end(ran: &Ran) {
        let reason = |id: &str| text(&ran.test(id)["reason"]);
        assert_eq!(ran.ids("interrupted"), ["shop::tests::b_stays"], "{ran}");
        assert_eq!(reason("shop::tests::b_stays"), "interrupted", "{ran}");
        assert_eq!(ran.ids("passed"), ["shop::tests::a_passes"], "{ran}");
        let finished = ran.finished();
        assert_eq!(finished["not-run"], 1, "{ran}");
        assert_eq!(finished["interrupted"], true, "{ran}");
        assert_eq!(
            (&finished["interrupted-tests"], &finished["aborted"]),
            (&1.into(), &0.into()),
            "{ran}"
        );
    }

    #[test]
    fn one_is_enough_and_the_report_comes() {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            let (run, pid) = started(&stays(""));
            run.send(signal);
            let ran = run.wait().exits(130);
            is_told_to_the_end(&ran);
            has_ended(&pid);
        }
    }

    /// As under `cargo test`: the tests ignore it too.
    #[test]
    fn a_hang_up_is_no_reason_to_end_under_nohup() {
        let package = stays(ENDS_ON_GO);
        let nohup = std::process::Command::new("nohup");
        let run = package.partest().json().under(nohup).own_group().start();
        let pid = run.await_log("stays").concat();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        assert_eq!(u64::from_str_radix(ignored.trim(), 16).unwrap() & 1, 1, "{status}");
        run.send_to_group(Signal::HUP);
        // What was sent before has arrived when this is answered.
        run.send(Signal::USR1);
        run.await_stderr("slot 0");
        std::fs::write(run.log_directory().join("go"), "").unwrap();
        let ran = run.wait().exits(0);
        assert_eq!(ran.ids("passed").len(), 3, "{ran}");
    }

    #[test]
    fn a_second_one_ends_tests_that_ignore_the_first() {
        let (run, pid) = started(&stays(NOTES_INT));
        run.send(Signal::INT);
        run.await_log("asked");
        run.send(Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    #[test]
    fn more_of_them_end_it_at_once_and_nothing_is_left() {
        let (mut run, pid) = started(&stays(&format!("{STARTS_A_DAEMON}{NOTES_INT}")));
        run.send_until_the_end(Signal::INT);
        let ran = run.wait().exits(130);
        has_ended(&pid);
        has_ended(&ran.log("daemon").concat());
    }

    #[test]
    fn one_to_the_runner_itself_is_enough() {
        let (run, pid) = started(&stays(""));
        send(&family(&run).runner, Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    #[test]
    fn one_to_all_processes_of_the_run_counts_once() {
        let package = stays(NOTES_INT);
        let run = package.partest().json().own_group().start();
        run.await_log("stays");
        run.send_to_group(Signal::INT);
        run.await_log("asked");
        // What was sent before has arrived when this is answered.
        run.send(Signal::USR1);
        run.await_stderr("slot 0");
        std::fs::write(run.log_directory().join("go"), "").unwrap();
        let ran = run.wait().exits(130);
        // The last one may still have begun: nobody tells libtest to stop.
        let expected = ["shop::tests::a_passes", "shop::tests::b_stays"];
        assert_eq!(ran.ids("passed")[..2], expected, "{ran}");
        assert!(ran.ids("interrupted").is_empty(), "{ran}");
    }

    #[test]
    fn tests_that_have_stopped_themselves_end_too() {
        let (run, pid) = started(&stays(STOPS_ITSELF));
        run.send(Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    #[test]
    fn tests_that_are_traced_by_us_end_too() {
        let (run, pid) = started(&stays(IS_TRACED));
        run.send(Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    /// Its process waits for a thread of it, which may take as long as it wants.
    #[test]
    fn a_test_that_has_passed_stays_so_if_its_process_lingers() {
        let library = r#"
            unsafe extern "C" { fn atexit(handler: extern "C" fn()) -> i32; }
            /// When all tests have been told of, before the process waits.
            extern "C" fn leaves() {
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                std::fs::write(log.join("leaves"), format!("{}\n", std::process::id())).unwrap();
            }
            #[test]
            fn passes() {
                unsafe { atexit(leaves) };
                std::thread::spawn(|| loop { std::thread::park() });
            }
        "#;
        let package = Package::shop("[package.metadata.partest]\nlinger = \"1h\"\n", library);
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            let run = package.partest().json().hearing_hang_ups().start();
            let pid = run.await_log("leaves").concat();
            run.send(signal);
            let ran = run.wait().exits(130);
            has_ended(&pid);
            let test = ran.test("shop::passes");
            let verdict = (&test["outcome"], &test["reason"]);
            assert_eq!(verdict, (&"passed".into(), &().into()), "{ran}");
            assert_eq!(ran.finished()["aborted"], 0, "{ran}");
        }
    }

    #[test]
    fn people_see_the_report_of_an_interrupted_run() {
        let package = stays("");
        let run = package.partest().start();
        run.await_log("stays");
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        assert!(ran.stdout.contains("\nINTERRUPTED shop::tests::b_stays"), "{ran}");
        assert!(ran.stdout.contains("  | still here\n"), "{ran}");
        assert!(ran.stdout.contains("\n1 interrupted, 1 passed, 1 not run in "), "{ran}");
    }

    /// What hangs is often why somebody presses Ctrl-C.
    #[test]
    fn the_stacks_of_what_ran_are_shown() {
        for signal in [Signal::INT, Signal::HUP] {
            let (run, _) = started(&stays(NOTES_INT).with_debug_info());
            run.send(signal);
            if signal == Signal::INT {
                // It gets the signal after it has told where it is, and is ended by a second one.
                run.await_log("asked");
                run.send(signal);
            }
            let ran = run.wait().exits(130);
            let output = text(&ran.test("shop::tests::b_stays")["output"]);
            let expected = "still here\nthread `tests::b_stays` of shop::tests::b_stays:\n";
            assert!(output.starts_with(expected), "{ran}");
            assert!(output.contains("  shop::tests::b_stays at src/lib.rs:"), "{ran}");
            assert_eq!(output.matches("of shop::tests::b_stays").count(), 1, "{ran}");
        }
    }

    #[test]
    fn each_test_has_the_stacks_of_its_own_threads() {
        let package = Package::shop(
            "[package.metadata.partest.modules]\n\"shop\" = { policy = \"unit\", threads = 2 }\n",
            r#"
            fn stays(name: &str) {
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                std::fs::write(log.join(name), "here\n").unwrap();
                loop { std::thread::park() }
            }
            #[test] fn one() { stays("one") }
            #[test] fn two() { stays("two") }
        "#,
        );
        let run = package.partest().args("-j2").json().start();
        run.await_log("one");
        run.await_log("two");
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        for (test, other) in [("shop::one", "shop::two"), ("shop::two", "shop::one")] {
            let output = text(&ran.test(test)["output"]);
            assert!(output.contains(&format!("` of {test}:\n")), "{ran}");
            assert!(!output.contains(other), "{ran}");
        }
    }

    /// Its threads do not answer when they are asked for their stacks.
    #[test]
    fn a_test_that_blocks_all_signals_ends_too() {
        let blocks = "unsafe extern \"C\" { fn sigfillset(set: *mut u64) -> i32;
            fn pthread_sigmask(how: i32, set: *const u64, old: *mut u64) -> i32; }
            let mut all = [0_u64; 16];
            unsafe { sigfillset(all.as_mut_ptr()); pthread_sigmask(0, all.as_ptr(), std::ptr::null_mut()); }";
        let (run, pid) = started(&stays(blocks));
        run.send(Signal::INT);
        is_told_to_the_end(&run.wait().exits(130));
        has_ended(&pid);
    }

    /// A harness of its own, each test in a process of its own, and all of them in one unit.
    #[test]
    fn what_has_not_begun_of_a_unit_is_not_run_also_one_by_one() {
        // An interrupt before all tests are listed leaves no report.
        let till = "[[test]]\nname = \"till\"\nharness = false\n\
            [package.metadata.partest]\nearly = false\n\
            [package.metadata.partest.modules]\n\"till\" = \"unit\"\n";
        let package = Package::shop(till, "");
        package.write(
            "tests/till.rs",
            r#"
            /// The words by which a harness that speaks the protocol is known.
            const WORDS: [&str; 4] = ["--list", "--format", "terse", "--exact"];
            fn main() {
                let has = |word: &str| std::env::args().any(|arg| arg == word);
                match has(WORDS[0]) {
                    true if has("--ignored") => {}
                    true => println!("a: test\nb: test\nc: test"),
                    false if has("a") => {
                        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                        std::fs::write(log.join("half"), "x\n").unwrap();
                        std::fs::rename(log.join("half"), log.join("stays")).unwrap();
                        loop { std::thread::park() }
                    }
                    false => {}
                }
            }
        "#,
        );
        let run = package.partest().args("-j1").json().start();
        run.await_log("stays");
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        assert_eq!(ran.ids("interrupted"), ["till::a"], "{ran}");
        assert_eq!((ran.tests().len(), &ran.finished()["not-run"]), (1, &2.into()), "{ran}");
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
        let run = lists_for_ever().partest().start();
        let pids = run.await_log("lists");
        run.send(Signal::INT);
        pids.iter().for_each(|pid| has_ended(pid));
        run.wait().exits(130);
    }
}

/// A test binary that never ends to list its tests, and has started a process.
fn lists_for_ever() -> Package {
    let patient = "[package.metadata.partest]\nlist-timeout = \"1h\"\n";
    let till = "[[test]]\nname = \"till\"\nharness = false\n";
    let package = Package::shop(&format!("{patient}{till}"), "");
    package.write(
        "tests/till.rs",
        r#"
        fn main() {
            assert!(std::env::args().any(|word| word == "--list" || word == "terse"));
            let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
            let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
            let pids = format!("{}\n{}\n", std::process::id(), child.id());
            std::fs::write(log.join("half"), pids).unwrap();
            std::fs::rename(log.join("half"), log.join("lists")).unwrap();
            loop { std::thread::park() }
        }
    "#,
    );
    package
}

/// The processes of a run that are no workers.
struct Family {
    guard: String,
    runner: String,
}

#[track_caller]
fn family(run: &Running) -> Family {
    let only = |mut children: Vec<String>| {
        assert_eq!(children.len(), 1, "{children:?}");
        children.remove(0)
    };
    let guard = only(children_of(&run.pid().to_string()));
    let mut children = children_of(&guard);
    // What the build left running by design is there too.
    children.retain(|child| name_of(child) == "cargo-partest");
    Family { runner: only(children), guard }
}

fn send(pid: &str, signal: Signal) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), signal).unwrap();
}

mod by_a_kill {
    use super::*;

    /// Nothing of a run stays, whoever is killed without a warning.
    #[track_caller]
    fn leaves_nothing(kill: impl Fn(&Running, &Family)) {
        let package = stays(STARTS_A_DAEMON);
        let run = package.partest().own_group().start();
        let pid = run.await_log("stays").concat();
        let family = family(&run);
        kill(&run, &family);
        let ran = run.wait();
        assert_eq!(ran.ended_by(), Some(9), "{ran}");
        for pid in [&pid, &ran.log("daemon").concat(), &family.guard, &family.runner] {
            has_ended(pid);
        }
    }

    #[test]
    fn of_the_process_that_the_user_started() {
        leaves_nothing(|run, _| run.send(Signal::KILL));
    }

    #[test]
    fn of_the_runner() {
        leaves_nothing(|_, family| send(&family.runner, Signal::KILL));
    }

    #[test]
    fn of_both() {
        leaves_nothing(|run, _| run.send_to_group(Signal::KILL));
    }

    #[test]
    fn of_the_guard() {
        leaves_nothing(|_, family| send(&family.guard, Signal::KILL));
    }

    #[test]
    fn of_a_runner_that_does_not_hear() {
        leaves_nothing(|run, family| {
            send(&family.runner, Signal::STOP);
            run.send(Signal::KILL);
        });
    }

    #[test]
    fn the_guard_has_a_name_and_a_group_of_its_own() {
        let package = stays("");
        let run = package.partest().own_group().start();
        run.await_log("stays");
        let family = family(&run);
        let group = |pid: &str| {
            let pid = Pid::from_raw(pid.parse().unwrap());
            rustix::process::getpgid(pid).unwrap().as_raw_pid().to_string()
        };
        assert_eq!(name_of(&family.guard), "partest-guard");
        assert_eq!(group(&family.guard), family.guard);
        assert_eq!(group(&family.runner), run.pid().to_string());
    }

    /// Builds for ever, or leaves a server running as compiler caches do.
    fn builds(package: &Package, script: &str) {
        let build = r#"
            fn main() {
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                let mut shell = std::process::Command::new("sh");
                shell.args(["-c", "SCRIPT"]).arg(log.join("build"));
                assert!(shell.status().unwrap().success());
            }
        "#;
        package.write("build.rs", &build.replace("SCRIPT", script));
    }

    #[test]
    fn during_the_build_ends_the_build() {
        let package = Package::shop("", "");
        builds(&package, "echo $$ >$0.half; mv $0.half $0; exec sleep 600");
        for to_runner in [true, false] {
            let run = package.partest().own_group().start();
            let pid = run.await_log("build").concat();
            match to_runner {
                true => send(&family(&run).runner, Signal::KILL),
                false => run.send(Signal::KILL),
            }
            run.wait();
            has_ended(&pid);
        }
    }

    #[test]
    fn while_tests_are_listed_ends_the_list() {
        let package = lists_for_ever();
        let kills: [fn(&Running, &Family); 3] = [
            |_, family| send(&family.runner, Signal::KILL),
            |_, family| send(&family.guard, Signal::KILL),
            |run, _| run.send(Signal::KILL),
        ];
        for kill in kills {
            let run = package.partest().own_group().start();
            let pids = run.await_log("lists");
            let family = family(&run);
            kill(&run, &family);
            run.wait();
            pids.iter().chain([&family.guard, &family.runner]).for_each(|pid| has_ended(pid));
        }
    }

    /// The guard reads that tests begin when there already are orphans of theirs.
    #[test]
    fn of_the_runner_that_the_guard_hears_late_ends_the_list_too() {
        let package = lists_for_ever();
        builds(&package, "echo >$0.half; mv $0.half $0; until [ -e $0.go ]; do sleep 0.01; done");
        let run = package.partest().own_group().start();
        run.await_log("build");
        let family = family(&run);
        send(&family.guard, Signal::STOP);
        std::fs::write(run.log_directory().join("build.go"), "").unwrap();
        let pids = run.await_log("lists");
        send(&family.runner, Signal::KILL);
        await_that("the end of the runner", || !is_alive(&family.runner));
        send(&family.guard, Signal::CONT);
        run.wait();
        pids.iter().chain([&family.guard]).for_each(|pid| has_ended(pid));
    }

    #[test]
    fn spares_what_the_build_left_running_by_design() {
        spares_a_server_of_the_build("");
    }

    #[test]
    fn spares_it_also_where_tests_begin_when_cargo_has_exited() {
        spares_a_server_of_the_build("[package.metadata.partest]\nearly = false\n");
    }

    fn spares_a_server_of_the_build(declared: &str) {
        let package = stays("");
        let manifest = std::fs::read_to_string(package.path("Cargo.toml")).unwrap();
        package.write("Cargo.toml", &(manifest + declared));
        let server = "setsid sh -c 'sleep 600 & echo $! >$0.half; mv $0.half $0' $0";
        builds(&package, &format!("{server} </dev/null >/dev/null 2>&1"));
        let run = package.partest().start();
        let pid = run.await_log("stays").concat();
        let server = run.await_log("build").concat();
        send(&family(&run).runner, Signal::KILL);
        run.wait();
        has_ended(&pid);
        assert!(is_alive(&server));
        send(&server, Signal::KILL);
    }
}

mod by_a_pause {
    use super::*;
    use std::time::Duration;

    /// Long enough that a busy machine has stopped the run by then.
    const TIMEOUT: Duration = Duration::from_secs(6);

    /// For a run that is stopped no time passes: a test that it holds up for longer than its
    /// timeout has not timed out.
    #[track_caller]
    fn does_not_end(flags: &str, send: impl Fn(&Running, Signal)) {
        let package = stays(ENDS_ON_GO);
        let timeout = format!("--timeout {}s", TIMEOUT.as_secs());
        let run = package.partest().args(&timeout).args(flags).json().own_group().start();
        let worker = run.await_log("stays").concat();
        let (runner, own) = (family(&run).runner, run.pid().to_string());
        send(&run, Signal::TSTP);
        for (what, pid) in [("worker", &worker), ("runner", &runner), ("launcher", &own)] {
            await_that(&format!("the {what} {pid} is stopped"), || is_stopped(pid));
        }
        std::thread::sleep(TIMEOUT);
        std::fs::write(run.log_directory().join("go"), "").unwrap();
        assert!(is_stopped(&worker) && is_stopped(&runner));
        send(&run, Signal::CONT);
        let ran = run.wait().exits(0);
        let took = ran.test("shop::tests::b_stays")["seconds"].as_f64().unwrap();
        assert!(took < TIMEOUT.as_secs_f64(), "{took} s; {ran}");
        let took = ran.finished()["seconds"].as_f64().unwrap();
        assert!(took < TIMEOUT.as_secs_f64(), "{took} s; {ran}");
    }

    #[test]
    fn with_the_agent() {
        does_not_end("", |run, signal| run.send(signal));
    }

    #[test]
    fn without_the_agent() {
        does_not_end("--no-agent", |run, signal| run.send(signal));
    }

    #[test]
    fn of_the_whole_group() {
        does_not_end("", |run, signal| run.send_to_group(signal));
    }
}

mod by_nothing_but {
    use super::*;

    #[test]
    fn a_question_is_answered() {
        let package = stays(ENDS_ON_GO);
        let run = package.partest().args("-j1 --quiet").start();
        run.await_log("stays");
        // Once all are listed.
        let answer = "So far 1 of 3 tests finished, 2 left\n      slot 0 shop::tests::b_stays (";
        run.send_until_stderr(Signal::USR1, answer);
        std::fs::write(run.log_directory().join("go"), "").unwrap();
        run.wait().exits(0);
    }
}

mod by_a_timeout {
    use super::*;

    /// The test costs its worker, and no other test its verdict.
    #[track_caller]
    fn ends(first: &str) {
        ends_with(&stays(first), "", "timed out after 500ms");
    }

    #[track_caller]
    fn ends_with(package: &Package, flags: &str, reason: &str) {
        let call = package.partest().args("--timeout 500ms --message-format json").args(flags);
        let ran = call.run().exits(100);
        assert_eq!(ran.ids("timed-out"), ["shop::tests::b_stays"], "{ran}");
        let others = ["shop::tests::a_passes", "shop::tests::c_comes_later"];
        assert_eq!(ran.ids("passed"), others, "{ran}");
        assert_eq!(ran.test("shop::tests::b_stays")["reason"], reason, "{ran}");
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
        let reason = "timed out after 500ms: its process was stopped by SIGSTOP";
        for flags in ["", "--no-agent", "--isolate"] {
            ends_with(&stays(STOPS_ITSELF), flags, reason);
        }
    }

    #[test]
    fn a_test_that_is_traced_by_us_is_killed() {
        for flags in ["", "--no-agent"] {
            ends_with(&stays(IS_TRACED), flags, "timed out after 500ms");
        }
    }

    /// There is always something to read.
    #[test]
    fn one_that_keeps_writing_is_ended() {
        let by_itself =
            "|loop { std::io::Write::write_all(&mut std::io::stderr(), &[b'y'; 70]).unwrap(); }";
        let by_a_child = "|std::process::Command::new(\"yes\").status().unwrap();";
        for writes in [by_itself, by_a_child] {
            let package = stays(writes);
            for flags in ["", "--no-agent", "--isolate", "-- --nocapture"] {
                ends_with(&package, flags, "timed out after 500ms");
            }
        }
    }

    #[test]
    fn what_it_printed_is_shown() {
        let ran = stays("").partest().args("--timeout 500ms -j1").run().exits(100);
        assert!(ran.stdout.contains("TIMED OUT shop::tests::b_stays\n  after 500ms\n"), "{ran}");
        assert!(ran.stdout.contains("  | still here\n"), "{ran}");
        assert!(ran.stdout.contains("  rerun: cargo partest -p shop --lib"), "{ran}");
    }
}

mod by_itself {
    use super::*;

    /// Its process would stay for ever.
    #[test]
    fn also_with_a_test_that_is_traced_by_us() {
        let package = stays(&format!("{IS_TRACED}|return;"));
        for flags in ["", "--no-agent", "--isolate"] {
            let ran = package.partest().args(flags).json().run().exits(0);
            assert_eq!(ran.ids("passed").len(), 3, "{ran}");
        }
    }
}

/// A process hangs while none of its tests runs.
mod outside_of_its_tests {
    use super::*;

    /// Does something before its first test, or after its last.
    fn package(when: &str) -> Package {
        let library = r#"
            unsafe extern "C" {
                #[allow(dead_code)]
                fn atexit(what: extern "C" fn()) -> i32;
            }
            #[allow(dead_code)]
            extern "C" fn never() { loop { std::thread::park() } }
            #[test] fn a() { WHEN }
            #[test] fn b() {}
        "#;
        let modules =
            "[package.metadata.partest.modules]\n\"shop\" = { policy = \"unit\", threads = 1 }\n";
        Package::shop(modules, &library.replace("WHEN", when))
    }

    #[test]
    fn one_that_does_not_end_after_its_last_test_is_no_pass() {
        let package = package("unsafe { atexit(never) };");
        let reason =
            "timed out after 500ms: its process did not end after its last test had passed";
        for (flags, last) in [("", "shop::b"), ("--no-agent", "shop::b"), ("--isolate", "shop::a")]
        {
            let ran = package.partest().args("--timeout 500ms").args(flags).json().run().exits(100);
            assert_eq!(ran.ids("timed-out"), [last], "{ran}");
            assert_eq!(ran.test(last)["reason"], reason, "{ran}");
            assert_eq!(ran.ids("passed").len(), 1, "{ran}");
        }
    }

    /// It would not in any other process either.
    #[test]
    fn one_that_does_not_begin_with_its_first_test_is_given_up() {
        let package = package("");
        let hangs = "\n#[used] #[unsafe(link_section = \".init_array\")]\n\
            static HANGS: extern \"C\" fn() = hangs;\n\
            extern \"C\" fn hangs() {\n\
                if std::env::var_os(\"PARTEST_WORKER\").is_some() { never() }\n\
            }\n";
        let library = std::fs::read_to_string(package.path("src/lib.rs")).unwrap();
        package.write("src/lib.rs", &(library + hangs));
        let ran = package.partest().args("--timeout 500ms").json().run().exits(100);
        assert_eq!(ran.ids("aborted"), ["shop::a", "shop::b"], "{ran}");
        let reason = "its process timed out after 500ms before any test began, 3 times";
        assert_eq!(ran.test("shop::a")["reason"], reason, "{ran}");
        // Without the agent nobody tells when the first one begins.
        let ran = package.partest().args("--timeout 500ms --no-agent").json().run().exits(100);
        assert_eq!(ran.ids("timed-out"), ["shop::a", "shop::b"], "{ran}");
    }
}

/// One cannot see from outside which of them it is.
mod that_hang_together {
    use super::*;

    /// Long enough for a test that does nothing, alone in its process, on a machine that is busy:
    /// it must not time out by itself.
    const TIMEOUT: &str = "--timeout 3s";

    /// `a` and `b` run side by side. The first time that each does this it does what it says, and
    /// hangs; then it passes.
    fn package(b_does: &str) -> Package {
        let library = r#"
            unsafe extern "C" {
                #[allow(dead_code)]
                fn raise(number: i32) -> i32;
            }
            #[allow(dead_code)]
            fn is_first(name: &str) -> bool {
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                !std::mem::replace(&mut log.join(name).exists(), true)
                    && std::fs::write(log.join(name), "x
").is_ok()
            }
            #[allow(dead_code)]
            fn await_the_other(name: &str) {
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                while !log.join(name).exists() { std::thread::yield_now() }
            }
            #[test] fn a() { if is_first("a") { loop { std::thread::park() } } }
            #[test] fn b() { B_DOES }
            #[test] fn c() {}
        "#;
        let modules =
            "[package.metadata.partest.modules]\n\"shop\" = { policy = \"unit\", threads = 2 }\n";
        Package::shop(modules, &library.replace("B_DOES", b_does))
    }

    #[test]
    fn one_that_stops_its_process_costs_only_itself() {
        let package = package("await_the_other(\"a\"); unsafe { raise(19) };");
        for flags in ["", "--no-agent", "-- --nocapture"] {
            let call = package.partest().args(TIMEOUT).args("--message-format json").args(flags);
            let ran = call.run().exits(100);
            assert_eq!(ran.ids("timed-out"), ["shop::b"], "{ran}");
            let reason = "timed out after 3s: its process was stopped by SIGSTOP";
            assert_eq!(ran.test("shop::b")["reason"], reason, "{ran}");
            assert_eq!(ran.ids("passed"), ["shop::a", "shop::c"], "{ran}");
        }
    }

    /// A pass would hide the hang.
    #[test]
    fn those_that_pass_alone_have_hung_all_the_same() {
        let package = package("if is_first(\"b\") { loop { std::thread::park() } }");
        for flags in ["", "--no-agent"] {
            let ran = package.partest().args(TIMEOUT).args(flags).json().run().exits(100);
            assert_eq!(ran.ids("timed-out"), ["shop::a", "shop::b"], "{ran}");
            let reason = "timed out after 3s while it ran beside one other test; it passes \
                alone, so it depends on order or on the other tests";
            assert_eq!(ran.test("shop::a")["reason"], reason, "{ran}");
            assert_eq!(ran.ids("passed"), ["shop::c"], "{ran}");
        }
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

    /// It is not read to its end, which does not come.
    #[test]
    fn one_that_keeps_writing_holds_nothing_up() {
        let package = Package::shop(
            "",
            "#[test] fn leaves() { std::process::Command::new(\"yes\").spawn().unwrap(); }",
        );
        for flags in ["", "--no-agent", "--isolate", "-- --nocapture"] {
            package.partest().args(flags).run().exits(0);
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
        assert!(
            ran.stderr.contains("error: stopped the run: 2 processes crashed while running tests"),
            "{ran}"
        );
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

mod when_time_is_up {
    use super::*;

    /// Nobody waits so long, and everything goes on as without a limit.
    #[test]
    fn a_time_that_never_comes_is_as_good_as_none() {
        const NEVER: &str = "3000000000000000h";
        let library = r#"
            #[test] fn a() {}
            #[test] fn b() {
                std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_millis(50)));
            }
        "#;
        let keys = format!(
            "[package.metadata.partest]\ntimeout = \"{NEVER}\"\nrun-timeout = \"{NEVER}\"\n\
            list-timeout = \"{NEVER}\"\nslow = \"{NEVER}\"\n\
            [package.metadata.partest.fixtures.till]\nstart = [\"sh\", \"-c\", \
            \"echo PARTEST_READY; read end\"]\ntimeout = \"{NEVER}\"\nstop = \"{NEVER}\"\n\
            [package.metadata.partest.modules]\n\"shop\" = {{ policy = \"shared\", \
            fixture = \"till\", linger = \"{NEVER}\" }}\n"
        );
        let package = Package::shop(&keys, library);
        for flags in ["", "--no-agent", "--isolate"] {
            let ran = package.partest().args(flags).json().run().exits(0);
            assert_eq!(ran.ids("passed").len(), 2, "{ran}");
        }
    }

    #[test]
    fn the_whole_run_is_ended() {
        let package = stays("");
        let ran = package.partest().json().args("--run-timeout 4s").run().exits(100);
        assert_eq!(ran.ids("timed-out"), ["shop::tests::b_stays"], "{ran}");
        assert_eq!(ran.test("shop::tests::b_stays")["reason"], "the run timed out after 4s");
        assert_eq!(ran.ids("passed"), ["shop::tests::a_passes"], "{ran}");
        assert_eq!(ran.finished()["not-run"], 1, "{ran}");
        assert!(ran.stderr.contains("error: the run timed out after 4s (run-timeout)"), "{ran}");
        has_ended(&ran.log("stays").concat());
    }

    #[test]
    fn a_slow_test_is_told_while_it_runs() {
        let package = stays("");
        let manifest = std::fs::read_to_string(package.path("Cargo.toml")).unwrap();
        package
            .write("Cargo.toml", &manifest.replace("threads = 1", "threads = 1, slow = \"10ms\""));
        let ran = package.partest().args("--run-timeout 5s").run().exits(100);
        assert_eq!(
            ran.stderr.matches(" SLOW shop::tests::b_stays: running for ").count(),
            1,
            "{ran}"
        );
    }
}
