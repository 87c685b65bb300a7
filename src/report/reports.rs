//! The reports of a run: progress on stderr, and the result on stdout.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use super::ci::log::CiLog;
use super::ci::stopped_commands;
use super::human::report::Human;
use super::json::Json;
use super::libtest_json::LibtestJson;
use super::messages;
use super::progress::Progress;
use super::report_file::ReportFile;
use super::stage_messages;
use super::text::{Paint, print, unless_closed};
use super::view::View;
use crate::cli::output_args::MessageFormat;
use crate::error::Result;
use crate::model::event::Event;
use crate::model::report_kind::ReportKind;
use crate::model::summary::Summary;
use crate::process::stderr::write_line_over_progress;
use crate::run::interrupt::Notice;

/// All reports of a run.
pub struct Reports<'r> {
    view: View<'r>,
    progress: Progress,
    result: Sink<'r>,
    files: Vec<ReportFile<'r>>,
    ci: Option<CiLog<'r>>,
    /// Whether a file could not be written.
    lacks_file: bool,
    /// Set once the result can no longer be written.
    failure: Option<io::Error>,
}

/// The report on stdout.
enum Sink<'r> {
    Human(Human<'r>),
    Json(Json<'r>),
    LibtestJson(LibtestJson<'r>),
}

impl<'r> Reports<'r> {
    /// With reports at these paths.
    pub fn new(view: View<'r>, files: Vec<(ReportKind, PathBuf)>) -> Reports<'r> {
        let result = match view.settings.format {
            MessageFormat::Human => Sink::Human(Human::new(view)),
            MessageFormat::Json => Sink::Json(Json::new(view)),
            MessageFormat::LibtestJson => Sink::LibtestJson(LibtestJson::new(view, false)),
            MessageFormat::LibtestJsonPlus => Sink::LibtestJson(LibtestJson::new(view, true)),
        };
        let progress = Progress::new(view.settings);
        let file = |(kind, path)| ReportFile::new(kind, view, path);
        let files = files.into_iter().map(file).collect();
        let ci = view.settings.ci.map(|system| CiLog::new(system, view));
        Reports { view, progress, result, files, ci, lacks_file: false, failure: None }
    }

    /// How often a report needs `Event::Tick`.
    pub fn tick_interval(&self) -> Option<Duration> {
        self.progress.tick_interval()
    }

    /// Passes an event to every report. Returns false once the result can no longer be written.
    pub fn show(&mut self, event: &Event) -> bool {
        self.show_to_ci(event);
        self.progress.show(event, &self.view);
        let shown = match &mut self.result {
            Sink::Human(human) => match human.show(event) {
                Some(text) => {
                    self.progress.clear();
                    print(&stopped_commands::as_text(self.view.settings.ci, text))
                }
                None => Ok(()),
            },
            lines => {
                // They may be read at the same terminal.
                if io::stdout().is_terminal() && !matches!(event, Event::Tick(_)) {
                    self.progress.clear();
                }
                match lines {
                    Sink::Json(json) => json.show(event),
                    Sink::LibtestJson(json) => json.show(event),
                    Sink::Human(_) => Ok(()),
                }
            }
        };
        if let Err(error) = shown {
            self.failure.get_or_insert(error);
        }
        for file in &mut self.files {
            let Err(error) = file.show(event) else { continue };
            self.lacks_file = true;
            let error = messages::report_not_written(file.path(), &error);
            let word = Paint(self.view.settings.color.stderr).bad("error");
            write_line_over_progress(&format!("{word}: {error}"));
        }
        self.failure.is_none()
    }

    fn show_to_ci(&mut self, event: &Event) {
        let Some(ci) = &mut self.ci else { return };
        let lines = ci.show(event);
        if !lines.is_empty() {
            self.progress.clear();
            ci.write(&lines);
        }
    }

    /// The text of an annotation that the agent of the CI system makes.
    pub fn ci_annotation(&mut self, summary: &Summary) -> Option<String> {
        self.ci.as_mut()?.annotation(summary)
    }

    /// Whether a report that was asked for as a file could not be written.
    pub fn lacks_file(&self) -> bool {
        self.lacks_file
    }

    /// Returns the error that kept the result from being written; a closed pipe is none.
    pub fn end(self) -> Result<()> {
        self.failure.map_or(Ok(()), |error| unless_closed(Err(error)))
    }
}

/// Prints a notice, which is no event of a run.
pub fn show_notice(notice: &Notice) {
    write_line_over_progress(&stage_messages::notice(notice));
}
