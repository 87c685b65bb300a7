//! Which of the commands does what.

use clap::CommandFactory;

use super::{git_hook, metadata_schema, nextest_config, self_check};
use crate::cli::args::Args;
use crate::cli::settings::Settings;
use crate::cli::setup_args::SetupCommand;
use crate::error::{Error, Exit, Result};
use crate::report::text;

/// The name of the executable, by which shells complete and the manual page is found.
const PROGRAM: &str = "cargo-partest";

pub fn run(command: &SetupCommand, settings: &Settings) -> Result<Exit> {
    let manifest = settings.cargo.manifest_path.as_deref();
    let output = match command {
        SetupCommand::Hook(args) => git_hook::run(args.command, manifest)?,
        SetupCommand::Migrate(args) => nextest_config::migrated(args.file.as_deref(), manifest)?,
        SetupCommand::SelfCheck => return self_check::run(settings),
        SetupCommand::Schema => format!("{:#}\n", metadata_schema::schema()),
        SetupCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), PROGRAM, &mut script);
            String::from_utf8_lossy(&script).into_owned()
        }
        SetupCommand::Man => {
            let page = clap_mangen::Man::new(Args::command().name(PROGRAM));
            let mut roff = Vec::new();
            page.render(&mut roff).map_err(Error::Result)?;
            String::from_utf8_lossy(&roff).into_owned()
        }
    };
    text::unless_closed(text::print(&output))?;
    Ok(Exit::Success)
}
