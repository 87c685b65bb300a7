//! The tables `[workspace.metadata.partest]` and `[package.metadata.partest]` as written. `policy`
//! gives them their meaning.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source, nearest};
use super::fixtures::FixtureKeys;
use super::flag_defaults::{FlagDefault, FlagDefaults};
use super::flags::Flags;
use super::hints;
use super::keys::{KINDS, Keys};
use super::node_keys::NODE_KEYS;
use super::value::{At, Reader, Value};
use crate::model::report_kind::{REPORT_KINDS, ReportKind};

const TOP_KEYS: &[&str] = &[
    "modules",
    "fixtures",
    "default-filter",
    "list-timeout",
    "run-timeout",
    "overcommit",
    "early",
    "learn",
    "reports",
    "archive",
];

/// Only in the table of the workspace, which is the only one.
const WORKSPACE_KEYS: &[&str] = &["profile"];

/// One `partest` table, or a profile in one.
#[derive(Debug, Default)]
pub struct Config {
    /// Whether the table exists.
    pub is_declared: bool,
    pub keys: Keys,
    pub modules: Vec<(At<String>, Keys)>,
    pub fixtures: Vec<(At<String>, FixtureKeys)>,
    /// The expression that chooses the tests of a run, unless the command line ignores it.
    pub default_filter: Option<At<String>>,
    pub list_timeout: Option<At<Duration>>,
    pub run_timeout: Option<At<Duration>>,
    /// How many slots there may be for each core, for tests that wait.
    pub overcommit: Option<At<usize>>,
    /// Whether tests may start while cargo builds others.
    pub early: Option<At<bool>>,
    pub learn: Option<At<bool>>,
    /// Defaults for flags of the command line.
    pub flags: FlagDefaults,
    pub profiles: Vec<(At<String>, Config)>,
    pub reports: Reports,
    /// Patterns of files that an archive of the tests has besides.
    pub archive: Vec<At<String>>,
}

/// Files that every run writes, relative to the workspace.
pub type Reports = Vec<(ReportKind, PathBuf)>;

impl Config {
    pub fn profile(&self, name: &str) -> Option<&Config> {
        self.profiles.iter().find(|(known, _)| known.value == name).map(|(_, config)| config)
    }
}

/// Which of the two tables a manifest is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Workspace,
    Package,
}

/// Which table is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Top {
    Of(Table),
    Profile,
}

/// Reads the `partest` table of one manifest, and collects all diagnostics about it.
///
/// A manifest that cannot be parsed is read as empty: cargo reports it.
pub fn read(
    source: &Arc<Source>,
    table: Table,
    flags: Flags,
    diagnostics: &mut Vec<Diagnostic>,
) -> Config {
    let Ok(document) = DeTable::parse(&source.text) else {
        return Config::default();
    };
    let section = match table {
        Table::Workspace => "workspace",
        Table::Package => "package",
    };
    let metadata = inner(document.get_ref(), section).and_then(|table| inner(table, "metadata"));
    let Some(metadata) = metadata else { return Config::default() };
    let mut reader = Reader { source, diagnostics, flags };
    reader.check_name(metadata, section);
    inner(metadata, NAME).map(|found| reader.config(found, Top::Of(table))).unwrap_or_default()
}

fn inner<'t, 'd>(table: &'t DeTable<'d>, key: &str) -> Option<&'t DeTable<'d>> {
    table.get(key)?.get_ref().as_table()
}

/// The name of our table in the metadata.
const NAME: &str = "partest";

/// Whether a table of the metadata was meant to be ours. The names of other tools are at least
/// three letters away.
fn is_misspelt(name: &str) -> bool {
    const LETTERS: usize = 2;
    let name = name.to_lowercase();
    name.contains(NAME) || strsim::osa_distance(&name, NAME) <= LETTERS
}

/// Whether a word is a key somewhere, or was meant to be one.
fn is_key(word: &str) -> bool {
    let known = NODE_KEYS.iter().chain(TOP_KEYS).chain(WORKSPACE_KEYS).copied();
    hints::answer(word).is_some() || nearest(word, known).is_some()
}

/// Whether an unknown key is a module's path by its looks, or by its value.
fn is_node(word: &str, value: &Value<'_>) -> bool {
    let is_policy = |text: &str| KINDS.iter().any(|(name, _)| *name == text);
    word.contains("::")
        || value.get_ref().is_table()
        || value.get_ref().as_str().is_some_and(is_policy)
}

impl Reader<'_> {
    /// Warns of tables that would be ours if they were spelt right.
    fn check_name(&mut self, metadata: &DeTable<'_>, section: &str) {
        for (key, _) in metadata {
            let name = key.get_ref().as_ref();
            if name != NAME && is_misspelt(name) {
                let title = format!("unused table `{section}.metadata.{name}`");
                let help = format!("did you mean `{section}.metadata.{NAME}`?");
                let place = self.place(key.span());
                self.diagnostics.push(Diagnostic::warning(place, title).help(help));
            }
        }
    }

    fn config(&mut self, table: &DeTable<'_>, top: Top) -> Config {
        let mut config = Config { is_declared: true, ..Config::default() };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "modules" => config.modules = self.modules(value),
                "profile" if top == Top::Of(Table::Workspace) => {
                    config.profiles = self.profiles(value);
                }
                "fixtures" if top == Top::Profile => {
                    let title = "fixtures cannot be defined in a profile".to_owned();
                    let help =
                        "define them in [workspace.metadata.partest.fixtures], for all profiles";
                    self.wrong(key.span(), title, help);
                }
                "fixtures" => config.fixtures = self.fixtures(value),
                "default-filter" => {
                    config.default_filter = self.text(value, "default-filter", "an expression");
                }
                "run-timeout" => config.run_timeout = self.timeout(value, "run-timeout"),
                "overcommit" => config.overcommit = self.count(value, "overcommit", 1),
                "early" => config.early = self.boolean(value, "early"),
                "learn" => config.learn = self.boolean(value, "learn"),
                "archive" => config.archive = self.archive(value),
                "reports" => config.reports = self.reports(value),
                "list-timeout" => config.list_timeout = self.duration(value, "list-timeout"),
                word if !NODE_KEYS.contains(&word) && (self.flags.takes)(word).is_some() => {
                    let flag = self.flag_default(key, value, top);
                    config.flags.extend(flag);
                }
                path if !is_key(path) && is_node(path, value) => {
                    let title = format!("unknown key `{path}`");
                    let help =
                        "if it is the path of a module or a test, it belongs below `modules`";
                    self.wrong(key.span(), title, help);
                }
                word if !NODE_KEYS.contains(&word) => self.unknown_at_top(key, top),
                _ => self.node_key(&mut config.keys, key, value, &[]),
            }
        }
        self.check_node(&config.keys);
        config
    }

    /// A default for the command line, which there is one of for the whole workspace.
    fn flag_default(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Value<'_>,
        top: Top,
    ) -> Option<(At<String>, FlagDefault)> {
        let name = key.get_ref().to_string();
        if top == Top::Of(Table::Package) {
            let title = format!("`{name}` cannot be set for one package");
            let help = "it belongs in [workspace.metadata.partest], or in a profile there";
            self.wrong(key.span(), title, help);
            return None;
        }
        let takes = (self.flags.takes)(&name)?;
        let default = self.flag(&name, takes, value)?;
        Some((At { value: name, place: self.place(key.span()) }, default))
    }

    /// Names the nearest key, or flag of the command line.
    fn unknown_at_top(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, top: Top) {
        let word = key.get_ref().as_ref();
        let mut known: Vec<&str> = [NODE_KEYS, TOP_KEYS].concat();
        if top == Top::Of(Table::Workspace) {
            known.extend(WORKSPACE_KEYS);
        }
        let flags = if top == Top::Of(Table::Package) { Vec::new() } else { (self.flags.names)() };
        let near = nearest(word, known.iter().copied());
        let has_answer = near.is_some() || hints::answer(word).is_some();
        let flag = nearest(word, flags.iter().map(String::as_str)).filter(|_| !has_answer);
        match (word, flag) {
            ("profile", _) => {
                let title = "`profile` cannot be set here".to_owned();
                let help = "profiles are tables [workspace.metadata.partest.profile.NAME]";
                self.wrong(key.span(), title, help);
            }
            _ if REPORT_KINDS.iter().any(|(kind, _)| *kind == word) && word != "junit" => {
                let title = format!("unknown key `{word}`");
                let help = format!("use `reports = {{ {word} = \"target/tests.{word}\" }}`");
                self.wrong(key.span(), title, help);
            }
            _ if (self.flags.is_cargos)(word) => {
                let title = format!("`{word}` is a flag of cargo, and has no default here");
                let help = "write it on the command line, or in an alias in .cargo/config.toml";
                self.wrong(key.span(), title, help);
            }
            (_, Some(flag)) => {
                let title = format!("unknown key `{word}`");
                self.wrong(key.span(), title, format!("did you mean `{flag}`?"));
            }
            (_, None) => self.unknown(key.span(), "key", word, &known),
        }
    }

    fn profiles(&mut self, value: &Value<'_>) -> Vec<(At<String>, Config)> {
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "profile", "a table of profiles, such as { ci = { retries = 2 } }");
            return Vec::new();
        };
        let mut profiles = Vec::new();
        for (name, value) in table {
            let at = At { value: name.get_ref().to_string(), place: self.place(name.span()) };
            match value.get_ref().as_table() {
                Some(table) => profiles.push((at, self.config(table, Top::Profile))),
                None => self.wants(value, &at.value, "a table, such as { retries = 2 }"),
            }
        }
        profiles
    }

    fn reports(&mut self, value: &Value<'_>) -> Reports {
        let mut reports = Reports::new();
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "reports", "a table such as { junit = \"target/junit.xml\" }");
            return reports;
        };
        for (key, value) in table {
            let word = key.get_ref().as_ref();
            let Some((_, kind)) = REPORT_KINDS.iter().find(|(name, _)| *name == word) else {
                let known = REPORT_KINDS.map(|(name, _)| name);
                self.unknown(key.span(), "key of reports", word, &known);
                continue;
            };
            match value.get_ref().as_str().filter(|path| !path.is_empty()) {
                Some(path) => reports.push((*kind, path.into())),
                None => self.wants(value, word, "the path of a file"),
            }
        }
        reports
    }

    fn modules(&mut self, value: &Value<'_>) -> Vec<(At<String>, Keys)> {
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "modules", "a table of module paths");
            return Vec::new();
        };
        let mut modules = Vec::new();
        for (path, value) in table {
            let at = At { value: path.get_ref().to_string(), place: self.place(path.span()) };
            let keys = self.node(&at.value, value);
            modules.push((at, keys));
        }
        modules
    }

    /// `"unit"`, or a table of keys.
    fn node(&mut self, path: &str, value: &Value<'_>) -> Keys {
        let mut keys = Keys::default();
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    let word = key.get_ref().as_ref();
                    if !is_key(word) && is_node(word, value) {
                        let title = format!("unknown key `{word}` in `{path}`");
                        let help =
                            format!("write the path of a module as one key: \"{path}::{word}\"");
                        self.wrong(key.span(), title, help);
                        continue;
                    }
                    self.node_key(&mut keys, key, value, NODE_KEYS);
                }
                self.check_node(&keys);
            }
            _ => keys.policy = self.policy(value),
        }
        keys
    }
}

#[cfg(test)]
mod tests;
