//! The flags about archives, as typed.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// `cargo partest archive`
#[derive(Debug, Clone, ClapArgs)]
pub struct ArchiveArgs {
    /// The archive to write, such as suite.tar.zst
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
}

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Archives")]
pub struct FromArchiveArgs {
    /// Run the tests in this archive (see `cargo partest archive`) instead of building them
    #[arg(long, value_name = "PATH", global = true, hide_short_help = true)]
    pub archive: Option<PathBuf>,
    /// With --archive: root of the workspace's sources on this machine
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    pub workspace_remap: Option<PathBuf>,
    /// With --archive: extract to this new directory and keep it
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    pub extract_to: Option<PathBuf>,
}
