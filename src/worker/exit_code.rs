//! Runs each test in a process of its own, and judges it by its exit code: for binaries that
//! support nothing better.

use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::spawn_retry::{self, SpawnError};
use crate::discovery::lister::Lister;
use crate::discovery::listing::Listing;
use crate::discovery::test_list::{Dispatch, KnownDispatch, Test};
use crate::leaks::finding::Finding;
use crate::leaks::orphans::Orphans;
use crate::libtest;
use crate::libtest::report::ReportReader;
use crate::model::leak::Leak;
use crate::model::outcome::Outcome;
use crate::model::output::TruncatedOutput;
use crate::model::reason::{Reason, Timeout, WorkerEnd};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::process::event::{ProcessEvent, Stream, TerminateMode};
use crate::process::platform::{self, Supervised};
use crate::process::{clock, exit_status};
use crate::worker::context::{Context, LeakOwner};
use crate::worker::inbox::{BatchEnd, EndCause, Message, send};
use crate::worker::job::{GRACE, Job, LOOK_AGAIN, prepare};

/// Runs each test of the batch in a process of its own, one after another.
pub fn run_one_by_one(job: &Job, context: &Context<'_>, inbox: &Sender<Message>) -> BatchEnd {
    let mut tests = job.batch.tests.iter().copied();
    let mut rest = BatchEnd::done();
    for test in tests.by_ref() {
        if context.state.stopping.load(Ordering::Relaxed)
            || job.fixture_is_lost.load(Ordering::Relaxed)
        {
            rest.cause = EndCause::Stopped;
            rest.not_begun.push(test);
            break;
        }
        match run_one(job, context, test, inbox) {
            Ok(verdict) => {
                send(inbox, Message::Judged { batch: job.batch.id, test, verdict });
            }
            Err(error) => {
                rest.cause = spawn_retry::cause(&error);
                rest.not_begun.push(test);
                break;
            }
        }
    }
    rest.not_begun.extend(tests);
    rest
}

fn run_one(
    job: &Job,
    context: &Context<'_>,
    test: TestId,
    inbox: &Sender<Message>,
) -> Result<Verdict, SpawnError> {
    let (process, number) = spawn_retry::start(job, context, || start(job, context, test))?;
    follow(process, number, job, context, test, inbox).map_err(SpawnError::Failed)
}

fn start<'r>(
    job: &Job,
    context: &Context<'r>,
    test: TestId,
) -> std::io::Result<(Supervised<'r>, u64)> {
    let listing = &context.inventory.listings[test.listing];
    let listed = &listing.tests[test.test];
    listing.binary.check()?;
    let number = context.state.next_worker();
    let mut command = listing.binary.command();
    prepare(&mut command, job, context.config.run_id, number);
    if !listing.dispatch.is_whole() {
        command.args(libtest::select::select_one(&listed.name, listed.is_ignored));
    }
    let process = Supervised::spawn(command, None, context.services.groups, job.role())?;
    Ok((process, number))
}

fn follow(
    mut process: Supervised<'_>,
    number: u64,
    job: &Job,
    context: &Context<'_>,
    test: TestId,
    inbox: &Sender<Message>,
) -> std::io::Result<Verdict> {
    let (timeout, batch) = (job.group.timeout(test), job.batch.id);
    let began = clock::now();
    let place = context.state.active.enter(number, job.slot());
    place.began(test, began);
    let mut output = TruncatedOutput::new(context.services.output_files.as_ref());
    let (mut report, mut buffer) = (ReportReader::new([]), Vec::new());
    let mut due = timeout.map(|timeout| clock::after(began, timeout));
    let mut timed_out: Option<Timeout> = None;
    let (mut took, mut leaks) = (Duration::ZERO, Vec::new());
    let status = loop {
        match process.next(due, &mut buffer)? {
            ProcessEvent::Output(stream) => {
                output.push(&buffer);
                if stream == Stream::Stdout {
                    report.read(&buffer);
                }
            }
            ProcessEvent::Exited => {
                took = clock::since(began);
                if timed_out.is_none() {
                    leaks = end_leftovers(&process, number, job, context, test);
                }
            }
            ProcessEvent::ChannelLost => {}
            ProcessEvent::WantsTerminal => send(inbox, Message::WantsTerminal { batch }),
            ProcessEvent::Reaped(status) => break status,
            ProcessEvent::DeadlinePassed if timed_out.is_some() => {
                process.terminate(TerminateMode::Kill);
                due = None;
            }
            ProcessEvent::DeadlinePassed => {
                let limit = timeout.unwrap_or_default();
                timed_out = Some(Timeout { limit, stopped_by: process.stopped_by() });
                process.terminate(TerminateMode::Terminate);
                due = Some(clock::within(GRACE));
            }
        }
    };
    send(inbox, Message::WorkerEnded(job.span(number, process.pid(), began)));
    if let Some(signal) = process.terminal_signal(status) {
        send(inbox, Message::Signal(signal));
    }
    let output = output.into_output();
    let (outcome, reason) = match timed_out.map(WorkerEnd::TimedOut) {
        Some(end) => (Outcome::TimedOut, Some(Reason::WorkerEnded(end))),
        None => judge(status, &report, &output, context, test),
    };
    let ended = Some(clock::after(began, took));
    let (took, worker) = (Some(took), Some(number));
    Ok(Verdict { ended, took, worker, output, leaks, ..Verdict::without_run(outcome, reason) })
}

/// The outcome of a test that ended in time, and the reason that its output or its exit code gives.
fn judge(
    status: ExitStatus,
    report: &ReportReader,
    output: &[u8],
    context: &Context<'_>,
    test: TestId,
) -> (Outcome, Option<Reason>) {
    let listing = &context.inventory.listings[test.listing];
    let is_known = || is_known(listing, &listing.tests[test.test], context);
    let (outcome, reason) = by_exit_code(status, report, listing, is_known);
    let by_output = || libtest::report::failure_reason(&String::from_utf8_lossy(output));
    match outcome {
        Outcome::Failed => (outcome, by_output().map(Reason::Reported).or(reason)),
        _ => (outcome, reason),
    }
}

/// Checks the processes that an exited test has left until its linger has passed, and kills them.
fn end_leftovers(
    process: &Supervised<'_>,
    worker: u64,
    job: &Job,
    context: &Context<'_>,
    test: TestId,
) -> Vec<Leak> {
    let listing = &context.inventory.listings[test.listing];
    let look = context.look(process.pid(), worker, listing);
    let rules = job.group.leak_rules(test);
    let mut orphans = Orphans::new(rules.map(|rules| rules.linger).unwrap_or_default());
    orphans.look_for_own(&look, clock::now());
    while orphans.are_open() && !context.services.groups.are_tests_killed() {
        std::thread::sleep(LOOK_AGAIN);
        orphans.look_for_own(&look, clock::now());
    }
    let (pids, findings): (Vec<u32>, Vec<Finding>) = orphans.into_findings().into_iter().unzip();
    platform::kill_and_reap(&pids);
    let Some(rules) = rules.filter(|_| !findings.is_empty()) else { return Vec::new() };
    let of_test = &*listing.tests[test.test].name;
    let owner = &*listing.binary.id(of_test);
    context.classified(&findings, rules, LeakOwner { listing, of_test, owner, modules: &[] })
}

/// The output of a custom harness proves nothing, since its tests print as well: its exit code
/// decides. libtest's exit code may be 0 even though a test has ended the process.
fn by_exit_code(
    status: ExitStatus,
    report: &ReportReader,
    listing: &Listing,
    is_known: impl FnOnce() -> bool,
) -> (Outcome, Option<Reason>) {
    let described = || Some(Reason::WorkerEnded(WorkerEnd::Died(exit_status::describe(status))));
    let is_libtest = listing.dispatch == Dispatch::Batches;
    let is_named = !listing.dispatch.is_whole();
    match status.code() {
        Some(0) if is_named && report.may_have_run_nothing && !is_known() => {
            (Outcome::Missing, Some(Reason::NotRun))
        }
        // libtest always prints a summary; without one the test ended the process.
        Some(0) if is_libtest && !report.ended() => (Outcome::Aborted, described()),
        Some(0) => (Outcome::Passed, None),
        Some(code) if is_libtest && code != 101 => (Outcome::Aborted, described()),
        Some(_) => (Outcome::Failed, described()),
        None => (Outcome::Aborted, described()),
    }
}

/// Whether the binary knows the test. A test may print what a harness prints when it has nothing to
/// run, so the binary is asked.
fn is_known(listing: &Listing, test: &Test, context: &Context<'_>) -> bool {
    /// The binary has listed its tests before within the timeout of the user.
    const LIMIT: Duration = Duration::from_secs(30);
    let (binary, groups) = (&listing.binary, context.services.groups);
    let lister = Lister { binary, limit: LIMIT, groups, known: KnownDispatch::OneByOne };
    lister.knows(test)
}
