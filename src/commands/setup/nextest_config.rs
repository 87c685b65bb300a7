//! From nextest's configuration to metadata: what has an equivalent becomes keys, everything else a
//! comment that says what to use instead.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::nextest_filter::{Node, node_of};
use crate::config::hints;
use crate::error::{Error, Result};
use crate::model::duration;

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

/// Lines of one table of metadata.
#[derive(Default)]
struct Section {
    keys: Vec<String>,
    comments: Vec<String>,
}

impl Section {
    fn key(&mut self, name: &str, value: impl std::fmt::Display) {
        self.keys.push(format!("{name} = {value}"));
    }

    /// A key for a duration, which nextest lets consist of several parts (`1m 30s`).
    fn time(&mut self, key: &str, name: &str, value: &Value) {
        let parts = value.as_str().unwrap_or_default().split_whitespace().map(duration::parse);
        match parts.sum::<Result<Duration, String>>() {
            Ok(time) if !time.is_zero() => self.key(key, shown(time)),
            _ => self.comment(name, value),
        }
    }

    /// What has no equivalent, with what to use instead.
    fn comment(&mut self, name: &str, value: &Value) {
        let answer = hints::answer(name).unwrap_or("no equivalent");
        self.comments.push(format!("# {name} = {}: {answer}", on_one_line(value)));
    }
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
    let default = profiles.get("default").and_then(Value::as_table);
    if let Some(default) = default {
        let section = settings(default, &groups);
        push(&mut text, "[workspace.metadata.partest]", &section);
        overrides(&mut text, default, &groups);
    }
    for (name, profile) in profiles.iter().filter(|(name, _)| *name != "default") {
        let Some(profile) = profile.as_table() else { continue };
        _ = writeln!(text, "# There are no profiles. These keys would be those of `{name}`:");
        let mut keys = String::new();
        push(&mut keys, "[workspace.metadata.partest]", &settings(profile, &groups));
        overrides(&mut keys, profile, &groups);
        keys.trim_end().lines().for_each(|line| _ = writeln!(text, "# {line}"));
        text.push('\n');
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

fn push(text: &mut String, heading: &str, section: &Section) {
    if section.keys.is_empty() && section.comments.is_empty() {
        return;
    }
    _ = writeln!(text, "{heading}");
    section.keys.iter().chain(&section.comments).for_each(|line| _ = writeln!(text, "{line}"));
    text.push('\n');
}

/// The keys of a profile or of an override.
fn settings(profile: &Table, groups: &Table) -> Section {
    let mut section = Section::default();
    for (name, value) in profile {
        match name.as_str() {
            "overrides" | "filter" => {}
            "inherits" if value.as_str() == Some("default") => {}
            // That of an override is for a platform.
            "default-filter" if !profile.contains_key("platform") => section.key(name, value),
            "retries" => retries(&mut section, value, profile),
            "flaky-result" if profile.contains_key("retries") => {}
            "slow-timeout" => slow_timeout(&mut section, value),
            "leak-timeout" => leak_timeout(&mut section, value),
            "global-timeout" => section.time("run-timeout", name, value),
            "threads-required" => match value.as_integer() {
                Some(count) => section.key("slots", count),
                None => section.key("exclusive", true),
            },
            "test-group" => test_group(&mut section, value, groups),
            "junit" => junit(&mut section, value),
            _ => section.comment(name, value),
        }
    }
    section
}

fn retries(section: &mut Section, value: &Value, profile: &Table) {
    let fails = profile.get("flaky-result").and_then(Value::as_str) == Some("fail");
    let flaky = if fails { ", flaky = \"fail\"" } else { "" };
    match value {
        Value::Table(table) => {
            let known = ["count", "delay", "backoff"];
            let parts =
                known.iter().filter_map(|key| Some(format!("{key} = {}", table.get(*key)?)));
            let parts: Vec<String> = parts.collect();
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
    let times = table.get("terminate-after").and_then(Value::as_integer);
    let times = times.and_then(|times| u32::try_from(times).ok());
    let period = period.as_str().and_then(|period| duration::parse(period).ok());
    if let (Some(times), Some(period)) = (times, period) {
        section.key("timeout", shown(period.saturating_mul(times)));
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

fn junit(section: &mut Section, value: &Value) {
    let table = value.as_table().cloned().unwrap_or_default();
    for (key, value) in &table {
        match (key.as_str(), value.as_str()) {
            ("path", Some(path)) => {
                let path = Value::from(format!("target/nextest/default/{path}"));
                section.key("reports", format!("{{ junit = {path} }}"));
            }
            _ => section.comment(key, value),
        }
    }
}

/// Each override becomes a node, where its filter names one.
fn overrides(text: &mut String, profile: &Table, groups: &Table) {
    let overrides = profile.get("overrides").and_then(Value::as_array);
    for table in overrides.into_iter().flatten().filter_map(Value::as_table) {
        let section = settings(table, groups);
        let filter = table.get("filter").and_then(Value::as_str).unwrap_or("all()");
        let keys = section.keys.join(", ");
        _ = writeln!(text, "# filter = {filter}");
        match node_of(filter) {
            Some(Node::All) => push(text, "[workspace.metadata.partest]", &section),
            Some(Node::Package(package)) => {
                _ = writeln!(text, "# in the Cargo.toml of package `{package}`:");
                push(text, "[package.metadata.partest]", &section);
            }
            Some(Node::Path(path)) => {
                _ = writeln!(text, "[workspace.metadata.partest.modules]");
                _ = writeln!(text, "{} = {{ {keys} }}", Value::from(path));
                section.comments.iter().for_each(|line| _ = writeln!(text, "{line}"));
                text.push('\n');
            }
            None => {
                _ = writeln!(text, "# it names no single package, binary, module or test: write");
                _ = writeln!(text, "#   \"BINARY::MODULE\" = {{ {keys} }}");
                _ = writeln!(text, "# into [package.metadata.partest.modules], for each of them");
                section.comments.iter().for_each(|line| _ = writeln!(text, "{line}"));
                text.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests;
