//! The command line of `bisect`, as typed.

use std::num::NonZeroUsize;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct BisectArgs {
    /// Name of the test, or its last segments (`opens`, `db::opens`)
    #[arg(value_name = "TEST")]
    pub name: String,
    /// Run each set of tests N times; one failure of the test is enough [default: 1, or 5 if the
    /// others run at the same time]
    #[arg(long, value_name = "N")]
    pub repeat: Option<NonZeroUsize>,
    /// Flags for libtest
    #[arg(last = true, value_name = "LIBTEST FLAGS", hide_short_help = true)]
    pub libtest: Vec<String>,
}
