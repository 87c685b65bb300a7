//! Commands that set up a shell or a project: they build and run none of its tests.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// One line of the help names them all.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SetupCommand {
    /// Install or remove a git hook that runs the tests before each commit
    #[command(hide = true)]
    Hook(HookArgs),
    /// Print the metadata that corresponds to a nextest configuration
    #[command(hide = true)]
    Migrate(MigrateArgs),
    /// Print the JSON Schema of the metadata, for editors
    #[command(hide = true)]
    Schema,
    /// Check what works on this machine by running a few tests that leak
    #[command(hide = true)]
    SelfCheck,
    /// Print completions for a shell
    #[command(hide = true)]
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct HookArgs {
    #[command(subcommand)]
    pub command: HookCommand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum HookCommand {
    /// Write `pre-commit` into the hooks of this repository
    Install,
    /// Remove the hook
    Uninstall,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MigrateArgs {
    /// Path to the configuration [default: .config/nextest.toml of the workspace]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}
