//! The flags of a build whose packages have become fewer. Pure.
//!
//! Cargo refuses a target or a feature that none of its packages has. Where only packages have it that
//! need no test, nothing of it has changed; where no package has it, the error stays cargo's.

use cargo_metadata::{Dependency, Package, Target, TargetKind};
use glob::Pattern;

use crate::cli::args::CargoArgs;

/// The packages that the command line selects, and those of them that are tested.
#[derive(Debug)]
pub struct Narrowed<'p> {
    pub candidates: Vec<&'p Package>,
    pub chosen: Vec<&'p Package>,
}

/// A flag that asks for targets which at least one package has to have.
#[derive(Debug)]
enum Wanted {
    Library,
    Named(TargetKind, String),
}

impl Narrowed<'_> {
    /// Drops packages without the targets that flags ask for, and what only packages have that are
    /// not tested.
    pub fn fit(&mut self, args: &mut CargoArgs) {
        self.fit_targets(args);
        self.fit_features(args);
    }

    fn fit_targets(&mut self, args: &mut CargoArgs) {
        let has_wanted = !wanted(args).is_empty();
        args.lib &= !self.is_elsewhere(|package| Wanted::Library.is_in(package));
        args.doctests.doc &= !self.is_elsewhere(|package| Wanted::Library.is_in(package));
        for (kind, names) in named(args) {
            names.retain(|name| {
                let wanted = Wanted::Named(kind.clone(), name.clone());
                !self.is_elsewhere(|package| wanted.is_in(package))
            });
        }
        // Of these, a package may have none.
        let takes_any =
            args.bins || args.examples || args.tests || args.benches || args.all_targets;
        let left = wanted(args);
        let is_known = |one: &Wanted| self.chosen.iter().any(|package| one.is_in(package));
        if has_wanted && !takes_any && left.iter().all(is_known) {
            self.chosen.retain(|package| left.iter().any(|one| one.is_in(package)));
        }
    }

    fn fit_features(&self, args: &mut CargoArgs) {
        for list in &mut args.features {
            let features = list.split([',', ' ']).filter(|feature| !feature.is_empty());
            let is_kept =
                |feature: &&str| !self.is_elsewhere(|package| self.takes(package, feature));
            *list = features.filter(is_kept).collect::<Vec<_>>().join(",");
        }
        args.features.retain(|list| !list.is_empty());
    }

    /// Whether cargo accepts a feature where it builds this package: one of its own, or of a package
    /// that it depends on by itself.
    fn takes(&self, package: &Package, feature: &str) -> bool {
        let Some((owner, own)) = feature.split_once('/') else { return declares(package, feature) };
        let owner = owner.strip_suffix('?').unwrap_or(owner);
        // What a package from elsewhere declares is not known.
        let may_declare = |dependency: &Dependency| {
            let is_it = |other: &&&Package| other.name.as_str() == dependency.name;
            self.candidates.iter().filter(is_it).all(|other| declares(other, own))
        };
        let mut dependencies = package.dependencies.iter();
        dependencies.any(|dependency| key(dependency) == owner && may_declare(dependency))
            || (package.name.as_str() == owner && declares(package, own))
    }

    fn is_elsewhere(&self, has: impl Fn(&Package) -> bool) -> bool {
        let any = |packages: &[&Package]| packages.iter().any(|package| has(package));
        !any(&self.chosen) && any(&self.candidates)
    }
}

impl Wanted {
    fn is_in(&self, package: &Package) -> bool {
        package.targets.iter().any(|target| match self {
            Wanted::Library => is_library(target),
            // A name without wildcards is a pattern as well, as in cargo.
            Wanted::Named(kind, name) => {
                target.kind.contains(kind)
                    && Pattern::new(name).is_ok_and(|pattern| pattern.matches(&target.name))
            }
        })
    }
}

fn wanted(args: &mut CargoArgs) -> Vec<Wanted> {
    let library = (args.lib || args.doctests.doc).then_some(Wanted::Library);
    let names = named(args).into_iter().flat_map(|(kind, names)| {
        names.iter().map(move |name| Wanted::Named(kind.clone(), name.clone()))
    });
    library.into_iter().chain(names).collect()
}

/// The targets that flags name.
fn named(args: &mut CargoArgs) -> [(TargetKind, &mut Vec<String>); 4] {
    [
        (TargetKind::Bin, &mut args.bin),
        (TargetKind::Example, &mut args.example),
        (TargetKind::Test, &mut args.test),
        (TargetKind::Bench, &mut args.bench),
    ]
}

/// Kinds of libraries are many, and an example that is one has only the kind of an example.
fn is_library(target: &Target) -> bool {
    use TargetKind::{Bench, Bin, CustomBuild, Example, Test};
    !target.kind.iter().any(|kind| matches!(kind, Bench | Bin | CustomBuild | Example | Test))
}

fn declares(package: &Package, feature: &str) -> bool {
    let is_it = |dependency: &Dependency| dependency.optional && key(dependency) == feature;
    package.features.contains_key(feature) || package.dependencies.iter().any(is_it)
}

/// What the manifest calls a dependency.
fn key(dependency: &Dependency) -> &str {
    dependency.rename.as_deref().unwrap_or(&dependency.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, more: &str) -> Package {
        let text = format!(
            r#"{{"name": "{name}", "version": "0.1.0", "id": "{name}", "manifest_path": "/{name}/Cargo.toml",
            "edition": "2024", {more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn target(kind: &str, name: &str) -> String {
        format!(
            r#"{{"name": "{name}", "kind": ["{kind}"], "crate_types": ["bin"], "src_path": "/x.rs"}}"#
        )
    }

    fn dependency(name: &str, rename: &str, optional: bool) -> String {
        format!(
            r#"{{"name": "{name}", "rename": {rename}, "optional": {optional}, "req": "*", "kind": null,
            "uses_default_features": true, "features": []}}"#
        )
    }

    /// `top` depends on `mid`, `mid` on `web` by another name; `till` is a program.
    fn packages() -> [Package; 4] {
        let depends = |features: &str, on: &[String], targets: &[String]| {
            format!(
                r#""features": {features}, "dependencies": [{}], "targets": [{}]"#,
                on.join(","),
                targets.join(",")
            )
        };
        let web = [target("lib", "web"), target("test", "api"), target("test", "apis")];
        let mid = [dependency("web", "\"site\"", false), dependency("tls", "null", true)];
        [
            package("web", &depends(r#"{"postgres": [], "tls": []}"#, &[], &web)),
            package("mid", &depends("{}", &mid, &[target("proc-macro", "mid")])),
            package(
                "top",
                &depends("{}", &[dependency("mid", "null", false)], &[target("lib", "top")]),
            ),
            package(
                "till",
                &depends(r#"{"euro": []}"#, &[], &[target("bin", "till"), target("test", "money")]),
            ),
        ]
    }

    /// The packages and flags that are left.
    fn fitted(words: &str, chosen: &str) -> (String, String) {
        let packages = packages();
        let candidates: Vec<&Package> = packages.iter().collect();
        let is_chosen =
            |package: &&&Package| chosen.split(' ').any(|name| name == package.name.as_str());
        let chosen = candidates.iter().filter(is_chosen).copied().collect();
        let mut args = CargoArgs::default();
        for word in words.split(' ') {
            match word.split_once('=') {
                Some(("features", list)) => args.features.push(list.to_owned()),
                Some(("test", name)) => args.test.push(name.to_owned()),
                Some(("bin", name)) => args.bin.push(name.to_owned()),
                _ if word == "lib" => args.lib = true,
                _ if word == "doc" => args.doctests.doc = true,
                _ => args.tests = true,
            }
        }
        let mut narrowed = Narrowed { candidates, chosen };
        narrowed.fit(&mut args);
        let names: Vec<&str> = narrowed.chosen.iter().map(|p| p.name.as_str()).collect();
        let mut flags = Vec::new();
        flags.extend(args.lib.then(|| "lib".to_owned()));
        flags.extend(args.doctests.doc.then(|| "doc".to_owned()));
        flags.extend(args.tests.then(|| "tests".to_owned()));
        flags.extend(args.bin.iter().map(|name| format!("bin={name}")));
        flags.extend(args.test.iter().map(|name| format!("test={name}")));
        flags.extend(args.features.iter().map(|list| format!("features={list}")));
        (names.join(" "), flags.join(" "))
    }

    #[track_caller]
    fn check(table: &[(&str, &str, &str, &str)]) {
        for (words, chosen, packages, flags) in table {
            let expected = ((*packages).to_owned(), (*flags).to_owned());
            assert_eq!(fitted(words, chosen), expected, "{words}, {chosen}");
        }
    }

    #[test]
    fn targets_that_only_other_packages_have_are_not_asked_for() {
        check(&[
            ("test=api", "web till", "web", "test=api"),
            ("test=api", "till", "", ""),
            ("test=api test=money", "till", "till", "test=money"),
            ("test=a* bin=till", "till", "till", "bin=till"),
            ("test=[am]*", "till top", "till", "test=[am]*"),
            ("test=till", "till", "till", "test=till"),
            ("tests test=api", "till", "till", "tests"),
            ("lib", "till mid", "mid", "lib"),
            ("lib", "till", "", ""),
            ("doc", "till", "", ""),
            ("lib test=money", "till", "till", "test=money"),
        ]);
    }

    #[test]
    fn targets_that_no_package_has_are_left_to_cargo() {
        check(&[
            ("test=pai", "till", "till", "test=pai"),
            ("test=api test=pai", "till", "till", "test=pai"),
            ("test=[", "till", "till", "test=["),
        ]);
    }

    #[test]
    fn features_that_only_other_packages_have_are_not_asked_for() {
        check(&[
            ("features=web/postgres", "till", "till", ""),
            ("features=web/postgres", "web", "web", "features=web/postgres"),
            ("features=web?/postgres,euro", "till", "till", "features=euro"),
            ("features=euro,postgres", "web", "web", "features=postgres"),
            // By the name in the manifest, and not by way of another package.
            ("features=site/postgres", "mid", "mid", "features=site/postgres"),
            ("features=web/postgres", "mid", "mid", ""),
            ("features=mid/tls", "top", "top", "features=mid/tls"),
            ("features=mid/tls", "till", "till", ""),
            ("features=site/postgres", "top", "top", ""),
            // An optional dependency is a feature.
            ("features=tls", "mid", "mid", "features=tls"),
            ("features=tls", "till", "till", ""),
        ]);
    }

    #[test]
    fn features_that_no_package_has_are_left_to_cargo() {
        check(&[
            ("features=postgers,euro", "web", "web", "features=postgers"),
            ("features=web/postgers", "till", "till", "features=web/postgers"),
            ("features=site/postgers", "till", "till", "features=site/postgers"),
            ("features=nowhere/x", "till", "till", "features=nowhere/x"),
        ]);
    }
}
