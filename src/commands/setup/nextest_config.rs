//! From nextest's configuration to metadata: what has an equivalent becomes keys, everything else a
//! comment that says what to use instead.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::nextest_filter::{Node, node_of};
use super::nextest_time;
use crate::config::hints;
use crate::error::{Error, Result};

/// The profile that the others inherit from: here, the top of the table.
const DEFAULT: &str = "default";

const TABLE: &str = "workspace.metadata.partest";

/// Where nextest keeps its configuration, from the workspace's root.
const PLACE: &str = ".config/nextest.toml";

/// The metadata for a configuration of nextest, as text to paste into Cargo.toml.
pub fn migrated(file: Option<&Path>, manifest: Option<&Path>) -> Result<String> {
    let path = match (file, manifest.and_then(Path::parent)) {
        (Some(file), _) => file.to_owned(),
        (None, Some(folder)) => folder.join(PLACE),
        (None, None) => nearest_config(),
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|source| Error::Read { path: path.clone(), source })?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        Error::usage(format!("`{}` is not valid TOML: {error}", path.display()))
    })?;
    Ok(metadata(&table))
}

/// That of this folder or of the nearest one above it, as cargo looks for a workspace.
fn nearest_config() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let found = here.ancestors().map(|folder| folder.join(PLACE)).find(|path| path.exists());
    found.unwrap_or_else(|| here.join(PLACE))
}

/// Keys of one table of metadata, and what has no equivalent.
#[derive(Default)]
struct Section {
    keys: Vec<(String, String)>,
    comments: Vec<String>,
}

impl Section {
    /// A later value of a key replaces the earlier one.
    fn key(&mut self, name: &str, value: impl std::fmt::Display) {
        self.keys.retain(|(known, _)| known != name);
        self.keys.push((name.to_owned(), value.to_string()));
    }

    /// A key for a duration.
    fn time(&mut self, key: &str, name: &str, value: &Value) {
        match time_of(value) {
            Some(time) => self.key(key, shown(time)),
            None => self.comment(name, value),
        }
    }

    /// What has no equivalent, with what to use instead.
    fn comment(&mut self, name: &str, value: &Value) {
        let answer = hints::answer(name).unwrap_or("no equivalent");
        self.comments.push(format!("# {name} = {}: {answer}", on_one_line(value)));
    }

    /// Puts these keys over its own.
    fn override_with(&mut self, other: Section) {
        other.keys.iter().for_each(|(name, value)| self.key(name, value));
        self.comments.extend(other.comments);
    }

    /// Adds those of another entry for the same tests. Of several, the first counts.
    fn add_missing(&mut self, other: Section) {
        for (name, value) in other.keys {
            if !self.keys.iter().any(|(known, _)| *known == name) {
                self.keys.push((name, value));
            }
        }
        self.comments.extend(other.comments);
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.comments.is_empty()
    }

    fn inline(&self) -> String {
        let keys: Vec<String> =
            self.keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", keys.join(", "))
    }
}

type Nodes = Vec<(String, Vec<String>, Section)>;

/// What a profile of nextest is here.
#[derive(Default)]
struct Profile {
    own: Section,
    /// Nodes by their path, with the filters that name them.
    modules: Nodes,
    packages: Nodes,
    /// Nodes by their path, for the manifest of a package.
    of_packages: Vec<(String, Nodes)>,
    /// Overrides that are no node: comments.
    others: Vec<String>,
}

/// A duration above 0, as all keys here want it.
fn time_of(value: &Value) -> Option<Duration> {
    nextest_time::parse(value.as_str()?).filter(|time| time.as_millis() > 0)
}

/// `"90s"`, `"250ms"`
fn shown(time: Duration) -> String {
    match time.as_millis() {
        millis if millis % 1000 == 0 => format!("\"{}s\"", millis / 1000),
        millis => format!("\"{millis}ms\""),
    }
}

fn on_one_line(value: &Value) -> String {
    value.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn metadata(config: &Table) -> String {
    let mut text = String::new();
    let groups = config.get("test-groups").and_then(Value::as_table).cloned().unwrap_or_default();
    let profiles = config.get("profile").and_then(Value::as_table).cloned().unwrap_or_default();
    let others = profiles.keys().map(String::as_str).filter(|name| *name != DEFAULT);
    for name in [DEFAULT].into_iter().chain(others) {
        let profile = with_inherited(name, &profiles);
        print_profile(&mut text, name, &read_profile(name, &profile, &groups));
    }
    let mut rest = Section::default();
    for (name, value) in config {
        if !matches!(name.as_str(), "profile" | "test-groups") {
            rest.comment(name, value);
        }
    }
    rest.comments.iter().for_each(|line| _ = writeln!(text, "{line}"));
    if text.is_empty() { "# nothing is configured\n".to_owned() } else { text }
}

/// A profile with what it inherits from others; from the default one, all do here as well.
fn with_inherited(name: &str, profiles: &Table) -> Table {
    let (mut merged, mut seen, mut name) = (Table::new(), Vec::new(), name);
    while let Some(profile) = profiles.get(name).and_then(Value::as_table) {
        seen.push(name);
        for (key, value) in profile {
            match (merged.get_mut(key), value) {
                (Some(Value::Array(nearer)), Value::Array(more)) if key == "overrides" => {
                    nearer.extend(more.iter().cloned());
                }
                (Some(_), _) => {}
                (None, _) => _ = merged.insert(key.clone(), value.clone()),
            }
        }
        let parent = profile.get("inherits").and_then(Value::as_str).unwrap_or(DEFAULT);
        if parent == DEFAULT || seen.contains(&parent) {
            break;
        }
        name = parent;
    }
    merged
}

fn read_profile(name: &str, table: &Table, groups: &Table) -> Profile {
    let mut profile = Profile { own: settings(table, groups, name), ..Profile::default() };
    let overrides = table.get("overrides").and_then(Value::as_array);
    let overrides: Vec<&Table> =
        overrides.into_iter().flatten().filter_map(Value::as_table).collect();
    let mut of_all = Vec::new();
    for table in overrides {
        let section = settings(table, groups, name);
        let filter = table.get("filter").and_then(Value::as_str).unwrap_or("all()").to_owned();
        let is_everywhere = !table.contains_key("platform");
        let node = node_of(&filter).filter(|_| is_everywhere);
        match node {
            Some(Node::All) => of_all.push(section),
            Some(Node::Package(package)) if name == DEFAULT => {
                add(&mut profile.packages, package, filter, section);
            }
            Some(Node::Path { path, package: Some(package) }) if name == DEFAULT => {
                add(nodes_of(&mut profile.of_packages, package), path, filter, section);
            }
            Some(Node::Path { path, .. }) => add(&mut profile.modules, path, filter, section),
            Some(Node::Package(_)) | None => {
                let (why, path) = match node {
                    _ if !is_everywhere => ("it applies to one platform only", "BINARY::MODULE"),
                    Some(_) => ("a profile has no keys of a package", "BINARY"),
                    None => {
                        ("it names no single package, binary, module or test", "BINARY::MODULE")
                    }
                };
                profile.others.push(format!("# filter = {filter}"));
                profile.others.extend(explained(name, why, path, &section));
            }
        }
    }
    // Of several for one test, the first counts.
    of_all.into_iter().rev().for_each(|section| profile.own.override_with(section));
    profile
}

fn nodes_of(packages: &mut Vec<(String, Nodes)>, package: String) -> &mut Nodes {
    let found = packages.iter().position(|(known, _)| *known == package);
    let at = found.unwrap_or_else(|| {
        packages.push((package, Nodes::new()));
        packages.len() - 1
    });
    &mut packages[at].1
}

fn add(entries: &mut Nodes, name: String, filter: String, section: Section) {
    match entries.iter_mut().find(|(known, ..)| *known == name) {
        Some((_, filters, known)) => {
            filters.push(filter);
            known.add_missing(section);
        }
        None => entries.push((name, vec![filter], section)),
    }
}

/// An override that is no single node: what to write for each module it means.
fn explained(profile: &str, why: &str, path: &str, section: &Section) -> Vec<String> {
    let place = match profile {
        DEFAULT => "[package.metadata.partest.modules]".to_owned(),
        name => format!("[{}.modules]", table_of(name)),
    };
    let mut lines = Vec::new();
    if !section.keys.is_empty() {
        lines.push(format!("# {why}: write"));
        lines.push(format!("#   \"{path}\" = {}", section.inline()));
        lines.push(format!("# into {place}, for each of them"));
    }
    lines.extend(section.comments.iter().cloned());
    lines
}

/// `workspace.metadata.partest`, or the table of a profile in it.
fn table_of(profile: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match profile {
        DEFAULT => TABLE.to_owned(),
        name if name.chars().all(is_bare) => format!("{TABLE}.profile.{name}"),
        name => format!("{TABLE}.profile.{}", Value::from(name)),
    }
}

fn print_profile(text: &mut String, name: &str, profile: &Profile) {
    let table = table_of(name);
    print(text, &format!("[{table}]"), &profile.own);
    if !profile.modules.is_empty() {
        print_nodes(text, &format!("[{table}.modules]"), &profile.modules);
    }
    for (package, nodes) in &profile.of_packages {
        _ = writeln!(text, "# in the Cargo.toml of package `{package}`:");
        print_nodes(text, "[package.metadata.partest.modules]", nodes);
    }
    for (package, filters, section) in &profile.packages {
        filters.iter().for_each(|filter| _ = writeln!(text, "# filter = {filter}"));
        _ = writeln!(text, "# in the Cargo.toml of package `{package}`:");
        print(text, "[package.metadata.partest]", section);
    }
    if !profile.others.is_empty() {
        profile.others.iter().for_each(|line| _ = writeln!(text, "{line}"));
        text.push('\n');
    }
}

fn print_nodes(text: &mut String, heading: &str, nodes: &Nodes) {
    _ = writeln!(text, "{heading}");
    for (path, filters, section) in nodes {
        filters.iter().for_each(|filter| _ = writeln!(text, "# filter = {filter}"));
        if !section.keys.is_empty() {
            _ = writeln!(text, "{} = {}", Value::from(path.as_str()), section.inline());
        }
        section.comments.iter().for_each(|line| _ = writeln!(text, "{line}"));
    }
    text.push('\n');
}

fn print(text: &mut String, heading: &str, section: &Section) {
    if section.is_empty() {
        return;
    }
    _ = writeln!(text, "{heading}");
    section.keys.iter().for_each(|(key, value)| _ = writeln!(text, "{key} = {value}"));
    section.comments.iter().for_each(|line| _ = writeln!(text, "{line}"));
    text.push('\n');
}

/// The keys of a profile or of an override in it.
fn settings(table: &Table, groups: &Table, profile: &str) -> Section {
    let is_override = table.contains_key("filter") || table.contains_key("platform");
    let mut section = Section::default();
    for (name, value) in table {
        match name.as_str() {
            "overrides" | "filter" | "inherits" => {}
            "default-filter" | "status-level" | "failure-output" | "success-output"
                if !is_override =>
            {
                section.key(name, value);
            }
            "fail-fast" if !is_override => fail_fast(&mut section, value),
            "test-threads" if !is_override => section.key("jobs", value),
            "retries" => retries(&mut section, value, table),
            "flaky-result" if table.contains_key("retries") => {}
            "slow-timeout" => slow_timeout(&mut section, value),
            "leak-timeout" => leak_timeout(&mut section, value),
            "global-timeout" => section.time("run-timeout", name, value),
            "threads-required" => match value.as_integer() {
                Some(count) => section.key("slots", count),
                None => section.key("exclusive", true),
            },
            "test-group" => test_group(&mut section, value, groups),
            "junit" => junit(&mut section, value, profile),
            _ => section.comment(name, value),
        }
    }
    section
}

/// A number of failures after which to stop is the flag where it is one, or all.
fn fail_fast(section: &mut Section, value: &Value) {
    let most = value.get("max-fail");
    let is_fast = match most {
        None => value.as_bool(),
        Some(most) if most.as_integer() == Some(1) => Some(true),
        Some(most) => (most.as_str() == Some("all")).then_some(false),
    };
    match is_fast {
        Some(is_fast) => section.key("fail-fast", is_fast),
        None => section.comment("fail-fast", value),
    }
}

fn retries(section: &mut Section, value: &Value, profile: &Table) {
    let fails = profile.get("flaky-result").and_then(Value::as_str) == Some("fail");
    let flaky = if fails { ", flaky = \"fail\"" } else { "" };
    match value {
        Value::Table(table) => {
            let known = ["count", "delay", "backoff"];
            let part = |key: &&str| {
                let value = table.get(*key)?;
                let time = time_of(value).filter(|_| *key == "delay").map(shown);
                Some(format!("{key} = {}", time.unwrap_or_else(|| value.to_string())))
            };
            let parts: Vec<String> = known.iter().filter_map(part).collect();
            section.key("retries", format!("{{ {}{flaky} }}", parts.join(", ")));
            for (key, value) in table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
                section.comment(key, value);
            }
        }
        count if fails => section.key("retries", format!("{{ count = {count}{flaky} }}")),
        count => section.key("retries", count),
    }
}

/// A test is slow after each period, and is stopped after so many of them.
fn slow_timeout(section: &mut Section, value: &Value) {
    let Some(table) = value.as_table() else {
        return section.time("slow", "slow-timeout", value);
    };
    let Some(period) = table.get("period") else { return section.comment("slow-timeout", value) };
    section.time("slow", "period", period);
    if let Some(times) = table.get("terminate-after") {
        let count = times.as_integer().and_then(|times| u32::try_from(times).ok());
        let limit = time_of(period).zip(count).and_then(|(time, count)| time.checked_mul(count));
        match limit.filter(|limit| !limit.is_zero()) {
            Some(limit) => section.key("timeout", shown(limit)),
            None => section.comment("terminate-after", times),
        }
    }
    for (key, value) in table {
        if !matches!(key.as_str(), "period" | "terminate-after") {
            section.comment(key, value);
        }
    }
}

fn leak_timeout(section: &mut Section, value: &Value) {
    let Some(table) = value.as_table() else {
        return section.time("linger", "leak-timeout", value);
    };
    if let Some(period) = table.get("period") {
        section.time("linger", "period", period);
    }
    if table.get("result").and_then(Value::as_str) == Some("fail") {
        section.key("leaks", "\"deny\"");
    }
}

/// A group of one at a time is a lock; a larger one has no equivalent.
fn test_group(section: &mut Section, value: &Value, groups: &Table) {
    let name = value.as_str().unwrap_or_default();
    let most = groups.get(name).and_then(|group| group.get("max-threads"));
    match most.and_then(Value::as_integer) {
        _ if name == "@global" => {}
        Some(1) => section.key("locks", format!("[{value}]")),
        _ => section.comments.push(format!(
            "# test-group = {value}: its tests may run {} at a time, which has no equivalent; locks = [{value}] lets one run at a time",
            most.map(Value::to_string).unwrap_or_default()
        )),
    }
}

fn junit(section: &mut Section, value: &Value, profile: &str) {
    let table = value.as_table().cloned().unwrap_or_default();
    for (key, value) in &table {
        match (key.as_str(), value.as_str()) {
            ("path", Some(path)) => {
                let path = Value::from(format!("target/nextest/{profile}/{path}"));
                section.key("reports", format!("{{ junit = {path} }}"));
            }
            _ => section.comment(key, value),
        }
    }
}

#[cfg(test)]
mod tests;
