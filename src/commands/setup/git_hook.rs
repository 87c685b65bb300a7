//! A git hook that runs the tests of what is about to be committed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::command::located_manifest;
use crate::cli::setup_args::HookCommand;
use crate::error::{Error, Result};
use crate::model::shell::quoted;
use crate::state;

const NAME: &str = "pre-commit";

/// By this line a hook is known to be ours.
const MARK: &str = "# Installed by `cargo partest hook install`.";

/// What a hook runs, in the folder of the workspace.
const RUN: &str = "cargo partest --quiet --changed";

/// Installs or removes the hook of the repository with this manifest, or with the current directory.
/// Returns what to tell the user.
pub fn run(command: HookCommand, manifest: Option<&Path>) -> Result<String> {
    let here = folder_of(manifest)?;
    let hook = hooks_folder(&here)?.join(NAME);
    let shown = hook.display();
    let present = match std::fs::read_to_string(&hook) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::Read { path: hook, source }),
    };
    let is_ours = present.as_ref().map(|text| is_ours(text));
    match (command, is_ours) {
        (HookCommand::Install, Some(false)) => Err(Error::usage(format!(
            "`{shown}` is another hook, and stays as it is; to run the tests from it, add this line: {}",
            line(change_of_folder(&here, manifest)?)
        ))),
        (HookCommand::Uninstall, Some(false)) => {
            Err(Error::usage(format!("`{shown}` is another hook, and stays as it is")))
        }
        (HookCommand::Install, _) => {
            let script = script(change_of_folder(&here, manifest)?);
            // A commit at this moment finds a whole hook or none.
            state::replace_file(&hook, state::PROGRAM, |file| file.write_all(script.as_bytes()))
                .map_err(|error| {
                    Error::usage(format!("cannot write the hook `{shown}`: {error}"))
                })?;
            Ok(format!(
                "installed `{shown}`: runs the tests of changed packages before each commit\n"
            ))
        }
        (HookCommand::Uninstall, None) => Ok(format!("there is no hook `{shown}`\n")),
        (HookCommand::Uninstall, Some(true)) => {
            std::fs::remove_file(&hook).map_err(|error| {
                Error::usage(format!("cannot remove the hook `{shown}`: {error}"))
            })?;
            Ok(format!("removed `{shown}`\n"))
        }
    }
}

fn is_ours(text: &str) -> bool {
    text.lines().any(|line| line.starts_with(MARK))
}

/// git tells its hooks where the repository is; tests that call git in repositories of their own
/// must not hear of it.
fn script(change_of_folder: Option<String>) -> String {
    let change_of_folder =
        change_of_folder.map(|command| format!("{command} || exit 1\n")).unwrap_or_default();
    format!(
        "\
#!/bin/sh
{MARK} To commit without it: git commit --no-verify
unset $(git rev-parse --local-env-vars)
{change_of_folder}exec {RUN}
"
    )
}

/// The line for a hook of somebody else, whose other lines stay in their folder.
fn line(change_of_folder: Option<String>) -> String {
    match change_of_folder {
        Some(command) => format!("({command} && {RUN})"),
        None => RUN.to_owned(),
    }
}

/// The command that leads to the workspace from the top of the working tree, where git starts hooks.
fn change_of_folder(here: &Path, manifest: Option<&Path>) -> Result<Option<String>> {
    let top = real(&asked(here, &["--show-toplevel"])?)?;
    let mut folder = folder_of(Some(&located_manifest(manifest, true)?))?;
    if !folder.starts_with(&top) {
        // The repository is part of a workspace around it, as a submodule may be.
        folder = folder_of(Some(&located_manifest(manifest, false)?))?;
    }
    let below = folder.strip_prefix(&top).unwrap_or(Path::new(""));
    let names: Option<Vec<&str>> = below.iter().map(|name| name.to_str()).collect();
    match names {
        None => Err(Error::usage(format!(
            "a hook cannot name the folder `{}`, which is not UTF-8",
            below.display()
        ))),
        Some(names) if names.is_empty() => Ok(None),
        // Without the dot, a name could be taken for a flag, or be looked for in `CDPATH`.
        Some(names) => Ok(Some(format!("cd {}", quoted(&format!("./{}", names.join("/")))))),
    }
}

/// The folder of a manifest; without one, the current directory.
fn folder_of(manifest: Option<&Path>) -> Result<PathBuf> {
    match manifest.and_then(Path::parent) {
        Some(folder) if !folder.as_os_str().is_empty() => real(folder),
        _ => real(Path::new(".")),
    }
}

/// Both git and cargo may name a folder by way of symbolic links.
fn real(folder: &Path) -> Result<PathBuf> {
    folder.canonicalize().map_err(|source| Error::Read { path: folder.to_owned(), source })
}

/// Where git looks for hooks: `core.hooksPath` and worktrees are its own business.
fn hooks_folder(here: &Path) -> Result<PathBuf> {
    asked(here, &["--path-format=absolute", "--git-path", "hooks"])
}

/// A path that git knows of the repository with this folder.
fn asked(here: &Path, words: &[&str]) -> Result<PathBuf> {
    let mut git = Command::new("git");
    git.arg("rev-parse").args(words).current_dir(here);
    let found = git.output().map_err(|source| Error::Start { program: "git".into(), source })?;
    if !found.status.success() {
        let why = String::from_utf8_lossy(&found.stderr).trim().to_owned();
        return Err(Error::usage(format!("hooks belong to a git repository: {why}")));
    }
    let path = String::from_utf8_lossy(&found.stdout);
    Ok(PathBuf::from(path.trim_end_matches('\n')))
}
