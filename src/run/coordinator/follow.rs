//! The main loop of the coordinator: starts batches and fixtures, and handles messages.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::fixtures::run_fixture;
use super::phase::Phase;
use super::slot_usage::HeldSlots;
use super::state::{Next, Run, Running, Starter};
use crate::cargo::binary::Harness;
use crate::error::{Error, Result};
use crate::fixture::task::{Failure, FixtureTask, FixtureUpdate};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::plan::fixtures::FixtureStep;
use crate::plan::group::{Batch, Instance};
use crate::process::clock;
use crate::run::coordinator::state::Growth;
use crate::run::interrupt::Interrupts;
use crate::worker::batch;
use crate::worker::context::Context;
use crate::worker::inbox::{self, Message};
use crate::worker::job::Job;

impl<'r> Run<'r> {
    /// Runs the plan to its end.
    ///
    /// `rest` follows an ongoing build. If that fails, the result is its error, and results of
    /// tests that already ran are not reported.
    pub fn run(
        self,
        pool: &ThreadPool,
        interrupts: &Interrupts,
        rest: Option<impl FnOnce(Sender<Message>) + Send>,
    ) -> Result<Summary> {
        let (sender, messages) = channel();
        interrupts.listen(sender.clone());
        let context = self.context;
        // The coordinator and the fixtures run outside of the pool, so that they take no slots.
        std::thread::scope(|threads| {
            if let Some(rest) = rest {
                let builder = std::thread::Builder::new().name("rest".into());
                let sender = sender.clone();
                let follow = move || follow_build(rest, &sender);
                builder.spawn_scoped(threads, follow).map_err(Error::Thread)?;
            }
            pool.in_place_scope(|scope| {
                let worker = |job: Job| {
                    let sender = sender.clone();
                    scope.spawn(move |_| batch::run(&job, context, &sender));
                };
                let fixture = |instance: Instance, task: FixtureTask| {
                    let sender = sender.clone();
                    let refused = sender.clone();
                    let run = move || follow_fixture(instance, task, context, &sender);
                    if let Err(error) = std::thread::Builder::new().spawn_scoped(threads, run) {
                        let why = format!("no thread could be started for it: {error}");
                        let update = FixtureUpdate::Lost(Failure::at_start(why));
                        let _ = refused.send(Message::Fixture { instance, update });
                    }
                };
                let starter = Starter { worker: &worker, fixture: &fixture };
                let mut next = |patience: Option<Duration>| match patience {
                    Some(patience) => messages.recv_timeout(patience).ok(),
                    None => messages.recv().ok(),
                };
                let follow = AssertUnwindSafe(|| self.follow(&starter, &mut next));
                catch_unwind(follow).unwrap_or_else(|panic| {
                    // Nobody else would stop the other threads.
                    context.state.stopping.store(true, Ordering::Relaxed);
                    context.services.groups.kill_all();
                    Err(Error::panicked("the coordinator", &*panic))
                })
            })
        })
    }

    /// The main loop, with any source of messages and any way to start workers and fixtures.
    pub(super) fn follow(mut self, starter: &Starter<'_>, next: Next<'_>) -> Result<Summary> {
        let began = clock::now();
        if self.grow.is_none() {
            self.start_timeout();
        }
        loop {
            self.start_ready(starter);
            if self.plan.is_done() && self.grow.is_none() {
                return match self.phase {
                    Phase::Undone(error) => Err(error),
                    Phase::Running | Phase::Stopping { .. } => Ok(self.finish(began)),
                };
            }
            self.wait_for_message(next);
        }
    }

    /// Starts the timeout of the run, which does not include the build.
    pub(super) fn start_timeout(&mut self) {
        self.ends_at = self.context.config.run_timeout.map(clock::within);
    }

    /// Starts all that may start now.
    pub(super) fn start_ready(&mut self, starter: &Starter<'_>) {
        self.retry_due_tests();
        // A batch that is to give up a slot usually does so when one of its tests has ended.
        self.finish_narrowing();
        self.fill_slots(starter);
        if self.narrow_batch() {
            self.fill_slots(starter);
        }
    }

    /// Starts all that may start, and gives what is still free to running batches.
    fn fill_slots(&mut self, starter: &Starter<'_>) {
        self.start_planned(starter);
        while self.widen_batch() {
            self.start_planned(starter);
        }
    }

    fn start_planned(&mut self, starter: &Starter<'_>) {
        loop {
            while let Some(batch) = self.plan.next() {
                (starter.worker)(self.hand_out(batch));
            }
            match self.plan.next_fixture() {
                Some(FixtureStep::Start(instance)) => self.start_fixture(instance, starter),
                Some(FixtureStep::Stop(instance)) => self.stop_fixture(instance),
                None => return,
            }
        }
    }

    pub(super) fn hand_out(&mut self, batch: Batch) -> Job {
        let group = self.plan.group(batch.group).clone();
        batch.tests.iter().for_each(|test| self.ledger.note_start(*test));
        let protocol = self.protocol_of(&batch.tests);
        let filled = batch.slots.iter().max().map_or(0, |highest| highest + 1);
        self.summary.slots = self.summary.slots.max(filled);
        let permits = self.permits(&batch, protocol);
        let fixture_is_lost = Arc::new(AtomicBool::new(false));
        let (began, reported) = (clock::now(), vec![false; batch.tests.len()]);
        let running = Running {
            batch: batch.clone(),
            protocol,
            began,
            reported,
            permits: permits.clone(),
            held: HeldSlots::new(batch.slots.len(), began),
            fixture_is_lost: fixture_is_lost.clone(),
        };
        self.running.insert(batch.id, running);
        self.schedule_slow_check(batch.group);
        let values = self.values_for_tests(&group, batch.slots.first().copied());
        Job { batch, group, protocol, values, permits, fixture_is_lost }
    }

    pub(super) fn handle_message(&mut self, message: Message) {
        match message {
            Message::Signal(signal) => self.interrupt(signal),
            Message::Orphaned => self.orphaned(),
            Message::WhatRuns => {
                let slots = self.context.state.active.now();
                self.emit_status(slots);
            }
            Message::Typed(command) => self.typed(command),
            Message::Stacks(text) => self.emit(Event::Stacks(text)),

            Message::Failing { test } if self.batch_of(test).is_none() => {}
            Message::Failing { test } => self.emit(Event::Failing { test }),
            Message::Judged { batch, test, verdict } if self.accepts_verdict(batch, test) => {
                let group = self.running.get(&batch).map(|running| running.batch.group);
                if let Some((group, took)) = group.zip(verdict.took) {
                    self.plan.learn(group, took, verdict.load);
                }
                let verdict = self.unless_cut_short(batch, verdict);
                self.take_verdict(test, verdict);
            }
            Message::Judged { .. } => {}
            Message::TestEnded { batch, test } => self.plan.test_finished(batch, test),
            Message::CpuDemand { batch, demand } => {
                self.plan.observe(batch, demand.running, demand.share());
            }
            Message::Fixture { instance, update } => self.take_fixture_update(instance, update),
            Message::WorkerOutput { worker, tests, output } => {
                self.emit(Event::WorkerOutput { worker, tests, output });
            }
            Message::StateChanged(changes) => self.state_changed(changes),
            Message::WorkerEnded(span) => self.emit(Event::WorkerEnded(span)),
            Message::Wrote { bytes } => self.emit(Event::Output { bytes }),
            Message::Listed { listings, warnings } => {
                for warning in warnings {
                    if let Warning::ListFailed(failure) = &warning {
                        self.summary.add_list_failure(failure);
                    }
                    self.emit(Event::Warning(warning));
                }
                self.listed(listings);
            }
            Message::Built(end) => self.built(end),
            Message::Finished { batch, rest } => self.batch_finished(batch, rest),
            Message::WantsTerminal { batch } => {
                if let Some(running) = self.running.get(&batch) {
                    let node = self.plan.group(running.batch.group).node.clone();
                    self.emit(Event::Warning(Warning::NeedsTerminal { node }));
                }
            }
            Message::Broken { thread, why } => self.broken(thread, why),
            Message::Several(messages) => {
                messages.into_iter().for_each(|one| self.handle_message(one))
            }
        }
    }

    /// Whether this is the first verdict of the batch's worker for this test.
    pub(super) fn accepts_verdict(&mut self, batch: usize, test: TestId) -> bool {
        let Some(running) = self.running.get_mut(&batch) else { return false };
        let place = running.batch.place_of(test);
        place.is_some_and(|at| !std::mem::replace(&mut running.reported[at], true))
    }

    pub(super) fn listed(&mut self, listings: Range<usize>) {
        let Some(grow) = &mut self.grow else { return };
        let Growth { groups, ignored } = grow(listings);
        if self.phase.is_stopped() {
            let tests = groups.iter().flat_map(|group| &group.tests);
            tests.for_each(|test| self.not_run(test.id));
            self.expect_verdicts(self.plan.groups().count());
        } else {
            let first = self.plan.groups().count();
            self.plan.add(groups);
            self.expect_verdicts(first);
        }
        ignored.into_iter().for_each(|test| self.ignore(test));
    }

    pub(super) fn built(&mut self, end: Result<()>) {
        self.grow = None;
        match end {
            Ok(()) => {
                self.start_timeout();
                self.emit(Event::BuildFinished);
            }
            Err(error) => {
                self.stop();
                self.phase = Phase::Undone(error);
                self.context.services.groups.kill_all();
            }
        }
    }

    pub(super) fn finish(mut self, began: Instant) -> Summary {
        let used: BTreeSet<usize> = self.plan.groups().map(|group| group.listing).collect();
        let listings = &self.context.inventory.listings;
        // A harness of one's own is never checked: who has one need not be told in every run.
        let is_expected = |listing: &usize| {
            self.context.config.is_verbose || listings[*listing].binary.harness == Harness::Libtest
        };
        // rustdoc runs doctests in processes of their own.
        let is_watched = |listing: usize| {
            matches!(self.protocols[listing], Protocol::Agent | Protocol::Doctests)
        };
        let is_unwatched = |listing: &&usize| !is_watched(**listing) && is_expected(listing);
        let unwatched = used.iter().filter(is_unwatched).count();
        if unwatched > 0 {
            self.emit(Event::Warning(Warning::NoLeakCheck { binaries: unwatched }));
        }
        let is_without_agent = |listing: &&usize| self.protocols[**listing] != Protocol::Agent;
        let binaries = used.iter().filter(is_without_agent).count();
        if self.context.config.watches_state && binaries > 0 {
            self.emit(Event::Warning(Warning::StateNotWatched { binaries }));
        }
        if !self.phase.is_stopped() {
            // Only a bug in the plan can cause this; it must not look like a pass.
            for test in self.ledger.without_verdict() {
                let reason = Some(Reason::NoVerdict);
                self.take_verdict(test, Verdict::without_run(Outcome::Missing, reason));
            }
        }
        for (test, verdict) in self.ledger.release() {
            self.report_verdict(test, verdict);
        }
        self.learn_locks();
        self.summary.interrupted |= self.requests.stop_after_running && self.summary.not_run > 0;
        let took = clock::since(began);
        let fill = self.slot_usage.fill(took, self.summary.slots);
        let workers = self.context.state.workers();
        // In a stopped run it says nothing.
        let bottleneck = match self.phase.is_stopped() {
            true => None,
            false => self.slot_usage.bottleneck(took, fill),
        };
        Summary { took, workers, fill, bottleneck, ..self.summary }
    }
}

/// Listens to cargo until its build is done.
fn follow_build(rest: impl FnOnce(Sender<Message>), sender: &Sender<Message>) {
    let follow = AssertUnwindSafe(|| rest(sender.clone()));
    if catch_unwind(follow).is_err() {
        // Without this message the run would wait for ever.
        let lost = Error::Cargo("the thread that listens to cargo was lost".into());
        let _ = sender.send(Message::Built(Err(lost)));
    }
}

/// Starts or stops an instance of a fixture, and sends what becomes of it.
fn follow_fixture(
    instance: Instance,
    task: FixtureTask,
    context: &Context<'_>,
    sender: &Sender<Message>,
) {
    let name = &context.fixtures[instance.fixture].name;
    let thread = format!("the thread of fixture {name}");
    let run = || run_fixture(instance, task, context, sender);
    if inbox::guarded(&thread, sender, run).is_none() {
        let update = FixtureUpdate::Lost(Failure::at_start(format!("{thread} is lost")));
        let _ = sender.send(Message::Fixture { instance, update });
    }
}

#[cfg(test)]
mod tests;
