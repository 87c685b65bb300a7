//! The wording of what a run prints for people, one function for each occasion.

use std::path::Path;
use std::time::Duration;

use crate::cli::command_line;
use crate::cli::settings::{Settings, TestFilter};
use crate::error::Error;
use crate::model::bottleneck::{Bottleneck, BottleneckKind};
use crate::model::duration::brief;
use crate::model::fixture::StopFailure;
use crate::model::leak::Leak;
use crate::model::listing::BinaryName;
use crate::model::lost_output::LostOutput;
use crate::model::outcome::{Flakiness, Outcome};
use crate::model::output_file::{self, OutputFile};
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::size;
use crate::model::summary::Summary;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;

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
    // No more of them can be in use.
    let slots = slots.min(tests.max(1));
    format!("{} of {} in {}", count(tests, "test"), count(binaries, "binary"), count(slots, "slot"))
}

/// What takes less than this takes no time for the eye.
pub const NOTICEABLE: Duration = Duration::from_millis(10);

/// ` (1.25 s)`; nothing for what took no time that anybody would notice.
pub fn in_brackets(took: Duration) -> String {
    if took < NOTICEABLE { String::new() } else { format!(" ({})", brief(took)) }
}

pub fn so_far(ended: u64, left: u64) -> String {
    format!("{ended} of {} finished, {left} left", count_of_tests(ended + left))
}

/// Where it is not known yet how many tests there are.
pub fn so_far_of_unknown(ended: usize) -> String {
    format!("{} finished; not all are listed yet", count(ended, "test"))
}

fn count_of_tests(tests: u64) -> String {
    count(usize::try_from(tests).unwrap_or(usize::MAX), "test")
}

pub fn runs_now(slot: usize, tests: &[String]) -> String {
    let what = match tests {
        [] => "a process that is starting or exiting".to_owned(),
        tests => list(tests),
    };
    format!("{:>12} {what}", format!("slot {slot}"))
}

pub fn more_slots(more: usize) -> String {
    format!("{:>12} {}", "and", count(more, "more slot"))
}

/// The keys while tests run.
pub const KEYS: [&str; 5] = [
    "   t, Enter  show the running tests; again: with the stacks of their threads",
    "          p  pause all tests, or resume them",
    "          q  finish the running tests and start no more",
    "     Ctrl-C  stop the run now",
    "          h  show this list",
];

pub const STOPPING: &str = "once the running tests finish (Ctrl-C kills them)";

pub fn paused(paused: bool) -> (&'static str, &'static str) {
    match paused {
        true => ("Paused", "all tests and their time limits (p resumes them)"),
        false => ("Resumed", "all tests"),
    }
}

/// Printed where nothing is drawn, after a long silence.
pub fn still_running(took: Duration, what: &[String]) -> String {
    let what = if what.is_empty() { String::new() } else { format!(": {}", list(what)) };
    format!("{:>12} running after {:.0} s{what}", "still", took.as_secs_f64())
}

/// Why the output above may not be all of a test's.
pub fn output_lost(lost: &LostOutput) -> String {
    format!("output lost: {lost}")
}

/// A report that was asked for as a file, and is not there.
pub fn report_not_written(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write the report `{}`: {error}", path.display())
}

/// The summary of a job was not handed over.
pub fn no_annotation(agent: &str, why: &str) -> String {
    format!("could not annotate this job with the results: `{agent} annotate`: {why}")
}

/// Why a test was not started.
pub fn not_run(summary: &Summary) -> String {
    let why = match summary {
        Summary { interrupted: true, .. } => "the run was interrupted",
        Summary { timed_out: true, .. } => "the run timed out",
        Summary { internal_error: true, .. } => "the run was stopped by an internal error",
        // --fail-fast, or too many crashes.
        _ => "the run was stopped after a failure",
    };
    format!("not run: {why}")
}

/// Above the output of a worker that one of its tests has printed.
pub fn worker_output(worker: u64, ids: &[String]) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = ids.iter().take(NAMED).map(String::as_str).collect();
    let more = match ids.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("output of worker {worker}, of one of: {}{more}", named.join(", "))
}

/// Points to the file with a test's complete output.
pub fn whole(file: &OutputFile, path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(here).unwrap_or(path).display();
    let written = size::shown(file.written);
    match file.missed {
        0 => format!("complete output ({written}, kept until the next run): {path}"),
        missed => format!(
            "first {written} of {} of output (a run keeps at most {}): {path}",
            size::shown(file.written + missed),
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
        Outcome::Interrupted => "INTERRUPTED",
        Outcome::Blocked => "BLOCKED",
        Outcome::Missing => "MISSING",
    }
}

pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::DamagedStateFile { path, why } => {
            format!("ignored damaged file `{}` ({why}); it will be rewritten", path.display())
        }
        Warning::StateFileNotWritten { path, why } => format!(
            "could not write `{}` ({why}); verdicts are not affected, but the next run may be slower",
            path.display()
        ),
        Warning::OutputNotKept { path, why } => format!(
            "could not keep the complete output of tests in `{}` ({why}); the report shows its beginning and end",
            path.display()
        ),
        Warning::ListFailed(failure) => failure.to_string(),
        Warning::InterruptedWhileListing { binaries } => {
            let names: Vec<String> = binaries.iter().map(BinaryName::to_string).collect();
            format!(
                "the run was interrupted before the tests of {} were listed; they were not run and are not counted",
                list(&names)
            )
        }
        Warning::RunsAsOneTest(whole) => whole.to_string(),
        Warning::ProtocolFailed { binary, protocol: Protocol::Agent } => format!(
            "the agent was not loaded into `{binary}` or stopped responding; its tests run without it and are not checked for leaks"
        ),
        Warning::ProtocolFailed { binary, protocol: Protocol::HarnessLog } => format!(
            "the log of the custom harness `{binary}` does not agree with its exit code or with the tests that it was told to run; until it is built again, each of its tests runs in its own process"
        ),
        Warning::ProtocolFailed { binary, .. } => format!(
            "libtest's `--logfile` of `{binary}` has no reliable line for some tests: a test may have closed or written to a descriptor that is not its own, or the harness has no such file; each of its tests runs in its own process"
        ),
        Warning::UnitRestarted { node, why } => format!(
            "the remaining tests of unit `{node}` run in a fresh process ({why}), which repeats the unit's set-up"
        ),
        Warning::NoLeakCheck { binaries } => format!(
            "threads and panics of {} were not checked for leaks: the agent was not loaded",
            count(*binaries, "binary")
        ),
        Warning::StateNotWatched { binaries } => format!(
            "what tests of {} leave changed was not watched: the agent was not loaded",
            count(*binaries, "binary")
        ),
        Warning::StaleBaseline { leaks } => format!(
            "{} of {} did not occur in this run; if they are fixed, remove them: {}",
            count(leaks.len(), "leak"),
            crate::leaks::baseline::FILE,
            list(leaks)
        ),
        Warning::BaselineWritten { path, leaks, kept } => format!(
            "wrote {} to `{}`{}; commit this file to version control",
            count(*leaks, "leak"),
            path.display(),
            match kept {
                0 => String::new(),
                kept => format!(", and kept {kept} of tests that did not run or did not pass"),
            }
        ),
        Warning::OrphansKilled { count: 1 } => {
            "1 process outlived the test that started it and was killed".to_owned()
        }
        Warning::OrphansKilled { count: number } => format!(
            "{} outlived the tests that started them and were killed",
            count(*number, "process")
        ),
        Warning::RunTimedOut { limit } => format!(
            "the run timed out after {limit:?} (run-timeout); tests that have not started are not run"
        ),
        Warning::TooManyCrashes { workers } => format!(
            "stopped the run: {} crashed while running tests (--max-crashes {workers}); tests that had not started were not run",
            count(*workers, "process")
        ),
        Warning::NeedsTerminal { node } => format!(
            "a test of `{node}` uses the terminal, so its process is stopped; it continues when the run is in the foreground (fg)"
        ),
        Warning::InternalError { thread, why } => {
            format!(
                "{}; tests that had not finished were not run",
                Error::Internal { thread: thread.clone(), why: why.clone() }
            )
        }
        Warning::FixturesKept { fixtures } => format!(
            "left running for the next run: fixture {}; to stop it: cargo partest fixtures stop",
            list(fixtures)
        ),
        Warning::NothingUnfinished => {
            "no selected test failed or was left unrun last time (`--last-failed`); running all of them".to_owned()
        }
        Warning::ShardsByHistory => {
            "tests are chosen by what ran on this machine before, and divided by a file of durations: where other machines choose others, a test may be in no shard; leave out `--last-failed`, `failed()` and `slow()`, or `--durations-file`".to_owned()
        }
        Warning::SourcesNotThere => {
            "the sources are not in the archive; for tests that read them, `--workspace-remap DIR` names a checkout, and `archive = { include = [\"GLOB\"] }` in the metadata adds files".to_owned()
        }
        Warning::DoctestsNotArchived(left_out) => left_out.to_string(),
        Warning::NextestConfigNotRead => {
            ".config/nextest.toml is not read; settings are in Cargo.toml, under [workspace.metadata.partest]".to_owned()
        }
    }
}

/// What to do about a test binary that has a path of the target directory compiled in.
pub fn path_compiled_in(binary: &str, variable: &str, target_dir: &Path) -> String {
    let place = match target_dir.parent().filter(|_| target_dir.ends_with("target")) {
        Some(dir) => format!("run the archive with `--extract-to {}`", dir.display()),
        None => "build with `--target-dir DIR/target`, and run with `--extract-to DIR`".to_owned(),
    };
    let otherwise = match variable.starts_with("CARGO_BIN_EXE_") {
        true => ", or read the variable when the test runs (`std::env::var`)",
        false => "",
    };
    format!(
        "`{binary}` has the value of `env!(\"{variable}\")` compiled in, a path in `{}`, which is elsewhere when the archive runs: {place}{otherwise}",
        target_dir.display()
    )
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

/// What holds up a run that takes so long, and what would help. `takes` is the verb.
pub fn bottleneck(found: &Bottleneck, takes: &str, total: Duration) -> String {
    let Bottleneck { what, took, kind } = found;
    let time = format!("{takes} {} of {}", brief(*took), brief(total));
    match kind {
        BottleneckKind::Test => format!("`{what}` {time}: no plan could be shorter"),
        BottleneckKind::Serial => format!(
            "`{what}` {time}, one test after another; without `threads = 1` they would run side by side"
        ),
        BottleneckKind::Unit => format!(
            "`{what}` {time} in one process; \"split\" would spread it if its tests are independent"
        ),
        BottleneckKind::Batch => format!("`{what}` {time} in one process"),
        BottleneckKind::Lock => format!(
            "what has the lock `{what}` {time}, one process at a time; what only reads can share it: locks = {{ read = [\"{what}\"] }}"
        ),
        BottleneckKind::Exclusive => format!(
            "`{what}` {time}, alone on the machine; a lock would keep only those apart that need it"
        ),
    }
}

/// What the standard library says below the first panic of each process.
pub const BACKTRACES: &str = "set RUST_BACKTRACE=1 to see backtraces";

/// The line to paste that allows a leak.
pub fn how_to_allow(leak: &Leak) -> String {
    let what = leak.what.replace(['"', '\\', '\n'], "*");
    format!(
        "to allow one: leaks = {{ ignore = [{{ {} = \"{what}\" }}] }} under its module in Cargo.toml",
        leak.kind.as_str()
    )
}

/// `7 binaries, 9 processes, 2 slots 91 % busy`
pub fn effort(summary: &Summary) -> String {
    let workers = usize::try_from(summary.workers).unwrap_or(usize::MAX);
    format!(
        "{}, {}, {} {:.0} % busy",
        count(summary.binaries, "binary"),
        count(workers, "process"),
        count(summary.slots, "slot"),
        summary.fill * 100.0
    )
}

pub fn shuffled(what: String, seed: Option<u64>) -> String {
    match seed {
        Some(seed) => format!("{what}, shuffled (`--shuffle={seed}`)"),
        None => what,
    }
}

/// How to run the tests in this order again.
pub fn same_order(seed: u64) -> String {
    format!("tests ran in a random order: `--shuffle={seed}` repeats it")
}

/// No test is to be run, and perhaps it is known what was meant.
pub fn no_test_matched(settings: &Settings, tip: Option<&str>) -> String {
    let TestFilter { filters, filtersets, exact, .. } = &settings.filter;
    let names = filters.iter().map(|filter| format!("`{filter}`"));
    let expressions = filtersets.iter().map(|expr| format!("`{}`", expr.trim()));
    let shows = tip.unwrap_or("`cargo partest list` shows what there is");
    let first = filters.first().filter(|_| !settings.has_command);
    let is_command = || first.and_then(|filter| command_line::tip_for_filter(filter));
    match (filters.as_slice(), filtersets.as_slice()) {
        ([], []) => format!("no test to run: {shows}"),
        ([name], []) if *exact => format!("no test is named `{name}` (`--exact`): {shows}"),
        _ => format!(
            "no test matches {}: {}",
            list(&names.chain(expressions).collect::<Vec<_>>()),
            is_command().as_deref().unwrap_or(shows)
        ),
    }
}

/// The reason for an outcome, below the word for it.
pub fn reason(reason: &Reason) -> String {
    let text = reason.to_string();
    match text.strip_prefix("timed out ") {
        Some(limit) => limit.to_owned(),
        None => text,
    }
}

/// `shop::opens: failed, attempt 2/3`
pub fn retrying(id: &str, outcome: Outcome, attempt: usize, attempts: usize) -> String {
    format!("{id}: {}, attempt {attempt}/{attempts}", verdict_word(outcome).to_lowercase())
}

/// Describes a test that failed first and passed later.
pub fn flakiness(flakiness: Flakiness, verdict: &Verdict) -> String {
    let failures = verdict.failed_before.len();
    let first = verdict.failed_before.first();
    match flakiness {
        Flakiness::Flaky => {
            format!("failed {}, passed at attempt {}", count(failures, "time"), failures + 1)
        }
        Flakiness::OrderDependent => {
            let beside = first.map_or(0, |attempt| attempt.beside);
            format!("failed beside {}, passed alone", count(beside, "other test"))
        }
    }
}

/// What went wrong while a fixture was stopped.
pub fn stop_failures(failures: &[StopFailure]) -> String {
    failures.iter().map(StopFailure::to_string).collect::<Vec<_>>().join("; ")
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
    fn a_bottleneck_is_named_with_a_remedy() {
        let (took, total) = (Duration::from_secs(41), Duration::from_secs(45));
        let found =
            |kind| bottleneck(&Bottleneck { what: "api::sync".into(), took, kind }, "took", total);
        assert_eq!(
            found(BottleneckKind::Unit),
            "`api::sync` took 41.0 s of 45.0 s in one process; \"split\" would spread it if its tests are independent"
        );
        assert!(found(BottleneckKind::Test).ends_with("no plan could be shorter"));
        assert!(found(BottleneckKind::Lock).ends_with("locks = { read = [\"api::sync\"] }"));
    }

    #[test]
    fn long_lists_end() {
        let words = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(list(&words(1)), "0");
        assert_eq!(list(&words(3)), "0, 1 and 2");
        assert_eq!(list(&words(5)), "0, 1, 2 and 2 more");
    }
}
