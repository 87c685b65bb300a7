//! Shared fixtures: started once by the runner, told to their tests, stopped in order, gone
//! however the run ends.

#![cfg(target_os = "linux")]

use crate::fixture::{Call, Package, Ran, Running, await_that, is_alive, text};
use rustix::process::Signal;

/// Six tests in two modules, of which one is nested; each says that it ran, in which process,
/// and what it was given. One of them fails, and one stays, if they are told to.
const LIBRARY: &str = r#"
#[cfg(test)]
mod api {
    use std::io::Write;
    pub fn log(file: &str, line: &str) {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        let mut log = std::fs::File::options().append(true).create(true).open(log.join(file)).unwrap();
        log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    pub fn is_set(name: &str) -> bool {
        std::env::var_os(name).is_some()
    }
    pub fn ran(name: &str) {
        let given = |name| std::env::var(name).unwrap_or_default();
        log("events", &format!("ran {name}"));
        let (slot, value) = (given("PARTEST_SLOT"), given("VALUE"));
        log("tests", &format!("{} {slot} {value} {}", std::process::id(), given("PARTEST_FIXTURES")));
    }
    #[test] fn one() { ran("one") }
    #[test] fn two() { ran("two") }
    #[test] fn three() { ran("three"); assert!(!is_set("FAIL")) }
    #[test]
    fn waits() {
        ran("waits");
        if is_set("STUBBORN") {
            unsafe extern "C" {
                fn signal(number: i32, handler: usize) -> usize;
            }
            // SIG_IGN
            unsafe { signal(2, 1) };
        }
        if is_set("STAY") {
            log("stays", &std::process::id().to_string());
            loop { std::thread::park() }
        }
        if is_set("KILL") {
            let pid = std::env::var("PID").unwrap();
            std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
            while std::path::Path::new(&format!("/proc/{pid}/environ")).exists()
                && std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|e| !e.is_empty()) {}
            panic!("the fixture is gone");
        }
    }
    mod deep {
        #[test] fn four() { super::ran("four") }
        #[test] fn five() { super::ran("five") }
    }
}
#[cfg(test)]
mod fixtures {
    use super::api::log;
    use std::io::{Read, Write};
    #[test]
    #[ignore]
    fn server() {
        log("events", "server+");
        let file = std::env::var("PARTEST_ENV").unwrap();
        std::fs::write(file, format!("VALUE=rust-{}\n", std::process::id())).unwrap();
        println!("PARTEST_READY");
        std::io::stdout().flush().unwrap();
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).unwrap();
        // Cleaning up takes its time, and is not cut short.
        std::thread::sleep(std::time::Duration::from_millis(300));
        log("events", "server-");
    }
    #[test]
    fn no_fixture() {}
}
#[cfg(test)]
mod pure {
    #[test]
    fn adds() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        while super::api::is_set("WAIT") {
            let events = std::fs::read_to_string(log.join("events")).unwrap_or_default();
            if events.ends_with("server-\n") {
                return super::api::log("pure", "server-");
            }
        }
    }
}
"#;

/// What a shell script fixture begins and ends with: it says so in the log, and stops at the
/// end of its input.
fn script(name: &str, middle: &str) -> String {
    format!(
        "echo {name}+ >> $FIXTURE_LOG/events; {middle}; echo PARTEST_READY; cat >/dev/null; echo {name}- >> $FIXTURE_LOG/events"
    )
}

/// `name = { start = ["sh", "-c", SCRIPT], … }`
fn shell(name: &str, script: &str, more: &str) -> String {
    format!("{name} = {{ start = [\"sh\", \"-c\", '''{script}''']{more} }}\n")
}

fn package(modules: &str, fixtures: &str) -> Package {
    let tables = format!(
        "[package.metadata.partest.modules]\n{modules}\n[package.metadata.partest.fixtures]\n{fixtures}"
    );
    Package::shop(&tables, LIBRARY)
}

const API: &str = "\"shop::api\" = { policy = \"shared\", fixture = \"server\" }";

/// One fixture for all of `api`.
fn served(script: &str, more: &str) -> Package {
    package(API, &shell("server", script, more))
}

fn api(package: &Package) -> Call {
    package.partest().json().args("-j2 api::")
}

/// Who was there when: `ran` stands for any number of tests.
fn events(ran: &Ran) -> Vec<String> {
    let mut events: Vec<String> = ran.log("events");
    events.iter_mut().filter(|event| event.starts_with("ran ")).for_each(|e| *e = "ran".into());
    events.dedup();
    events
}

#[track_caller]
fn has_ended(pid: &str) {
    await_that(&format!("the end of process {pid}"), || !is_alive(pid));
}

mod while_all_is_well {
    use super::*;

    #[test]
    fn it_is_there_once_for_tests_in_several_processes() {
        let script = script("server", "echo VALUE=$$ >> $PARTEST_ENV");
        let ran = api(&served(&script, "")).run().exits(0);
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
        let lines = ran.log("tests");
        let column = |at: usize| -> std::collections::BTreeSet<&str> {
            lines.iter().map(|line| line.split(' ').nth(at).unwrap()).collect()
        };
        assert_eq!(lines.len(), 6, "{ran}");
        assert!(column(0).len() >= 2, "several processes: {lines:?}");
        assert!(column(2).len() == 1 && !column(2).contains(""), "one fixture: {lines:?}");
        assert!(!column(0).contains(column(2).first().unwrap()), "of its own: {lines:?}");
        assert_eq!(column(3), ["server"].into(), "{lines:?}");
    }

    #[test]
    fn it_is_not_started_for_others() {
        let package = served(&script("server", ":"), "");
        let ran = package.partest().json().args("pure").run().exits(0);
        assert_eq!(events(&ran), [""; 0], "{ran}");
    }

    #[test]
    fn a_failing_test_changes_nothing_about_its_end() {
        let package = served(&script("server", ":"), "");
        let ran = api(&package).env("FAIL", "1").run().exits(100);
        assert_eq!(ran.ids("failed"), ["shop::api::three"], "{ran}");
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
    }

    #[test]
    fn outer_ones_come_first_and_go_last() {
        let modules =
            format!("{API}\n\"shop::api::deep\" = {{ policy = \"shared\", fixture = \"inner\" }}");
        // It knows what it says it needs, and not what happens to stand around it.
        for (needs, known) in [("", "INNER="), (", fixture = \"server\"", "INNER=1")] {
            let fixtures = shell("server", &script("PKG", "echo VALUE=1 >> $PARTEST_ENV"), "")
                + &shell("inner", &script("MOD", "echo INNER=$VALUE >> $FIXTURE_LOG/inner"), needs);
            let package = package(&modules, &fixtures);
            let ran = package.partest().json().args("-j2 api::deep").run().exits(0);
            assert_eq!(events(&ran), ["PKG+", "MOD+", "ran", "MOD-", "PKG-"], "{ran}");
            assert_eq!(ran.log("inner"), [known], "{ran}");
        }
    }

    #[test]
    fn what_a_fixture_needs_comes_before_it() {
        let fixtures = shell("server", &script("server", ":"), ", fixture = \"disk\"")
            + &shell("disk", &script("disk", ":"), "");
        let ran = api(&package(API, &fixtures)).run().exits(0);
        assert_eq!(events(&ran), ["disk+", "server+", "ran", "server-", "disk-"], "{ran}");
    }

    #[test]
    fn it_goes_when_its_last_test_has_ended() {
        let modules = format!("{API}\n\"shop::pure\" = {{ exclusive = true }}");
        let package = package(&modules, &shell("server", &script("server", ":"), ""));
        // What is exclusive comes last, and does not end before the fixture has.
        let run = package.partest().json().args("-j1 api:: pure").env("WAIT", "1").run();
        assert_eq!(run.exits(0).log("pure"), ["server-"]);
    }

    #[test]
    fn each_slot_has_its_own_where_that_is_declared() {
        let script = script("server", "echo VALUE=$PARTEST_SLOT-of-$PARTEST_SLOTS >> $PARTEST_ENV");
        let package = served(&script, ", scope = \"slot\"");
        let ran = api(&package).run().exits(0);
        let lines = ran.log("tests");
        assert_eq!(lines.len(), 6, "{ran}");
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[2], format!("{}-of-2", words[1]), "{ran}");
        }
        let count = |what: &str| ran.log("events").iter().filter(|event| *event == what).count();
        assert_eq!(count("server+"), count("server-"), "{ran}");
        assert!((1..=2).contains(&count("server+")), "{ran}");
    }

    #[test]
    fn a_test_function_may_be_one() {
        let test = "server = { test = \"shop::fixtures::server\" }";
        let package = package(API, test);
        let ran = api(&package).run().exits(0);
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
        assert!(ran.log("tests").iter().all(|line| line.contains(" rust-")), "{ran}");
        // No flag makes a test of it.
        let ran = package.partest().json().args("-j2 -- --include-ignored").run().exits(0);
        assert_eq!(ran.ids("ignored"), ["shop::fixtures::server"], "{ran}");
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
    }

    #[test]
    fn a_line_a_port_or_a_file_says_that_it_is_ready() {
        let line = "echo server+ >> $FIXTURE_LOG/events; echo at port 77, >&2; cat >/dev/null";
        let ran = api(&served(line, ", ready = 'at port (?<VALUE>\\d+)'")).run().exits(0);
        assert!(ran.log("tests").iter().all(|line| line.contains(" 77 ")), "{ran}");

        let file = "rm -f up; touch up; cat >/dev/null; rm up";
        api(&served(file, ", ready = { file = \"up\" }")).run().exits(0);

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let known = format!(", ready = {{ port = {port} }}");
        api(&served("cat >/dev/null", &known)).run().exits(0);
        let told = format!("echo PORT={port} >> $PARTEST_ENV; cat >/dev/null");
        api(&served(&told, ", ready = { port = \"PORT\" }")).run().exits(0);
    }

    /// There is always something to read, and nothing waits for the end of it.
    #[test]
    fn one_that_keeps_printing_becomes_ready_and_stops() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = format!("echo PORT={port} >> $PARTEST_ENV; exec yes");
        api(&served(&told, ", ready = { port = \"PORT\" }")).run().exits(0);
    }

    /// One that waits for the end of its input has all the time that it may take to stop; another
    /// one, which would not notice it, is sent SIGTERM.
    #[test]
    fn one_that_waits_in_poll_is_told_to_stop_by_what_it_waits_for() {
        let source = r#"
            unsafe extern "C" {
                fn poll(fds: *mut [i32; 2], count: u64, timeout: i32) -> i32;
                fn signal(number: i32, handler: usize) -> usize;
                fn pipe(fds: *mut i32) -> i32;
            }
            use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
            static ASKED: AtomicBool = AtomicBool::new(false);
            extern "C" fn note(_: i32) { ASKED.store(true, SeqCst) }
            fn log(what: &str) {
                use std::io::Write;
                let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
                let mut log = std::fs::File::options().append(true).create(true).open(log.join("poll")).unwrap();
                log.write_all(format!("{what}\n").as_bytes()).unwrap();
            }
            fn main() {
                let is_input = std::env::args().any(|arg| arg == "input");
                let mut own = [0; 2];
                unsafe { signal(15, note as extern "C" fn(i32) as usize); pipe(own.as_mut_ptr()); }
                println!("PARTEST_READY");
                // The other descriptors of the call are not its input.
                let mut waits = [[own[0], 1], [if is_input { 0 } else { own[0] }, 1]];
                unsafe { poll(waits.as_mut_ptr(), 2, -1) };
                // A signal on top of it would come meanwhile.
                let began = std::time::Instant::now();
                while !ASKED.load(SeqCst) && began.elapsed().as_secs() < 2 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                log(if ASKED.load(SeqCst) { "by a signal" } else { "by its input" });
            }
        "#;
        for (waits_for, expected) in [("input", "by its input"), ("others", "by a signal")] {
            let server = format!(
                "server = {{ start = [\"cargo\", \"run\", \"-q\", \"--\", \"{waits_for}\"] }}"
            );
            let package = package(API, &server);
            package.write("src/main.rs", source);
            let ran = api(&package).run().exits(0);
            assert_eq!(ran.log("poll"), [expected], "{ran}");
        }
    }

    #[test]
    fn one_that_goes_into_the_background_is_ended_by_its_own_command() {
        let start =
            "echo server+ >> $FIXTURE_LOG/events; setsid sleep 1000 & echo PID=$! >> $PARTEST_ENV";
        let stop = ", stop = [\"sh\", \"-c\", \"kill $PID; echo server- >> $FIXTURE_LOG/events\"]";
        let ran = api(&served(start, stop)).run().exits(0);
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
    }

    #[test]
    fn a_command_to_stop_it_that_fails_is_told() {
        let stop = ", stop = [\"sh\", \"-c\", \"echo no such server >&2; exit 7\"]";
        let words = "its `stop` command ended with exit code 7: \
            sh -c 'echo no such server >&2; exit 7' (no such server)";
        // One that has gone into the background, and one that is told to stop while it runs.
        for start in ["true", &script("server", ":")] {
            let ran = api(&served(start, stop)).run().exits(0);
            let stopped = ran.events().into_iter().find(|event| event["state"] == "stopped");
            assert_eq!(text(&stopped.unwrap()["reason"]), words, "{ran}");
            assert!(ran.stderr.contains(&format!("warning: fixture server: {words}\n")), "{ran}");
        }
        let stop = stop.replace("sh\", \"-c", "no-such-program\", \"-c");
        let ran = api(&served("true", &stop)).run().exits(0);
        assert!(ran.stderr.contains("its `stop` command could not be run: "), "{ran}");
    }

    #[test]
    fn one_in_the_background_is_not_to_blame_for_a_failure() {
        let package = package(API, "server = { start = [\"true\"], stop = [\"true\"] }");
        let ran = api(&package).env("FAIL", "1").run().exits(100);
        assert_eq!(ran.ids("failed"), ["shop::api::three"], "{ran}");
    }

    #[test]
    fn people_see_it_in_the_plan_and_with_v() {
        let package = served(&script("server", ":"), "");
        let plan = package.partest().args("plan -j2").run().exits(0);
        assert!(plan.stdout.contains("  shared    shop"), "{plan}");
        assert!(plan.stdout.contains(", with server"), "{plan}");
        let ran = package.partest().args("-j2 -v").run().exits(0);
        assert!(ran.stderr.contains("     Started fixture server"), "{ran}");
        assert!(ran.stderr.contains("     Stopped fixture server\n"), "{ran}");
    }
}

mod that_cannot_serve {
    use super::*;

    /// All six tests are blocked, for this reason, and say what the fixture said.
    #[track_caller]
    fn blocks(package: &Package, reason: &str) -> Ran {
        let ran = api(package).run().exits(105);
        assert_eq!(ran.ids("blocked").len(), 6, "{ran}");
        let test = ran.test("shop::api::one");
        let told = text(&test["reason"]);
        assert!(told.starts_with("fixture server failed: ") && told.contains(reason), "{ran}");
        assert_eq!(ran.finished()["blocked"], 6, "{ran}");
        assert_eq!(ran.log("tests"), [""; 0], "nothing ran; {ran}");
        ran
    }

    #[test]
    fn one_that_ends_too_early_blocks_its_tests() {
        let ran = blocks(&served("echo no disk; exit 3", ""), "exit code 3 before it was ready");
        assert_eq!(text(&ran.test("shop::api::one")["output"]), "no disk\n", "{ran}");
    }

    #[test]
    fn one_that_is_not_there_blocks_its_tests() {
        let package = package(API, "server = { start = [\"no-such-program\"] }");
        blocks(&package, "cannot start `no-such-program`");
    }

    #[test]
    fn one_that_keeps_printing_and_is_never_ready_blocks_its_tests() {
        blocks(&served("exec yes", ", timeout = \"200ms\""), "not ready after 200ms");
    }

    #[test]
    fn one_that_is_never_ready_blocks_its_tests_and_is_gone() {
        let script = "echo $$ > $FIXTURE_LOG/pid; sleep 1000";
        let ran = blocks(&served(script, ", timeout = \"200ms\""), "not ready after 200ms");
        has_ended(&ran.log("pid")[0]);
    }

    const STOP: &str = ", stop = [\"sh\", \"-c\", 'echo server- $ID >> $FIXTURE_LOG/events']";
    const STARTS: &str = "echo ID=7 >> $PARTEST_ENV; echo server+ >> $FIXTURE_LOG/events";

    #[test]
    fn what_a_start_command_has_set_up_is_taken_down_by_its_stop_command() {
        let never = ", ready = { file = \"never\" }, timeout = \"200ms\"";
        let cases = [
            (STARTS.to_owned(), never, "not ready after 200ms"),
            (format!("{STARTS}; sleep 1000"), never, "not ready after 200ms"),
            (STARTS.to_owned(), ", ready = \"up\"", "ended with exit code 0 before it was ready"),
            (format!("{STARTS}; exit 3"), "", "ended with exit code 3 before it was ready"),
        ];
        for (start, more, reason) in cases {
            let ran = blocks(&served(&start, &(STOP.to_owned() + more)), reason);
            assert_eq!(ran.log("events"), ["server+", "server- 7"], "{ran}");
        }
    }

    #[test]
    fn what_is_not_ready_when_the_run_is_interrupted_is_taken_down_too() {
        // It has gone into the background, or goes there when it was already told to stop.
        let later = "until grep -q server- $FIXTURE_LOG/events; do sleep 0.05; done";
        for (start, stops) in [(STARTS.to_owned(), 1), (format!("{STARTS}; {later}"), 2)] {
            let more = ", ready = { file = \"never\" }, timeout = \"1h\"";
            let run = api(&served(&start, &(STOP.to_owned() + more))).start();
            run.await_log("events");
            run.send(Signal::INT);
            let ran = run.wait().exits(130);
            let log = ran.log("events");
            assert_eq!(log.iter().filter(|line| *line == "server- 7").count(), stops, "{ran}");
            assert!(!ran.stderr.contains("warning: fixture"), "{ran}");
        }
    }

    #[test]
    fn one_that_says_nonsense_blocks_its_tests() {
        let script = script("server", "echo nonsense >> $PARTEST_ENV");
        blocks(&served(&script, ""), "it wrote `nonsense` to PARTEST_ENV");
    }

    #[test]
    fn what_it_needs_blocks_its_tests_too() {
        let fixtures = shell("server", &script("server", ":"), ", fixture = \"disk\"")
            + &shell("disk", "exit 9", "");
        let ran = api(&package(API, &fixtures)).run().exits(105);
        assert_eq!(ran.ids("blocked").len(), 6, "{ran}");
        assert!(
            text(&ran.test("shop::api::one")["reason"]).starts_with("fixture disk failed"),
            "{ran}"
        );
    }

    /// A test that cannot run has neither passed nor failed.
    #[test]
    fn nothing_is_found_out_about_tests_that_cannot_run() {
        let package = served("echo no disk; exit 3", "");
        for command in ["bisect shop::api::one", "doctor api::"] {
            let ran = package.partest().args(command).run().exits(105);
            assert!(ran.stderr.contains("error: fixture server failed: "), "{ran}");
            assert!(!ran.stdout.contains("passed"), "{ran}");
        }
    }

    #[test]
    fn others_run_all_the_same() {
        let ran = served("exit 3", "").partest().json().args("-j2").run().exits(105);
        assert_eq!(ran.ids("passed"), ["shop::fixtures::no_fixture", "shop::pure::adds"], "{ran}");
    }

    #[test]
    fn one_that_dies_in_the_middle_blocks_what_ran_and_what_waits() {
        let script = script("server", "echo PID=$$ >> $PARTEST_ENV");
        let package = served(&script, "");
        let ran = package.partest().json().args("-j1 api::").env("KILL", "1").run().exits(105);
        let blocked = ran.ids("blocked");
        assert!(blocked.contains(&"shop::api::waits".to_owned()), "{ran}");
        assert_eq!(ran.ids("failed"), [""; 0], "{ran}");
        let reason = text(&ran.test("shop::api::waits")["reason"]);
        assert_eq!(
            reason,
            "fixture server failed: it ended with SIGKILL while its tests needed it"
        );
        assert_eq!(ran.verdicts().len(), 6, "{ran}");
    }

    #[test]
    fn people_see_its_words_once() {
        let ran = served("echo no disk; exit 3", "").partest().args("-j2 api::").run().exits(105);
        assert_eq!(ran.stdout.matches("  | no disk\n").count(), 1, "{ran}");
        assert!(
            ran.stdout.starts_with("FAILED fixture server\n  it ended with exit code 3"),
            "{ran}"
        );
        assert_eq!(ran.stdout.matches("\nBLOCKED shop::api::").count(), 6, "{ran}");
    }

    #[test]
    fn what_it_leaves_behind_counts() {
        let script = script(
            "server",
            "setsid sh -c 'exec sleep 1000' </dev/null >/dev/null 2>&1 & echo $! > $FIXTURE_LOG/pid; true",
        );
        let package = served(&script, "");
        let call = api(&package).env("GITHUB_ACTIONS", "true").args("--junit j.xml");
        let ran = call.run().exits(0);
        assert_eq!(ran.finished()["leaks"], 1, "{ran}");
        has_ended(&ran.log("pid")[0]);
        let annotation = "::warning title=fixture server leaked a process::sleep 1000: pid ";
        assert!(ran.stderr.contains(annotation), "{ran}");
        let junit = std::fs::read_to_string(package.path("j.xml")).unwrap();
        let (_, suite) = junit.split_once("<testsuite name=\"fixture server\"").expect(&junit);
        let property = "<property name=\"leak.process\" value=\"sleep 1000\"/>";
        assert!(suite.contains(property), "{junit}");
        let stopped = ran.events().into_iter().find(|event| event["state"] == "stopped").unwrap();
        assert_eq!(stopped["leaks"][0]["what"], "sleep 1000", "{ran}");
        api(&package).args("--leaks deny").run().exits(102);
    }
}

mod told_to_stop {
    use super::*;

    #[test]
    fn one_that_does_not_read_gets_a_signal() {
        let script = "trap 'echo server- >> $FIXTURE_LOG/events; exit 0' TERM; \
            echo server+ >> $FIXTURE_LOG/events; echo PARTEST_READY; while :; do sleep 0.05; done";
        let ran = api(&served(script, "")).run().exits(0);
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
    }

    #[test]
    fn one_that_ignores_it_is_killed() {
        let script = "trap '' TERM; echo $$ > $FIXTURE_LOG/pid; echo PARTEST_READY; while :; do sleep 0.05; done";
        let ran = api(&served(script, ", stop = \"100ms\"")).run().exits(0);
        has_ended(&ran.log("pid")[0]);
        assert!(
            ran.stderr.contains("fixture server: it did not stop within 100ms and was killed"),
            "{ran}"
        );
    }

    /// The test `waits` runs, and the fixture is there.
    fn stays(package: &Package) -> Running {
        let run = api(package).env("STAY", "1").start();
        run.await_log("stays");
        run
    }

    #[test]
    fn an_interrupted_run_lets_it_clean_up_after_its_tests() {
        for signal in [Signal::INT, Signal::TERM] {
            let package = served(&script("server", ":"), "");
            let run = stays(&package);
            run.send(signal);
            let ran = run.wait().exits(130);
            assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
        }
    }

    /// A test that does not end is killed after its five seconds; what the fixture needs to clean up
    /// begins then.
    #[test]
    fn its_time_to_clean_up_is_not_that_of_the_tests() {
        let takes = "cat >/dev/null; until [ -e $FIXTURE_LOG/goes ]; do sleep 0.05; done; \
            echo server- >> $FIXTURE_LOG/events";
        let begins = "echo server+ >> $FIXTURE_LOG/events";
        let in_foreground =
            served(&format!("{begins}; echo PARTEST_READY; {takes}"), ", stop = \"1h\"");
        let stop = format!(", stop = [\"sh\", \"-c\", '''{takes}''']");
        let in_background = served(begins, &stop);
        for package in [in_foreground, in_background] {
            let run = api(&package).env("STAY", "1").env("STUBBORN", "1").start();
            let test = run.await_log("stays").concat();
            run.send(Signal::INT);
            has_ended(&test);
            std::fs::write(run.log_directory().join("goes"), "").unwrap();
            let ran = run.wait().exits(130);
            assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
            assert!(!ran.stderr.contains("warning"), "{ran}");
        }
    }

    #[test]
    fn a_second_signal_ends_it_at_once() {
        let script = "echo $$ > $FIXTURE_LOG/pid; echo PARTEST_READY; cat >/dev/null; sleep 1000";
        let package = served(script, "");
        let mut run = stays(&package);
        run.send_until_the_end(Signal::INT);
        let ran = run.wait().exits(130);
        has_ended(&ran.log("pid")[0]);
    }

    #[test]
    fn it_cleans_up_and_is_gone_when_the_runner_is_killed() {
        let package =
            served(&("echo $$ > $FIXTURE_LOG/pid; ".to_owned() + &script("server", ":")), "");
        let run = stays(&package);
        let pid = run.await_log("pid").concat();
        run.send(Signal::KILL);
        has_ended(&pid);
        let ran = run.wait();
        assert_eq!(ran.ended_by(), Some(9));
        assert_eq!(events(&ran), ["server+", "ran", "server-"], "{ran}");
    }
}

mod declared_in_rust {
    use super::*;

    /// A fixture by the library's macro, and three tests that use it.
    const LIBRARY: &str = r#"
#[cfg(test)]
mod tests {
    fn note(line: &str) {
        use std::io::Write;
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
        let log = std::fs::File::options().append(true).create(true).open(log.join("events"));
        log.unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    partest::fixture! {
        static SERVER = fn server(setup) {
            note("server+");
            setup.set("VALUE", std::process::id());
            setup.ready();
            setup.wait();
            note("server-");
        }
    }
    fn uses() {
        let pid: u32 = SERVER.get("VALUE");
        assert_ne!(pid, std::process::id());
        note(&format!("ran {pid}"));
    }
    #[test] fn one() { uses() }
    #[test] fn two() { uses() }
    #[test] fn three() { uses() }
}
"#;

    /// Each process starts its own, which ends when that has, and is not left behind.
    #[test]
    fn one_that_the_runner_does_not_know_is_no_leak() {
        let here = env!("CARGO_MANIFEST_DIR");
        let manifest = format!(
            "[dev-dependencies]\n\
             partest = {{ package = \"cargo-partest\", path = {here:?}, default-features = false }}\n"
        );
        let package = Package::shop(&manifest, LIBRARY);
        for way in ["-j1", "-j2 --isolate", "-j1 --no-agent"] {
            let ran = package.partest().json().args(way).args("--leaks deny").run().exits(0);
            let events = events(&ran);
            let count = |what: &str| events.iter().filter(|event| event.starts_with(what)).count();
            assert!(count("server+") > 0 && count("server+") == count("server-"), "{ran}");
        }
    }

    #[test]
    fn it_is_there_once_with_the_runner_and_without() {
        let here = env!("CARGO_MANIFEST_DIR");
        let manifest = format!(
            "[dev-dependencies]\n\
             partest = {{ package = \"cargo-partest\", path = {here:?}, default-features = false }}\n\
             [package.metadata.partest.modules]\n\
             \"shop::tests\" = {{ policy = \"shared\", fixture = \"server\" }}\n\
             [package.metadata.partest.fixtures.server]\ntest = \"shop::tests::server\"\n"
        );
        let package = Package::shop(&manifest, LIBRARY);
        for call in [package.partest().args("-j2"), package.cargo().args("test --offline")] {
            let ran = call.run().exits(0);
            let log = ran.log("events");
            let pids: std::collections::BTreeSet<&str> =
                log.iter().filter_map(|line| line.strip_prefix("ran ")).collect();
            assert_eq!(pids.len(), 1, "{log:?} {ran}");
            assert_eq!(events(&ran), ["server+", "ran", "server-"], "{log:?} {ran}");
        }
    }
}

mod kept_up {
    use super::*;

    /// The process that keeps the only fixture, as `fixtures` tells it.
    fn keeper(package: &Package) -> Option<String> {
        let ran = package.partest().args("fixtures").run().exits(0);
        ran.stdout
            .split("kept by process ")
            .nth(1)
            .map(|rest| rest.lines().next().unwrap().to_owned())
    }

    #[test]
    fn it_serves_the_next_runs_until_it_is_stopped() {
        let log = tempfile::tempdir().unwrap();
        let package = served(&script("server", "echo VALUE=$$ >> $PARTEST_ENV"), "");
        let call = |call: Call| call.env("FIXTURE_LOG", log.path());
        let events = || std::fs::read_to_string(log.path().join("events")).unwrap_or_default();
        let ran = call(package.partest().args("-j2 --keep-fixtures api::")).run().exits(0);
        assert!(ran.stdout.contains("left running for the next run: fixture server;"), "{ran}");
        let keeper_of_first = keeper(&package).unwrap();
        // The one that is up is used, whether the next run wants to keep it or not.
        call(api(&package)).run().exits(0);
        assert_eq!(events().matches("server").count(), 1, "{}", events());
        assert_eq!(keeper(&package), Some(keeper_of_first.clone()));
        package.partest().args("fixtures stop").run().exits(0);
        has_ended(&keeper_of_first);
        assert!(events().ends_with("server-\n"), "{}", events());
        assert_eq!(keeper(&package), None);
    }

    #[test]
    fn two_runs_at_once_start_it_once() {
        let log = tempfile::tempdir().unwrap();
        let waits = "until [ -e $FIXTURE_LOG/goes ]; do sleep 0.05; done";
        let package = served(&script("server", waits), "");
        package.partest().args("--no-run").run().exits(0);
        let call = || {
            let call = package.partest().args("-j2 -v --keep-fixtures api::one");
            call.env("FIXTURE_LOG", log.path()).start()
        };
        let (first, second) = (call(), call());
        let started = || std::fs::read_to_string(log.path().join("events")).unwrap_or_default();
        await_that("the start of the fixture", || !started().is_empty());
        // The other one waits for it, or has not come to it yet.
        std::fs::write(log.path().join("goes"), "").unwrap();
        for run in [first, second] {
            run.wait().exits(0);
        }
        assert_eq!(started().matches("server+").count(), 1, "{}", started());
        package.partest().args("fixtures stop").run().exits(0);
        await_that("the end of the fixture", || started().ends_with("server-\n"));
    }

    #[test]
    fn how_long_it_took_to_come_up_is_told() {
        let package = served(&script("server", "sleep 0.3"), "");
        let ran = api(&package).args("--keep-fixtures").run().exits(0);
        let ready = ran.events().into_iter().find(|event| event["state"] == "ready").unwrap();
        // No sleep is shorter than it says.
        assert!(ready["seconds"].as_f64().unwrap() >= 0.3, "{ran}");
        package.partest().args("fixtures stop").run().exits(0);
    }

    #[test]
    fn it_is_started_by_hand() {
        let package = served(&script("server", "echo VALUE=up >> $PARTEST_ENV"), "");
        let ran = package.partest().args("fixtures start server").run().exits(0);
        assert!(ran.stdout.contains("shop.server: running, kept by process "), "{ran}");
        assert!(ran.stdout.ends_with("  VALUE=up\n"), "{ran}");
        let keeper = keeper(&package).unwrap();
        let ran = package.partest().args("fixtures stop server").run().exits(0);
        assert_eq!(ran.stderr, "     Stopped 1 fixture\n", "{ran}");
        has_ended(&keeper);
    }

    /// `inner` stands below `server` in every group that uses it, and needs `disk`.
    #[test]
    fn those_that_were_started_by_hand_serve_a_run() {
        let log = tempfile::tempdir().unwrap();
        let modules =
            format!("{API}\n\"shop::api::deep\" = {{ policy = \"shared\", fixture = \"inner\" }}");
        let fixtures = shell("server", &script("server", "echo VALUE=$$ >> $PARTEST_ENV"), "")
            + &shell("disk", &script("disk", "echo DISK=$$ >> $PARTEST_ENV"), "")
            + &shell("inner", &script("inner", ":"), ", fixture = \"disk\"");
        let package = package(&modules, &fixtures);
        let call = |call: Call| call.env("FIXTURE_LOG", log.path()).run().exits(0);
        call(package.partest().args("fixtures start"));
        call(package.partest().args("-j2 --keep-fixtures api::"));
        call(package.partest().args("fixtures stop"));
        let events = std::fs::read_to_string(log.path().join("events")).unwrap();
        for name in ["server+", "disk+", "inner+"] {
            assert_eq!(events.matches(name).count(), 1, "{events}");
        }
    }

    #[test]
    fn one_that_is_declared_anew_is_started_anew() {
        let package = served(&script("server", ":"), "");
        package.partest().args("-j2 --keep-fixtures api::").run().exits(0);
        let keeper = keeper(&package).unwrap();
        let manifest = std::fs::read_to_string(package.path("Cargo.toml")).unwrap();
        package.write("Cargo.toml", &manifest.replace("server+ ", "other+ "));
        let ran = api(&package).run().exits(0);
        has_ended(&keeper);
        assert_eq!(events(&ran), ["other+", "ran", "server-"], "{ran}");
    }

    /// Never ready, within an hour: as `sh` does it, with this instead of its end.
    fn comes_up_for_ever(end: &str, more: &str) -> Package {
        let script = format!(
            "trap '{end}' TERM; echo server+ >> $FIXTURE_LOG/events; echo $$ $PPID > $FIXTURE_LOG/pids; \
             while :; do sleep 0.05; done"
        );
        served(&script, &format!(", timeout = \"1h\"{more}"))
    }

    /// The fixture has begun, and somebody waits for it.
    fn waits_for_it(call: Call) -> (Running, Vec<String>) {
        let run = call.start();
        let pids = run.await_log("pids").concat();
        (run, pids.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn one_that_comes_up_goes_when_nobody_wants_it_any_more() {
        let package = comes_up_for_ever("echo server- >> $FIXTURE_LOG/events; exit", "");
        let run = package.partest().json().args("-j2 --keep-fixtures api::");
        let by_hand = package.partest().args("fixtures start");
        for call in [run, by_hand] {
            let (run, pids) = waits_for_it(call);
            run.send(Signal::INT);
            let ran = run.wait().exits(130);
            assert_eq!(events(&ran), ["server+", "server-"], "{ran}");
            assert!(!ran.stdout.contains("left running"), "{ran}");
            pids.iter().for_each(|pid| has_ended(pid));
            assert_eq!(keeper(&package), None);
        }
    }

    #[test]
    fn one_that_comes_up_and_does_not_go_is_ended_with_the_run() {
        let package = comes_up_for_ever("", ", stop = \"1h\"");
        let call = package.partest().args("-j2 --keep-fixtures api::");
        let (run, pids) = waits_for_it(call);
        run.send(Signal::INT);
        let ran = run.wait().exits(130);
        pids.iter().for_each(|pid| assert!(!is_alive(pid), "{ran}"));
    }

    #[test]
    fn one_that_fails_says_so() {
        let package = served("echo no disk; exit 3", "");
        let ran = package.partest().args("fixtures start").run().exits(105);
        assert!(ran.stderr.contains("fixture server failed: it ended with exit code 3"), "{ran}");
        assert!(ran.stderr.ends_with("no disk\n"), "{ran}");
        let ran = package.partest().args("fixtures stop srever").run().exits(2);
        assert!(ran.stderr.contains("did you mean `server`?"), "{ran}");
    }
}

mod declared_wrongly {
    use super::*;

    #[track_caller]
    fn is_refused(modules: &str, fixtures: &str, words: &[&str]) {
        let ran = package(modules, fixtures).partest().run().exits(2);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} in {ran}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        is_refused(
            API,
            "server = { test = \"shop::fixtures::servr\" }",
            &[
                "test `shop::fixtures::servr` is not defined",
                "did you mean `shop::fixtures::server`?",
            ],
        );
        is_refused(
            API,
            "server = { test = \"shop::fixtures::no_fixture\" }",
            &[
                "`shop::fixtures::no_fixture` is a fixture, and `cargo test` would run it",
                "#[ignore]",
            ],
        );
        is_refused(
            API,
            "server = { start = \"server --port 0\" }",
            &["`start` must be a list of strings", "start = [\"PROGRAM\", \"ARGUMENT\"]"],
        );
        is_refused(
            API,
            "server = { start = [\"a\"], ready = \"(\" }",
            &["invalid regular expression for `ready`"],
        );
        is_refused(
            API,
            "server = { start = [\"a\"], stop = { after = \"1s\" } }",
            &["unknown key `after` in `stop`"],
        );
        is_refused(
            API,
            "server = { start = [\"a\"], scpoe = \"slot\" }",
            &["did you mean `scope`?"],
        );
        is_refused(
            API,
            "server = { start = [\"a\"], fixture = \"server\" }",
            &["fixture `server` depends on itself"],
        );
    }
}
