//! The tables `[workspace.metadata.partest]` and `[package.metadata.partest]` as written. `policy`
//! gives them their meaning.

use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source};
use super::fixtures::FixtureKeys;
use super::keys::{Backoff, Flaky, KINDS, Keys, Kind, Locks, Recycle, RetryKeys, Threads};
use super::value::{At, Reader, Value, integer};

const NODE_KEYS: &[&str] = &[
    "policy",
    "isolate",
    "threads",
    "slots",
    "locks",
    "exclusive",
    "timeout",
    "slow",
    "retries",
    "memory",
    "recycle",
    "env",
    "leaks",
    "linger",
    "leak-timeout",
    "fixture",
    "override",
];
const TOP_KEYS: &[&str] =
    &["modules", "fixtures", "list-timeout", "run-timeout", "overcommit", "early"];

/// One `partest` table.
#[derive(Debug, Default)]
pub struct Config {
    /// Whether the table exists.
    pub is_declared: bool,
    pub keys: Keys,
    pub modules: Vec<(At<String>, Keys)>,
    pub fixtures: Vec<(At<String>, FixtureKeys)>,
    pub list_timeout: Option<At<Duration>>,
    pub run_timeout: Option<At<Duration>>,
    /// How many slots there may be for each core, for tests that wait.
    pub overcommit: Option<At<usize>>,
    /// Whether tests may start while cargo builds others.
    pub early: Option<At<bool>>,
}

/// Which of the two tables a manifest is read for.
#[derive(Debug, Clone, Copy)]
pub enum Table {
    Workspace,
    Package,
}

/// Reads the `partest` table of one manifest, and collects all diagnostics about it.
///
/// A manifest that cannot be parsed is read as empty: cargo reports it.
pub fn read(source: &Arc<Source>, table: Table, diagnostics: &mut Vec<Diagnostic>) -> Config {
    let Ok(document) = DeTable::parse(&source.text) else {
        return Config::default();
    };
    let section = match table {
        Table::Workspace => "workspace",
        Table::Package => "package",
    };
    let metadata = inner(document.get_ref(), section).and_then(|table| inner(table, "metadata"));
    let Some(metadata) = metadata else { return Config::default() };
    let mut reader = Reader { source, diagnostics };
    reader.check_name(metadata, section);
    inner(metadata, NAME).map(|table| reader.config(table)).unwrap_or_default()
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

    fn config(&mut self, table: &DeTable<'_>) -> Config {
        let mut config = Config { is_declared: true, ..Config::default() };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "modules" => config.modules = self.modules(value),
                "fixtures" => config.fixtures = self.fixtures(value),
                "run-timeout" => config.run_timeout = self.timeout(value),
                "overcommit" => config.overcommit = self.count(value, "overcommit", 1),
                "early" => config.early = self.boolean(value, "early"),
                "list-timeout" => config.list_timeout = self.duration(value, "list-timeout"),
                _ => {
                    let known: Vec<&str> = [NODE_KEYS, TOP_KEYS].concat();
                    self.node_key(&mut config.keys, key, value, &known);
                }
            }
        }
        self.check_node(&config.keys);
        config
    }

    fn modules(&mut self, value: &Value<'_>) -> Vec<(At<String>, Keys)> {
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "modules", "a table of module paths");
            return Vec::new();
        };
        let mut modules = Vec::new();
        for (path, value) in table {
            let at = At { value: path.get_ref().to_string(), place: self.place(path.span()) };
            modules.push((at, self.node(value)));
        }
        modules
    }

    /// `"unit"`, or a table of keys.
    fn node(&mut self, value: &Value<'_>) -> Keys {
        let mut keys = Keys::default();
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    self.node_key(&mut keys, key, value, NODE_KEYS);
                }
                self.check_node(&keys);
            }
            _ => keys.policy = self.policy(value),
        }
        keys
    }

    fn node_key(
        &mut self,
        keys: &mut Keys,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Value<'_>,
        known: &[&str],
    ) {
        match key.get_ref().as_ref() {
            "policy" => keys.policy = self.policy(value),
            "isolate" => keys.isolate = self.boolean(value, "isolate"),
            "exclusive" => keys.exclusive = self.boolean(value, "exclusive"),
            "override" => keys.overrides = self.boolean(value, "override").is_some_and(|b| b.value),
            "threads" => keys.threads = self.threads(value),
            "slots" => keys.slots = self.count(value, "slots", 1),
            "retries" => keys.retries = self.retries(value),
            "locks" => keys.locks = self.locks(value),
            "timeout" => keys.timeout = self.timeout(value),
            "slow" => keys.slow = self.duration(value, "slow"),
            word @ ("linger" | "leak-timeout") => {
                if keys.linger.is_some() {
                    let title = "duplicate key: `leak-timeout` is an alias of `linger`".to_owned();
                    self.wrong(key.span(), title, "remove one of them");
                }
                keys.linger = self.duration(value, word);
            }
            "memory" => keys.memory = self.size(value, "memory"),
            "recycle" => keys.recycle = self.recycle(value),
            "env" => keys.env = self.env(value),
            "leaks" => keys.leaks = self.leaks(value),
            "fixture" => keys.fixture = self.fixture_names(value),
            word => self.unknown(key.span(), "key", word, known),
        }
    }

    /// Checks the keys of one node against each other.
    fn check_node(&mut self, keys: &Keys) {
        let policy = keys.policy.as_ref().map(|policy| policy.value);
        if let (Some(isolate), Some(Kind::Unit)) = (&keys.isolate, policy)
            && isolate.value
        {
            let diagnostic = Diagnostic::error(
                isolate.place.clone(),
                "`isolate` conflicts with `policy = \"unit\"`",
            )
            .help("remove `isolate`, or use policy = \"split\"");
            self.diagnostics.push(diagnostic);
        }
        match (&keys.fixture, policy) {
            (Some(fixture), Some(kind)) if kind != Kind::Shared => {
                let title = format!("`fixture` conflicts with `policy = \"{}\"`", kind.as_str());
                let diagnostic = Diagnostic::error(fixture.place.clone(), title)
                    .help("use policy = \"shared\", or remove `fixture`");
                self.diagnostics.push(diagnostic);
            }
            _ => {}
        }
    }

    fn policy(&mut self, value: &Value<'_>) -> Option<At<Kind>> {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        match value.get_ref() {
            DeValue::String(word) => {
                let kind = KINDS.iter().find(|(name, _)| name == word).map(|(_, kind)| *kind);
                if kind.is_none() {
                    self.unknown(value.span(), "policy", word, &names);
                }
                kind.map(|value_| At { value: value_, place: self.place(value.span()) })
            }
            DeValue::Array(_) => {
                let title = "`policy` must be one policy, not a list".to_owned();
                self.wrong(
                    value.span(),
                    title,
                    "use one of auto, unit, split and shared",
                );
                None
            }
            _ => {
                self.wants(value, "policy", "\"auto\", \"unit\", \"split\" or \"shared\"");
                None
            }
        }
    }

    fn threads(&mut self, value: &Value<'_>) -> Option<At<Threads>> {
        let found = match value.get_ref().as_str() {
            Some("auto") => Some(Threads::Auto),
            _ => integer(value).filter(|n| *n > 0).map(Threads::Exactly),
        };
        if found.is_none() {
            self.wants(value, "threads", "\"auto\" or an integer of at least 1");
        }
        found.map(|found| At { value: found, place: self.place(value.span()) })
    }

    /// A number, or a table.
    fn retries(&mut self, value: &Value<'_>) -> Option<At<RetryKeys>> {
        let mut retries = RetryKeys::default();
        let Some(table) = value.get_ref().as_table() else {
            retries.count = self.count(value, "retries", 0)?.value;
            return Some(At { value: retries, place: self.place(value.span()) });
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "count" => retries.count = self.count(value, "count", 0)?.value,
                "delay" => retries.delay = self.duration(value, "delay")?.value,
                "backoff" => {
                    let words = [("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
                    retries.backoff = self.one_of(value, "backoff", &words)?;
                }
                "flaky" => {
                    let words = [("pass", Flaky::Pass), ("fail", Flaky::Fail)];
                    retries.flaky = self.one_of(value, "flaky", &words)?;
                }
                word => {
                    let known = ["count", "delay", "backoff", "flaky"];
                    self.unknown_in(key.span(), "retries", word, &known);
                }
            }
        }
        Some(At { value: retries, place: self.place(value.span()) })
    }

    fn recycle(&mut self, value: &Value<'_>) -> Option<At<Recycle>> {
        let found = match value.get_ref().as_str() {
            Some("on-failure") => Some(Recycle::OnFailure),
            Some("on-leak") => Some(Recycle::OnLeak),
            Some(word) => {
                self.unknown_value(value.span(), "recycle", word, &["on-failure", "on-leak"]);
                return None;
            }
            None => integer(value).filter(|n| *n > 0).map(Recycle::After),
        };
        if found.is_none() {
            self.wants(value, "recycle", "\"on-failure\", \"on-leak\" or a number of tests");
        }
        found.map(|found| At { value: found, place: self.place(value.span()) })
    }

    fn locks(&mut self, value: &Value<'_>) -> Option<At<Locks>> {
        let mut locks = Locks::default();
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, names) in table {
                    match key.get_ref().as_ref() {
                        "read" => locks.read = self.strings(names, "read"),
                        "write" => locks.write = self.strings(names, "write"),
                        word => self.unknown_in(key.span(), "locks", word, &["read", "write"]),
                    }
                }
            }
            _ => locks.write = self.strings(value, "locks"),
        }
        if let Some(both) = locks.read.iter().find(|name| locks.write.contains(name)) {
            let title = format!("lock `{both}` is in both `read` and `write`");
            self.wrong(value.span(), title, "remove it from `read`: a writer excludes all readers");
        }
        Some(At { value: locks, place: self.place(value.span()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_text(text: &str) -> (Config, Vec<String>) {
        let source = Arc::new(Source { path: "Cargo.toml".into(), text: text.into() });
        let mut diagnostics = Vec::new();
        let config = read(&source, Table::Package, &mut diagnostics);
        let shown = diagnostics
            .iter()
            .map(|m| format!("{}: {} ({})", m.place, m.title, m.help.as_deref().unwrap_or("")))
            .collect();
        (config, shown)
    }

    fn mistakes_of(line: &str) -> Vec<String> {
        read_text(&format!("[package.metadata.partest.modules]\n{line}\n")).1
    }

    #[test]
    fn all_keys_are_read() {
        let (found, diagnostics) = read_text(
            r#"
            [package.metadata.partest]
            leaks = { thread = "deny", ignore = [{ thread = "tokio-*" }] }
            linger = "100ms"
            list-timeout = "5s"
            [package.metadata.partest.modules]
            "web::cache" = "split"
            "web::db" = { policy = "unit", threads = 1, timeout = "30s", recycle = 4 }
            "cli" = { policy = "split", isolate = true, locks = { read = ["a"], write = ["b"] } }
            "api" = { policy = "shared", fixture = "server" }
            [package.metadata.partest.fixtures.server]
            start = ["server", "--port", "0"]
            ready = "listening on (?<ADDR>\\S+)"
            "#,
        );
        assert_eq!(diagnostics, Vec::<String>::new());
        let policies: Vec<_> = found
            .modules
            .iter()
            .map(|(path, keys)| (path.value.as_str(), keys.policy.as_ref().unwrap().value))
            .collect();
        assert_eq!(
            policies,
            [
                ("api", Kind::Shared),
                ("cli", Kind::Split),
                ("web::cache", Kind::Split),
                ("web::db", Kind::Unit)
            ]
        );
        let locks = found.modules[1].1.locks.clone().unwrap().value;
        assert_eq!((locks.read, locks.write), (vec!["a".to_owned()], vec!["b".to_owned()]));
        assert_eq!(found.list_timeout.unwrap().value, Duration::from_secs(5));
    }

    #[test]
    fn every_diagnostic_has_its_line_and_the_nearest_valid_word() {
        let table = [
            (r#""a" = { treads = 2 }"#, "unknown key `treads` (did you mean `threads`?)"),
            (r#""a" = "spilt""#, "unknown policy `spilt` (did you mean `split`?)"),
            (
                r#""a" = ["split", "shared"]"#,
                "`policy` must be one policy, not a list (use one of auto, unit, split and shared)",
            ),
            (
                r#""a" = { threads = 0 }"#,
                "`threads` must be \"auto\" or an integer of at least 1 ()",
            ),
            (r#""a" = { slots = -1 }"#, "`slots` must be an integer of at least 1 ()"),
            (
                r#""a" = { timeout = "5" }"#,
                "invalid duration for `timeout` (`5` is not a duration; write a number and a unit: 100ms, 30s, 2m, 1h)",
            ),
            (
                r#""a" = { recycle = "on-failre" }"#,
                "unknown value `on-failre` for `recycle` (did you mean `on-failure`?)",
            ),
            (
                r#""a" = { locks = { read = ["x"], write = ["x"] } }"#,
                "lock `x` is in both `read` and `write` (remove it from `read`: a writer excludes all readers)",
            ),
            (
                r#""a" = { slow-timeout = "1s" }"#,
                "unknown key `slow-timeout` (use `slow` for the time after which a test is reported, `timeout` for the time after which it is stopped)",
            ),
            (
                r#""a" = "serial""#,
                "unknown policy `serial` (use `locks = [\"NAME\"]`, which also holds across processes, or `exclusive = true` to run beside no other test)",
            ),
            (r#""a" = { leaks = "dney" }"#, "unknown leak action `dney` (did you mean `deny`?)"),
            (
                r#""a" = { policy = "unit", isolate = true }"#,
                "`isolate` conflicts with `policy = \"unit\"` (remove `isolate`, or use policy = \"split\")",
            ),
            (
                r#""a" = { policy = "unit", fixture = "db" }"#,
                "`fixture` conflicts with `policy = \"unit\"` (use policy = \"shared\", or remove `fixture`)",
            ),
        ];
        for (line, expected) in table {
            assert_eq!(mistakes_of(line), [format!("Cargo.toml:2: {expected}")], "{line}");
        }
    }

    #[test]
    fn a_table_whose_name_is_misspelt_is_a_warning() {
        for name in ["parttest", "partets", "Partest", "par-test", "cargo-partest", "patest"] {
            let (_, shown) = read_text(&format!("[package.metadata.{name}]\ntimeout = \"1s\"\n"));
            let expected = format!(
                "Cargo.toml:1: unused table `package.metadata.{name}` \
                 (did you mean `package.metadata.partest`?)"
            );
            assert_eq!(shown, [expected]);
        }
        for name in ["partest", "nextest", "docs", "playground", "release", "part", "test"] {
            let (_, shown) = read_text(&format!("[package.metadata.{name}]\n"));
            assert_eq!(shown, Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn nextests_name_for_linger_is_understood() {
        let text = |lines| format!("[package.metadata.partest]\n{lines}\n");
        let (found, diagnostics) = read_text(&text("leak-timeout = \"1s\""));
        assert_eq!(diagnostics, Vec::<String>::new());
        assert_eq!(found.keys.linger.unwrap().value, Duration::from_secs(1));
        let (_, diagnostics) = read_text(&text("leak-timeout = \"1s\"\nlinger = \"1s\""));
        let both = "duplicate key: `leak-timeout` is an alias of `linger` (remove one of them)";
        assert_eq!(diagnostics, [format!("Cargo.toml:3: {both}")]);
    }

    #[test]
    fn all_diagnostics_are_reported_at_once() {
        assert_eq!(mistakes_of(r#""a" = { treads = 2, slost = 1, policy = "unit" }"#).len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
            read_text(&text);
            read_text(&format!("[package.metadata.partest]\n{text}"));
            read_text(&format!("[package.metadata.partest.modules]\n\"a\" = {text}"));
        }
    }
}
