//! The rules for each test, as the metadata and the command line set them.
//!
//! The longest path wins; at the same length the profile, then the package, then the workspace; the
//! command line overrides all. Each key is inherited by itself: a node that only sets a timeout
//! keeps the policy of the node above it.

pub mod by_module;
mod check;
mod fixtures;
mod kind;
pub mod origins;
mod qualified;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::Place;
use super::schema::Config;
use crate::config::keys::{Flaky, Keys, Kind, Locks, Recycle, RetryKeys, Threads};
use crate::config::leak_rules::LeakRules;
use crate::config::value::At;
use crate::model::leak::LeakAction;
use crate::model::report_kind::ReportKind;

/// What the command line says about policies, over what the metadata says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyOverride {
    #[default]
    None,
    Kind(Kind),
    Isolate,
    /// The flag that asked for it.
    NoPartition(&'static str),
}

/// The rules of one test.
#[derive(Debug, Clone)]
pub struct Rules {
    pub kind: Kind,
    /// The node whose key set the policy; none for the default.
    pub node: Option<String>,
    pub why: Why,
    pub isolate: bool,
    /// The line that isolates its tests; none for the command line.
    pub isolated_at: Option<Place>,
    pub threads: Threads,
    pub slots: usize,
    pub locks: Locks,
    pub exclusive: bool,
    pub timeout: Option<Duration>,
    /// After this time it is reported as slow.
    pub slow: Duration,
    pub retries: RetryKeys,
    /// The memory limit of a worker, in bytes.
    pub memory: Option<u64>,
    pub recycle: Recycle,
    pub env: BTreeMap<String, String>,
    /// The fixtures to start before the test, level by level: those of one level may start at the
    /// same time.
    pub fixtures: Vec<Vec<FixtureName>>,
    pub leaks: Arc<LeakRules>,
}

/// A fixture: the manifest that defines it, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FixtureName {
    /// None for the workspace.
    pub package: Option<usize>,
    pub name: String,
}

/// Longer than nearly every test takes, and short enough to be of use while someone waits.
const SLOW: Duration = Duration::from_secs(60);

/// What set the policy of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    Default,
    Key(Place),
    CommandLine(&'static str),
    /// The package depends on `serial_test`, whose locks work within one process only.
    SerialTest,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Default => write!(f, "default"),
            Why::Key(place) => write!(f, "{place}"),
            Why::CommandLine(flag) => write!(f, "{flag}"),
            Why::SerialTest => write!(f, "depends on serial_test, whose locks live in one process"),
        }
    }
}

/// The configuration of a workspace and all of its packages.
#[derive(Debug, Default)]
pub struct Policy {
    pub workspace: Config,
    /// The profile of the workspace that is in force.
    pub profile: Option<String>,
    /// By the package's index in the workspace.
    pub packages: Vec<PackagePolicy>,
    pub command_line: PolicyOverride,
    pub timeout: Option<Duration>,
    pub retries: Option<usize>,
    pub flaky: Option<Flaky>,
    /// The action for leaks of all kinds, if the command line sets one.
    pub leaks: Option<LeakAction>,
}

#[derive(Debug, Default)]
pub struct PackagePolicy {
    pub name: String,
    pub config: Config,
    pub uses_serial_test: bool,
    /// The crate names of all its targets, one of which each module path starts with.
    pub crate_names: Vec<String>,
    /// Those of its targets that share their name with one of another package.
    pub qualified: Vec<QualifiedTarget>,
    /// Keys that name one of these with the package, without the package.
    pub resolved: Vec<(At<String>, Keys)>,
    /// The same for the keys of the profile.
    pub resolved_of_profile: Vec<(At<String>, Keys)>,
}

/// A target whose name another package uses too: what its ids begin with, and its crate name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualifiedTarget {
    pub prefix: String,
    pub name: String,
}

impl PackagePolicy {
    /// All keys of modules that are meant for this package alone.
    fn modules(&self) -> impl Iterator<Item = &(At<String>, Keys)> {
        self.resolved_of_profile.iter().chain(&self.config.modules).chain(&self.resolved)
    }
}

/// Whether `path` is `node` or below it.
pub fn covers(node: &str, path: &str) -> bool {
    path.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl Policy {
    /// Whether any manifest has a `partest` table.
    pub fn is_declared(&self) -> bool {
        self.workspace.is_declared || self.packages.iter().any(|p| p.config.is_declared)
    }

    /// The tables of the workspace: that of the profile, which counts before the other.
    pub fn of_workspace(&self) -> impl Iterator<Item = &Config> {
        let profile = self.profile.as_deref().and_then(|name| self.workspace.profile(name));
        profile.into_iter().chain([&self.workspace])
    }

    /// The tables of the workspace, then those of the packages.
    fn configs(&self) -> impl Iterator<Item = &Config> {
        self.of_workspace().chain(self.packages.iter().map(|package| &package.config))
    }

    /// How long a binary may take to list its tests.
    pub fn list_timeout(&self, package: usize) -> Duration {
        // libtest lists 10,000 tests in 8 ms; a custom harness may read a directory of data.
        const LIST_TIMEOUT: Duration = Duration::from_secs(30);
        let package = self.packages.get(package).and_then(|p| p.config.list_timeout.as_ref());
        let mut others = self.of_workspace().filter_map(|config| config.list_timeout.as_ref());
        package.or_else(|| others.next()).map_or(LIST_TIMEOUT, |at| at.value)
    }

    /// How long the whole run may take.
    pub fn run_timeout(&self) -> Option<Duration> {
        self.configs().find_map(|config| config.run_timeout.as_ref()).map(|at| at.value)
    }

    /// Where to write a report of this kind, relative to the workspace.
    pub fn report(&self, kind: ReportKind) -> Option<&Path> {
        let mut found = self.configs().flat_map(|config| &config.reports);
        found.find(|(declared, _)| *declared == kind).map(|(_, path)| &**path)
    }

    /// How many slots there may be for each core, for tests that wait.
    pub fn overcommit(&self) -> usize {
        const OVERCOMMIT: usize = 4;
        let declared = self.configs().find_map(|config| config.overcommit.as_ref());
        declared.map_or(OVERCOMMIT, |at| at.value)
    }

    /// Whether tests may start while cargo builds others: not if any test is exclusive, and not with
    /// fixtures, which are scheduled for all tests together.
    pub fn early(&self) -> bool {
        let is_exclusive = |keys: &Keys| keys.exclusive.as_ref().is_some_and(|at| at.value);
        let forbids = |config: &Config| {
            let mut nodes = config.modules.iter().map(|(_, keys)| keys);
            is_exclusive(&config.keys) || nodes.any(is_exclusive) || !config.fixtures.is_empty()
        };
        self.allows(|config| &config.early) && !self.configs().any(forbids)
    }

    /// Whether neither the workspace nor a package turns this off.
    fn allows(&self, key: impl Fn(&Config) -> &Option<At<bool>>) -> bool {
        let of_workspace = self.of_workspace().find_map(|config| key(config).as_ref());
        let of_packages = self.packages.iter().filter_map(|package| key(&package.config).as_ref());
        of_workspace.into_iter().chain(of_packages).all(|at| at.value)
    }

    /// Whether tests are kept apart because of what they did in earlier runs.
    pub fn learns(&self) -> bool {
        self.allows(|config| &config.learn)
    }

    /// The rules of the test with this id (`BINARY::path::name`).
    pub fn rules(&self, package: usize, id: &str) -> Rules {
        let chain = self.chain(package, id);
        let (kind, node, why, strength) = self.kind(package, &chain);
        // An `isolate` of lower precedence than the policy belongs to the policy that was
        // overridden.
        let declared = chain[..strength].iter().find_map(|(_, keys)| keys.isolate.as_ref());
        let isolated_at = match self.command_line {
            PolicyOverride::None if kind != Kind::Unit => {
                declared.filter(|at| at.value).map(|at| at.place.clone())
            }
            _ => None,
        };
        let isolate = self.command_line == PolicyOverride::Isolate || isolated_at.is_some();
        let locks = self.locks(package, &chain, kind, &why);
        Rules {
            kind: if isolate && kind == Kind::Auto { Kind::Split } else { kind },
            node,
            why,
            isolate,
            isolated_at,
            threads: nearest_of(&chain, |keys| &keys.threads).unwrap_or(Threads::Auto),
            slots: nearest_of(&chain, |keys| &keys.slots).unwrap_or(1),
            locks,
            exclusive: nearest_of(&chain, |keys| &keys.exclusive).unwrap_or(false),
            timeout: self.timeout.or_else(|| nearest_of(&chain, |keys| &keys.timeout)),
            slow: nearest_of(&chain, |keys| &keys.slow).unwrap_or(SLOW),
            retries: self.retries(&chain),
            memory: nearest_of(&chain, |keys| &keys.memory),
            recycle: nearest_of(&chain, |keys| &keys.recycle).unwrap_or_default(),
            env: merged_env(&chain),
            fixtures: match kind {
                Kind::Shared => self.fixture_levels(package, &chain),
                _ => Vec::new(),
            },
            leaks: Arc::new(self.leak_rules(&chain)),
        }
    }

    /// The leak rules for a fixture: those of the manifest that defines it.
    pub fn leak_rules_of(&self, fixture: &FixtureName) -> LeakRules {
        let package = fixture.package.and_then(|index| self.packages.get(index));
        let outer = self.of_workspace().map(|config| &config.keys);
        let keys = package.map(|p| &p.config.keys).into_iter().chain(outer);
        LeakRules::new(&keys.collect::<Vec<_>>(), self.leaks)
    }

    /// The configured locks. A package that depends on `serial_test` gets one more, shared by all of
    /// its binaries: the locks of `serial_test` work within one process only, and `cargo test` runs
    /// one binary at a time. A configured policy that spreads the tests turns that off.
    fn locks(
        &self,
        package: usize,
        chain: &[(Option<&str>, &Keys)],
        kind: Kind,
        why: &Why,
    ) -> Locks {
        let mut locks = nearest_of(chain, |keys| &keys.locks).unwrap_or_default();
        let package = self.packages.get(package).filter(|package| package.uses_serial_test);
        let may_part = matches!((kind, why), (Kind::Split | Kind::Shared, Why::Key(_)));
        if let Some(package) = package.filter(|_| !may_part) {
            locks.write.push(format!("serial_test({})", package.name));
        }
        locks
    }

    fn leak_rules(&self, chain: &[(Option<&str>, &Keys)]) -> LeakRules {
        let keys: Vec<&Keys> = chain.iter().map(|(_, keys)| *keys).collect();
        LeakRules::new(&keys, self.leaks)
    }

    /// The command line overrides the count and the outcome of flaky tests.
    fn retries(&self, chain: &[(Option<&str>, &Keys)]) -> RetryKeys {
        let declared = nearest_of(chain, |keys| &keys.retries).unwrap_or_default();
        RetryKeys {
            count: self.retries.unwrap_or(declared.count),
            flaky: self.flaky.unwrap_or(declared.flaky),
            ..declared
        }
    }

    /// The keys of modules that may cover tests of this package, its own first.
    fn modules<'p>(
        &'p self,
        package: Option<&'p PackagePolicy>,
    ) -> impl Iterator<Item = &'p (At<String>, Keys)> {
        let profile = self.profile.as_deref().and_then(|name| self.workspace.profile(name));
        let of_profile = profile.into_iter().flat_map(|profile| &profile.modules);
        let of_package = package.into_iter().flat_map(PackagePolicy::modules);
        of_profile.chain(of_package).chain(&self.workspace.modules)
    }

    /// The paths of all keys that may cover tests of this package.
    pub fn paths(&self, package: usize) -> impl Iterator<Item = &str> {
        self.modules(self.packages.get(package)).map(|(path, _)| path.value.as_str())
    }

    /// The keys that cover a test, highest precedence first: modules by length of their path, then
    /// the top level of the package, then that of the workspace.
    fn chain(&self, package: usize, id: &str) -> Vec<(Option<&str>, &Keys)> {
        let package = self.packages.get(package);
        let mut chain: Vec<(Option<&str>, &Keys)> = self
            .modules(package)
            .filter(|(path, _)| covers(&path.value, id))
            .map(|(path, keys)| (Some(path.value.as_str()), keys))
            .collect();
        // The sort is stable: of two paths of the same length the package's stays first.
        chain.sort_by_key(|(path, _)| std::cmp::Reverse(path.map_or(0, str::len)));
        chain.extend(package.map(|package| (None, &package.config.keys)));
        chain.extend(self.of_workspace().map(|config| (None, &config.keys)));
        chain
    }
}

/// What the node of the highest precedence says that says anything.
fn nearest_of<T: Clone>(
    chain: &[(Option<&str>, &Keys)],
    key: impl Fn(&Keys) -> &Option<At<T>>,
) -> Option<T> {
    chain.iter().find_map(|(_, keys)| key(keys).as_ref()).map(|at| at.value.clone())
}

/// The variables of all nodes; those of higher precedence override the others.
fn merged_env(chain: &[(Option<&str>, &Keys)]) -> BTreeMap<String, String> {
    let weakest_first = chain.iter().rev().filter_map(|(_, keys)| keys.env.as_ref());
    weakest_first.flat_map(|at| at.value.clone()).collect()
}

#[cfg(test)]
mod tests;
