//! How a run begins that has an archive instead of a build.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::prepare::{self, BuildState, Preparation};
use super::slot_pool;
use super::stage_times::StageTimes;
use super::stall_watch::StallWatch;
use crate::archive::contents::Contents;
use crate::archive::extraction::Extraction;
use crate::archive::reader::Archive;
use crate::cargo::build_output::BuildOutput;
use crate::cargo::command;
use crate::cargo::toolchain::{Platform, Toolchain};
use crate::cargo::workspace::Workspace;
use crate::cli::args::{Args, Command};
use crate::cli::cargo_config::Variable;
use crate::cli::metadata_args::MetadataCommand;
use crate::cli::settings::Settings;
use crate::cli::task::Task;
use crate::discovery::inventory;
use crate::discovery::inventory_cache::InventoryCache;
use crate::error::{Error, Result};
use crate::model::left_out_doctests::LeftOutDoctests;
use crate::model::warning::Warning;
use crate::plan::history::History;
use crate::report::spinner::Spinner;
use crate::run::interrupt::Interrupts;
use crate::sharing::learnt::LearntLocks;

/// Opens the archive that the command line names, if it names one.
pub fn open(args: &Args) -> Result<Option<Archive>> {
    let from = &args.options.archive;
    if matches!(args.command, Some(Command::Archive(_))) && args.options.cargo.doctests.doc {
        return Err(Error::usage(
            "`--doc`: doctests are not in archives, because rustdoc compiles them when they run"
                .to_owned(),
        ));
    }
    let Some(path) = &from.archive else {
        let alone =
            [("--workspace-remap", &from.workspace_remap), ("--extract-to", &from.extract_to)];
        return match alone.iter().find(|(_, dir)| dir.is_some()) {
            Some((flag, _)) => Err(Error::usage(format!(
                "`{flag}` is for runs of an archive: add `--archive PATH`"
            ))),
            None => Ok(None),
        };
    };
    let has_tests = matches!(
        args.command,
        None | Some(
            Command::Run(_)
                | Command::Plan(_)
                | Command::List(_)
                | Command::Bisect(_)
                | Command::Metadata(MetadataCommand::Explain(_))
        )
    );
    if !has_tests {
        return Err(Error::usage(
            "`--archive` is for `run`, `plan`, `list`, `explain` and `bisect`; other commands are about the workspace and its build".to_owned(),
        ));
    }
    refuse_other_flags(args)?;
    Archive::open(path).map(Some)
}

/// Fails if there is a flag that has no meaning for tests from an archive.
fn refuse_other_flags(args: &Args) -> Result<()> {
    if args.options.running.keep_fixtures {
        return Err(Error::usage(
            "`--keep-fixtures` cannot be used with `--archive`: fixtures of an archive end with the run, before its files are removed".to_owned(),
        ));
    }
    let changed = args.options.changed.changed.as_ref().map(|_| "--changed".to_owned());
    let no_run = args.options.running.no_run.then(|| "--no-run".to_owned());
    let baseline = args.options.running.write_baseline.then(|| "--write-baseline".to_owned());
    let of_build = command::flags_of_build(&args.options.cargo).into_iter().next();
    match of_build.or(changed).or(no_run).or(baseline) {
        Some(flag) => Err(Error::usage(format!(
            "`{flag}` cannot be used with `--archive`: what is in the archive was decided by `cargo partest archive`; choose among its tests with filters"
        ))),
        None => Ok(()),
    }
}

/// Makes room for the files of the archive.
pub fn make_room(archive: Archive, settings: &Settings) -> Result<Extraction> {
    let has_runner = |triple: &str| !settings.cargo_config.runner(triple, Vec::new).is_empty();
    archive.check_platform(has_runner)?;
    let from = &settings.archive;
    Extraction::new(archive, from.extract_to.as_deref(), from.workspace_remap.as_deref())
}

/// Extracts the archive. What is known then is the same as after a build.
pub fn prepare(
    settings: &mut Settings,
    extraction: &Extraction,
    interrupts: &Arc<Interrupts>,
    warnings: &mut Vec<Warning>,
) -> Result<Preparation> {
    let times = StageTimes::begin();
    let spinner = Spinner::start(settings, "Extracting", extraction.archive.name());
    let contents = extraction.extract(&|| !interrupts.is_interrupted())?;
    drop(spinner);
    use_variables(settings, &contents);
    let settings = &*settings;
    let toolchain = toolchain(settings, &contents);
    let declared = prepare::declared_in_archive(workspace(&contents, extraction), settings)?;
    let workspace = &declared.workspace;
    let mut output = BuildOutput::default();
    contents.messages.into_iter().for_each(|message| output.take(message));
    let binaries = output.binaries(workspace, &toolchain, settings)?;
    let link_inputs = output.link_inputs(&toolchain);
    prepare::tests_started(interrupts, &[]);
    if settings.task == Task::Run {
        interrupts.watch_terminal();
    }
    let mut history = History::load(&workspace.state_dir, warnings);
    if settings.shard.is_some() {
        // As after a build: every machine has to make the same plan.
        history.learnt = LearntLocks::default();
    }
    if has_all_chosen(settings) {
        let left_out = LeftOutDoctests::new(contents.doctests);
        warnings.extend(left_out.map(Warning::DoctestsNotArchived));
    }
    let mut lists = InventoryCache::archived(contents.lists);
    let binaries = inventory::look_up(binaries, &mut lists);
    let pool = slot_pool::make(settings, &declared.policy)?;
    let build_state = BuildState::Finished(StallWatch::start(settings, interrupts));
    let known = Preparation::without_binaries(declared, history, pool, build_state, times.built());
    Ok(Preparation { binaries, link_inputs, lists, ..known })
}

/// Whether doctests would run too, if they were there.
fn has_all_chosen(settings: &Settings) -> bool {
    let filter = &settings.filter;
    settings.cargo.wants_doctests()
        && filter.filters.is_empty()
        && filter.filtersets.is_empty()
        && !filter.last_failed
        && !matches!(settings.task, Task::Bisect(_) | Task::Metadata(_))
}

/// Sets the variables that cargo's configuration sets for tests where they were built.
fn use_variables(settings: &mut Settings, contents: &Contents) {
    let variable = |variable: &crate::archive::contents::Variable| {
        let value = variable.value.clone().into();
        (variable.name.clone(), Variable { value, force: variable.force })
    };
    settings.cargo_config.env = contents.variables.iter().map(variable).collect();
}

/// Runners that are configured here count before those that were configured where the tests were
/// built.
fn toolchain(settings: &Settings, contents: &Contents) -> Toolchain {
    let platform = |target: &crate::archive::contents::Target| {
        let here = settings.cargo_config.runner(&target.triple, Vec::new);
        let there = || target.runner.iter().map(Into::into).collect();
        Platform {
            triple: target.triple.clone(),
            libdir: target.libdir.clone(),
            runner: if here.is_empty() { there() } else { here },
        }
    };
    Toolchain::archived(contents.targets.iter().map(platform).collect())
}

fn workspace(contents: &Contents, extraction: &Extraction) -> Workspace {
    let manifests: HashMap<PathBuf, String> = contents.manifests.iter().cloned().collect();
    let state_dir = extraction.dir().join(crate::archive::contents::TARGET).join("partest");
    let is_temporary = extraction.temporary_dir().is_some();
    Workspace::archived(
        (contents.root_manifest.clone(), state_dir),
        &contents.packages,
        &manifests,
        is_temporary,
    )
}
