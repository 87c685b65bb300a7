//! The report on stderr during the run: a few lines that are drawn again and again in a terminal,
//! failures as they happen, and warnings. Elsewhere only a long silence is broken.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::ci::stopped_commands;
use super::{messages, shard};
use crate::cli::output_args::{MessageFormat, StatusLevel};
use crate::cli::settings::{Settings, Verbosity};
use crate::cli::task::Task;
use crate::model::ci_system::CiSystem;
use crate::model::duration::brief;
use crate::model::event::{Activity, Event, FixtureEvent, SlotStatus};
use crate::model::fixture::FixtureInstance;
use crate::model::printable::printable;
use crate::model::shard::ShardPlan;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::process::clock;
use crate::process::stderr::is_dumb_terminal;
use crate::report::live::{Live, Phase};
use crate::report::screen::Screen;
use crate::report::status_line::status_line;
use crate::report::text::{Paint, is_quiet};
use crate::report::view::View;

/// How often the lines are drawn: more could not be read.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is checked whether nothing was printed for long.
const SILENCE_CHECK: Duration = Duration::from_secs(1);

/// After such a silence, a run without a terminal says what it is doing.
const SILENCE: Duration = Duration::from_secs(30);

/// A verdict that takes longer than that, as its worker has not exited, is announced.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(1);

pub struct Progress {
    /// Where the lines are drawn; none where they are not.
    screen: Option<Screen>,
    live: Live,
    paint: Paint,
    verbosity: Verbosity,
    ci: Option<CiSystem>,
    /// What is done to the tests.
    verb: &'static str,
    ordered: bool,
    nocapture_to_stdout: bool,
    /// Failed tests without a verdict, by when they failed; `None` once that is announced.
    failing: BTreeMap<TestId, Option<Instant>>,
    /// When something was printed last.
    printed_at: Instant,
    began: Instant,
    held: Vec<(TestId, Verdict)>,
}

/// A status line in cargo's style: a right-aligned verb and its object.
pub fn status(paint: Paint, verb: &str, what: &str) -> String {
    format!("{} {what}", paint.good(&format!("{verb:>12}")))
}

impl Progress {
    pub fn new(settings: &Settings) -> Progress {
        Progress {
            screen: is_wanted(settings).then(Screen::stderr),
            live: Live::default(),
            paint: Paint(settings.color.stderr),
            verbosity: settings.verbosity,
            ci: settings.ci,
            verb: if matches!(settings.task, Task::Merge(_)) { "Merging" } else { "Running" },
            ordered: settings.ordered,
            nocapture_to_stdout: settings.format == MessageFormat::Human,
            failing: BTreeMap::new(),
            printed_at: clock::now(),
            began: clock::now(),
            held: Vec::new(),
        }
    }

    /// How often `Event::Tick` is needed.
    pub fn tick_interval(&self) -> Option<Duration> {
        match &self.screen {
            Some(_) => Some(DRAW_INTERVAL),
            None => (self.verbosity != Verbosity::Quiet).then_some(SILENCE_CHECK),
        }
    }

    /// Clears the lines, because something else is about to be printed.
    pub fn clear(&mut self) {
        self.screen.iter_mut().for_each(Screen::clear);
    }

    pub fn show(&mut self, event: &Event, view: &View<'_>) {
        match event {
            Event::RunStarted { tests, binaries, slots, .. } => {
                let what = messages::what_runs(*tests, *binaries, *slots);
                self.start(*tests, &messages::shuffled(what, view.settings.shuffle));
            }
            Event::ShardPlanned(plan) => self.shard(plan),
            Event::Failing { test } => {
                self.failing.insert(*test, Some(clock::now()));
            }
            Event::Slow { test, took } => self.slow(*test, *took, view),
            Event::Retrying { test, outcome, attempt, attempts } => {
                self.failing.remove(test);
                if view.settings.status_level >= StatusLevel::Retry {
                    let what =
                        messages::retrying(&view.shown_id(*test), *outcome, *attempt, *attempts);
                    let word = self.paint.warn(&format!("{:>12}", "Retrying"));
                    self.line(&format!("{word} {what}"));
                }
            }
            Event::TestFinished { test, verdict } => self.test_finished(*test, verdict, view),
            Event::Fixture { instance, what, .. } => self.fixture(instance, what),
            Event::Output { bytes } => self.pass_through(bytes),
            Event::Warning(warning) => self.warning(warning),
            Event::Help => messages::KEYS.iter().for_each(|line| self.line(line)),
            Event::Status { slots, finished_early } => self.status(slots, *finished_early, view),
            Event::Stacks(text) => self.line(printable(text).trim_end()),
            Event::Paused(paused) => self.paused(*paused),
            Event::Stopping => {
                self.live.phase = Phase::Stopping;
                self.line(&status(self.paint, "Stopping", messages::STOPPING));
            }
            Event::Interrupted => self.live.phase = Phase::Stopping,
            // Part of the final report.
            Event::LeftBehind { .. }
            | Event::WorkerOutput { .. }
            | Event::WorkerEnded(_)
            | Event::StageEnded(_)
            | Event::ShardBegins(_)
            | Event::NotRun { .. }
            | Event::LocksLearnt(_)
            | Event::StateChanged { .. }
            | Event::BuildFinished => {}
            Event::Tick(activity) => self.tick(activity, view),
            Event::RunFinished(_) => self.finish(view),
        }
    }

    fn start(&mut self, tests: usize, what: &str) {
        // That there is none is the report's to say.
        if self.verbosity != Verbosity::Quiet && tests > 0 {
            self.line(&status(self.paint, self.verb, what));
        }
        self.live.tests = tests;
        self.began = clock::now();
    }

    fn shard(&mut self, plan: &ShardPlan) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        self.line(&status(self.paint, "Shard", &shard::summary(plan)));
        if let Some(unit) = &plan.unbalanced {
            let word = self.paint.warn("warning");
            self.line(&format!("{word}: {}", shard::unbalanced(unit)));
        }
    }

    fn paused(&mut self, paused: bool) {
        if self.live.phase != Phase::Stopping {
            self.live.phase = if paused { Phase::Paused } else { Phase::Testing };
        }
        let (verb, what) = messages::paused(paused);
        self.line(&status(self.paint, verb, what));
    }

    fn tick(&mut self, activity: &Activity, view: &View<'_>) {
        self.announce_failing(view);
        let mut tests: Vec<(TestId, Duration)> =
            activity.slots.iter().flat_map(|slot| slot.tests.iter().copied()).collect();
        tests.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        if let Some(screen) = &mut self.screen {
            let (live, paint, failing) = (&self.live, self.paint, self.failing.len());
            let took = clock::since(self.began);
            screen.draw(|size| {
                let name = |test| view.shown_id(test);
                let lines = live.lines(size, took, failing, &tests, &activity.locks, name, paint);
                // A lock may have the name of a file of a test.
                lines.iter().map(|line| paint.printable(line)).collect()
            });
        } else if clock::since(self.printed_at) >= SILENCE {
            let names: Vec<String> = tests.iter().map(|(test, _)| view.shown_id(*test)).collect();
            let mut awaited = self.live.awaited(&activity.locks, names.is_empty());
            awaited.splice(0..0, names);
            self.line(&messages::still_running(clock::since(self.began), &awaited));
        }
    }

    /// Names failed tests whose worker does not exit, which their verdicts wait for.
    fn announce_failing(&mut self, view: &View<'_>) {
        let is_due = |at: &mut Option<Instant>| {
            at.take_if(|at| clock::since(*at) >= ANNOUNCED_AFTER).is_some()
        };
        let due = self.failing.iter_mut().filter_map(|(test, at)| is_due(at).then_some(*test));
        let due: Vec<TestId> = due.collect();
        if self.verbosity == Verbosity::Quiet || self.screen.is_none() {
            return;
        }
        for test in due {
            let word = self.paint.bad(&format!("{:>12}", "FAILING"));
            self.line(&format!("{word} {}", view.shown_id(test)));
        }
    }

    fn slow(&mut self, test: TestId, took: Duration, view: &View<'_>) {
        if view.settings.status_level >= StatusLevel::Slow {
            let word = self.paint.warn(&format!("{:>12}", "SLOW"));
            self.line(&format!("{word} {}: running for {}", view.shown_id(test), brief(took)));
        }
    }

    fn test_finished(&mut self, test: TestId, verdict: &Verdict, view: &View<'_>) {
        self.failing.remove(&test);
        self.live.count(verdict.outcome);
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

    fn fixture(&mut self, instance: &FixtureInstance, what: &FixtureEvent) {
        self.live.note_fixture(instance, what);
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

    fn pass_through(&mut self, bytes: &[u8]) {
        self.clear();
        // A closed pipe is noticed when the final report is written.
        let _ = match self.nocapture_to_stdout {
            true => std::io::stdout().write_all(bytes),
            false => std::io::stderr().write_all(bytes),
        };
        self.printed_at = clock::now();
        self.screen.iter_mut().for_each(|screen| screen.note_written(bytes));
    }

    fn warning(&mut self, warning: &Warning) {
        // These are part of the final report.
        let is_shown_now =
            !matches!(warning, Warning::NoLeakCheck { .. } | Warning::FixturesKept { .. });
        if is_shown_now && (self.verbosity != Verbosity::Quiet || is_error(warning)) {
            let word = if is_error(warning) {
                self.paint.bad("error")
            } else {
                self.paint.warn("warning")
            };
            let text = printable(messages::warning(warning).as_bytes());
            self.line(&format!("{word}: {text}"));
        }
    }

    /// Also with `--quiet`: the user has asked for it.
    fn status(&mut self, slots: &[SlotStatus], finished_early: Option<usize>, view: &View<'_>) {
        /// More slots than this do not fit a screen.
        const LINES: usize = 20;
        let held: usize = slots.iter().map(|runs| runs.held).sum();
        let finished = finished_early.unwrap_or(self.live.finished()) + held;
        let so_far = match finished_early {
            Some(_) => messages::so_far_of_unknown(finished),
            None => {
                let left = self.live.tests.saturating_sub(finished);
                messages::so_far(finished as u64, left as u64)
            }
        };
        self.line(&status(self.paint, "So far", &so_far));
        for runs in slots.iter().take(LINES) {
            let test = |(test, took): &(TestId, Duration)| {
                format!("{}{}", view.shown_id(*test), messages::in_brackets(*took))
            };
            let tests: Vec<String> = runs.tests.iter().map(test).collect();
            self.line(&messages::runs_now(runs.slot, &tests));
        }
        if slots.len() > LINES {
            self.line(&messages::more_slots(slots.len() - LINES));
        }
    }

    fn finish(&mut self, view: &View<'_>) {
        self.clear();
        let mut held = std::mem::take(&mut self.held);
        held.sort_by(|(a, _), (b, _)| view.compare(*a, *b));
        for (test, verdict) in held {
            self.verdict_line(test, &verdict, view).iter().for_each(|line| self.line(line));
        }
    }

    fn line(&mut self, line: &str) {
        self.clear();
        self.printed_at = clock::now();
        let line = stopped_commands::as_text(self.ci, self.paint.printable(line));
        // A closed stderr does not stop the run.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn is_error(warning: &Warning) -> bool {
    matches!(
        warning,
        Warning::ListFailed(_)
            | Warning::InterruptedWhileListing { .. }
            | Warning::TooManyCrashes { .. }
            | Warning::RunTimedOut { .. }
            | Warning::InternalError { .. }
    )
}

/// Whether to draw progress, decided like cargo does.
pub fn is_wanted(settings: &Settings) -> bool {
    let when = std::env::var("CARGO_TERM_PROGRESS_WHEN");
    match when.as_deref() {
        Ok("never") => false,
        Ok("always") => true,
        _ => {
            let is_ci = std::env::var_os("CI").is_some();
            std::io::stderr().is_terminal() && !is_dumb_terminal() && !is_ci && !is_quiet(settings)
        }
    }
}
