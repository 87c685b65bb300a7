//! `cargo partest` runs a workspace's tests in parallel over a pool of processes, by the
//! policy that each module declares in Cargo.toml.
//!
//! The way of the data, one room after the other:
//!
//! ```text
//! args → settings                    the command line, as typed and as meant
//!   configuration                      what cargo reads besides it
//! prepare                            all that comes before the first test:
//!   cargo → workspace, toolchain       what cargo and rustc know
//!   (answer, witness)
//!   declaration → policy               the metadata, as typed and as meant
//!   binary (environment)               what the build gave, and how to start it
//!   inventory (lister, libtest, statics, compiler)
//!                                      every test, and what the symbol tables say
//!   early                              what is still built when the first tests run
//!   holdup                             what takes so long that somebody may wonder
//! selection → units → plan           what runs together, and what may start now
//!   (history)
//! session                            one run:
//!   coordinator ⇄ worker               who decides, and who follows a process
//!   fixture                            what is started once, for all who share it
//!   channel (agent_file, numbers)      how verdicts are learnt
//!   output (flood)                     what tests print, as much of it as is kept
//!   process                            how processes end
//!   ledger, leaks                      what became of each test, what it left behind
//!   interrupt, clock                   signals, and time without the pauses
//! event → report (message)           what people and scripts get to see
//!
//! agent/ is no module of this program: build.rs compiles it, and workers load it.
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod agent_file;
mod answer;
mod args;
mod baseline;
mod binary;
mod cargo;
mod channel;
mod clock;
mod compiler;
mod configuration;
mod coordinator;
mod declaration;
mod doctests;
mod duration;
mod early;
mod environment;
mod error;
mod event;
mod fixture;
mod flood;
mod history;
mod holdup;
mod interrupt;
mod inventory;
mod leaks;
mod ledger;
mod libtest;
mod lister;
mod message;
mod mistake;
mod numbers;
mod origins;
mod outcome;
mod output;
mod plan;
mod policy;
mod prepare;
mod process;
mod report;
mod selection;
mod session;
mod settings;
mod size;
mod statics;
mod store;
mod toolchain;
mod units;
mod witness;
mod worker;
mod workspace;

use std::process::ExitCode;

use crate::args::NoTests;
use crate::configuration::Configuration;
use crate::error::{Error, Exit, Result};
use crate::event::{Note, Summary};
use crate::fixture::{ByHand, Shelf};
use crate::interrupt::Interrupts;
use crate::inventory::Inventory;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::prepare::{Built, Next};
use crate::process::Lines;
use crate::report::{Paint, View, tell};
use crate::session::Known;
use crate::settings::{Settings, Task};

fn main() -> ExitCode {
    if fixture::is_keeper(std::env::args_os()) {
        return fixture::hold();
    }
    let args = args::parse(std::env::args_os());
    let configuration = Configuration::load(&args.cargo);
    let settings = Settings::new(args, configuration);
    let lines = match settings.task {
        Task::Run => process::set_up(),
        _ => Lines::default(),
    };
    let run = std::panic::AssertUnwindSafe(|| run(&settings, lines));
    let ran = std::panic::catch_unwind(run);
    match ran.unwrap_or_else(|panic| Err(Error::panicked("the main thread", &*panic))) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.is_told() {
                tell(&format!("{}: {error}", Paint(settings.color.stderr).bad("error")));
            }
            error.exit().into()
        }
    }
}

/// The table of contents.
fn run(settings: &Settings, lines: Lines) -> Result<Exit> {
    let interrupts = Interrupts::catch(lines).map_err(Error::Signals)?;
    let pool = make_pool(settings.slots)?;
    let mut notes = Vec::new();

    if let Task::Fixtures(what @ (ByHand::List | ByHand::Stop(_))) = &settings.task {
        let (workspace, policy) = prepare::declared_alone(settings)?;
        let shelf = Shelf::new(&workspace.state_dir, false);
        return fixture::act(what, settings, &policy, &shelf, None, &interrupts);
    }
    let mut built = prepare::build(settings, &interrupts, &mut notes)?;
    if settings.task == Task::BuildOnly {
        return Ok(Exit::AllWell);
    }
    let inventory = prepare::take_inventory(settings, &mut built, &pool, &interrupts, &mut notes)?;
    let Built { workspace, policy, history, next, .. } = built;
    let rest = match next {
        Next::Builds(rest) => Some(rest),
        Next::Lists(watch) => {
            drop(watch);
            prepare::check_paths(settings, &policy, &inventory)?;
            None
        }
    };
    if let Task::Fixtures(what) = &settings.task {
        let shelf = Shelf::new(&workspace.state_dir, true);
        let root = workspace.root();
        let inventory = Some((&inventory, &*root));
        return fixture::act(what, settings, &policy, &shelf, inventory, &interrupts);
    }
    let all = 0..inventory.listings.len();
    let choices = selection::choose(&inventory, all, &settings.wanted, &policy);
    let grouped = units::group(&inventory, 0, &choices, settings, &policy, &history);
    let slots = units::slots(&grouped.groups, rest.is_some(), settings, policy.overcommit());
    let view = View { inventory: &inventory, settings };

    match settings.task {
        Task::List => overview(settings, &notes, report::list(view, &choices), &inventory),
        Task::Plan => {
            let plan = Plan::new(grouped.groups, slots, settings.thread_cap);
            overview(settings, &notes, report::plan(view, plan, &grouped.fixtures), &inventory)
        }
        Task::Run | Task::BuildOnly | Task::Fixtures(_) => {
            let pool = if slots.count > settings.slots { make_pool(slots.count)? } else { pool };
            let known = Known {
                settings,
                workspace: &workspace,
                policy: &policy,
                inventory: &inventory,
                choices,
                grouped,
                slots,
                history,
                notes,
                rest,
            };
            let summary = session::run(known, &pool, &interrupts)?;
            Ok(exit(settings, &summary))
        }
    }
}

/// One private pool: its threads live as long as the run, which the workers' lives hang on.
fn make_pool(slots: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(slots)
        .thread_name(|slot| format!("slot {slot}"))
        .build()
        .map_err(|source| Error::Pool { slots, source })
}

/// Shows what there is instead of running it.
fn overview(
    settings: &Settings,
    notes: &[Note],
    text: String,
    inventory: &Inventory,
) -> Result<Exit> {
    for note in notes {
        tell(&format!("{}: {}", Paint(settings.color.stderr).warn("warning"), message::note(note)));
    }
    report::unless_closed(report::print(&text))?;
    Ok(if inventory.failures.is_empty() { Exit::AllWell } else { Exit::OwnError })
}

/// The exit code (README, "Exit codes"): the gravest thing that happened.
fn exit(settings: &Settings, summary: &Summary) -> Exit {
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.is_broken {
        Exit::OwnError
    } else if summary.time_was_up || summary.failures() > 0 {
        Exit::TestFailed
    } else if summary.list_failures > 0 || summary.count(Outcome::Missing) > 0 {
        Exit::OwnError
    } else if summary.count(Outcome::Blocked) > 0 || summary.lost_fixtures > 0 {
        Exit::FixtureFailed
    } else if summary.denied_leaks > 0 {
        Exit::DeniedLeak
    } else if summary.not_run > 0 {
        // Given up without a verdict to blame: whatever the reason, not all is well.
        Exit::OwnError
    } else if summary.total() == 0 {
        no_tests(settings)
    } else {
        Exit::AllWell
    }
}

fn no_tests(settings: &Settings) -> Exit {
    let paint = Paint(settings.color.stderr);
    let (word, exit) = match settings.no_tests {
        NoTests::Pass => return Exit::AllWell,
        NoTests::Warn => (paint.warn("warning"), Exit::AllWell),
        NoTests::Fail => (paint.bad("error"), Exit::NoTestMatched),
    };
    tell(&format!("{word}: {}", message::no_test_matched(settings)));
    exit
}
