//! A git hook that runs the tests of what is about to be committed.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::cli::setup_args::HookCommand;
use crate::error::{Error, Result};
use crate::state;

const NAME: &str = "pre-commit";

/// By this line a hook is known to be ours.
const MARK: &str = "# Installed by `cargo partest hook install`.";

/// git tells its hooks where the repository is; tests that call git in repositories of their own
/// must not hear of it.
const HOOK: &str = "\
#!/bin/sh
# Installed by `cargo partest hook install`. To commit without it: git commit --no-verify
unset $(git rev-parse --local-env-vars)
exec cargo partest --quiet --changed
";

/// Installs or removes the hook. Returns what to tell the user.
pub fn run(command: HookCommand) -> Result<String> {
    let hook = hooks_folder()?.join(NAME);
    let shown = hook.display();
    let present = match std::fs::read_to_string(&hook) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::Read { path: hook, source }),
    };
    let is_ours = present.as_ref().map(|text| is_ours(text));
    match (command, is_ours) {
        (_, Some(false)) => Err(Error::usage(format!(
            "`{shown}` is another hook, and stays as it is; to run the tests from it, add this line: cargo partest --quiet --changed"
        ))),
        (HookCommand::Install, _) => {
            // A commit at this moment finds a whole hook or none.
            state::replace_file(&hook, state::PROGRAM, |file| file.write_all(HOOK.as_bytes()))
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

/// Where git looks for hooks: `core.hooksPath` and worktrees are its own business.
fn hooks_folder() -> Result<PathBuf> {
    let mut git = Command::new("git");
    git.args(["rev-parse", "--path-format=absolute", "--git-path", "hooks"]);
    let found = git.output().map_err(|source| Error::Start { program: "git".into(), source })?;
    if !found.status.success() {
        let why = String::from_utf8_lossy(&found.stderr).trim().to_owned();
        return Err(Error::usage(format!("hooks belong to a git repository: {why}")));
    }
    let path = String::from_utf8_lossy(&found.stdout);
    Ok(PathBuf::from(path.trim_end_matches('\n')))
}
