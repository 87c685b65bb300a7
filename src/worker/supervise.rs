//! Many tests in one process: follows whatever channel the worker speaks through.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::active::Place;
use super::arguments::parts;
use super::{
    Cause, Context, GRACE, Job, LOOK_AGAIN, LeftLater, Message, Overdue, Rest, Whose, prepare,
    spawn_retry, tell_all,
};
use crate::config::keys::Recycle;
use crate::config::leak_rules::LeakRules;
use crate::discovery::listing::Listing;
use crate::leaks::{Finding, Module, Names, Symbols, essential, is_pool};
use crate::libtest;
use crate::model::leak::Leak;
use crate::model::leak::{LeakAction, LeakKind};
use crate::model::outcome::Outcome;
use crate::model::output::Output;
use crate::model::reason::{Reason, Timeout};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::way::Way;
use crate::process::clock;
use crate::process::event::{End, Happening, Stream};
use crate::process::look::{At, Look};
use crate::process::platform;
use crate::process::platform::{Door, Supervised, Wire};
use crate::process::status;
use crate::protocol::{
    Agent, Channel, Culprit, Ended, Fatal, Heard, LedgerFile, Left, Settled, ThreadStack,
};

/// As many processes, one after another, as the platform's limit on arguments asks for.
pub fn run_in_parts(job: &Job, context: &Context<'_>, told: &Sender<Message>) -> Rest {
    let listing = &context.inventory.listings[job.group.listing];
    let parts = parts(listing, &job.batch.tests);
    let mut parts = parts.into_iter();
    let mut rest = Rest::nothing();
    for (tests, args) in parts.by_ref() {
        let start = || Worker::start(job, context, listing, tests.clone(), &args);
        rest = match spawn_retry::start(job, context, start) {
            Ok(worker) => worker.follow(told),
            Err(refused) => {
                Rest { cause: Cause::of_start(&refused), not_begun: tests, ..Rest::nothing() }
            }
        };
        if rest.cause != Cause::Done || !rest.running.is_empty() || !rest.not_begun.is_empty() {
            break;
        }
    }
    rest.not_begun.extend(parts.flat_map(|(tests, _)| tests));
    rest
}

/// How long the threads of a worker may take to tell where they are.
const PATIENCE_FOR_STACKS: Duration = Duration::from_secs(2);

/// What has run for all but such a part of its timeout hangs together with what has run for all of
/// it.
const NEARLY: u32 = 10;

struct Worker<'r> {
    job: &'r Job,
    context: &'r Context<'r>,
    listing: &'r Listing,
    number: u64,
    tests: Vec<TestId>,
    process: Supervised<'r>,
    channel: Box<dyn Channel + 'r>,
    running: Vec<(usize, Instant)>,
    /// Since when none of them runs: the process begins, or ends, or hangs.
    idle_since: Instant,
    /// How long it may do that.
    idle_limit: Option<Duration>,
    /// The same for whoever asks.
    place: Place<'r>,
    /// Which of the tests have begun.
    begun: Vec<bool>,
    ended: usize,
    any_failed: bool,
    /// Ended tests that have left something open: with their verdicts so far.
    unsettled: BTreeMap<usize, Told>,
    /// Failures that wait for their output, which comes with the end of the process.
    failed: BTreeMap<usize, Verdict>,
    /// The newest pass: not told before the process has ended well.
    last_pass: Option<(usize, Verdict)>,
    ending: Option<Cause>,
    kill_at: Option<Instant>,
    /// Waiting for stacks before the process is ended.
    awaits_stacks: bool,
    looked_at: Option<Instant>,
    /// The process waits there before it ends.
    door: Option<Door>,
    /// What the channel left, once the process has exited.
    left: Option<Left>,
}

/// A verdict, and whether its output came with it.
struct Told {
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
        let captures = !context.nocapture && job.group.recycle != Recycle::OnFailure;
        listing.binary.check()?;
        let number = context.next_worker();
        let mut command = listing.binary.command();
        prepare(&mut command, job, context, number);
        let wire = wire(job.way, &mut command, context)?;
        command.args(["--test-threads", &job.batch.threads.to_string()]);
        if !captures {
            command.arg("--nocapture");
        } else if job.way == Way::LedgerFile {
            // The verdicts come through the ledger, and a dot is the shortest line.
            command.args(["--format", "terse"]);
        }
        if context.show_output {
            command.arg("--show-output");
        }
        command.args(selection);
        let channel = channel(job, context, listing, &tests, captures);
        let idle_limit = idle_limit(job, &tests);
        let process = spawn(command, job, context, wire)?;
        Ok(Worker {
            job,
            context,
            listing,
            number,
            process,
            channel,
            running: Vec::new(),
            idle_since: clock::now(),
            idle_limit,
            place: context.running.enter(number, job.slot()),
            begun: vec![false; tests.len()],
            tests,
            ended: 0,
            any_failed: false,
            unsettled: BTreeMap::new(),
            failed: BTreeMap::new(),
            last_pass: None,
            ending: None,
            kill_at: None,
            awaits_stacks: false,
            looked_at: None,
            door: None,
            left: None,
        })
    }

    fn follow(mut self, told: &Sender<Message>) -> Rest {
        let mut buffer = Vec::new();
        // What one happening tells goes out together: the coordinator is woken once for it.
        let mut together = Vec::new();
        // What begins with the process itself.
        self.take(Stream::Channel, &[], &mut together);
        loop {
            tell_all(told, std::mem::take(&mut together));
            match self.process.next(self.deadline(), &mut buffer) {
                Ok(Happening::Wrote(stream)) => self.take(stream, &buffer, &mut together),
                Ok(Happening::Exited) => self.take_leave(&mut together),
                Ok(Happening::WantsTerminal) => {
                    together.push(Message::WantsTerminal { batch: self.job.batch.id });
                }
                Ok(Happening::Ended(status)) => {
                    together.extend(self.process.was_told(status).map(Message::Signal));
                    let rest = self.finish(status, &mut together);
                    tell_all(told, together);
                    return rest;
                }
                Ok(Happening::Nothing) => self.time_has_passed(&mut together),
                Ok(Happening::LostChannel) => self.lost_channel(),
                Err(error) => {
                    self.ending = Some(Cause::Died(format!("lost sight of it: {error}")));
                    self.process.end(End::Kill);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.ending.is_some() {
            return self.kill_at;
        }
        let timeout = match self.running.is_empty() {
            true => self.idle_limit().map(|limit| clock::after(self.idle_since, limit)),
            false => self.running.iter().filter_map(|running| self.due(running)).min(),
        };
        timeout.into_iter().chain(self.next_look()).min()
    }

    /// How long it may go on without a test. What waits at the door is to go on.
    fn idle_limit(&self) -> Option<Duration> {
        self.idle_limit.filter(|_| self.door.is_none())
    }

    /// When a test has run for as long as it may.
    fn due(&self, (test, began): &(usize, Instant)) -> Option<Instant> {
        Some(clock::after(*began, self.timeout(*test)?))
    }

    fn next_look(&self) -> Option<Instant> {
        let due = self.channel.due()?;
        Some(self.looked_at.map_or(due, |looked| due.max(clock::after(looked, LOOK_AGAIN))))
    }

    fn timeout(&self, test: usize) -> Option<Duration> {
        self.job.group.timeout(self.tests[test])
    }

    /// A deadline has passed: of a look, of a test, or of the grace that followed.
    fn time_has_passed(&mut self, told: &mut Vec<Message>) {
        let now = clock::now();
        if self.ending.is_some() {
            return self.end_at_last();
        }
        if let Some(overdue) = self.overdue(now) {
            self.time_out(overdue);
        } else if self.next_look().is_some_and(|look| look <= now) {
            self.look_around(told);
        }
    }

    fn look_around(&mut self, told: &mut Vec<Message>) {
        self.looked_at = Some(clock::now());
        let heard = self.channel.look(&self.look());
        self.deal_with(heard, told);
        self.let_go();
    }

    /// Why the process has to end now, if it has.
    ///
    /// Tests that began at nearly the same time have run as long: which of them it is that hangs,
    /// a moment cannot tell. A process that is stopped keeps all of its tests from ending.
    fn overdue(&self, now: Instant) -> Option<Overdue> {
        if self.running.is_empty() {
            let is_over = clock::after(self.idle_since, self.idle_limit()?) <= now;
            let limit = longest_timeout(self.job, &self.tests)?;
            let stopped_by = self.process.stopped_by();
            return is_over
                .then_some(Overdue { tests: Vec::new(), timeout: Timeout { limit, stopped_by } });
        }
        let is_due = |running: &&(usize, Instant)| self.due(running).is_some_and(|due| due <= now);
        let (first, _) = self.running.iter().find(is_due)?;
        let stopped_by = self.process.stopped_by();
        let hangs = |(test, began): &&(usize, Instant)| {
            let nearly = |timeout: Duration| timeout - timeout / NEARLY;
            let limit = self.timeout(*test).map(nearly);
            stopped_by.is_some() || limit.is_some_and(|limit| clock::after(*began, limit) <= now)
        };
        let tests = self.running.iter().filter(hangs).map(|(test, _)| self.tests[*test]).collect();
        let limit = self.timeout(*first).unwrap_or_default();
        Some(Overdue { tests, timeout: Timeout { limit, stopped_by } })
    }

    /// A hung worker is asked where its threads are before it is ended. One that is stopped does
    /// not answer.
    fn time_out(&mut self, overdue: Overdue) {
        match self.channel.stacks_signal().filter(|_| overdue.timeout.stopped_by.is_none()) {
            Some(signal) => {
                self.ending = Some(Cause::TimedOut(overdue));
                self.awaits_stacks = true;
                self.kill_at = Some(clock::within(PATIENCE_FOR_STACKS));
                self.process.signal(signal);
            }
            None => self.end(Cause::TimedOut(overdue)),
        }
    }

    /// What the worker would still tell would not be heard, or not be told from what others do.
    fn lost_channel(&mut self) {
        if self.ending.is_none() && self.ended < self.tests.len() {
            self.end(Cause::NoChannel);
        }
    }

    fn end(&mut self, cause: Cause) {
        self.ending = Some(cause);
        self.kill_at = Some(clock::within(GRACE));
        self.process.end(End::Terminate);
    }

    fn end_at_last(&mut self) {
        if std::mem::take(&mut self.awaits_stacks) {
            self.kill_at = Some(clock::within(GRACE));
            self.process.end(End::Terminate);
        } else {
            self.kill_at = None;
            self.process.end(End::Kill);
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8], told: &mut Vec<Message>) {
        if self.left.is_some() {
            return;
        }
        let heard = self.channel.hear(stream, bytes);
        self.deal_with(heard, told);
        self.let_go();
        if self.awaits_stacks && self.channel.has_stacks() {
            self.end_at_last();
        }
    }

    fn deal_with(&mut self, heard: Vec<Heard>, told: &mut Vec<Message>) {
        let now = clock::now();
        for heard in heard {
            match heard {
                Heard::Began(test) => {
                    self.begun[test] = true;
                    self.running.push((test, now));
                    self.place.began(self.tests[test], now);
                }
                Heard::Ended(ended) => self.test_ended(ended, told),
                Heard::Settled { test, findings } => self.settled(test, &findings, told),
                Heard::Wrote(bytes) if self.context.nocapture => {
                    told.push(Message::Wrote { bytes });
                }
                Heard::Wrote(_) => {}
                Heard::Leaving { descriptor } => {
                    self.door = self.process.door(descriptor);
                    self.look_around(told);
                    self.spare_pools();
                }
            }
        }
    }

    /// The process may end once nothing that its tests have started is within its linger: it
    /// would be ended with it, or held up by it no more.
    fn let_go(&mut self) {
        let may_end = self.ending.is_some() || !self.channel.has_open();
        if let Some(door) = self.door.take_if(|_| may_end) {
            door.open();
            self.idle_since = clock::now();
        }
    }

    /// Nobody waits for the threads of a pool, which stay as long as there is a process.
    fn spare_pools(&mut self) {
        let open = self.channel.open_threads();
        if self.door.is_none() || open.is_empty() {
            return;
        }
        let pools = self.context.with_symbols(|symbols| {
            let mut names = self.names(symbols, self.channel.modules(), "");
            let pools = open.iter().filter(|(_, stack)| is_pool(&names.calls(stack)));
            pools.map(|(number, _)| *number).collect::<Vec<_>>()
        });
        self.channel.stay(&pools);
        self.let_go();
    }

    /// Takes an end, also one that comes after the worker was told to end itself: what it
    /// says of the tests beside the one that hangs holds as well.
    fn test_ended(&mut self, ended: Ended, told: &mut Vec<Message>) {
        let Ended {
            test,
            outcome,
            took,
            processor,
            has_started_processes,
            reason,
            output,
            settled,
        } = ended;
        self.ended += 1;
        self.begun[test] = true;
        self.place.ended(self.tests[test]);
        let began = self.running.iter().position(|(running, _)| *running == test);
        let began = began.map(|at| self.running.remove(at).1);
        if self.running.is_empty() {
            self.idle_since = clock::now();
        }
        let took = took.map(clock::without_pauses);
        let has_output = output.is_some();
        let verdict = Verdict {
            took: Some(took.or_else(|| began.map(clock::since)).unwrap_or_default()),
            processor,
            load: load(took, processor.filter(|_| !has_started_processes)),
            worker: Some(self.number),
            output: output.unwrap_or_default(),
            ..Verdict::without_run(outcome, reason.map(Reason::Reported))
        };
        if outcome == Outcome::Failed {
            self.any_failed = true;
            told.push(Message::Failing { test: self.tests[test] });
        }
        match settled {
            Settled::Now => self.route(test, Told { verdict, has_output }, told),
            Settled::Later => drop(self.unsettled.insert(test, Told { verdict, has_output })),
        }
        if outcome == Outcome::Failed {
            self.recycle(Recycle::OnFailure);
        }
    }

    /// Ends the process if its policy asks for a fresh one now, and there is work left.
    fn recycle(&mut self, when: Recycle) {
        let may_recycle = self.ending.is_none() && self.ended < self.tests.len();
        if self.job.group.recycle == when && may_recycle {
            self.end(Cause::Recycled);
        }
    }

    fn settled(&mut self, test: usize, findings: &[Finding], told: &mut Vec<Message>) {
        let Some(mut kept) = self.unsettled.remove(&test) else { return };
        let modules = self.channel.modules().to_vec();
        kept.verdict = self.with_leaks(test, kept.verdict, findings, &modules);
        let has_leaks = !kept.verdict.leaks.is_empty();
        self.route(test, kept, told);
        if has_leaks {
            self.recycle(Recycle::OnLeak);
        }
    }

    /// Adds what a test has left behind. A denied panic of a thread is its own failure.
    fn with_leaks(
        &self,
        test: usize,
        mut verdict: Verdict,
        findings: &[Finding],
        modules: &[Module],
    ) -> Verdict {
        let leaks = self.leaks_of(test, findings, modules);
        if let Some(panic) = denied_panic(&leaks).filter(|_| verdict.outcome == Outcome::Passed) {
            verdict.outcome = Outcome::Failed;
            verdict.reason = Some(Reason::DeniedPanic(panic));
        }
        verdict.leaks.extend(leaks);
        verdict
    }

    fn leaks_of(&self, test: usize, findings: &[Finding], modules: &[Module]) -> Vec<Leak> {
        let id = self.tests[test];
        match self.job.group.leak_rules(id) {
            Some(rules) if !findings.is_empty() => {
                let of_test = &self.listing.tests[id.test].name;
                let owner = &self.listing.binary.id(of_test);
                let whose = Whose { listing: self.listing, of_test, owner, modules };
                self.context.judged(findings, rules, whose)
            }
            _ => Vec::new(),
        }
    }

    /// What one of the tests has left behind: the strictest of their rules holds. It is no leak
    /// where it may be of a test that was ended with its process.
    fn leaks_of_unit(&self, left: &Left) -> Vec<Leak> {
        if !self.running.is_empty() {
            return Vec::new();
        }
        let rules: Vec<&LeakRules> =
            self.tests.iter().filter_map(|test| self.job.group.leak_rules(*test)).collect();
        let judged = |finding: &Finding| {
            let findings = std::slice::from_ref(finding);
            let leaks = rules.iter().flat_map(|rules| {
                let (owner, modules) = (&*self.job.group.node, &*left.modules);
                let whose = Whose { listing: self.listing, of_test: "", owner, modules };
                self.context.judged(findings, rules, whose)
            });
            leaks.max_by_key(|leak| leak.action)
        };
        left.nobodys.iter().filter_map(judged).collect()
    }

    fn names<'n>(
        &'n self,
        symbols: &'n mut Symbols,
        modules: &'n [Module],
        of_test: &'n str,
    ) -> Names<'n> {
        self.context.names(symbols, self.listing, modules, of_test)
    }

    /// Tells a verdict, or keeps it until the end of the process has said its part.
    fn route(&mut self, test: usize, kept: Told, told: &mut Vec<Message>) {
        let Told { verdict, has_output } = kept;
        match verdict.outcome {
            Outcome::Failed if has_output => self.judge(test, explained(verdict), told),
            Outcome::Failed => drop(self.failed.insert(test, verdict)),
            _ => {
                if let Some((test, verdict)) = self.last_pass.replace((test, verdict)) {
                    self.judge(test, verdict, told);
                }
            }
        }
    }

    fn judge(&self, test: usize, verdict: Verdict, told: &mut Vec<Message>) {
        self.place.told();
        let (batch, test) = (self.job.batch.id, self.tests[test]);
        told.push(Message::Judged { batch, test, verdict });
    }

    /// The process has exited, and what it started may still be there: looked at until its linger
    /// has passed, and ended.
    fn take_leave(&mut self, told: &mut Vec<Message>) {
        self.door = None;
        self.channel.exited();
        self.look_around(told);
        while self.channel.has_open() && !self.context.groups.must_die() {
            std::thread::sleep(LOOK_AGAIN);
            self.look_around(told);
        }
        let channel = std::mem::replace(&mut self.channel, Box::new(Deaf));
        let left = channel.finish(&self.look());
        platform::end_all(&left.strays);
        self.left = Some(left);
    }

    fn look(&self) -> At<'r> {
        self.context.look(self.process.pid(), self.number, self.listing)
    }

    fn finish(mut self, status: ExitStatus, told: &mut Vec<Message>) -> Rest {
        let mut left = self.left.take().unwrap_or_default();
        self.retract(&left.retracted);
        let cause = self.ending.take().unwrap_or_else(|| self.cause(status, &left));
        let culprit = match &cause {
            Cause::Died(_) => who_ended(status, &left),
            _ => None,
        };
        if let (Cause::Died(how), Some(test)) = (&cause, culprit) {
            self.blame_ended(test, how, &left.rest);
        }
        if let ([_], [_, ..]) = (&*self.tests, &*left.nobodys) {
            // Whose else could it be?
            left.findings.entry(0).or_default().append(&mut left.nobodys);
        }
        self.settle_all(&mut left, told);
        for (test, verdict) in std::mem::take(&mut self.failed) {
            let mut verdict = self.with_late_leaks(test, verdict, &mut left);
            let output = left.outputs.remove(&test);
            verdict.output = output.unwrap_or_else(|| match left.ended {
                true => Output::default(),
                false => output_was_lost(&cause).into_bytes().into(),
            });
            self.judge(test, explained(verdict), told);
        }
        if let Some((test, verdict)) = self.last_pass.take() {
            let output = left.outputs.remove(&test);
            let is_innocent = culprit.is_some();
            let verdict = match is_innocent {
                true => Verdict { output: output.unwrap_or(verdict.output), ..verdict },
                false => self.last_verdict(verdict, output, &cause, &left.rest),
            };
            self.judge(test, verdict, told);
        }
        self.rest(cause, culprit, left)
    }

    /// Verdicts that are not to be believed after all: these tests run again.
    fn retract(&mut self, tests: &[usize]) {
        for test in tests {
            if self.unsettled.remove(test).is_some() {
                self.begun[*test] = false;
                self.ended -= 1;
            }
        }
    }

    /// What a test has left behind ended the process when the test was over: then its pass is
    /// none. Of a test that still runs there is no verdict to be changed.
    fn blame_ended(&mut self, test: usize, how: &str, rest: &Output) {
        let last = self.last_pass.as_mut().filter(|(last, _)| *last == test);
        let last = last.map(|(_, verdict)| verdict);
        let verdict = self.unsettled.get_mut(&test).map(|told| &mut told.verdict).or(last);
        if let Some(verdict) = verdict.filter(|verdict| verdict.outcome == Outcome::Passed) {
            verdict.outcome = Outcome::Aborted;
            verdict.reason = Some(Reason::EndedByLeftoverThread(how.to_owned()));
            verdict.output.append(rest.clone());
        }
    }

    /// Everything that a test left behind is known now.
    fn settle_all(&mut self, left: &mut Left, told: &mut Vec<Message>) {
        for (test, kept) in std::mem::take(&mut self.unsettled) {
            let verdict = self.with_late_leaks(test, kept.verdict, left);
            self.route(test, Told { verdict, ..kept }, told);
        }
        // What came home late belongs to a test that seemed to have settled.
        if let Some((test, verdict)) = self.last_pass.take() {
            let verdict = self.with_late_leaks(test, verdict, left);
            self.route(test, Told { verdict, has_output: true }, told);
        }
    }

    fn with_late_leaks(&self, test: usize, verdict: Verdict, left: &mut Left) -> Verdict {
        let findings = left.findings.remove(&test).unwrap_or_default();
        self.with_leaks(test, verdict, &findings, &left.modules)
    }

    /// What verdicts that have been told did not tell of. What a test has started that was ended
    /// with its process is no leak.
    fn left_later(&self, left: &mut Left) -> Vec<LeftLater> {
        let is_running = |test: usize| self.running.iter().any(|(running, _)| *running == test);
        let mut findings: Vec<_> = std::mem::take(&mut left.findings).into_iter().collect();
        findings.sort_by_key(|(test, _)| *test);
        let ended = findings.iter().filter(|(test, _)| self.begun[*test] && !is_running(*test));
        let of_tests = ended.map(|(test, findings)| LeftLater {
            test: Some(self.tests[*test]),
            leaks: self.leaks_of(*test, findings, &left.modules),
        });
        let of_unit = LeftLater { test: None, leaks: self.leaks_of_unit(left) };
        of_tests.chain([of_unit]).filter(|left| !left.leaks.is_empty()).collect()
    }

    fn rest(&self, cause: Cause, culprit: Option<usize>, mut left: Left) -> Rest {
        let left_behind = self.left_later(&mut left);
        let now = clock::now();
        // Where the one that ended the process is known, the others are not suspects.
        let is_suspect = |test: usize| culprit.is_none_or(|culprit| culprit == test);
        let is_over = matches!(cause, Cause::TimedOut(_));
        let running = self.running.iter().filter(|(test, _)| is_over || is_suspect(*test));
        let running: Vec<(TestId, Duration)> =
            running.map(|(test, began)| (self.tests[*test], now - *began)).collect();
        let is_innocent = |test: &usize| !is_over && !is_suspect(*test);
        let innocent = self.running.iter().map(|(test, _)| *test).filter(is_innocent);
        let innocent = innocent.map(|test| self.tests[test]).collect();
        let not_begun = (0..self.tests.len()).filter(|test| !self.begun[*test]);
        let not_begun = not_begun.map(|test| self.tests[test]).collect();
        let mut output = Output::from(self.shown_stacks(&left));
        output.append(left.rest);
        for (test, _) in &self.running {
            left.outputs.remove(test).into_iter().for_each(|own| output.append(own));
        }
        let worker = Some(self.number);
        Rest { cause, worker, running, not_begun, innocent, output, left_behind }
    }

    /// Where the threads of a hung worker were, by test.
    fn shown_stacks(&self, left: &Left) -> Vec<u8> {
        if left.stacks.is_empty() {
            return Vec::new();
        }
        let modules = &left.modules;
        let text = self.context.with_symbols(|symbols| {
            let mut names = self.names(symbols, modules, "");
            // As long as tests run, the main thread only waits for them.
            let has_tests = left.stacks.iter().any(|stack| stack.test.is_some());
            let shown = left.stacks.iter().filter(|stack| stack.test.is_some() || !has_tests);
            let stacks = shown.map(|stack| self.shown_stack(stack, &mut names));
            stacks.collect::<String>()
        });
        text.into_bytes()
    }

    fn shown_stack(&self, stack: &ThreadStack, names: &mut Names<'_>) -> String {
        let of_test = stack.test.map(|test| {
            let name = &self.listing.tests[self.tests[test].test].name;
            format!(" of {}", self.listing.binary.id(name))
        });
        let mut text = format!("thread `{}`{}:\n", stack.name, of_test.unwrap_or_default());
        for call in essential(&names.calls(&stack.stack)) {
            let place = call.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
            text.push_str(&format!("  {}{place}\n", call.function));
        }
        text.push('\n');
        text
    }

    /// The last test that passed answers for an end that came when all had their verdicts.
    fn last_verdict(
        &self,
        mut verdict: Verdict,
        output: Option<Output>,
        cause: &Cause,
        rest: &Output,
    ) -> Verdict {
        if let Some(output) = output {
            verdict.output = output;
        }
        let (outcome, reason) = match cause {
            _ if self.ended < self.tests.len() => return verdict,
            Cause::Died(how) => (Outcome::Aborted, Reason::DiedAfterPass(how.clone())),
            Cause::TimedOut(Overdue { timeout, .. }) => {
                (Outcome::TimedOut, Reason::HungAfterPass(timeout.clone()))
            }
            _ => return verdict,
        };
        Verdict { outcome, reason: Some(reason), output: rest.clone(), ..verdict }
    }

    /// What the end of the process means. An exit code alone proves nothing: only together
    /// with the verdicts and libtest's own last line it does.
    fn cause(&self, status: ExitStatus, left: &Left) -> Cause {
        let code_fits = match status.code() {
            Some(0) => !self.any_failed,
            // libtest's exit code when tests have failed.
            Some(101) => self.any_failed,
            _ => false,
        };
        let all_told = self.ended == self.tests.len();
        let adds_up = left.counted.is_none_or(|counted| counted == left.heard);
        if code_fits && (all_told || left.ended && adds_up && left.retracted.is_empty()) {
            return Cause::Done;
        }
        if self.is_silent(status, left) && !all_told {
            return Cause::NoChannel;
        }
        if ended_by_itself(status, left) && !all_told {
            return Cause::Misheard;
        }
        Cause::Died(status::describe(status))
    }

    /// Whether the process ended by itself, and its channel before it.
    fn is_silent(&self, status: ExitStatus, left: &Left) -> bool {
        match self.job.way {
            Way::Agent => matches!(status.code(), Some(0 | 101)) && (!left.began || left.was_lost),
            _ if status.code() == Some(0) => left.was_lost,
            _ => {
                let is_lost = !left.began || left.was_lost || has_lost_ledger(&left.rest);
                status.code() == Some(101) && is_lost
            }
        }
    }
}

/// That of the test that may take longest; none where one has no limit.
fn longest_timeout(job: &Job, tests: &[TestId]) -> Option<Duration> {
    let mut longest = Duration::ZERO;
    for test in tests {
        longest = longest.max(job.group.timeout(*test)?);
    }
    Some(longest)
}

/// How long a process may take outside of its tests, before the first and after the last: as long
/// as the longest of them may.
fn idle_limit(job: &Job, tests: &[TestId]) -> Option<Duration> {
    let longest = longest_timeout(job, tests)?;
    let lingers = tests.iter().filter_map(|test| job.group.leak_rules(*test));
    let linger = lingers.map(|rules| rules.linger).max().unwrap_or_default();
    // Its end waits for that.
    Some(longest.saturating_add(linger))
}

/// Whether libtest's own main function ended the process, and no test did.
fn ended_by_itself(status: ExitStatus, left: &Left) -> bool {
    let is_libtests = matches!(status.code(), Some(0 | 101));
    is_libtests && left.said_goodbye && who_ended(status, left).is_none()
}

/// The test that did what the process ended with.
fn who_ended(status: ExitStatus, left: &Left) -> Option<usize> {
    let is_it = |culprit: &&Culprit| match culprit.by {
        // The system keeps the lowest eight bits.
        Fatal::Exit(code) => status.code() == Some(code & 0xff),
        Fatal::Signal(signal) => status::signal_of(status) == Some(signal),
    };
    left.culprits.iter().find(is_it).map(|culprit| culprit.test)
}

/// Forks the process where one is prepared for that, and starts it where none is.
fn spawn<'r>(
    mut command: std::process::Command,
    job: &Job,
    context: &'r Context<'r>,
    wire: Option<Wire>,
) -> std::io::Result<Supervised<'r>> {
    let fork = |prepared: Arc<platform::Prepared>| {
        Supervised::fork(&prepared, &command, context.groups, job.role())
    };
    let process = match context.prepared.for_job(job, context).and_then(fork) {
        Some(process) => process?,
        None => {
            let wire = match (wire, &context.agent) {
                (None, Some(agent)) => {
                    agent.prepare(&mut command);
                    Some(Wire::agent_pipe()?)
                }
                (wire, _) => wire,
            };
            Supervised::spawn(command, wire, context.groups, job.role())?
        }
    };
    context.prepared.served(job);
    Ok(process)
}

/// The arguments that tell the worker of its channel; and the channel, unless it is the agent's.
fn wire(
    way: Way,
    command: &mut std::process::Command,
    context: &Context<'_>,
) -> std::io::Result<Option<Wire>> {
    if way == Way::Agent && context.agent.is_some() {
        command.args(["--format", "json", "-Zunstable-options", "--report-time"]);
        return Ok(None);
    }
    let wire = Wire::ledger_pipe()?;
    command.args(["--logfile", &wire.path()]);
    Ok(Some(wire))
}

fn channel<'r>(
    job: &'r Job,
    context: &Context<'_>,
    listing: &'r Listing,
    tests: &[TestId],
    captures: bool,
) -> Box<dyn Channel + 'r> {
    let names: Vec<&str> = tests.iter().map(|id| listing.tests[id.test].name.as_str()).collect();
    match job.way {
        Way::Agent => {
            let linger = |id: &TestId| job.group.leak_rules(*id).map(|rules| rules.linger);
            let lingers = tests.iter().map(|id| linger(id).unwrap_or_default()).collect();
            let agent = Agent::new(job.slot(), names, lingers, captures).among(context.slots);
            Box::new(agent.with_floods(context.floods.clone()))
        }
        _ => {
            let (names_of_all, threads) = (listing.by_name(), job.batch.threads);
            let file = LedgerFile::new(names_of_all, &names, threads, captures);
            let rules = tests.iter().filter_map(|id| job.group.leak_rules(*id));
            let linger = rules.map(|rules| rules.linger).max().unwrap_or_default();
            Box::new(file.with_linger(linger).with_floods(context.floods.clone()))
        }
    }
}

/// libtest's words when it can no longer write to its `--logfile`: a test has closed
/// descriptors that are not its own.
fn has_lost_ledger(output: &[u8]) -> bool {
    const WORDS: &str = "error: io error when listing tests";
    String::from_utf8_lossy(output).contains(WORDS)
}

fn denied_panic(leaks: &[Leak]) -> Option<String> {
    let is_denied = |leak: &&Leak| leak.kind == LeakKind::Panic && leak.action == LeakAction::Deny;
    let leak = leaks.iter().find(is_denied)?;
    let place = leak.place.as_ref().map(|place| format!(" ({place})"));
    Some(format!("{}{}", leak.what, place.unwrap_or_default()))
}

/// A failure with the reason that its output gives.
fn explained(verdict: Verdict) -> Verdict {
    let reason = libtest::reason(&String::from_utf8_lossy(&verdict.output));
    Verdict { reason: reason.map(Reason::Reported).or(verdict.reason), ..verdict }
}

/// How much of a core a test has used.
fn load(took: Option<Duration>, processor: Option<Duration>) -> Option<f64> {
    // What is shorter tells nothing: starting and ending a thread is most of it.
    const LEAST: Duration = Duration::from_millis(2);
    let took = took.filter(|took| *took >= LEAST)?;
    Some((processor?.as_secs_f64() / took.as_secs_f64()).min(1.0))
}

/// Stands in for a channel that has been taken apart.
struct Deaf;

impl Channel for Deaf {
    fn hear(&mut self, _stream: Stream, _bytes: &[u8]) -> Vec<Heard> {
        Vec::new()
    }

    fn finish(self: Box<Self>, _look: &dyn Look) -> Left {
        Left::default()
    }
}

/// What a test that failed before its worker died had printed is gone with the worker.
fn output_was_lost(cause: &Cause) -> String {
    match cause {
        Cause::Died(how) => format!("(its output was lost when its worker ended with {how})\n"),
        _ => "(its output was lost when its worker was ended)\n".to_owned(),
    }
}
