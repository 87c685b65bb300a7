//! The flag that watches what tests change in their processes, as typed.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Running")]
pub struct WatchArgs {
    /// List what tests leave changed in their processes: statics, variables, handlers and others
    ///
    /// Each process runs one test at a time then.
    #[arg(long, global = true, hide_short_help = true)]
    pub watch_state: bool,
}
