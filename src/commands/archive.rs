//! `cargo partest archive`: packs the tests that were built, and all that they need to run
//! elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::Message;

use super::build_record::BuildRecord;
use super::project::Project;
use crate::archive::collect::{Files, Roots};
use crate::archive::compiled_paths;
use crate::archive::contents::{Contents, FORMAT, Header, Platform, Target, Variable};
use crate::archive::writer;
use crate::cargo::binary::Harness;
use crate::cli::task::Task;
use crate::config::diagnostic::Diagnostic;
use crate::config::value::At;
use crate::discovery::doctests;
use crate::error::{Error, Exit, Result};
use crate::leaks::baseline;
use crate::model::left_out_doctests::{LeftOutDoctests, OfPackage};
use crate::model::size;
use crate::model::stream_end::StreamEnd;
use crate::process::stderr::write_line;
use crate::report::json;
use crate::report::messages::{self, count};
use crate::report::progress::status;
use crate::report::text::Paint;
use crate::run::interrupt::Interrupts;

/// Writes the archive.
pub fn write(project: Project<'_>, record: BuildRecord, interrupts: &Interrupts) -> Result<Exit> {
    let Project { settings, inventory, .. } = project;
    // Nothing else records the build.
    let Task::Archive(path) = &settings.task else { return Ok(Exit::Success) };
    let wrong = |why: String| Error::Archive { path: path.clone(), why };
    let tests: usize = inventory.listings.iter().map(|listing| listing.tests.len()).sum();
    let binaries = inventory.listings.len();
    if binaries == 0 {
        return Err(wrong("no test binary was built, so there is nothing to archive".to_owned()));
    }
    let (files, roots) = collect(project, &record)?;
    let mut notes = compiled_paths(project, &record)?;
    let doctests = doctests_of(project, &record.doctest_packages, interrupts);
    let entries = files.into_entries().map_err(|error| wrong(error.to_string()))?;
    let (contents, sources) = contents(project, record, &roots, entries, doctests);
    // Before anything is written that could not be read.
    contents.check_entries().map_err(wrong)?;
    let left_out = LeftOutDoctests::new(contents.doctests.clone());
    notes.extend(left_out.map(|left_out| left_out.to_string()));
    let written = writer::write(path, &contents, &sources, &|| !interrupts.is_interrupted());
    let Some(size) = written.map_err(|error| wrong(format!("cannot write it: {error}")))? else {
        return Err(Error::Interrupted);
    };
    let what = format!(
        "{} of {} to `{}` ({}, {})",
        count(tests, "test"),
        count(binaries, "binary"),
        path.display(),
        count(contents.entries.len(), "file"),
        size::shown(size)
    );
    let paint = Paint(settings.color.stderr);
    write_line(&status(paint, "Archived", &what));
    notes.iter().for_each(|note| write_line(&format!("{}: {note}", paint.strong("note"))));
    let path = path.display().to_string();
    let end =
        StreamEnd::ArchiveWritten { path, tests, binaries, files: contents.entries.len(), size };
    json::end_stream(settings.format, &end);
    Ok(Exit::Success)
}

/// The doctests of these packages, which are counted only.
fn doctests_of(
    project: Project<'_>,
    packages: &[usize],
    interrupts: &Interrupts,
) -> Vec<OfPackage> {
    let Project { settings, workspace, policy, .. } = project;
    let found = doctests::take(packages, settings, workspace, policy, &interrupts.groups);
    let listed = found.listings.into_iter().map(|listing| OfPackage {
        package: listing.binary.full_name().package,
        tests: Some(listing.tests.len()),
    });
    let unlisted = found.failures.into_iter().map(|failure| failure.binary.package);
    // Where rustdoc is not to be had, no package is named.
    let unlisted = unlisted.filter(|package| !package.is_empty());
    listed.chain(unlisted.map(|package| OfPackage { package, tests: None })).collect()
}

/// What earlier runs have shown, on which the plan depends.
const STATE_FILES: [&str; 4] = ["history.json", "last-run.json", "locks.json", "one-by-one.json"];

/// The files that go into the archive.
fn collect(project: Project<'_>, record: &BuildRecord) -> Result<(Files, Roots)> {
    let Project { workspace, inventory, .. } = project;
    let root = workspace.root();
    let executables: Vec<PathBuf> =
        inventory.listings.iter().map(|listing| listing.binary.executable.clone()).collect();
    let tested: BTreeSet<usize> =
        inventory.listings.iter().map(|listing| listing.binary.package).collect();
    let packages: Vec<PathBuf> =
        workspace.packages.iter().map(|package| package.dir().to_owned()).collect();
    let is_tested = |message: &&Message| match message {
        Message::BuildScriptExecuted(script) => {
            tested.iter().any(|at| workspace.packages[*at].cargo.id == script.package_id)
        }
        _ => false,
    };
    let out_dirs: Vec<PathBuf> =
        record.messages.iter().filter(is_tested).filter_map(out_dir).collect();
    let libdirs: Vec<PathBuf> =
        record.toolchain.platforms().iter().map(|platform| platform.libdir.clone()).collect();
    let built: Vec<PathBuf> = executables.iter().chain(&out_dirs).cloned().collect();
    let roots = Roots::new(root, &workspace.target_dir(), &libdirs, &packages, &built);
    let mut files = Files::default();
    files.add_artifacts(&record.messages, &roots);
    let libraries = files.add_toolchain_libraries(&libdirs, &roots);
    libraries.map_err(|source| Error::Read { path: root.to_owned(), source })?;
    let state = STATE_FILES.map(|name| workspace.state_dir.join(name));
    let of_root = [root.join("Cargo.lock"), baseline::path(root), workspace.root_manifest.clone()];
    let manifests = workspace.packages.iter().map(|package| package.manifest_path().to_owned());
    for path in out_dirs.into_iter().chain(state).chain(of_root).chain(manifests) {
        files.add(&path, &roots);
    }
    include(project, &mut files, &roots);
    Ok((files, roots))
}

/// What to do about test binaries that have paths of this target directory compiled in.
fn compiled_paths(project: Project<'_>, record: &BuildRecord) -> Result<Vec<String>> {
    let target_dir = project.workspace.target_dir();
    let variables = compiled_paths::path_variables(&record.messages, &target_dir);
    let mut notes = Vec::new();
    // cargo sets the variables for these only.
    let binaries = project.inventory.listings.iter().map(|listing| &listing.binary);
    for binary in binaries.filter(|binary| ["test", "bench"].contains(&binary.kind)) {
        let path = &binary.executable;
        let found = compiled_paths::compiled_into(path, &variables);
        let found = found.map_err(|source| Error::Read { path: path.clone(), source })?;
        let note =
            |variable: &&str| messages::path_compiled_in(&binary.target, variable, &target_dir);
        notes.extend(found.first().map(note));
    }
    Ok(notes)
}

fn out_dir(message: &Message) -> Option<PathBuf> {
    match message {
        Message::BuildScriptExecuted(script) => Some(script.out_dir.clone().into()),
        _ => None,
    }
}

/// Adds what the metadata names.
fn include(project: Project<'_>, files: &mut Files, roots: &Roots) {
    let Project { settings, workspace, policy, .. } = project;
    let of_packages = workspace.packages.iter().zip(&policy.packages);
    let of_packages = of_packages.map(|(package, declared)| (package.dir(), &declared.config));
    let all = of_packages.chain(policy.of_workspace().map(|config| (workspace.root(), config)));
    for (dir, config) in all {
        for pattern in &config.archive {
            if !include_one(dir, pattern, &workspace.target_dir(), files, roots) {
                let title = format!("`{}` matches no file", pattern.value);
                let warning = Diagnostic::warning(pattern.place.clone(), title)
                    .help(format!("it is relative to `{}`", dir.display()));
                write_line(&warning.render(settings.color.stderr));
            }
        }
    }
}

fn include_one(
    dir: &Path,
    pattern: &At<String>,
    target_dir: &Path,
    files: &mut Files,
    roots: &Roots,
) -> bool {
    let is_built = dir.join(&pattern.value).starts_with(target_dir);
    let escaped = glob::Pattern::escape(&dir.to_string_lossy());
    // The pattern was checked when it was read.
    let found = glob::glob(&format!("{escaped}/{}", pattern.value)).into_iter().flatten().flatten();
    let is_wanted = |path: &PathBuf| is_built || !path.starts_with(target_dir);
    let mut has_any = false;
    for path in found.filter(is_wanted) {
        has_any |= files.add(&path, roots);
    }
    has_any
}

fn contents(
    project: Project<'_>,
    record: BuildRecord,
    roots: &Roots,
    (entries, sources): (Vec<crate::archive::contents::Entry>, Vec<PathBuf>),
    doctests: Vec<OfPackage>,
) -> (Contents, Vec<PathBuf>) {
    let Project { settings, workspace, inventory, .. } = project;
    let first = inventory.listings.iter().next().map(|listing| &listing.binary.executable);
    let platform = first.map(|path| Platform::of(&record.toolchain.platform_of(path).triple));
    let lists =
        inventory.listings.iter().filter(|listing| listing.binary.harness == Harness::Libtest);
    let target = |platform: &crate::cargo::toolchain::Platform| Target {
        triple: platform.triple.clone(),
        libdir: platform.libdir.clone(),
        runner: platform.runner.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
    };
    let variables = settings.cargo_config.env.iter().map(|(name, variable)| Variable {
        name: name.clone(),
        value: variable.value.to_string_lossy().into_owned(),
        force: variable.force,
    });
    let root_manifest = workspace.root_manifest.clone();
    let manifest = |package: &crate::cargo::workspace::Package| {
        (package.manifest_path().to_owned(), package.manifest.text.clone())
    };
    let mut manifests: Vec<_> = workspace.packages.iter().map(manifest).collect();
    let root_text = std::fs::read_to_string(&root_manifest).unwrap_or_default();
    manifests.push((root_manifest.clone(), root_text));
    let header = Header {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        platform: platform.unwrap_or_else(Platform::here),
    };
    let contents = Contents {
        header,
        roots: roots.named(),
        entries,
        root_manifest,
        packages: workspace.packages.iter().map(|package| package.cargo.clone()).collect(),
        manifests,
        messages: record.messages,
        targets: record.toolchain.platforms().iter().map(target).collect(),
        variables: variables.collect(),
        lists: lists.map(|listing| (listing.binary.executable.clone(), listing.list())).collect(),
        doctests,
    };
    (contents, sources)
}
