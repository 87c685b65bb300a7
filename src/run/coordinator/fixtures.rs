//! The coordinator's part in fixtures: starts and stops them as planned, passes their variables on,
//! and decides about tests whose fixture is lost.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use super::state::{LostFixture, Run, RunningFixture, Starter, Suspicion, aborted};
use crate::cargo::environment::Numbers;
use crate::config::fixtures::Scope;
use crate::fixture::handover::Values;
use crate::fixture::kept::KeptFixtures;
use crate::fixture::process;
use crate::fixture::task::{Failure, FixtureHandle, FixtureTask, FixtureUpdate};
use crate::model::event::{Event, FixtureEvent};
use crate::model::fixture::FixtureInstance;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::plan::group::{Batch, Group, Instance};
use crate::process::clock;
use crate::worker::context::Context;
use crate::worker::inbox::{BatchEnd, Message};

impl Run<'_> {
    pub(super) fn start_fixture(&mut self, instance: Instance, starter: &Starter<'_>) {
        self.emit_fixture(instance, FixtureEvent::Starting);
        let fixture = &self.context.fixtures[instance.fixture];
        let values = self.values_of(&fixture.needs, instance.slot);
        let launch = fixture.launch(self.context.inventory, instance.slot, values);
        let handle = launch.and_then(|launch| {
            FixtureHandle::new(launch)
                .map_err(|error| format!("it could not be told to stop: {error}"))
        });
        match handle {
            Ok((handle, task)) => {
                let fixture = RunningFixture { handle, values: Values::new(), is_ready: false };
                self.fixtures.insert(instance, fixture);
                (starter.fixture)(instance, task);
            }
            Err(why) => self.fixture_lost(instance, Failure::at_start(why)),
        }
    }

    pub(super) fn stop_fixture(&mut self, instance: Instance) {
        if let Some(standing) = self.fixtures.get(&instance) {
            standing.handle.stop();
            self.emit_fixture(instance, FixtureEvent::Stopping);
        }
    }

    /// The variables of these fixtures, as far as they are up.
    fn values_of(&self, fixtures: &[usize], slot: Option<usize>) -> Values {
        let scopes = if slot.is_some() { &[None, slot][..] } else { &[None] };
        let instances = fixtures.iter().flat_map(|fixture| {
            scopes.iter().map(|slot| Instance { fixture: *fixture, slot: *slot })
        });
        let standing = instances.filter_map(|instance| self.fixtures.get(&instance));
        standing.flat_map(|standing| standing.values.iter().cloned()).collect()
    }

    /// The variables that a group's tests get: those of their fixtures, and the fixtures' names.
    pub(super) fn values_for_tests(&self, group: &Group, slot: Option<usize>) -> Values {
        let fixtures: Vec<usize> =
            group.fixtures.iter().flatten().map(|need| need.fixture).collect();
        if fixtures.is_empty() {
            return Values::new();
        }
        let names: Vec<&str> =
            fixtures.iter().map(|at| self.context.fixtures[*at].name.as_str()).collect();
        let mut values = self.values_of(&fixtures, slot);
        values.push(("PARTEST_FIXTURES".to_owned(), names.join(",")));
        values
    }

    pub(super) fn take_fixture_update(&mut self, instance: Instance, update: FixtureUpdate) {
        match update {
            FixtureUpdate::Ready { values, took } => {
                if let Some(standing) = self.fixtures.get_mut(&instance) {
                    standing.values = values;
                    standing.is_ready = true;
                }
                self.plan.fixture_is_up(instance);
                self.emit_fixture(instance, FixtureEvent::Ready { took });
            }
            FixtureUpdate::Lost(failure) => self.fixture_lost(instance, failure),
            FixtureUpdate::Released => {
                self.fixtures.remove(&instance);
                self.plan.fixture_is_down(instance);
                self.emit_fixture(instance, FixtureEvent::Kept);
                self.resolve_held_failures(instance, None);
            }
            FixtureUpdate::Stopped { left, failures } => {
                let leaks = self.context.fixtures[instance.fixture].leaks(left);
                self.fixtures.remove(&instance);
                self.plan.fixture_is_down(instance);
                self.summary.add_leaks(&leaks);
                self.emit_fixture(instance, FixtureEvent::Stopped { leaks, failures });
                self.resolve_held_failures(instance, None);
            }
        }
    }

    /// Blocks the tests of a lost fixture, and ends the batches that use it.
    fn fixture_lost(&mut self, instance: Instance, failure: Failure) {
        let Failure { why, output, left } = failure;
        let leaks = self.context.fixtures[instance.fixture].leaks(left);
        self.fixtures.remove(&instance);
        let (waiting, batches) = self.plan.fixture_is_lost(instance);
        self.summary.add_leaks(&leaks);
        if self.is_cut_short() {
            self.emit_fixture(instance, FixtureEvent::Stopped { leaks, failures: Vec::new() });
            return self.resolve_held_failures(instance, None);
        }
        self.summary.failed_fixtures += 1;
        let name = self.context.fixtures[instance.fixture].name.clone();
        let reason = Reason::FixtureFailed {
            instance: FixtureInstance { name, slot: instance.slot },
            failure: why.clone(),
        };
        let blocked = LostFixture { reason, output: tail(&output).to_vec() };
        self.lost.insert(instance, blocked.clone());
        self.emit_fixture(instance, FixtureEvent::Failed { why, output, leaks });
        for test in waiting {
            self.block(test, &blocked);
        }
        for batch in batches {
            if let Some(running) = self.running.get(&batch) {
                running.fixture_is_lost.store(true, Ordering::Relaxed);
                self.context.services.groups.terminate_batch(batch);
            }
        }
        self.resolve_held_failures(instance, Some(&blocked));
    }

    /// Records verdicts for a batch whose fixture was lost.
    pub(super) fn fixture_was_lost(&mut self, batch: &Batch, rest: BatchEnd) {
        let lost = self.instances_of(batch).find_map(|instance| self.lost.get(&instance).cloned());
        let Some(blocked) = lost else { return };
        for at in 0..rest.running.len() {
            let verdict = aborted(&rest, at, blocked.reason.clone());
            self.record_verdict(rest.running[at].0, with_block(verdict, &blocked));
        }
        for test in rest.not_begun {
            self.block(test, &blocked);
        }
    }

    /// The fixture instances that a batch uses.
    fn instances_of(&self, batch: &Batch) -> impl Iterator<Item = Instance> {
        let needs = self.plan.group(batch.group).fixtures.iter().flatten();
        let slot = batch.slots.first().copied();
        needs.map(move |need| {
            let slot = slot.filter(|_| need.scope == Scope::Slot);
            Instance { fixture: need.fixture, slot }
        })
    }

    /// Whether a test may have failed because its fixture was gone.
    pub(super) fn fixture_suspicion(&self, test: TestId) -> Suspicion {
        let Some(batch) = self.batch_of(test) else { return Suspicion::None };
        for instance in self.instances_of(batch) {
            if let Some(blocked) = self.lost.get(&instance) {
                return Suspicion::Lost(blocked.clone());
            }
            let standing = self.fixtures.get(&instance);
            if standing.is_some_and(|standing| standing.handle.has_ended()) {
                return Suspicion::Ended(instance);
            }
        }
        Suspicion::None
    }

    /// Resolves the failures that waited for the end of a fixture: it caused them if it was lost;
    /// otherwise they stand.
    fn resolve_held_failures(&mut self, instance: Instance, blocked: Option<&LostFixture>) {
        let held: Vec<_> =
            self.held_failures.extract_if(.., |(of, _, _)| *of == instance).collect();
        for (_, test, verdict) in held {
            let verdict = match blocked {
                Some(blocked) => with_block(verdict, blocked),
                None => verdict,
            };
            self.record_verdict(test, verdict);
        }
    }

    pub(super) fn block(&mut self, test: TestId, blocked: &LostFixture) {
        let verdict = Verdict::without_run(Outcome::Blocked, None);
        self.record_verdict(test, with_block(verdict, blocked));
    }

    /// The lost fixture that keeps the tests of a group from running: it is not started again on
    /// any slot.
    pub(super) fn lost_fixture_of(&self, group: &Group) -> Option<&LostFixture> {
        let needs = |instance: &Instance| {
            group.fixtures.iter().flatten().any(|need| need.fixture == instance.fixture)
        };
        self.lost.iter().find(|(instance, _)| needs(instance)).map(|(_, blocked)| blocked)
    }

    fn emit_fixture(&mut self, instance: Instance, what: FixtureEvent) {
        let name = self.context.fixtures[instance.fixture].name.clone();
        let instance = FixtureInstance { name, slot: instance.slot };
        self.emit(Event::Fixture { instance, at: Some(clock::now()), what });
    }
}

pub(super) fn run_fixture(
    instance: Instance,
    task: FixtureTask,
    context: &Context<'_>,
    sender: &Sender<Message>,
) {
    let tell = |update| {
        // The coordinator listens until the last fixture is gone.
        let _ = sender.send(Message::Fixture { instance, update });
    };
    let (run_id, slots) = (context.config.run_id, context.config.slots);
    let leases = |kept_fixtures: &KeptFixtures| {
        kept_fixtures.lease(&task, slots, context.services.groups, &tell)
    };
    if context.services.kept_fixtures.as_ref().is_some_and(leases) {
        return;
    }
    let numbers = Numbers { run_id, slots, worker: context.state.next_worker() };
    process::run(task, numbers, context.services.groups, &tell);
}

/// Turns a verdict into one that blames the lost fixture, with the fixture's output if the test has
/// none.
pub(super) fn with_block(verdict: Verdict, blocked: &LostFixture) -> Verdict {
    let output = match verdict.output.is_empty() {
        true => blocked.output.clone().into(),
        false => verdict.output,
    };
    let reason = Some(blocked.reason.clone());
    Verdict { outcome: Outcome::Blocked, reason, output, ..verdict }
}

/// The end of a fixture's output, short enough to be shown with each of its tests.
fn tail(output: &[u8]) -> &[u8] {
    const LONGEST: usize = 4 * 1024;
    &output[output.len().saturating_sub(LONGEST)..]
}
