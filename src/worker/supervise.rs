//! Runs many tests in one process, and follows the channel on which the worker reports.

mod deadlines;

mod demand;

mod ending;

mod leaks;

mod output;

mod stacks;

mod start;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::active::ActiveWorker;
use super::arguments::parts;
use super::spawn_retry;
use crate::discovery::listing::Listing;
use crate::leaks::finding::Finding;
use crate::libtest;
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::process::clock;
use crate::process::event::{ProcessEvent, Stream, TerminateMode};
use crate::process::inspector::WorkerInspector;
use crate::process::platform::{self, HeldExit, Supervised};
use crate::protocol::channel::{
    Channel, ChannelEvent, ChannelSummary, FinishedTest, NullChannel, ResultStatus,
};
use crate::sharing::usage::ProcessUsage;
use crate::worker::context::Context;
use crate::worker::cpu_demand::CpuDemand;
use crate::worker::finishing::Finishing;
use crate::worker::inbox::{BatchEnd, EndCause, Message, send_all};
use crate::worker::job::{GRACE, Job, LOOK_AGAIN};
use crate::worker::supervise::start::{channel, command, is_captured, spawn, uses, watched};

/// Runs a batch in as many processes, one after another, as the argument limit of the platform
/// requires.
pub fn run_in_parts(job: &Job, context: &Context<'_>, inbox: &Sender<Message>) -> BatchEnd {
    let listing = &context.inventory.listings[job.group.listing];
    let parts = parts(listing, &job.batch.tests);
    let mut parts = parts.into_iter();
    let mut rest = BatchEnd::done();
    while rest.cause == EndCause::Done {
        let Some((tests, args)) = parts.next() else { break };
        let start = || Worker::start(job, context, listing, tests.clone(), &args);
        let of_part = match spawn_retry::start(job, context, start) {
            Ok(worker) => worker.follow(inbox),
            Err(error) => {
                BatchEnd { cause: spawn_retry::cause(&error), not_begun: tests, ..BatchEnd::done() }
            }
        };
        rest = rest.followed_by(of_part);
        if rest.cause == EndCause::Done && parts.len() > 0 && must_stop(job, context) {
            rest.cause = EndCause::Stopped;
        }
    }
    rest.not_begun.extend(parts.flat_map(|(tests, _)| tests));
    rest
}

/// Whether no further process of the batch may start.
fn must_stop(job: &Job, context: &Context<'_>) -> bool {
    context.state.stopping.load(Ordering::Relaxed) || job.fixture_is_lost.load(Ordering::Relaxed)
}

struct Worker<'r> {
    job: &'r Job,
    context: &'r Context<'r>,
    listing: &'r Listing,
    number: u64,
    began: Instant,
    tests: Vec<TestId>,
    process: Supervised<'r>,
    channel: Box<dyn Channel + 'r>,
    running: Vec<(usize, Instant)>,
    /// Since when no test runs: the process starts, exits or hangs.
    idle_since: Instant,
    /// How long the process may run no test.
    idle_limit: Option<Duration>,
    /// What its tests use outside of it, if that can be known.
    uses: Option<ProcessUsage<'r>>,
    /// How much of a core its tests want, if the channel tells when they run.
    demand: Option<CpuDemand>,
    /// Its entry in the list of active workers.
    active: ActiveWorker<'r>,
    /// Which of the tests have started.
    begun: Vec<bool>,
    ended: usize,
    any_failed: bool,
    /// Finished tests that have left something open: with their verdicts so far.
    unsettled: BTreeMap<usize, PendingVerdict>,
    /// Failures that wait for their output, which arrives when the process exits.
    failed: BTreeMap<usize, PendingVerdict>,
    /// The latest pass, which is held back until the process has exited successfully.
    last_pass: Option<(usize, Verdict)>,
    /// The tests that may finish, if the user wants an end after them.
    finishing: Finishing,
    ending: Option<EndCause>,
    kill_at: Option<Instant>,
    /// Waiting for stacks before the process is killed.
    awaits_stacks: bool,
    /// Whether the channel has named the signal that makes the worker report them.
    can_report_stacks: bool,
    looked_at: Option<Instant>,
    /// Where the process waits for permission to exit.
    door: Option<HeldExit>,
    /// The final report of the channel, once the process has exited.
    left: Option<ChannelSummary>,
}

/// A verdict that is not reported yet, and whether it has its output.
struct PendingVerdict {
    verdict: Verdict,
    has_output: bool,
}

impl<'r> Worker<'r> {
    fn start(
        job: &'r Job,
        context: &'r Context<'r>,
        listing: &'r Listing,
        tests: Vec<TestId>,
        selection: &[String],
    ) -> std::io::Result<Worker<'r>> {
        let captures = is_captured(job, context);
        listing.binary.check()?;
        let number = context.state.next_worker();
        let (mut command, wire) = command(job, context, listing, number, selection)?;
        let uses = uses(job, context, number, &tests);
        uses.iter().for_each(|uses| uses.pass_to(&mut command));
        watched(job, context).iter().for_each(|watched| watched.list.pass_to(&mut command));
        let channel = channel(job, context, listing, &tests, captures);
        let idle_limit = idle_limit(job, &tests);
        let began = clock::now();
        let process = spawn(command, job, context, wire)?;
        let is_watched = job.protocol == Protocol::Agent;
        Ok(Worker {
            job,
            context,
            listing,
            number,
            began,
            demand: is_watched.then(|| CpuDemand::of(process.pid())),
            process,
            channel,
            running: Vec::new(),
            idle_since: clock::now(),
            idle_limit,
            uses,
            active: context.state.active.enter(number, job.slot()),
            begun: vec![false; tests.len()],
            tests,
            ended: 0,
            any_failed: false,
            unsettled: BTreeMap::new(),
            failed: BTreeMap::new(),
            last_pass: None,
            finishing: Finishing::default(),
            ending: None,
            kill_at: None,
            awaits_stacks: false,
            can_report_stacks: false,
            looked_at: None,
            door: None,
            left: None,
        })
    }

    fn follow(mut self, inbox: &Sender<Message>) -> BatchEnd {
        let mut buffer = Vec::new();
        // The messages of one event are sent together, so that the coordinator wakes up once.
        let mut together = Vec::new();
        // Some protocols start with the process itself.
        self.take(Stream::Channel, &[], &mut together);
        loop {
            self.measure_demand(&mut together);
            send_all(inbox, std::mem::take(&mut together));
            match self.process.next(self.deadline(), &mut buffer) {
                Ok(ProcessEvent::Output(stream)) => self.take(stream, &buffer, &mut together),
                Ok(ProcessEvent::Exited) => self.end_leftovers(&mut together),
                Ok(ProcessEvent::WantsTerminal) => {
                    together.push(Message::WantsTerminal { batch: self.job.batch.id });
                }
                Ok(ProcessEvent::Reaped(status)) => {
                    together.extend(self.process.terminal_signal(status).map(Message::Signal));
                    let rest = self.finish(status, &mut together);
                    send_all(inbox, together);
                    return rest;
                }
                Ok(ProcessEvent::DeadlinePassed) => self.time_has_passed(&mut together),
                Ok(ProcessEvent::ChannelLost) => self.lost_channel(),
                Err(error) => {
                    self.ending = Some(EndCause::Died(format!("lost sight of it: {error}")));
                    self.process.terminate(TerminateMode::Kill);
                }
            }
        }
    }

    /// Handles a deadline: of a leak check, of a test, or of the grace period after a timeout.
    fn time_has_passed(&mut self, messages: &mut Vec<Message>) {
        let now = clock::now();
        if self.ending.is_some() {
            return self.end_at_last();
        }
        if self.finishing == Finishing::CatchingUp {
            return self.caught_up();
        }
        if let Some(overdue) = self.overdue(now) {
            self.time_out(overdue);
        } else if self.next_look().is_some_and(|look| look <= now) {
            self.look_for_leaks(messages);
        }
    }

    fn look_for_leaks(&mut self, messages: &mut Vec<Message>) {
        self.looked_at = Some(clock::now());
        let heard = self.channel.look(&self.look());
        self.handle(heard, messages);
        self.recycle_after_leaks();
        self.release_process();
    }

    /// Later reports of this worker would be lost, or attributed to other tests.
    fn lost_channel(&mut self) {
        if self.ending.is_none() && self.ended < self.tests.len() {
            self.end(EndCause::NoChannel);
        }
    }

    fn end(&mut self, cause: EndCause) {
        self.ending = Some(cause);
        self.kill_at = Some(clock::within(GRACE));
        self.process.terminate(TerminateMode::Terminate);
    }

    fn end_at_last(&mut self) {
        if std::mem::take(&mut self.awaits_stacks) {
            self.kill_at = Some(clock::within(GRACE));
            self.process.terminate(TerminateMode::Terminate);
        } else {
            self.kill_at = None;
            self.process.terminate(TerminateMode::Kill);
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8], messages: &mut Vec<Message>) {
        if self.left.is_some() {
            return;
        }
        self.note_stop();
        let heard = self.channel.feed(stream, bytes);
        self.handle(heard, messages);
        self.release_process();
        if stream == Stream::Channel {
            self.note_stacks(messages);
            self.stop_after_running();
        }
    }

    fn handle(&mut self, heard: Vec<ChannelEvent>, messages: &mut Vec<Message>) {
        let now = clock::now();
        for heard in heard {
            match heard {
                ChannelEvent::TestStarted(test) => {
                    self.count_running(now);
                    self.begun[test] = true;
                    self.running.push((test, now));
                    self.active.began(self.tests[test], now);
                }
                ChannelEvent::TestWaits(test) => {
                    self.count_running(now);
                    self.begun[test] = false;
                    self.running.retain(|(running, _)| *running != test);
                    self.active.waits(self.tests[test]);
                }
                ChannelEvent::TestFinished(ended) => self.test_ended(ended, messages),
                ChannelEvent::ResultFinal { test, findings } => {
                    self.result_is_final(test, &findings, messages)
                }
                ChannelEvent::Output(bytes) if self.context.config.nocapture => {
                    messages.push(Message::Wrote { bytes });
                }
                ChannelEvent::Output(_) => {}
                ChannelEvent::AwaitsExit { descriptor } => {
                    self.door = self.process.hold_exit(descriptor);
                    self.look_for_leaks(messages);
                    self.ignore_pools();
                }
            }
        }
    }

    /// Lets the process exit once no thread or process that its tests have started is within its
    /// linger.
    fn release_process(&mut self) {
        let may_end = self.ending.is_some() || !self.channel.has_pending();
        if let Some(door) = self.door.take_if(|_| may_end) {
            door.release();
            self.idle_since = clock::now();
        }
    }

    /// Handles a finished test, even after the worker was asked to exit: results of tests that ran
    /// beside a hung one are valid.
    fn test_ended(&mut self, ended: FinishedTest, messages: &mut Vec<Message>) {
        let FinishedTest {
            test,
            outcome,
            took,
            processor,
            has_started_processes,
            reason,
            output,
            status,
            neighbors,
        } = ended;
        self.measure_demand(messages);
        self.count_running(clock::now());
        let took = took.map(clock::without_pauses);
        let load = self.load(took, processor.filter(|_| !has_started_processes));
        self.ended += 1;
        self.begun[test] = true;
        self.active.ended(self.tests[test]);
        if self.job.permits.is_some() {
            let (batch, test) = (self.job.batch.id, self.tests[test]);
            messages.push(Message::TestEnded { batch, test });
        }
        let began = self.running.iter().position(|(running, _)| *running == test);
        let began = began.map(|at| self.running.remove(at).1);
        self.note_uses(test, began);
        if self.running.is_empty() {
            self.idle_since = clock::now();
        }
        let has_output = output.is_some();
        let verdict = Verdict {
            ended: Some(clock::now()),
            took: Some(took.or_else(|| began.map(clock::since)).unwrap_or_default()),
            cpu_time: processor,
            load,
            worker: Some(self.number),
            output: output.unwrap_or_default(),
            neighbors: neighbors.into_iter().map(|neighbor| self.tests[neighbor]).collect(),
            ..Verdict::without_run(outcome, reason.map(Reason::Reported))
        };
        if outcome == Outcome::Failed {
            self.any_failed = true;
            messages.push(Message::Failing { test: self.tests[test] });
        }
        match status {
            ResultStatus::Final => {
                self.route(test, PendingVerdict { verdict, has_output }, messages)
            }
            ResultStatus::Provisional => {
                drop(self.unsettled.insert(test, PendingVerdict { verdict, has_output }))
            }
        }
        if outcome == Outcome::Failed {
            self.recycle(self.job.group.recycling.on_failure);
        }
    }

    /// A test has ended: what it has used outside of its process is known now.
    fn note_uses(&self, test: usize, began: Option<Instant>) {
        if let Some(uses) = &self.uses {
            uses.test_ended(self.tests[test], self.channel.number_of(test), began);
        }
    }

    /// Ends the process if the policy requires a fresh one now and tests are left.
    fn recycle(&mut self, is_wanted: bool) {
        let may_recycle = self.ending.is_none() && self.ended < self.tests.len();
        if is_wanted && may_recycle {
            self.end(EndCause::Recycled);
        }
    }

    /// What has outlived its linger is a leak, though how it ends is told only when it has ended.
    fn recycle_after_leaks(&mut self) {
        if !self.job.group.recycling.on_leak {
            return;
        }
        let look = self.look();
        let has_leaked = |test: &usize| {
            let findings = self.channel.lasting(*test, &look);
            !self.leaks_of(*test, &findings, self.channel.modules()).is_empty()
        };
        let has_leaked = self.unsettled.keys().any(has_leaked);
        self.recycle(has_leaked);
    }

    fn result_is_final(&mut self, test: usize, findings: &[Finding], messages: &mut Vec<Message>) {
        let Some(mut kept) = self.unsettled.remove(&test) else { return };
        let modules = self.channel.modules().to_vec();
        kept.verdict = self.with_leaks(test, kept.verdict, findings, &modules);
        let has_leaks = !kept.verdict.leaks.is_empty();
        self.route(test, kept, messages);
        if has_leaks {
            self.recycle(self.job.group.recycling.on_leak);
        }
    }

    /// Reports a verdict, or holds it back until the process has exited.
    fn route(&mut self, test: usize, kept: PendingVerdict, messages: &mut Vec<Message>) {
        let PendingVerdict { verdict, has_output } = kept;
        match verdict.outcome {
            Outcome::Failed if has_output && !self.has_one_test() => {
                self.judge(test, self.explained(test, verdict), messages);
            }
            Outcome::Failed => {
                self.failed.insert(test, PendingVerdict { verdict, has_output });
            }
            _ => {
                if let Some((test, verdict)) = self.last_pass.replace((test, verdict)) {
                    self.judge(test, verdict, messages);
                }
            }
        }
    }

    /// Adds the reason that the output of a failure gives.
    fn explained(&self, test: usize, verdict: Verdict) -> Verdict {
        let output = String::from_utf8_lossy(&verdict.output);
        let name = &self.listing.tests[self.tests[test].test].name;
        let reason = match self.job.protocol {
            Protocol::Doctests => libtest::doctest::failure_reason(&output, name),
            _ => libtest::report::failure_reason(&output),
        };
        Verdict { reason: reason.map(Reason::Reported).or(verdict.reason), ..verdict }
    }

    fn judge(&self, test: usize, verdict: Verdict, messages: &mut Vec<Message>) {
        self.active.reported();
        let (batch, test) = (self.job.batch.id, self.tests[test]);
        messages.push(Message::Judged { batch, test, verdict });
    }

    /// Checks the processes that an exited worker has left until their linger has passed, and kills
    /// them.
    fn end_leftovers(&mut self, messages: &mut Vec<Message>) {
        self.door = None;
        self.channel.process_exited();
        self.look_for_leaks(messages);
        while self.channel.has_pending() && !self.context.services.groups.are_tests_killed() {
            std::thread::sleep(LOOK_AGAIN);
            self.look_for_leaks(messages);
        }
        self.running.iter().for_each(|(test, began)| self.note_uses(*test, Some(*began)));
        let channel = std::mem::replace(&mut self.channel, Box::new(NullChannel));
        let left = channel.finish(&self.look());
        platform::kill_and_reap(&left.orphan_pids);
        self.left = Some(left);
    }

    fn look(&self) -> WorkerInspector<'r> {
        self.context.look(self.process.pid(), self.number, self.listing)
    }
}

/// How long a process may run no test, before the first and after the last: as long as the longest
/// timeout.
fn idle_limit(job: &Job, tests: &[TestId]) -> Option<Duration> {
    if job.protocol == Protocol::Doctests {
        // Before the first, rustdoc compiles all of them.
        return None;
    }
    let longest = job.longest_timeout(tests)?;
    let lingers = tests.iter().filter_map(|test| job.group.leak_rules(*test));
    let linger = lingers.map(|rules| rules.linger).max().unwrap_or_default();
    // The exit of the process waits for the linger.
    Some(longest.saturating_add(linger))
}
