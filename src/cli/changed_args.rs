//! The flag that chooses packages by what has changed, as typed.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Packages and targets")]
pub struct ChangedArgs {
    /// Test only packages with changes since REV, and those that depend on them [default: HEAD]
    ///
    /// Compares the working tree, including untracked files, with the merge base of REV and the
    /// current branch. Put filters before the flag, or name REV: `cargo partest db:: --changed`,
    /// `cargo partest --changed=HEAD db::`.
    #[arg(
        long,
        value_name = "REV",
        global = true,
        hide_short_help = true,
        num_args = 0..=1,
        default_missing_value = "HEAD"
    )]
    pub changed: Option<String>,
}
