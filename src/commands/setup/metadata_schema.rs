//! The JSON Schema of the metadata, by which editors complete and check Cargo.toml.

use clap::CommandFactory;
use serde_json::{Map, Value, json};

use crate::cli::args::Args;
use crate::cli::flag_defaults::FLAGS;
use crate::cli::libtest_args::LibtestArgs;
use crate::config::flags::Takes;

/// All of it but the keys that are flags of the command line, and the tables that are made of parts.
const WRITTEN: &str = include_str!("metadata_schema.json");

/// Where the parts are, in the written schema only.
const PARTS: [&str; 2] = ["top", "top-of-workspace"];

/// What a key of a profile cannot be: fixtures are for all profiles.
const NOT_IN_PROFILES: &str = "fixtures";

/// The schema of a whole Cargo.toml, in which everything that is not ours is left open.
pub fn schema() -> Value {
    // A unit test reads it.
    let mut schema: Value = serde_json::from_str(WRITTEN).unwrap_or_default();
    let definitions = &mut schema["definitions"];
    let part =
        |name: &str| definitions[name]["properties"].as_object().cloned().unwrap_or_default();
    let [node, top, of_workspace] = ["node", PARTS[0], PARTS[1]].map(part);
    let package = joined([&node, &top]);
    let flags: Map<String, Value> =
        flags().into_iter().filter(|(name, _)| !package.contains_key(name)).collect();
    let mut profile = joined([&package, &flags]);
    profile.remove(NOT_IN_PROFILES);
    definitions["workspace"]["properties"] = joined([&package, &flags, &of_workspace]).into();
    definitions["package"]["properties"] = package.into();
    definitions["profile"]["properties"] = profile.into();
    if let Some(definitions) = definitions.as_object_mut() {
        PARTS.iter().for_each(|part| drop(definitions.remove(*part)));
    }
    schema
}

fn joined<const N: usize>(parts: [&Map<String, Value>; N]) -> Map<String, Value> {
    let all = parts.into_iter().flatten();
    all.map(|(name, schema)| (name.clone(), schema.clone())).collect()
}

/// The flags that may have a default.
fn flags() -> Vec<(String, Value)> {
    let commands = [Args::command(), LibtestArgs::command()];
    let find = |name: &str| {
        let mut arguments = commands.iter().flat_map(clap::Command::get_arguments);
        arguments.find(|argument| argument.get_long() == Some(name))
    };
    let flag = |name: String| {
        let takes = (FLAGS.takes)(&name)?;
        let help = find(&name).and_then(|flag| flag.get_help()).map(ToString::to_string);
        let words = find(&name).map(|flag| flag.get_possible_values()).unwrap_or_default();
        let words: Vec<&str> = words.iter().map(clap::builder::PossibleValue::get_name).collect();
        let mut schema = default_of(takes, &words);
        schema["description"] = help.unwrap_or_else(|| "Only run tests that match".into()).into();
        Some((name, schema))
    };
    (FLAGS.names)().into_iter().filter_map(flag).collect()
}

/// The schema for the default of a flag, which accepts these words only if there are any.
fn default_of(takes: Takes, words: &[&str]) -> Value {
    let text = match words.is_empty() {
        true => json!({ "type": ["string", "integer"] }),
        false => json!({ "enum": words }),
    };
    match takes {
        Takes::Nothing => json!({ "type": "boolean" }),
        Takes::Count => json!({ "type": ["boolean", "integer"], "minimum": 0 }),
        Takes::Value => text,
        Takes::MaybeValue => json!({ "anyOf": [{ "type": "boolean" }, text] }),
        Takes::Values => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::config::diagnostic::Source;
    use crate::config::schema::{Table, read};

    /// The keys that the program knows where this line is, as it says about one that it does not know.
    fn known(table: Table, text: &str) -> BTreeSet<String> {
        let source = Arc::new(Source { path: "Cargo.toml".into(), text: text.into() });
        let mut diagnostics = Vec::new();
        read(&source, table, FLAGS, &mut diagnostics);
        let helps = diagnostics.iter().filter(|one| one.title.contains("zzzzzz"));
        let help = helps.filter_map(|one| one.help.as_deref()).next().unwrap_or_default();
        let list = help.strip_prefix("expected one of: ");
        list.unwrap_or_else(|| panic!("{text}: {diagnostics:?}"))
            .split(", ")
            .map(str::to_owned)
            .collect()
    }

    fn keys(schema: &Value) -> BTreeSet<String> {
        let properties = schema["properties"].as_object();
        properties.unwrap_or_else(|| panic!("{schema:#}")).keys().cloned().collect()
    }

    /// That of a table among the ways to write a key.
    fn table<'s>(schema: &'s Value, name: &str) -> &'s Value {
        let ways = schema["properties"][name]["anyOf"].as_array();
        let ways =
            ways.map_or_else(|| std::slice::from_ref(&schema["properties"][name]), Vec::as_slice);
        ways.iter().find(|way| way["type"] == "object").unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn every_key_of_the_program_is_in_the_schema_and_no_other() {
        let schema = schema();
        let definitions = &schema["definitions"];
        let [node, fixture, package, workspace, profile] =
            ["node", "fixture", "package", "workspace", "profile"].map(|name| &definitions[name]);
        let module = "[package.metadata.partest.modules]\nweb = ";
        let of_node = |text: &str| known(Table::Package, &format!("{module}{{ {text} }}"));
        let of_fixture = |text: &str| {
            let heading = "[package.metadata.partest.fixtures.db]\n";
            known(Table::Package, &format!("{heading}start = [\"x\"]\n{text}"))
        };
        let of_package =
            |text: &str| known(Table::Package, &format!("[package.metadata.partest]\n{text}"));
        for (schema, known) in [
            (node, of_node("zzzzzz = 1")),
            (table(node, "leaks"), of_node("leaks = { zzzzzz = \"deny\" }")),
            (table(node, "retries"), of_node("retries = { zzzzzz = 1 }")),
            (table(node, "locks"), of_node("locks = { zzzzzz = 1 }")),
            (fixture, of_fixture("zzzzzz = 1")),
            (table(fixture, "ready"), of_fixture("ready = { zzzzzz = 1 }")),
            (table(fixture, "stop"), of_fixture("stop = { zzzzzz = 1 }")),
            (package, of_package("zzzzzz = 1")),
            (table(package, "reports"), of_package("reports = { zzzzzz = 1 }")),
            (table(package, "archive"), of_package("archive = { zzzzzz = 1 }")),
        ] {
            assert_eq!(keys(schema), known);
        }
        let ignored = &table(node, "leaks")["properties"]["ignore"]["items"];
        assert_eq!(keys(ignored), of_node("leaks = { ignore = [{ zzzzzz = \"a\" }] }"));
        let flags: BTreeSet<String> = (FLAGS.names)().into_iter().collect();
        let top = known(Table::Workspace, "[workspace.metadata.partest]\nzzzzzz = 1");
        assert_eq!(keys(workspace), top.union(&flags).cloned().collect());
        let in_profile = keys(package).into_iter().filter(|key| key != "fixtures");
        assert_eq!(keys(profile), in_profile.chain(flags).collect());
    }

    #[test]
    fn words_are_those_that_the_program_takes() {
        use crate::config::keys::KINDS;
        use crate::model::leak::LEAK_ACTIONS;
        let schema = schema();
        let words = |name: &str| schema["definitions"][name]["enum"].clone();
        assert_eq!(words("policy"), json!(KINDS.map(|(name, _)| name)));
        assert_eq!(words("leak-action"), json!(LEAK_ACTIONS.map(|(name, _)| name)));
        let no_tests = &schema["definitions"]["workspace"]["properties"]["no-tests"];
        assert_eq!(no_tests["enum"], json!(["fail", "warn", "pass"]));
        assert_eq!(schema["definitions"]["workspace"]["properties"]["isolate"]["type"], "boolean");
    }
}
