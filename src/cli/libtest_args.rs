//! The arguments behind `--`: what libtest would be given.

use std::num::NonZeroUsize;

use clap::Parser;

use super::output_args::When;

/// libtest's own flags, after `--`.
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
    /// Skip tests whose name contains this
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// Match filters against whole names
    #[arg(long)]
    pub exact: bool,
    /// Do not capture the output of tests
    #[arg(long, alias = "no-capture")]
    pub nocapture: bool,
    /// Show the output of passed tests as well
    #[arg(long)]
    pub show_output: bool,
    /// Maximum number of test threads in each worker
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub test_threads: Option<NonZeroUsize>,
    /// Accepted for compatibility with `cargo test`; has no effect
    #[arg(long)]
    pub test: bool,
    /// Print only failures and the summary
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(long, value_name = "WHEN")]
    pub color: Option<When>,
}

fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a number of threads, 1 or more".to_owned())
}
