//! Flags for doctests.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ClapArgs)]
#[command(next_help_heading = "Packages and targets")]
pub struct DoctestArgs {
    /// Run only the doctests
    #[arg(
        long,
        global = true,
        conflicts_with_all = [
            "no_doc", "lib", "bins", "bin", "examples", "example", "tests", "test", "benches",
            "bench", "all_targets",
        ]
    )]
    pub doc: bool,
    /// Do not run doctests
    #[arg(long, global = true, hide_short_help = true)]
    pub no_doc: bool,
}
