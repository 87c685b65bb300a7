//! The packages of a workspace that lie in local directories, and what they depend on.
//!
//! A dependency goes by its name: where two packages share one, both count. Besides what the members
//! declare, Cargo.lock tells which packages of a registry lead back to a local one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Package};
use toml::de::{DeTable, DeValue};

use super::affected::{LocalPackage, Packages};
use crate::cargo::command;
use crate::cargo::workspace::Workspace;
use crate::cli::settings::Settings;
use crate::error::Result;

/// Reads them. Paths are those of the file system, without links.
pub fn read(workspace: &Workspace, settings: &Settings) -> Result<Packages> {
    let root = real(workspace.root());
    let mut packages = Packages {
        common: common_files(&root, settings),
        target_dir: real(workspace.state_dir.parent().unwrap_or(&workspace.state_dir)),
        ..Packages::default()
    };
    let mut seen = BTreeSet::new();
    let mut next = Vec::new();
    for package in &workspace.packages {
        seen.insert(real(package.dir()));
        next.extend(add(&mut packages, &package.cargo, true));
    }
    next.extend(patched(&workspace.root_manifest));
    next.extend(settings.cargo_config.files.iter().flat_map(|file| patched_by_config(file)));
    // Local packages that are no members, such as those of an excluded directory.
    while let Some(dir) = next.pop() {
        let manifest = dir.join("Cargo.toml");
        if !seen.insert(real(&dir)) || !manifest.is_file() {
            continue;
        }
        let metadata = command::metadata(&settings.cargo, Some(&manifest))?;
        let is_it =
            |package: &&Package| real(package.manifest_path.as_std_path()) == real(&manifest);
        let own = metadata.packages.iter().filter(is_it);
        own.for_each(|package| next.extend(add(&mut packages, package, false)));
    }
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    for (name, needs) in locked(&lock) {
        packages.dependencies.entry(name).or_default().extend(needs);
    }
    Ok(packages)
}

/// Adds a package, and returns the directories of those that it depends on by path. Nobody tests
/// those that are no members, so what only their tests need does not count.
fn add(packages: &mut Packages, package: &Package, is_member: bool) -> Vec<PathBuf> {
    let dir = package.manifest_path.parent().map(|dir| real(dir.as_std_path())).unwrap_or_default();
    for place in [dir.clone()].into_iter().chain(sources_elsewhere(package, &dir)) {
        packages.local.push(LocalPackage { name: package.name.to_string(), dir: place });
    }
    let dependencies = package.dependencies.iter();
    let counting = dependencies.filter(|d| is_member || d.kind != DependencyKind::Development);
    let needs = packages.dependencies.entry(package.name.to_string()).or_default();
    let mut dirs = Vec::new();
    for dependency in counting {
        needs.insert(dependency.name.clone());
        dirs.extend(dependency.path.clone().map(PathBuf::from));
    }
    dirs
}

/// Sources of targets that are not in the directory of their package. Files beside them may be modules
/// of theirs, unless the package is somewhere below them.
fn sources_elsewhere(package: &Package, dir: &Path) -> Vec<PathBuf> {
    let sources = package.targets.iter().map(|target| real(target.src_path.as_std_path()));
    let elsewhere = sources.filter(|source| !source.starts_with(dir));
    let place = |source: PathBuf| match source.parent() {
        Some(parent) if !dir.starts_with(parent) => parent.to_owned(),
        _ => source,
    };
    elsewhere.map(place).collect()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The files that decide how all packages are built.
fn common_files(root: &Path, settings: &Settings) -> BTreeSet<PathBuf> {
    let of_root = ["Cargo.toml", "Cargo.lock"].map(|name| root.join(name));
    let above = ["rust-toolchain", "rust-toolchain.toml", ".cargo/config", ".cargo/config.toml"];
    let above = root.ancestors().flat_map(|dir| above.map(|name| dir.join(name)));
    of_root.into_iter().chain(above).chain(settings.cargo_config.files.iter().cloned()).collect()
}

/// The same in a file of configuration, whose paths begin where its `.cargo` is.
fn patched_by_config(file: &Path) -> Vec<PathBuf> {
    let above = file.parent().filter(|dir| dir.ends_with(".cargo"));
    above.map_or(Vec::new(), |dir| patched_in(file, dir.parent().unwrap_or(dir)))
}

/// The directories that replace packages of a registry, by `[patch]` or `[replace]`.
fn patched(root_manifest: &Path) -> Vec<PathBuf> {
    patched_in(root_manifest, root_manifest.parent().unwrap_or(Path::new("/")))
}

fn patched_in(file: &Path, dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let Ok(document) = text.parse::<toml::Table>() else { return Vec::new() };
    let tables = |key| document.get(key).and_then(toml::Value::as_table);
    let sources = tables("patch").into_iter().flatten().filter_map(|(_, source)| source.as_table());
    let entries = sources.chain(tables("replace")).flatten();
    let paths = entries.filter_map(|(_, entry)| entry.get("path")?.as_str());
    paths.map(|path| dir.join(path)).collect()
}

/// What each package of a Cargo.lock depends on.
fn locked(text: &str) -> Vec<(String, Vec<String>)> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let packages = document.get_ref().get("package").and_then(|list| list.get_ref().as_array());
    let entry = |package: &toml::Spanned<DeValue<'_>>| {
        let package = package.get_ref().as_table()?;
        let name = package.get("name")?.get_ref().as_str()?.to_owned();
        let needs = package.get("dependencies").and_then(|list| list.get_ref().as_array());
        // `log`, or `log 0.4.2` where there are several of that name.
        let needs = needs.into_iter().flatten().filter_map(|need| need.get_ref().as_str());
        let needs = needs.filter_map(|need| need.split(' ').next().map(str::to_owned));
        Some((name, needs.collect()))
    };
    packages.into_iter().flatten().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_a_configuration_begin_above_its_folder() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join(".cargo/config.toml");
        std::fs::create_dir(top.path().join(".cargo")).unwrap();
        let patch = "[patch.crates-io]\nshop = { path = \"vendor/shop\" }\nlog = { git = \"x\" }\n";
        std::fs::write(&file, patch).unwrap();
        assert_eq!(patched_by_config(&file), [top.path().join("vendor/shop")]);
        assert!(patched_by_config(&top.path().join("other.toml")).is_empty());
    }

    #[test]
    fn a_lock_file_tells_what_each_package_needs() {
        let text = "version = 4\n[[package]]\nname = \"web\"\ndependencies = [\n \"db\",\n \"log 0.4.2\",\n]\n\
                    [[package]]\nname = \"db\"\n";
        let expected = [("web", vec!["db", "log"]), ("db", vec![])];
        let expected = expected.map(|(name, needs)| {
            (name.to_owned(), needs.into_iter().map(str::to_owned).collect::<Vec<_>>())
        });
        assert_eq!(locked(text), expected);
        assert_eq!(locked("[[package"), []);
    }
}
