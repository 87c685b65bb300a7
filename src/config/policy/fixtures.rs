//! The fixtures that the metadata defines, and those that a test needs.

use super::{FixtureName, Policy};
use crate::config::fixtures::FixtureKeys;
use crate::config::keys::Keys;
use crate::config::value::At;

impl Policy {
    pub fn fixture(&self, wanted: &FixtureName) -> Option<&FixtureKeys> {
        let fixtures = match wanted.package {
            Some(package) => &self.packages.get(package)?.config.fixtures,
            None => &self.workspace.fixtures,
        };
        fixtures.iter().find(|(name, _)| name.value == wanted.name).map(|(_, keys)| keys)
    }

    /// A unique name of the fixture: `web.server`, or `server` for one of the workspace.
    pub fn key_of(&self, fixture: &FixtureName) -> String {
        let package = fixture.package.and_then(|index| self.packages.get(index));
        match package {
            Some(package) => format!("{}.{}", package.name, fixture.name),
            None => fixture.name.clone(),
        }
    }

    /// All fixtures defined anywhere.
    pub fn fixtures(&self) -> Vec<FixtureName> {
        let of_packages = self.packages.iter().enumerate();
        let all = of_packages.map(|(index, package)| (Some(index), &package.config));
        let names = all.chain([(None, &self.workspace)]).flat_map(|(package, config)| {
            let names = config.fixtures.iter().map(|(name, _)| name.value.clone());
            names.map(move |name| FixtureName { package, name })
        });
        names.collect()
    }

    /// These fixtures and their dependencies, dependencies first.
    pub fn with_needs(&self, wanted: &[FixtureName]) -> Vec<FixtureName> {
        let mut levels = Vec::new();
        for fixture in wanted {
            self.add_to_levels(fixture, 0, &mut levels);
        }
        levels.concat()
    }

    /// The direct dependencies of a fixture.
    pub fn needed_by(&self, fixture: &FixtureName) -> Vec<FixtureName> {
        let needs = self.fixture(fixture).map(|keys| keys.fixtures.as_slice()).unwrap_or_default();
        needs.iter().filter_map(|name| self.find_fixture(fixture.package, &name.value)).collect()
    }

    /// The ids of the tests that serve as fixtures, with the package that defines the fixture.
    pub fn fixture_tests(&self) -> impl Iterator<Item = (Option<usize>, &At<String>)> {
        let of_packages = self.packages.iter().enumerate();
        let all = of_packages.map(|(index, package)| (Some(index), &package.config));
        all.chain([(None, &self.workspace)]).flat_map(|(package, config)| {
            let tests = config.fixtures.iter().filter_map(|(_, keys)| keys.test.as_ref());
            tests.map(move |test| (package, test))
        })
    }

    /// Resolves a name: the package's own fixture, or else the workspace's.
    pub(super) fn find_fixture(&self, package: Option<usize>, name: &str) -> Option<FixtureName> {
        let own = package.map(|_| FixtureName { package, name: name.to_owned() });
        let outer = FixtureName { package: None, name: name.to_owned() };
        own.into_iter().chain([outer]).find(|fixture| self.fixture(fixture).is_some())
    }

    /// The fixtures of a node by level. Those of the nodes above it, and dependencies, come first.
    pub(super) fn fixture_levels(
        &self,
        package: usize,
        chain: &[(Option<&str>, &Keys)],
    ) -> Vec<Vec<FixtureName>> {
        let own_only = chain.iter().position(|(_, keys)| keys.overrides && keys.fixture.is_some());
        let in_force = own_only.map_or(chain, |at| &chain[..=at]);
        let mut levels = Vec::new();
        for keys in in_force.iter().rev().filter_map(|(_, keys)| keys.fixture.as_ref()) {
            let floor = levels.len();
            for name in &keys.value {
                if let Some(fixture) = self.find_fixture(Some(package), &name.value) {
                    self.add_to_levels(&fixture, floor, &mut levels);
                }
            }
        }
        levels
    }

    /// Returns the level of the fixture.
    fn add_to_levels(
        &self,
        fixture: &FixtureName,
        floor: usize,
        levels: &mut Vec<Vec<FixtureName>>,
    ) -> usize {
        if let Some(level) = levels.iter().position(|level| level.contains(fixture)) {
            return level;
        }
        let needs = self.needed_by(fixture);
        let above = needs.iter().map(|needed| self.add_to_levels(needed, floor, levels) + 1).max();
        let level = above.unwrap_or(floor).max(floor);
        if levels.len() <= level {
            levels.resize(level + 1, Vec::new());
        }
        levels[level].push(fixture.clone());
        level
    }
}
