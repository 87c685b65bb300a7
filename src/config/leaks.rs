//! The `leaks` key of a node.

use std::ops::Range;

use super::keys::LeakKeys;
use super::value::{At, Reader, Value};
use crate::model::leak::{LEAK_ACTIONS, LEAK_KINDS, LeakAction, LeakKind};

/// Kinds that are planned. Nothing detects them yet, so a rule about one would have no effect.
const KINDS_TO_COME: [&str; 6] = ["output", "fd", "socket", "cwd", "env", "tempfile"];

impl Reader<'_> {
    /// `"warn"`, or a table of actions by kind and patterns to ignore.
    pub(super) fn leaks(&mut self, value: &Value<'_>) -> Option<At<LeakKeys>> {
        let mut leaks = LeakKeys::default();
        match value.get_ref().as_table() {
            None => leaks.all = self.leak_action(value),
            Some(table) => {
                for (key, value) in table {
                    match key.get_ref().as_ref() {
                        "ignore" => self.leak_ignores(value, &mut leaks),
                        "all" => leaks.all = self.leak_action(value),
                        word => {
                            let kind = self.leak_kind(key.span(), word, &["all", "ignore"]);
                            let action = self.leak_action(value);
                            leaks.by_kind.extend(kind.zip(action));
                        }
                    }
                }
            }
        }
        Some(At { value: leaks, place: self.place(value.span()) })
    }

    pub(super) fn leak_kind(
        &mut self,
        span: Range<usize>,
        word: &str,
        besides: &[&str],
    ) -> Option<LeakKind> {
        let found = LEAK_KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
        let mut known: Vec<&str> = LEAK_KINDS.iter().map(|(name, _)| *name).collect();
        match found {
            None if KINDS_TO_COME.contains(&word) => {
                let title = format!("leaks of kind `{word}` are not supported yet");
                self.wrong(
                    span,
                    title,
                    format!("remove it; supported kinds: {}", known.join(", ")),
                );
            }
            None => {
                known.extend(besides);
                self.unknown(span, "leak kind", word, &known);
            }
            Some(_) => {}
        }
        found
    }

    pub(super) fn leak_action(&mut self, value: &Value<'_>) -> Option<LeakAction> {
        let Some(word) = value.get_ref().as_str() else {
            self.wants(value, "leaks", "\"allow\", \"warn\", \"deny\" or a table by kind");
            return None;
        };
        let found = LEAK_ACTIONS.iter().find(|(name, _)| *name == word).map(|(_, action)| *action);
        if found.is_none() {
            let known: Vec<&str> = LEAK_ACTIONS.iter().map(|(name, _)| *name).collect();
            self.unknown(value.span(), "leak action", word, &known);
        }
        found
    }

    pub(super) fn leak_ignores(&mut self, value: &Value<'_>, leaks: &mut LeakKeys) {
        let Some(rules) = value.get_ref().as_array() else {
            return self.wants(value, "ignore", "a list such as [{ thread = \"pool-*\" }]");
        };
        for rule in rules {
            let Some(table) = rule.get_ref().as_table() else {
                self.wants(rule, "ignore", "a table such as { thread = \"pool-*\" }");
                continue;
            };
            for (key, pattern) in table {
                let kind = self.leak_kind(key.span(), key.get_ref(), &[]);
                match (kind, pattern.get_ref().as_str()) {
                    (Some(kind), Some(text)) => leaks.ignore.push((kind, text.to_owned())),
                    (_, None) => self.wants(pattern, key.get_ref(), "a string"),
                    _ => {}
                }
            }
        }
    }
}
