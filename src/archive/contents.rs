//! The first entry of an archive, which says all about the others.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use cargo_metadata::{Message, Package};
use serde::{Deserialize, Serialize};

use crate::discovery::test_list::TestList;
use crate::model::left_out_doctests::OfPackage;

/// The name of the entry.
pub const NAME: &str = "partest-archive.json";

/// To be raised whenever an older program could not run a newer archive, or the other way round.
pub const FORMAT: u32 = 1;

/// The directories in an archive.
pub const WORKSPACE: &str = "workspace";
pub const TARGET: &str = "target";
pub const BUILD: &str = "build";
pub const LIBRARIES: &str = "lib";
pub const OUTSIDE: &str = "outside";

/// Read alone, before all else, as other fields depend on it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    /// The version of the program that wrote it.
    pub program: String,
    pub platform: Platform,
}

/// What the test binaries were built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub arch: String,
    pub os: String,
}

impl Platform {
    /// This machine's.
    pub fn here() -> Platform {
        Platform { arch: std::env::consts::ARCH.into(), os: std::env::consts::OS.into() }
    }

    /// That of a target triple, in the words of `std::env::consts`.
    pub fn of(triple: &str) -> Platform {
        let arch = match triple.split('-').next().unwrap_or_default() {
            "i586" | "i686" => "x86",
            arch if arch.starts_with("arm") || arch.starts_with("thumb") => "arm",
            arch if arch.starts_with("riscv64") => "riscv64",
            "powerpc64le" => "powerpc64",
            arch => arch,
        };
        let systems = ["android", "linux", "windows", "freebsd", "netbsd", "openbsd", "illumos"];
        let os = match systems.iter().find(|os| triple.contains(*os)) {
            Some(os) => os,
            None if triple.contains("darwin") => "macos",
            None => "unknown",
        };
        Platform { arch: arch.into(), os: os.into() }
    }
}

/// A directory of the machine that built the tests, and where its files are in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    pub built_at: PathBuf,
    /// Its name in the archive.
    pub name: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// With `/` on all platforms.
    pub path: String,
    pub size: u64,
    pub is_executable: bool,
}

/// A toolchain's platform, and the runner that cargo was configured with for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub triple: String,
    pub libdir: PathBuf,
    pub runner: Vec<String>,
}

/// A variable of cargo's `[env]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
    pub force: bool,
}

/// Everything else. Paths are those of the machine that built the tests.
#[derive(Debug, Serialize, Deserialize)]
pub struct Contents {
    #[serde(flatten)]
    pub header: Header,
    pub roots: Vec<Root>,
    pub entries: Vec<Entry>,
    pub root_manifest: PathBuf,
    pub packages: Vec<Package>,
    /// The path and the text of each manifest.
    pub manifests: Vec<(PathBuf, String)>,
    /// What cargo reported about the build.
    pub messages: Vec<Message>,
    pub targets: Vec<Target>,
    pub variables: Vec<Variable>,
    /// The tests of each executable, as they were listed.
    pub lists: Vec<(PathBuf, TestList)>,
    /// What it does not have.
    #[serde(default)]
    pub doctests: Vec<OfPackage>,
}

impl Contents {
    /// Why these entries cannot be extracted, if so: a path that leaves the directory, or the same
    /// path twice.
    pub fn check_entries(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for entry in &self.entries {
            if !is_inside(&entry.path) {
                return Err(format!(
                    "the path `{}` leads out of the archive",
                    entry.path.escape_debug()
                ));
            }
            if !seen.insert(&entry.path) {
                return Err(format!("it has `{}` twice", entry.path.escape_debug()));
            }
        }
        Ok(())
    }

    /// How much space its files take.
    pub fn size(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
    }
}

/// Whether a path stays in one of the directories of an archive.
fn is_inside(path: &str) -> bool {
    let names = [WORKSPACE, TARGET, BUILD, LIBRARIES, OUTSIDE];
    let mut parts = Path::new(path).components();
    let first = parts.next();
    let is_plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
    first.is_some_and(|first| names.iter().any(|name| first.as_os_str() == *name))
        && parts.clone().next().is_some()
        && parts.all(|part| is_plain(&part))
        // What `components` smooths over.
        && !path.split('/').any(|part| part.is_empty() || part == ".")
        && !path.contains('\0')
        // Elsewhere these are letters of a name.
        && !(cfg!(windows) && path.contains(['\\', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triple_has_an_architecture_and_a_system() {
        let table = [
            ("x86_64-unknown-linux-gnu", "x86_64", "linux"),
            ("i686-unknown-linux-musl", "x86", "linux"),
            ("armv7-linux-androideabi", "arm", "android"),
            ("aarch64-apple-darwin", "aarch64", "macos"),
            ("x86_64-pc-windows-msvc", "x86_64", "windows"),
        ];
        for (triple, arch, os) in table {
            let Platform { arch: of_triple, os: system } = Platform::of(triple);
            assert_eq!((of_triple.as_str(), system.as_str()), (arch, os), "{triple}");
        }
    }

    #[test]
    fn paths_stay_in_the_archive() {
        let inside =
            ["target/debug/deps/web-1", "workspace/Cargo.toml", "lib/0/libstd.so", "outside/0/a/b"];
        for path in inside {
            assert!(is_inside(path), "{path}");
        }
        let outside = [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "target",
            "target/",
            "target/../../a",
            "workspace/..",
            "target//a",
            "target/./a",
            "other/a",
            "C:\\a",
            "target\\..\\a",
            "./target/a",
            "target/a\0b",
        ];
        for path in outside {
            assert!(!is_inside(path), "{path}");
        }
        for path in ["target/a:b", "workspace/a\\..\\b"] {
            assert_eq!(is_inside(path), cfg!(unix), "{path}");
        }
    }
}
