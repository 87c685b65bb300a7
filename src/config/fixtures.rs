//! The `fixtures` table as written. `fixture` gives it its meaning.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::value::{At, Reader, Value, integer};

/// The keys of one fixture.
#[derive(Debug, Clone, Default)]
pub struct FixtureKeys {
    /// The program and its arguments.
    pub start: Option<At<Vec<String>>>,
    /// The id of an ignored test.
    pub test: Option<At<String>>,
    pub ready: Option<Ready>,
    pub timeout: Option<Duration>,
    pub stop: Option<Vec<String>>,
    pub grace: Option<Duration>,
    pub env: BTreeMap<String, String>,
    pub scope: Scope,
    /// The fixtures that this one depends on.
    pub fixtures: Vec<At<String>>,
}

/// How to tell that a fixture is ready, unless it prints `PARTEST_READY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ready {
    /// A line of its output matches this regular expression.
    Line(String),
    /// This port accepts connections.
    Port(Port),
    /// This file exists.
    File(PathBuf),
}

/// The port to wait for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Port {
    /// `HOST:PORT`
    Known(String),
    /// A variable set by the fixture: the port, or `HOST:PORT`.
    Variable(String),
}

/// How many instances of a fixture run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// One for the run.
    #[default]
    Run,
    /// One for each slot.
    Slot,
}

const KEYS: &[&str] = &["start", "test", "ready", "timeout", "stop", "env", "scope", "fixture"];

impl Reader<'_> {
    pub(super) fn fixtures(&mut self, value: &Value<'_>) -> Vec<(At<String>, FixtureKeys)> {
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "fixtures", "a table of fixtures");
            return Vec::new();
        };
        let mut fixtures = Vec::new();
        for (name, value) in table {
            let place = self.place(name.span());
            if !is_name(name.get_ref()) {
                let title = format!("invalid fixture name `{}`", name.get_ref());
                self.wrong(name.span(), title, "use letters, digits, `-` and `_`");
            }
            let keys = self.fixture(name.get_ref(), value);
            fixtures.push((At { value: name.get_ref().to_string(), place }, keys));
        }
        fixtures
    }

    fn fixture(&mut self, name: &str, value: &Value<'_>) -> FixtureKeys {
        let mut keys = FixtureKeys::default();
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, name, "a table with `start` or `test`");
            return keys;
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "start" => keys.start = self.command(value, "start"),
                "test" => keys.test = self.text(value, "test", "the id of a test"),
                "ready" => keys.ready = self.ready(value),
                "timeout" => keys.timeout = self.timeout(value, "timeout").map(|at| at.value),
                "stop" => self.stop(value, &mut keys),
                "env" => keys.env = self.env(value).map(|at| at.value).unwrap_or_default(),
                "scope" => keys.scope = self.scope(value),
                "fixture" => {
                    keys.fixtures = self.fixture_names(value).map(|at| at.value).unwrap_or_default()
                }
                word => self.unknown_in(key.span(), name, word, KEYS),
            }
        }
        if table.contains_key("start") == table.contains_key("test") {
            let title = format!("fixture `{name}` must have either `start` or `test`");
            let help = "`start` is a command with its arguments, `test` the id of an ignored test";
            self.wrong(value.span(), title, help);
        }
        keys
    }

    /// A program and its arguments.
    fn command(&mut self, value: &Value<'_>, key: &str) -> Option<At<Vec<String>>> {
        if value.get_ref().is_str() {
            let title = format!("`{key}` must be a list of strings, not a shell command");
            let help = format!("use {key} = [\"PROGRAM\", \"ARGUMENT\"]");
            self.wrong(value.span(), title, help);
            return None;
        }
        let words = self.strings(value, key);
        if words.is_empty() && value.get_ref().is_array() {
            let help = format!("use {key} = [\"PROGRAM\", \"ARGUMENT\"]");
            self.wrong(value.span(), format!("`{key}` must not be empty"), help);
        }
        Some(At { value: words, place: self.place(value.span()) })
    }

    /// A regular expression for a line, or a table with one condition.
    fn ready(&mut self, value: &Value<'_>) -> Option<Ready> {
        const KNOWN: &[&str] = &["line", "port", "file"];
        match value.get_ref() {
            DeValue::String(_) => self.pattern(value),
            DeValue::Table(table) if table.len() == 1 => {
                let (key, value) = table.iter().next()?;
                match key.get_ref().as_ref() {
                    "line" => self.pattern(value),
                    "port" => self.port(value).map(Ready::Port),
                    "file" => {
                        let file = self.text(value, "file", "a path")?;
                        Some(Ready::File(file.value.into()))
                    }
                    word => {
                        self.unknown_in(key.span(), "ready", word, KNOWN);
                        None
                    }
                }
            }
            _ => {
                let wanted = "a regular expression, or one of { line = \"…\" }, { port = 5432 }, \
                              { file = \"…\" }";
                self.wants(value, "ready", wanted);
                None
            }
        }
    }

    fn pattern(&mut self, value: &Value<'_>) -> Option<Ready> {
        let text = self.text(value, "ready", "a regular expression")?.value;
        match Regex::new(&text) {
            Ok(_) => Some(Ready::Line(text)),
            Err(why) => {
                let title = "invalid regular expression for `ready`".to_owned();
                self.wrong(value.span(), title, why.to_string().replace('\n', " "));
                None
            }
        }
    }

    fn port(&mut self, value: &Value<'_>) -> Option<Port> {
        let number = integer(value).and_then(|port| u16::try_from(port).ok()).filter(|p| *p > 0);
        let found = match (number, value.get_ref().as_str()) {
            (Some(port), _) => Some(Port::Known(format!("127.0.0.1:{port}"))),
            (None, Some(text)) if text.contains(':') => Some(Port::Known(text.to_owned())),
            (None, Some(text)) if is_name(text) => Some(Port::Variable(text.to_owned())),
            _ => None,
        };
        if found.is_none() {
            let wanted = "a port, \"HOST:PORT\" or the name of a variable of the fixture";
            self.wants(value, "port", wanted);
        }
        found
    }

    /// A grace period, a command, or a table of both.
    fn stop(&mut self, value: &Value<'_>, keys: &mut FixtureKeys) {
        match value.get_ref() {
            DeValue::String(_) => keys.grace = self.duration(value, "stop").map(|at| at.value),
            DeValue::Table(table) => self.stop_table(table, keys),
            DeValue::Array(_) => keys.stop = self.command(value, "stop").map(|at| at.value),
            _ => self.wants(value, "stop", "a duration, a command, or a table of the two"),
        }
    }

    fn stop_table(&mut self, table: &DeTable<'_>, keys: &mut FixtureKeys) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "command" => keys.stop = self.command(value, "command").map(|at| at.value),
                "grace" => keys.grace = self.duration(value, "grace").map(|at| at.value),
                word => self.unknown_in(key.span(), "stop", word, &["command", "grace"]),
            }
        }
    }

    fn scope(&mut self, value: &Value<'_>) -> Scope {
        match value.get_ref().as_str() {
            Some("run") => return Scope::Run,
            Some("slot") => return Scope::Slot,
            Some(word) => self.unknown_value(value.span(), "scope", word, &["run", "slot"]),
            None => self.wants(value, "scope", "\"run\" or \"slot\""),
        }
        Scope::Run
    }
}

/// Names of fixtures are part of variables and paths.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().all(is_plain)
}
