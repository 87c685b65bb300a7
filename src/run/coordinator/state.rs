//! The state of a run as the coordinator knows it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::phase::Phase;
use super::requests::Requests;
use super::retries::Retries;
use super::slot_usage::{HeldSlots, SlotUsage};
use super::slow_tests::SlowTests;
use super::suspects::Suspects;
use crate::discovery::listing::Listing;
use crate::discovery::test_list::Dispatch;
use crate::fixture::handover::Values;
use crate::fixture::task::{FixtureHandle, FixtureTask};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::plan::group::{Batch, Group, Instance};
use crate::plan::schedule::Plan;
use crate::process::clock;
use crate::process::event::ForwardedSignal;
use crate::process::platform::Permits;
use crate::run::ledger::Ledger;
use crate::worker::context::Context;
use crate::worker::inbox::{BatchEnd, Message};
use crate::worker::job::Job;

/// How long tests may clean up after the first Ctrl-C.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long they may do so when the process that the user started was killed.
pub(super) const ORPHANS_GRACE: Duration = Duration::from_secs(1);

/// Receives every event; false means that nobody reads the report any more.
pub type Emit<'e> = &'e mut dyn FnMut(Event) -> bool;

/// Selects what to run from newly listed binaries.
pub type Grow<'g> = &'g mut dyn FnMut(Range<usize>) -> Growth;

/// Groups and ignored tests that are added to a running run.
#[derive(Debug, Default)]
pub struct Growth {
    pub groups: Vec<Group>,
    pub ignored: Vec<TestId>,
}

/// A run of a plan, from its first batch to its summary.
pub struct Run<'r> {
    pub(super) context: &'r Context<'r>,
    pub(super) emit: Emit<'r>,
    pub(super) plan: Plan,
    pub(super) ledger: Ledger,
    /// The protocol of each listing.
    pub(super) protocols: Vec<Protocol>,
    /// Tests with a simpler protocol than their binary's, since a verdict was lost.
    pub(super) misheard: HashMap<TestId, Protocol>,
    pub(super) running: HashMap<usize, Running>,
    pub(super) fixtures: HashMap<Instance, RunningFixture>,
    /// Lost fixtures, whose tests cannot run on any slot.
    pub(super) lost: BTreeMap<Instance, LostFixture>,
    /// The batch whose end is being handled.
    pub(super) ending: Option<Batch>,
    /// Failures of tests whose fixture has exited, held until it is known why.
    pub(super) held_failures: Vec<(Instance, TestId, Verdict)>,
    pub(super) phase: Phase,
    pub(super) retries: Retries,
    /// Tests that run again by themselves, since others may have made them fail.
    pub(super) suspects: Suspects,
    pub(super) slow_tests: SlowTests,
    pub(super) slot_usage: SlotUsage,
    pub(super) summary: Summary,
    /// Workers that crashed while they ran tests.
    pub(super) crashes: usize,
    pub(super) fail_fast: bool,
    /// Selects tests from new binaries while cargo still builds.
    pub(super) grow: Option<Grow<'r>>,
    /// When the run times out.
    pub(super) ends_at: Option<Instant>,
    pub(super) subscriptions: Subscriptions,
    /// When the reports were last told that time has passed.
    pub(super) ticked_at: Instant,
    pub(super) requests: Requests,
}

/// A batch that is running.
pub(super) struct Running {
    pub(super) batch: Batch,
    pub(super) protocol: Protocol,
    pub(super) began: Instant,
    /// Which of its tests have a verdict.
    pub(super) reported: Vec<bool>,
    /// How many of its tests may run at once, if that can change.
    pub(super) permits: Option<Arc<Permits>>,
    pub(super) held: HeldSlots,
    /// Set when a fixture of its tests is lost.
    pub(super) fixture_is_lost: Arc<AtomicBool>,
}

/// Returns the next message; none if this much time passes without one.
pub(super) type Next<'n> = &'n mut dyn FnMut(Option<Duration>) -> Option<Message>;

/// Starts workers and fixtures, each in a thread of its own.
pub(super) struct Starter<'s> {
    pub(super) worker: &'s dyn Fn(Job),
    pub(super) fixture: &'s dyn Fn(Instance, FixtureTask),
}

/// A fixture that has been started.
pub(super) struct RunningFixture {
    pub(super) handle: FixtureHandle,
    /// The variables that it passes to its tests.
    pub(super) values: Values,
    pub(super) is_ready: bool,
}

/// The reason and output for verdicts of tests whose fixture is lost.
#[derive(Clone)]
pub(super) struct LostFixture {
    pub(super) reason: Reason,
    pub(super) output: Vec<u8>,
}

/// Whether a lost fixture may have caused a failure.
pub(super) enum Suspicion {
    None,
    /// Its process has exited, and the report is about to arrive.
    Ended(Instance),
    Lost(LostFixture),
}

/// The events that reports want while the run goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subscriptions {
    /// The passing of time, this often.
    pub time: Option<Duration>,
    /// Slow tests.
    pub slow: bool,
}

impl<'r> Run<'r> {
    pub fn new(context: &'r Context<'r>, plan: Plan, fail_fast: bool, emit: Emit<'r>) -> Self {
        let mut run = Run {
            context,
            emit,
            plan,
            ledger: Ledger::default(),
            protocols: Vec::new(),
            misheard: HashMap::new(),
            running: HashMap::new(),
            fixtures: HashMap::new(),
            lost: BTreeMap::new(),
            held_failures: Vec::new(),
            ending: None,
            phase: Phase::default(),
            retries: Retries::default(),
            suspects: Suspects::default(),
            slow_tests: SlowTests::default(),
            slot_usage: SlotUsage::default(),
            crashes: 0,
            summary: Summary { slots: context.config.likely_slots, ..Summary::default() },
            fail_fast,
            grow: None,
            ends_at: None,
            subscriptions: Subscriptions::default(),
            ticked_at: Instant::now(),
            requests: Requests::default(),
        };
        run.expect_verdicts(0);
        run
    }

    /// Expects verdicts for the plan's groups from the `first` one on.
    pub(super) fn expect_verdicts(&mut self, first: usize) {
        let listings = &self.context.inventory.listings;
        self.summary.binaries = listings.len();
        let new = listings.iter().skip(self.protocols.len());
        self.protocols.extend(new.map(|listing| protocol(listing, self.context)));
        for group in self.plan.groups().skip(first) {
            group.tests.iter().for_each(|test| self.ledger.expect(test.id));
            self.slow_tests.add_group(group.tests.iter().map(|test| test.slow));
        }
    }

    /// Adds the binaries that cargo still builds to the run.
    pub fn grow(&mut self, grow: Grow<'r>) {
        self.grow = Some(grow);
    }

    /// Reports an ignored test, which needs no worker.
    pub fn ignore(&mut self, test: TestId) {
        self.report_verdict(test, Verdict::without_run(Outcome::Ignored, None));
    }

    /// Sets the events that reports want.
    pub fn subscribe(&mut self, subscriptions: Subscriptions) {
        self.subscriptions = subscriptions;
    }

    pub(super) fn group_of(&self, test: TestId) -> Option<usize> {
        let of_test = |group: &Group| group.listing == test.listing && group.has(test);
        self.plan.groups().position(of_test)
    }

    /// How many other tests are in the batch of a running test.
    pub(super) fn beside(&self, test: TestId) -> usize {
        match self.protocol_of(&[test]) {
            // Each has a process of its own.
            Protocol::ExitCode | Protocol::Doctests => 0,
            _ => self.batch_of(test).map_or(0, |batch| batch.tests.len().saturating_sub(1)),
        }
    }

    pub(super) fn batch_of(&self, test: TestId) -> Option<&Batch> {
        let running = self.running.values().map(|running| &running.batch);
        running.chain(&self.ending).find(|batch| batch.has(test))
    }

    /// The simplest protocol that one of these tests of one listing needs.
    pub(super) fn protocol_of(&self, tests: &[TestId]) -> Protocol {
        let usual = tests.first().map_or(Protocol::ExitCode, |test| self.protocols[test.listing]);
        tests.iter().filter_map(|test| self.misheard.get(test)).copied().fold(usual, Protocol::max)
    }

    pub(super) fn emit(&mut self, event: Event) {
        if !(self.emit)(event) && !self.summary.interrupted {
            // The reader of the report has closed it: nobody waits for the rest.
            self.interrupt(ForwardedSignal::HangUp);
        }
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.summary.interrupted || self.summary.timed_out || self.summary.internal_error
    }
}

/// The best protocol for a listing.
pub(super) fn protocol(listing: &Listing, context: &Context<'_>) -> Protocol {
    match listing.dispatch {
        Dispatch::Batches if context.services.agent.is_some() && listing.takes_agent() => {
            Protocol::Agent
        }
        Dispatch::Batches => Protocol::LogFile,
        Dispatch::LoggedBatches | Dispatch::MimicBatches => Protocol::HarnessLog,
        Dispatch::Doctests => Protocol::Doctests,
        Dispatch::OneByOne | Dispatch::Whole | Dispatch::Unlisted => Protocol::ExitCode,
    }
}

/// The verdict of one of the tests that ran when their worker ended.
pub(super) fn aborted(rest: &BatchEnd, at: usize, reason: Reason) -> Verdict {
    let running = rest.running.get(at);
    let printed = running.map(|(test, _)| rest.output.of(*test)).unwrap_or_default();
    Verdict {
        ended: running.map(|_| clock::now()),
        took: running.map(|(_, took)| *took),
        worker: rest.worker,
        output: printed.output,
        output_lost: printed.lost,
        ..Verdict::without_run(Outcome::Aborted, Some(reason))
    }
}
