//! How cargo calls rustdoc for the doctests of each package.
//!
//! The arguments and the environment (`--extern`, `--cfg`, the output of build scripts, …) follow from
//! the whole build, and cargo has no stable way to print them. So cargo is given this program in place
//! of rustdoc: `cargo test --doc` calls it for each package, and it prints how it was called.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use cargo_metadata::Target;
use serde::{Deserialize, Serialize};

use super::binary::{Binary, DOCTESTS};
use super::workspace::{Workspace, crate_name};
use super::{command, toolchain};
use crate::cli::cargo_config::CargoConfig;
use crate::cli::settings::Settings;
use crate::model::listing::{ListAttempt, ListEnd};
use crate::process::event::Role;
use crate::process::process_groups::ProcessGroups;
use crate::process::{clock, exit_status};
use crate::state::Stamp;

/// The variable that makes this program stand in for rustdoc; its value is the real one.
const STANDS_IN_FOR: &str = "PARTEST_RUSTDOC";

/// One call of rustdoc.
#[derive(Debug, Serialize, Deserialize)]
struct RustdocCall {
    args: Vec<OsString>,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
}

/// Makes this program stand in for rustdoc, which is returned, in a call of cargo.
pub fn stand_in(command: &mut Command, cargo_config: &CargoConfig) -> io::Result<PathBuf> {
    let rustdoc = toolchain::rustdoc(cargo_config);
    command.env("RUSTDOC", std::env::current_exe()?).env(STANDS_IN_FOR, &rustdoc);
    Ok(rustdoc)
}

/// The rustdoc that this process stands in for, if it does.
pub fn stands_in_for() -> Option<OsString> {
    std::env::var_os(STANDS_IN_FOR)
}

/// Prints how this process was called; cargo may also want to know rustdoc's version.
pub fn print_call(rustdoc: &OsStr) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !args.iter().any(|arg| arg == "--test") {
        let mut command = Command::new(rustdoc);
        command.args(args).env_remove(STANDS_IN_FOR).env_remove("RUSTDOC");
        let code = command.status().ok().and_then(|status| status.code());
        return code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into();
    }
    let dir = std::env::current_dir().unwrap_or_default();
    let call = RustdocCall { args, dir, env: std::env::vars_os().collect() };
    match serde_json::to_string(&call) {
        Ok(line) => println!("{line}"),
        Err(_) => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// The doctests of every selected package, in cargo's order. They are not listed yet; a package may
/// have none. Fails with the output of cargo.
pub fn doctests(
    settings: &Settings,
    workspace: &Workspace,
    groups: &ProcessGroups,
) -> Result<Vec<Binary>, ListAttempt> {
    let attempt = |end: ListEnd, said: &[u8]| ListAttempt {
        end,
        command: "cargo test --doc".to_owned(),
        printed: String::from_utf8_lossy(said).into_owned(),
    };
    let not_started = |error: io::Error| attempt(ListEnd::NotStarted(error.to_string()), b"");
    let mut command = command::doctests(settings);
    let rustdoc = stand_in(&mut command, &settings.cargo_config).map_err(not_started)?;
    let until = clock::within(Duration::MAX);
    let printed = crate::process::command::run(command, groups, Role::Lister, until);
    let printed = printed.map_err(not_started)?;
    let status = printed.status.filter(|status| !status.success());
    if let Some(status) = status {
        let end = ListEnd::Exited(exit_status::describe(status));
        return Err(attempt(end, &printed.stderr));
    }
    let text = String::from_utf8_lossy(&printed.stdout);
    let calls = text.lines().filter_map(|line| serde_json::from_str::<RustdocCall>(line).ok());
    Ok(calls.filter_map(|call| call.binary(workspace, rustdoc.clone())).collect())
}

impl RustdocCall {
    /// None for a package that the workspace does not have.
    fn binary(self, workspace: &Workspace, rustdoc: PathBuf) -> Option<Binary> {
        let RustdocCall { args, dir, env } = self;
        let args = without_test_args(args);
        let manifest = env.iter().find(|(name, _)| name == "CARGO_MANIFEST_PATH")?;
        let is_it = |manifest_path: &std::path::Path| manifest_path.as_os_str() == manifest.1;
        let index = workspace.packages.iter().position(|p| is_it(p.manifest_path()))?;
        let package = &workspace.packages[index];
        let crate_of = args.windows(2).find(|pair| pair[0] == "--crate-name")?;
        let is_target =
            |target: &&Target| target.doctest && crate_of[1] == *crate_name(&target.name);
        let target = package.cargo.targets.iter().find(is_target)?;
        // What it has inherited from us, the process will inherit again.
        let is_ours = |name: &OsStr| name == "RUSTDOC" || name == STANDS_IN_FOR;
        let is_new = |(name, value): &(OsString, OsString)| {
            !is_ours(name) && std::env::var_os(name).as_ref() != Some(value)
        };
        Some(Binary {
            stamp: Stamp::of(&rustdoc),
            executable: rustdoc,
            args,
            dir,
            env: env.into_iter().filter(is_new).collect(),
            ..of_library(workspace, index, target)
        })
    }
}

/// The doctests of a library, without what is needed to start them.
pub fn of_library(workspace: &Workspace, package: usize, target: &Target) -> Binary {
    let name = format!("{}::{DOCTESTS}", crate_name(&target.name));
    let prefix = format!("{}::{DOCTESTS}", workspace.id_prefix(package, target));
    let package_name = workspace.packages[package].cargo.name.to_string();
    let target = (target.name.clone(), DOCTESTS);
    Binary { package, ..Binary::without_launch(package_name, name, prefix, target, PathBuf::new()) }
}

/// Without what cargo hands on to libtest, such as `--quiet`.
fn without_test_args(args: Vec<OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut kept = Vec::new();
    while let Some(arg) = args.next() {
        match arg == "--test-args" {
            true => drop(args.next()),
            false => kept.push(arg),
        }
    }
    kept
}
