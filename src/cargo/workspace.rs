//! The packages of the workspace and their manifests.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cargo_metadata::{Metadata, PackageId, Target, TargetKind};
use toml::de::DeTable;

use super::rust_version::{self, RootManifest};
use super::{command, metadata_cache};
use crate::cli::args::CargoArgs;
use crate::cli::flag_defaults;
use crate::cli::settings::Settings;
use crate::config::diagnostic::{Diagnostic, Source};
use crate::config::policy::{PackagePolicy, Policy, QualifiedTarget};
use crate::config::schema::{self, Config, Table};
use crate::error::{Error, Result};
use crate::model::warning::Warning;

#[derive(Debug)]
pub struct Workspace {
    pub root_manifest: PathBuf,
    /// The directory of history and caches.
    pub state_dir: PathBuf,
    /// Whether its directories last as long as the run only: those of an archive.
    pub is_temporary: bool,
    /// The root manifest, where it is not read from its place.
    root_source: Option<Arc<Source>>,
    /// The members, then the packages from outside of the workspace that were built.
    pub packages: Vec<Package>,
    /// The members that cargo takes where no flag chooses any; none if it does not tell, as before 1.71.
    pub default_members: Option<Vec<PackageId>>,
}

#[derive(Debug)]
pub struct Package {
    pub cargo: cargo_metadata::Package,
    pub manifest: Arc<Source>,
    /// The targets with `harness = false`: section of the manifest, and name.
    custom_harnesses: HashSet<(&'static str, String)>,
    root: Arc<RootManifest>,
    /// Read when the first of its tests needs it: most packages of a large workspace are not tested.
    rust_version: OnceLock<String>,
}

impl Workspace {
    pub fn load(settings: &Settings, warnings: &mut Vec<Warning>) -> Result<Workspace> {
        let args = &settings.cargo;
        let metadata = metadata_cache::metadata(settings, warnings)?;
        let packages = Package::all(&metadata)?;
        let defaults = &metadata.workspace_default_members;
        Ok(Workspace {
            root_manifest: metadata.workspace_root.join("Cargo.toml").into(),
            state_dir: metadata_cache::state_dir(args, &metadata),
            is_temporary: false,
            root_source: None,
            packages,
            default_members: defaults.is_available().then(|| defaults.to_vec()),
        })
    }

    /// That of an archive, with the manifests as they were when it was written.
    pub fn archived(
        (root_manifest, state_dir): (PathBuf, PathBuf),
        packages: &[cargo_metadata::Package],
        manifests: &HashMap<PathBuf, String>,
        is_temporary: bool,
    ) -> Workspace {
        let source =
            |path: &Path| Source::new(path, manifests.get(path).cloned().unwrap_or_default());
        let root_text = manifests.get(&root_manifest).cloned().unwrap_or_default();
        let root = RootManifest::new(root_manifest.clone(), Some(root_text));
        let package = |cargo: &cargo_metadata::Package| {
            Package::new(cargo, source(cargo.manifest_path.as_std_path()), &root)
        };
        Workspace {
            packages: packages.iter().map(package).collect(),
            default_members: None,
            root_source: Some(source(&root_manifest)),
            root_manifest,
            state_dir,
            is_temporary,
        }
    }

    /// Where cargo writes.
    pub fn target_dir(&self) -> PathBuf {
        self.state_dir.parent().unwrap_or(&self.state_dir).to_owned()
    }

    /// The directory of the root manifest.
    pub fn root(&self) -> &Path {
        self.root_manifest.parent().unwrap_or(Path::new(""))
    }

    /// The root manifest, which may be that of a package.
    pub fn root_source(&self) -> Result<Arc<Source>> {
        let root = self.packages.iter().find(|p| p.manifest_path() == self.root_manifest);
        match (root, &self.root_source) {
            (Some(package), _) => Ok(package.manifest.clone()),
            (None, Some(source)) => Ok(source.clone()),
            (None, None) => read(&self.root_manifest),
        }
    }

    /// The index of this package.
    pub fn position(&self, id: &PackageId) -> Option<usize> {
        self.packages.iter().position(|package| package.cargo.id == *id)
    }

    /// Adds a package from outside of the workspace (`-p` of a path dependency), unless it has been
    /// added before.
    pub fn add(&mut self, id: &PackageId, manifest_path: &Path, args: &CargoArgs) -> Result<()> {
        if self.position(id).is_some() {
            return Ok(());
        }
        let metadata = command::metadata(args, Some(manifest_path))?;
        let mut packages = Package::all(&metadata)?;
        packages.retain(|package| package.cargo.manifest_path.as_std_path() == manifest_path);
        let package = packages.pop().ok_or_else(|| {
            Error::Cargo(format!(
                "`{}` is not in the output of `cargo metadata`",
                manifest_path.display()
            ))
        })?;
        self.packages.push(package);
        Ok(())
    }

    /// What the ids of a target's tests begin with: its crate name, or the package's name and that
    /// one where another package has a test target of the same name. The whole workspace counts
    /// and not only what this run builds, so that a test has one id in all runs.
    pub fn id_prefix(&self, package: usize, target: &Target) -> String {
        let name = crate_name(&target.name);
        // Targets that `cargo test` builds only when a flag asks for them yield to the others.
        let is_rival = |other: &Target| {
            (other.test || !target.test)
                && !other.kind.contains(&TargetKind::CustomBuild)
                && other.name.len() == name.len()
                && crate_name(&other.name) == name
        };
        let mut others = self.packages.iter().enumerate().filter(|(at, _)| *at != package);
        match others.any(|(_, other)| other.cargo.targets.iter().any(is_rival)) {
            true => format!("{}::{name}", self.packages[package].cargo.name),
            false => name,
        }
    }

    /// Reads the configuration in all manifests.
    pub fn policy(&self, settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Result<Policy> {
        let root = self.root_source()?;
        let mut policy = Policy {
            workspace: read_config(&root, Table::Workspace, diagnostics),
            packages: (0..self.packages.len())
                .map(|at| self.package_policy(at, diagnostics))
                .collect(),
            profile: settings.profile.clone(),
            command_line: settings.policy,
            timeout: settings.timeout,
            retries: settings.retries,
            flaky: settings.flaky,
            leaks: settings.leaks,
        };
        policy.check(diagnostics);
        policy.resolve_qualified_keys();
        Ok(policy)
    }

    fn package_policy(&self, index: usize, diagnostics: &mut Vec<Diagnostic>) -> PackagePolicy {
        let package = &self.packages[index];
        let qualified = |target: &Target| {
            let (prefix, name) = (self.id_prefix(index, target), crate_name(&target.name));
            (prefix != name).then_some(QualifiedTarget { prefix, name })
        };
        PackagePolicy {
            name: package.cargo.name.to_string(),
            config: read_config(&package.manifest, Table::Package, diagnostics),
            uses_serial_test: package.cargo.dependencies.iter().any(|d| d.name == "serial_test"),
            crate_names: package.crate_names(),
            qualified: package.cargo.targets.iter().filter_map(qualified).collect(),
            ..PackagePolicy::default()
        }
    }
}

impl Package {
    fn all(metadata: &Metadata) -> Result<Vec<Package>> {
        let root = metadata.workspace_root.join("Cargo.toml");
        let root = RootManifest::new(root.into(), None);
        metadata
            .packages
            .iter()
            .map(|cargo| {
                let manifest = read(cargo.manifest_path.as_std_path())?;
                Ok(Package::new(cargo, manifest, &root))
            })
            .collect()
    }

    fn new(
        cargo: &cargo_metadata::Package,
        manifest: Arc<Source>,
        root: &Arc<RootManifest>,
    ) -> Package {
        let custom_harnesses = custom_harnesses(&manifest.text);
        let (cargo, root) = (cargo.clone(), root.clone());
        Package { cargo, manifest, custom_harnesses, root, rust_version: OnceLock::new() }
    }

    /// As it stands in the manifest, which is not how `cargo` has it.
    pub fn rust_version(&self) -> Option<&str> {
        let whole = self.cargo.rust_version.as_ref()?;
        let read = || rust_version::typed(&whole.to_string(), &self.manifest.text, &self.root);
        Some(self.rust_version.get_or_init(read))
    }

    pub fn manifest_path(&self) -> &Path {
        self.cargo.manifest_path.as_std_path()
    }

    /// The directory of its manifest: where its tests run.
    pub fn dir(&self) -> &Path {
        self.manifest_path().parent().unwrap_or(Path::new("/"))
    }

    pub fn crate_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.cargo.targets.iter().map(|target| crate_name(&target.name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the target has `harness = false`, which cargo's JSON does not show.
    pub fn has_custom_harness(&self, kind: &TargetKind, name: &str) -> bool {
        let section = section_of(kind);
        let any_name = section == "lib" && self.custom_harnesses.iter().any(|(s, _)| *s == "lib");
        any_name || self.custom_harnesses.contains(&(section, name.to_owned()))
    }
}

/// The name of a target as `module_path!()` prints it.
pub fn crate_name(target: &str) -> String {
    target.replace('-', "_")
}

fn read(path: &Path) -> Result<Arc<Source>> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(Source::new(path, text))
}

/// Most manifests of a large workspace have no metadata, and need not be parsed.
fn read_config(source: &Arc<Source>, table: Table, diagnostics: &mut Vec<Diagnostic>) -> Config {
    if source.text.contains("metadata") {
        schema::read(source, table, flag_defaults::FLAGS, diagnostics)
    } else {
        Config::default()
    }
}

fn section_of(kind: &TargetKind) -> &'static str {
    match kind {
        TargetKind::Bin => "bin",
        TargetKind::Test => "test",
        TargetKind::Bench => "bench",
        TargetKind::Example => "example",
        _ => "lib",
    }
}

fn custom_harnesses(manifest: &str) -> HashSet<(&'static str, String)> {
    let mut found = HashSet::new();
    if !manifest.contains("harness") {
        return found;
    }
    let Ok(document) = DeTable::parse(manifest) else { return found };
    for section in ["lib", "bin", "test", "bench", "example"] {
        let Some(value) = document.get_ref().get(section) else { continue };
        let tables = match value.get_ref().as_array() {
            Some(array) => array.iter().filter_map(|item| item.get_ref().as_table()).collect(),
            None => value.get_ref().as_table().into_iter().collect::<Vec<_>>(),
        };
        for table in tables {
            let has_none = table.get("harness").and_then(|v| v.get_ref().as_bool()) == Some(false);
            let name = table.get("name").and_then(|v| v.get_ref().as_str()).unwrap_or_default();
            if has_none {
                found.insert((section, name.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harnesses_are_read_from_the_manifest() {
        let found = custom_harnesses(
            "[lib]\nharness = false\n[[test]]\nname = \"ui\"\nharness = false\n\
             [[test]]\nname = \"api\"\n[[bench]]\nname = \"ui\"\nharness = true\n",
        );
        let expected = HashSet::from([("lib", String::new()), ("test", "ui".to_owned())]);
        assert_eq!(found, expected);
    }

    proptest::proptest! {
        #[test]
        fn no_manifest_makes_the_reader_panic(
            text in "\\PC{0,60}",
            words in proptest::collection::vec(proptest::sample::select(vec![
                "[lib]", "[[test]]", "[test]", "[test.x]", "harness", "=", "false", "name", "\"ui\"",
                "{", "}", "[", "]", ",", ".", "\n", "lib",
            ]), 0..24),
        ) {
            custom_harnesses(&format!("harness{text}"));
            custom_harnesses(&words.concat());
        }
    }
}
