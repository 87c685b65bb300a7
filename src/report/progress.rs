//! The report on stderr during the run: a progress bar in a terminal, failures as they happen, and
//! warnings. In a pipe there is no bar.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::messages;
use crate::cli::output_args::{MessageFormat, StatusLevel};
use crate::cli::settings::{Settings, Verbosity};
use crate::model::duration::brief;
use crate::model::event::{Event, FixtureEvent, SlotStatus};
use crate::model::fixture::FixtureInstance;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::report::status_line::status_line;
use crate::report::text::{Paint, is_quiet};
use crate::report::view::View;

/// More redraws than this cannot be read.
const DRAWS_PER_SECOND: u8 = 10;

pub struct Progress {
    bar: ProgressBar,
    paint: Paint,
    verbosity: Verbosity,
    ordered: bool,
    nocapture_to_stdout: bool,
    running: BTreeMap<usize, String>,
    failed: usize,
    finished: u64,
    held: Vec<(TestId, Verdict)>,
}

/// A status line in cargo's style: a right-aligned verb and its object.
pub fn status(paint: Paint, verb: &str, what: &str) -> String {
    format!("{} {what}", paint.good(&format!("{verb:>12}")))
}

impl Progress {
    pub fn new(settings: &Settings) -> Progress {
        let bar = match is_wanted(settings) {
            true => ProgressBar::with_draw_target(
                Some(0),
                ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND),
            ),
            false => ProgressBar::hidden(),
        };
        let style =
            ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} {elapsed}: {wide_msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress {
            bar,
            paint: Paint(settings.color.stderr),
            verbosity: settings.verbosity,
            ordered: settings.ordered,
            nocapture_to_stdout: settings.format == MessageFormat::Human,
            running: BTreeMap::new(),
            failed: 0,
            finished: 0,
            held: Vec::new(),
        }
    }

    pub fn is_drawn(&self) -> bool {
        !self.bar.is_hidden()
    }

    pub fn show(&mut self, event: &Event, view: &View<'_>) {
        match event {
            Event::RunStarted { tests, binaries, slots, .. } => {
                self.start(*tests, *binaries, *slots)
            }
            Event::BatchStarted { batch, what, .. } => {
                self.running.insert(*batch, what.clone());
                self.show_running();
            }
            Event::BatchFinished { batch } => {
                self.running.remove(batch);
                self.show_running();
            }
            Event::Failing { test } => {
                self.failed += 1;
                self.show_running();
                let line =
                    format!("{} {}", self.paint.bad(&format!("{:>12}", "FAILING")), view.id(*test));
                if self.verbosity != Verbosity::Quiet && self.is_drawn() {
                    self.line(&line);
                }
            }
            Event::Slow { test, took } => self.slow(*test, *took, view),
            Event::Retrying { test, outcome, attempt, attempts } => {
                if view.settings.status_level >= StatusLevel::Retry {
                    let what = messages::retrying(&view.id(*test), *outcome, *attempt, *attempts);
                    let word = self.paint.warn(&format!("{:>12}", "Retrying"));
                    self.line(&format!("{word} {what}"));
                }
            }
            Event::TestFinished { test, verdict } => self.test_finished(*test, verdict, view),
            Event::Fixture { instance, what } => self.fixture(instance, what),
            Event::Output { bytes } => self.pass_through(bytes),
            Event::Warning(warning) => self.warning(warning),
            Event::Status(slots) => self.status(slots, view),
            // Part of the final report.
            Event::LeftBehind { .. } | Event::BuildFinished => {}
            Event::Tick => self.bar.tick(),
            Event::RunFinished(_) => self.finish(view),
        }
    }

    fn start(&mut self, tests: usize, binaries: usize, slots: usize) {
        if self.verbosity != Verbosity::Quiet {
            self.line(&status(self.paint, "Running", &messages::what_runs(tests, binaries, slots)));
        }
        self.bar.set_length(tests as u64);
        self.bar.set_prefix(self.paint.good(&format!("{:>12}", "Testing")));
        self.bar.reset_elapsed();
    }

    fn show_running(&self) {
        if self.is_drawn() {
            let running: Vec<&str> = self.running.values().map(String::as_str).collect();
            let failed = match self.failed {
                0 => String::new(),
                failed => format!("{} ", self.paint.bad(&format!("{failed} failed,"))),
            };
            self.bar.set_message(format!("{failed}{}", running.join(", ")));
        }
    }

    fn slow(&self, test: TestId, took: Duration, view: &View<'_>) {
        if view.settings.status_level >= StatusLevel::Slow {
            let word = self.paint.warn(&format!("{:>12}", "SLOW"));
            self.line(&format!("{word} {}: running for {}", view.id(test), brief(took)));
        }
    }

    fn test_finished(&mut self, test: TestId, verdict: &Verdict, view: &View<'_>) {
        self.finished += 1;
        if self.is_drawn() {
            self.bar.set_position(self.finished);
        }
        if self.verdict_line(test, verdict, view).is_none() {
            return;
        }
        if self.ordered {
            self.held.push((test, verdict.clone()));
        } else {
            self.verdict_line(test, verdict, view).iter().for_each(|line| self.line(line));
        }
    }

    /// The line of a test, unless the report on stdout shows the test at once.
    fn verdict_line(&self, test: TestId, verdict: &Verdict, view: &View<'_>) -> Option<String> {
        let is_reported = view.settings.format == MessageFormat::Human
            && view.settings.failure_output.is_immediate()
            && !verdict.outcome.is_success();
        let id = view.painted_id(test, self.paint);
        let line = status_line(self.paint, &id, verdict, view.settings.status_level);
        line.filter(|_| !is_reported)
    }

    fn fixture(&self, instance: &FixtureInstance, what: &FixtureEvent) {
        let is_verbose = self.verbosity == Verbosity::Verbose;
        match what {
            FixtureEvent::Ready { took } if is_verbose => {
                let what = format!("fixture {instance}{}", messages::in_brackets(*took));
                self.line(&status(self.paint, "Started", &what));
            }
            FixtureEvent::Stopped { failures, .. } if failures.is_empty() && is_verbose => {
                self.line(&status(self.paint, "Stopped", &format!("fixture {instance}")));
            }
            FixtureEvent::Stopped { failures, .. } if !failures.is_empty() => {
                let failures = messages::stop_failures(failures);
                self.line(&format!(
                    "{}: fixture {instance}: {failures}",
                    self.paint.warn("warning")
                ));
            }
            FixtureEvent::Failed { why, .. } => {
                self.line(&format!(
                    "{}: fixture {instance} failed: {why}",
                    self.paint.bad("error")
                ));
            }
            _ => {}
        }
    }

    /// Prints something to the terminal that the bar is in.
    pub fn print_above(&self, print: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        self.bar.suspend(print)
    }

    fn pass_through(&self, bytes: &[u8]) {
        self.bar.suspend(|| {
            // A closed pipe is noticed when the final report is written.
            let _ = match self.nocapture_to_stdout {
                true => std::io::stdout().write_all(bytes),
                false => std::io::stderr().write_all(bytes),
            };
        });
    }

    fn warning(&self, warning: &Warning) {
        // These are part of the final report.
        let is_shown_now = !matches!(
            warning,
            Warning::DoctestsNotRun { .. }
                | Warning::NoLeakCheck { .. }
                | Warning::FixturesKept { .. }
        );
        if is_shown_now && (self.verbosity != Verbosity::Quiet || is_error(warning)) {
            let word = if is_error(warning) {
                self.paint.bad("error")
            } else {
                self.paint.warn("warning")
            };
            self.line(&format!("{word}: {}", messages::warning(warning)));
        }
    }

    /// Also with `--quiet`: the user has asked for it.
    fn status(&self, slots: &[SlotStatus], view: &View<'_>) {
        /// More slots than this do not fit a screen.
        const LINES: usize = 20;
        let held: usize = slots.iter().map(|runs| runs.held).sum();
        let finished = self.finished + held as u64;
        let left = self.bar.length().unwrap_or_default().saturating_sub(finished);
        self.line(&status(self.paint, "So far", &messages::so_far(finished, left)));
        for runs in slots.iter().take(LINES) {
            let test = |(test, took): &(TestId, Duration)| {
                format!("{}{}", view.id(*test), messages::in_brackets(*took))
            };
            let tests: Vec<String> = runs.tests.iter().map(test).collect();
            self.line(&messages::runs_now(runs.slot, &tests));
        }
        if slots.len() > LINES {
            self.line(&messages::more_slots(slots.len() - LINES));
        }
    }

    fn finish(&mut self, view: &View<'_>) {
        self.bar.finish_and_clear();
        let mut held = std::mem::take(&mut self.held);
        held.sort_by(|(a, _), (b, _)| view.compare(*a, *b));
        for (test, verdict) in held {
            self.verdict_line(test, &verdict, view).iter().for_each(|line| self.line(line));
        }
    }

    fn line(&self, line: &str) {
        self.bar.suspend(|| {
            // A closed stderr does not stop the run.
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }
}

fn is_error(warning: &Warning) -> bool {
    matches!(
        warning,
        Warning::ListFailed(_)
            | Warning::TooManyCrashes { .. }
            | Warning::RunTimedOut { .. }
            | Warning::InternalError { .. }
    )
}

/// Whether to draw progress, decided like cargo does.
fn is_wanted(settings: &Settings) -> bool {
    let when = std::env::var("CARGO_TERM_PROGRESS_WHEN");
    match when.as_deref() {
        Ok("never") => false,
        Ok("always") => true,
        _ => {
            let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
            let is_ci = std::env::var_os("CI").is_some();
            std::io::stderr().is_terminal() && !is_dumb && !is_ci && !is_quiet(settings)
        }
    }
}

/// Indicates an activity of unknown length, such as listing; removed on drop.
pub struct Spinner(ProgressBar);

impl Spinner {
    pub fn start(settings: &Settings, verb: &str, what: String) -> Spinner {
        if !is_wanted(settings) {
            return Spinner(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(Paint(settings.color.stderr).good(&format!("{verb:>12}")));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Spinner(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
