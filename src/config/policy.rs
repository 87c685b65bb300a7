//! What the metadata means: for every test the rules that hold for it, and what decided.
//!
//! The longest key wins, a package beats the workspace, the command line beats both. Every
//! key is looked up by itself: a node that only sets a timeout keeps the policy of the node
//! above it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Mistake, Place, nearest};
use super::schema::Declaration;
use crate::config::fixtures::{FixtureKeys, Scope};
use crate::config::keys::{Flaky, Keys, Kind, Locks, Recycle, RetryKeys, Threads};
use crate::config::leak_rules::LeakRules;
use crate::config::value::At;
use crate::model::leak::LeakAction;

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
    /// The node whose key named the policy; none where it came from a default.
    pub node: Option<String>,
    pub why: Why,
    pub isolate: bool,
    pub threads: Threads,
    pub slots: usize,
    pub locks: Locks,
    pub exclusive: bool,
    pub timeout: Option<Duration>,
    /// From when on it is called slow.
    pub slow: Duration,
    pub retries: RetryKeys,
    /// Bytes that a worker may use.
    pub memory: Option<u64>,
    pub recycle: Recycle,
    pub env: BTreeMap<String, String>,
    /// What must be up before the test, in the order of starting: those of one level may
    /// start side by side.
    pub fixtures: Vec<Vec<FixtureName>>,
    pub leaks: Arc<LeakRules>,
}

/// A fixture, by whose manifest defines it and by its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FixtureName {
    /// None for the workspace.
    pub package: Option<usize>,
    pub name: String,
}

/// Longer than nearly every test, and short enough to be told while somebody still waits.
const SLOW: Duration = Duration::from_secs(60);

/// What decided the policy of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    Default,
    Key(Place),
    CommandLine(&'static str),
    /// `serial_test` keeps its locks in one process.
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

/// The declarations of a workspace, in force for all of its packages.
#[derive(Debug, Default)]
pub struct Policy {
    pub workspace: Declaration,
    /// By the package's index in the workspace.
    pub packages: Vec<PackagePolicy>,
    pub command_line: PolicyOverride,
    pub timeout: Option<Duration>,
    pub retries: Option<usize>,
    pub flaky: Option<Flaky>,
    /// What the command line says about all leaks.
    pub leaks: Option<LeakAction>,
}

#[derive(Debug, Default)]
pub struct PackagePolicy {
    pub name: String,
    pub declaration: Declaration,
    pub uses_serial_test: bool,
    /// The crate names of all its targets: the first words that its module paths may have.
    pub crate_names: Vec<String>,
}

/// Whether `node` is `path` or stands above it.
pub fn covers(node: &str, path: &str) -> bool {
    path.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl Policy {
    /// How long a binary may take to list its tests.
    pub fn list_timeout(&self, package: usize) -> Duration {
        // libtest lists 10,000 tests in 8 ms; a custom harness may read a directory of data.
        const LIST_TIMEOUT: Duration = Duration::from_secs(30);
        let package = self.packages.get(package).and_then(|p| p.declaration.list_timeout.as_ref());
        package.or(self.workspace.list_timeout.as_ref()).map_or(LIST_TIMEOUT, |at| at.value)
    }

    /// How long the whole run may take.
    pub fn run_timeout(&self) -> Option<Duration> {
        let declarations = self.packages.iter().map(|package| &package.declaration);
        let mut found = [&self.workspace].into_iter().chain(declarations);
        found.find_map(|d| d.run_timeout.as_ref()).map(|at| at.value)
    }

    /// How many slots there may be for each core, for tests that wait.
    pub fn overcommit(&self) -> usize {
        const OVERCOMMIT: usize = 4;
        let declarations = self.packages.iter().map(|package| &package.declaration);
        let mut found = [&self.workspace].into_iter().chain(declarations);
        found.find_map(|d| d.overcommit.as_ref()).map_or(OVERCOMMIT, |at| at.value)
    }

    /// Whether tests may start while cargo builds others: not where a test is to be alone on the
    /// machine, and not beside fixtures, which are planned for all tests together.
    pub fn early(&self) -> bool {
        let declarations = self.packages.iter().map(|package| &package.declaration);
        let mut all = [&self.workspace].into_iter().chain(declarations);
        let is_exclusive = |keys: &Keys| keys.exclusive.as_ref().is_some_and(|at| at.value);
        let forbids = |declaration: &Declaration| {
            let mut nodes = declaration.modules.iter().map(|(_, keys)| keys);
            is_exclusive(&declaration.keys)
                || nodes.any(is_exclusive)
                || !declaration.fixtures.is_empty()
        };
        let is_off = |declaration: &Declaration| {
            declaration.early.as_ref().is_some_and(|early| !early.value)
        };
        !all.any(|declaration| is_off(declaration) || forbids(declaration))
    }

    /// The rules of the test with this id (`BINARY::path::name`).
    pub fn rules(&self, package: usize, id: &str) -> Rules {
        let chain = self.chain(package, id);
        let (kind, node, why, strength) = self.kind(package, &chain);
        let first = |strengths: &[(Option<&str>, &Keys)]| {
            strengths.iter().find_map(|(_, keys)| keys.isolate.as_ref()).is_some_and(|at| at.value)
        };
        // `isolate` of a weaker key than the one that named the policy went with that
        // key's policy.
        let isolate = match self.command_line {
            PolicyOverride::Isolate => true,
            PolicyOverride::None => kind != Kind::Unit && first(&chain[..strength]),
            _ => false,
        };
        let locks = self.locks(package, &chain, kind, &why);
        Rules {
            kind: if isolate && kind == Kind::Auto { Kind::Split } else { kind },
            node,
            why,
            isolate,
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

    /// The rules for what a fixture leaves behind: those of whoever defines it.
    pub fn leak_rules_of(&self, fixture: &FixtureName) -> LeakRules {
        let package = fixture.package.and_then(|index| self.packages.get(index));
        let keys = package.map(|p| &p.declaration.keys).into_iter().chain([&self.workspace.keys]);
        LeakRules::new(&keys.collect::<Vec<_>>(), self.leaks)
    }

    pub fn fixture(&self, wanted: &FixtureName) -> Option<&FixtureKeys> {
        let fixtures = match wanted.package {
            Some(package) => &self.packages.get(package)?.declaration.fixtures,
            None => &self.workspace.fixtures,
        };
        fixtures.iter().find(|(name, _)| name.value == wanted.name).map(|(_, keys)| keys)
    }

    /// A name that no other fixture has: `web.server`, `server`.
    pub fn key_of(&self, fixture: &FixtureName) -> String {
        let package = fixture.package.and_then(|index| self.packages.get(index));
        match package {
            Some(package) => format!("{}.{}", package.name, fixture.name),
            None => fixture.name.clone(),
        }
    }

    /// Every fixture that somebody has defined.
    pub fn fixtures(&self) -> Vec<FixtureName> {
        let of_packages = self.packages.iter().enumerate();
        let all = of_packages.map(|(index, package)| (Some(index), &package.declaration));
        let names = all.chain([(None, &self.workspace)]).flat_map(|(package, declaration)| {
            let names = declaration.fixtures.iter().map(|(name, _)| name.value.clone());
            names.map(move |name| FixtureName { package, name })
        });
        names.collect()
    }

    /// These fixtures with all that they need, which comes before them.
    pub fn with_needs(&self, wanted: &[FixtureName]) -> Vec<FixtureName> {
        let mut levels = Vec::new();
        for fixture in wanted {
            self.add_to_levels(fixture, 0, &mut levels);
        }
        levels.concat()
    }

    /// The fixtures that this one needs itself.
    pub fn needed_by(&self, fixture: &FixtureName) -> Vec<FixtureName> {
        let needs = self.fixture(fixture).map(|keys| keys.fixtures.as_slice()).unwrap_or_default();
        needs.iter().filter_map(|name| self.find_fixture(fixture.package, &name.value)).collect()
    }

    /// The ids of the tests that are fixtures, with the package that says so.
    pub fn fixture_tests(&self) -> impl Iterator<Item = (Option<usize>, &At<String>)> {
        let of_packages = self.packages.iter().enumerate();
        let all = of_packages.map(|(index, package)| (Some(index), &package.declaration));
        all.chain([(None, &self.workspace)]).flat_map(|(package, declaration)| {
            let tests = declaration.fixtures.iter().filter_map(|(_, keys)| keys.test.as_ref());
            tests.map(move |test| (package, test))
        })
    }

    /// The name as seen from a package: its own fixture, or else the workspace's.
    fn find_fixture(&self, package: Option<usize>, name: &str) -> Option<FixtureName> {
        let own = package.map(|_| FixtureName { package, name: name.to_owned() });
        let outer = FixtureName { package: None, name: name.to_owned() };
        own.into_iter().chain([outer]).find(|fixture| self.fixture(fixture).is_some())
    }

    /// A node has the fixtures of the nodes above it too, and they start before its own, as
    /// what they need themselves does.
    fn fixture_levels(
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

    /// Returns the level that the fixture has come to stand on.
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

    /// Those that are declared; and where a package depends on `serial_test`, one that all of its
    /// binaries share, as long as nobody has declared that its tests may part: what is serial
    /// there is so in one process only, and `cargo test` runs the binaries one after another.
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

    /// The command line has the last word on each of the two that it can name.
    fn retries(&self, chain: &[(Option<&str>, &Keys)]) -> RetryKeys {
        let declared = nearest_of(chain, |keys| &keys.retries).unwrap_or_default();
        RetryKeys {
            count: self.retries.unwrap_or(declared.count),
            flaky: self.flaky.unwrap_or(declared.flaky),
            ..declared
        }
    }

    /// The keys that cover a test, strongest first: modules by length, then the package's
    /// own keys, then the workspace's.
    fn chain(&self, package: usize, id: &str) -> Vec<(Option<&str>, &Keys)> {
        let package = self.packages.get(package).map(|p| &p.declaration);
        let modules = package.into_iter().chain([&self.workspace]).flat_map(|d| &d.modules);
        let mut chain: Vec<(Option<&str>, &Keys)> = modules
            .filter(|(path, _)| covers(&path.value, id))
            .map(|(path, keys)| (Some(path.value.as_str()), keys))
            .collect();
        // A stable sort: of two keys of one length the package's came first and stays first.
        chain.sort_by_key(|(path, _)| std::cmp::Reverse(path.map_or(0, str::len)));
        chain.extend(package.map(|d| (None, &d.keys)));
        chain.push((None, &self.workspace.keys));
        chain
    }

    /// The policy, the node that named it, why, and how many of the chain's keys are at
    /// least as strong as the one that named it.
    fn kind(
        &self,
        package: usize,
        chain: &[(Option<&str>, &Keys)],
    ) -> (Kind, Option<String>, Why, usize) {
        let named = chain.iter().enumerate().find_map(|(index, (node, keys))| {
            keys.policy.as_ref().map(|policy| (index, *node, policy))
        });
        let is_shared = named.is_some_and(|(_, _, policy)| policy.value == Kind::Shared);
        let uses_serial_test = self.packages.get(package).is_some_and(|p| p.uses_serial_test);
        match self.command_line {
            // No flag takes a fixture away from tests that need one.
            _ if is_shared => {}
            PolicyOverride::None => {}
            PolicyOverride::Kind(Kind::Unit | Kind::Auto) if uses_serial_test => {
                return (Kind::Unit, Some(String::new()), Why::SerialTest, 0);
            }
            PolicyOverride::Kind(kind) => return (kind, None, Why::CommandLine("--policy"), 0),
            PolicyOverride::Isolate => {
                return (Kind::Split, None, Why::CommandLine("--isolate"), 0);
            }
            PolicyOverride::NoPartition(flag) => {
                return (Kind::Unit, Some(String::new()), Why::CommandLine(flag), 0);
            }
        }
        // `auto` reads symbol tables, which do not tell of these locks.
        match named.filter(|(.., policy)| !(uses_serial_test && policy.value == Kind::Auto)) {
            Some((index, node, policy)) => {
                let why = Why::Key(policy.place.clone());
                (policy.value, node.map(str::to_owned), why, index + 1)
            }
            None if uses_serial_test => {
                (Kind::Unit, Some(String::new()), Why::SerialTest, chain.len())
            }
            None => (Kind::Auto, None, Why::Default, chain.len()),
        }
    }

    /// What can be checked before anything is built: fixtures, and `split` below `shared`.
    pub fn check(&self, mistakes: &mut Vec<Mistake>) {
        check_declaration(&self.workspace, None, mistakes);
        self.check_fixtures(None, &self.workspace, mistakes);
        for (index, package) in self.packages.iter().enumerate() {
            check_declaration(&package.declaration, Some(&self.workspace), mistakes);
            self.check_fixtures(Some(index), &package.declaration, mistakes);
            self.check_first_words(package, mistakes);
        }
    }

    /// What fixtures need themselves.
    fn check_fixtures(
        &self,
        package: Option<usize>,
        declaration: &Declaration,
        mistakes: &mut Vec<Mistake>,
    ) {
        for (name, keys) in &declaration.fixtures {
            let start = FixtureName { package, name: name.value.clone() };
            for needed in &keys.fixtures {
                let Some(found) = self.find_fixture(package, &needed.value) else {
                    let names = declaration.fixtures.iter().map(|(name, _)| name.value.as_str());
                    mistakes.push(undefined_fixture(needed, &names.collect::<Vec<_>>()));
                    continue;
                };
                let place = needed.place.clone();
                if self.leads_to(&found, &start, &mut Vec::new()) {
                    let title =
                        format!("fixture `{}` needs `{}`, which needs it", name.value, found.name);
                    let help = "each would wait for the other: take one of the two out";
                    mistakes.push(Mistake::error(place, title).help(help));
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
                    mistakes.push(Mistake::error(place, title).help(help));
                }
            }
        }
    }

    fn leads_to(&self, from: &FixtureName, to: &FixtureName, seen: &mut Vec<FixtureName>) -> bool {
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
    fn check_first_words(&self, package: &PackagePolicy, mistakes: &mut Vec<Mistake>) {
        for (path, _) in &package.declaration.modules {
            let binary = path.value.split("::").next().unwrap_or_default();
            if package.crate_names.iter().any(|name| name == binary) {
                continue;
            }
            let known = package.crate_names.iter().map(String::as_str);
            let mistake = Mistake::warning(
                path.place.clone(),
                format!("`{}` matches no test: no target is named `{binary}`", path.value),
            )
            .help(match nearest(binary, known) {
                Some(near) => format!("did you mean `{}`?", path.value.replacen(binary, near, 1)),
                None => format!("a path begins with one of: {}", package.crate_names.join(", ")),
            });
            mistakes.push(mistake);
        }
    }

    /// Keys of the binaries that were listed which match none of their tests.
    ///
    /// `ids` are the ids of all tests of the listed binaries of this package; a key of a
    /// binary that is not part of this run is left alone.
    pub fn check_paths(&self, package: usize, ids: &[String], mistakes: &mut Vec<Mistake>) {
        let Some(declaration) = self.packages.get(package).map(|p| &p.declaration) else { return };
        for (path, _) in &declaration.modules {
            let binary = path.value.split("::").next().unwrap_or_default();
            let listed = ids.iter().any(|id| covers(binary, id));
            if !listed || ids.iter().any(|id| covers(&path.value, id)) {
                continue;
            }
            let nodes = nodes_of(ids);
            let mistake =
                Mistake::warning(path.place.clone(), format!("`{}` matches no test", path.value))
                    .help(match nearest(&path.value, nodes.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "`cargo partest list` shows every path".to_owned(),
                    });
            mistakes.push(mistake);
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

fn check_declaration(
    declaration: &Declaration,
    outer: Option<&Declaration>,
    mistakes: &mut Vec<Mistake>,
) {
    let both = [declaration].into_iter().chain(outer);
    let all = both.clone().flat_map(|declaration| &declaration.fixtures);
    let defined: Vec<&str> = all.map(|(name, _)| name.value.as_str()).collect();
    let nodes = declaration.modules.iter().map(|(path, keys)| (Some(path), keys));
    for (path, keys) in nodes.chain([(None, &declaration.keys)]) {
        for fixture in keys.fixture.iter().flat_map(|names| &names.value) {
            if !defined.contains(&fixture.value.as_str()) {
                mistakes.push(undefined_fixture(fixture, &defined));
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
            mistakes.push(
                Mistake::error(fixture.place.clone(), "`fixture` does nothing without its policy")
                    .help("write policy = \"shared\" beside it, or take it out"),
            );
        }
        if let Some(policy) = keys.policy.as_ref().filter(|at| at.value == Kind::Shared)
            && keys.fixture.is_none()
        {
            mistakes.push(
                Mistake::error(policy.place.clone(), "a `shared` node needs a fixture")
                    .help("write { policy = \"shared\", fixture = \"NAME\" }"),
            );
        }
        if let Some(path) = path {
            check_below_shared(path, keys, &declaration.modules, mistakes);
        }
    }
}

fn undefined_fixture(fixture: &At<String>, defined: &[&str]) -> Mistake {
    let title = format!("fixture `{}` is defined nowhere", fixture.value);
    let help = match nearest(&fixture.value, defined.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("define it under [package.metadata.partest.fixtures.{}]", fixture.value),
    };
    Mistake::error(fixture.place.clone(), title).help(help)
}

/// A `split` below a `shared` node would silently lose the fixture.
fn check_below_shared(
    path: &At<String>,
    keys: &Keys,
    modules: &[(At<String>, Keys)],
    mistakes: &mut Vec<Mistake>,
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
        mistakes.push(
            Mistake::error(policy.place.clone(), title)
                .help("add override = true if its tests do not need the fixture"),
        );
    }
}

fn nearest_of<T: Clone>(
    chain: &[(Option<&str>, &Keys)],
    key: impl Fn(&Keys) -> &Option<At<T>>,
) -> Option<T> {
    chain.iter().find_map(|(_, keys)| key(keys).as_ref()).map(|at| at.value.clone())
}

/// Variables add up: a node sets its own on top of those of the nodes above it.
fn merged_env(chain: &[(Option<&str>, &Keys)]) -> BTreeMap<String, String> {
    let weakest_first = chain.iter().rev().filter_map(|(_, keys)| keys.env.as_ref());
    weakest_first.flat_map(|at| at.value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Source;
    use crate::config::schema::{Table, read};

    fn policy(workspace: &str, package: &str) -> (Policy, Vec<String>) {
        let mut mistakes = Vec::new();
        let source =
            |text: &str| Arc::new(Source { path: "Cargo.toml".into(), text: text.to_owned() });
        let workspace = read(&source(workspace), Table::Workspace, &mut mistakes);
        let declaration = read(&source(package), Table::Package, &mut mistakes);
        let package = PackagePolicy {
            name: "web".into(),
            declaration,
            uses_serial_test: false,
            crate_names: vec!["web".into(), "api".into()],
        };
        let policy = Policy { workspace, packages: vec![package], ..Policy::default() };
        policy.check(&mut mistakes);
        (policy, mistakes.into_iter().map(|m| m.title).collect())
    }

    fn kind_of(policy: &Policy, id: &str) -> (Kind, Option<String>) {
        let rules = policy.rules(0, id);
        (rules.kind, rules.node)
    }

    #[test]
    fn the_longest_key_wins_and_nested_modules_inherit() {
        let (policy, mistakes) = policy(
            "[workspace.metadata.partest]\npolicy = \"split\"\ntimeout = \"9s\"",
            "[package.metadata.partest]\ntimeout = \"5s\"\n[package.metadata.partest.modules]\n\
             \"web::db\" = \"unit\"\n\"web::db::pure\" = \"split\"\n\"web::db::slow\" = { timeout = \"1m\" }",
        );
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(kind_of(&policy, "web::db::reads"), (Kind::Unit, Some("web::db".into())));
        assert_eq!(kind_of(&policy, "web::db::deep::reads"), (Kind::Unit, Some("web::db".into())));
        assert_eq!(kind_of(&policy, "web::db::slow::sync"), (Kind::Unit, Some("web::db".into())));
        assert_eq!(
            kind_of(&policy, "web::db::pure::adds"),
            (Kind::Split, Some("web::db::pure".into()))
        );
        assert_eq!(kind_of(&policy, "web::dbx::adds"), (Kind::Split, None));
        let timeout = |id| policy.rules(0, id).timeout.unwrap().as_secs();
        assert_eq!((timeout("web::db::slow::sync"), timeout("web::other")), (60, 5));
    }

    #[test]
    fn the_package_beats_the_workspace_at_the_same_length() {
        let (policy, _) = policy(
            "[workspace.metadata.partest.modules]\n\"web\" = \"split\"\n\"api\" = \"split\"",
            "[package.metadata.partest.modules]\n\"web\" = \"unit\"",
        );
        assert_eq!(kind_of(&policy, "web::a").0, Kind::Unit);
        assert_eq!(kind_of(&policy, "api::a").0, Kind::Split);
    }

    #[test]
    fn isolation_goes_with_the_policy_that_it_was_written_for() {
        let (policy, _) = policy(
            "",
            "[package.metadata.partest.modules]\n\"web\" = { policy = \"split\", isolate = true }\n\
             \"web::db\" = \"unit\"\n\"web::cli\" = \"split\"\n\"api\" = { isolate = true }",
        );
        let isolated = |id| policy.rules(0, id).isolate;
        assert!(isolated("web::a") && isolated("api::a"));
        assert!(!isolated("web::db::a") && !isolated("web::cli::a"));
        assert_eq!(kind_of(&policy, "api::a").0, Kind::Split);
    }

    #[test]
    fn the_command_line_beats_every_key() {
        let (mut policy, _) = policy("", "[package.metadata.partest.modules]\n\"web\" = \"unit\"");
        policy.command_line = PolicyOverride::Kind(Kind::Split);
        assert_eq!(kind_of(&policy, "web::a"), (Kind::Split, None));
        policy.command_line = PolicyOverride::NoPartition("-j 0");
        assert_eq!(kind_of(&policy, "web::a"), (Kind::Unit, Some(String::new())));
    }

    #[test]
    fn fixtures_and_paths_are_checked() {
        let table = [
            (
                "\"web\" = { policy = \"shared\", fixture = \"db\" }",
                "fixture `db` is defined nowhere",
            ),
            ("\"web\" = \"shared\"", "a `shared` node needs a fixture"),
            (
                "\"web\" = { fixture = \"db\" }\n[package.metadata.partest.fixtures.db]\nstart = [\"db\"]",
                "`fixture` does nothing without its policy",
            ),
            ("\"wbe::db\" = \"unit\"", "`wbe::db` matches no test: no target is named `wbe`"),
        ];
        for (line, expected) in table {
            let (_, mistakes) =
                policy("", &format!("[package.metadata.partest.modules]\n{line}\n"));
            assert_eq!(mistakes, [expected]);
        }
        let (_, mistakes) = policy(
            "",
            "[package.metadata.partest.modules]\n\"web\" = { policy = \"shared\", fixture = \"db\" }\n\
             \"web::pure\" = \"split\"\n\"web::free\" = { policy = \"split\", override = true }\n\
             [package.metadata.partest.fixtures.db]\nstart = [\"db\"]",
        );
        assert_eq!(mistakes, ["`web::pure` is split below the shared `web`: no fixture"]);
    }

    #[test]
    fn what_is_serial_is_so_among_all_binaries_until_somebody_lets_it_part() {
        let serial = |line: &str, command_line| {
            let (mut policy, _) =
                policy("", &format!("[package.metadata.partest.modules]\n{line}\n"));
            policy.packages[0].uses_serial_test = true;
            policy.command_line = command_line;
            let rules = policy.rules(0, "web::db::reads");
            (rules.kind, rules.locks.write.concat())
        };
        let lock = "serial_test(web)".to_owned();
        let none = PolicyOverride::None;
        assert_eq!(serial("", none), (Kind::Unit, lock.clone()));
        assert_eq!(serial("\"web\" = \"auto\"", none), (Kind::Unit, lock.clone()));
        assert_eq!(serial("\"web::db\" = \"unit\"", none), (Kind::Unit, lock.clone()));
        assert_eq!(serial("\"web::db\" = \"split\"", none), (Kind::Split, String::new()));
        let locked = "\"web::db\" = { locks = [\"port\"] }";
        assert_eq!(serial(locked, none), (Kind::Unit, format!("port{lock}")));
        assert_eq!(serial("", PolicyOverride::Isolate), (Kind::Split, lock.clone()));
        assert_eq!(serial("", PolicyOverride::Kind(Kind::Auto)), (Kind::Unit, lock.clone()));
        assert_eq!(serial("", PolicyOverride::Kind(Kind::Split)), (Kind::Split, lock));
    }

    fn levels(policy: &Policy, id: &str) -> Vec<Vec<String>> {
        let names = |level: &Vec<FixtureName>| level.iter().map(|f| f.name.clone()).collect();
        policy.rules(0, id).fixtures.iter().map(names).collect()
    }

    #[test]
    fn outer_fixtures_and_what_they_need_come_first() {
        let (policy, mistakes) = policy(
            "[workspace.metadata.partest.fixtures]\ndisk = { start = [\"disk\"] }",
            "[package.metadata.partest.modules]\n\
             \"web\" = { policy = \"shared\", fixture = [\"db\", \"mail\"] }\n\
             \"web::api\" = { policy = \"shared\", fixture = \"server\" }\n\
             \"web::bare\" = { policy = \"shared\", fixture = \"mail\", override = true }\n\
             \"web::unit\" = \"unit\"\n\
             [package.metadata.partest.fixtures]\n\
             db = { start = [\"db\"], fixture = \"disk\" }\n\
             mail = { start = [\"mail\"] }\n\
             server = { start = [\"server\"], fixture = \"db\" }",
        );
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(levels(&policy, "web::a"), [vec!["disk", "mail"], vec!["db"]]);
        assert_eq!(
            levels(&policy, "web::api::a"),
            [vec!["disk", "mail"], vec!["db"], vec!["server"]]
        );
        assert_eq!(levels(&policy, "web::bare::a"), [["mail"]]);
        assert_eq!(levels(&policy, "web::unit::a"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_a_fixture_needs_is_checked() {
        let table = [
            ("a = { start = [\"a\"], fixture = \"b\" }", "fixture `b` is defined nowhere"),
            (
                "a = { start = [\"a\"], fixture = \"b\" }\nb = { start = [\"b\"], fixture = \"a\" }",
                "fixture `a` needs `b`, which needs it",
            ),
            (
                "a = { start = [\"a\"], fixture = \"b\" }\nb = { start = [\"b\"], scope = \"slot\" }",
                "`a` is there once, and needs `b`, which every slot has its own of",
            ),
        ];
        for (lines, expected) in table {
            let (_, mistakes) =
                policy("", &format!("[package.metadata.partest.fixtures]\n{lines}\n"));
            assert_eq!(mistakes.first().map(String::as_str), Some(expected), "{mistakes:?}");
        }
    }

    #[test]
    fn a_path_that_matches_no_test_is_told_the_nearest_node() {
        let (policy, _) = policy("", "[package.metadata.partest.modules]\n\"web::dbb\" = \"unit\"");
        let mut mistakes = Vec::new();
        let ids = ["web::db::reads".to_owned(), "web::cache::evicts".to_owned()];
        policy.check_paths(0, &ids, &mut mistakes);
        assert_eq!(mistakes[0].help.as_deref(), Some("did you mean `web::db`?"));
        let mut none = Vec::new();
        policy.check_paths(0, &["api::a".to_owned()], &mut none);
        assert!(none.is_empty(), "its binary is not part of this run");
    }
}
