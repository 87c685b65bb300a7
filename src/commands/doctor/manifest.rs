//! Writes suggested lines into manifests, whose format and comments stay as they are.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::error::{Error, Result};
use crate::model::diagnosis::Suggestion;
use crate::state::{self, ORDINARY};

/// Writes all of them, each manifest whole or not at all. Returns the manifests.
pub fn write<'s>(suggestions: impl Iterator<Item = &'s Suggestion>) -> Result<Vec<PathBuf>> {
    let mut by_manifest: BTreeMap<&Path, Vec<&Suggestion>> = BTreeMap::new();
    for suggestion in suggestions {
        by_manifest.entry(&suggestion.manifest).or_default().push(suggestion);
    }
    let mut written = Vec::new();
    for (manifest, lines) in by_manifest {
        let failed = |source| Error::Manifest { path: manifest.to_owned(), source };
        let text = std::fs::read_to_string(manifest).map_err(failed)?;
        let edited = with_lines(&text, &lines).map_err(|why| failed(std::io::Error::other(why)))?;
        // A link stays one.
        let file = std::fs::canonicalize(manifest).map_err(failed)?;
        let replaced =
            state::replace_file(&file, ORDINARY, |file| file.write_all(edited.as_bytes()));
        replaced.map_err(failed)?;
        written.push(manifest.to_owned());
    }
    Ok(written)
}

/// A manifest with these lines.
fn with_lines(text: &str, lines: &[&Suggestion]) -> std::result::Result<String, String> {
    let mut manifest: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    for Suggestion { node, line, .. } in lines {
        let mut at: &mut dyn TableLike = manifest.as_table_mut();
        for name in ["package", "metadata", "partest", "modules"] {
            let mut new = Table::new();
            new.set_implicit(true);
            let item = at.entry(name).or_insert(Item::Table(new));
            at = item.as_table_like_mut().ok_or_else(|| format!("`{name}` is no table"))?;
        }
        let keys = line.keys();
        let value = |text: &str| text.parse::<Value>().map_err(|error| format!("{error}"));
        match at.get_mut(node) {
            None => at.insert(node, Item::Value(value(&line.to_string())?)).map_or((), drop),
            // `"web::db" = "unit"`: the policy alone.
            Some(item) if item.is_str() => match &keys[..] {
                [("policy", policy)] => replace(item, value(policy)?),
                keys => {
                    let mut table = InlineTable::new();
                    if let Some(policy) = item.as_value() {
                        table.insert("policy", policy.clone().decorated(" ", ""));
                    }
                    for (key, text) in keys {
                        table.insert(*key, value(text)?);
                    }
                    replace(item, Value::InlineTable(table));
                }
            },
            Some(item) => {
                let table =
                    item.as_table_like_mut().ok_or_else(|| format!("`{node}` is no table"))?;
                for (key, text) in keys {
                    set(table, key, value(&text)?);
                }
            }
        }
    }
    Ok(manifest.to_string())
}

/// Sets a key. Further locks are added to those that are there.
fn set(table: &mut dyn TableLike, key: &str, new: Value) {
    match (table.get_mut(key), new) {
        (Some(Item::Value(Value::Array(locks))), Value::Array(new)) => {
            for lock in new {
                if !locks.iter().any(|known| known.as_str() == lock.as_str()) {
                    push(locks, lock);
                }
            }
        }
        (Some(item), new) => replace(item, new),
        (None, mut new) => {
            // The space before the brace, behind which it would stand.
            let last = table.iter_mut().last().and_then(|(_, item)| item.as_value_mut());
            if let Some(last) = last
                && last.decor().suffix().and_then(|suffix| suffix.as_str()) == Some(" ")
            {
                last.decor_mut().set_suffix("");
                new.decor_mut().set_suffix(" ");
            }
            drop(table.insert(key, Item::Value(new)));
        }
    }
}

/// Adds a value like those that are there: on its line, or on one of its own.
fn push(array: &mut Array, value: Value) {
    let last = array.iter().last().and_then(|last| last.decor().prefix()?.as_str());
    let space = match (array.len(), last) {
        (0, _) => "",
        (_, Some(last)) if last.contains('\n') => last,
        _ => " ",
    };
    let space = space.to_owned();
    array.push_formatted(value.decorated(space, ""));
}

/// With what stands around the old value: spaces and a comment.
fn replace(item: &mut Item, mut new: Value) {
    if let Some(old) = item.as_value() {
        *new.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::PolicyLine;

    fn edited(text: &str, lines: &[(&str, PolicyLine)]) -> String {
        let suggestion = |(node, line): &(&str, PolicyLine)| Suggestion {
            manifest: PathBuf::new(),
            node: (*node).to_owned(),
            line: line.clone(),
            proven: 0,
            gain: None,
        };
        let lines: Vec<Suggestion> = lines.iter().map(suggestion).collect();
        with_lines(text, &lines.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_table_is_made_where_there_is_none() {
        let before = "# Ours\n[package]\nname = \"web\" # its name\n";
        let after = "\n[dependencies]\n";
        let lines = [("web::db", PolicyLine::Split), ("web::a::b", PolicyLine::Isolate)];
        assert_eq!(
            edited(&[before, after].concat(), &lines),
            format!(
                "{before}\n[package.metadata.partest.modules]\n\"web::db\" = \"split\"\n\
                 \"web::a::b\" = {{ policy = \"split\", isolate = true }}\n{after}"
            )
        );
    }

    #[test]
    fn what_is_there_keeps_its_format_and_its_other_keys() {
        let text = "[package.metadata.partest.modules]\n\
            a   = 'unit'  # why\n\
            \"b\" = { policy = \"unit\", threads = 1 } # both\n\
            c = { locks = [\"one\"] }\n\
            d = \"unit\"\n";
        let lines = [
            ("a", PolicyLine::Split),
            ("b", PolicyLine::Split),
            ("c", PolicyLine::Lock("two".into())),
            ("c", PolicyLine::Lock("one".into())),
            ("d", PolicyLine::OneThread),
        ];
        assert_eq!(
            edited(text, &lines),
            "[package.metadata.partest.modules]\n\
            a   = \"split\"  # why\n\
            \"b\" = { policy = \"split\", threads = 1 } # both\n\
            c = { locks = [\"one\", \"two\"] }\n\
            d = { policy = \"unit\", threads = 1 }\n"
        );
    }

    #[test]
    fn several_lines_for_one_node_are_one() {
        let lock = |name: &str| PolicyLine::LockAndOneThread(name.to_owned());
        let two = PolicyLine::All(vec![PolicyLine::Isolate, lock("one")]);
        let three = PolicyLine::All(vec![two, lock("two")]);
        assert_eq!(
            three.to_string(),
            "{ policy = \"split\", isolate = true, locks = [\"one\", \"two\"], threads = 1 }"
        );
        let table = "[package.metadata.partest.modules]\na = { locks = [\"one\"] }\n";
        assert_eq!(
            edited(table, &[("a", three)]),
            "[package.metadata.partest.modules]\na = { locks = [\"one\", \"two\"], \
             policy = \"split\", isolate = true, threads = 1 }\n"
        );
    }

    #[test]
    fn a_table_of_another_shape_is_an_error() {
        let suggestion = Suggestion {
            manifest: PathBuf::new(),
            node: "a".into(),
            line: PolicyLine::Split,
            proven: 0,
            gain: None,
        };
        let edited = with_lines("[package]\nmetadata = 1\n", &[&suggestion]);
        assert_eq!(edited.unwrap_err(), "`metadata` is no table");
    }

    /// Manifests in which lines may have to be put, of every shape that cargo and we accept.
    const SHAPES: [&str; 8] = [
        "",
        "[package.metadata.partest.modules]\n",
        "[package.metadata.partest.modules]  # ours\n\n  a='unit'#why\n\n# between\n\"b\" =   \"unit\"\n",
        "[package.metadata]\npartest = { modules = { a = \"unit\" } } # inline\n",
        "[package.metadata.partest]\nleaks = \"deny\" # strict\n[package.metadata.partest.modules.a]\n# on lines\nthreads = 2\nlocks = [\n  \"one\", # first\n  \"two\",\n]\n",
        "[package.metadata.partest]\nmodules.a = { locks = [\"one\"], policy = \"unit\" } # dotted\n",
        "[package.metadata.other]\nkey = 'value' # theirs\n\n\n[package.metadata.partest.modules]\na = \"split\"",
        "[package.metadata.partest.modules]\r\na = \"unit\" # of Windows\r\n",
    ];

    #[test]
    fn whatever_is_written_twice_is_the_same_and_nothing_else_changes() {
        let lines = [
            PolicyLine::Split,
            PolicyLine::Isolate,
            PolicyLine::OneThread,
            PolicyLine::Lock("one".into()),
            PolicyLine::Lock("new".into()),
        ];
        for shape in SHAPES {
            let text = format!(
                "# Ours\n[package]\nname = \"web\" # its name\n\n{shape}\n[features]\nb = [] # last\n"
            );
            for (first, second) in
                lines.iter().flat_map(|one| lines.iter().map(move |two| (one, two)))
            {
                let both = [("a", first.clone()), ("b::c", second.clone()), ("a", second.clone())];
                let once = edited(&text, &both);
                assert_eq!(edited(&once, &both[1..]), once, "{text}");
                for comment in text.lines().filter_map(|line| Some(line.split_once('#')?.1)) {
                    assert!(once.contains(comment.trim_end()), "{comment}: {once}");
                }
                let value = |text: &str| text.parse::<toml::Table>().unwrap();
                let without_modules = |mut table: toml::Table| {
                    let package = table["package"].as_table_mut().unwrap();
                    let metadata = package.entry("metadata").or_insert(toml::Table::new().into());
                    let metadata = metadata.as_table_mut().unwrap();
                    let partest = metadata.entry("partest").or_insert(toml::Table::new().into());
                    let modules = partest.as_table_mut().unwrap().remove("modules");
                    (table, modules.unwrap_or_else(|| toml::Table::new().into()))
                };
                let (before, _) = without_modules(value(&text));
                let (after, modules) = without_modules(value(&once));
                assert_eq!(after, before, "{once}");
                let set = |node: &str, line: &PolicyLine| {
                    let (key, text) = line.keys().pop().unwrap();
                    let wanted = value(&format!("x = {text}"))["x"].clone();
                    let own = &modules[node];
                    let own = if own.is_str() { own } else { &own[key] };
                    match (own, &wanted) {
                        (toml::Value::Array(own), toml::Value::Array(wanted)) => {
                            wanted.iter().all(|lock| own.contains(lock))
                        }
                        (own, wanted) => own == wanted,
                    }
                };
                assert!(set("a", second) && set("b::c", second), "{once}");
            }
        }
    }
}
