//! `list` and `plan`: what would run, and how.

use super::project::Project;
use crate::discovery::filter::Choice;
use crate::error::{Exit, Result};
use crate::model::shard::ShardPlan;
use crate::model::stream_end::StreamEnd;
use crate::model::warning::Warning;
use crate::plan::group::Slots;
use crate::plan::grouping::Grouped;
use crate::plan::schedule::Plan;
use crate::report;

/// Prints the selected tests.
pub fn list(project: Project<'_>, warnings: &[Warning], choices: &[Vec<Choice>]) -> Result<Exit> {
    print(project, warnings, report::plan::list(project.view(), choices))
}

/// Prints how the selected tests would run.
pub fn plan(
    project: Project<'_>,
    warnings: &[Warning],
    grouped: Grouped,
    slots: Slots,
    shard: Option<ShardPlan>,
) -> Result<Exit> {
    // More would be filled only if tests turned out to wait.
    let slots = Slots { count: slots.likely, ..slots };
    let plan = Plan::new(grouped.groups, slots, project.settings.thread_cap);
    let view = project.view();
    print(
        project,
        warnings,
        report::plan::plan(view, plan, slots.count, &grouped.fixtures, shard.as_ref()),
    )
}

fn print(project: Project<'_>, warnings: &[Warning], text: String) -> Result<Exit> {
    report::warnings::print_all(warnings, project.settings);
    report::text::unless_closed(report::text::print(&text))?;
    let Some(failure) = project.inventory.failures.first() else { return Ok(Exit::Success) };
    let exit = if failure.is_doctests { Exit::BuildFailed } else { Exit::Error };
    let (reason, exit_code) = (failure.to_string(), exit as u8);
    report::json::end_stream(project.settings.format, &StreamEnd::Error { reason, exit_code });
    Ok(exit)
}
