//! A run in front of a person: what is typed, and who gets it.

#![cfg(target_os = "linux")]

mod keys;
mod pictures;
mod screens;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::fixture::{self, PROGRAM, Package, await_that, hear_hang_ups};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A test that stays until it is let go.
const STAYS: &str = r#"
fn place(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("PLACE").unwrap()).join(name)
}
#[test]
fn stays() {
    std::fs::write(place("stays"), "").unwrap();
    while !place("go").exists() { std::thread::sleep(std::time::Duration::from_millis(1)) }
}
"#;

/// A shell at a terminal of its own.
struct Person {
    package: Package,
    shell: Child,
    master: File,
    /// Keeps the terminal's settings to be looked at.
    terminal: OwnedFd,
    /// What they were before the shell began.
    first_settings: String,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Person {
    /// Who runs this script; `$0` is the program.
    fn runs(script: &str) -> Person {
        Person::runs_tests(STAYS, script)
    }

    /// The same with other tests.
    fn runs_tests(tests: &str, script: &str) -> Person {
        Person::runs_in(Package::shop("", tests), script, (0, 0))
    }

    /// The same with any package, and a window of so many rows and columns.
    fn runs_in(package: Package, script: &str, (ws_row, ws_col): (u16, u16)) -> Person {
        let package = package.with_debug_info();
        // What is typed during the build may be for cargo.
        package.partest().args("--no-run").run().exits(0);
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = ioctl_tiocgptpeer(&master, flags).unwrap();
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let first_settings = format!("{:?}", tcgetattr(&terminal).unwrap());
        let side = || Stdio::from(terminal.try_clone().unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", script, PROGRAM]).stdin(side()).stdout(side()).stderr(side());
        shell
            .env_clear()
            .envs(package.partest().variables())
            .env("PLACE", package.path(""))
            .env("TERM", "xterm")
            .env("CARGO_TERM_COLOR", "never")
            .current_dir(package.path(""));
        let take = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(std::io::stdin())?;
            hear_hang_ups()
        };
        // SAFETY: these are three system calls.
        unsafe { shell.pre_exec(take) };
        let shell = shell.spawn().unwrap();
        let mut master = File::from(master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, so_far) = (master.try_clone().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                so_far.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        master.flush().unwrap();
        Person { package, shell, master, terminal, first_settings, shown }
    }

    fn settings(&self) -> String {
        format!("{:?}", tcgetattr(&self.terminal).unwrap())
    }

    /// Waits until the run reads single keys.
    fn awaits_keys(&self) {
        await_that("single keys", || {
            let modes = tcgetattr(&self.terminal).unwrap().local_modes;
            !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
        });
    }

    /// What the terminal has shown so far, without what only moves the cursor.
    fn screen(&self) -> String {
        let text = String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
        text.replace('\r', "\n")
    }

    #[track_caller]
    fn sees(&self, words: &str) {
        let began = std::time::Instant::now();
        while !self.screen().contains(words) {
            assert!(began.elapsed().as_secs() < 60, "no `{words}` in {}", self.screen());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether somebody has the terminal who is not of the shell's group.
    fn has_lent_the_terminal(&self) -> bool {
        let foreground = rustix::termios::tcgetpgrp(&self.master).unwrap();
        foreground != rustix::process::Pid::from_child(&self.shell)
    }

    fn awaits_the_test(&self) {
        await_that("the test", || self.package.path("stays").exists());
    }

    /// Asks what runs, until the runner has read that the test does: it runs before that is known.
    fn asks_until_it_is_known(&mut self, keys: &str) {
        while !self.screen().contains("slot 0 shop::stays") {
            let answers = self.screen().matches("slot 0 ").count();
            self.types(keys);
            await_that("an answer", || self.screen().matches("slot 0 ").count() > answers);
        }
    }

    fn lets_it_go(&self) {
        self.package.write("go", "");
    }

    /// The shell's own end, with the terminal as it was.
    fn ends(self) -> String {
        self.ends_with_bytes().0
    }

    /// And what the terminal was sent.
    fn ends_with_bytes(mut self) -> (String, Vec<u8>) {
        let shell = self.shell.id().to_string();
        await_that("the end of the shell", || !fixture::is_alive(&shell));
        self.shell.wait().unwrap();
        assert_eq!(self.settings(), self.first_settings);
        (self.screen(), self.shown.lock().unwrap().clone())
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

const ASKED: &str = "So far 0 of 1 test finished, 1 left";

/// The line of progress is cut to the terminal, also to one that shrinks, has no columns at all,
/// or is a dumb one.
#[test]
fn a_terminal_may_have_any_size_and_change_it() {
    for term in ["xterm", "dumb"] {
        let person = Person::runs(&format!("TERM={term} \"$0\" partest -j1; echo \"code $?\""));
        person.awaits_the_test();
        for (rows, columns) in [(24, 80), (1, 1), (0, 0), (2, 7), (500, 500), (24, 80)] {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&person.terminal, size).unwrap();
            // The line is drawn again and again; a dumb terminal is shown none.
            let shown = person.screen().len();
            await_that("a draw", || term == "dumb" || person.screen().len() > shown);
        }
        person.lets_it_go();
        person.sees("1 passed in ");
        person.sees("code 0");
        person.ends();
    }
}

#[test]
fn long_lines_of_output_keep_their_margin() {
    let test = "#[test] fn prints() { println!(\"{}\", \"x\".repeat(100)); panic!(\"{}\", \"y\".repeat(100)) }";
    for columns in [40, 60, 80] {
        let script = format!("stty rows 24 cols {columns}; \"$0\" partest; echo \"code $?\"");
        let person = Person::runs_tests(test, &script);
        person.sees("code 100");
        let screen = person.ends();
        for (character, margin) in [('x', "  | "), ('y', "    ")] {
            let is_it = |line: &&str| line.ends_with(&character.to_string().repeat(8));
            let lines: Vec<&str> = screen.lines().filter(is_it).collect();
            assert_eq!(lines.len(), 100_usize.div_ceil(columns - margin.len()), "{screen}");
            let is_behind = |line: &&str| line.starts_with(&format!("{margin}{character}"));
            assert!(lines.iter().all(is_behind), "{screen}");
        }
    }
}

fn emulator(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0)
}

/// What a terminal that breaks lines anew makes of its screen when it gets this narrow.
fn narrowed(screen: &vt100::Screen, columns: u16) -> vt100::Parser {
    let (rows, _) = screen.size();
    let (cursor, _) = screen.cursor_position();
    let mut narrow = emulator(rows.get(), columns);
    let mut row_of_cursor = 0;
    for (at, row) in screen.rows(0, u16::MAX).enumerate() {
        if at == usize::from(cursor) {
            row_of_cursor = narrow.screen().cursor_position().0;
        }
        if at <= usize::from(cursor) || !row.trim().is_empty() {
            narrow.process(format!("{}\r\n", row.trim_end()).as_bytes());
        }
    }
    narrow.process(format!("\x1b[{};1H", row_of_cursor + 1).as_bytes());
    narrow
}

#[test]
fn nothing_is_left_of_the_lines_that_were_drawn_in_a_larger_window() {
    let person = Person::runs("\"$0\" partest -j1; echo \"code $?\"");
    let resize = |columns| {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&person.terminal, size).unwrap();
    };
    resize(100);
    person.awaits_the_test();
    person.sees(" s shop::stays\x1b");
    await_that("a bar of 24 columns", || {
        person.screen().contains(&format!("Testing [>{}] 0/1", " ".repeat(23)))
    });
    // Where a frame has ended.
    let shown = || {
        let shown = person.shown.lock().unwrap();
        let end = shown.windows(4).rposition(|bytes| bytes == b"\x1b[1A").unwrap() + 4;
        shown[..end].to_vec()
    };
    let before = shown();
    let mut wide = emulator(24, 100);
    wide.process(&before);
    let mut narrow = narrowed(wide.screen(), 40);
    resize(40);
    person.sees("Testing 0/1");
    narrow.process(&shown()[before.len()..]);
    let contents = narrow.screen().contents();
    let drawn: Vec<&str> = contents.lines().skip_while(|row| !row.contains("Testing")).collect();
    assert_eq!(drawn.len(), 2, "{contents}");
    assert!(drawn[1].ends_with(" s shop::stays"), "{contents}");
    person.lets_it_go();
    person.sees("code 0");
    person.ends();
}

/// Also where it is told to show progress or colours only by being a terminal.
#[test]
fn nothing_is_left_of_the_progress_bar_of_a_build_that_is_ended() {
    let package = Package::shop("[package.metadata.partest]\n", STAYS);
    let cargo = "#!/bin/sh
case \"$1\" in test) printf '  Building [=> ] 1/2' >&2; echo > begun; exec sleep 600;; esac
until [ -e begun ]; do sleep 0.01; done
exec cargo \"$@\"
";
    package.write_script("half-a-line", cargo);
    let script = "echo 'treads = 2' >> Cargo.toml; \
        CARGO=$PLACE/half-a-line \"$0\" partest; echo \"code $?\"";
    let person = Person::runs_in(package, script, (24, 80));
    person.sees("code 2");
    let mut emulator = emulator(24, 80);
    emulator.process(&person.ends_with_bytes().1);
    let screen = emulator.screen().contents();
    assert!(screen.starts_with("error: unknown key `treads`\n"), "{screen}");
}

#[test]
fn a_dumb_terminal_gets_plain_text() {
    for term in ["dumb", "xterm"] {
        let script =
            format!("unset CARGO_TERM_COLOR; TERM={term} \"$0\" partest -j1; echo \"code $?\"");
        let person = Person::runs(&script);
        person.awaits_the_test();
        if term == "xterm" {
            person.sees("Testing");
        }
        person.lets_it_go();
        person.sees("code 0");
        let screen = person.ends();
        assert_eq!(
            screen.contains('\x1b') || screen.contains("Testing"),
            term == "xterm",
            "{screen}"
        );
    }
}

/// Tests that touch the terminal, which `cargo test` lets them do.
mod in_the_hands_of_a_test {
    use super::*;

    const CHANGES_ITS_MODE: &str = r#"
fn sh(shell: &str, flags: &str, script: &str) -> Vec<u8> {
    let mut shell = std::process::Command::new(shell);
    let said = shell.args([flags, script]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    said.stdout
}
#[test] fn mode() { sh("sh", "-c", "stty -echo </dev/tty && stty echo </dev/tty"); }
"#;
    /// It takes the terminal for itself.
    const RUNS_A_SHELL: &str = r#"
#[test] fn shell() { assert_eq!(sh("bash", "-ic", "echo hello"), b"hello\n"); }
"#;
    const READS: &str = r#"
#[test]
fn reads() {
    let mut shell = std::process::Command::new("sh");
    let script = "read line </dev/tty; test \"$line\" = hello";
    assert!(shell.args(["-c", script]).status().unwrap().success());
}
"#;

    #[test]
    fn it_goes_on() {
        let tests = [CHANGES_ITS_MODE, RUNS_A_SHELL].concat();
        for flags in ["-j1", "-j2 --isolate", "-j1 --no-agent", "-j1 -- --nocapture"] {
            let script = format!("\"$0\" partest {flags}; echo \"code $?\"");
            let person = Person::runs_tests(&tests, &script);
            person.sees("code ");
            let screen = person.ends();
            assert!(screen.contains("2 passed in ") && screen.contains("code 0"), "{screen}");
        }
    }

    /// Each waits as a shell does. One comes to use the terminal long after it got it, and the other
    /// wants it all the time until then.
    const WAIT_FOR_IT: &str = r#"
unsafe extern "C" {
    fn tcgetpgrp(terminal: i32) -> i32;
    fn getpgrp() -> i32;
    fn kill(process: i32, signal: i32) -> i32;
}
fn waits_for_it(looks_again: impl Fn()) {
    let terminal = std::fs::File::open("/dev/tty").unwrap();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&terminal);
    while unsafe { tcgetpgrp(descriptor) != getpgrp() } {
        const SIGTTIN: i32 = 21;
        unsafe { kill(0, SIGTTIN) };
        looks_again();
    }
}
fn place() -> std::path::PathBuf {
    std::path::PathBuf::from(std::env::var_os("PLACE").unwrap()).join("used")
}
#[test]
fn is_slow() {
    let takes = |time| std::thread::sleep(std::time::Duration::from_millis(time));
    // The first ends when it goes on: what is stopped does not notice how time passes.
    waits_for_it(|| { takes(10); takes(500) });
    std::fs::write(place(), "").unwrap();
}
#[test]
fn wants_it() {
    while !place().exists() {
        waits_for_it(|| {});
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
"#;

    #[test]
    fn one_that_is_slow_has_it_long_enough_at_last() {
        let script = "\"$0\" partest -j2 --isolate; echo \"code $?\"";
        let person = Person::runs_tests(WAIT_FOR_IT, script);
        person.sees("code ");
        let screen = person.ends();
        assert!(screen.contains("2 passed in") && screen.contains("code 0"), "{screen}");
    }

    #[test]
    fn what_is_typed_is_for_it() {
        let mut person = Person::runs_tests(READS, "\"$0\" partest; echo \"code $?\"");
        await_that("the terminal given", || person.has_lent_the_terminal());
        person.types("hello\n");
        person.sees("1 passed in ");
        person.sees("code 0");
        assert!(!person.ends().contains(ASKED));
    }

    #[test]
    fn an_interrupt_is_for_the_run() {
        for flags in ["-j1", "-j1 --no-agent"] {
            let script = format!("\"$0\" partest {flags}; echo \"code $?\"");
            let mut person = Person::runs_tests(READS, &script);
            await_that("the terminal given", || person.has_lent_the_terminal());
            person.types("\x03");
            person.sees("1 interrupted");
            person.sees("code 130");
            person.ends();
        }
    }

    #[test]
    fn a_stop_is_for_the_run() {
        let script =
            "set -m; \"$0\" partest -j1; echo stopped; read go; fg >/dev/null; echo \"code $?\"";
        let mut person = Person::runs_tests(READS, script);
        let shell = rustix::process::Pid::from_child(&person.shell);
        let runs_alone = |person: &Person| {
            let foreground = rustix::termios::tcgetpgrp(&person.master).unwrap();
            let name = fixture::name_of(&foreground.as_raw_pid().to_string());
            foreground != shell && name.starts_with("shop")
        };
        await_that("the terminal given", || runs_alone(&person));
        person.types("\x1a");
        person.sees("stopped");
        person.types("\n");
        await_that("the terminal given again", || runs_alone(&person));
        person.types("hello\n");
        person.sees("code 0");
        person.ends();
    }

    /// The shell has taken it meanwhile, for itself.
    #[test]
    fn it_is_given_again_after_a_stop_by_somebody_else() {
        let script =
            "set -m; \"$0\" partest -j1; echo stopped; read go; fg >/dev/null; echo \"code $?\"";
        let mut person = Person::runs_tests(READS, script);
        let runs_alone = |person: &Person| {
            let foreground = rustix::termios::tcgetpgrp(&person.master).unwrap();
            fixture::name_of(&foreground.as_raw_pid().to_string()).starts_with("shop")
        };
        await_that("the terminal given", || runs_alone(&person));
        let run = fixture::children_of(&person.shell.id().to_string()).concat();
        let run = rustix::process::Pid::from_raw(run.parse().unwrap()).unwrap();
        rustix::process::kill_process(run, rustix::process::Signal::TSTP).unwrap();
        person.sees("stopped");
        person.types("\n");
        await_that("the terminal given again", || runs_alone(&person));
        person.types("hello\n");
        person.sees("code 0");
        person.ends();
    }

    #[test]
    fn it_waits_for_a_run_in_the_background() {
        let script = "set -m; \"$0\" partest -j1 & read go; fg >/dev/null; echo \"code $?\"";
        let mut person = Person::runs_tests(CHANGES_ITS_MODE, script);
        person.sees("uses the terminal, so its process is stopped");
        person.types("\n");
        person.sees("1 passed in ");
        person.sees("code 0");
        person.ends();
    }
}
