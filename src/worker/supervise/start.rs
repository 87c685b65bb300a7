//! How a worker is started, and how its channel is set up.

use std::sync::Arc;
use std::time::Duration;

use crate::discovery::listing::Listing;
use crate::discovery::test_list::Dispatch;
use crate::libtest::mimic;
use crate::model::protocol::Protocol;
use crate::model::test::TestId;
use crate::process::platform::{self, ChannelPipe, Supervised};
use crate::protocol::agent::AgentChannel;
use crate::protocol::agent::changes::InitialState;
use crate::protocol::agent::state_watch::StaticWatch;
use crate::protocol::channel::Channel;
use crate::protocol::doctests::DoctestChannel;
use crate::protocol::harness_log::HarnessLogChannel;
use crate::protocol::logfile::LogfileChannel;
use crate::sharing::usage::ProcessUsage;
use crate::worker::context::Context;
use crate::worker::job::{Job, prepare};
use crate::worker::watching::Watched;

/// The command that runs these tests, and the pipe of its channel unless the agent opens its own.
pub(super) fn command(
    job: &Job,
    context: &Context<'_>,
    listing: &Listing,
    number: u64,
    selection: &[String],
) -> std::io::Result<(std::process::Command, Option<ChannelPipe>)> {
    let mut command = listing.binary.command();
    prepare(&mut command, job, context.config.run_id, number);
    let wire = wire(job, &mut command, context)?;
    let threads = match &job.permits {
        Some(permits) => {
            permits.pass_to(&mut command);
            job.batch.most_threads.unwrap_or(job.batch.threads)
        }
        None => job.batch.threads,
    };
    if listing.dispatch == Dispatch::MimicBatches {
        command.args(mimic::COLOR);
    }
    let mut args = vec!["--test-threads".to_owned(), threads.to_string()];
    args.extend(libtest_arguments(job, context).into_iter().map(str::to_owned));
    args.extend_from_slice(selection);
    match job.protocol {
        // rustdoc hands them on to its libtest.
        Protocol::Doctests => command.args(args.iter().flat_map(|arg| ["--test-args", arg])),
        _ => command.args(args),
    };
    Ok((command, wire))
}

/// Where it will be known what these tests use outside of their process.
pub(super) fn uses<'r>(
    job: &Job,
    context: &'r Context<'r>,
    number: u64,
    tests: &[TestId],
) -> Option<ProcessUsage<'r>> {
    let is_watched = job.protocol == Protocol::Agent && context.services.agent.is_some();
    is_watched.then(|| context.state.usage.enter(number, *tests.first()?)).flatten()
}

/// What of the process is compared from test to test, in a run that watches.
pub(super) fn watched(job: &Job, context: &Context<'_>) -> Option<Arc<Watched>> {
    let is_watched = context.config.watches_state
        && job.protocol == Protocol::Agent
        && context.services.agent.is_some();
    let index = job.group.listing;
    is_watched.then(|| context.services.watched.of(index, &context.inventory.listings[index]))?
}

/// Forks the process from a fork server if there is one, and spawns it otherwise.
pub(super) fn spawn<'r>(
    mut command: std::process::Command,
    job: &Job,
    context: &'r Context<'r>,
    wire: Option<ChannelPipe>,
) -> std::io::Result<Supervised<'r>> {
    let fork = |prepared: Arc<platform::ForkServer>| {
        Supervised::fork(&prepared, &command, context.services.groups, job.role())
    };
    let process = match forked(job, context).and_then(fork) {
        Some(process) => process?,
        None => {
            let wire = match (wire, &context.services.agent) {
                (None, Some(agent)) if job.protocol == Protocol::Agent => {
                    agent.prepare(&mut command);
                    Some(ChannelPipe::for_agent()?)
                }
                (wire, _) => wire,
            };
            Supervised::spawn(command, wire, context.services.groups, job.role())?
        }
    };
    context.services.fork_servers.served(job);
    Ok(process)
}

/// The fork server that this worker can be forked from.
pub(super) fn forked(job: &Job, context: &Context<'_>) -> Option<Arc<platform::ForkServer>> {
    // The list of what is watched would have to be passed on.
    if context.config.watches_state {
        return None;
    }
    let binary = &context.inventory.listings[job.group.listing].binary;
    context.services.fork_servers.for_job(
        job,
        binary,
        context.services.agent.as_ref(),
        context.config.run_id,
    )
}

/// Whether libtest keeps what tests print until they have ended.
pub(super) fn is_captured(job: &Job, context: &Context<'_>) -> bool {
    // rustdoc prints nothing of what its doctests print before they have ended.
    let is_always = job.protocol == Protocol::Doctests;
    is_always || !context.config.nocapture && !job.group.recycling.on_failure
}

/// What libtest is told about output. A custom harness may know none of it.
fn libtest_arguments(job: &Job, context: &Context<'_>) -> Vec<&'static str> {
    let mut words = Vec::new();
    if job.protocol == Protocol::HarnessLog {
        return words;
    }
    if !is_captured(job, context) {
        words.push("--nocapture");
    } else if job.protocol == Protocol::LogFile {
        // The verdicts come through the log file, and a dot is the shortest line.
        words.extend(["--format", "terse"]);
    }
    if context.config.show_output {
        words.push("--show-output");
    }
    words
}

/// Adds the arguments that set up the worker's channel; returns the pipe unless the agent opens its
/// own.
fn wire(
    job: &Job,
    command: &mut std::process::Command,
    context: &Context<'_>,
) -> std::io::Result<Option<ChannelPipe>> {
    if job.protocol == Protocol::Agent && context.services.agent.is_some() {
        command.args(["--format", "json", "-Zunstable-options", "--report-time"]);
        // The agent hides it from the tests, as what is before it.
        let seed = job.group.seed_in_process().filter(|_| job.batch.tests.len() > 1);
        command.args(seed.map(|seed| format!("--shuffle-seed={seed}")));
        return Ok(None);
    }
    if job.protocol == Protocol::HarnessLog {
        let wire = ChannelPipe::for_harness_log()?;
        command.args(["--format", "json", "--logfile", &wire.logfile_path()]);
        return Ok(Some(wire));
    }
    if job.protocol == Protocol::Doctests {
        return Ok(None);
    }
    let wire = ChannelPipe::for_logfile()?;
    command.args(["--logfile", &wire.logfile_path()]);
    Ok(Some(wire))
}

pub(super) fn channel<'r>(
    job: &'r Job,
    context: &Context<'_>,
    listing: &'r Listing,
    tests: &[TestId],
    captures: bool,
) -> Box<dyn Channel + 'r> {
    let names: Vec<&str> = tests.iter().map(|id| listing.tests[id.test].name.as_str()).collect();
    match job.protocol {
        Protocol::Agent => {
            let linger = |id: &TestId| job.group.leak_rules(*id).map(|rules| rules.linger);
            let lingers = tests.iter().map(|id| linger(id).unwrap_or_default()).collect();
            let agent =
                AgentChannel::new(job.slot(), names, lingers, captures).among(context.config.slots);
            let binary = &listing.binary;
            let agent = agent.with_initial_state(InitialState {
                directory: &binary.dir,
                of_binary: &binary.env,
                of_group: &job.group.env,
            });
            let watched = watched(job, context);
            let statics = watched.map(|of| StaticWatch::new(of.statics.clone(), of.types.clone()));
            let agent = agent.watching(statics);
            Box::new(agent.with_output_files(context.services.output_files.clone()))
        }
        Protocol::HarnessLog => {
            let tests_of_binary = tests.iter().map(|id| id.test);
            let linger = longest_linger(job, tests);
            let log = HarnessLogChannel::new(listing.by_name(), tests_of_binary, captures, linger);
            let log = log.at_once(job.batch.threads, order(listing, tests));
            Box::new(log.with_output_files(context.services.output_files.clone()))
        }
        Protocol::Doctests => {
            let all = listing.tests.iter().map(|test| test.name.as_str());
            let (threads, files) = (job.batch.threads, context.services.output_files.clone());
            Box::new(DoctestChannel::new(all, names, threads, longest_linger(job, tests), files))
        }
        Protocol::LogFile | Protocol::ExitCode => {
            let (names_of_all, threads) = (listing.by_name(), job.batch.threads);
            let file = LogfileChannel::new(names_of_all, &names, threads, captures);
            let linger = longest_linger(job, tests);
            Box::new(
                file.with_linger(linger).with_output_files(context.services.output_files.clone()),
            )
        }
    }
}

/// These tests in the order in which a custom harness begins them, if that is known.
fn order(listing: &Listing, tests: &[TestId]) -> Option<Vec<usize>> {
    let places = &listing.harness.as_ref()?.places;
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_unstable_by_key(|at| places[tests[*at].test]);
    Some(order)
}

fn longest_linger(job: &Job, tests: &[TestId]) -> Duration {
    let rules = tests.iter().filter_map(|id| job.group.leak_rules(*id));
    rules.map(|rules| rules.linger).max().unwrap_or_default()
}
