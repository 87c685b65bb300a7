//! The one owner of plan and ledger: it hands out batches, hears what the workers tell, and
//! decides what becomes of tests that lost their worker. Everything reaches it as a message.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use crate::channel::Way;
use crate::event::{Event, Note, Summary};
use crate::interrupt::Interrupts;
use crate::inventory::{Dispatch, Listing};
use crate::ledger::Ledger;
use crate::outcome::{Outcome, Verdict};
use crate::plan::{Batch, Form, Plan, TestId};
use crate::process::Passed;
use crate::worker::{self, Cause, Context, Job, Message, Rest};

/// How often the reports are told that time has passed.
const TICK: Duration = Duration::from_millis(100);

/// After the first Ctrl-C tests may clean up for so long.
const GRACE: Duration = Duration::from_secs(5);

/// Takes every event; false means that nobody reads the report any more.
pub type Emit<'e> = &'e mut dyn FnMut(Event) -> bool;

/// A run of a plan, from its first batch to its summary.
pub struct Run<'r> {
    context: &'r Context<'r>,
    emit: Emit<'r>,
    plan: Plan,
    ledger: Ledger,
    /// How the verdicts of each listing are learnt.
    ways: Vec<Way>,
    running: HashMap<usize, (Batch, Instant)>,
    summary: Summary,
    /// Time of slots that were held.
    busy: Duration,
    fail_fast: bool,
    stopped: bool,
    kill_at: Option<Instant>,
    /// The signal that ended the run, for the reasons of tests that it cut short.
    interrupted: Option<Passed>,
}

impl<'r> Run<'r> {
    pub fn new(
        context: &'r Context<'r>,
        plan: Plan,
        slots: usize,
        fail_fast: bool,
        emit: Emit<'r>,
    ) -> Self {
        let listings = &context.inventory.listings;
        let mut ledger = Ledger::default();
        plan.groups().flat_map(|group| &group.tests).for_each(|test| ledger.open(test.id));
        Run {
            context,
            emit,
            plan,
            ledger,
            ways: listings.iter().map(|listing| way(listing, context)).collect(),
            running: HashMap::new(),
            summary: Summary { slots, binaries: listings.len(), ..Summary::default() },
            busy: Duration::ZERO,
            fail_fast,
            stopped: false,
            kill_at: None,
            interrupted: None,
        }
    }

    /// A verdict that needs no worker: of an ignored or a blocked test.
    pub fn judge_without_run(&mut self, test: TestId, outcome: Outcome, reason: Option<String>) {
        self.conclude(test, Verdict::without_run(outcome, reason));
    }

    /// Runs the plan to its end. `ticks` says whether anybody looks at the passing of time.
    pub fn run(mut self, pool: &ThreadPool, interrupts: &Interrupts, ticks: bool) -> Summary {
        let began = Instant::now();
        let (sender, messages) = channel();
        interrupts.listen(sender.clone());
        let context = self.context;
        // The coordinator stays outside of the pool; inside it would take a slot.
        pool.in_place_scope(|scope| {
            let start = |job: Job| {
                let sender = sender.clone();
                scope.spawn(move |_| worker::run(&job, context, &sender));
            };
            while !self.plan.is_done() {
                while let Some(batch) = self.plan.next() {
                    start(self.hand_out(batch));
                }
                self.hear(&messages, ticks);
            }
        });
        self.finish(began)
    }

    fn hand_out(&mut self, batch: Batch) -> Job {
        let group = self.plan.group(batch.group).clone();
        batch.tests.iter().for_each(|test| self.ledger.hand_out(*test));
        let way = self.ways[group.listing];
        let what = match batch.tests.as_slice() {
            [only] => self.id(*only),
            _ => group.node.clone(),
        };
        self.emit(Event::BatchStarted { batch: batch.id, what });
        self.running.insert(batch.id, (batch.clone(), Instant::now()));
        Job { batch, group, way }
    }

    fn id(&self, test: TestId) -> String {
        let listing = &self.context.inventory.listings[test.listing];
        listing.binary.id(&listing.tests[test.test].name)
    }

    /// Waits for one message, and deals with it.
    fn hear(&mut self, messages: &Receiver<Message>, ticks: bool) {
        let patience = match self.kill_at {
            Some(at) => Some(at.saturating_duration_since(Instant::now()).min(TICK)),
            None => ticks.then_some(TICK),
        };
        let message = match patience {
            Some(patience) => messages.recv_timeout(patience),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(message) => self.take(message),
            Err(_) => self.pass_time(),
        }
    }

    fn pass_time(&mut self) {
        self.emit(Event::Tick);
        if self.kill_at.is_some_and(|at| Instant::now() >= at) {
            self.kill_at = None;
            self.context.groups.kill_all();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Signal(signal) => self.interrupt(signal),
            Message::Failing { test } => self.emit(Event::Failing { test }),
            Message::Judged { test, verdict } => self.judge(test, verdict),
            Message::Wrote { bytes } => self.emit(Event::Wrote { bytes }),
            Message::Finished { batch, rest } => self.batch_finished(batch, rest),
            Message::Several(messages) => messages.into_iter().for_each(|one| self.take(one)),
        }
    }

    fn emit(&mut self, event: Event) {
        if !(self.emit)(event) && self.interrupted.is_none() {
            // Whoever read the report has closed it: nobody waits for the rest.
            self.interrupt(Passed::HangUp);
        }
    }

    fn judge(&mut self, test: TestId, verdict: Verdict) {
        for (test, verdict) in self.ledger.judge(test, verdict) {
            self.conclude(test, verdict);
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
        self.summary.not_run += self.plan.stop().len();
    }

    fn interrupt(&mut self, signal: Passed) {
        let is_first = self.interrupted.replace(signal).is_none();
        self.summary.interrupted = true;
        self.stop();
        if is_first {
            self.kill_at = Some(Instant::now() + GRACE);
            self.context.groups.pass_on(signal);
        } else {
            self.context.groups.kill_all();
        }
    }

    fn batch_finished(&mut self, id: usize, rest: Rest) {
        self.plan.finished(id);
        self.emit(Event::BatchEnded { batch: id });
        let Some((batch, began)) = self.running.remove(&id) else { return };
        self.busy += began.elapsed() * u32::try_from(batch.slots.len()).unwrap_or(1);
        if !rest.left_behind.is_empty() {
            let node = self.plan.group(batch.group).node.clone();
            self.emit(Event::Note(Note::LeftBehind { node, commands: rest.left_behind.clone() }));
        }
        let running: Vec<TestId> = rest.running.iter().map(|(test, _)| *test).collect();
        match &rest.cause {
            Cause::Done => self.missing(&running, &rest),
            Cause::Died(_) if self.interrupted.is_some() => self.cut_short(&batch, rest),
            Cause::Died(how) => self.died(&batch, &running, how.clone(), rest),
            Cause::TimedOut(overdue) => self.timed_out(&batch, &running, overdue.clone(), rest),
            Cause::Recycled => {
                self.give_back(&batch, [running, rest.not_begun].concat());
            }
            Cause::NoChannel => self.no_channel(&batch, [running, rest.not_begun].concat()),
            Cause::NotStarted(why) => {
                let reason = format!("its worker could not be started: {why}");
                for test in [running, rest.not_begun].concat() {
                    let verdict = Verdict::without_run(Outcome::Aborted, Some(reason.clone()));
                    self.judge(test, verdict);
                }
            }
        }
    }

    /// The process ended well and says nothing about these.
    fn missing(&mut self, running: &[TestId], rest: &Rest) {
        for test in running.iter().chain(&rest.not_begun) {
            let verdict = Verdict {
                worker: rest.worker,
                output: rest.output.clone(),
                ..Verdict::without_run(Outcome::Missing, Some(worker::not_run()))
            };
            self.judge(*test, verdict);
        }
    }

    fn died(&mut self, batch: &Batch, running: &[TestId], how: String, rest: Rest) {
        match running {
            [] => {}
            [culprit] => {
                let verdict = aborted(&rest, 0, how.clone());
                self.judge(*culprit, verdict);
            }
            _ if self.stopped => {
                for (at, suspect) in running.iter().enumerate() {
                    let reason = format!("{how} while {} tests ran", running.len());
                    self.judge(*suspect, aborted(&rest, at, reason));
                }
            }
            suspects => {
                self.ledger.note_death(suspects, how.clone(), rest.worker, rest.output);
                self.plan.suspect(batch.group, suspects);
            }
        }
        self.note_fresh_process(batch, &rest.not_begun, &how);
        self.give_back(batch, rest.not_begun);
    }

    fn timed_out(&mut self, batch: &Batch, running: &[TestId], overdue: Vec<TestId>, rest: Rest) {
        let group = self.plan.group(batch.group).clone();
        for (at, (test, took)) in rest.running.iter().enumerate() {
            if overdue.contains(test) {
                let limit = group.timeout(*test).unwrap_or_default();
                let verdict = aborted(&rest, at, format!("timed out after {limit:?}"));
                let verdict = Verdict { outcome: Outcome::TimedOut, took: Some(*took), ..verdict };
                self.judge(*test, verdict);
            }
        }
        let innocent = running.iter().filter(|test| !overdue.contains(test)).copied();
        let back: Vec<TestId> = innocent.chain(rest.not_begun.iter().copied()).collect();
        self.note_fresh_process(batch, &back, "a test timed out");
        self.give_back(batch, back);
    }

    /// The user ended the run while these ran.
    fn cut_short(&mut self, batch: &Batch, rest: Rest) {
        for at in 0..rest.running.len() {
            let test = rest.running[at].0;
            let verdict = aborted(&rest, at, "interrupted".to_owned());
            self.judge(test, verdict);
        }
        self.give_back(batch, rest.not_begun);
    }

    fn no_channel(&mut self, batch: &Batch, tests: Vec<TestId>) {
        let listing = self.plan.group(batch.group).listing;
        let way = self.ways[listing];
        // Several workers of one binary may find it out at the same time.
        if way != Way::ExitCode {
            self.ways[listing] = way.next();
            let binary = self.context.inventory.listings[listing].binary.name.clone();
            self.emit(Event::Note(Note::NoChannel { binary, way }));
        }
        self.give_back(batch, tests);
    }

    fn give_back(&mut self, batch: &Batch, tests: Vec<TestId>) {
        let open: Vec<TestId> =
            tests.into_iter().filter(|test| !self.ledger.is_judged(*test)).collect();
        if self.stopped {
            self.summary.not_run += open.len();
        } else {
            self.plan.give_back(batch.group, &open);
        }
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

    fn finish(mut self, began: Instant) -> Summary {
        let used: BTreeSet<usize> = self.plan.groups().map(|group| group.listing).collect();
        let unwatched = used.iter().filter(|listing| self.ways[**listing] != Way::Agent).count();
        if unwatched > 0 {
            self.emit(Event::Note(Note::Unwatched { binaries: unwatched }));
        }
        for (test, verdict) in self.ledger.release() {
            self.conclude(test, verdict);
        }
        if !self.stopped {
            // Cannot happen while the plan is right; were it to, it must not look like a pass.
            for test in self.ledger.without_verdict() {
                let reason = Some("no worker ever told what became of it".to_owned());
                self.judge(test, Verdict::without_run(Outcome::Missing, reason));
            }
        }
        let took = began.elapsed();
        let offered = took.as_secs_f64() * self.summary.slots as f64;
        let fill = if offered > 0.0 { self.busy.as_secs_f64() / offered } else { 0.0 };
        let workers = self.context.workers();
        Summary { took, workers, fill: fill.min(1.0), ..self.summary }
    }
}

/// The best way to learn a listing's verdicts.
fn way(listing: &Listing, context: &Context<'_>) -> Way {
    match listing.dispatch {
        Dispatch::Batches if context.agent.is_some() && listing.takes_agent => Way::Agent,
        Dispatch::Batches => Way::LedgerFile,
        Dispatch::OneByOne | Dispatch::Whole => Way::ExitCode,
    }
}

/// The verdict of the test at this place of those that ran when their worker ended.
fn aborted(rest: &Rest, at: usize, reason: String) -> Verdict {
    Verdict {
        took: rest.running.get(at).map(|(_, took)| *took),
        worker: rest.worker,
        output: rest.output.clone(),
        ..Verdict::without_run(Outcome::Aborted, Some(reason))
    }
}
