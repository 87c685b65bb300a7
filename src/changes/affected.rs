//! The packages that changed paths affect. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A package whose sources are in a local directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPackage {
    pub name: String,
    pub dir: PathBuf,
}

/// The packages of a workspace, and what they depend on.
#[derive(Debug, Default)]
pub struct Packages {
    pub local: Vec<LocalPackage>,
    /// By name: the names of the packages that it depends on.
    pub dependencies: BTreeMap<String, BTreeSet<String>>,
    /// Files that all packages depend on.
    pub common: BTreeSet<PathBuf>,
    /// Where cargo writes.
    pub target_dir: PathBuf,
}

/// What is to be tested, by the names of packages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Affected {
    pub changed: BTreeSet<String>,
    /// Packages without changes that depend on changed ones.
    pub dependents: BTreeSet<String>,
    /// A changed file that all packages depend on.
    pub common: Option<PathBuf>,
    /// Changed files that belong to no package.
    pub outside: Vec<PathBuf>,
}

impl Affected {
    pub fn has(&self, package: &str) -> bool {
        self.common.is_some() || self.changed.contains(package) || self.dependents.contains(package)
    }
}

impl Packages {
    /// What the changes at these absolute paths affect. A path may be a directory whose contents
    /// are not known.
    pub fn affected_by(&self, paths: &[PathBuf]) -> Affected {
        let mut affected = Affected::default();
        for path in paths.iter().filter(|path| !path.starts_with(&self.target_dir)) {
            if self.common.contains(path) {
                affected.common.get_or_insert_with(|| path.clone());
                continue;
            }
            let inside = self.local.iter().filter(|package| package.dir.starts_with(path));
            let owners: Vec<_> = inside.chain(self.owners(path)).collect();
            if owners.is_empty() {
                affected.outside.push(path.clone());
            }
            affected.changed.extend(owners.into_iter().map(|package| package.name.clone()));
        }
        affected.dependents = self.dependents(&affected.changed);
        affected
    }

    /// The package in whose directory a path is, and in no directory of another one below that; several
    /// where they have sources in one directory.
    fn owners(&self, path: &Path) -> impl Iterator<Item = &LocalPackage> {
        let depth = |package: &&LocalPackage| package.dir.components().count();
        let around = self.local.iter().filter(|package| path.starts_with(&package.dir));
        let deepest = around.clone().map(|package| depth(&package)).max();
        around.filter(move |package| Some(depth(package)) == deepest)
    }

    /// The local packages that depend on these, directly or not, without these.
    fn dependents(&self, changed: &BTreeSet<String>) -> BTreeSet<String> {
        let mut found = changed.clone();
        loop {
            let is_new = |(name, needs): &(&String, &BTreeSet<String>)| {
                !found.contains(*name) && !needs.is_disjoint(&found)
            };
            let new: Vec<String> =
                self.dependencies.iter().filter(is_new).map(|(name, _)| name.clone()).collect();
            if new.is_empty() {
                break;
            }
            found.extend(new);
        }
        let names = self.local.iter().map(|package| &package.name);
        names.filter(|name| found.contains(*name) && !changed.contains(*name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `web` depends on `db`, `db` by way of a registry's `pool` on `log`; `alone` on nothing.
    fn packages() -> Packages {
        let names = ["web", "db", "log", "alone", "nested"];
        let dirs = ["/shop/web", "/shop/db", "/shop/sub/log", "/shop/alone", "/shop/web/nested"];
        let local = names.iter().zip(dirs);
        let edge = |(from, to): (&str, &str)| (from.to_owned(), BTreeSet::from([to.to_owned()]));
        Packages {
            local: local
                .map(|(name, dir)| LocalPackage { name: (*name).into(), dir: dir.into() })
                .collect(),
            dependencies: [("web", "db"), ("db", "pool"), ("pool", "log")].map(edge).into(),
            common: BTreeSet::from(["/shop/Cargo.lock".into()]),
            target_dir: "/shop/target".into(),
        }
    }

    #[test]
    fn a_path_affects_its_package_and_all_that_depend_on_it() {
        let table = [
            ("/shop/web/src/lib.rs", "web", ""),
            ("/shop/web/nested/src/lib.rs", "nested", ""),
            ("/shop/webs/src/lib.rs", "", ""),
            ("/shop/db/a", "db", "web"),
            ("/shop/sub/log/a", "log", "db web"),
            // A submodule.
            ("/shop/sub", "log", "db web"),
            ("/shop/target/debug/a", "", ""),
        ];
        for (path, changed, dependents) in table {
            let affected = packages().affected_by(&[path.into()]);
            let words =
                |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&affected.changed), changed, "{path}");
            assert_eq!(words(&affected.dependents), dependents, "{path}");
        }
    }

    #[test]
    fn what_belongs_to_no_package_is_told_and_what_is_common_affects_all() {
        let paths = ["/shop/README.md", "/shop/Cargo.lock", "/shop/target/x"].map(PathBuf::from);
        let affected = packages().affected_by(&paths);
        assert_eq!(affected.outside, [PathBuf::from("/shop/README.md")]);
        assert_eq!(affected.common, Some("/shop/Cargo.lock".into()));
        assert!(affected.has("alone") && affected.changed.is_empty());
    }

    #[test]
    fn a_circle_of_dependencies_ends() {
        let mut packages = packages();
        packages.dependencies.insert("log".into(), BTreeSet::from(["web".into()]));
        let affected = packages.affected_by(&["/shop/web/a".into()]);
        assert_eq!(affected.dependents, BTreeSet::from(["db".into(), "log".into()]));
    }
}
