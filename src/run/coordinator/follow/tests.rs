//! The pool without a process: fakes tell the coordinator what workers and fixtures may tell
//! it, and what they must not. Whatever they do, the run ends and its accounts are right.
//!
//! Small plans are played through in every way that deviates from a run without trouble in no
//! more than a few places; larger ones by property (`PROPTEST_CASES` says how often).

mod cost;
mod suspects;
mod waits;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::cargo::binary::Binary;
use crate::config::fixtures::Scope;
use crate::config::keys::{Recycle, RetryKeys};
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::discovery::statics::Statics;
use crate::discovery::test_list::{Dispatch, Test};
use crate::fixture::definition::Fixture;
use crate::fixture::handover::Values;
use crate::fixture::task::{Failure, FixtureUpdate};
use crate::model::event::FixtureEvent;
use crate::model::reason::Timeout;
use crate::plan::group::{Group, Isolation, Need};
use crate::plan::schedule::Plan;
use crate::plan::schedule::tests::group;
use crate::process::event::ForwardedSignal;
use crate::process::process_groups::ProcessGroups;
use crate::run::coordinator::state::Growth;
use crate::worker::context::Context;
use crate::worker::inbox::{BatchEnd, EndCause, Overdue};
use crate::worker::run_config::RunConfig;
use crate::worker::services::Services;

/// A run that takes more messages than this never ends.
const MOST_STEPS: usize = 5_000;

/// Whatever is left to chance. What is not given is 0, which is what happens in a run without
/// trouble.
#[derive(Debug, Clone, Default)]
struct Choices {
    given: Vec<usize>,
    /// Out of how many each choice was made.
    asked: Vec<usize>,
}

impl Choices {
    fn choose(&mut self, of: usize) -> usize {
        let given = self.given.get(self.asked.len()).copied().unwrap_or(0);
        self.asked.push(of);
        given % of
    }

    /// The next way to choose that no run has gone; none after the last.
    fn next(mut self) -> Option<Choices> {
        self.given.resize(self.asked.len(), 0);
        while let Some(last) = self.given.pop() {
            if last + 1 < self.asked[self.given.len()] {
                self.given.push(last + 1);
                return Some(Choices { given: self.given, asked: Vec::new() });
            }
        }
        None
    }
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    Pass,
    Fail,
    /// The second of those that run ends first.
    PassInAnotherOrder,
    Finish,
    /// So many of its tests ran.
    Die(usize),
    DieAndForget,
    /// So many of its tests hang.
    TimeOut(usize),
    TimeOutOfNothing,
    FinishEarly,
    FinishAndForget,
    FinishTwice,
    SpeakAfterTheEnd,
    Recycle,
    NoChannel,
    Misheard,
    NotStarted,
    JudgeAnothers,
    JudgeUnknown,
    JudgeTwice,
    /// Its last words are about tests that are not its own, or have their verdicts.
    DieConfused,
    RecycleConfused,
    FailingUnknown,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Move {
    Worker(usize, Deed),
    /// From now on every worker does this.
    Curse(Deed),
    FixtureReady(usize),
    FixtureLost(usize),
    FixtureStopped(usize),
    FixtureGivenBack(usize),
    /// Its process has ended, and that is not told yet.
    FixtureEnds(usize),
    Interrupt,
    /// Nobody reads the report any more.
    CloseReport,
    /// One more listing, whose tests the run did not know.
    Listed,
    Built,
}

struct FakeWorker {
    batch: Batch,
    needs: Vec<Instance>,
    protocol: Protocol,
    told: Vec<TestId>,
    untold: Vec<TestId>,
}

struct FakeFixture {
    instance: Instance,
    task: FixtureTask,
    is_ready: bool,
    has_ended: bool,
}

struct World {
    choices: Choices,
    /// How many more deviations from a run without trouble there may be.
    trouble: usize,
    /// Whether another order than the first one is no deviation.
    any_order: bool,
    curse: Option<Deed>,
    may_interrupt: bool,
    workers: Vec<FakeWorker>,
    fixtures: Vec<FakeFixture>,
    said: VecDeque<Message>,
    steps: usize,
    moves: Vec<Move>,
    tests: Vec<TestId>,
    report_is_closed: bool,
    /// Listings that are to come; `None` once it was said that none is.
    unlisted: Option<std::ops::Range<usize>>,
    /// Those that honestly passed.
    passed: BTreeSet<TestId>,
    /// Those that failed while all that they need was there.
    failed: BTreeSet<TestId>,
    /// The tests that ran at each honest death.
    deaths: Vec<Vec<TestId>>,
    judged: BTreeMap<TestId, Verdict>,
    lost: BTreeSet<String>,
}

impl World {
    fn new(tests: Vec<TestId>, choices: Choices, trouble: usize) -> World {
        World {
            choices,
            trouble,
            any_order: false,
            curse: None,
            may_interrupt: true,
            workers: Vec::new(),
            fixtures: Vec::new(),
            said: VecDeque::new(),
            steps: 0,
            moves: Vec::new(),
            tests,
            report_is_closed: false,
            unlisted: None,
            passed: BTreeSet::new(),
            failed: BTreeSet::new(),
            deaths: Vec::new(),
            judged: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    fn start(&mut self, job: Job) {
        let Job { batch, protocol, group, .. } = job;
        assert!(batch.tests.iter().all(|test| self.tests.contains(test)), "{batch:?}");
        let untold = batch.tests.clone();
        let slot = |scope| (scope == Scope::Slot).then_some(batch.slots[0]);
        let needs = group.fixtures.iter().flatten();
        let needs = needs.map(|need| Instance { fixture: need.fixture, slot: slot(need.scope) });
        let needs = needs.collect();
        self.workers.push(FakeWorker { batch, needs, protocol, told: Vec::new(), untold });
    }

    fn start_fixture(&mut self, instance: Instance, task: FixtureTask) {
        self.fixtures.push(FakeFixture { instance, task, is_ready: false, has_ended: false });
    }

    /// Time passes without a message only where all have said what they have to say.
    fn next(&mut self, patience: Option<Duration>) -> Option<Message> {
        self.steps += 1;
        assert!(self.steps < MOST_STEPS, "it goes on for ever: {:?}", self.shown());
        while self.said.is_empty() {
            let well = self.moves_without_trouble();
            if well.is_empty() {
                assert!(patience.is_some(), "a deadlock: {:?}", self.shown());
                return None;
            }
            self.act(well);
        }
        self.said.pop_front()
    }

    /// The first of these, or trouble.
    fn act(&mut self, well: Vec<Move>) {
        let (without, mut moves) = (well.len(), well);
        match (self.trouble, self.any_order) {
            (0, true) => {}
            (0, false) => moves.truncate(1),
            _ => moves.extend(self.trouble_now()),
        }
        let at = self.choices.choose(moves.len());
        let first_trouble = if self.any_order { without } else { 1 };
        self.trouble -= usize::from(at >= first_trouble);
        self.moves.push(moves[at]);
        self.do_it(moves[at]);
    }

    fn shown(&self) -> &[Move] {
        &self.moves[..self.moves.len().min(60)]
    }

    fn moves_without_trouble(&self) -> Vec<Move> {
        let fixtures = self.fixtures.iter().enumerate().filter_map(|(at, fixture)| {
            match (fixture.task.must_stop(), fixture.is_ready) {
                (true, _) => Some(Move::FixtureStopped(at)),
                (false, false) => Some(Move::FixtureReady(at)),
                // It has ended, and nobody needs it: that is told as well.
                (false, true) => fixture.has_ended.then_some(Move::FixtureLost(at)),
            }
        });
        let workers = self.workers.iter().enumerate().map(|(at, worker)| {
            let deed = match (self.curse, worker.untold.is_empty()) {
                (Some(deed), _) => deed,
                (None, true) => Deed::Finish,
                (None, false) => Deed::Pass,
            };
            Move::Worker(at, deed)
        });
        let build = self.unlisted.as_ref().map(|unlisted| match unlisted.is_empty() {
            true => Move::Built,
            false => Move::Listed,
        });
        // Whoever is told of a fixture's end is told soon; the others come in any order.
        workers.chain(fixtures).chain(build).collect()
    }

    fn trouble_now(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (at, worker) in self.workers.iter().enumerate() {
            moves.extend(worker.deeds().into_iter().map(|deed| Move::Worker(at, deed)));
        }
        for (at, fixture) in self.fixtures.iter().enumerate() {
            moves.push(Move::FixtureLost(at));
            moves.extend(fixture.task.must_stop().then_some(Move::FixtureGivenBack(at)));
            let may_end = fixture.is_ready && !fixture.has_ended;
            moves.extend(may_end.then_some(Move::FixtureEnds(at)));
        }
        if self.curse.is_none() && !self.workers.is_empty() {
            let for_ever = [
                Deed::Fail,
                Deed::Die(0),
                Deed::Die(1),
                Deed::Die(usize::MAX),
                Deed::TimeOut(1),
                Deed::TimeOutOfNothing,
                Deed::FinishEarly,
                Deed::Recycle,
                Deed::NoChannel,
                Deed::NotStarted,
                Deed::RecycleConfused,
            ];
            moves.extend(for_ever.map(Move::Curse));
        }
        if self.may_interrupt {
            moves.push(Move::Interrupt);
            moves.extend((!self.report_is_closed).then_some(Move::CloseReport));
        }
        moves
    }

    fn do_it(&mut self, what: Move) {
        match what {
            Move::Worker(at, deed) => self.work(at, deed),
            Move::Curse(deed) => self.curse = Some(deed),
            Move::FixtureReady(at) => {
                self.fixtures[at].is_ready = true;
                let (values, took) = (Values::new(), Duration::ZERO);
                self.update(at, FixtureUpdate::Ready { values, took });
            }
            Move::FixtureEnds(at) => {
                self.fixtures[at].task.pretend_end();
                self.fixtures[at].has_ended = true;
            }
            Move::FixtureLost(at) => {
                self.update(at, FixtureUpdate::Lost(Failure::at_start("of the test".into())));
                self.fixtures.remove(at);
            }
            Move::FixtureStopped(at) => {
                self.update(at, FixtureUpdate::Stopped { left: Vec::new(), failures: Vec::new() });
                self.fixtures.remove(at);
            }
            Move::FixtureGivenBack(at) => {
                self.update(at, FixtureUpdate::Released);
                self.fixtures.remove(at);
            }
            Move::Interrupt => self.said.push_back(Message::Signal(ForwardedSignal::Interrupt)),
            Move::CloseReport => self.report_is_closed = true,
            Move::Listed => {
                let first = self.unlisted.as_mut().and_then(Iterator::next).unwrap();
                let listings = first..first + 1;
                self.said.push_back(Message::Listed { listings, warnings: Vec::new() });
            }
            Move::Built => {
                self.unlisted = None;
                self.said.push_back(Message::Built(Ok(())));
            }
        }
    }

    fn update(&mut self, at: usize, update: FixtureUpdate) {
        let instance = self.fixtures[at].instance;
        self.said.push_back(Message::Fixture { instance, update });
    }

    fn work(&mut self, at: usize, deed: Deed) {
        let deed = match (deed, self.workers[at].untold.is_empty()) {
            (Deed::Pass | Deed::Fail | Deed::PassInAnotherOrder, true) => Deed::Finish,
            (deed, _) => deed,
        };
        match deed {
            Deed::Pass => self.judge_next(at, 0, Outcome::Passed),
            Deed::Fail => self.judge_next(at, 0, Outcome::Failed),
            Deed::PassInAnotherOrder => {
                let second = self.workers[at].untold.len().min(2) - 1;
                self.judge_next(at, second, Outcome::Passed);
            }
            Deed::JudgeAnothers => {
                let other = self.tests.iter().find(|test| !self.workers[at].batch.has(**test));
                let other = other.copied().unwrap_or(UNKNOWN);
                self.tell(at, other, Outcome::Passed);
            }
            Deed::JudgeUnknown => {
                self.tell(at, UNKNOWN, Outcome::Passed);
                self.tell(at, TestId { listing: 77, test: 0 }, Outcome::Failed);
            }
            Deed::JudgeTwice => {
                let FakeWorker { told, untold, .. } = &self.workers[at];
                let Some(&test) = told.last().or(untold.first()) else { return };
                for outcome in [Outcome::Failed, Outcome::Passed, Outcome::Failed] {
                    self.tell(at, test, outcome);
                }
                self.workers[at].untold.retain(|untold| *untold != test);
            }
            Deed::FailingUnknown => self.said.push_back(Message::Failing { test: UNKNOWN }),
            _ => self.end(at, deed),
        }
    }

    fn judge_next(&mut self, at: usize, which: usize, outcome: Outcome) {
        let test = self.workers[at].untold.remove(which);
        self.workers[at].told.push(test);
        if outcome == Outcome::Passed {
            self.passed.insert(test);
        } else if self.workers[at].needs.iter().all(|need| self.is_there(*need)) {
            self.failed.insert(test);
        }
        self.tell(at, test, outcome);
    }

    fn is_there(&self, instance: Instance) -> bool {
        let mut fixtures = self.fixtures.iter();
        fixtures.any(|fixture| fixture.instance == instance && !fixture.has_ended)
    }

    fn tell(&mut self, at: usize, test: TestId, outcome: Outcome) {
        let batch = self.workers[at].batch.id;
        let verdict = Verdict::without_run(outcome, None);
        self.said.push_back(Message::Judged { batch, test, verdict });
    }

    fn end(&mut self, at: usize, deed: Deed) {
        let FakeWorker { batch, told, untold, .. } = self.workers.remove(at);
        let wide = batch.threads.min(untold.len());
        let died = || EndCause::Died("SIGTEST".into());
        let (cause, running, rest): (EndCause, Vec<TestId>, Vec<TestId>) = match deed {
            Deed::Die(ran) => {
                let ran = ran.min(untold.len());
                self.deaths.extend((ran > 0).then(|| untold[..ran].to_vec()));
                (died(), untold[..ran].to_vec(), untold[ran..].to_vec())
            }
            Deed::DieAndForget => (died(), vec![], vec![]),
            Deed::TimeOut(hang) => {
                let hang = hang.min(wide);
                self.deaths.extend((hang > 0).then(|| untold[..hang].to_vec()));
                let cause = EndCause::TimedOut(overdue(&untold[..hang]));
                (cause, untold[..wide].to_vec(), untold[wide..].to_vec())
            }
            Deed::TimeOutOfNothing => {
                let cause = EndCause::TimedOut(overdue(&[UNKNOWN]));
                (cause, untold[..wide].to_vec(), untold[wide..].to_vec())
            }
            Deed::FinishEarly | Deed::Finish | Deed::FinishTwice | Deed::SpeakAfterTheEnd => {
                (EndCause::Done, vec![], untold)
            }
            Deed::Recycle => (EndCause::Recycled, vec![], untold),
            Deed::NoChannel => (EndCause::NoChannel, vec![], untold),
            Deed::Misheard => {
                let begun = untold.len().min(1);
                (EndCause::Misheard, untold[..begun].to_vec(), untold[begun..].to_vec())
            }
            Deed::NotStarted => (EndCause::NotStarted("of the test".into()), vec![], untold),
            Deed::DieConfused => {
                let all = self.tests.iter().rev().chain(&told).chain(&[UNKNOWN]).copied();
                (died(), all.collect(), untold)
            }
            Deed::RecycleConfused => {
                let all: Vec<TestId> = self.tests.iter().chain(&told).copied().collect();
                (EndCause::Recycled, all.clone(), all)
            }
            _ => (EndCause::Done, vec![], vec![]),
        };
        let running: Vec<(TestId, Duration)> =
            running.into_iter().map(|test| (test, Duration::ZERO)).collect();
        let finished = || {
            let (running, not_begun) = (running.clone(), rest.clone());
            let rest = BatchEnd { cause: cause.clone(), running, not_begun, ..BatchEnd::done() };
            Message::Finished { batch: batch.id, rest }
        };
        self.said.push_back(finished());
        if deed == Deed::FinishTwice {
            self.said.push_back(finished());
        }
        if deed == Deed::SpeakAfterTheEnd {
            let (batch, test) = (batch.id, batch.tests[0]);
            let verdict = Verdict::without_run(Outcome::Failed, None);
            self.said.push_back(Message::Judged { batch, test, verdict });
        }
    }

    /// Takes what the coordinator tells the reports; says whether anybody reads it.
    fn hear(&mut self, event: Event) -> bool {
        match event {
            Event::TestFinished { test, verdict } => {
                assert!(self.tests.contains(&test), "{test:?} was never handed out");
                let is_pass = verdict.outcome == Outcome::Passed;
                assert!(!is_pass || self.passed.contains(&test), "a pass of nobody's: {test:?}");
                let former = self.judged.insert(test, verdict);
                assert_eq!(former, None, "two verdicts of {test:?}: {:?}", self.shown());
            }
            Event::Fixture { instance, what: FixtureEvent::Starting, .. } => {
                assert!(!self.lost.contains(&instance.name), "tried again: {:?}", self.shown());
            }
            Event::Fixture { instance, what: FixtureEvent::Failed { .. }, .. } => {
                self.lost.insert(instance.name);
            }
            Event::Failing { test } => assert_ne!(test, UNKNOWN),
            _ => {}
        }
        !self.report_is_closed
    }

    fn check(&self, summary: &Summary, may_stop: bool) {
        let moves = self.shown();
        assert!(self.workers.is_empty(), "a worker is left: {moves:?}");
        assert!(self.fixtures.is_empty(), "a fixture is left: {moves:?}");
        let accounted = self.judged.len() + summary.not_run;
        assert_eq!(accounted, self.tests.len(), "{:?} of {moves:?}", self.judged);
        let stopped = may_stop || summary.interrupted;
        assert!(stopped || summary.not_run == 0, "not run: {moves:?}");
        for outcome in crate::model::outcome::OUTCOMES {
            let judged = self.judged.values().filter(|verdict| verdict.outcome == outcome);
            assert_eq!(summary.count(outcome), judged.count(), "{outcome:?} after {moves:?}");
        }
        for test in &self.failed {
            let is_told = |verdict: &Verdict| {
                verdict.outcome != Outcome::Blocked || !verdict.failed_before.is_empty()
            };
            let verdict = self.judged.get(test);
            assert!(verdict.is_none_or(is_told), "a failure of {test:?} is hidden: {moves:?}");
        }
        for death in &self.deaths {
            let is_told = |test: &TestId| {
                let verdict = self.judged.get(test);
                verdict.is_some_and(|v| !v.outcome.is_success() || !v.failed_before.is_empty())
            };
            assert!(death.iter().any(is_told), "a death of {death:?} is hidden: {moves:?}");
        }
    }
}

fn overdue(tests: &[TestId]) -> Overdue {
    let timeout = Timeout { limit: Duration::from_secs(1), stopped_by: None };
    Overdue { tests: tests.to_vec(), timeout }
}

/// A test that no binary has.
const UNKNOWN: TestId = TestId { listing: 0, test: 999 };

impl FakeWorker {
    /// What it may do besides what it should.
    fn deeds(&self) -> Vec<Deed> {
        let mut deeds = vec![Deed::FailingUnknown, Deed::JudgeAnothers, Deed::JudgeUnknown];
        deeds.extend([Deed::FinishTwice, Deed::DieConfused, Deed::RecycleConfused]);
        deeds.extend([Deed::SpeakAfterTheEnd, Deed::JudgeTwice]);
        if self.untold.is_empty() {
            // Its end with all verdicts told is its worker's to judge.
            return deeds;
        }
        deeds.extend([Deed::Fail, Deed::PassInAnotherOrder, Deed::Die(0), Deed::Die(1)]);
        deeds.extend((self.untold.len() > 1).then_some(Deed::Die(2)));
        deeds.extend((self.untold.len() > 2).then_some(Deed::Die(self.untold.len())));
        deeds.extend([Deed::DieAndForget, Deed::TimeOut(0), Deed::TimeOut(1)]);
        deeds.extend([Deed::TimeOut(2), Deed::TimeOutOfNothing]);
        deeds.extend([Deed::FinishEarly, Deed::FinishAndForget, Deed::Recycle, Deed::NotStarted]);
        deeds.extend((self.protocol != Protocol::ExitCode).then_some(Deed::NoChannel));
        // Nobody else says that libtest came to its own end.
        deeds.extend((self.protocol == Protocol::Agent).then_some(Deed::Misheard));
        deeds
    }
}

fn inventory(groups: &[Group]) -> Inventory {
    let listings = groups.iter().map(|group| {
        let test = |test: &crate::plan::group::GroupTest| Test {
            name: format!("t{}", test.id.test),
            is_ignored: false,
        };
        let statics = Statics::Known { statics: vec![], has_barrier: false };
        let tests = group.tests.iter().map(test).collect();
        Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics)
    });
    Inventory { listings: listings.collect(), ..Inventory::default() }
}

/// A plan, and all that belongs to its run.
#[derive(Debug, Clone)]
struct Setting {
    groups: Vec<Group>,
    slots: usize,
    fail_fast: bool,
    most_deaths: usize,
    any_order: bool,
    /// So many of the groups are known from the beginning; the run hears of the others later.
    known: usize,
    /// How the verdicts of those are learnt at first.
    first_protocol: Protocol,
}

/// A run with defaults, and so many slots.
fn context<'r>(inventory: &'r Inventory, groups: &'r ProcessGroups, slots: usize) -> Context<'r> {
    Context::new(inventory, Vec::new(), RunConfig::new("run", slots), Services::new(groups))
}

impl Setting {
    fn new(groups: Vec<Group>, slots: usize) -> Setting {
        let known = groups.len();
        let most_deaths = usize::MAX;
        let first_protocol = Protocol::LogFile;
        Setting {
            groups,
            slots,
            fail_fast: false,
            most_deaths,
            any_order: false,
            known,
            first_protocol,
        }
    }

    /// Plays one run, and returns the choices that were made in it.
    fn play(&self, inventory: &Inventory, choices: Choices, trouble: usize) -> Choices {
        let own_groups = ProcessGroups::default();
        let mut context = context(inventory, &own_groups, self.slots);
        context.config.max_crashes = self.most_deaths;
        context.fixtures = (0..4).map(|at| Fixture::pretended(&format!("f{at}"))).collect();
        let tests = self.groups.iter().flat_map(|group| &group.tests).map(|test| test.id);
        let world = World::new(tests.collect(), choices, trouble);
        let all = self.groups.len();
        let unlisted = (self.known < all).then_some(self.known..all);
        let world = RefCell::new(World { any_order: self.any_order, unlisted, ..world });
        let mut emit = |event: Event| world.borrow_mut().hear(event);
        let mut grow = |listings: std::ops::Range<usize>| Growth {
            groups: self.groups[listings].to_vec(),
            ignored: Vec::new(),
        };
        let plan = Plan::new(self.groups[..self.known].to_vec(), self.slots, None);
        let mut run = Run::new(&context, plan, self.fail_fast, &mut emit);
        run.protocols.fill(self.first_protocol);
        if self.known < all {
            run.grow(&mut grow);
        }
        let worker = |job: Job| world.borrow_mut().start(job);
        let fixture = |instance: Instance, task: FixtureTask| {
            world.borrow_mut().start_fixture(instance, task);
        };
        let starter = Starter { worker: &worker, fixture: &fixture };
        let mut next = |patience: Option<Duration>| world.borrow_mut().next(patience);
        let summary = run.follow(&starter, &mut next);
        let may_stop = self.fail_fast || self.most_deaths < usize::MAX;
        let world = world.into_inner();
        world.check(summary.as_ref().unwrap(), may_stop);
        world.choices
    }

    /// Every run with no more trouble than this; returns how many there are. `PARTEST_TROUBLE`
    /// is added to it: each more takes some fifty times as long.
    fn play_all(&self, trouble: usize) -> usize {
        let more = std::env::var("PARTEST_TROUBLE").ok().and_then(|more| more.parse().ok());
        let trouble = trouble + more.unwrap_or(0_usize);
        let inventory = inventory(&self.groups);
        let (mut choices, mut runs) = (Some(Choices::default()), 0);
        while let Some(next) = choices {
            choices = self.play(&inventory, next, trouble).next();
            runs += 1;
        }
        runs
    }
}

fn with_retries(mut group: Group, count: usize) -> Group {
    for test in &mut group.tests {
        test.retries = RetryKeys { count, ..RetryKeys::default() };
    }
    group
}

fn with_fixtures(mut group: Group, levels: &[&[(usize, Scope)]]) -> Group {
    let need = |(fixture, scope): &(usize, Scope)| Need { fixture: *fixture, scope: *scope };
    group.fixtures = levels.iter().map(|level| level.iter().map(need).collect()).collect();
    group
}

fn tests(count: usize) -> Vec<Option<u64>> {
    vec![Some(1); count]
}

/// Of a plan whose first group has one test more than its binary, with real workers' threads.
fn run_for_real(emit: &mut dyn FnMut(Event) -> bool) -> Result<Summary> {
    let groups = vec![group(0, Isolation::Unit, &tests(3)), group(1, Isolation::Unit, &tests(2))];
    let inventory = inventory(&[group(0, Isolation::Unit, &tests(2)), groups[1].clone()]);
    let (own_groups, interrupts) = (ProcessGroups::default(), Interrupts::default());
    let context = context(&inventory, &own_groups, 2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let run = Run::new(&context, Plan::new(groups, 2, None), false, emit);
    run.run(&pool, &interrupts, None::<fn(Sender<Message>)>)
}

/// What it was to tell is not waited for.
#[test]
fn a_worker_whose_thread_is_lost_ends_the_run() {
    let mut warnings = Vec::new();
    let mut emit = |event: Event| {
        warnings.extend(if let Event::Warning(warning) = event { Some(warning) } else { None });
        true
    };
    let summary = run_for_real(&mut emit).unwrap();
    assert!(summary.internal_error);
    assert!(summary.not_run >= 3, "{summary:?}");
    let is_told = |warning: &Warning| matches!(warning, Warning::InternalError { thread, why } if thread.starts_with("the thread of slot ") && why.contains("out of bounds"));
    assert!(warnings.iter().any(is_told), "{warnings:?}");
}

#[test]
fn a_coordinator_that_is_lost_ends_the_run() {
    let mut emit = |_: Event| panic!("in a report");
    let error = run_for_real(&mut emit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "internal error: the coordinator panicked: in a report; please report it"
    );
}

#[test]
fn a_run_without_trouble_passes() {
    let setting = Setting::new(vec![group(0, Isolation::Split, &tests(3))], 2);
    let choices = setting.play(&inventory(&setting.groups), Choices::default(), 0);
    assert!(choices.asked.iter().all(|asked| *asked <= 2));
}

#[test]
fn every_trouble_with_one_worker_leaves_the_accounts_right() {
    for isolation in [Isolation::Unit, Isolation::Split, Isolation::PerTest] {
        for count in 1..=3 {
            let setting = Setting::new(vec![group(0, isolation, &tests(count))], 1);
            let runs = setting.play_all(2);
            assert!(runs > 200, "{runs}");
        }
    }
}

/// Verdicts are misheard, and whatever is tried next may fail as well.
#[test]
fn every_trouble_of_hearing_leaves_the_accounts_right() {
    for isolation in [Isolation::Unit, Isolation::Split] {
        let setting = Setting::new(vec![group(0, isolation, &tests(2))], 1);
        Setting { first_protocol: Protocol::Agent, ..setting }.play_all(2);
    }
}

#[test]
fn every_trouble_with_two_workers_leaves_the_accounts_right() {
    for isolation in [Isolation::Unit, Isolation::Split, Isolation::PerTest] {
        let groups = vec![group(0, isolation, &tests(2)), group(1, Isolation::Split, &tests(1))];
        Setting::new(groups, 2).play_all(2);
    }
}

#[test]
fn every_trouble_with_retries_leaves_the_accounts_right() {
    let setting = Setting::new(vec![with_retries(group(0, Isolation::Unit, &tests(2)), 1)], 2);
    setting.play_all(2);
    let setting = Setting { fail_fast: true, ..setting };
    setting.play_all(2);
}

#[test]
fn every_trouble_of_fixtures_leaves_the_accounts_right() {
    let one = with_fixtures(group(0, Isolation::Split, &tests(2)), &[&[(0, Scope::Run)]]);
    Setting::new(vec![with_retries(one, 1)], 2).play_all(1);
    let slots = with_fixtures(group(0, Isolation::PerTest, &tests(2)), &[&[(0, Scope::Slot)]]);
    Setting::new(vec![slots], 2).play_all(2);
    let nested: &[&[(usize, Scope)]] = &[&[(0, Scope::Run)], &[(1, Scope::Run)]];
    let groups = vec![
        with_fixtures(group(0, Isolation::Unit, &tests(1)), nested),
        with_fixtures(group(1, Isolation::Unit, &tests(1)), &nested[..1]),
    ];
    Setting::new(groups, 1).play_all(1);
}

#[test]
fn every_trouble_while_more_becomes_ready_leaves_the_accounts_right() {
    let groups = vec![
        with_retries(group(0, Isolation::Unit, &tests(2)), 1),
        group(1, Isolation::Split, &tests(2)),
        group(2, Isolation::PerTest, &tests(1)),
    ];
    for known in [0, 1] {
        let setting = Setting { known, ..Setting::new(groups.clone(), 2) };
        setting.play_all(1);
        Setting { fail_fast: true, ..setting }.play_all(1);
    }
    // In any order the number of runs grows by much with each test; there are more of them below.
    let two = vec![groups[0].clone(), group(1, Isolation::Split, &tests(1))];
    Setting { known: 1, any_order: true, ..Setting::new(two, 2) }.play_all(1);
}

#[test]
fn every_trouble_before_the_run_is_given_up_leaves_the_accounts_right() {
    let setting = Setting::new(vec![group(0, Isolation::Unit, &tests(3))], 2);
    Setting { most_deaths: 1, ..setting.clone() }.play_all(2);
    Setting { fail_fast: true, ..setting }.play_all(2);
}

fn any_group() -> impl Strategy<Value = Group> {
    let isolation =
        prop_oneof![Just(Isolation::Unit), Just(Isolation::Split), Just(Isolation::PerTest)];
    let recycle = prop_oneof![
        3 => Just(Recycle::Never),
        1 => (1_usize..4).prop_map(Recycle::After),
    ];
    let levels: [&[&[(usize, Scope)]]; 6] = [
        &[],
        &[],
        &[&[(0, Scope::Run)]],
        &[&[(0, Scope::Run)], &[(1, Scope::Run)]],
        &[&[(2, Scope::Slot)]],
        &[&[(1, Scope::Run)], &[(2, Scope::Slot), (3, Scope::Slot)]],
    ];
    (isolation, 1_usize..9, recycle, 0_usize..3, 0_usize..6, prop::bool::weighted(0.2)).prop_map(
        move |(isolation, count, recycle, retries, fixtures, exclusive)| {
            let group = with_retries(group(0, isolation, &tests(count)), retries);
            let group = with_fixtures(group, levels[fixtures]);
            Group { recycling: recycle.into(), exclusive, ..group }
        },
    )
}

proptest! {
    // Each takes a millisecond.
    #![proptest_config(ProptestConfig { cases: 12 * ProptestConfig::default().cases, ..ProptestConfig::default() })]
    #[test]
    fn whatever_workers_and_fixtures_do_the_accounts_are_right(
        groups in prop::collection::vec(any_group(), 1..5),
        slots in 1_usize..5,
        fail_fast in prop::bool::weighted(0.2),
        most_deaths in prop_oneof![4 => Just(usize::MAX), 1 => 1_usize..4],
        trouble in 0_usize..12,
        unknown in prop_oneof![2 => Just(0), 1 => 1_usize..5],
        first_protocol in prop_oneof![Just(Protocol::Agent), Just(Protocol::LogFile)],
        given in prop::collection::vec(prop_oneof![1 => Just(0), 1 => 0_usize..1000], 0..200),
    ) {
        let groups = groups.into_iter().enumerate().map(|(listing, mut group)| {
            if unknown > 0 {
                // With these, all tests are known before the first one starts.
                group.fixtures.clear();
                group.exclusive = false;
            }
            group.listing = listing;
            group.tests.iter_mut().for_each(|test| test.id.listing = listing);
            group
        });
        let setting = Setting::new(groups.collect(), slots);
        let known = setting.known.saturating_sub(unknown);
        let setting = Setting {
            fail_fast, most_deaths, any_order: true, known, first_protocol, ..setting
        };
        setting.play(&inventory(&setting.groups), Choices { given, asked: Vec::new() }, trouble);
    }
}

#[test]
fn what_held_a_run_up_is_told_where_it_came_to_its_own_end() {
    let took = Duration::from_secs(10);
    let told = |end: &dyn Fn(&mut Run<'_>)| {
        let (inventory, groups) = (inventory(&[]), ProcessGroups::default());
        let context = context(&inventory, &groups, 2);
        let mut emit = |_| true;
        let mut run = Run::new(&context, Plan::new(vec![], 2, None), false, &mut emit);
        run.slot_usage.note(&group(0, Isolation::Unit, &[]), took, took);
        end(&mut run);
        run.finish(clock::now() - took).bottleneck.is_some()
    };
    assert!(told(&|_| ()));
    assert!(!told(&|run| run.interrupt(ForwardedSignal::Interrupt)));
    assert!(!told(&|run| run.stop()));
}
