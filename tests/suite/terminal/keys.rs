//! Keys while a run goes on, and the terminal after it.

use rustix::process::{Pid, Signal, kill_process};

use super::*;

#[test]
fn enter_tells_what_runs_now_as_often_as_it_is_pressed() {
    let mut person = Person::runs("\"$0\" partest -j1; echo \"code $?\"");
    person.awaits_the_test();
    person.asks_until_it_is_known("\n");
    let answers = person.screen().matches(ASKED).count();
    for times in 1..=3 {
        person.types("\n");
        await_that("an answer", || person.screen().matches(ASKED).count() == answers + times);
    }
    person.lets_it_go();
    person.sees("code 0");
    person.ends();
}

#[test]
fn who_has_asked_can_still_interrupt_and_stop_and_go_on() {
    let mut person =
        Person::runs("set -m; \"$0\" partest -j1; echo stopped; fg >/dev/null; echo \"code $?\"");
    person.awaits_the_test();
    person.types("\n");
    person.sees(ASKED);
    person.types("\x1a");
    person.sees("stopped");
    let answers = person.screen().matches(ASKED).count();
    person.types("\n");
    await_that("an answer", || person.screen().matches(ASKED).count() > answers);
    person.types("\x03");
    person.sees("1 interrupted");
    person.sees("code 130");
    person.ends();
}

/// What hangs is found by asking twice.
#[test]
fn who_asks_again_is_shown_the_stacks_of_what_still_runs() {
    let mut person = Person::runs("\"$0\" partest -j1; echo \"code $?\"");
    person.awaits_the_test();
    person.asks_until_it_is_known("t");
    assert!(!person.screen().contains("thread `"));
    person.types("\n");
    person.sees("thread `stays` of shop::stays:");
    person.sees("  shop::stays at src/lib.rs:");
    person.lets_it_go();
    person.sees("1 passed in ");
    person.sees("code 0");
    // They are no output of the test.
    assert_eq!(person.ends().matches("thread `stays`").count(), 1);
}

#[test]
fn help_names_all_that_can_be_typed() {
    for typed in ["h", "?", "what is this\n"] {
        let mut person = Person::runs("\"$0\" partest -j1; echo \"code $?\"");
        person.awaits_the_test();
        person.types(typed);
        person.sees("t, Enter  show the running tests");
        person.sees("p  pause all tests");
        person.sees("q  finish the running tests");
        person.lets_it_go();
        person.sees("code 0");
        person.ends();
    }
}

#[test]
fn a_paused_run_stops_its_tests_until_it_is_continued_or_ended() {
    let says_pid =
        STAYS.replace("place(\"stays\"), \"\"", "place(\"stays\"), std::process::id().to_string()");
    for next in ["p", "\x03", "q"] {
        let mut person = Person::runs_tests(
            &says_pid,
            "set -m; \"$0\" partest -j1 --timeout 1h; echo \"code $?\"",
        );
        let pid = || std::fs::read_to_string(person.package.path("stays")).unwrap_or_default();
        await_that("the test", || !pid().is_empty());
        let pid = pid();
        person.types("p");
        await_that("the test stopped", || fixture::is_stopped(&pid));
        person.sees("Paused all tests and their time limits");
        match next {
            "\x03" => {
                person.types("\x03");
                person.sees("code 130");
            }
            key => {
                person.types(key);
                await_that("the test continued", || !fixture::is_stopped(&pid));
                person.lets_it_go();
                person.sees("1 passed in ");
                person.sees("code 0");
            }
        }
        person.ends();
    }
}

/// One process runs all of them.
#[test]
fn q_finishes_what_runs_and_starts_no_more() {
    let two = STAYS.replace("fn stays", "fn a_stays")
        + "#[test] fn b_comes_later() { std::fs::write(place(\"later\"), \"\").unwrap(); loop { std::thread::park() } }";
    let mut person =
        Person::runs_tests(&two, "\"$0\" partest -j1 -v -- --test-threads=1; echo \"code $?\"");
    person.awaits_the_test();
    person.types("q");
    person.sees("Stopping once the running tests finish");
    person.lets_it_go();
    person.sees("interrupted: 1 passed, 1 not run in ");
    person.sees("code 130");
    assert!(person.ends().contains("PASSED shop::a_stays"));
}

/// It would be stopped for it, or take what is meant for somebody else.
#[test]
fn a_run_in_the_background_reads_nothing() {
    let mut person = Person::runs(
        "set -m; \"$0\" partest -j1 & wait $!; echo \"code $?\"; read line; echo \"got $line\"",
    );
    person.awaits_the_test();
    person.types("hello\n");
    person.lets_it_go();
    person.sees("code 0");
    person.sees("got hello");
    assert!(!person.ends().contains(ASKED));
}

/// Its pager reads the terminal too.
#[test]
fn a_run_whose_output_goes_elsewhere_reads_nothing() {
    for run in ["\"$0\" partest | cat", "\"$0\" partest 2>/dev/null", "\"$0\" partest </dev/null"] {
        let mut person = Person::runs(&format!("{run}; read line; echo \"got $line\""));
        person.awaits_the_test();
        person.types("hello\n");
        person.lets_it_go();
        person.sees("got hello");
        assert!(!person.ends().contains(ASKED));
    }
}

impl Person {
    /// The process that the user started, the guard, and the runner.
    fn processes(&self) -> [Pid; 3] {
        let mut last = self.shell.id().to_string();
        [(); 3].map(|()| {
            await_that("a process", || fixture::children_of(&last).len() == 1);
            last = fixture::children_of(&last).concat();
            Pid::from_raw(last.parse().unwrap()).unwrap()
        })
    }

    /// How many bytes the run has read from the terminal so far.
    fn read_by_the_run(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.processes()[2]);
        let threads = std::fs::read_dir(tasks).unwrap().map(|thread| thread.unwrap().path());
        let text = |file: std::path::PathBuf| std::fs::read_to_string(file).unwrap_or_default();
        let mut readers = threads.filter(|thread| text(thread.join("comm")) == "terminal\n");
        // It reads nothing else.
        let io = text(readers.next().unwrap().join("io"));
        let count = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        count.parse().unwrap()
    }

    /// Waits until the terminal is as it was before the run.
    #[track_caller]
    fn has_its_settings_back(&self) {
        await_that("the terminal as it was", || self.settings() == self.first_settings);
    }
}

/// How a run ends, and its exit code.
type End = (&'static str, fn(&mut Person), i32);

const ENDS: [End; 9] = [
    ("the last test", |person| person.lets_it_go(), 0),
    ("q", |person| (person.types("q"), person.lets_it_go()).1, 0),
    ("Ctrl-C", |person| person.types("\x03"), 130),
    ("SIGTERM", |person| kills(person, 0, Signal::TERM), 130),
    ("SIGHUP", |person| kills(person, 0, Signal::HUP), 130),
    ("SIGTERM to the runner", |person| kills(person, 2, Signal::TERM), 130),
    ("SIGKILL", |person| kills(person, 0, Signal::KILL), 137),
    ("SIGKILL to the guard", |person| kills(person, 1, Signal::KILL), 137),
    ("SIGKILL to the runner", |person| kills(person, 2, Signal::KILL), 137),
];

fn kills(person: &Person, which: usize, signal: Signal) {
    kill_process(person.processes()[which], signal).unwrap();
}

#[test]
fn the_terminal_is_after_a_run_as_it_was_before() {
    for (end, ends, code) in ENDS {
        let script = "set -m; \"$0\" partest -j1; echo \"code $?\"; read line; echo \"got $line\"";
        let mut person = Person::runs(script);
        person.awaits_the_test();
        person.awaits_keys();
        ends(&mut person);
        println!("after {end}");
        person.sees(&format!("code {code}\n"));
        person.has_its_settings_back();
        person.types("hello\n");
        person.sees("got hello");
        person.ends();
    }
}

#[test]
fn a_run_that_is_stopped_leaves_the_terminal_as_it_was_until_it_goes_on() {
    let script = "set -m; \"$0\" partest -j1; echo stopped; read go; bg >/dev/null; echo beside; \
                  read go; fg >/dev/null; echo \"code $?\"";
    let mut person = Person::runs(script);
    person.awaits_the_test();
    person.awaits_keys();
    person.types("\x1a");
    person.sees("stopped");
    assert_eq!(person.settings(), person.first_settings);
    person.types("\n");
    person.sees("beside");
    // It runs on in the background.
    let runner = person.processes()[2].as_raw_pid().to_string();
    await_that("the run", || !fixture::is_stopped(&runner));
    assert_eq!(person.settings(), person.first_settings);
    person.types("\n");
    person.awaits_keys();
    person.types("t");
    person.sees(ASKED);
    person.types("\x03");
    person.sees("code 130");
    person.ends();
}

/// Such a line was for the shell, whatever letters are in it.
#[test]
fn text_that_is_typed_ahead_does_nothing() {
    let mut person = Person::runs("\"$0\" partest -j1; echo \"code $?\"");
    person.awaits_the_test();
    person.awaits_keys();
    person.types("cargo help quit\n");
    person.sees("p  pause all tests");
    person.lets_it_go();
    person.sees("code 0");
    let screen = person.ends();
    assert!(!screen.contains(ASKED) && !screen.contains("all tests are stopped"), "{screen}");
}

/// As far as the kernel allows it.
#[test]
fn a_line_without_an_end_is_left_to_the_shell() {
    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
    let is_allowed = allowed.is_ok_and(|allowed| allowed.trim() == "1");
    let mut person =
        Person::runs("\"$0\" partest -j1; echo \"code $?\"; read line; echo \"got $line\"");
    person.awaits_the_test();
    person.awaits_keys();
    // With an arrow, and letters that are keys.
    let text = "make \x1b[Aquit";
    person.types(text);
    await_that("all of it read", || person.read_by_the_run() == text.len());
    person.lets_it_go();
    person.sees("code 0");
    person.types("!\n");
    person.sees(if is_allowed { "got make quit!" } else { "got !" });
    person.ends();
}

/// It is lent in the way in which the user has set it.
#[test]
fn a_test_has_the_terminal_in_line_mode() {
    let reads = STAYS.replace(
        "while !place",
        "assert!(std::process::Command::new(\"sh\").args([\"-c\", \"read line </dev/tty; test \\\"$line\\\" = hello; stty -a </dev/tty >$PLACE/modes\"]).status().unwrap().success()); while !place",
    );
    let mut person = Person::runs_tests(&reads, "\"$0\" partest -j1; echo \"code $?\"");
    person.awaits_the_test();
    await_that("the terminal given", || person.has_lent_the_terminal());
    person.has_its_settings_back();
    person.types("hello\n");
    let modes = || std::fs::read_to_string(person.package.path("modes")).unwrap_or_default();
    await_that("what the test saw", || modes().contains("icanon"));
    assert!(!modes().contains("-icanon") && !modes().contains("-echo "), "{}", modes());
    person.lets_it_go();
    person.sees("code 0");
    person.ends();
}

/// What it has saved and puts back may be what was set for keys.
#[test]
fn keys_need_enter_once_a_test_has_used_the_terminal() {
    let uses = r#"
#[test] fn a_uses_it() {
    let script = "stty -echo </dev/tty && stty echo </dev/tty";
    assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
}
"#;
    let script = "\"$0\" partest -j1 --isolate -- --test-threads=1; echo \"code $?\"";
    let mut person = Person::runs_tests(&(uses.to_owned() + STAYS), script);
    person.awaits_the_test();
    person.has_its_settings_back();
    person.types("t\n");
    person.sees("So far 1 of 2 tests finished, 1 left");
    assert_eq!(person.settings(), person.first_settings);
    person.lets_it_go();
    person.sees("code 0");
    person.ends();
}
