//! The settings of a run: what the command line, variables and cargo's configuration amount to.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use super::archive_args::FromArchiveArgs;
use super::args::{self, Args, CargoArgs, FlakyArg, Jobs, LeaksArg, NoTests, PolicyArg};
use super::cargo_config::CargoConfig;
use super::command_line;
use super::filter_args::FilterArgs;
use super::libtest_args::LibtestArgs;
use super::output_args::{MessageFormat, OutputArgs, OutputWhen, StatusLevel, When};
use super::report_args::ReportArgs;
use super::shard_args::ShardChoice;
use super::task::{Task, run_task, task};
use crate::config::keys::{Flaky, Kind};
use crate::config::policy::PolicyOverride;
use crate::model::ci_system::CiSystem;
use crate::model::leak::LeakAction;
use crate::process::stderr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    Quiet,
    Normal,
    /// Prints every test as it finishes.
    Verbose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IgnoredTests {
    #[default]
    Skip,
    Include,
    Only,
}

/// The tests to run: what libtest would select by name, and what the expressions match.
#[derive(Debug, Clone, Default)]
pub struct TestFilter {
    pub filters: Vec<String>,
    pub skip: Vec<String>,
    pub exact: bool,
    pub ignored: IgnoredTests,
    /// The expressions of `-E`.
    pub filtersets: Vec<String>,
    pub ignores_default: bool,
    /// Whether only tests are wanted that have failed or not run.
    pub last_failed: bool,
}

impl TestFilter {
    /// `filters` are those that stand before `--`.
    fn new(filters: Vec<String>, libtest: LibtestArgs, choosing: FilterArgs) -> TestFilter {
        TestFilter {
            filters: [filters, libtest.filters].concat(),
            skip: libtest.skip,
            exact: libtest.exact,
            ignored: match (libtest.ignored, libtest.include_ignored) {
                (true, _) => IgnoredTests::Only,
                (_, true) => IgnoredTests::Include,
                _ => IgnoredTests::Skip,
            },
            filtersets: choosing.filterset,
            ignores_default: choosing.ignore_default_filter,
            last_failed: choosing.last_failed,
        }
    }
}

#[derive(Debug)]
pub struct Settings {
    pub task: Task,
    pub filter: TestFilter,
    /// Whether a command was typed; otherwise the first filter may have been meant as one.
    pub has_command: bool,
    /// The seed of the order of tests, if it is random.
    pub shuffle: Option<u64>,
    pub slots: usize,
    /// Whether tests that wait may take more slots: not if the user has set a number.
    pub may_overcommit: bool,
    /// The maximum number of threads of one worker, if the user has set one.
    pub thread_cap: Option<usize>,
    /// The maximum number of tests of one binary that may run at once, over all of its workers, if
    /// `RUST_TEST_THREADS` sets one: a project that sets it expects a single process.
    pub tests_at_once: Option<usize>,
    /// The profile whose settings are used, if any.
    pub profile: Option<String>,
    pub policy: PolicyOverride,
    pub timeout: Option<Duration>,
    pub run_timeout: Option<Duration>,
    pub retries: Option<usize>,
    pub flaky: Option<Flaky>,
    pub leaks: Option<LeakAction>,
    pub write_baseline: bool,
    /// Whether to watch what tests change in their processes.
    pub watch_state: bool,
    /// Whether fixtures keep running after the run.
    pub keep_fixtures: bool,
    /// Whether the agent may be loaded into workers.
    pub agent: bool,
    pub fail_fast: bool,
    /// How many workers may crash before the run is stopped.
    pub max_crashes: usize,
    pub no_tests: NoTests,
    /// Which part of the tests to run, if this is one of several machines.
    pub shard: Option<ShardChoice>,
    /// The file with the durations by which shards are made.
    pub durations_file: Option<PathBuf>,
    pub format: MessageFormat,
    pub verbosity: Verbosity,
    pub color: Color,
    pub ordered: bool,
    pub nocapture: bool,
    pub failure_output: OutputWhen,
    pub success_output: OutputWhen,
    pub status_level: StatusLevel,
    /// How many of the slowest tests to list, if the user has set a number; 0 is all.
    pub durations: Option<usize>,
    /// Where to write which reports, as far as the user has said so.
    pub reports: ReportArgs,
    /// The CI system whose log this is. Not of a run that is started by a test: its output is the
    /// test's.
    pub ci: Option<CiSystem>,
    /// The archive to run instead of a build, if any.
    pub archive: FromArchiveArgs,
    /// The revision since which packages must have changed to be tested.
    pub changed: Option<String>,
    /// Whether no package has changed since, so that there is nothing to build.
    pub is_unchanged: bool,
    pub cargo: CargoArgs,
    /// cargo's own configuration.
    pub cargo_config: CargoConfig,
    pub cargo_verbosity: u8,
    /// Whether this run was started by a test of another run, whose files it leaves alone.
    pub nested: bool,
    pub run_id: String,
}

/// Which streams to color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    pub typed: When,
    pub stdout: bool,
    pub stderr: bool,
}

impl Settings {
    /// Whether the output of passed tests is printed.
    pub fn show_output(&self) -> bool {
        self.success_output != OutputWhen::Never
    }

    /// The maximum number of slots, with `overcommit` of them per core for tests that wait.
    pub fn most_slots(&self, overcommit: usize) -> usize {
        if self.may_overcommit { self.slots.saturating_mul(overcommit) } else { self.slots }
    }

    pub fn new(Args { command, options: args }: Args, cargo_config: CargoConfig) -> Settings {
        let has_command = command.is_some();
        let run = run_task(args.debugging, args.running.no_run);
        let (task, selection) = task(command, args.selection, run);
        let libtest = command_line::parse_libtest(&selection.libtest, args.output.message_format);
        let nested = std::env::var_os("PARTEST_RUN_ID").is_some();
        let variable = |name| cargo_config.variable(name)?.into_string().ok();
        let no_capture = args.output.no_capture || is_set(variable("RUST_TEST_NOCAPTURE"));
        let threads = TestThreads::new(&libtest, variable("RUST_TEST_THREADS"));
        let verbosity = verbosity(&args.output, libtest.quiet);
        let is_free = args.running.jobs.is_none() && threads.cap.is_none() && !nested;
        let is_for_ci = task == Task::Run && !nested && !args.reports.no_ci;
        Settings {
            task,
            slots: slots(args.running.jobs, nested, threads.cap),
            // Measurements would change a shuffled order.
            may_overcommit: is_free && args.choosing.shuffle.is_none(),
            shuffle: args.choosing.shuffle.map(|seed| seed.unwrap_or_else(new_seed)),
            // Of several tests at once, nobody could say which has changed something.
            thread_cap: if args.watching.watch_state { Some(1) } else { threads.cap },
            tests_at_once: threads.at_once,
            profile: args.profile.choice().map(|choice| choice.name),
            policy: policy_override(&args.running),
            timeout: args.running.timeout,
            run_timeout: args.running.run_timeout,
            retries: args.running.retries,
            flaky: args.running.flaky.map(flaky),
            leaks: args.running.leaks.map(leak_action),
            write_baseline: args.running.write_baseline,
            watch_state: args.watching.watch_state,
            keep_fixtures: args.running.keep_fixtures,
            agent: !args.running.no_agent,
            fail_fast: args.running.fail_fast,
            max_crashes: args.running.max_crashes.get(),
            no_tests: args.running.no_tests,
            shard: args.sharding.shard,
            durations_file: args.sharding.durations_file,
            format: args.output.message_format,
            verbosity,
            color: color(args.output.color.or(libtest.color)),
            ordered: args.output.ordered,
            nocapture: libtest.nocapture || no_capture,
            failure_output: args.output.failure_output.unwrap_or(OutputWhen::Final),
            success_output: success_output(&args.output, libtest.show_output),
            status_level: status_level(&args.output, verbosity),
            durations: args.output.durations,
            ci: is_for_ci.then(|| CiSystem::detect(|name| std::env::var(name).ok())).flatten(),
            reports: args.reports,
            cargo_verbosity: args.output.verbose.saturating_sub(1),
            archive: args.archive,
            changed: args.changed.changed,
            is_unchanged: false,
            cargo: args.cargo,
            cargo_config,
            nested,
            run_id: new_run_id(),
            filter: TestFilter::new(selection.filters, libtest, args.choosing),
            has_command,
        }
    }
}

/// How many threads libtest was to have.
struct TestThreads {
    /// By its flag, or by its variable.
    cap: Option<usize>,
    /// By its variable alone.
    at_once: Option<usize>,
}

impl TestThreads {
    /// The flag overrides the variable.
    fn new(libtest: &LibtestArgs, variable: Option<String>) -> TestThreads {
        let counted = libtest.test_threads.map(usize::from);
        let at_once = number(variable).filter(|_| counted.is_none());
        TestThreads { cap: counted.or(at_once), at_once }
    }
}

/// The number of slots.
///
/// Where the user bounds libtest's threads, "not more than N tests at a time" is meant,
/// so the default follows that bound; an explicit `-j` is kept to the letter. A run inside
/// a test of a run takes one slot, or nested runs would multiply.
fn slots(jobs: Option<Jobs>, nested: bool, thread_cap: Option<usize>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match jobs {
        Some(Jobs::Exactly(slots)) => slots,
        Some(Jobs::NoPartition) => 1,
        Some(Jobs::CoresLess(less)) => cores.saturating_sub(less).max(1),
        Some(Jobs::Default) => cores,
        None if nested => 1,
        None => cores.min(thread_cap.unwrap_or(cores)),
    }
}

fn policy_override(running: &args::RunArgs) -> PolicyOverride {
    match running.policy {
        _ if running.no_partition => PolicyOverride::NoPartition("--no-partition"),
        _ if running.jobs == Some(Jobs::NoPartition) => PolicyOverride::NoPartition("-j 0"),
        _ if running.isolate => PolicyOverride::Isolate,
        Some(PolicyArg::Auto) => PolicyOverride::Kind(Kind::Auto),
        Some(PolicyArg::Unit) => PolicyOverride::Kind(Kind::Unit),
        Some(PolicyArg::Split) => PolicyOverride::Kind(Kind::Split),
        None => PolicyOverride::None,
    }
}

fn flaky(typed: FlakyArg) -> Flaky {
    match typed {
        FlakyArg::Pass => Flaky::Pass,
        FlakyArg::Fail => Flaky::Fail,
    }
}

fn leak_action(typed: LeaksArg) -> LeakAction {
    match typed {
        LeaksArg::Allow => LeakAction::Allow,
        LeaksArg::Warn => LeakAction::Warn,
        LeaksArg::Deny => LeakAction::Deny,
    }
}

fn verbosity(output: &OutputArgs, quiet_libtest: bool) -> Verbosity {
    if output.quiet || quiet_libtest {
        Verbosity::Quiet
    } else if output.verbose > 0 {
        Verbosity::Verbose
    } else if is_true("CARGO_TERM_QUIET") {
        // What is typed counts before variables, as in cargo.
        Verbosity::Quiet
    } else if is_true("CARGO_TERM_VERBOSE") {
        Verbosity::Verbose
    } else {
        Verbosity::Normal
    }
}

fn success_output(output: &OutputArgs, shown_by_libtest: bool) -> OutputWhen {
    output.success_output.unwrap_or(match shown_by_libtest {
        true => OutputWhen::Final,
        false => OutputWhen::Never,
    })
}

fn status_level(output: &OutputArgs, verbosity: Verbosity) -> StatusLevel {
    output.status_level.unwrap_or(match verbosity {
        Verbosity::Quiet => StatusLevel::None,
        Verbosity::Normal => StatusLevel::Slow,
        Verbosity::Verbose => StatusLevel::All,
    })
}

pub fn color(typed: Option<When>) -> Color {
    let typed = typed.unwrap_or(When::Auto);
    let decide = |is_terminal: bool| match typed {
        When::Always => true,
        When::Never => false,
        When::Auto if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) => false,
        When::Auto => {
            (is_terminal && !stderr::is_dumb_terminal())
                || std::env::var("CLICOLOR_FORCE").is_ok_and(|v| v != "0" && !v.is_empty())
        }
    };
    Color {
        typed,
        stdout: decide(std::io::stdout().is_terminal()),
        stderr: decide(std::io::stderr().is_terminal()),
    }
}

fn number(value: Option<String>) -> Option<usize> {
    value?.parse().ok().filter(|number| *number > 0)
}

/// As libtest reads `RUST_TEST_NOCAPTURE`: anything but `0`.
fn is_set(value: Option<String>) -> bool {
    value.is_some_and(|value| value != "0")
}

/// As cargo reads its boolean variables.
fn is_true(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value == "true" || value == "1")
}

/// 16 random hexadecimal digits.
fn new_run_id() -> String {
    format!("{:016x}", random())
}

/// A number that is short enough to be typed.
fn new_seed() -> u64 {
    random() % 1_000_000_000
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // `RandomState` is seeded by the system: the one source of randomness in std.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_flag_then_the_bound_on_threads_then_the_cores() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let table = [
            ((Some(Jobs::Exactly(8)), false, None), 8),
            ((Some(Jobs::Exactly(8)), true, Some(1)), 8),
            ((Some(Jobs::NoPartition), false, None), 1),
            ((Some(Jobs::CoresLess(10_000)), false, None), 1),
            ((Some(Jobs::Default), true, None), cores),
            ((None, false, None), cores),
            ((None, false, Some(1)), 1),
            ((None, true, None), 1),
        ];
        for ((jobs, nested, cap), expected) in table {
            assert_eq!(slots(jobs, nested, cap), expected, "{jobs:?} {nested} {cap:?}");
        }
    }

    #[test]
    fn two_runs_have_two_ids() {
        assert_ne!(new_run_id(), new_run_id());
    }
}
