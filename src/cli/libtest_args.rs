//! The arguments behind `--`: what libtest would be given.

use clap::Parser;

use super::args::When;

/// What stands behind `--`: libtest's own flags, as `cargo test` would pass them on.
#[derive(Debug, Default, Parser)]
#[command(
    name = "cargo partest … --",
    bin_name = "cargo partest … --",
    no_binary_name = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct LibtestArgs {
    pub filters: Vec<String>,
    /// Run only ignored tests
    #[arg(long, conflicts_with = "include_ignored")]
    pub ignored: bool,
    /// Run ignored and other tests
    #[arg(long)]
    pub include_ignored: bool,
    /// Leave out the tests whose name contains this
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// Filters are whole names
    #[arg(long)]
    pub exact: bool,
    /// Let the tests' output through as it comes
    #[arg(long, alias = "no-capture")]
    pub nocapture: bool,
    /// Show the output of passed tests too
    #[arg(long)]
    pub show_output: bool,
    /// Threads of one worker, at the most
    #[arg(long, value_name = "N")]
    pub test_threads: Option<std::num::NonZeroUsize>,
    /// Accepted, since `cargo test` accepts it; tests run as tests anyway
    #[arg(long)]
    pub test: bool,
    /// Show failures and the last line only
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(long, value_name = "WHEN")]
    pub color: Option<When>,
}

/// Reads what stood behind `--`; a wrong flag is a usage error here too.
pub fn parse_libtest(words: &[String]) -> LibtestArgs {
    LibtestArgs::parse_from(words)
}
