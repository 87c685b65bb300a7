//! The command line with the defaults that the workspace and its profile declare.

use std::ffi::OsString;
use std::path::Path;

use crate::archive::reader::Archive;
use crate::cargo::root_manifest;
use crate::cli::args::{Args, Command};
use crate::cli::profile_args::ProfileChoice;
use crate::cli::{command_line, flag_defaults, settings};
use crate::config::diagnostic::{Diagnostic, Source, nearest, suggestion};
use crate::config::schema::{self, Config, Table};
use crate::config::value::At;
use crate::error::{Error, Result};
use crate::process::stderr::write_line;

/// The name of the metadata's table.
const NAME: &str = "partest";

/// Adds the defaults to what was typed. Mistakes in them are reported with all others of the
/// metadata; a profile that does not exist is one here. The workspace is that of the archive, if
/// there is one.
pub fn add(typed: Args, words: &[OsString], archive: Option<&Archive>) -> Result<Args> {
    // These are about no workspace.
    if matches!(typed.command, Some(Command::Merge(_) | Command::Setup(_))) {
        return Ok(typed);
    }
    let profile = typed.options.profile.choice();
    let root = match archive {
        Some(archive) => archive.root_manifest(),
        None => root_manifest::mentioning(NAME, typed.options.cargo.manifest_path.as_deref()),
    };
    let Some((path, text)) = root else {
        return match profile {
            Some(choice) => Err(undeclared(&choice, Path::new("Cargo.toml"))),
            None => Ok(typed),
        };
    };
    let source = Source::new(&path, text);
    let config = schema::read(&source, Table::Workspace, flag_defaults::FLAGS, &mut Vec::new());
    let chosen = match &profile {
        Some(choice) => match config.profile(&choice.name) {
            None if config.profiles.is_empty() => return Err(undeclared(choice, &source.path)),
            None => return Err(unknown(choice, &config, &typed)),
            found => found,
        },
        None => None,
    };
    let tables = chosen.map(|profile| &profile.flags).into_iter().chain([&config.flags]);
    let tables: Vec<_> = tables.filter(|flags| !flags.is_empty()).collect();
    if tables.is_empty() {
        return Ok(typed);
    }
    let root = path.parent().unwrap_or(Path::new("/"));
    let words = flag_defaults::with_defaults(words, typed.command.as_ref(), &tables, root);
    Ok(command_line::parse(&words))
}

/// There are no profiles in this manifest.
fn undeclared(choice: &ProfileChoice, manifest: &Path) -> Error {
    let ProfileChoice { name, origin } = choice;
    Error::usage(format!(
        "unknown profile `{name}` (from {origin}): `{}` declares no profiles; \
         add [workspace.metadata.partest.profile.{name}]",
        manifest.display()
    ))
}

/// Points at the profile with the nearest name, or at the first one.
fn unknown(choice: &ProfileChoice, config: &Config, typed: &Args) -> Error {
    let ProfileChoice { name, origin } = choice;
    let known: Vec<&str> = config.profiles.iter().map(|(name, _)| name.value.as_str()).collect();
    let near = nearest(name, known.iter().copied());
    let mut places = config.profiles.iter();
    let place = places.find(|(known, _)| near.is_none_or(|near| known.value == near));
    let title = format!("unknown profile `{name}` (from {origin})");
    let help = suggestion(name, &known);
    let Some((At { place, .. }, _)) = place else { return Error::usage(title) };
    let diagnostic = Diagnostic::error(place.clone(), title).help(help);
    let color = settings::color(typed.options.output.color);
    write_line(&diagnostic.render(color.stderr));
    let text = "aborting because there is no such profile".to_owned();
    Error::Metadata { text, mistakes: vec![diagnostic.mistake()] }
}
