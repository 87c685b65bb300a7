//! What the coordinator knows of a run: the one owner of plan and ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::cpu_learning::Learning;
use crate::discovery::listing::Listing;
use crate::discovery::test_list::Dispatch;
use crate::error::Error;
use crate::fixture::handover::Values;
use crate::fixture::task::{FixtureHandle, FixtureTask};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::summary::{LongestBatch, Summary};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::plan::group::{Batch, Group, Instance};
use crate::plan::schedule::Plan;
use crate::process::event::ForwardedSignal;
use crate::run::ledger::Ledger;
use crate::worker::context::Context;
use crate::worker::inbox::{BatchEnd, Message};
use crate::worker::job::Job;

/// After the first Ctrl-C tests may clean up for so long.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// And for so long when the process that the user started was killed.
pub(super) const ORPHANS_GRACE: Duration = Duration::from_secs(1);

/// Takes every event; false means that nobody reads the report any more.
pub type Emit<'e> = &'e mut dyn FnMut(Event) -> bool;

/// Gives what is to run of the listings in these places.
pub type Grow<'g> = &'g mut dyn FnMut(Range<usize>) -> Growth;

/// What is added to a run while it goes on.
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
    /// How the verdicts of each listing are learnt.
    pub(super) protocols: Vec<Protocol>,
    /// Tests whose verdict could not be heard that way, and those that can be heard.
    pub(super) misheard: HashMap<TestId, Protocol>,
    pub(super) running: HashMap<usize, Running>,
    pub(super) fixtures: HashMap<Instance, RunningFixture>,
    /// Why the tests of these fixtures cannot run any more, on no slot.
    pub(super) lost: BTreeMap<Instance, LostFixture>,
    /// Tests that failed and run again, by when.
    pub(super) delayed: Vec<(Instant, usize, TestId)>,
    /// The batch whose end is being dealt with.
    pub(super) ending: Option<Batch>,
    /// Failures of tests whose fixture had ended, until it is known how.
    pub(super) held_failures: Vec<(Instance, TestId, Verdict)>,
    pub(super) summary: Summary,
    pub(super) longest: Option<LongestBatch>,
    /// Time of slots that were held.
    pub(super) busy: Duration,
    pub(super) fail_fast: bool,
    pub(super) stopped: bool,
    /// Where cargo builds beside the run: what is to run of that which becomes ready.
    pub(super) grow: Option<Grow<'r>>,
    /// Why nothing of the run counts: the build that it began with has failed.
    pub(super) undone: Option<Error>,
    /// Workers that died under their tests.
    pub(super) deaths: usize,
    pub(super) kill_at: Option<Instant>,
    /// The signal that ended the run, for the reasons of tests that it cut short.
    pub(super) interrupted: Option<ForwardedSignal>,
    /// When the run has to end by itself.
    pub(super) ends_at: Option<Instant>,
    pub(super) subscriptions: Subscriptions,
    pub(super) learning: Learning,
    /// Tests that have been called slow.
    pub(super) slow: BTreeSet<TestId>,
    /// No test that runs now or begins until then becomes slow before this.
    pub(super) slow_at: Option<Instant>,
    /// By group: no test of it is slow before it has run for so long.
    pub(super) soonest_slow: Vec<Duration>,
}

/// A batch that a worker has.
pub(super) struct Running {
    pub(super) batch: Batch,
    pub(super) protocol: Protocol,
    pub(super) began: Instant,
    /// Of which of its tests the worker has told a verdict.
    pub(super) reported: Vec<bool>,
    /// Tells the worker that a fixture of its tests has died.
    pub(super) fixture_is_lost: Arc<AtomicBool>,
}

/// Gives the next message; none when this much time has passed without one.
pub(super) type Next<'n> = &'n mut dyn FnMut(Option<Duration>) -> Option<Message>;

/// What starts workers and fixtures, each in a thread that lives as long as they do.
pub(super) struct Starter<'s> {
    pub(super) worker: &'s dyn Fn(Job),
    pub(super) fixture: &'s dyn Fn(Instance, FixtureTask),
}

/// A fixture that is there.
pub(super) struct RunningFixture {
    pub(super) handle: FixtureHandle,
    /// What it has handed over.
    pub(super) values: Values,
}

/// What the verdicts of tests say whose fixture is lost.
#[derive(Clone)]
pub(super) struct LostFixture {
    pub(super) reason: Reason,
    pub(super) output: Vec<u8>,
}

/// Whether the fixture of a test that failed is to blame.
pub(super) enum Suspicion {
    None,
    /// It has ended, and how is about to be told.
    Ended(Instance),
    Lost(LostFixture),
}

/// What somebody looks at while the run goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subscriptions {
    /// The passing of time.
    pub time: bool,
    /// Tests that have become slow.
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
            delayed: Vec::new(),
            ending: None,
            summary: Summary { slots: context.likely_slots, ..Summary::default() },
            longest: None,
            busy: Duration::ZERO,
            fail_fast,
            stopped: false,
            grow: None,
            undone: None,
            deaths: 0,
            kill_at: None,
            interrupted: None,
            ends_at: None,
            subscriptions: Subscriptions::default(),
            learning: Learning::default(),
            slow: BTreeSet::new(),
            slow_at: None,
            soonest_slow: Vec::new(),
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
            let soonest = group.tests.iter().map(|test| test.slow).min();
            self.soonest_slow.push(soonest.unwrap_or_default());
        }
    }

    /// cargo still builds: what it tells of is added to the run.
    pub fn grow(&mut self, grow: Grow<'r>) {
        self.grow = Some(grow);
    }

    /// The verdict of a test that is ignored, and needs no worker.
    pub fn ignore(&mut self, test: TestId) {
        self.report_verdict(test, Verdict::without_run(Outcome::Ignored, None));
    }

    /// Says what somebody looks at while the run goes on.
    pub fn subscribe(&mut self, subscriptions: Subscriptions) {
        self.subscriptions = subscriptions;
    }

    pub(super) fn group_of(&self, test: TestId) -> Option<usize> {
        let of_test = |group: &Group| group.listing == test.listing && group.has(test);
        self.plan.groups().position(of_test)
    }

    /// How many other tests the process of a running test was handed.
    pub(super) fn beside(&self, test: TestId) -> usize {
        match self.protocol_of(&[test]) {
            Protocol::ExitCode => 0,
            _ => self.batch_of(test).map_or(0, |batch| batch.tests.len().saturating_sub(1)),
        }
    }

    pub(super) fn batch_of(&self, test: TestId) -> Option<&Batch> {
        let running = self.running.values().map(|running| &running.batch);
        running.chain(&self.ending).find(|batch| batch.has(test))
    }

    pub(super) fn id(&self, test: TestId) -> String {
        let listing = &self.context.inventory.listings[test.listing];
        listing.binary.id(&listing.tests[test.test].name)
    }

    /// The simplest way that one of these tests of one listing needs.
    pub(super) fn protocol_of(&self, tests: &[TestId]) -> Protocol {
        let usual = tests.first().map_or(Protocol::ExitCode, |test| self.protocols[test.listing]);
        tests.iter().filter_map(|test| self.misheard.get(test)).copied().fold(usual, Protocol::max)
    }

    pub(super) fn emit(&mut self, event: Event) {
        if !(self.emit)(event) && self.interrupted.is_none() {
            // Whoever read the report has closed it: nobody waits for the rest.
            self.interrupt(ForwardedSignal::HangUp);
        }
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.interrupted.is_some() || self.summary.timed_out || self.summary.internal_error
    }
}

/// The best way to learn a listing's verdicts.
pub(super) fn protocol(listing: &Listing, context: &Context<'_>) -> Protocol {
    match listing.dispatch {
        Dispatch::Batches if context.agent.is_some() && listing.takes_agent() => Protocol::Agent,
        Dispatch::Batches => Protocol::LogFile,
        Dispatch::OneByOne | Dispatch::Whole => Protocol::ExitCode,
    }
}

/// The verdict of the test at this place of those that ran when their worker ended.
pub(super) fn aborted(rest: &BatchEnd, at: usize, reason: Reason) -> Verdict {
    Verdict {
        took: rest.running.get(at).map(|(_, took)| *took),
        worker: rest.worker,
        output: rest.output.clone(),
        ..Verdict::without_run(Outcome::Aborted, Some(reason))
    }
}
