//! Which of the commands does what.

use super::{explain, init};
use crate::cli::metadata_args::MetadataCommand;
use crate::commands::project::Project;
use crate::discovery::filter::Choice;
use crate::error::{Exit, Result};
use crate::model::warning::Warning;
use crate::plan::history::History;
use crate::report::{text, warnings};

/// Runs one of them; `choices` are those of a run without filters.
pub fn run(
    command: &MetadataCommand,
    project: Project<'_>,
    warnings: &[Warning],
    history: &History,
    choices: &[Vec<Choice>],
) -> Result<Exit> {
    warnings::print_all(warnings, project.settings);
    let output = match command {
        MetadataCommand::Init(args) => init::init(args, project)?,
        MetadataCommand::Explain(args) => {
            explain::explain(&args.wanted, project, history, choices)?
        }
    };
    text::unless_closed(text::print(&output))?;
    Ok(Exit::Success)
}
