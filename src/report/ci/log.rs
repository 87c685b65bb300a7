//! What a run adds to the log of a CI system.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::annotation::{Annotation, Level};
use super::job_summary::JobSummary;
use super::log_group::{self, LogGroup, Part};
use super::repository::Repository;
use super::stopped_commands::StoppedCommands;
use super::teamcity;
use crate::model::ci_system::CiSystem;
use crate::model::event::{Event, FixtureEvent, LeakedBy};
use crate::model::leak::{Leak, LeakAction, LeakKind};
use crate::model::outcome::Outcome;
use crate::model::printable::printable;
use crate::model::reason::Reason;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::report::failure_summary::{FailureSummary, SourcePlace};
use crate::report::markdown_text::abridged;
use crate::report::messages;
use crate::report::sharing_messages;
use crate::report::view::View;
use crate::report::warnings;

/// GitHub shows no more annotations of a job.
const MOST: usize = 50;

/// The lines and bytes of one annotation.
const LINES: usize = 40;
const BYTES: usize = 4 * 1024;

pub struct CiLog<'r> {
    system: CiSystem,
    view: View<'r>,
    repository: Repository,
    /// Before the group, whose end is a command.
    stopped: Option<StoppedCommands>,
    group: Option<LogGroup>,
    job_summary: Option<JobSummary<'r>>,
    /// In the order of tests.
    annotations: Vec<(Option<TestId>, Annotation)>,
    /// The pools that have an annotation, and of which level: each is one leak, whichever tests use
    /// it, but where some deny it that is an error.
    pools: BTreeSet<(LeakAction, String)>,
}

impl<'r> CiLog<'r> {
    pub fn new(system: CiSystem, view: View<'r>) -> CiLog<'r> {
        let checkout = match system {
            CiSystem::GitHub => "GITHUB_WORKSPACE",
            CiSystem::GitLab => "CI_PROJECT_DIR",
            CiSystem::Buildkite => "BUILDKITE_BUILD_CHECKOUT_PATH",
            CiSystem::TeamCity => "TEAMCITY_BUILD_CHECKOUT_DIR",
            CiSystem::Azure => "BUILD_SOURCESDIRECTORY",
        };
        CiLog {
            system,
            view,
            repository: Repository::of(view.root, std::env::var_os(checkout).map(PathBuf::from)),
            stopped: None,
            group: None,
            job_summary: JobSummary::new(system, view),
            annotations: Vec::new(),
            pools: BTreeSet::new(),
        }
    }

    /// Takes an event; returns lines for the log.
    pub fn show(&mut self, event: &Event) -> String {
        if let Some(job_summary) = &mut self.job_summary {
            job_summary.take(event);
        }
        match event {
            Event::RunStarted { .. } => {
                self.group = LogGroup::begin(self.view.settings, Part::Tests);
                self.stopped = StoppedCommands::begin(self.view.settings);
                let has_retries = self.system == CiSystem::TeamCity;
                return if has_retries { teamcity::RETRIES.to_owned() } else { String::new() };
            }
            Event::Output { bytes } => {
                self.stopped.iter_mut().for_each(|stopped| stopped.note(bytes));
            }
            Event::TestFinished { test, verdict } => return self.test_finished(*test, verdict),
            Event::LeftBehind { by, leaks } => {
                let owner = match by {
                    LeakedBy::Test(test) => self.view.shown_id(*test),
                    LeakedBy::Unit(node) => format!("a test of {node}"),
                    LeakedBy::Run => "a test of this run".to_owned(),
                };
                leaks.iter().for_each(|leak| self.leak(None, &owner, leak));
            }
            Event::Fixture { instance, what, .. } => {
                let owner = format!("fixture {instance}");
                if let FixtureEvent::Failed { why, output, .. } = what {
                    let message = format!("{why}\n{}", printable(output));
                    self.annotate(Level::Error, format!("{owner} failed"), &message);
                }
                if let FixtureEvent::Failed { leaks, .. } | FixtureEvent::Stopped { leaks, .. } =
                    what
                {
                    leaks.iter().for_each(|leak| self.leak(None, &owner, leak));
                }
            }
            Event::Warning(warning @ Warning::ListFailed(failure)) => {
                let title = format!("cannot list the tests of {}", failure.binary);
                self.annotate(Level::Error, title, &messages::warning(warning));
            }
            Event::RunFinished(summary) => return self.finish(summary),
            _ => {}
        }
        String::new()
    }

    fn test_finished(&mut self, test: TestId, verdict: &Verdict) -> String {
        let id = self.view.shown_id(test);
        let view = self.view;
        let summary = |outcome, reason: Option<&Reason>, output: &_| {
            FailureSummary::new(&view, test, (outcome, reason), output)
        };
        if self.system == CiSystem::TeamCity {
            return teamcity::test(&id, verdict, summary);
        }
        verdict.leaks.iter().for_each(|leak| self.leak(Some(test), &id, leak));
        if let Some(found) = &verdict.interference
            && let Some(first) = verdict.failed_before.first()
        {
            let failure = summary(first.outcome, first.reason.as_ref(), &first.output);
            let [why, lock] = sharing_messages::interfered(&view, test, found);
            let message = format!("{}\n{lock}", failure.message);
            let title = format!("{id} {why}");
            self.annotate_at(Some(test), Level::Warning, title, &message, failure.place);
        }
        if let Some(flakiness) = verdict.flakiness()
            && let Some(first) = verdict.failed_before.first()
        {
            let failure = summary(first.outcome, first.reason.as_ref(), &first.output);
            let title = format!("{id} {}", messages::flakiness(flakiness, verdict));
            let level = if verdict.outcome.is_success() { Level::Warning } else { Level::Error };
            self.annotate_at(Some(test), level, title, &failure.message, failure.place);
        } else if is_annotated(verdict.outcome) {
            let failure = summary(verdict.outcome, verdict.reason.as_ref(), &verdict.output);
            let word = messages::verdict_word(verdict.outcome).to_lowercase();
            let title = format!("{id} {word}");
            self.annotate_at(Some(test), Level::Error, title, &failure.message, failure.place);
        }
        String::new()
    }

    fn leak(&mut self, test: Option<TestId>, owner: &str, leak: &Leak) {
        let level = match leak.action {
            LeakAction::Deny => Level::Error,
            LeakAction::Warn => Level::Warning,
            LeakAction::Allow => return,
        };
        if leak.kind == LeakKind::Pool && !self.pools.insert((leak.action, leak.what.clone())) {
            return;
        }
        let kind = match leak.kind {
            LeakKind::Panic => "unobserved panic",
            kind => kind.as_str(),
        };
        let title = format!("{owner} leaked a {kind}").replace("a unob", "an unob");
        let message = format!("{}: {}", printable(leak.what.as_bytes()), leak.detail);
        let place = leak.place.as_deref().and_then(SourcePlace::parse);
        self.annotate_at(test, level, title, &message, place);
    }

    fn annotate(&mut self, level: Level, title: String, message: &str) {
        self.annotate_at(None, level, title, message, None);
    }

    fn annotate_at(
        &mut self,
        test: Option<TestId>,
        level: Level,
        title: String,
        message: &str,
        place: Option<SourcePlace>,
    ) {
        let message = abridged(message.trim(), LINES, BYTES);
        // Without a message, GitHub shows nothing.
        let message = if message.is_empty() { title.clone() } else { message };
        let place = place.and_then(|place| self.repository.place(&place));
        self.annotations.push((test, Annotation { level, title, message, place }));
    }

    fn finish(&mut self, summary: &Summary) -> String {
        self.stopped = None;
        self.group = None;
        let mut annotations = std::mem::take(&mut self.annotations);
        let view = self.view;
        annotations.sort_by(|(a, one), (b, other)| {
            let is_warning = |one: &Annotation| one.level == Level::Warning;
            let tests = match (a, b) {
                (Some(a), Some(b)) => view.compare(*a, *b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            is_warning(one).cmp(&is_warning(other)).then(tests)
        });
        let annotations = annotations.iter().take(MOST);
        let mut lines: String =
            annotations.filter_map(|(_, annotation)| annotation.line(self.system)).collect();
        if let Some(job_summary) = &mut self.job_summary {
            match job_summary.write(summary) {
                Ok(line) => lines += &line,
                Err(error) => {
                    let error = messages::report_not_written(job_summary.path(), &error);
                    warnings::print(&error, view.settings);
                }
            }
        }
        if self.system == CiSystem::Buildkite {
            lines += if summary.is_success() { "--- Results\n" } else { "+++ Results\n" };
        }
        lines
    }

    /// The text of an annotation that the agent of the system makes.
    pub fn annotation(&mut self, summary: &Summary) -> Option<String> {
        self.job_summary.as_mut()?.annotation(summary)
    }

    /// Writes lines of this log.
    pub fn write(&self, lines: &str) {
        log_group::write(self.view.settings.format, lines);
    }
}

/// Whether a test with this outcome has an annotation of its own: that of a fixture stands for all
/// tests that it blocks, and whoever interrupts a run knows of it.
fn is_annotated(outcome: Outcome) -> bool {
    outcome.is_failure() || outcome == Outcome::Missing
}
