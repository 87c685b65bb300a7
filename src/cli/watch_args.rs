//! The flag that watches what tests change in their processes, as typed.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Running")]
pub struct WatchArgs {
    /// List process state that tests change and do not restore: statics, variables, handlers and others
    ///
    /// Each process then runs one test at a time.
    #[arg(long, global = true, hide_short_help = true)]
    pub watch_state: bool,
}
