//! Which members of the workspace depend on which, also by way of local packages that are none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::workspace::Package;

/// The members that this package depends on: by a path, by the paths of local packages that are no
/// members, or as a package of a registry that the root manifest replaces by a member (`patched`).
pub(super) fn dependencies(
    package: &Package,
    all: &[Package],
    patched: &BTreeSet<String>,
) -> Vec<usize> {
    let paths = package.cargo.dependencies.iter().filter_map(|dependency| dependency.path.clone());
    let (direct, others): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.map(PathBuf::from).partition(|path| all.iter().any(|other| other.dir() == path));
    let behind = if others.is_empty() { BTreeSet::new() } else { members_behind(others, all) };
    let is_patched = |other: &Package| {
        let name = other.cargo.name.as_str();
        let by_name = |dependency: &cargo_metadata::Dependency| {
            dependency.path.is_none() && dependency.name == name
        };
        patched.contains(name) && package.cargo.dependencies.iter().any(by_name)
    };
    let is_one = |at: &usize| {
        let other = &all[*at];
        direct.iter().any(|path| path == other.dir()) || behind.contains(at) || is_patched(other)
    };
    (0..all.len()).filter(is_one).collect()
}

/// The members that these local packages depend on, which are none themselves.
fn members_behind(others: Vec<PathBuf>, all: &[Package]) -> BTreeSet<usize> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let members: Vec<PathBuf> = all.iter().map(|member| real(member.dir())).collect();
    let (mut found, mut seen, mut next) = (BTreeSet::new(), BTreeSet::new(), others);
    while let Some(dir) = next.pop().map(|dir| real(&dir)) {
        match members.iter().position(|member| *member == dir) {
            Some(member) => drop(found.insert(member)),
            None if seen.insert(dir.clone()) => next.extend(needed_by(&dir)),
            None => {}
        }
    }
    found
}

/// The directories that a package depends on, but for its own tests.
fn needed_by(dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
    let Ok(manifest) = text.parse::<Table>() else { return Vec::new() };
    let of_targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = of_targets.filter_map(|(_, target)| target.as_table()).chain([&manifest]);
    let needs = |table: &Table| -> Vec<PathBuf> {
        let kinds = ["dependencies", "build-dependencies"];
        let entries = kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flatten();
        let paths = entries.filter_map(|(_, entry)| entry.get("path")?.as_str());
        paths.map(|path| dir.join(path)).collect()
    };
    tables.flat_map(needs).collect()
}
