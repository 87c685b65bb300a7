//! The cached output of `cargo metadata`, which takes as long as all of a `cargo build` that has
//! nothing to do.
//!
//! It is valid as long as all that cargo reads for it is unchanged: the manifests, the directories
//! where it discovers targets and members, its configuration and variables, and cargo itself. If
//! that cannot be known, cargo is called.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cargo_metadata::{Metadata, Package};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::cache_input::{CacheInput, digest, is_pattern};
use super::command;
use crate::cli::args::CargoArgs;
use crate::cli::cargo_config::CargoConfig;
use crate::cli::settings::Settings;
use crate::error::Result;
use crate::model::warning::Warning;
use crate::state::{self, Stored};

/// The version of the file's format. To be raised whenever the format or the set of inputs changes.
const FORMAT: u32 = 2;

/// An input that changed this shortly before cargo was called, or while it ran, may be newer than
/// the output. File systems record times by the kernel's tick, 10 ms at most.
const TOO_NEW: Duration = Duration::from_millis(100);

#[derive(Serialize, Deserialize)]
struct CachedMetadata {
    /// The digest of the `CacheKey`, whose variables may hold secrets that must not be written.
    key: u64,
    inputs: Vec<(CacheInput, u64)>,
    metadata: Metadata,
}

/// What the output depends on besides files.
#[derive(Debug, Hash)]
struct CacheKey {
    program: &'static str,
    cargo: PathBuf,
    cargo_identity: String,
    cwd: PathBuf,
    manifest: PathBuf,
    flags: Vec<String>,
    cargo_config: BTreeSet<PathBuf>,
    variables: BTreeSet<(OsString, OsString)>,
}

/// The directory of history and caches, below the target directory.
pub fn state_dir(args: &CargoArgs, metadata: &Metadata) -> PathBuf {
    let dir = typed(args).unwrap_or_else(|| metadata.target_directory.clone().into());
    dir.join(STATE)
}

const STATE: &str = "partest";

fn typed(args: &CargoArgs) -> Option<PathBuf> {
    let dir = args.target_dir.as_ref()?;
    Some(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()))
}

/// The output of `cargo metadata`, cached except in nested runs, which must leave no trace.
pub fn metadata(settings: &Settings, warnings: &mut Vec<Warning>) -> Result<Metadata> {
    let Settings { cargo: args, cargo_config, .. } = settings;
    let Some(key) = CacheKey::of(args, cargo_config).filter(|_| !settings.nested) else {
        return command::metadata(args, None);
    };
    for dir in key.state_dirs(typed(args).or_else(|| cargo_config.target_dir.clone())) {
        if let Some(metadata) = known(&dir.join(key.file_name()), &key, warnings) {
            return Ok(metadata);
        }
    }
    let absent = absent_above(&key);
    let asked = SystemTime::now();
    let metadata = command::metadata(args, None)?;
    let path = state_dir(args, &metadata).join(key.file_name());
    keep(path, &metadata, &key, &Before { asked, absent }, warnings);
    Ok(metadata)
}

/// The state before cargo was called.
struct Before {
    asked: SystemTime,
    /// Files in the directories above that were absent.
    absent: BTreeSet<PathBuf>,
}

/// Files that are absent both before and after the call were absent for cargo, too. The times of
/// their directories need not be checked: one such as `/tmp` may change all the time.
fn absent_above(key: &CacheKey) -> BTreeSet<PathBuf> {
    let dirs = key.cwd.ancestors().chain(key.dir().ancestors());
    let manifests = dirs.map(|dir| dir.join("Cargo.toml"));
    let files = manifests.chain(key.cargo_config.iter().cloned());
    files.filter(|file| !file.exists()).collect()
}

fn known(path: &Path, key: &CacheKey, warnings: &mut Vec<Warning>) -> Option<Metadata> {
    match state::read::<CachedMetadata>(path, FORMAT) {
        Stored::Found(cached) => {
            let holds = cached.key == digest(key)
                && cached.inputs.iter().all(|(input, digest)| input.digest() == Some(*digest));
            holds.then_some(cached.metadata)
        }
        Stored::Absent => None,
        Stored::Damaged(why) => {
            warnings.push(Warning::DamagedStateFile { path: path.to_owned(), why });
            None
        }
    }
}

fn keep(
    path: PathBuf,
    metadata: &Metadata,
    key: &CacheKey,
    before: &Before,
    warnings: &mut Vec<Warning>,
) {
    let is_absent = |input: &CacheInput| matches!(input, CacheInput::Text(path) if before.absent.contains(path) && !path.exists());
    let with_digest = |input: CacheInput| {
        let is_old = is_absent(&input)
            || input.changed().is_none_or(|changed| changed + TOO_NEW < before.asked);
        let digest = input.digest().filter(|_| is_old)?;
        Some((input, digest))
    };
    let inputs = inputs(metadata, key).and_then(|all| all.into_iter().map(with_digest).collect());
    let Some(inputs) = inputs else { return };
    let cached = CachedMetadata { key: digest(key), inputs, metadata: metadata.clone() };
    if let Err(error) = state::write(&path, FORMAT, &cached) {
        warnings.push(Warning::StateFileNotWritten { path, why: error.to_string() });
    }
}

impl CacheKey {
    /// None if the output may depend on something else.
    fn of(args: &CargoArgs, cargo_config: &CargoConfig) -> Option<CacheKey> {
        // Unstable flags may change what cargo reads.
        if !args.unstable.is_empty() {
            return None;
        }
        // Without `CARGO`, cargo may be rustup's proxy, which chooses the toolchain on each call.
        let cargo = PathBuf::from(std::env::var_os("CARGO")?);
        let cwd = std::env::current_dir().ok()?;
        let manifest = match &args.manifest_path {
            Some(path) => std::path::absolute(path).ok()?,
            None => cwd.ancestors().map(|dir| dir.join("Cargo.toml")).find(|path| path.exists())?,
        };
        Some(CacheKey {
            program: env!("CARGO_PKG_VERSION"),
            cargo_identity: state::identity(&cargo)?,
            cargo,
            cwd,
            manifest,
            flags: command::resolution_flags(args),
            cargo_config: cargo_config.files.clone(),
            variables: std::env::vars_os().filter(|(name, _)| is_cargos(name)).collect(),
        })
    }

    /// Workspaces may share a target directory, so each current directory has its own file.
    fn file_name(&self) -> String {
        format!("metadata-{:016x}.json", digest(&(&self.cwd, &self.manifest)))
    }

    fn dir(&self) -> &Path {
        self.manifest.parent().unwrap_or(Path::new("/"))
    }

    /// Where the output may be cached: the target directory depends on the workspace's root, which
    /// only the output says.
    fn state_dirs(&self, target_dir: Option<PathBuf>) -> Vec<PathBuf> {
        match target_dir {
            Some(dir) => vec![dir.join(STATE)],
            None => self.dir().ancestors().map(|dir| dir.join("target").join(STATE)).collect(),
        }
    }
}

/// Whether a variable may affect cargo.
fn is_cargos(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_homes = name == "HOME" || name == "USERPROFILE";
    is_homes || ["CARGO", "RUST", "__CARGO"].iter().any(|start| name.starts_with(start))
}

/// All that cargo reads; none if that cannot be known.
fn inputs(metadata: &Metadata, key: &CacheKey) -> Option<BTreeSet<CacheInput>> {
    let files = key.cargo_config.iter().cloned();
    let mut inputs: BTreeSet<CacheInput> = files.map(CacheInput::Text).collect();
    let root = metadata.workspace_root.as_std_path();
    let root_manifest = root.join("Cargo.toml");
    let patterns = patterns(&std::fs::read_to_string(&root_manifest).ok()?)?;
    inputs.extend(
        patterns.into_iter().map(|pattern| CacheInput::Members { root: root.to_owned(), pattern }),
    );
    inputs.insert(CacheInput::Text(root_manifest));
    inputs.insert(CacheInput::Text(root.join("Cargo.lock")));
    // Where cargo searches for the workspace.
    inputs.extend(key.dir().ancestors().map(|dir| CacheInput::Text(dir.join("Cargo.toml"))));
    for package in &metadata.packages {
        inputs.extend(of_package(package));
    }
    Some(inputs)
}

/// The patterns among the members of a workspace.
fn patterns(root_manifest: &str) -> Option<Vec<String>> {
    let document = DeTable::parse(root_manifest).ok()?;
    let workspace = document.get_ref().get("workspace");
    let Some(members) = workspace.and_then(|workspace| workspace.get_ref().get("members")) else {
        return Some(Vec::new());
    };
    let members = members.get_ref().as_array()?.iter();
    let names: Option<Vec<&str>> = members.map(|member| member.get_ref().as_str()).collect();
    Some(names?.into_iter().filter(|name| is_pattern(name)).map(str::to_owned).collect())
}

fn of_package(package: &Package) -> Vec<CacheInput> {
    let manifest = package.manifest_path.as_std_path();
    let dir = manifest.parent().unwrap_or(Path::new("/"));
    let mut inputs = vec![CacheInput::Text(manifest.to_owned())];
    // What cargo infers from the existence of a file.
    let alone = ["build.rs", "README.md", "README.txt", "README", "src/lib.rs", "src/main.rs"];
    inputs.extend(alone.map(|name| CacheInput::Kind(dir.join(name))));
    let many = ["src/bin", "tests", "examples", "benches"];
    inputs.extend(many.map(|name| CacheInput::Targets(dir.join(name))));
    // Path dependencies may be members, too.
    let neighbours = package.dependencies.iter().filter_map(|dependency| dependency.path.as_ref());
    inputs.extend(neighbours.map(|path| CacheInput::Text(path.join("Cargo.toml").into())));
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> (CargoArgs, Metadata) {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let args = CargoArgs { manifest_path: Some(manifest), ..CargoArgs::default() };
        let metadata = command::metadata(&args, None).unwrap();
        (args, metadata)
    }

    #[test]
    fn a_cached_output_is_the_same() {
        let (_, metadata) = ask();
        let text = serde_json::to_string(&metadata).unwrap();
        let read: Metadata = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{metadata:?}"));
    }

    #[test]
    fn all_that_cargo_reads_is_an_input() {
        let (args, metadata) = ask();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let key = CacheKey {
            program: "",
            cargo: PathBuf::new(),
            cargo_identity: String::new(),
            cwd: root.join("src"),
            manifest: args.manifest_path.unwrap_or_default(),
            flags: Vec::new(),
            cargo_config: BTreeSet::from([root.join("src/.cargo/config.toml")]),
            variables: BTreeSet::new(),
        };
        let inputs = inputs(&metadata, &key).unwrap();
        let above = root.parent().unwrap();
        let expected = [
            CacheInput::Text(root.join("Cargo.toml")),
            CacheInput::Text(root.join("Cargo.lock")),
            CacheInput::Text(above.join("Cargo.toml")),
            CacheInput::Text(root.join("src/.cargo/config.toml")),
            CacheInput::Kind(root.join("build.rs")),
            CacheInput::Kind(root.join("src/main.rs")),
            CacheInput::Targets(root.join("tests")),
        ];
        for input in expected {
            assert!(inputs.contains(&input), "{input:?} in {inputs:?}");
        }
        assert!(inputs.iter().all(|input| input.digest().is_some()), "{inputs:?}");
    }

    #[test]
    fn members_with_wildcards_are_patterns() {
        let table = [
            ("", Some(vec![])),
            ("[workspace]\nmembers = [\"a\", \"crates/*\", \"b?\"]", Some(vec!["crates/*", "b?"])),
            ("[workspace]\nmembers = 1", None),
            ("[workspace]\nmembers = [1]", None),
            ("[workspace", None),
        ];
        for (text, expected) in table {
            let expected =
                expected.map(|all: Vec<&str>| all.into_iter().map(str::to_owned).collect());
            assert_eq!(patterns(text), expected, "{text}");
        }
    }
}
