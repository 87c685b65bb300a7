//! The one owner of plan and ledger: it hands out batches, hears what the workers tell, and
//! decides what becomes of tests that lost their worker. Everything reaches it as a message.

mod cpu_learning;
mod fixtures;
mod timers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::interrupt::Interrupts;
use super::ledger::Ledger;
use crate::config::keys::Flaky;
use crate::discovery::listing::Listing;
use crate::discovery::test_list::Dispatch;
use crate::error::{Error, Result};
use crate::fixture::{Errand, Failure, News};
use crate::model::event::{Event, LeftBy, Longest, Note, Summary};
use crate::model::outcome::Outcome;
use crate::model::reason::{Reason, Requeued, WorkerEnd};
use crate::model::test::TestId;
use crate::model::verdict::{Attempt, Verdict};
use crate::model::way::Way;
use crate::plan::schedule::{Batch, FixtureStep, Form, Group, Instance, Plan};
use crate::process::clock;
use crate::process::event::Passed;
use crate::worker::{self, Cause, Context, Job, LeftLater, Message, Overdue, Rest};

use cpu_learning::Learning;
use fixtures::{Blocked, Standing, Trouble, run_fixture, with_block};
pub use timers::Watched;
use timers::delay;

/// After the first Ctrl-C tests may clean up for so long.
const GRACE: Duration = Duration::from_secs(5);

/// And for so long when the process that the user started was killed.
const ORPHANS_GRACE: Duration = Duration::from_secs(1);

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
    context: &'r Context<'r>,
    emit: Emit<'r>,
    plan: Plan,
    ledger: Ledger,
    /// How the verdicts of each listing are learnt.
    ways: Vec<Way>,
    /// Tests whose verdict could not be heard that way, and those that can be heard.
    misheard: HashMap<TestId, Way>,
    running: HashMap<usize, Running>,
    fixtures: HashMap<Instance, Standing>,
    /// Why the tests of these fixtures cannot run any more, on no slot.
    lost: BTreeMap<Instance, Blocked>,
    /// Tests that failed and run again, by when.
    delayed: Vec<(Instant, usize, TestId)>,
    /// The batch whose end is being dealt with.
    ending: Option<Batch>,
    /// Failures of tests whose fixture had ended, until it is known how.
    held: Vec<(Instance, TestId, Verdict)>,
    summary: Summary,
    longest: Option<Longest>,
    /// Time of slots that were held.
    busy: Duration,
    fail_fast: bool,
    stopped: bool,
    /// Where cargo builds beside the run: what is to run of that which becomes ready.
    grow: Option<Grow<'r>>,
    /// Why nothing of the run counts: the build that it began with has failed.
    undone: Option<Error>,
    /// Workers that died under their tests.
    deaths: usize,
    kill_at: Option<Instant>,
    /// The signal that ended the run, for the reasons of tests that it cut short.
    interrupted: Option<Passed>,
    /// When the run has to end by itself.
    ends_at: Option<Instant>,
    watched: Watched,
    learning: Learning,
    /// Tests that have been called slow.
    slow: BTreeSet<TestId>,
    /// No test that runs now or begins until then becomes slow before this.
    slow_at: Option<Instant>,
    /// By group: no test of it is slow before it has run for so long.
    soonest_slow: Vec<Duration>,
}

/// A batch that comes back whole so often, with no verdict and no suspect, is given up: its
/// process dies before any test begins, and would do so for ever.
const MOST_FRUITLESS: u32 = 3;

/// So often a test may be begun, and ended by the death of its worker that another caused: three
/// starts are enough for anybody.
const MOST_INNOCENT: u32 = 2;

/// A batch that a worker has.
struct Running {
    batch: Batch,
    way: Way,
    began: Instant,
    /// Of which of its tests the worker has told a verdict.
    told: Vec<bool>,
    /// Tells the worker that a fixture of its tests has died.
    is_bereft: Arc<AtomicBool>,
}

/// Gives the next message; none when this much time has passed without one.
type Next<'n> = &'n mut dyn FnMut(Option<Duration>) -> Option<Message>;

/// What starts workers and fixtures, each in a thread that lives as long as they do.
struct Starter<'s> {
    worker: &'s dyn Fn(Job),
    fixture: &'s dyn Fn(Instance, Errand),
}

impl<'r> Run<'r> {
    pub fn new(context: &'r Context<'r>, plan: Plan, fail_fast: bool, emit: Emit<'r>) -> Self {
        let mut run = Run {
            context,
            emit,
            plan,
            ledger: Ledger::default(),
            ways: Vec::new(),
            misheard: HashMap::new(),
            running: HashMap::new(),
            fixtures: HashMap::new(),
            lost: BTreeMap::new(),
            held: Vec::new(),
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
            watched: Watched::default(),
            learning: Learning::default(),
            slow: BTreeSet::new(),
            slow_at: None,
            soonest_slow: Vec::new(),
        };
        run.take_in(0);
        run
    }

    /// Expects verdicts for the plan's groups from the `first` one on.
    fn take_in(&mut self, first: usize) {
        let listings = &self.context.inventory.listings;
        self.summary.binaries = listings.len();
        let new = listings.iter().skip(self.ways.len());
        self.ways.extend(new.map(|listing| way(listing, self.context)));
        for group in self.plan.groups().skip(first) {
            group.tests.iter().for_each(|test| self.ledger.open(test.id));
            let soonest = group.tests.iter().map(|test| test.slow).min();
            self.soonest_slow.push(soonest.unwrap_or_default());
        }
    }

    /// cargo still builds: what it tells of is added to the run.
    pub fn grow(&mut self, grow: Grow<'r>) {
        self.grow = Some(grow);
    }

    fn listed(&mut self, listings: Range<usize>) {
        let Some(grow) = &mut self.grow else { return };
        let Growth { groups, ignored } = grow(listings);
        if self.stopped {
            self.summary.not_run += groups.iter().map(|group| group.tests.len()).sum::<usize>();
            self.take_in(self.plan.groups().count());
        } else {
            let first = self.plan.groups().count();
            self.plan.add(groups);
            self.take_in(first);
            self.learning.begin(&self.plan);
        }
        ignored.into_iter().for_each(|test| self.ignore(test));
    }

    fn built(&mut self, end: Result<()>) {
        self.grow = None;
        match end {
            Ok(()) => {
                self.bound();
                self.emit(Event::Built);
            }
            Err(error) => {
                self.undone = Some(error);
                self.stop();
                self.context.groups.kill_all();
            }
        }
    }

    /// The verdict of a test that is ignored, and needs no worker.
    pub fn ignore(&mut self, test: TestId) {
        self.conclude(test, Verdict::without_run(Outcome::Ignored, None));
    }

    /// Says what somebody looks at while the run goes on.
    pub fn watch(&mut self, watched: Watched) {
        self.watched = watched;
    }

    /// Runs the plan to its end.
    ///
    /// `rest` follows what cargo still builds, where it does. An error where that failed: then
    /// nothing that ran beside it counts.
    pub fn run(
        self,
        pool: &ThreadPool,
        interrupts: &Interrupts,
        rest: Option<impl FnOnce(Sender<Message>) + Send>,
    ) -> Result<Summary> {
        let (sender, messages) = channel();
        interrupts.listen(sender.clone());
        let context = self.context;
        // The coordinator stays outside of the pool; inside it would take a slot. Fixtures do
        // too: they take none.
        std::thread::scope(|threads| {
            if let Some(rest) = rest {
                let sender = sender.clone();
                let builder = std::thread::Builder::new().name("rest".into());
                let follow = move || {
                    let follow = AssertUnwindSafe(|| rest(sender.clone()));
                    if catch_unwind(follow).is_err() {
                        // Without a word of it the run would wait for ever.
                        let lost = Error::Cargo("the thread that listens to cargo was lost".into());
                        let _ = sender.send(Message::Built(Err(lost)));
                    }
                };
                builder.spawn_scoped(threads, follow).map_err(Error::Thread)?;
            }
            pool.in_place_scope(|scope| {
                let worker = |job: Job| {
                    let sender = sender.clone();
                    scope.spawn(move |_| worker::run(&job, context, &sender));
                };
                let fixture = |instance: Instance, errand: Errand| {
                    let sender = sender.clone();
                    let refused = sender.clone();
                    let run = move || {
                        let name = context.fixtures[instance.fixture].name.clone();
                        let thread = format!("the thread of fixture {name}");
                        let run = || run_fixture(instance, errand, context, &sender);
                        if worker::guarded(&thread, &sender, run).is_none() {
                            let news = News::Lost(Failure::at_start(format!("{thread} is lost")));
                            let _ = sender.send(Message::Fixture { instance, news });
                        }
                    };
                    if let Err(error) = std::thread::Builder::new().spawn_scoped(threads, run) {
                        let why = format!("no thread could be started for it: {error}");
                        let news = News::Lost(Failure::at_start(why));
                        let _ = refused.send(Message::Fixture { instance, news });
                    }
                };
                let starter = Starter { worker: &worker, fixture: &fixture };
                let mut next = |patience: Option<Duration>| match patience {
                    Some(patience) => messages.recv_timeout(patience).ok(),
                    None => messages.recv().ok(),
                };
                let follow = AssertUnwindSafe(|| self.follow(&starter, &mut next));
                catch_unwind(follow).unwrap_or_else(|panic| {
                    // Nobody would tell the others to end.
                    context.stopping.store(true, Ordering::Relaxed);
                    context.groups.kill_all();
                    Err(Error::panicked("the coordinator", &*panic))
                })
            })
        })
    }

    /// The same with whatever starts workers and fixtures, and gives their messages.
    fn follow(mut self, starter: &Starter<'_>, next: Next<'_>) -> Result<Summary> {
        let began = clock::now();
        if self.grow.is_none() {
            self.bound();
        }
        self.learning.begin(&self.plan);
        loop {
            self.start_what_may(starter);
            if self.plan.is_done() && self.grow.is_none() {
                return match self.undone.take() {
                    Some(error) => Err(error),
                    None => Ok(self.finish(began)),
                };
            }
            self.hear(next);
        }
    }

    /// From now on the run may take so long. How long a build takes is nobody's fault here.
    fn bound(&mut self) {
        self.ends_at = self.context.run_timeout.map(clock::within);
    }

    fn start_what_may(&mut self, starter: &Starter<'_>) {
        self.retry_what_is_due();
        self.learning.teach(&mut self.plan);
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

    /// Gives a failure back that is the last word; for another one, the test is run again.
    fn try_again(&mut self, test: TestId, verdict: Verdict) -> Option<Verdict> {
        if self.stopped || !verdict.outcome.is_failure() {
            return Some(verdict);
        }
        let Some(group) = self.group_of(test) else { return Some(verdict) };
        let rules = self.plan.group(group).retries(test);
        if self.lost_of(self.plan.group(group)).is_some() {
            // It could not run again: on another slot its fixture is gone for good.
            return Some(verdict);
        }
        let beside = self.beside(test);
        let Verdict { outcome, took, reason, output, .. } = &verdict;
        let (outcome, took) = (*outcome, *took);
        let attempt =
            Attempt { outcome, took, reason: reason.clone(), output: output.clone(), beside };
        let Some(failures) = self.ledger.note_failure(test, attempt, rules.count) else {
            return Some(verdict);
        };
        self.plan.delay(group, test);
        self.delayed.push((clock::within(delay(rules, failures)), group, test));
        self.emit(Event::Retrying { test, outcome, left: rules.count - failures });
        None
    }

    fn group_of(&self, test: TestId) -> Option<usize> {
        let of_test = |group: &Group| group.listing == test.listing && group.has(test);
        self.plan.groups().position(of_test)
    }

    /// How many other tests the process of a running test was handed.
    fn beside(&self, test: TestId) -> usize {
        match self.way_of(&[test]) {
            Way::ExitCode => 0,
            _ => self.batch_of(test).map_or(0, |batch| batch.tests.len().saturating_sub(1)),
        }
    }

    fn batch_of(&self, test: TestId) -> Option<&Batch> {
        let running = self.running.values().map(|running| &running.batch);
        running.chain(&self.ending).find(|batch| batch.has(test))
    }

    fn hand_out(&mut self, batch: Batch) -> Job {
        let group = self.plan.group(batch.group).clone();
        batch.tests.iter().for_each(|test| self.ledger.hand_out(*test));
        let way = self.way_of(&batch.tests);
        let what = match batch.tests.as_slice() {
            [only] => self.id(*only),
            _ => group.node.clone(),
        };
        self.emit(Event::BatchStarted { batch: batch.id, what });
        let filled = batch.slots.iter().max().map_or(0, |highest| highest + 1);
        self.summary.slots = self.summary.slots.max(filled);
        let is_bereft = Arc::new(AtomicBool::new(false));
        let (began, told) = (clock::now(), vec![false; batch.tests.len()]);
        let running =
            Running { batch: batch.clone(), way, began, told, is_bereft: is_bereft.clone() };
        self.running.insert(batch.id, running);
        self.expect_slow_ones(batch.group);
        let values = self.values_for_tests(&group, batch.slots.first().copied());
        Job { batch, group, way, values, is_bereft }
    }

    fn id(&self, test: TestId) -> String {
        let listing = &self.context.inventory.listings[test.listing];
        listing.binary.id(&listing.tests[test.test].name)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Signal(signal) => self.interrupt(signal),
            Message::Orphaned => self.orphaned(),
            Message::WhatRuns => self.emit(Event::WhatRuns(self.context.running.now())),

            Message::Failing { test } if self.batch_of(test).is_none() => {}
            Message::Failing { test } => self.emit(Event::Failing { test }),
            Message::Judged { batch, test, verdict } if self.takes_word(batch, test) => {
                if let Some(running) = self.running.get(&batch) {
                    self.learning.note(&self.plan, running.batch.group, &verdict);
                }
                self.judge(test, verdict);
            }
            Message::Judged { .. } => {}
            Message::Fixture { instance, news } => self.take_news(instance, news),
            Message::Wrote { bytes } => self.emit(Event::Wrote { bytes }),
            Message::Listed { listings, notes } => {
                let is_failure = |note: &&Note| matches!(note, Note::ListFailed(_));
                self.summary.list_failures += notes.iter().filter(is_failure).count();
                notes.into_iter().for_each(|note| self.emit(Event::Note(note)));
                self.listed(listings);
            }
            Message::Built(end) => self.built(end),
            Message::Finished { batch, rest } => self.batch_finished(batch, rest),
            Message::WantsTerminal { batch } => {
                if let Some(running) = self.running.get(&batch) {
                    let node = self.plan.group(running.batch.group).node.clone();
                    self.emit(Event::Note(Note::WantsTerminal { node }));
                }
            }
            Message::Broken { thread, why } => self.broken(thread, why),
            Message::Several(messages) => messages.into_iter().for_each(|one| self.take(one)),
        }
    }

    /// A worker has one say about each of the tests that it was handed.
    fn takes_word(&mut self, batch: usize, test: TestId) -> bool {
        let Some(running) = self.running.get_mut(&batch) else { return false };
        let place = running.batch.place_of(test);
        place.is_some_and(|at| !std::mem::replace(&mut running.told[at], true))
    }

    fn emit(&mut self, event: Event) {
        if !(self.emit)(event) && self.interrupted.is_none() {
            // Whoever read the report has closed it: nobody waits for the rest.
            self.interrupt(Passed::HangUp);
        }
    }

    fn judge(&mut self, test: TestId, verdict: Verdict) {
        if verdict.outcome.is_well() || self.context.fixtures.is_empty() {
            return self.conclude_judged(test, verdict);
        }
        match self.fixture_trouble(test) {
            Trouble::None => self.conclude_judged(test, verdict),
            Trouble::Ended(instance) => self.held.push((instance, test, verdict)),
            Trouble::Lost(blocked) => self.conclude_judged(test, with_block(verdict, &blocked)),
        }
    }

    fn conclude_judged(&mut self, test: TestId, verdict: Verdict) {
        let Some(verdict) = self.try_again(test, verdict) else { return };
        for (test, verdict) in self.ledger.judge(test, verdict) {
            let verdict = self.steady(test, verdict);
            self.conclude(test, verdict);
        }
    }

    /// What the policy makes of a test that failed first and passed later.
    fn steady(&self, test: TestId, verdict: Verdict) -> Verdict {
        let Some(flakiness) = verdict.flakiness() else { return verdict };
        let rules = self.group_of(test).map(|group| self.plan.group(group).retries(test));
        match rules.unwrap_or_default().flaky {
            Flaky::Pass => verdict,
            Flaky::Fail => Verdict {
                outcome: Outcome::Failed,
                is_flaky_failure: true,
                reason: Some(Reason::FlakyFails(flakiness)),
                ..verdict
            },
        }
    }

    fn conclude(&mut self, test: TestId, verdict: Verdict) {
        self.summary.add(&verdict);
        let is_bad = !verdict.outcome.is_well();
        self.emit(Event::Judged { test, verdict });
        if is_bad && self.fail_fast {
            self.stop();
        }
    }

    /// Nothing new starts from now on.
    fn stop(&mut self) {
        self.stopped = true;
        self.context.stopping.store(true, Ordering::Relaxed);
        self.delayed.clear();
        for test in self.plan.stop() {
            self.leave(test);
        }
    }

    /// A test will get no chance, or no other one: then what is known of it is the last word.
    fn leave(&mut self, test: TestId) {
        match self.ledger.last_word(test) {
            Some(verdict) => self.conclude_judged(test, verdict),
            None => self.summary.not_run += 1,
        }
    }

    fn interrupt(&mut self, signal: Passed) {
        let is_first = self.interrupted.replace(signal).is_none();
        self.summary.interrupted = true;
        self.stop();
        if is_first {
            self.kill_at = Some(clock::within(GRACE));
            self.context.groups.pass_on(signal);
        } else {
            self.context.groups.kill_all();
        }
    }

    /// What a lost thread would have told is not known, so nothing can go on.
    fn broken(&mut self, thread: String, why: String) {
        self.summary.is_broken = true;
        self.emit(Event::Note(Note::Broken { thread, why }));
        self.stop();
        self.context.groups.kill_all();
    }

    /// Nobody waits for us any more, and soon the guard ends whatever is left.
    fn orphaned(&mut self) {
        self.interrupt(Passed::Terminate);
        if let Some(at) = &mut self.kill_at {
            *at = (*at).min(clock::within(ORPHANS_GRACE));
        }
    }

    fn batch_finished(&mut self, id: usize, mut rest: Rest) {
        let Some(running) = self.running.remove(&id) else { return };
        let Running { batch, way, began, told, is_bereft } = running;
        let forgotten = reconcile(&mut rest, &batch, &told);
        rest.not_begun.iter().for_each(|test| self.ledger.take_back(*test));
        self.spare(&batch, &mut rest);
        self.ending = Some(batch.clone());
        self.plan.finished(id);
        self.emit(Event::BatchEnded { batch: id });
        let took = clock::since(began);
        self.busy += took * u32::try_from(batch.slots.len()).unwrap_or(1);
        self.note_length(&batch, took);
        self.left_behind(&batch, std::mem::take(&mut rest.left_behind));
        self.missing(&forgotten, &rest);
        let running: Vec<TestId> = rest.running.iter().map(|(test, _)| *test).collect();
        if is_bereft.load(Ordering::Relaxed) {
            return self.bereft(&batch, rest);
        }
        match &rest.cause {
            Cause::Done => self.missing(&[running, rest.not_begun.clone()].concat(), &rest),
            Cause::Died(_) if self.is_cut_short() => self.cut_short(&batch, rest),
            Cause::Died(how) => self.died(&batch, &running, how.clone(), rest),
            Cause::TimedOut(overdue) => self.timed_out(&batch, overdue.clone(), rest),
            Cause::Recycled => {
                let tests = [running, rest.not_begun].concat();
                self.came_back(&batch, tests, Requeued::Recycled);
            }
            Cause::NoChannel => self.no_channel(&batch, way, [running, rest.not_begun].concat()),
            Cause::Misheard => self.misheard(&batch, way, [running, rest.not_begun].concat()),
            Cause::Stopped => self.give_back(&batch, rest.not_begun),
            Cause::NotStarted(why) => {
                let reason = Reason::WorkerNotStarted(why.clone());
                for test in [running, rest.not_begun].concat() {
                    let verdict = Verdict::without_run(Outcome::Aborted, Some(reason.clone()));
                    self.judge(test, verdict);
                }
            }
        }
    }

    /// Tests whose worker died of another's doing go back to the others; who has met that too
    /// often runs by itself.
    fn spare(&mut self, batch: &Batch, rest: &mut Rest) {
        let mut innocent = std::mem::take(&mut rest.innocent);
        let may_run = !self.is_cut_short() && !self.stopped;
        if may_run && self.lost_of(self.plan.group(batch.group)).is_none() {
            let is_unlucky = |test: &mut TestId| self.ledger.note_innocent(*test) >= MOST_INNOCENT;
            let unlucky: Vec<TestId> = innocent.extract_if(.., is_unlucky).collect();
            self.plan.suspect(batch.group, &unlucky);
        }
        rest.not_begun.append(&mut innocent);
    }

    fn left_behind(&mut self, batch: &Batch, left: Vec<LeftLater>) {
        for LeftLater { test, leaks } in left {
            let unit = || LeftBy::Unit(self.plan.group(batch.group).node.clone());
            let by = test.map_or_else(unit, LeftBy::Test);
            self.summary.add_leaks(&leaks);
            self.emit(Event::LeftBehind { by, leaks });
        }
    }

    /// The worker ended and says nothing about these.
    fn missing(&mut self, tests: &[TestId], rest: &Rest) {
        for test in tests {
            let verdict = Verdict {
                worker: rest.worker,
                output: rest.output.clone(),
                ..Verdict::without_run(Outcome::Missing, Some(Reason::NotRun))
            };
            self.judge(*test, verdict);
        }
    }

    fn died(&mut self, batch: &Batch, running: &[TestId], how: String, mut rest: Rest) {
        self.deaths += 1;
        self.blame(batch, running, WorkerEnd::Died(how.clone()), &mut rest);
        self.note_fresh_process(batch, &rest.not_begun, &how);
        self.came_back(batch, rest.not_begun, Requeued::WorkerDied(how));
        if self.deaths == self.context.most_deaths {
            self.emit(Event::Note(Note::TooManyDeaths { workers: self.deaths }));
            self.stop();
        }
    }

    fn timed_out(&mut self, batch: &Batch, overdue: Overdue, mut rest: Rest) {
        let is_suspect = |(test, _): &(TestId, Duration)| overdue.tests.contains(test);
        let innocent = rest.running.extract_if(.., |running| !is_suspect(running));
        let back: Vec<TestId> = innocent.map(|(test, _)| test).collect();
        let back = [back, std::mem::take(&mut rest.not_begun)].concat();
        let suspects: Vec<TestId> = rest.running.iter().map(|(test, _)| *test).collect();
        let end = WorkerEnd::TimedOut(overdue.timeout.clone());
        self.blame(batch, &suspects, end, &mut rest);
        let why = if suspects.is_empty() { "its process timed out" } else { "a test timed out" };
        self.note_fresh_process(batch, &back, why);
        self.came_back(batch, back, Requeued::WorkerTimedOut(overdue.timeout));
    }

    /// Who ended a process, or made somebody end it, is one of these, which are those that ran: the
    /// only one, or else each runs again by itself.
    fn blame(&mut self, batch: &Batch, suspects: &[TestId], end: WorkerEnd, rest: &mut Rest) {
        let outcome = end.outcome();
        match suspects {
            [] => {}
            [culprit] => {
                let verdict = Verdict { outcome, ..aborted(rest, 0, Reason::WorkerEnded(end)) };
                self.judge(*culprit, verdict);
            }
            _ if self.stopped || self.lost_of(self.plan.group(batch.group)).is_some() => {
                for (at, suspect) in suspects.iter().enumerate() {
                    let (end, tests) = (end.clone(), suspects.len());
                    let reason = Reason::WorkerEndedBeside { end, tests };
                    self.judge(*suspect, Verdict { outcome, ..aborted(rest, at, reason) });
                }
            }
            suspects => {
                let output = std::mem::take(&mut rest.output);
                self.ledger.note_death(suspects, end, rest.worker, output);
                self.plan.suspect(batch.group, suspects);
            }
        }
    }

    fn is_cut_short(&self) -> bool {
        self.interrupted.is_some() || self.summary.time_was_up || self.summary.is_broken
    }

    /// The user ended the run while these ran, or its time was up.
    fn cut_short(&mut self, batch: &Batch, rest: Rest) {
        for at in 0..rest.running.len() {
            let test = rest.running[at].0;
            let limit = self.context.run_timeout.filter(|_| self.summary.time_was_up);
            let outcome = limit.map_or(Outcome::Aborted, |_| Outcome::TimedOut);
            let reason = match limit {
                _ if self.summary.is_broken => Reason::RunGivenUp,
                Some(limit) => Reason::RunTimedOut(limit),
                None => Reason::Interrupted,
            };
            let verdict = aborted(&rest, at, reason);
            self.judge(test, Verdict { outcome, ..verdict });
        }
        self.give_back(batch, rest.not_begun);
    }

    fn no_channel(&mut self, batch: &Batch, way: Way, tests: Vec<TestId>) {
        let listing = self.plan.group(batch.group).listing;
        if way == Way::ExitCode {
            return self.came_back(batch, tests, Requeued::SilentWorker);
        }
        // The way of some of them is their own: the binary's serves the others.
        for test in &tests {
            if let Some(own) = self.misheard.get_mut(test).filter(|own| **own == way) {
                *own = way.next();
            }
        }
        // Several workers of one binary may find it out at the same time.
        if self.ways[listing] == way {
            self.ways[listing] = way.next();
            let binary = self.context.inventory.listings[listing].binary.name.clone();
            self.emit(Event::Note(Note::NoChannel { binary, way }));
        }
        self.give_back(batch, tests);
    }

    /// The simplest way that one of these tests of one listing needs.
    fn way_of(&self, tests: &[TestId]) -> Way {
        let usual = tests.first().map_or(Way::ExitCode, |test| self.ways[test.listing]);
        tests.iter().filter_map(|test| self.misheard.get(test)).copied().fold(usual, Way::max)
    }

    /// These tests ran, and nobody knows what came of them: each runs again by itself, so that
    /// what it prints cannot be in the way of another's verdict, and is heard in a simpler way.
    fn misheard(&mut self, batch: &Batch, way: Way, tests: Vec<TestId>) {
        if way == Way::ExitCode {
            return self.came_back(batch, tests, Requeued::LostVerdict);
        }
        let open = tests.into_iter().filter(|test| !self.ledger.is_judged(*test));
        let open: Vec<TestId> = open.collect();
        self.misheard.extend(open.iter().map(|test| (*test, way.next())));
        if self.stopped || self.lost_of(self.plan.group(batch.group)).is_some() {
            return self.give_back(batch, open);
        }
        self.plan.suspect(batch.group, &open);
    }

    /// Tests that a worker did not come to. Where these are all that it was handed, no other
    /// worker may fare better, and that must not go on for ever.
    fn came_back(&mut self, batch: &Batch, tests: Vec<TestId>, cause: Requeued) {
        if tests.len() < batch.tests.len() || self.stopped {
            return self.give_back(batch, tests);
        }
        let is_hopeless = |test: &TestId| self.ledger.note_fruitless(*test) >= MOST_FRUITLESS;
        let (hopeless, others): (Vec<_>, Vec<_>) = tests.into_iter().partition(is_hopeless);
        self.give_back(batch, others);
        for test in hopeless {
            let (cause, times) = (cause.clone(), MOST_FRUITLESS);
            let reason = Reason::NeverBegan { cause, times };
            self.judge(test, Verdict::without_run(Outcome::Aborted, Some(reason)));
        }
    }

    fn give_back(&mut self, batch: &Batch, tests: Vec<TestId>) {
        let open = tests.into_iter().filter(|test| !self.ledger.is_judged(*test));
        let open: Vec<TestId> = open.collect();
        if self.stopped {
            open.into_iter().for_each(|test| self.leave(test));
        } else if let Some(blocked) = self.lost_of(self.plan.group(batch.group)).cloned() {
            open.into_iter().for_each(|test| self.block(test, &blocked));
        } else {
            let (alone, others): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|test| self.runs_alone(*test));
            self.plan.suspect(batch.group, &alone);
            self.plan.give_back(batch.group, &others);
        }
    }

    /// Who is suspected of a death runs alone, whatever comes between: beside others it could become
    /// the suspect of another one, and nobody would ask for the first any more. Who is heard in a
    /// way of its own does too: the others would have to go the same way.
    fn runs_alone(&self, test: TestId) -> bool {
        self.ledger.is_suspect(test) || self.misheard.contains_key(&test)
    }

    /// The rest of a unit goes on in a process that knows nothing of the first one's
    /// fixtures.
    fn note_fresh_process(&mut self, batch: &Batch, rest: &[TestId], why: &str) {
        let group = self.plan.group(batch.group);
        if group.form == Form::Unit && !rest.is_empty() && !self.stopped {
            let note = Note::SetUpAgain { node: group.node.clone(), why: why.to_owned() };
            self.emit(Event::Note(note));
        }
    }

    fn note_length(&mut self, batch: &Batch, took: Duration) {
        if self.longest.as_ref().is_none_or(|longest| took > longest.took) {
            let group = self.plan.group(batch.group);
            let (what, tests) = match batch.tests.as_slice() {
                [only] => (self.id(*only), 1),
                tests => (group.node.clone(), tests.len()),
            };
            let is_unit = group.form == Form::Unit;
            self.longest = Some(Longest { what, took, tests, is_unit });
        }
    }

    fn finish(mut self, began: Instant) -> Summary {
        let used: BTreeSet<usize> = self.plan.groups().map(|group| group.listing).collect();
        let unwatched = used.iter().filter(|listing| self.ways[**listing] != Way::Agent).count();
        if unwatched > 0 {
            self.emit(Event::Note(Note::Unwatched { binaries: unwatched }));
        }
        if !self.stopped {
            // Cannot happen while the plan is right; were it to, it must not look like a pass.
            for test in self.ledger.without_verdict() {
                let reason = Some(Reason::NoVerdict);
                self.judge(test, Verdict::without_run(Outcome::Missing, reason));
            }
        }
        for (test, verdict) in self.ledger.release() {
            self.conclude(test, verdict);
        }
        let took = clock::since(began);
        let offered = took.as_secs_f64() * self.summary.slots as f64;
        let fill = if offered > 0.0 { self.busy.as_secs_f64() / offered } else { 0.0 };
        let workers = self.context.workers();
        let fill = fill.min(1.0);
        // What was stopped did not end when its plan did.
        let longest = self.longest.filter(|_| !self.stopped);
        let longest = longest.filter(|longest| holds_up(longest, took, fill));
        Summary { took, workers, fill, longest, ..self.summary }
    }
}

/// Whether one batch is why the run did not end earlier: it ran for most of the time, and the
/// other slots had nothing to do for much of it.
fn holds_up(longest: &Longest, took: Duration, fill: f64) -> bool {
    const WORTH_A_WORD: Duration = Duration::from_secs(2);
    const MOST: f64 = 0.7;
    took >= WORTH_A_WORD && fill < MOST && longest.took.as_secs_f64() >= MOST * took.as_secs_f64()
}

/// Holds what a worker says at its end against what it was handed: a test whose verdict it has
/// not told is in one of its lists, once. Returns those that are in none.
fn reconcile(rest: &mut Rest, batch: &Batch, told: &[bool]) -> Vec<TestId> {
    let untold = batch.tests.iter().zip(told).filter(|(_, is_told)| !**is_told);
    let mut open: BTreeSet<TestId> = untold.map(|(test, _)| *test).collect();
    rest.running.retain(|(test, _)| open.remove(test));
    rest.innocent.retain(|test| open.remove(test));
    rest.not_begun.retain(|test| open.remove(test));
    open.into_iter().collect()
}

/// The best way to learn a listing's verdicts.
fn way(listing: &Listing, context: &Context<'_>) -> Way {
    match listing.dispatch {
        Dispatch::Batches if context.agent.is_some() && listing.takes_agent() => Way::Agent,
        Dispatch::Batches => Way::LedgerFile,
        Dispatch::OneByOne | Dispatch::Whole => Way::ExitCode,
    }
}

/// The verdict of the test at this place of those that ran when their worker ended.
fn aborted(rest: &Rest, at: usize, reason: Reason) -> Verdict {
    Verdict {
        took: rest.running.get(at).map(|(_, took)| *took),
        worker: rest.worker,
        output: rest.output.clone(),
        ..Verdict::without_run(Outcome::Aborted, Some(reason))
    }
}

#[cfg(test)]
mod tests;
