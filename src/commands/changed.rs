//! `--changed`: narrows the run to packages with changes and to those that depend on them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cargo_metadata::PackageId;
use toml::de::DeTable;
use wildmatch::WildMatch;

use crate::cargo::workspace::{Package, Workspace};
use crate::changes::affected::Affected;
use crate::changes::build_flags::Narrowed;
use crate::changes::packages;
use crate::changes::repository::Repository;
use crate::cli::settings::{Settings, Verbosity};
use crate::cli::task::Task;
use crate::config::diagnostic::suggestion;
use crate::error::{Error, Result};
use crate::process::stderr::write_line;
use crate::report::progress::status;
use crate::report::text::Paint;
use crate::report::{changed_packages, warnings};

/// Replaces the choice of packages, if that is to go by what has changed.
pub fn narrow(settings: &mut Settings) -> Result<()> {
    let Some(rev) = settings.changed.clone() else { return Ok(()) };
    if matches!(settings.task, Task::Fixtures(_)) {
        return Ok(());
    }
    // The run loads the workspace once more, and shows its warnings then.
    let workspace = Workspace::load(settings, &mut Vec::new())?;
    let paths = Repository::of(workspace.root())?.changed_since(&rev)?;
    let affected = packages::read(&workspace, settings)?.affected_by(&paths);
    let candidates = candidates(&workspace, settings)?;
    let is_affected = |package: &&&cargo_metadata::Package| affected.has(&package.name);
    let chosen = candidates.iter().filter(is_affected).copied().collect();
    let mut narrowed = Narrowed { candidates, chosen };
    narrowed.fit(&mut settings.cargo);
    let chosen: Vec<String> = narrowed.chosen.iter().map(|p| p.name.to_string()).collect();
    if settings.verbosity != Verbosity::Quiet {
        show(&rev, &affected, &chosen, &workspace, settings);
    }
    settings.is_unchanged = chosen.is_empty();
    // Another package may have the same name, as an older release of a member does.
    let spec = |package: &&cargo_metadata::Package| format!("{}@{}", package.name, package.version);
    let specs = narrowed.chosen.iter().map(spec).collect();
    let cargo = &mut settings.cargo;
    (cargo.package, cargo.workspace) = (specs, false);
    cargo.exclude.clear();
    Ok(())
}

/// The packages that may be tested: those that flags choose, or all that cargo would test in the
/// workspace's root.
fn candidates<'w>(
    workspace: &'w Workspace,
    settings: &Settings,
) -> Result<Vec<&'w cargo_metadata::Package>> {
    let args = &settings.cargo;
    let all: Vec<&Package> = workspace.packages.iter().collect();
    let names: Vec<&str> = all.iter().map(|package| package.cargo.name.as_str()).collect();
    let check = |spec: &&String| !all.iter().any(|package| matches(spec, package));
    if let Some(unknown) = args.package.iter().find(check) {
        return Err(Error::usage(format!(
            "`--changed` knows no package `{unknown}` in the workspace: {}",
            suggestion(unknown, &names)
        )));
    }
    let defaults = default_members(workspace);
    let is_wanted = |package: &&&Package| {
        let is_named = |specs: &[String]| specs.iter().any(|spec| matches(spec, package));
        match args.package.is_empty() {
            false => is_named(&args.package),
            true if is_named(&args.exclude) => false,
            true => args.workspace || defaults.is_none_or(|ids| ids.contains(&package.cargo.id)),
        }
    };
    Ok(all.iter().filter(is_wanted).map(|package| &package.cargo).collect())
}

/// Whether a package is what `-p` names: by its name, a pattern of names, or name and version.
pub(super) fn matches(spec: &str, package: &Package) -> bool {
    let spec = spec.rsplit_once('#').map_or(spec, |(_, fragment)| fragment);
    let (name, version) = spec.split_once(['@', ':']).unwrap_or((spec, ""));
    WildMatch::new(name).matches(&package.cargo.name)
        && package.cargo.version.to_string().starts_with(version)
}

/// The `default-members`, where the root manifest declares any. Only cargo knows which packages their
/// paths and patterns name; without the key, it would name the root package alone.
fn default_members(workspace: &Workspace) -> Option<&[PackageId]> {
    let source = workspace.root_source().ok()?;
    let document = DeTable::parse(&source.text).ok()?;
    document.get_ref().get("workspace")?.get_ref().get("default-members")?;
    workspace.default_members.as_deref()
}

fn show(
    rev: &str,
    affected: &Affected,
    chosen: &[String],
    workspace: &Workspace,
    settings: &Settings,
) {
    let root = workspace.root();
    let root = root.canonicalize().unwrap_or(root.to_owned());
    let short = |path: &PathBuf| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    let members: Vec<&str> =
        workspace.packages.iter().map(|package| package.cargo.name.as_str()).collect();
    let is_left = |name: &&String| members.contains(&name.as_str()) && !chosen.contains(name);
    let left: Vec<String> =
        affected.changed.iter().chain(&affected.dependents).filter(is_left).cloned().collect();
    let of = |names: &BTreeSet<String>| {
        names.iter().filter(|name| chosen.contains(name)).cloned().collect::<Vec<_>>()
    };
    let common = affected.common.as_ref().map(short);
    let what =
        changed_packages::chosen(rev, &of(&affected.changed), &of(&affected.dependents), common);
    write_line(&status(Paint(settings.color.stderr), "Changed", &what));
    if !left.is_empty() {
        warnings::print(&changed_packages::not_chosen(&left), settings);
    }
    if !affected.outside.is_empty() {
        let files: Vec<String> = affected.outside.iter().map(short).collect();
        warnings::print(&changed_packages::outside(&files), settings);
    }
}
