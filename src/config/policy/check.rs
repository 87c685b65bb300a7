//! What is wrong about policies: names that nothing bears, promises that exclude each other.

use super::{PackagePolicy, Policy};
use crate::config::diagnostic::{Diagnostic, nearest};
use crate::config::fixtures::{FixtureKeys, Scope};
use crate::config::keys::{Keys, Kind};
use crate::config::policy::{FixtureName, covers};
use crate::config::schema::Config;
use crate::config::value::At;

impl Policy {
    /// What can be checked before anything is built: fixtures, and `split` below `shared`.
    pub fn check(&self, diagnostics: &mut Vec<Diagnostic>) {
        check_config(&self.workspace, None, diagnostics);
        self.check_fixtures(None, &self.workspace, diagnostics);
        for (index, package) in self.packages.iter().enumerate() {
            check_config(&package.config, Some(&self.workspace), diagnostics);
            self.check_fixtures(Some(index), &package.config, diagnostics);
            self.check_first_words(package, diagnostics);
        }
    }

    /// What fixtures need themselves.
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
                    let title =
                        format!("fixture `{}` needs `{}`, which needs it", name.value, found.name);
                    let help = "each would wait for the other: take one of the two out";
                    diagnostics.push(Diagnostic::error(place, title).help(help));
                    // Whoever walks along what fixtures need would never come back.
                    return;
                }
                let scope = |keys: &FixtureKeys| keys.scope;
                if keys.scope == Scope::Run && self.fixture(&found).map(scope) == Some(Scope::Slot)
                {
                    let title = format!(
                        "`{}` is there once, and needs `{}`, which every slot has its own of",
                        name.value, found.name
                    );
                    let help = "give it scope = \"slot\" too, or the other one scope = \"run\"";
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

    /// A key whose first word names no target of its package can never match.
    pub(super) fn check_first_words(
        &self,
        package: &PackagePolicy,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for (path, _) in &package.config.modules {
            let binary = path.value.split("::").next().unwrap_or_default();
            if package.crate_names.iter().any(|name| name == binary) {
                continue;
            }
            let known = package.crate_names.iter().map(String::as_str);
            let diagnostic = Diagnostic::warning(
                path.place.clone(),
                format!("`{}` matches no test: no target is named `{binary}`", path.value),
            )
            .help(match nearest(binary, known) {
                Some(near) => format!("did you mean `{}`?", path.value.replacen(binary, near, 1)),
                None => format!("a path begins with one of: {}", package.crate_names.join(", ")),
            });
            diagnostics.push(diagnostic);
        }
    }

    /// Keys of the binaries that were listed which match none of their tests.
    ///
    /// `ids` are the ids of all tests of the listed binaries of this package; a key of a
    /// binary that is not part of this run is left alone.
    pub fn check_paths(&self, package: usize, ids: &[String], diagnostics: &mut Vec<Diagnostic>) {
        let Some(config) = self.packages.get(package).map(|p| &p.config) else { return };
        for (path, _) in &config.modules {
            let binary = path.value.split("::").next().unwrap_or_default();
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
                None => "`cargo partest list` shows every path".to_owned(),
            });
            diagnostics.push(diagnostic);
        }
    }
}

/// Every node of the tree that these tests stand in, themselves included.
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
    let all = both.clone().flat_map(|config| &config.fixtures);
    let defined: Vec<&str> = all.map(|(name, _)| name.value.as_str()).collect();
    let nodes = config.modules.iter().map(|(path, keys)| (Some(path), keys));
    for (path, keys) in nodes.chain([(None, &config.keys)]) {
        for fixture in keys.fixture.iter().flat_map(|names| &names.value) {
            if !defined.contains(&fixture.value.as_str()) {
                diagnostics.push(undefined_fixture(fixture, &defined));
            }
        }
        let above = both.clone().flat_map(|d| d.modules.iter().map(|(p, k)| (Some(p), k)));
        let mut above = above.chain(both.clone().map(|d| (None, &d.keys)));
        let covers_it = |node: Option<&At<String>>| {
            node.is_none_or(|node| path.is_some_and(|path| covers(&node.value, &path.value)))
        };
        let is_shared = above.any(|(node, keys)| {
            covers_it(node) && keys.policy.as_ref().is_some_and(|at| at.value == Kind::Shared)
        });
        if let Some(fixture) = keys.fixture.as_ref().filter(|_| keys.policy.is_none() && !is_shared)
        {
            diagnostics.push(
                Diagnostic::error(
                    fixture.place.clone(),
                    "`fixture` does nothing without its policy",
                )
                .help("write policy = \"shared\" beside it, or take it out"),
            );
        }
        if let Some(policy) = keys.policy.as_ref().filter(|at| at.value == Kind::Shared)
            && keys.fixture.is_none()
        {
            diagnostics.push(
                Diagnostic::error(policy.place.clone(), "a `shared` node needs a fixture")
                    .help("write { policy = \"shared\", fixture = \"NAME\" }"),
            );
        }
        if let Some(path) = path {
            check_below_shared(path, keys, &config.modules, diagnostics);
        }
    }
}

fn undefined_fixture(fixture: &At<String>, defined: &[&str]) -> Diagnostic {
    let title = format!("fixture `{}` is defined nowhere", fixture.value);
    let help = match nearest(&fixture.value, defined.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("define it under [package.metadata.partest.fixtures.{}]", fixture.value),
    };
    Diagnostic::error(fixture.place.clone(), title).help(help)
}

/// A `split` below a `shared` node would silently lose the fixture.
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
            && keys.policy.as_ref().is_some_and(|at| at.value == Kind::Shared)
    });
    if let Some((above, _)) = shared_above
        && !keys.overrides
    {
        let title =
            format!("`{}` is split below the shared `{}`: no fixture", path.value, above.value);
        diagnostics.push(
            Diagnostic::error(policy.place.clone(), title)
                .help("add override = true if its tests do not need the fixture"),
        );
    }
}
