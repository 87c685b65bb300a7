//! `init`: a commented table in Cargo.toml, made for the tests that are there.

use std::io::Write;
use std::path::Path;

use toml::de::DeTable;

use super::template::{Findings, Unit, template};
use crate::cli::metadata_args::InitArgs;
use crate::commands::project::Project;
use crate::config::diagnostic::{Place, Source};
use crate::discovery::filter::Choice;
use crate::error::{Error, Result};
use crate::plan::group::{Group, Isolation};
use crate::plan::grouping;
use crate::plan::history::History;
use crate::state;

/// Adds the table to the manifest of the workspace. Returns what to tell the user.
pub fn init(args: &InitArgs, project: Project<'_>) -> Result<String> {
    let manifest = project.workspace.root_source()?;
    if let Some(place) = declared(project)? {
        return Err(Error::usage(format!(
            "{place} already has cargo partest settings; nothing was changed; `cargo partest plan` shows what they do"
        )));
    }
    let section = if has_table(&manifest.text, "workspace") { "workspace" } else { "package" };
    let findings = findings(section, project);
    let added = template(&findings);
    if args.dry_run {
        return Ok(added);
    }
    let path = &project.workspace.root_manifest;
    let shown = manifest.path.display();
    let text = with(&manifest.text, &added);
    if DeTable::parse(&text).is_err() {
        return Err(Error::usage(format!(
            "`{shown}` declares `{section}.metadata` in a way that no table can be added to; `cargo partest init --dry-run` prints the lines, to be put there by hand"
        )));
    }
    write(path, &text).map_err(|error| Error::usage(format!("cannot write `{shown}`: {error}")))?;
    let line = manifest.text.lines().count() + 2;
    Ok(format!(
        "added [{section}.metadata.partest] to {shown}:{line}: comments only, so nothing changes yet\n\
         next: uncomment what you want, and look at `cargo partest plan`\n"
    ))
}

/// Where a manifest of the workspace has metadata for this program.
fn declared(project: Project<'_>) -> Result<Option<Place>> {
    let Project { workspace, policy, .. } = project;
    let root = workspace.root_source()?;
    let of_workspace = policy.workspace.is_declared.then_some((root, "workspace"));
    let packages = policy.packages.iter().zip(&workspace.packages);
    let mut of_packages = packages
        .filter(|(policy, _)| policy.config.is_declared)
        .map(|(_, package)| (package.manifest.clone(), "package"));
    Ok(of_workspace.or_else(|| of_packages.next()).map(|(source, section)| {
        let span = span_of_table(&source, section).unwrap_or_default();
        Place { source, span }
    }))
}

fn span_of_table(source: &Source, section: &str) -> Option<std::ops::Range<usize>> {
    let document = DeTable::parse(&source.text).ok()?;
    let section = document.get_ref().get(section)?.get_ref().as_table()?;
    let metadata = section.get("metadata")?.get_ref().as_table()?;
    let (key, _) = metadata.iter().find(|(key, _)| key.get_ref() == "partest")?;
    Some(key.span())
}

fn has_table(manifest: &str, name: &str) -> bool {
    DeTable::parse(manifest).is_ok_and(|document| document.get_ref().contains_key(name))
}

fn findings(section: &'static str, project: Project<'_>) -> Findings {
    let Project { settings, workspace, policy, inventory, .. } = project;
    let all: Vec<Vec<Choice>> =
        inventory.listings.iter().map(|listing| vec![Choice::Run; listing.tests.len()]).collect();
    // Without a history, short tests are not joined.
    let nothing = History::default();
    let grouped = grouping::group(inventory, 0, &all, settings, policy, &nothing);
    let unit = |group: &Group| {
        let why =
            group.why.strip_prefix("auto: ").filter(|_| group.isolation == Isolation::Unit)?;
        Some(Unit { node: group.node.clone(), tests: group.tests.len(), why: why.to_owned() })
    };
    let serial = policy.packages.iter().filter(|package| package.uses_serial_test);
    Findings {
        section,
        serial: serial.map(|package| package.name.clone()).collect(),
        units: grouped.groups.iter().filter_map(unit).collect(),
        has_nextest_config: workspace.root().join(".config/nextest.toml").is_file(),
    }
}

/// The text with these lines at its end, which end as its own do.
fn with(text: &str, added: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let missing = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    format!("{text}{missing}{end}{}", added.replace('\n', end))
}

/// Whole or not at all, with the permissions that the file has. One that is a link stays one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let permissions = std::fs::metadata(&path)?.permissions();
    state::replace_file(&path, state::ORDINARY, |file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(permissions)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_at_the_end_and_end_like_the_others() {
        let table = [
            ("[package]\n", "[package]\n\na\nb\n"),
            ("[package]", "[package]\n\na\nb\n"),
            ("[package]\r\nx = 1\r\n", "[package]\r\nx = 1\r\n\r\na\r\nb\r\n"),
        ];
        for (text, expected) in table {
            assert_eq!(with(text, "a\nb\n"), expected);
        }
    }

    /// Each of its comments is one that works when it is uncommented.
    #[test]
    fn what_is_added_is_accepted_as_it_is_and_uncommented() {
        use crate::config::flags::Flags;
        use crate::config::schema::{Table, read};
        use std::sync::Arc;
        let unit = Unit { node: "web::db".into(), tests: 2, why: "static web::db::POOL".into() };
        for units in [vec![unit], Vec::new()] {
            let serial = vec!["web".to_owned()];
            let findings = Findings { section: "package", serial, units, has_nextest_config: true };
            let text = template(&findings);
            let is_key = |line: &&str| line.starts_with("# ") && line.contains(" = ");
            let uncommented: String = text
                .lines()
                .map(|line| line.strip_prefix("# ").filter(|_| is_key(&line)).unwrap_or(line))
                .map(|line| format!("{line}\n"))
                .collect();
            for (text, is_set) in [(text, false), (uncommented, true)] {
                let source = Arc::new(Source { path: "Cargo.toml".into(), text });
                let mut diagnostics = Vec::new();
                let config = read(&source, Table::Package, Flags::none(), &mut diagnostics);
                assert!(diagnostics.is_empty(), "{diagnostics:?}");
                assert!(config.is_declared);
                assert_eq!(config.keys.timeout.is_some(), is_set, "{}", source.text);
                assert_eq!(config.modules.is_empty(), !is_set);
            }
        }
    }
}
