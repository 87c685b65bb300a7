//! Reading of TOML values with their places in Cargo.toml.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Place, Source, suggestion};
use super::flags::Flags;
use super::hints;
use crate::model::{duration, size};

/// A value and its place.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub value: T,
    pub place: Place,
}

/// Reads TOML values, and collects diagnostics about them.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
    /// The flags of the command line that may have defaults.
    pub(super) flags: Flags,
}

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.source.clone(), span }
    }

    pub(super) fn wrong(&mut self, span: Range<usize>, title: String, help: impl Into<String>) {
        let diagnostic = Diagnostic::error(self.place(span), title).help(help);
        self.diagnostics.push(diagnostic);
    }

    /// A word that is none of the `known` ones, with the answer to words of other test runners.
    pub(super) fn unknown(&mut self, span: Range<usize>, what: &str, word: &str, known: &[&str]) {
        self.unknown_titled(span, format!("unknown {what} `{word}`"), word, known);
    }

    pub(super) fn unknown_in(
        &mut self,
        span: Range<usize>,
        table: &str,
        word: &str,
        known: &[&str],
    ) {
        self.unknown_titled(span, format!("unknown key `{word}` in `{table}`"), word, known);
    }

    pub(super) fn unknown_value(
        &mut self,
        span: Range<usize>,
        key: &str,
        word: &str,
        known: &[&str],
    ) {
        self.unknown_titled(span, format!("unknown value `{word}` for `{key}`"), word, known);
    }

    fn unknown_titled(&mut self, span: Range<usize>, title: String, word: &str, known: &[&str]) {
        let help = hints::answer(word).map(str::to_owned);
        self.wrong(span, title, help.unwrap_or_else(|| suggestion(word, known)));
    }

    /// Reports a value of the wrong type or out of range. The title says what to write instead.
    pub(super) fn wants(&mut self, value: &Value<'_>, key: &str, wanted: &str) {
        let place = self.place(value.span());
        self.diagnostics.push(Diagnostic::error(place, format!("`{key}` must be {wanted}")));
    }

    pub(super) fn text(
        &mut self,
        value: &Value<'_>,
        key: &str,
        wanted: &str,
    ) -> Option<At<String>> {
        let found = value.get_ref().as_str().map(str::to_owned);
        if found.is_none() {
            self.wants(value, key, wanted);
        }
        found.map(|found| At { value: found, place: self.place(value.span()) })
    }

    pub(super) fn boolean(&mut self, value: &Value<'_>, key: &str) -> Option<At<bool>> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wants(value, key, "true or false");
        }
        found.map(|found| At { value: found, place: self.place(value.span()) })
    }

    pub(super) fn count(
        &mut self,
        value: &Value<'_>,
        key: &str,
        least: usize,
    ) -> Option<At<usize>> {
        let found = integer(value).filter(|count| *count >= least);
        if found.is_none() {
            self.wants(value, key, &format!("an integer of at least {least}"));
        }
        found.map(|found| At { value: found, place: self.place(value.span()) })
    }

    pub(super) fn one_of<T: Copy>(
        &mut self,
        value: &Value<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let Some(word) = value.get_ref().as_str() else {
            self.wants(value, key, &format!("one of \"{}\"", names.join("\", \"")));
            return None;
        };
        let found = words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            self.unknown_value(value.span(), key, word, &names);
        }
        found
    }

    pub(super) fn duration(&mut self, value: &Value<'_>, key: &str) -> Option<At<Duration>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wants(value, key, "a duration such as \"30s\"");
            return None;
        };
        match duration::parse(text) {
            Ok(found) => Some(At { value: found, place: self.place(value.span()) }),
            Err(why) => {
                self.wrong(value.span(), format!("invalid duration for `{key}`"), why);
                None
            }
        }
    }

    pub(super) fn size(&mut self, value: &Value<'_>, key: &str) -> Option<At<u64>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wants(value, key, "a memory size such as \"512MiB\"");
            return None;
        };
        match size::parse(text) {
            Ok(found) => Some(At { value: found, place: self.place(value.span()) }),
            Err(why) => {
                self.wrong(value.span(), format!("invalid memory size for `{key}`"), why);
                None
            }
        }
    }

    pub(super) fn timeout(&mut self, value: &Value<'_>, key: &str) -> Option<At<Duration>> {
        let found = self.duration(value, key)?;
        if found.value.is_zero() {
            let help = format!("remove `{key}` to set no limit");
            self.wrong(value.span(), format!("`{key}` must not be zero"), help);
        }
        Some(found)
    }

    pub(super) fn strings(&mut self, value: &Value<'_>, key: &str) -> Vec<String> {
        let strings = value.get_ref().as_array().and_then(|array| {
            array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        });
        if strings.is_none() {
            match value.get_ref().as_str() {
                Some(text) => self.wants(value, key, &format!("a list, such as [{text:?}]")),
                None => self.wants(value, key, "a list of strings"),
            }
        }
        strings.unwrap_or_default()
    }

    pub(super) fn env(&mut self, value: &Value<'_>) -> Option<At<BTreeMap<String, String>>> {
        let Some(table) = value.get_ref().as_table() else {
            self.wants(value, "env", "a table such as { RUST_LOG = \"debug\" }");
            return None;
        };
        let mut env = BTreeMap::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if name.is_empty() || name.contains(['=', '\0']) {
                self.wrong(
                    key.span(),
                    format!("invalid environment variable name `{name}`"),
                    "use letters, digits and `_`",
                );
            }
            match value.get_ref().as_str() {
                Some(text) => drop(env.insert(name, text.to_owned())),
                None => self.wants(value, &format!("env.{name}"), "a string"),
            }
        }
        Some(At { value: env, place: self.place(value.span()) })
    }

    pub(super) fn fixture_names(&mut self, value: &Value<'_>) -> Option<At<Vec<At<String>>>> {
        let items: Vec<&Value<'_>> = match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => vec![value],
        };
        let mut names = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(name) => {
                    names.push(At { value: name.to_owned(), place: self.place(item.span()) })
                }
                None => self.wants(item, "fixture", "the name of a fixture"),
            }
        }
        Some(At { value: names, place: self.place(value.span()) })
    }
}

pub(super) fn integer(value: &Value<'_>) -> Option<usize> {
    let integer = value.get_ref().as_integer()?;
    usize::from_str_radix(integer.as_str(), integer.radix()).ok()
}
