//! Commands about the metadata: they build the tests and run none.

use clap::{Args, Subcommand};

/// One line of the help names them all.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum MetadataCommand {
    /// Add a commented table of settings for the existing tests to Cargo.toml
    #[command(hide = true)]
    Init(InitArgs),
    /// Show the settings of a test, where they come from, and its history
    #[command(hide = true)]
    Explain(ExplainArgs),
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InitArgs {
    /// Print the table without changing Cargo.toml
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArgs {
    /// Id of the test, or enough of its end to be unambiguous (`opens`, `db::opens`)
    #[arg(value_name = "TEST")]
    pub wanted: String,
}
