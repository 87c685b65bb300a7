//! The flags that choose tests, and their order, as typed.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Choosing tests")]
pub struct FilterArgs {
    /// Only run tests that match this (see `cargo partest help filters`)
    #[arg(short = 'E', long, alias = "filter-expr", value_name = "EXPR", global = true)]
    pub filterset: Vec<String>,
    /// Ignore the key `default-filter`
    #[arg(long, global = true, hide_short_help = true)]
    pub ignore_default_filter: bool,
    /// Only run tests that failed or did not get to run last time
    #[arg(long, global = true)]
    pub last_failed: bool,
    /// Run tests in a random order, or in that of an earlier run
    #[arg(
        long,
        value_name = "SEED",
        num_args = 0..=1,
        require_equals = true,
        global = true,
        hide_short_help = true,
        value_parser = super::number::parse::<u64>
    )]
    pub shuffle: Option<Option<u64>>,
}
