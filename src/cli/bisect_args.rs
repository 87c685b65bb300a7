//! The command line of `bisect`, as typed.

use std::num::NonZeroUsize;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct BisectArgs {
    /// The test: its name, or the end of it from a `::` on
    #[arg(value_name = "TEST")]
    pub name: String,
    /// Run each set of tests N times; it fails if the test fails once [default: 1, or 5 beside
    /// others]
    #[arg(long, value_name = "N")]
    pub repeat: Option<NonZeroUsize>,
    /// Flags for libtest
    #[arg(last = true, value_name = "LIBTEST FLAGS", hide_short_help = true)]
    pub libtest: Vec<String>,
}
