//! Which of the commands does what.

use std::io;

use clap::CommandFactory;
use clap_mangen::roff::{Roff, bold, roman};

use super::{git_hook, metadata_schema, nextest_config, self_check};
use crate::cli::args::Args;
use crate::cli::command_line;
use crate::cli::examples::LONG_EXAMPLES;
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
            let mut roff = Vec::new();
            render_manual(&mut roff).map_err(Error::Result)?;
            String::from_utf8_lossy(&roff).into_owned()
        }
    };
    text::unless_closed(text::print(&output))?;
    Ok(Exit::Success)
}

/// One page for all: a page for each command would say the same of most flags.
fn render_manual(to: &mut dyn io::Write) -> io::Result<()> {
    // Descriptions that the summary leaves out would be left out here too.
    let all = command_line::with_all_commands().mut_args(|arg| arg.hide_short_help(false));
    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    for command in all.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        commands.control("TP", []).text([bold(command.get_name())]).text([roman(about)]);
    }
    let mut notes = Roff::new();
    notes.control("SH", ["NOTES"]).control("nf", []);
    for line in LONG_EXAMPLES.lines() {
        notes.text([roman(line)]);
    }
    notes.control("fi", []);
    let page = clap_mangen::Man::new(all.name(PROGRAM));
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    commands.to_writer(to)?;
    page.render_options_section(to)?;
    notes.to_writer(to)?;
    page.render_version_section(to)
}
