//! The command line as typed. What it means is decided by `settings`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::archive_args::{ArchiveArgs, FromArchiveArgs};
use super::bisect_args::BisectArgs;
use super::changed_args::ChangedArgs;
use super::debug_args::DebugArgs;
use super::doctest_args::DoctestArgs;
use super::doctor_args::DoctorArgs;
use super::examples::{EXAMPLES, LONG_EXAMPLES};
use super::filter_args::FilterArgs;
use super::metadata_args::MetadataCommand;
use super::number;
use super::output_args::OutputArgs;
use super::profile_args::ProfileArgs;
use super::report_args::ReportArgs;
use super::setup_args::SetupCommand;
use super::shard_args::{MergeArgs, ShardArgs};
use super::watch_args::WatchArgs;

/// Run tests in parallel over a pool of processes, by per-module policy
#[derive(Debug, Parser)]
#[command(
    name = "cargo partest",
    bin_name = "cargo partest",
    version,
    max_term_width = 100,
    override_usage = "cargo partest [COMMAND] [OPTIONS] [FILTERS]... [-- <LIBTEST FLAGS>]",
    after_help = EXAMPLES,
    after_long_help = LONG_EXAMPLES,
    subcommand_value_name = "COMMAND"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub options: Options,
}

/// All but the command.
#[derive(Debug, ClapArgs)]
pub struct Options {
    #[command(flatten)]
    pub selection: TestSelection,
    #[command(flatten)]
    pub choosing: FilterArgs,
    #[command(flatten)]
    pub running: RunArgs,
    #[command(flatten)]
    pub debugging: DebugArgs,
    #[command(flatten)]
    pub sharding: ShardArgs,
    #[command(flatten)]
    pub profile: ProfileArgs,
    #[command(flatten)]
    pub changed: ChangedArgs,
    #[command(flatten)]
    pub archive: FromArchiveArgs,
    #[command(flatten)]
    pub watching: WatchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
    #[command(flatten)]
    pub cargo: CargoArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Build and run the tests (default)
    Run(TestSelection),
    /// Show how tests would be grouped and why, without running them
    Plan(TestSelection),
    /// List the tests
    List(TestSelection),
    /// Build the tests and pack them into one file to run elsewhere
    #[command(hide = true)]
    Archive(ArchiveArgs),
    /// Find the smallest set of other tests with which a test fails
    #[command(hide = true)]
    Bisect(BisectArgs),
    /// Find tests that depend on others, and suggest settings for them
    #[command(hide = true)]
    Doctor(DoctorArgs),
    /// List, start or stop the fixtures of `shared` tests
    Fixtures(FixturesArgs),
    /// Merge the results of several shards into one report
    #[command(hide = true)]
    Merge(MergeArgs),
    #[command(flatten)]
    Metadata(MetadataCommand),
    #[command(flatten)]
    Setup(SetupCommand),
}

#[derive(Debug, Clone, ClapArgs)]
pub struct FixturesArgs {
    #[command(subcommand)]
    pub command: Option<FixturesCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum FixturesCommand {
    /// List the fixtures and whether they are running (default)
    List,
    /// Start fixtures and keep them running until they are stopped
    Start(FixtureNames),
    /// Stop fixtures that were kept running
    Stop(FixtureNames),
}

#[derive(Debug, Clone, ClapArgs)]
pub struct FixtureNames {
    /// Names of fixtures [default: all]
    #[arg(value_name = "NAMES")]
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Default, ClapArgs)]
pub struct TestSelection {
    /// Only run tests whose name contains this or whose path starts with it (`web::db`)
    #[arg(value_name = "FILTERS")]
    pub filters: Vec<String>,
    /// Flags for libtest, and further filters
    #[arg(last = true, value_name = "LIBTEST FLAGS", hide_short_help = true)]
    pub libtest: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    /// Number of slots (parallel processes) [default: CPUs]; 0: whole binaries
    #[arg(
        short,
        long,
        value_name = "N",
        global = true,
        allow_negative_numbers = true,
        value_parser = parse_jobs
    )]
    pub jobs: Option<Jobs>,
    /// Policy for all modules: auto, unit, split
    #[arg(
        long,
        value_name = "POLICY",
        global = true,
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub policy: Option<PolicyArg>,
    /// Run each test in its own process
    #[arg(long, global = true, conflicts_with_all = ["policy", "no_partition"])]
    pub isolate: bool,
    /// Run each binary in one process, as `cargo test` does
    #[arg(long, global = true, hide_short_help = true, conflicts_with = "policy")]
    pub no_partition: bool,
    /// Time limit for each test, such as 30s
    #[arg(long, value_name = "DURATION", global = true, value_parser = crate::model::duration::parse_limit)]
    pub timeout: Option<std::time::Duration>,
    /// Time limit for the whole run, such as 30m
    #[arg(
        long,
        value_name = "DURATION",
        global = true,
        value_parser = crate::model::duration::parse_limit,
        hide_short_help = true
    )]
    pub run_timeout: Option<std::time::Duration>,
    /// Retry a failed test up to N times
    #[arg(long, value_name = "N", global = true, value_parser = number::parse::<usize>)]
    pub retries: Option<usize>,
    /// Whether tests that pass on a retry count as passed or failed: pass, fail
    #[arg(
        long,
        value_name = "OUTCOME",
        global = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub flaky: Option<FlakyArg>,
    /// Action on leaks: allow, warn, deny
    #[arg(long, value_name = "ACTION", global = true, hide_possible_values = true)]
    pub leaks: Option<LeaksArg>,
    /// Write the leaks of this run to partest-baseline.toml, which allows them in later runs
    #[arg(long, global = true, hide_short_help = true, conflicts_with = "no_agent")]
    pub write_baseline: bool,
    /// Keep shared fixtures running for the next run
    #[arg(long, global = true, hide_short_help = true)]
    pub keep_fixtures: bool,
    /// Do not load the agent into test processes; disables leak detection
    #[arg(long, global = true, hide_short_help = true)]
    pub no_agent: bool,
    /// Do not start further tests after the first failure
    #[arg(long, global = true, overrides_with = "no_fail_fast")]
    pub fail_fast: bool,
    /// Run all tests regardless of failure (default)
    #[arg(long, global = true, hide_short_help = true)]
    pub no_fail_fast: bool,
    /// Stop the run after N test processes have crashed
    #[arg(
        long,
        value_name = "N",
        global = true,
        default_value = "100",
        value_parser = number::at_least_one,
        hide_short_help = true
    )]
    pub max_crashes: std::num::NonZeroUsize,
    /// What to do if there are no tests to run
    #[arg(
        long,
        value_name = "ACTION",
        global = true,
        hide_short_help = true,
        default_value = "fail"
    )]
    pub no_tests: NoTests,
    /// Build the tests, but don't run them
    #[arg(long, global = true, hide_short_help = true)]
    pub no_run: bool,
}

/// cargo's own flags, passed on to `cargo test --no-run`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct CargoArgs {
    /// Package to test
    #[arg(short, long, value_name = "SPEC", global = true, help_heading = "Packages and targets")]
    pub package: Vec<String>,
    /// Test all packages in the workspace
    #[arg(long, global = true, alias = "all", help_heading = "Packages and targets")]
    pub workspace: bool,
    /// Exclude packages from the test
    #[arg(
        long,
        value_name = "SPEC",
        global = true,
        hide_short_help = true,
        help_heading = "Packages and targets"
    )]
    pub exclude: Vec<String>,
    /// Test only the library
    #[arg(long, global = true, help_heading = "Packages and targets")]
    pub lib: bool,
    /// Test all binaries
    #[arg(long, global = true, hide_short_help = true, help_heading = "Packages and targets")]
    pub bins: bool,
    /// Test only this binary
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        hide_short_help = true,
        help_heading = "Packages and targets"
    )]
    pub bin: Vec<String>,
    /// Test all examples
    #[arg(long, global = true, hide_short_help = true, help_heading = "Packages and targets")]
    pub examples: bool,
    /// Test only this example
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        hide_short_help = true,
        help_heading = "Packages and targets"
    )]
    pub example: Vec<String>,
    /// Test all targets that have `test = true`
    #[arg(long, global = true, hide_short_help = true, help_heading = "Packages and targets")]
    pub tests: bool,
    /// Test only this integration test
    #[arg(long, value_name = "NAME", global = true, help_heading = "Packages and targets")]
    pub test: Vec<String>,
    /// Test all targets that have `bench = true`
    #[arg(long, global = true, hide_short_help = true, help_heading = "Packages and targets")]
    pub benches: bool,
    /// Test only this benchmark
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        hide_short_help = true,
        help_heading = "Packages and targets"
    )]
    pub bench: Vec<String>,
    /// Test all targets
    #[arg(long, global = true, hide_short_help = true, help_heading = "Packages and targets")]
    pub all_targets: bool,
    #[command(flatten)]
    pub doctests: DoctestArgs,

    /// Space or comma separated list of features to activate
    #[arg(
        short = 'F',
        long,
        value_name = "FEATURES",
        global = true,
        help_heading = "Features and build"
    )]
    pub features: Vec<String>,
    /// Activate all available features
    #[arg(long, global = true, help_heading = "Features and build", hide_short_help = true)]
    pub all_features: bool,
    /// Do not activate the `default` feature
    #[arg(long, global = true, help_heading = "Features and build", hide_short_help = true)]
    pub no_default_features: bool,
    /// Build with optimizations
    #[arg(short, long, global = true, help_heading = "Features and build")]
    pub release: bool,
    /// Build with the specified profile
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub profile: Option<String>,
    /// Number of parallel build jobs
    #[arg(
        long,
        value_name = "N",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub build_jobs: Option<String>,
    /// Build for the target triple
    #[arg(
        long,
        value_name = "TRIPLE",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub target: Vec<String>,
    /// Directory for all generated artifacts
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub target_dir: Option<PathBuf>,
    /// Build as much as possible regardless of errors
    #[arg(long, global = true, hide = true)]
    pub keep_going: bool,
    /// Ignore `rust-version` specification in packages
    #[arg(long, global = true, hide_short_help = true, help_heading = "Features and build")]
    pub ignore_rust_version: bool,
    /// Output a build timing report at the end of the build
    #[arg(long, global = true, hide_short_help = true, help_heading = "Features and build")]
    pub timings: bool,
    /// Path to Cargo.toml
    #[arg(
        long,
        value_name = "PATH",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub manifest_path: Option<PathBuf>,
    /// Assert that Cargo.lock will remain unchanged
    #[arg(long, global = true, hide_short_help = true, help_heading = "Features and build")]
    pub locked: bool,
    /// Run without accessing the network
    #[arg(long, global = true, hide_short_help = true, help_heading = "Features and build")]
    pub offline: bool,
    /// Equivalent to specifying both --locked and --offline
    #[arg(long, global = true, hide_short_help = true, help_heading = "Features and build")]
    pub frozen: bool,
    /// Override a configuration value of cargo
    #[arg(
        long,
        value_name = "KEY=VALUE|PATH",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub config: Vec<String>,
    /// Unstable (nightly-only) flags of cargo
    #[arg(
        short = 'Z',
        value_name = "FLAG",
        global = true,
        hide_short_help = true,
        help_heading = "Features and build"
    )]
    pub unstable: Vec<String>,
}

impl CargoArgs {
    /// Whether flags select targets: then cargo builds no others, and runs no doctests.
    pub fn chooses_targets(&self) -> bool {
        self.lib
            || self.bins
            || self.examples
            || self.tests
            || self.benches
            || self.all_targets
            || [&self.bin, &self.example, &self.test, &self.bench]
                .iter()
                .any(|names| !names.is_empty())
    }

    /// Whether doctests run, as far as the command line decides.
    pub fn wants_doctests(&self) -> bool {
        !self.chooses_targets() && !self.doctests.no_doc
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// As many as there are cores.
    Default,
    /// One process at a time for each whole binary.
    NoPartition,
    Exactly(usize),
    CoresLess(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyArg {
    Auto,
    Unit,
    Split,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LeaksArg {
    Allow,
    Warn,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FlakyArg {
    Pass,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NoTests {
    Fail,
    Warn,
    Pass,
}

fn parse_jobs(text: &str) -> Result<Jobs, String> {
    if matches!(text, "default" | "auto" | "num-cpus") {
        return Ok(Jobs::Default);
    }
    match text.parse::<isize>() {
        Ok(0) => Ok(Jobs::NoPartition),
        Ok(jobs) if jobs > 0 => Ok(Jobs::Exactly(jobs.unsigned_abs())),
        Ok(jobs) => Ok(Jobs::CoresLess(jobs.unsigned_abs())),
        Err(_) => {
            Err("expected a number of slots, `default`, or 0 for one binary at a time".into())
        }
    }
}

#[cfg(test)]
mod tests;
