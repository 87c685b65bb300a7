//! Runs one batch: in one process, or in one process per test.

use std::sync::mpsc::Sender;

use super::exit_code::run_one_by_one;
use super::supervise::run_in_parts;
use crate::model::protocol::Protocol;
use crate::worker::context::Context;
use crate::worker::inbox::{BatchEnd, EndCause, Message, guarded, send};
use crate::worker::job::Job;

/// Runs one batch to its end, and sends everything it learns to `inbox`, `Finished` last.
pub fn run(job: &Job, context: &Context<'_>, inbox: &Sender<Message>) {
    let thread = format!("the thread of slot {}", job.slot());
    let rest = guarded(&thread, inbox, || match job.protocol {
        Protocol::Agent | Protocol::LogFile | Protocol::HarnessLog | Protocol::Doctests => {
            run_in_parts(job, context, inbox)
        }
        Protocol::ExitCode => run_one_by_one(job, context, inbox),
    });
    let nothing = || BatchEnd {
        cause: EndCause::Stopped,
        not_begun: job.batch.tests.clone(),
        ..BatchEnd::done()
    };
    let rest = rest.unwrap_or_else(nothing);
    send(inbox, Message::Finished { batch: job.batch.id, rest });
}
