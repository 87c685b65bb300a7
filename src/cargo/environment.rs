//! The environment of a test: exactly that of `cargo test`, and a few variables of our own.
//!
//! Source of the list: cargo's `compilation.rs` (`fill_env`) and the chapter "Environment
//! variables cargo sets for crates" of its book; `tests/suite/environment.rs` diffs the result
//! against cargo itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::toolchain::{Platform, Toolchain};
use super::workspace::Package;
use crate::cli::cargo_config::CargoConfig;

pub type Variables = BTreeMap<OsString, OsString>;

/// The output of a build script for the tests of its package.
#[derive(Debug)]
pub struct BuildScript {
    pub out_dir: PathBuf,
    pub env: Vec<(String, String)>,
}

/// What the environment of a test binary depends on.
pub struct TestEnvironment<'a> {
    pub package: &'a Package,
    pub executable: &'a Path,
    pub build_script: Option<&'a BuildScript>,
    /// Every build script's linked paths: cargo gives them all to every test.
    pub linked_paths: &'a [PathBuf],
    /// `(name, path)` of the package's own binaries, for integration tests only.
    pub binaries: &'a [(String, PathBuf)],
    pub cargo_config: &'a CargoConfig,
    pub toolchain: &'a Toolchain,
    pub platform: &'a Platform,
}

impl TestEnvironment<'_> {
    /// The variables to set on top of our own environment.
    pub fn variables(&self) -> Variables {
        let mut variables = package_variables(self.package);
        variables.insert("CARGO".into(), self.toolchain.cargo.clone());
        if let Some(script) = self.build_script {
            variables.insert("OUT_DIR".into(), script.out_dir.clone().into());
            variables.extend(script.env.iter().map(|(k, v)| (k.into(), v.into())));
        }
        for (name, path) in self.binaries {
            variables.insert(format!("CARGO_BIN_EXE_{name}").into(), path.into());
        }
        variables.insert(LIBRARY_PATH.into(), self.library_path());
        // As cargo does it: `[env]` never overrides what cargo sets itself, and what the user has
        // set only with `force`.
        for (name, value) in &self.cargo_config.env {
            let name = OsString::from(name);
            let taken = variables.contains_key(&name)
                || (!value.force && std::env::var_os(&name).is_some());
            if !taken {
                variables.insert(name, value.value.clone());
            }
        }
        variables
    }

    /// In cargo's order: linked paths below the build directory, the artifact directory, its
    /// `deps`, the standard library, then the inherited paths.
    fn library_path(&self) -> OsString {
        let deps = self.executable.parent().unwrap_or(Path::new(""));
        let artifacts = match deps.file_name() {
            Some(name) if name == "deps" || name == "examples" => deps.parent().unwrap_or(deps),
            _ => deps,
        };
        let mut paths: Vec<PathBuf> =
            self.linked_paths.iter().filter(|path| path.starts_with(artifacts)).cloned().collect();
        paths.push(artifacts.to_owned());
        paths.push(artifacts.join("deps"));
        paths.push(self.platform.libdir.clone());
        let existing = std::env::var_os(LIBRARY_PATH).unwrap_or_default();
        paths.extend(std::env::split_paths(&existing).filter(|path| !path.as_os_str().is_empty()));
        std::env::join_paths(paths).unwrap_or(existing)
    }
}

/// Our own variables for a worker.
pub fn worker_variables(run_id: &str, slot: usize, worker: u64) -> [(&'static str, String); 4] {
    [
        ("PARTEST", "1".to_owned()),
        ("PARTEST_RUN_ID", run_id.to_owned()),
        ("PARTEST_SLOT", slot.to_string()),
        ("PARTEST_WORKER", worker.to_string()),
    ]
}

/// What tells the processes of a run apart.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'r> {
    pub run_id: &'r str,
    pub slots: usize,
    pub worker: u64,
}

/// Our own variables for the process of a fixture; with `slot` if each slot has its own.
pub fn fixture_variables(
    numbers: Numbers<'_>,
    fixture: &str,
    slot: Option<usize>,
) -> Vec<(&'static str, String)> {
    let [active, run, slot_variable, worker] =
        worker_variables(numbers.run_id, slot.unwrap_or_default(), numbers.worker);
    let mut variables = vec![active, run, worker];
    variables.extend(slot.map(|_| slot_variable));
    variables.push(("PARTEST_SLOTS", numbers.slots.to_string()));
    variables.push(("PARTEST_FIXTURE", fixture.to_owned()));
    variables
}

fn package_variables(package: &Package) -> Variables {
    let cargo = &package.cargo;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let path = |path: &Option<cargo_metadata::camino::Utf8PathBuf>| {
        path.as_ref().map(|path| path.to_string()).unwrap_or_default()
    };
    let pairs = [
        ("CARGO_MANIFEST_DIR", package.dir().display().to_string()),
        ("CARGO_MANIFEST_PATH", package.manifest_path().display().to_string()),
        ("CARGO_PKG_VERSION", cargo.version.to_string()),
        ("CARGO_PKG_VERSION_MAJOR", cargo.version.major.to_string()),
        ("CARGO_PKG_VERSION_MINOR", cargo.version.minor.to_string()),
        ("CARGO_PKG_VERSION_PATCH", cargo.version.patch.to_string()),
        ("CARGO_PKG_VERSION_PRE", cargo.version.pre.to_string()),
        ("CARGO_PKG_NAME", cargo.name.to_string()),
        ("CARGO_PKG_AUTHORS", cargo.authors.join(":")),
        ("CARGO_PKG_DESCRIPTION", text(&cargo.description)),
        ("CARGO_PKG_HOMEPAGE", text(&cargo.homepage)),
        ("CARGO_PKG_REPOSITORY", text(&cargo.repository)),
        ("CARGO_PKG_LICENSE", text(&cargo.license)),
        ("CARGO_PKG_LICENSE_FILE", path(&cargo.license_file)),
        ("CARGO_PKG_README", path(&cargo.readme)),
        ("CARGO_PKG_RUST_VERSION", package.rust_version().unwrap_or_default().to_owned()),
    ];
    let mut variables: Variables = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
    if let Some(links) = &cargo.links {
        variables.insert("CARGO_MANIFEST_LINKS".into(), links.into());
    }
    variables
}

#[cfg(target_os = "macos")]
pub const LIBRARY_PATH: &str = "DYLD_FALLBACK_LIBRARY_PATH";
#[cfg(windows)]
pub const LIBRARY_PATH: &str = "PATH";
#[cfg(not(any(target_os = "macos", windows)))]
pub const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
