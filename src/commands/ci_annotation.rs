//! The annotation of a job in Buildkite, which its agent makes.

use std::process::Command;
use std::time::Duration;

use crate::cli::settings::Settings;
use crate::model::summary::Summary;
use crate::process::clock;
use crate::process::command;
use crate::process::event::Role;
use crate::process::exit_status::describe;
use crate::process::process_groups::ProcessGroups;
use crate::report::{messages, warnings};

/// How long the agent may take to reach its server.
const PATIENCE: Duration = Duration::from_secs(20);

const AGENT: &str = "buildkite-agent";

/// Hands the text to the agent. What goes wrong is a warning: the run has its result.
pub fn make(settings: &Settings, summary: &Summary, text: &str, groups: &ProcessGroups) {
    let style = if summary.is_success() { "warning" } else { "error" };
    // Other jobs of the build have annotations of their own.
    let job = std::env::var("BUILDKITE_JOB_ID").unwrap_or_default();
    let mut agent = Command::new(AGENT);
    agent.args([
        "annotate",
        "--style",
        style,
        "--context",
        &format!("cargo-partest-{job}"),
        "--",
        text,
    ]);
    let why = match command::run(agent, groups, Role::Lister, clock::within(PATIENCE)) {
        Ok(output) => match output.status {
            Some(status) if status.success() => return,
            Some(status) => describe(status),
            None => format!("no answer within {PATIENCE:?}"),
        },
        Err(error) => error.to_string(),
    };
    warnings::print(&messages::no_annotation(AGENT, &why), settings);
}
