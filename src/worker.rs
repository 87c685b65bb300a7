//! One batch, supervised: starts the worker, follows what it tells, and turns that into
//! verdicts. What it cannot decide alone (who killed the worker, what becomes of the rest)
//! goes to the coordinator.
//!
//! Two ways to learn verdicts, by the listing's channel: libtest's ledger on a pipe, many
//! tests to a process; or a process for each test, judged by its exit code.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::channel::{Channel, Ended, Heard, LedgerFile, Left, Way};
use crate::declaration::Recycle;
use crate::environment;
use crate::inventory::{Dispatch, Inventory, Listing};
use crate::libtest::{self, Bounded, Listed, ReportReader};
use crate::outcome::{Outcome, Verdict};
use crate::plan::{Batch, Group, TestId};
use crate::process::{self, End, Groups, Happening, Passed, Stream, Supervised, Wire};

/// What all workers of a run have in common.
pub struct Context<'r> {
    pub inventory: &'r Inventory,
    pub groups: &'r Groups,
    pub run_id: &'r str,
    pub nocapture: bool,
    pub show_output: bool,
    /// Set when nothing new may start: for workers that start a process for every test.
    pub stopping: AtomicBool,
    next_worker: AtomicU64,
}

impl<'r> Context<'r> {
    pub fn new(inventory: &'r Inventory, groups: &'r Groups, run_id: &'r str) -> Self {
        Context {
            inventory,
            groups,
            run_id,
            nocapture: false,
            show_output: false,
            stopping: AtomicBool::new(false),
            next_worker: AtomicU64::new(0),
        }
    }

    /// How many processes were started so far.
    pub fn workers(&self) -> u64 {
        self.next_worker.load(Ordering::Relaxed)
    }
}

/// A batch with what its worker needs to know.
pub struct Job {
    pub batch: Batch,
    pub group: Arc<Group>,
    pub way: Way,
}

/// What reaches the coordinator.
#[derive(Debug)]
pub enum Message {
    /// The user wants the run to end.
    Signal(Passed),
    /// A test has failed; its verdict follows when its output is known.
    Failing {
        test: TestId,
    },
    Judged {
        test: TestId,
        verdict: Verdict,
    },
    /// What a worker wrote, where the user wants to see it as it comes.
    Wrote {
        bytes: Vec<u8>,
    },
    Finished {
        batch: usize,
        rest: Rest,
    },
}

/// What is left of a batch when its worker has ended.
#[derive(Debug)]
pub struct Rest {
    pub cause: Cause,
    pub worker: Option<u64>,
    /// Tests that had begun and have no verdict, with how long they ran.
    pub running: Vec<(TestId, Duration)>,
    pub not_begun: Vec<TestId>,
    /// What the worker wrote that belongs to no test in particular.
    pub output: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It ended by itself after its last test.
    Done,
    /// `SIGSEGV`, `exit code 0`, …
    Died(String),
    /// These ran longer than they may.
    TimedOut(Vec<TestId>),
    /// Its policy asks for a fresh process now.
    Recycled,
    /// Its channel stayed silent: the next way has to serve.
    NoChannel,
    NotStarted(String),
}

impl Cause {
    fn of_start(error: &std::io::Error) -> Cause {
        match error.kind() {
            // A platform without pipes that have a path.
            std::io::ErrorKind::Unsupported => Cause::NoChannel,
            _ => Cause::NotStarted(error.to_string()),
        }
    }
}

/// Between SIGTERM and SIGKILL: time for a handler that removes its temporary files.
const GRACE: Duration = Duration::from_secs(1);

/// Runs one batch to its end. Everything it learns goes through `told`, last of all
/// `Finished`.
pub fn run(job: &Job, context: &Context<'_>, told: &Sender<Message>) {
    let rest = match job.way {
        Way::Agent | Way::LedgerFile => run_in_parts(job, context, told),
        Way::ExitCode => run_one_by_one(job, context, told),
    };
    tell(told, Message::Finished { batch: job.batch.id, rest });
}

/// The coordinator hears until the last worker has finished; if it is gone, the run has
/// been given up and nobody needs to know.
fn tell(told: &Sender<Message>, what: Message) {
    let _ = told.send(what);
}

/// As many processes, one after another, as the platform's limit on arguments asks for.
fn run_in_parts(job: &Job, context: &Context<'_>, told: &Sender<Message>) -> Rest {
    let listing = &context.inventory.listings[job.group.listing];
    let parts = parts(listing, &job.batch.tests);
    let mut parts = parts.into_iter();
    let mut rest = Rest::nothing();
    for (tests, args) in parts.by_ref() {
        rest = Worker::start(job, context, listing, tests, &args).map_or_else(
            |(tests, error)| Rest {
                cause: Cause::of_start(&error),
                not_begun: tests,
                ..Rest::nothing()
            },
            |worker| worker.follow(told),
        );
        if rest.cause != Cause::Done || !rest.running.is_empty() || !rest.not_begun.is_empty() {
            break;
        }
    }
    rest.not_begun.extend(parts.flat_map(|(tests, _)| tests));
    rest
}

/// What fits on a command line: the platform's limit, less what the environment may take.
const ARGUMENT_SPACE: usize = if cfg!(windows) {
    24 * 1024
} else if cfg!(target_os = "linux") {
    // 2 MiB in all.
    1024 * 1024
} else {
    // About 1 MiB in all.
    512 * 1024
};

fn parts(listing: &Listing, tests: &[TestId]) -> Vec<(Vec<TestId>, Vec<String>)> {
    let args = selection(listing, tests);
    // Each argument costs its bytes, an end and a pointer.
    let space: usize = args.iter().map(|arg| arg.len() + 9).sum();
    if space <= ARGUMENT_SPACE || tests.len() == 1 {
        return vec![(tests.to_vec(), args)];
    }
    let (first, second) = tests.split_at(tests.len() / 2);
    let mut found = parts(listing, first);
    found.extend(parts(listing, second));
    found
}

fn selection(listing: &Listing, tests: &[TestId]) -> Vec<String> {
    let mut chosen = vec![false; listing.tests.len()];
    tests.iter().for_each(|id| chosen[id.test] = true);
    let listed: Vec<Listed<'_>> = listing
        .tests
        .iter()
        .zip(chosen)
        .map(|(test, is_chosen)| Listed {
            name: &test.name,
            is_ignored: test.is_ignored,
            is_chosen,
        })
        .collect();
    libtest::select(&listed).args
}

impl Rest {
    fn nothing() -> Rest {
        Rest {
            cause: Cause::Done,
            worker: None,
            running: Vec::new(),
            not_begun: Vec::new(),
            output: Vec::new(),
        }
    }
}

struct Worker<'r> {
    job: &'r Job,
    context: &'r Context<'r>,
    number: u64,
    tests: Vec<TestId>,
    process: Supervised<'r>,
    channel: Box<dyn Channel + 'r>,
    running: Vec<(usize, Instant)>,
    /// Which of the tests have begun.
    begun: Vec<bool>,
    /// Verdicts that wait for their output, which comes with the end of the process.
    failed: BTreeMap<usize, Verdict>,
    /// The newest pass: not told before the process has ended well.
    last_pass: Option<(usize, Verdict)>,
    ended: usize,
    any_failed: bool,
    ending: Option<Cause>,
    kill_at: Option<Instant>,
}

impl<'r> Worker<'r> {
    fn start(
        job: &'r Job,
        context: &'r Context<'r>,
        listing: &'r Listing,
        tests: Vec<TestId>,
        selection: &[String],
    ) -> Result<Worker<'r>, (Vec<TestId>, std::io::Error)> {
        let pipe = match Wire::ledger_pipe() {
            Ok(pipe) => pipe,
            Err(error) => return Err((tests, error)),
        };
        let captures = !context.nocapture && job.group.recycle != Recycle::OnFailure;
        let number = context.next_worker.fetch_add(1, Ordering::Relaxed);
        let mut command = listing.binary.command();
        prepare(&mut command, job, context, number);
        command.args(["--logfile", &pipe.path(), "--test-threads", &job.batch.threads.to_string()]);
        // Terse: the verdicts come through the ledger, and a dot is the shortest line.
        command.args(if captures { &["--format", "terse"][..] } else { &["--nocapture"] });
        if context.show_output {
            command.arg("--show-output");
        }
        command.args(selection);
        let names: Vec<&str> =
            tests.iter().map(|id| listing.tests[id.test].name.as_str()).collect();
        let threads = job.batch.threads;
        let channel = Box::new(LedgerFile::new(listing.by_name(), &names, threads, captures));
        match Supervised::spawn(command, Some(pipe), context.groups) {
            Ok(process) => Ok(Worker::new(job, context, number, tests, process, channel)),
            Err(error) => Err((tests, error)),
        }
    }

    fn new(
        job: &'r Job,
        context: &'r Context<'r>,
        number: u64,
        tests: Vec<TestId>,
        process: Supervised<'r>,
        channel: Box<dyn Channel + 'r>,
    ) -> Worker<'r> {
        Worker {
            job,
            context,
            number,
            process,
            channel,
            running: Vec::new(),
            begun: vec![false; tests.len()],
            tests,
            failed: BTreeMap::new(),
            last_pass: None,
            ended: 0,
            any_failed: false,
            ending: None,
            kill_at: None,
        }
    }

    fn follow(mut self, told: &Sender<Message>) -> Rest {
        let mut buffer = Vec::new();
        // What begins with the process itself.
        self.take(Stream::Channel, &[], told);
        loop {
            match self.process.next(self.deadline(), &mut buffer) {
                Ok(Happening::Wrote(stream)) => self.take(stream, &buffer, told),
                Ok(Happening::Ended(status)) => return self.finish(status, told),
                Ok(Happening::Nothing) => self.end_overdue(),
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
        let due = |(test, began): &(usize, Instant)| Some(*began + self.timeout(*test)?);
        self.running.iter().filter_map(due).min()
    }

    fn timeout(&self, test: usize) -> Option<Duration> {
        self.job.group.timeout(self.tests[test])
    }

    /// A deadline has passed: of a test, or of the grace that followed.
    fn end_overdue(&mut self) {
        let now = Instant::now();
        if self.ending.is_some() {
            self.kill_at = None;
            return self.process.end(End::Kill);
        }
        let is_overdue = |(test, began): &&(usize, Instant)| {
            self.timeout(*test).is_some_and(|timeout| *began + timeout <= now)
        };
        let overdue = self.running.iter().filter(is_overdue);
        let overdue: Vec<TestId> = overdue.map(|(test, _)| self.tests[*test]).collect();
        if !overdue.is_empty() {
            self.end(Cause::TimedOut(overdue));
        }
    }

    fn end(&mut self, cause: Cause) {
        self.ending = Some(cause);
        self.kill_at = Some(Instant::now() + GRACE);
        self.process.end(End::Terminate);
    }

    fn take(&mut self, stream: Stream, bytes: &[u8], told: &Sender<Message>) {
        for heard in self.channel.hear(stream, bytes) {
            match heard {
                Heard::Began(test) => {
                    self.begun[test] = true;
                    self.running.push((test, Instant::now()));
                }
                Heard::Ended(ended) => self.note(ended, told),
                Heard::Wrote(bytes) if self.context.nocapture => {
                    tell(told, Message::Wrote { bytes });
                }
                Heard::Wrote(_) => {}
            }
        }
    }

    /// Takes an end, also one that comes after the worker was told to end itself: what it
    /// says of the tests beside the one that hangs holds as well.
    fn note(&mut self, ended: Ended, told: &Sender<Message>) {
        let Ended { test, outcome, took, reason, output } = ended;
        self.ended += 1;
        self.begun[test] = true;
        let seen = self.running.iter().position(|(running, _)| *running == test);
        let seen = seen.map(|at| self.running.remove(at).1.elapsed());
        let verdict = Verdict {
            took: Some(took.or(seen).unwrap_or_default()),
            worker: Some(self.number),
            ..Verdict::without_run(outcome, reason)
        };
        match (outcome, output) {
            (Outcome::Failed, output) => {
                self.any_failed = true;
                tell(told, Message::Failing { test: self.tests[test] });
                match output {
                    Some(output) => self.judge(test, explained(verdict, output), told),
                    None => drop(self.failed.insert(test, verdict)),
                }
                let may_recycle = self.ending.is_none() && self.ended < self.tests.len();
                if self.job.group.recycle == Recycle::OnFailure && may_recycle {
                    self.end(Cause::Recycled);
                }
            }
            (_, output) => {
                let verdict = Verdict { output: output.unwrap_or_default(), ..verdict };
                if let Some((test, verdict)) = self.last_pass.replace((test, verdict)) {
                    self.judge(test, verdict, told);
                }
            }
        }
    }

    fn judge(&self, test: usize, verdict: Verdict, told: &Sender<Message>) {
        tell(told, Message::Judged { test: self.tests[test], verdict });
    }

    fn finish(mut self, status: ExitStatus, told: &Sender<Message>) -> Rest {
        let channel = std::mem::replace(&mut self.channel, Box::new(Deaf));
        let mut left = channel.finish();
        let cause = self.ending.take().unwrap_or_else(|| self.cause(status, &left));
        for (test, verdict) in std::mem::take(&mut self.failed) {
            let output = left.outputs.remove(&test);
            let output = output.unwrap_or_else(|| match left.ended {
                true => Vec::new(),
                false => output_was_lost(&cause).into_bytes(),
            });
            self.judge(test, explained(verdict, output), told);
        }
        if let Some((test, verdict)) = self.last_pass.take() {
            let verdict =
                self.last_verdict(verdict, left.outputs.remove(&test), &cause, &left.rest);
            self.judge(test, verdict, told);
        }
        let now = Instant::now();
        let running = self.running.iter();
        let running = running.map(|(test, began)| (self.tests[*test], now - *began)).collect();
        let not_begun = (0..self.tests.len()).filter(|test| !self.begun[*test]);
        let not_begun = not_begun.map(|test| self.tests[test]).collect();
        Rest { cause, worker: Some(self.number), running, not_begun, output: left.rest }
    }

    /// The last test that passed answers for an end that came when all had their verdicts.
    fn last_verdict(
        &self,
        mut verdict: Verdict,
        output: Option<Vec<u8>>,
        cause: &Cause,
        rest: &[u8],
    ) -> Verdict {
        if let Some(output) = output {
            verdict.output = output;
        }
        if let (Cause::Died(how), true) = (cause, self.ended == self.tests.len()) {
            verdict.outcome = Outcome::Aborted;
            verdict.reason =
                Some(format!("{how}: its process died after its last test had passed"));
            verdict.output = rest.to_vec();
        }
        verdict
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
        if status.code() == Some(101) && !left.began {
            return Cause::NoChannel;
        }
        if code_fits && (self.ended == self.tests.len() || left.ended) {
            return Cause::Done;
        }
        Cause::Died(process::describe(status))
    }
}

/// A failure with its output, and the reason that the output gives.
fn explained(verdict: Verdict, output: Vec<u8>) -> Verdict {
    let reason = libtest::reason(&String::from_utf8_lossy(&output)).or(verdict.reason);
    Verdict { output, reason, ..verdict }
}

/// Stands in for a channel that has been taken apart.
struct Deaf;

impl Channel for Deaf {
    fn hear(&mut self, _stream: Stream, _bytes: &[u8]) -> Vec<Heard> {
        Vec::new()
    }

    fn finish(self: Box<Self>) -> Left {
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

fn prepare(command: &mut std::process::Command, job: &Job, context: &Context<'_>, number: u64) {
    command.envs(&job.group.env);
    let slot = job.batch.slots.first().copied().unwrap_or(0);
    command.envs(environment::worker_variables(context.run_id, slot, number));
}

/// A process for each test of the batch, one after another.
fn run_one_by_one(job: &Job, context: &Context<'_>, told: &Sender<Message>) -> Rest {
    let mut tests = job.batch.tests.iter().copied();
    let mut rest = Rest::nothing();
    for test in tests.by_ref() {
        if context.stopping.load(Ordering::Relaxed) {
            rest.not_begun.push(test);
            break;
        }
        match run_one(job, context, test) {
            Ok(verdict) => tell(told, Message::Judged { test, verdict }),
            Err(error) => {
                rest.cause = Cause::NotStarted(error.to_string());
                rest.not_begun.push(test);
                break;
            }
        }
    }
    rest.not_begun.extend(tests);
    rest
}

fn run_one(job: &Job, context: &Context<'_>, test: TestId) -> std::io::Result<Verdict> {
    let listing = &context.inventory.listings[test.listing];
    let listed = &listing.tests[test.test];
    let number = context.next_worker.fetch_add(1, Ordering::Relaxed);
    let mut command = listing.binary.command();
    prepare(&mut command, job, context, number);
    if listing.dispatch != Dispatch::Whole {
        command.args([listed.name.as_str(), "--exact"]);
        if listed.is_ignored {
            command.arg("--ignored");
        }
    }
    let timeout = job.group.timeout(test);
    let began = Instant::now();
    let mut process = Supervised::spawn(command, None, context.groups)?;
    let (mut output, mut report, mut buffer) =
        (Bounded::default(), ReportReader::new([]), Vec::new());
    let mut due = timeout.map(|timeout| began + timeout);
    let mut is_late = false;
    let status = loop {
        match process.next(due, &mut buffer)? {
            Happening::Wrote(stream) => {
                output.push(&buffer);
                if stream == Stream::Stdout {
                    report.read(&buffer);
                }
            }
            Happening::Ended(status) => break status,
            Happening::Nothing => {
                process.end(if is_late { End::Kill } else { End::Terminate });
                due = (!is_late).then(|| Instant::now() + GRACE);
                is_late = true;
            }
        }
    };
    let (outcome, reason) = match is_late {
        true => {
            (Outcome::TimedOut, Some(format!("timed out after {:?}", timeout.unwrap_or_default())))
        }
        false => by_exit_code(status, &report, listing),
    };
    let output = output.into_bytes();
    let by_output = || libtest::reason(&String::from_utf8_lossy(&output));
    let reason = match outcome {
        Outcome::Failed => by_output().or(reason),
        _ => reason,
    };
    let (took, worker) = (Some(began.elapsed()), Some(number));
    Ok(Verdict { took, worker, output, ..Verdict::without_run(outcome, reason) })
}

fn by_exit_code(
    status: ExitStatus,
    report: &ReportReader,
    listing: &Listing,
) -> (Outcome, Option<String>) {
    let described = || Some(process::describe(status));
    let is_libtest = listing.dispatch == Dispatch::Batches;
    match status.code() {
        Some(0) if report.ran_nothing => (Outcome::Missing, Some(not_run())),
        // libtest always says how it ended; without that the test ended the process.
        Some(0) if is_libtest && !report.ended => (Outcome::Aborted, described()),
        Some(0) => (Outcome::Passed, None),
        Some(code) if is_libtest && code != 101 => (Outcome::Aborted, described()),
        Some(_) => (Outcome::Failed, described()),
        None => (Outcome::Aborted, described()),
    }
}

pub fn not_run() -> String {
    "the binary listed it and did not run it".to_owned()
}
