//! `cargo partest merge`: one report of the shards of a run.

use std::path::{Path, PathBuf};

use crate::cli::command_line;
use crate::cli::settings::Settings;
use crate::cli::task::Task;
use crate::commands::{exit, run};
use crate::error::{Error, Exit, Result};
use crate::merge::join::{Joined, join};
use crate::merge::replay;
use crate::merge::stream::StreamFile;
use crate::merge::suite::Suite;
use crate::model::event::Event;
use crate::model::report_kind::REPORT_KINDS;
use crate::plan::durations;
use crate::report::reports::Reports;
use crate::report::view::View;
use crate::report::warnings;

/// Joins the streams in the files, and reports them as one run. The exit code is that of the whole.
pub fn run(settings: &mut Settings) -> Result<Exit> {
    let Task::Merge(files) = &settings.task else { return Ok(Exit::Success) };
    let Joined { streams, left_out } = joined(files)?;
    for text in left_out {
        warnings::print(&format!("left out: {text}"), settings);
    }
    // Commands that run a failed test again have the flags of its run.
    let flags = streams.first().map(|stream| stream.started.flags.as_slice()).unwrap_or_default();
    if let Some(cargo) = command_line::cargo_args(flags) {
        settings.cargo = cargo;
    }
    let settings = &*settings;
    let suite = Suite::new(&streams);
    let root = std::env::current_dir().unwrap_or_default();
    let view = View { inventory: &suite.inventory, settings, root: &root };
    let path = |kind| settings.reports.path(kind).cloned();
    let paths = REPORT_KINDS.iter().filter_map(|(_, kind)| Some((*kind, path(*kind)?)));
    let mut reports = Reports::new(view, paths.collect());
    let mut summary = None;
    for event in replay::events(&streams, &suite) {
        reports.show(&event);
        if let Event::RunFinished(of_run) = event {
            summary = Some(of_run);
        }
    }
    let mut summary = summary.unwrap_or_default();
    summary.lacks_report = reports.lacks_file();
    reports.end()?;
    if let Some(path) = &settings.durations_file {
        let saved = durations::update_file(path, replay::durations(&streams));
        run::durations_saved(saved, settings, &mut summary);
    }
    Ok(exit::exit_code(settings, &summary, || None))
}

fn joined(paths: &[PathBuf]) -> Result<Joined> {
    let mut files: Vec<(&Path, StreamFile)> = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match StreamFile::read(path) {
            Ok(file) => files.push((path, file)),
            Err(error) => problems.push(error),
        }
    }
    if problems.is_empty() {
        return join(files).map_err(|problems| Error::Merge { problems });
    }
    Err(Error::Merge { problems })
}
