//! A test binary: what it was built from, and how to start it.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::environment::Variables;
use crate::model::listing::BinaryName;
use crate::state::Stamp;

/// The kind of the doctests of a library, which count as a binary of their own.
pub const DOCTESTS: &str = "doc";

/// A test executable, and all that is needed to start it as `cargo test` would.
#[derive(Debug, Clone)]
pub struct Binary {
    /// The index of its package in the workspace.
    pub package: usize,
    pub package_name: String,
    /// The crate name of its target.
    pub name: String,
    /// What the ids of its tests begin with: its name, or the package and its name.
    pub prefix: String,
    /// The name of its target.
    pub target: String,
    /// The kind of its target: `lib`, `bin`, `test`, …; `doc` for doctests.
    pub kind: &'static str,
    pub executable: PathBuf,
    /// What stands before the arguments of its harness: rustdoc's, for doctests.
    pub args: Vec<OsString>,
    /// Of the executable as cargo built it.
    pub(super) stamp: Option<Stamp>,
    pub dir: PathBuf,
    pub env: Variables,
    pub runner: Vec<OsString>,
    pub harness: Harness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harness {
    Libtest,
    /// `harness = false`.
    Custom,
}

/// The kinds of targets that can have tests, as cargo names them.
const KINDS: [&str; 11] = [
    "lib",
    "bin",
    "test",
    "bench",
    "example",
    "proc-macro",
    "rlib",
    "dylib",
    "cdylib",
    "staticlib",
    DOCTESTS,
];

impl Binary {
    /// A binary that cannot be started: it ran elsewhere, or how to start it is not known yet.
    pub fn without_launch(
        package_name: String,
        name: String,
        prefix: String,
        (target, kind): (String, &str),
        file: PathBuf,
    ) -> Binary {
        Binary {
            package: 0,
            package_name,
            name,
            prefix,
            target,
            kind: KINDS.iter().find(|known| **known == kind).unwrap_or(&"lib"),
            executable: file,
            args: Vec::new(),
            stamp: None,
            dir: PathBuf::new(),
            env: Variables::new(),
            runner: Vec::new(),
            harness: Harness::Libtest,
        }
    }

    #[cfg(test)]
    pub fn example(name: &str) -> Binary {
        Binary {
            package: 0,
            package_name: name.into(),
            name: name.into(),
            prefix: name.into(),
            target: name.into(),
            kind: "lib",
            executable: "/nowhere".into(),
            args: Vec::new(),
            stamp: None,
            dir: "/".into(),
            env: Variables::new(),
            runner: Vec::new(),
            harness: Harness::Libtest,
        }
    }

    /// cargo's own order: by package, the library first, then binaries, then tests.
    pub fn compare(&self, other: &Binary) -> Ordering {
        let kinds = ["bin", "test", "bench", "example", DOCTESTS];
        let kind = |binary: &Binary| kinds.iter().position(|kind| *kind == binary.kind);
        let Binary { package_name, target, executable, .. } = other;
        let packages = self.package_name.cmp(package_name).then(kind(self).cmp(&kind(other)));
        packages.then(self.target.cmp(target)).then(self.executable.cmp(executable))
    }

    /// The flags that make cargo build this binary and no other.
    pub fn cargo_flags(&self) -> Vec<String> {
        let mut flags = vec!["-p".to_owned(), self.package_name.clone()];
        match self.kind {
            "bin" | "test" | "bench" | "example" => {
                flags.extend([format!("--{}", self.kind), self.target.clone()])
            }
            DOCTESTS => flags.push("--doc".to_owned()),
            _ => flags.push("--lib".to_owned()),
        }
        flags
    }

    /// A name that is stable across builds: `web/test/api`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.package_name, self.kind, self.target)
    }

    /// The id of one of its tests: `api::auth::rejects`, or `web::api::auth::rejects` where another
    /// package has a target of that name too.
    pub fn id(&self, test: &str) -> String {
        format!("{}::{test}", self.prefix)
    }

    /// What an id of its tests may begin with: the prefix, and the name alone, which is how keys
    /// of a package's own manifest say it.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        let name = (self.name != self.prefix).then_some(self.name.as_str());
        [self.prefix.as_str()].into_iter().chain(name)
    }

    /// The name of the test that has this id, if it is one of this binary.
    pub fn test_name<'i>(&self, id: &'i str) -> Option<&'i str> {
        self.prefixes().find_map(|prefix| id.strip_prefix(prefix)?.strip_prefix("::"))
    }

    /// All ways to write one of its ids.
    pub fn spellings(&self, id: &str) -> Vec<String> {
        let below = id.strip_prefix(&*self.prefix).unwrap_or_default();
        self.prefixes().map(|prefix| format!("{prefix}{below}")).collect()
    }

    /// The id of a node of its module tree that is given with the name alone.
    pub fn node_id(&self, node: &str) -> String {
        let below = node.strip_prefix(&*self.name).unwrap_or_default();
        format!("{}{below}", self.prefix)
    }

    /// The command that starts the binary, through its runner if there is one.
    pub fn command(&self) -> std::process::Command {
        let mut words = self.runner.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(runner) => {
                let mut command = std::process::Command::new(runner);
                command.args(words).arg(&self.executable);
                command
            }
            None => std::process::Command::new(&self.executable),
        };
        command.args(&self.args).current_dir(&self.dir).envs(&self.env);
        command
    }

    /// Fails if another build has replaced the executable, whose results would be reported as those
    /// of this one.
    pub fn check(&self) -> std::io::Result<()> {
        let now = Stamp::of(&self.executable);
        match now.is_some() && now != self.stamp {
            true => Err(std::io::Error::other(Replaced(self.short_path().to_owned()))),
            // Starting a missing executable fails by itself.
            false => Ok(()),
        }
    }

    /// Its name in messages.
    pub fn full_name(&self) -> BinaryName {
        let (name, kind) = (self.name.clone(), self.kind.to_string());
        BinaryName { name, kind, package: self.package_name.clone() }
    }

    pub fn short_path(&self) -> &Path {
        let here = std::env::current_dir().unwrap_or_default();
        self.executable.strip_prefix(here).unwrap_or(&self.executable)
    }
}

/// Why a binary is not started any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` was replaced during the run, probably by another build; rerun the tests that had not started",
    .0.display()
)]
struct Replaced(PathBuf);
