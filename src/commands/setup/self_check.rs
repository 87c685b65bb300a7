//! `self-check`: what works on this machine, found out by running a few tests that leak.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::output_args::MessageFormat;
use crate::cli::settings::Settings;
use crate::error::{Error, Exit, Result};
use crate::model::json_line::json_line;
use crate::process::platform::RunnerPipes;
use crate::process::procfs;
use crate::report::text::{self, Paint};
use crate::run::interrupt::Interrupts;

const MANIFEST: &str = r#"
[package]
name = "self_check"
version = "0.0.0"
edition = "2021"
[workspace]
[package.metadata.partest]
isolate = true
[package.metadata.partest.modules]
"self_check::waits_for_ever" = { timeout = "2s" }
"#;

/// A test that passes, and one for each thing that is to be seen.
const TESTS: &str = r#"
#[test] fn passes() { std::hint::black_box(vec![0u8; 4096]); }
#[test] fn leaves_a_thread() {
    let parked = || loop { std::thread::park() };
    std::thread::Builder::new().name("left".into()).spawn(parked).unwrap(); // here
}
#[cfg(unix)] #[test] fn leaves_a_process() {
    // Its parent has ended: only who adopts it finds it.
    let script = "(sleep 600 >/dev/null 2>&1 &)";
    std::process::Command::new("sh").args(["-c", script]).status().unwrap();
}
#[test] fn aborts() {
    println!("a text that is known");
    print!("and half a line");
    std::process::abort()
}
#[test] fn waits_for_ever() { loop { std::thread::park() } }
"#;

/// What the test prints that aborts.
const PRINTED: &str = "a text that is known\nand half a line";

/// One thing that works, or does not.
#[derive(Debug, Clone, Serialize)]
struct Check {
    name: &'static str,
    works: bool,
    detail: String,
}

#[derive(Serialize)]
struct Line<'l> {
    event: &'static str,
    checks: &'l [Check],
}

/// Runs the tests, and prints what was seen of them.
pub fn run(settings: &Settings) -> Result<Exit> {
    // An interrupt ends the inner run, and then this one: the folder goes with it.
    let interrupts = Interrupts::catch(RunnerPipes::default(), |_| {}).map_err(Error::Signals)?;
    let folder = TempDir::new().map_err(Error::Scratch)?;
    write(folder.path()).map_err(Error::Scratch)?;
    let ran = partest(folder.path())?;
    if interrupts.is_interrupted() {
        return Err(Error::Interrupted);
    }
    let checks = checks(&ran);
    let shown = match settings.format {
        MessageFormat::Json => json_line(&Line { event: "self-check", checks: &checks }),
        _ => human(&checks, Paint(settings.color.stdout)),
    };
    text::unless_closed(text::print(&shown))?;
    Ok(if ran.is_whole() { Exit::Success } else { Exit::Error })
}

fn write(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    std::fs::write(folder.join("src/lib.rs"), TESTS)
}

/// What the run has reported.
struct Ran {
    events: Vec<Value>,
    stderr: String,
}

impl Ran {
    fn test(&self, name: &str) -> Option<&Value> {
        self.events.iter().find(|event| event["event"] == "test" && event["name"] == name)
    }

    fn leak(&self, kind: &str) -> Option<&Value> {
        let leaks = self.events.iter().filter_map(|event| event["leaks"].as_array()).flatten();
        leaks.into_iter().find(|leak| leak["kind"] == kind)
    }

    /// Whether the tests were built, and have the verdicts that they are to have.
    fn is_whole(&self) -> bool {
        let outcome = |name: &str| self.test(name).map(|test| test["outcome"].clone());
        outcome("passes") == Some("passed".into())
            && outcome("waits_for_ever") == Some("timed-out".into())
    }
}

/// A run like any other, by this very program.
fn partest(folder: &Path) -> Result<Ran> {
    let program = std::env::current_exe().unwrap_or_else(|_| "cargo-partest".into());
    let mut command = Command::new(&program);
    command.args(["partest", "--message-format", "json", "--no-ci", "--no-doc", "-j2"]);
    command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    // The check of a run that is started by a test is about the machine, not about that run.
    command.env_remove("PARTEST_RUN_ID").env_remove("PARTEST_PROFILE");
    let output = command
        .output()
        .map_err(|source| Error::Start { program: program.display().to_string(), source })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    Ok(Ran {
        events: stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn checks(ran: &Ran) -> Vec<Check> {
    let is_whole = ran.is_whole();
    let run = Check {
        name: "run",
        works: is_whole,
        detail: match is_whole {
            true => "tests are built, run and stopped at their time limit".to_owned(),
            false => format!("a run of a small package failed: {}", last_lines(&ran.stderr)),
        },
    };
    let others = if is_whole { seen_in(ran) } else { Vec::new() };
    [vec![run], others].concat()
}

/// What a run that has worked shows.
fn seen_in(ran: &Ran) -> Vec<Check> {
    let check = |name, works: bool, found: &str, missed: &str| Check {
        name,
        works,
        detail: if works { found } else { missed }.to_owned(),
    };
    let has_agent = ran.test("passes").is_some_and(|test| test["cpu-seconds"].is_number());
    let line = 1 + TESTS.lines().position(|line| line.contains("// here")).unwrap_or_default();
    let place = ran.leak("thread").and_then(|leak| leak["where"].as_str());
    let is_placed = place.is_some_and(|place| place.ends_with(&format!("src/lib.rs:{line}")));
    let hung = ran.test("waits_for_ever").and_then(|test| test["output"].as_str());
    let has_stacks = hung.is_some_and(|output| output.contains("waits_for_ever"));
    vec![
        check(
            "agent",
            has_agent,
            "the agent loads into test processes",
            "it is not loaded: verdicts are the same, leaks and what tests share are not seen",
        ),
        check(
            "threads",
            ran.leak("thread").is_some(),
            "a thread that a test leaves is seen",
            "threads that tests leave are not reported",
        ),
        check(
            "places",
            is_placed,
            "a leak is reported with its file and line",
            "what is left behind is named without its file and line",
        ),
        check(
            "processes",
            ran.leak("process").is_some(),
            "a process that a test leaves is found, though its parent has ended, and killed",
            "processes that tests leave are not found; they may outlive the run",
        ),
        check(
            "stacks",
            has_stacks,
            "a test that hangs is shown with its stack",
            "a test that times out is reported without its stack",
        ),
        output(ran),
        check(
            "process table",
            procfs::process_info(std::process::id()).is_some(),
            "/proc is readable",
            "there is no /proc: what a run waits for is not named",
        ),
        check(
            "terminal",
            std::io::stderr().is_terminal(),
            "stderr is a terminal: the screen shows what runs",
            "stderr is not a terminal: progress is printed as lines",
        ),
        cores(),
    ]
}

/// Whether what a test had printed is known when it dies: it is read from the memory of its process,
/// where each version of Rust may keep it in another way.
fn output(ran: &Ran) -> Check {
    let aborts = ran.test("aborts");
    let text = |field: &str| aborts.and_then(|test| test[field].as_str());
    // Its stack follows.
    let works = text("output").is_some_and(|output| output.starts_with(PRINTED));
    let why = text("output-lost").unwrap_or("another text was found than was printed");
    Check {
        name: "output",
        works,
        detail: match works {
            true => "what a test printed before it died is known".to_owned(),
            false => format!("what a test printed before it died is not known: {why}"),
        },
    }
}

fn cores() -> Check {
    let found = std::thread::available_parallelism();
    Check {
        name: "cores",
        works: found.is_ok(),
        detail: match found {
            Ok(cores) => format!("{cores}, which is the number of slots without -j"),
            Err(error) => format!("their number is not known, so there is one slot: {error}"),
        },
    }
}

fn last_lines(text: &str) -> String {
    const LINES: usize = 5;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

fn human(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let line = |Check { name, works, detail }: &Check| {
        let word = match works {
            true => paint.good("works  "),
            false => paint.warn("missing"),
        };
        format!("{word:<7}  {name:<width$}  {detail}\n")
    };
    checks.iter().map(line).collect()
}
