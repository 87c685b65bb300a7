//! One batch, run to its end: in one process, or in one for each test.

use std::sync::mpsc::Sender;

use super::exit_code::run_one_by_one;
use super::supervise::run_in_parts;
use crate::model::way::Way;
use crate::worker::context::Context;
use crate::worker::inbox::{Cause, Message, Rest, guarded, tell};
use crate::worker::job::Job;

/// Runs one batch to its end. Everything it learns goes through `told`, last of all
/// `Finished`.
pub fn run(job: &Job, context: &Context<'_>, told: &Sender<Message>) {
    let thread = format!("the thread of slot {}", job.slot());
    let rest = guarded(&thread, told, || match job.way {
        Way::Agent | Way::LedgerFile => run_in_parts(job, context, told),
        Way::ExitCode => run_one_by_one(job, context, told),
    });
    let nothing =
        || Rest { cause: Cause::Stopped, not_begun: job.batch.tests.clone(), ..Rest::nothing() };
    let rest = rest.unwrap_or_else(nothing);
    tell(told, Message::Finished { batch: job.batch.id, rest });
}
