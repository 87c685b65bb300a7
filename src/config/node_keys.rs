//! The keys of one node: of a module, or of all of them.

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::keys::{Backoff, Flaky, KINDS, Keys, Kind, Locks, Recycle, RetryKeys, Threads};
use super::value::{At, Reader, Value, integer};

pub(super) const NODE_KEYS: &[&str] = &[
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

impl Reader<'_> {
    pub(super) fn node_key(
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
            "timeout" => keys.timeout = self.timeout(value, "timeout"),
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
    pub(super) fn check_node(&mut self, keys: &Keys) {
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

    pub(super) fn policy(&mut self, value: &Value<'_>) -> Option<At<Kind>> {
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
                self.wrong(value.span(), title, "use one of auto, unit, split and shared");
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
