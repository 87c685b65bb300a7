//! The command line of `doctor`, as typed.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Only examine tests whose name contains this or whose path starts with it (`web::db`)
    #[arg(value_name = "FILTERS")]
    pub filters: Vec<String>,
    /// Time limit, such as 10m; steps that do not fit are skipped and listed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = crate::model::duration::parse
    )]
    pub budget: Duration,
    /// Write the suggested lines to Cargo.toml
    #[arg(long)]
    pub write: bool,
    /// Flags for libtest
    #[arg(last = true, value_name = "LIBTEST FLAGS", hide_short_help = true)]
    pub libtest: Vec<String>,
}
