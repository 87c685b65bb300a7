//! Every sentence that a person gets to read, one function for each occasion.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::harmless;
use crate::cargo::binary::Binary;
use crate::cargo::command;
use crate::cli::settings::Settings;
use crate::model::duration::seconds;
use crate::model::event::Phase;
use crate::model::event::{Longest, Note, Summary};
use crate::model::leak::Leak;
use crate::model::outcome::{Outcome, Unsteady, Verdict};
use crate::model::output_file::{self, Flood};
use crate::model::size;
use crate::model::way::Way;
use crate::process::{self, AtWork};

/// `1 test`, `2 tests`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = match thing {
        _ if number == 1 => thing.to_owned(),
        word if word.ends_with("ry") => format!("{}ies", &word[..word.len() - 1]),
        word if word.ends_with('s') || word.ends_with("ch") => format!("{word}es"),
        word => format!("{word}s"),
    };
    format!("{number} {plural}")
}

pub fn what_runs(tests: usize, binaries: usize, slots: usize) -> String {
    format!("{} of {} in {}", count(tests, "test"), count(binaries, "binary"), count(slots, "slot"))
}

pub fn in_brackets(took: Duration) -> String {
    format!(" ({} s)", seconds(took))
}

/// What there is to tell of a run that has not begun with its tests, or with some of them.
#[cfg(unix)]
pub fn what_is_prepared(phase: Phase, at_work: &[AtWork], tests_run: bool) -> String {
    let what = match (phase, tests_run) {
        (Phase::Building, false) => "no test runs yet: cargo builds",
        (Phase::Building, true) => "cargo still builds",
        (Phase::Listing, false) => "no test runs yet: binaries are listed",
        (Phase::Listing, true) => "binaries are still listed",
    };
    format!("{what}{}", behind_a_colon(at_work))
}

/// The same for who does not want to wait for it any more.
#[cfg(unix)]
pub fn interrupted(phase: Phase, at_work: &[AtWork], tests_ran: bool) -> String {
    let what = match phase {
        Phase::Building => "while cargo was building",
        Phase::Listing => "while binaries were being listed",
    };
    let first = if tests_ran { "" } else { ", before the first test" };
    let end = if tests_ran { "; what ran beside that is not told" } else { "" };
    format!("interrupted {what}{first}{}{end}", behind_a_colon(at_work))
}

/// What takes so long that somebody may wonder.
pub fn holds_up(phase: Phase, at_work: &[AtWork]) -> String {
    let (what, how) = match phase {
        Phase::Building => ("cargo still builds", "Ctrl-C ends it"),
        Phase::Listing => ("still listing tests", "given up after `list-timeout`"),
    };
    format!("{:>12} {what}{} ({how})", "waiting", behind_a_colon(at_work))
}

fn behind_a_colon(at_work: &[AtWork]) -> String {
    let name = |at_work: &AtWork| {
        format!("`{}` for {} s", short_command(&at_work.command), seconds(at_work.age))
    };
    let names: Vec<String> = at_work.iter().map(name).collect();
    if names.is_empty() { String::new() } else { format!(": {}", list(&names)) }
}

/// A compiler's command line fills a screen; only the crate counts.
fn short_command(command: &str) -> String {
    const LONGEST: usize = 160;
    let mut words = command.split(' ');
    let krate = words.by_ref().find(|word| *word == "--crate-name").and_then(|_| words.next());
    match krate {
        Some(krate) => format!("rustc --crate-name {krate}"),
        None if command.chars().count() <= LONGEST => command.to_owned(),
        None => command.chars().take(LONGEST).chain(" …".chars()).collect(),
    }
}

pub fn so_far(ended: u64, left: u64) -> String {
    format!("{ended} of {} ended, {left} left", count_of_tests(ended + left))
}

fn count_of_tests(tests: u64) -> String {
    count(usize::try_from(tests).unwrap_or(usize::MAX), "test")
}

pub fn runs_now(slot: usize, tests: &[String]) -> String {
    let what = match tests {
        [] => "a process that begins or ends".to_owned(),
        tests => list(tests),
    };
    format!("{:>12} {what}", format!("slot {slot}"))
}

pub fn more_slots(more: usize) -> String {
    format!("{:>12} {}", "and", count(more, "more slot"))
}

pub fn cannot_list(binary: &Binary, why: &str) -> String {
    format!("cannot list the tests of {}: {why}", what(binary))
}

/// The line that says that a harness is one test, for a reason of its own.
pub fn runs_whole(binary: &Binary, why: &str) -> String {
    format!("{} runs as one test, judged by its exit code: {why}", what(binary))
}

pub fn when_asked(how: &str) -> String {
    format!("asked for its tests, {how}")
}

pub fn lists_the_same() -> String {
    "it lists the same tests with `--ignored` and without, so that nobody can tell which of them are ignored".to_owned()
}

pub fn takes_no_name(name: &str) -> String {
    format!(
        "it lists `{}`, and does not know it when that is asked for with `--exact`",
        harmless(name.as_bytes())
    )
}

fn what(binary: &Binary) -> String {
    format!("`{}` ({} of {})", binary.name, binary.kind, binary.package_name)
}

/// What a binary did that was asked for its tests, and what it said.
pub fn asked(binary: &Binary, words: &[&str], how: &str, said: &[u8]) -> String {
    // As much of the output as helps: what went wrong stands at its end.
    const LINES: usize = 20;
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LINES)..];
    let mut text =
        format!("it {how}\n  command: {} {}", binary.short_path().display(), words.join(" "));
    for line in tail {
        text.push_str(&format!("\n  | {line}"));
    }
    text
}

/// Why a binary is not started any more.
pub fn replaced(path: &Path) -> String {
    format!(
        "`{}` was replaced while the run went on, by another build as a rule; run again what had not begun",
        path.display()
    )
}

/// Where all that a test printed stands.
pub fn whole(flood: &Flood, path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(here).unwrap_or(path).display();
    let written = size::shown(flood.written);
    match flood.missed {
        0 => format!("all of it ({written}, until the next run): {path}"),
        missed => format!(
            "the first {written} of {} (a run keeps no more than {}): {path}",
            size::shown(flood.written + missed),
            size::shown(output_file::MOST)
        ),
    }
}

pub fn verdict_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "PASSED",
        Outcome::Failed => "FAILED",
        Outcome::Ignored => "IGNORED",
        Outcome::TimedOut => "TIMED OUT",
        Outcome::Aborted => "ABORTED",
        Outcome::Blocked => "BLOCKED",
        Outcome::Missing => "MISSING",
    }
}

pub fn note(note: &Note) -> String {
    match note {
        Note::DamagedState { path, why } => format!(
            "ignored `{}`, which is damaged ({why}); it will be written anew",
            path.display()
        ),
        Note::StateNotWritten { path, why } => format!(
            "could not write `{}` ({why}); the next run will know less, the verdicts hold",
            path.display()
        ),
        Note::FloodNotKept { path, why } => format!(
            "could not keep below `{}` all that tests printed ({why}); the report has the beginning and the end of it",
            path.display()
        ),
        Note::ListFailed(message) | Note::RunsWhole(message) => message.clone(),
        Note::NoChannel { binary, way: Way::Agent } => format!(
            "the agent in `{binary}` was not let in or fell silent: its tests go on without it, and what they leave behind is not looked for"
        ),
        Note::NoChannel { binary, .. } => format!(
            "what `{binary}` writes to libtest's `--logfile` is lost, or may be another process's: each of its tests runs in a process of its own"
        ),
        Note::SetUpAgain { node, why } => format!(
            "the rest of the unit `{node}` goes on in a fresh process ({why}): what it had set up is set up again"
        ),
        Note::Unwatched { binaries } => format!(
            "threads and panics of {} were not looked at: the agent was not in there",
            count(*binaries, "binary")
        ),
        Note::GoneFromBaseline { leaks } => format!(
            "{} of {} did not occur any more; take out what is mended: {}",
            count(leaks.len(), "leak"),
            crate::leaks::baseline::FILE,
            list(leaks)
        ),
        Note::BaselineWritten { path, leaks } => format!(
            "wrote {} to `{}`; keep it under version control",
            count(*leaks, "leak"),
            path.display()
        ),
        Note::Strays { count: 1 } => {
            "1 process outlived the test that started it and was ended".to_owned()
        }
        Note::Strays { count: number } => format!(
            "{} outlived the tests that started them and were ended",
            count(*number, "process")
        ),
        Note::TimeWasUp { limit } => format!(
            "the run was ended after {limit:?} (run-timeout); what had not begun was not run"
        ),
        Note::TooManyDeaths { workers } => format!(
            "gave up: {} died under their tests (--max-crashes {workers}); what had not begun was not run",
            count(*workers, "process")
        ),
        Note::WantsTerminal { node } => format!(
            "a test of `{node}` wants the terminal, and its process is stopped for it: it goes on when the run is in the foreground (fg)"
        ),
        Note::Broken { thread, why } => {
            format!("{}; what had not ended was not run", internal_error(thread, why))
        }
        Note::Kept { fixtures } => format!(
            "left up for the next run: fixture {}; to stop what is up: cargo partest fixtures stop",
            list(fixtures)
        ),
        Note::Doctests { packages } => {
            format!("doctests of {} were not run: cargo test --doc", list(packages))
        }
    }
}

/// `a`, `a and b`, `a, b and 3 more`.
pub fn list(words: &[String]) -> String {
    const SHOWN: usize = 3;
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] if words.len() <= SHOWN => format!("{} and {last}", all.join(", ")),
        _ => format!("{} and {} more", words[..SHOWN].join(", "), words.len() - SHOWN),
    }
}

/// The command that runs just this test again.
pub fn again(settings: &Settings, binary: &Binary, test: &str, is_ignored: bool) -> String {
    let mut words = vec!["cargo".to_owned(), "partest".to_owned()];
    words.extend(binary.cargo_flags());
    words.extend(command::flags_to_repeat(&settings.cargo));
    words.push("--".to_owned());
    if is_ignored {
        words.push("--ignored".to_owned());
    }
    words.push("--exact".to_owned());
    words.extend(test.starts_with('-').then(|| "--".to_owned()));
    words.push(test.to_owned());
    shell_line(&words)
}

/// A command as a shell reads it back.
fn shell_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=/.,:@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// `140 passed, 1 failed, 1 ignored`: what did not happen is left out.
pub fn counts(summary: &Summary) -> String {
    let named = [
        (Outcome::Passed, "passed"),
        (Outcome::Failed, "failed"),
        (Outcome::TimedOut, "timed out"),
        (Outcome::Aborted, "aborted"),
        (Outcome::Missing, "missing"),
        (Outcome::Blocked, "blocked"),
        (Outcome::Ignored, "ignored"),
    ];
    let mut parts: Vec<String> = named
        .iter()
        .map(|(outcome, word)| (summary.count(*outcome), word))
        .filter(|(number, word)| *number > 0 || **word == "passed")
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    if summary.flaky > 0 {
        parts.push(format!("{} flaky", summary.flaky));
    }
    if summary.order_dependent > 0 {
        parts.push(format!("{} order dependent", summary.order_dependent));
    }
    if summary.leaks > 0 {
        parts.push(count(summary.leaks, "leak"));
    }
    if summary.not_run > 0 {
        parts.push(format!("{} not run", summary.not_run));
    }
    if summary.list_failures > 0 {
        parts.push(format!("{} not listed", count(summary.list_failures, "binary")));
    }
    parts.join(", ")
}

/// What kept the run from ending earlier, and what could be done about it.
pub fn longest(longest: &Longest, summary: &Summary) -> String {
    let Longest { what, took, tests, is_unit } = longest;
    let what = format!("`{what}` took {} of {} s", seconds(*took), seconds(summary.took));
    match (*tests, *is_unit) {
        (1, _) => format!("{what}: no plan could be shorter"),
        (_, true) => {
            format!("{what} in one process: \"split\" would spread it, if its tests allow")
        }
        (_, false) => format!("{what} in one process"),
    }
}

pub const LEFT_BEHIND: &str = "left behind:";

/// The line to paste that allows a leak.
pub fn how_to_allow(leak: &Leak) -> String {
    let what = leak.what.replace(['"', '\\', '\n'], "*");
    format!(
        "  to allow one: leaks = {{ ignore = [{{ {} = \"{what}\" }}] }} at its node in Cargo.toml",
        leak.kind.as_str()
    )
}

/// `7 binaries, 9 processes, 2 slots 91 % full, 1.70 s`
pub fn effort(summary: &Summary) -> String {
    let workers = usize::try_from(summary.workers).unwrap_or(usize::MAX);
    format!(
        "{}, {}, {} {:.0} % full, {} s",
        count(summary.binaries, "binary"),
        count(workers, "process"),
        count(summary.slots, "slot"),
        summary.fill * 100.0,
        seconds(summary.took)
    )
}

pub fn no_test_matched(settings: &Settings) -> String {
    let wanted = &settings.wanted;
    match wanted.filters.as_slice() {
        [] => "no test to run: `cargo partest list` shows what there is".to_owned(),
        filters => format!(
            "no test matches {}: `cargo partest list` shows what there is",
            list(&filters.iter().map(|filter| format!("`{filter}`")).collect::<Vec<_>>())
        ),
    }
}

/// What cannot happen, and has.
pub fn internal_error(thread: &str, why: &str) -> String {
    format!("internal error: {thread} panicked: {why}; please report it")
}

/// Of a test that ran when that happened.
pub fn given_up() -> String {
    "the run was given up after an internal error".to_owned()
}

pub fn cut_short(run_timeout: Option<Duration>) -> String {
    match run_timeout {
        Some(limit) => format!("the run was ended after {limit:?}"),
        None => "interrupted".to_owned(),
    }
}

pub fn retrying(id: &str, outcome: Outcome, left: usize) -> String {
    let word = verdict_word(outcome).to_lowercase();
    match left {
        0 => format!("{id}: {word}, runs a last time"),
        left => format!("{id}: {word}, runs again, up to {} more", count(left + 1, "time")),
    }
}

pub fn flaky_failure(unsteady: Unsteady) -> String {
    match unsteady {
        Unsteady::Flaky => "passed only when it ran again, and flaky = \"fail\"".to_owned(),
        Unsteady::OrderDependent => {
            "passed only when it ran alone, and flaky = \"fail\"".to_owned()
        }
    }
}

/// What is said behind the name of a test that failed first and passed later.
pub fn unsteady(unsteady: Unsteady, verdict: &Verdict) -> String {
    let failures = verdict.failed_before.len();
    let first = verdict.failed_before.first();
    let reason = first.and_then(|attempt| attempt.reason.as_deref());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match unsteady {
        Unsteady::Flaky => {
            format!("failed {}, then passed{reason}", count(failures, "time"))
        }
        Unsteady::OrderDependent => {
            let beside = first.map_or(0, |attempt| attempt.beside);
            format!("failed beside {}, passed alone{reason}", count(beside, "other test"))
        }
    }
}

/// The command that runs the whole binary of a test in one process.
pub fn beside_others(settings: &Settings, binary: &Binary) -> String {
    let mut words = vec!["cargo".to_owned(), "partest".to_owned(), "-j0".to_owned()];
    words.extend(binary.cargo_flags());
    words.extend(command::flags_to_repeat(&settings.cargo));
    shell_line(&words)
}

pub fn fixture_failed(name: &str, why: &str) -> String {
    format!("fixture {name} failed: {why}")
}

pub fn not_ready(timeout: Duration) -> String {
    format!(
        "it was not ready after {timeout:?} (it says so by a line PARTEST_READY, or as `ready` in Cargo.toml tells)"
    )
}

pub fn ended_by_itself(status: ExitStatus, was_ready: bool) -> String {
    let how = process::describe(status);
    match was_ready {
        true => format!("it ended with {how} while its tests needed it"),
        false => format!("it ended with {how} before it was ready"),
    }
}

pub fn was_killed(grace: Duration) -> String {
    format!("it did not stop within {grace:?} and was killed")
}

/// A fixture's own command to stop it came to this, and printed that.
pub fn stop_command_failed(words: &[String], how: &str, said: &[u8]) -> String {
    let said = harmless(said);
    let last = said.trim_end().lines().next_back();
    let last = last.map(|line| format!(", and said: {}", line.trim())).unwrap_or_default();
    format!("its command to stop it {how}: {}{last}", shell_line(words))
}

/// `server`, `db of slot 1`
pub fn fixture(name: &str, slot: Option<usize>) -> String {
    match slot {
        Some(slot) => format!("{name} of slot {slot}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_right() {
        let table = [
            (1, "test", "1 test"),
            (0, "test", "0 tests"),
            (2, "binary", "2 binaries"),
            (2, "process", "2 processes"),
            (2, "batch", "2 batches"),
        ];
        for (number, thing, expected) in table {
            assert_eq!(count(number, thing), expected);
        }
    }

    #[test]
    fn what_held_the_run_up_is_named_with_what_helps() {
        let took = Duration::from_secs(41);
        let what = "api::sync".to_owned();
        let unit = Longest { what, took, tests: 9, is_unit: true };
        let summary = Summary { took: Duration::from_secs(45), ..Summary::default() };
        assert_eq!(
            longest(&unit, &summary),
            "`api::sync` took 41.0 of 45.0 s in one process: \"split\" would spread it, if its tests allow"
        );
        let single = Longest { tests: 1, ..unit };
        assert!(longest(&single, &summary).ends_with("no plan could be shorter"));
    }

    #[test]
    fn words_come_back_through_a_shell() {
        assert_eq!(quoted("auth::rejects"), "auth::rejects");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn long_lists_end() {
        let words = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(list(&words(1)), "0");
        assert_eq!(list(&words(3)), "0, 1 and 2");
        assert_eq!(list(&words(5)), "0, 1, 2 and 2 more");
    }
}
