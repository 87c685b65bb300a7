//! Which of the commands does what.

use super::{explain, init};
use crate::cli::metadata_args::MetadataCommand;
use crate::commands::project::Project;
use crate::discovery::filter::Choice;
use crate::error::{Exit, Result};
use crate::model::warning::Warning;
use crate::plan::history::History;
use crate::process::stderr::write_line;
use crate::report::messages;
use crate::report::text::{self, Paint};

/// Runs one of them; `choices` are those of a run without filters.
pub fn run(
    command: &MetadataCommand,
    project: Project<'_>,
    warnings: &[Warning],
    history: &History,
    choices: &[Vec<Choice>],
) -> Result<Exit> {
    let paint = Paint(project.settings.color.stderr);
    for warning in warnings {
        write_line(&format!("{}: {}", paint.warn("warning"), messages::warning(warning)));
    }
    let output = match command {
        MetadataCommand::Init(args) => init::init(args, project)?,
        MetadataCommand::Explain(args) => {
            explain::explain(&args.wanted, project, history, choices)?
        }
    };
    text::unless_closed(text::print(&output))?;
    Ok(Exit::Success)
}
