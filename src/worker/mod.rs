//! One batch, supervised: starts the worker, follows what it tells, and turns that into
//! verdicts. What it cannot decide alone (who killed the worker, what becomes of the rest)
//! goes to the coordinator.
//!
//! `batch` runs many tests in one process, `single` a process for each; `arguments` are the words
//! that choose the tests of a process, and `prepared` makes it cheaper to start one.

mod active;
pub mod agent_file;
mod arguments;
mod exit_code;
mod fork_server;
mod spawn_retry;
mod supervise;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cargo::environment;
use crate::config::leak_rules::LeakRules;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::error::{self, Result};
use crate::fixture::{Fixture, News, Shelf, Values};
use crate::leaks::baseline::Baseline;
use crate::leaks::{Finding, Module, Names, Symbols, judge};
use crate::model::event::Note;
use crate::model::leak::Leak;
use crate::model::output::Output;
use crate::model::output_file::Floods;
use crate::model::reason::Timeout;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::way::Way;
use crate::plan::schedule::{Batch, Group, Instance};
use crate::process::event::{Passed, Role};
use crate::process::groups::Groups;
use crate::process::look::{At, Program};
use crate::process::platform;
use crate::worker::agent_file::AgentFile;

use active::Running;
use exit_code::run_one_by_one;
use spawn_retry::Refused;
use supervise::run_in_parts;

pub use fork_server::Prepared;

/// What all workers of a run have in common.
pub struct Context<'r> {
    pub inventory: &'r Inventory,
    pub groups: &'r Groups,
    pub run_id: &'r str,
    pub slots: usize,
    /// How many of them will be filled, as far as is known before the run.
    pub likely_slots: usize,
    /// How long the whole run may take.
    pub run_timeout: Option<Duration>,
    /// So many workers may die under their tests before the run is given up.
    pub most_deaths: usize,
    /// What the tests need, by the places that their groups know.
    pub fixtures: Vec<Fixture>,
    /// Those that stay up between runs; none in a run inside of another.
    pub shelf: Option<Shelf>,
    pub nocapture: bool,
    pub show_output: bool,
    /// What is put into workers to hear more of them.
    pub agent: Option<AgentFile>,
    /// Where the whole of what tests print goes when it is too much to be kept; nowhere in a
    /// run inside of another.
    pub floods: Option<Arc<Floods>>,
    /// Leaks that are allowed because they are old.
    pub baseline: Baseline,
    /// The workspace's directory.
    pub root: PathBuf,
    symbols: Mutex<Symbols>,
    /// Set when nothing new may start: for workers that start a process for every test.
    pub stopping: AtomicBool,
    pub running: Running,
    /// Where processes are forked from.
    pub prepared: Prepared,
    next_worker: AtomicU64,
    /// Numbers of processes that could not be started at first.
    refusals: AtomicU64,
}

impl<'r> Context<'r> {
    pub fn new(inventory: &'r Inventory, groups: &'r Groups, run_id: &'r str) -> Self {
        Context {
            inventory,
            groups,
            run_id,
            slots: 1,
            likely_slots: 1,
            run_timeout: None,
            most_deaths: usize::MAX,
            fixtures: Vec::new(),
            shelf: None,
            nocapture: false,
            show_output: false,
            agent: None,
            floods: None,
            baseline: Baseline::default(),
            root: PathBuf::new(),
            symbols: Mutex::default(),
            stopping: AtomicBool::new(false),
            running: Running::default(),
            prepared: Prepared::default(),
            next_worker: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    /// Debug information is read once for all workers, and only when something has to be
    /// named.
    fn with_symbols<T>(&self, name: impl FnOnce(&mut Symbols) -> T) -> T {
        name(&mut self.symbols.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is to be seen of a worker and of what it has started.
    fn look(&self, pid: u32, worker: u64, listing: &'r Listing) -> At<'r> {
        let (run_id, groups, binary) = (self.run_id, self.groups, &listing.binary);
        let program = Program { executable: &binary.executable, name: &binary.name };
        At { pid, worker, run_id, groups, program }
    }

    fn names<'n>(
        &'n self,
        symbols: &'n mut Symbols,
        listing: &'n Listing,
        modules: &'n [Module],
        of_test: &'n str,
    ) -> Names<'n> {
        let (executable, root) = (&*listing.binary.executable, &*self.root);
        Names { symbols, modules, executable, root, of_test }
    }

    fn judged(&self, findings: &[Finding], rules: &LeakRules, whose: Whose<'_>) -> Vec<Leak> {
        let Whose { listing, of_test, owner, modules } = whose;
        let package = &listing.binary.package_name;
        let was_there = |kind, what: &str| self.baseline.allows(package, owner, kind, what);
        self.with_symbols(|symbols| {
            judge(findings, rules, was_there, &mut self.names(symbols, listing, modules, of_test))
        })
    }

    /// A number for a process that is about to be started.
    pub fn next_worker(&self) -> u64 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }

    /// How many processes were started so far.
    pub fn workers(&self) -> u64 {
        self.next_worker.load(Ordering::Relaxed) - self.refusals.load(Ordering::Relaxed)
    }

    /// A number was used for nothing; it will not come again.
    fn note_refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whose a finding is.
#[derive(Clone, Copy)]
struct Whose<'w> {
    listing: &'w Listing,
    /// The test's name; empty where it is not known.
    of_test: &'w str,
    /// What a baseline calls it.
    owner: &'w str,
    modules: &'w [Module],
}

/// How soon things are looked at again that may be about to end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A batch with what its worker needs to know.
pub struct Job {
    pub batch: Batch,
    pub group: Arc<Group>,
    pub way: Way,
    /// What its fixtures have handed over.
    pub values: Values,
    /// Set when one of its fixtures has died: what has not begun must not.
    pub is_bereft: Arc<AtomicBool>,
}

impl Job {
    fn role(&self) -> Role {
        Role::Worker { batch: self.batch.id }
    }
}

impl Job {
    /// The one that its worker is told of.
    fn slot(&self) -> usize {
        self.batch.slots.first().copied().unwrap_or(0)
    }
}

/// What reaches the coordinator.
#[derive(Debug)]
pub enum Message {
    /// The user wants the run to end.
    Signal(Passed),
    /// The process that the user started is gone, and with it whoever could want anything.
    Orphaned,
    /// The user wants to know what runs now.
    WhatRuns,
    /// A test has failed; its verdict follows when its output is known.
    Failing {
        test: TestId,
    },
    Judged {
        batch: usize,
        test: TestId,
        verdict: Verdict,
    },
    Fixture {
        instance: Instance,
        news: News,
    },
    /// What a worker wrote, where the user wants to see it as it comes.
    Wrote {
        bytes: Vec<u8>,
    },
    Finished {
        batch: usize,
        rest: Rest,
    },
    /// cargo has built more test binaries, and they are listed, in these places.
    Listed {
        listings: Range<usize>,
        notes: Vec<Note>,
    },
    /// cargo has ended, and everything is listed.
    Built(Result<()>),
    /// The process of this batch waits for the terminal, which is not ours to give.
    WantsTerminal {
        batch: usize,
    },
    /// A thread of the run is lost, and cannot tell what it was to tell.
    Broken {
        thread: String,
        why: String,
    },
    /// What came at the same time, in its order.
    Several(Vec<Message>),
}

/// What is left of a batch when its worker has ended.
#[derive(Debug)]
pub struct Rest {
    pub cause: Cause,
    pub worker: Option<u64>,
    /// Tests that had begun and have no verdict, with how long they ran.
    pub running: Vec<(TestId, Duration)>,
    pub not_begun: Vec<TestId>,
    /// Tests that had begun, and whose worker ended by no fault of theirs.
    pub innocent: Vec<TestId>,
    /// What the worker wrote that belongs to no test in particular.
    pub output: Output,
    /// What its tests have left behind, as far as no verdict tells of it.
    pub left_behind: Vec<LeftLater>,
}

/// What was found when the verdict of its test had been told, or where nobody can say whose it is.
#[derive(Debug)]
pub struct LeftLater {
    /// None: one of the tests of the batch.
    pub test: Option<TestId>,
    pub leaks: Vec<Leak>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It ended by itself after its last test.
    Done,
    /// `SIGSEGV`, `exit code 0`, …
    Died(String),
    /// It was ended because it took too long.
    TimedOut(Overdue),
    /// Its policy asks for a fresh process now.
    Recycled,
    /// Its channel stayed silent: the next way has to serve.
    NoChannel,
    /// libtest ran its tests to the end, and of some of them no verdict was heard that could be
    /// believed: for those the next way has to serve.
    Misheard,
    NotStarted(String),
    /// Nothing new may start.
    Stopped,
}

/// What took longer than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Tests that may be why; none where the process hung outside of its tests.
    pub tests: Vec<TestId>,
    pub timeout: Timeout,
}

impl Cause {
    fn of_start(refused: &Refused) -> Cause {
        let Refused::Failed(error) = refused else { return Cause::Stopped };
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
    let thread = format!("the thread of slot {}", job.slot());
    let rest = guarded(&thread, told, || match job.way {
        Way::Agent | Way::LedgerFile => run_in_parts(job, context, told),
        Way::ExitCode => run_one_by_one(job, context, told),
    });
    let nothing =
        || Rest { cause: Cause::Stopped, not_begun: job.batch.tests.clone(), ..Rest::nothing() };
    let rest = rest.unwrap_or_else(nothing);
    tell(told, Message::Finished { batch: job.batch.id, rest });
}

/// What all threads of a run work in: one that panics ends the run, since what it was to tell
/// would be waited for in vain. None if it did.
pub fn guarded<T>(thread: &str, told: &Sender<Message>, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.inspect_err(|panic| {
        let (thread, why) = (thread.to_owned(), error::said(&**panic));
        tell(told, Message::Broken { thread, why });
    })
    .ok()
}

/// The coordinator hears until the last worker has finished; if it is gone, the run has
/// been given up and nobody needs to know.
fn tell(told: &Sender<Message>, what: Message) {
    let _ = told.send(what);
}

fn tell_all(told: &Sender<Message>, mut what: Vec<Message>) {
    match what.len() {
        0 => {}
        1 => what.drain(..).for_each(|what| tell(told, what)),
        _ => tell(told, Message::Several(what)),
    }
}

impl Rest {
    pub fn nothing() -> Rest {
        Rest {
            cause: Cause::Done,
            worker: None,
            running: Vec::new(),
            not_begun: Vec::new(),
            innocent: Vec::new(),
            output: Output::default(),
            left_behind: Vec::new(),
        }
    }
}

fn prepare(command: &mut std::process::Command, job: &Job, context: &Context<'_>, number: u64) {
    if let Some(bytes) = job.group.memory {
        platform::limit_memory(command, bytes);
    }
    command.envs(&job.group.env);
    command.envs(job.values.iter().map(|(name, value)| (name, value)));
    command.envs(environment::worker_variables(context.run_id, job.slot(), number));
}
