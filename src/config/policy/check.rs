//! Checks of the configuration as a whole: names that are not defined, keys that conflict.

use super::{PackagePolicy, Policy};
use crate::config::diagnostic::{Diagnostic, nearest};
use crate::config::fixtures::{FixtureKeys, Scope};
use crate::config::keys::{Keys, Kind};
use crate::config::policy::{FixtureName, covers};
use crate::config::schema::Config;
use crate::config::value::At;

impl Policy {
    /// Checks all that can be checked before the build.
    pub fn check(&self, diagnostics: &mut Vec<Diagnostic>) {
        check_config(&self.workspace, None, diagnostics);
        self.check_fixtures(None, &self.workspace, diagnostics);
        for (index, package) in self.packages.iter().enumerate() {
            check_config(&package.config, Some(&self.workspace), diagnostics);
            self.check_fixtures(Some(index), &package.config, diagnostics);
            check_first_words(&package.config, std::slice::from_ref(package), diagnostics);
        }
        check_first_words(&self.workspace, &self.packages, diagnostics);
        for (_, profile) in &self.workspace.profiles {
            check_config(profile, Some(&self.workspace), diagnostics);
            check_first_words(profile, &self.packages, diagnostics);
        }
    }

    /// Checks the dependencies of fixtures.
    pub(super) fn check_fixtures(
        &self,
        package: Option<usize>,
        config: &Config,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for (name, keys) in &config.fixtures {
            let start = FixtureName { package, name: name.value.clone() };
            for needed in &keys.fixtures {
                let Some(found) = self.find_fixture(package, &needed.value) else {
                    let names = config.fixtures.iter().map(|(name, _)| name.value.as_str());
                    diagnostics.push(undefined_fixture(needed, &names.collect::<Vec<_>>()));
                    continue;
                };
                let place = needed.place.clone();
                if self.leads_to(&found, &start, &mut Vec::new()) {
                    let title = match name.value == found.name {
                        true => format!("fixture `{}` depends on itself", name.value),
                        false => format!(
                            "fixtures `{}` and `{}` depend on each other",
                            name.value, found.name
                        ),
                    };
                    let help = "remove `fixture` from one of them";
                    diagnostics.push(Diagnostic::error(place, title).help(help));
                    // Following a cycle of dependencies would never end.
                    return;
                }
                let scope = |keys: &FixtureKeys| keys.scope;
                if keys.scope == Scope::Run && self.fixture(&found).map(scope) == Some(Scope::Slot)
                {
                    let title = format!(
                        "fixture `{}` with scope \"run\" cannot depend on `{}` with scope \"slot\"",
                        name.value, found.name
                    );
                    let help = "use the same scope for both";
                    diagnostics.push(Diagnostic::error(place, title).help(help));
                }
            }
        }
    }

    pub(super) fn leads_to(
        &self,
        from: &FixtureName,
        to: &FixtureName,
        seen: &mut Vec<FixtureName>,
    ) -> bool {
        if from == to {
            return true;
        }
        if seen.contains(from) {
            return false;
        }
        seen.push(from.clone());
        self.needed_by(from).iter().any(|next| self.leads_to(next, to, seen))
    }

    /// Warns of paths that match none of the `ids`, which are all tests of the package, or of the
    /// workspace, that have been listed. Paths into binaries that are not part of this run are
    /// skipped.
    pub fn check_paths(
        &self,
        package: Option<usize>,
        ids: &[String],
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let (configs, packages): (Vec<&Config>, _) = match package {
            Some(at) => (vec![&self.packages[at].config], &self.packages[at..=at]),
            None => (self.of_workspace().collect(), &*self.packages),
        };
        for (path, _) in configs.into_iter().flat_map(|config| &config.modules) {
            let Some(binary) = binary_of(&path.value, packages) else { continue };
            let listed = ids.iter().any(|id| covers(binary, id));
            if !listed || ids.iter().any(|id| covers(&path.value, id)) {
                continue;
            }
            let nodes = nodes_of(ids);
            let diagnostic = Diagnostic::warning(
                path.place.clone(),
                format!("`{}` matches no test", path.value),
            )
            .help(match nearest(&path.value, nodes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`cargo partest list` lists all paths".to_owned(),
            });
            diagnostics.push(diagnostic);
        }
    }
}

/// The part of a path that names a test binary of these packages.
fn binary_of<'p>(path: &'p str, packages: &[PackagePolicy]) -> Option<&'p str> {
    let qualified = packages.iter().flat_map(|package| &package.qualified);
    let mut prefixes = qualified.map(|target| target.prefix.as_str());
    if let Some(prefix) = prefixes.find(|prefix| covers(prefix, path)) {
        return Some(&path[..prefix.len()]);
    }
    let first = path.split("::").next().unwrap_or_default();
    let mut names = packages.iter().flat_map(|package| &package.crate_names);
    names.any(|name| name == first).then_some(first)
}

/// Warns of paths that start with no target of these packages: they match no test.
fn check_first_words(
    config: &Config,
    packages: &[PackagePolicy],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (path, _) in &config.modules {
        if binary_of(&path.value, packages).is_some() {
            continue;
        }
        let first = path.value.split("::").next().unwrap_or_default();
        let mut known: Vec<&str> =
            packages.iter().flat_map(|package| &package.crate_names).map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        let title = format!("`{}` matches no test: no target is named `{first}`", path.value);
        let help = match nearest(first, known.iter().copied()) {
            Some(near) => format!("did you mean `{}`?", path.value.replacen(first, near, 1)),
            None => format!("a path begins with a target: {}", some_of(&known)),
        };
        diagnostics.push(Diagnostic::warning(path.place.clone(), title).help(help));
    }
}

/// As many words as fit in a line; a workspace may have hundreds of targets.
fn some_of(words: &[&str]) -> String {
    const SHOWN: usize = 8;
    match words.len() {
        ..=SHOWN => words.join(", "),
        all => format!("{}, … ({all} in all)", words[..SHOWN].join(", ")),
    }
}

/// All modules of these tests, and the tests.
fn nodes_of(ids: &[String]) -> Vec<&str> {
    let mut nodes: Vec<&str> = ids
        .iter()
        .flat_map(|id| id.match_indices("::").map(|(at, _)| &id[..at]).chain([id.as_str()]))
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

fn check_config(config: &Config, outer: Option<&Config>, diagnostics: &mut Vec<Diagnostic>) {
    let both = [config].into_iter().chain(outer);
    let all = both.flat_map(|config| &config.fixtures);
    let defined: Vec<&str> = all.map(|(name, _)| name.value.as_str()).collect();
    let nodes = config.modules.iter().map(|(path, keys)| (Some(path), keys));
    for (path, keys) in nodes.chain([(None, &config.keys)]) {
        for fixture in keys.fixture.iter().flat_map(|names| &names.value) {
            if !defined.contains(&fixture.value.as_str()) {
                diagnostics.push(undefined_fixture(fixture, &defined));
            }
        }
        if let Some(policy) = keys.policy.as_ref().filter(|at| at.value == Kind::Shared)
            && keys.fixture.is_none()
        {
            diagnostics.push(
                Diagnostic::error(policy.place.clone(), "`policy = \"shared\"` requires `fixture`")
                    .help("use { policy = \"shared\", fixture = \"NAME\" }"),
            );
        }
        if let Some(path) = path {
            check_below_shared(path, keys, &config.modules, diagnostics);
        }
    }
}

fn undefined_fixture(fixture: &At<String>, defined: &[&str]) -> Diagnostic {
    let title = format!("fixture `{}` is not defined", fixture.value);
    let help = match nearest(&fixture.value, defined.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("define it under [package.metadata.partest.fixtures.{}]", fixture.value),
    };
    Diagnostic::error(fixture.place.clone(), title).help(help)
}

/// Reports a `split` below a `shared` node, whose tests would silently lose the fixture.
fn check_below_shared(
    path: &At<String>,
    keys: &Keys,
    modules: &[(At<String>, Keys)],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(policy) = keys.policy.as_ref().filter(|at| at.value == Kind::Split) else { return };
    let shared_above = modules.iter().find(|(above, keys)| {
        above.value != path.value
            && covers(&above.value, &path.value)
            && match &keys.policy {
                Some(policy) => policy.value == Kind::Shared,
                None => keys.fixture.is_some(),
            }
    });
    if let Some((above, _)) = shared_above
        && !keys.overrides
    {
        let title =
            format!("`{}` overrides `policy = \"shared\"` of `{}`", path.value, above.value);
        diagnostics.push(
            Diagnostic::error(policy.place.clone(), title)
                .help("add `override = true` if its tests do not need the fixture"),
        );
    }
}
