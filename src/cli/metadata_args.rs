//! Commands about the metadata: they build the tests and run none.

use clap::{Args, Subcommand};

/// One line of the help names them all.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum MetadataCommand {
    /// Add a commented table to Cargo.toml, made for the tests that are there
    #[command(hide = true)]
    Init(InitArgs),
    /// Show the settings of a test, where each comes from, and what earlier runs know of it
    #[command(hide = true)]
    Explain(ExplainArgs),
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InitArgs {
    /// Print the table, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArgs {
    /// The id of a test, or as much of its end as no other test has (`opens`, `db::opens`)
    #[arg(value_name = "TEST")]
    pub wanted: String,
}
