//! The files that a run is to write, checked before anything is built.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::settings::Settings;
use crate::cli::task::Task;
use crate::config::policy::Policy;
use crate::error::{Error, Result};
use crate::model::report_kind::{REPORT_KINDS, ReportKind};
use crate::plan::durations::Durations;
use crate::process::draft::Draft;
use crate::report::warnings;
use crate::state;

/// Fails if a file that a flag names cannot be written, or if two flags name the same one.
pub fn check(settings: &Settings) -> Result<()> {
    warn_of_no_report(settings);
    let mut named: BTreeMap<&Path, &str> = BTreeMap::new();
    for (flag, path) in paths(settings) {
        can_be_written(path).map_err(|why| wrong(&format!("{flag} {}", path.display()), &why))?;
        if let Some(other) = named.insert(path, flag).filter(|_| is_replaced(path)) {
            return Err(Error::usage(format!(
                "`{other}` and `{flag}` name the same file, `{}`",
                path.display()
            )));
        }
    }
    // It is updated when all tests have run, and what is in it must not be lost.
    updated_durations(settings).map_or(Ok(None), Durations::load).map(drop)
}

/// The same for reports that the metadata declares, relative to this directory. A run that is started
/// by a test writes none of them.
pub fn check_declared(settings: &Settings, policy: &Policy, root: &Path) -> Result<()> {
    if settings.task != Task::Run || settings.nested {
        return Ok(());
    }
    for (name, kind) in REPORT_KINDS {
        let declared = policy.report(kind).filter(|_| settings.reports.path(kind).is_none());
        if let Some(path) = declared {
            let what = format!("reports.{name} = \"{}\"", path.display());
            can_be_written(&root.join(path)).map_err(|why| wrong(&what, &why))?;
        }
    }
    Ok(())
}

fn wrong(what: &str, why: &str) -> Error {
    Error::usage(format!("`{what}`: {why}"))
}

/// Says which reports there will not be: those of commands that only show something.
fn warn_of_no_report(settings: &Settings) {
    if matches!(settings.task, Task::List | Task::Plan) {
        let flags = REPORT_FLAGS.iter().filter(|(_, kind)| settings.reports.path(*kind).is_some());
        for (flag, _) in flags {
            warnings::print(&format!("`{flag}` has no effect: no test is run"), settings);
        }
    }
}

const REPORT_FLAGS: [(&str, ReportKind); 4] = [
    ("--junit", ReportKind::Junit),
    ("--markdown", ReportKind::Markdown),
    ("--html", ReportKind::Html),
    ("--trace", ReportKind::Trace),
];

/// Each flag that names a file, and the file.
fn paths(settings: &Settings) -> Vec<(&'static str, &Path)> {
    let mut paths = Vec::new();
    match &settings.task {
        Task::Run | Task::Merge(_) => {
            let path = |(flag, kind)| Some((flag, settings.reports.path(kind)?.as_path()));
            paths.extend(REPORT_FLAGS.into_iter().filter_map(path));
            paths.extend(updated_durations(settings).map(|path| ("--durations-file", path)));
        }
        Task::Archive(path) => paths.push(("--file", path)),
        _ => {}
    }
    paths
}

/// The file of durations, if it is to be updated. A shard only reads it.
fn updated_durations(settings: &Settings) -> Option<&Path> {
    let is_updated =
        matches!(settings.task, Task::Run | Task::Merge(_)) && settings.shard.is_none();
    settings.durations_file.as_deref().filter(|_| is_updated)
}

/// Whether what is there already is replaced, rather than written to, as a pipe is.
fn is_replaced(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.is_file())
}

/// Why a file cannot be written there, and what to do.
fn can_be_written(path: &Path) -> std::result::Result<(), String> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Err("it is a directory; name a file in it".to_owned());
    }
    if !is_replaced(path) {
        return Ok(());
    }
    // Directories that are missing are made when the file is written.
    let mut parents = path.ancestors().skip(1).map(|parent| match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    });
    let Some(parent) = parents.find(|parent| parent.exists()) else { return Ok(()) };
    let there = match parent.is_dir() {
        false => Err("it is no directory".to_owned()),
        true => {
            Draft::new(parent, state::PRIVATE).map(drop).map_err(|error| error.kind().to_string())
        }
    };
    there.map_err(|why| {
        format!("cannot create a file in `{}`: {why}; name a file elsewhere", parent.display())
    })
}
