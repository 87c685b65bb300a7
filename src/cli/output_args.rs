//! The flags for what is printed, as typed.

use clap::{Args as ClapArgs, ValueEnum};

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output format: human, json, libtest-json, libtest-json-plus
    #[arg(
        long,
        value_name = "FORMAT",
        global = true,
        default_value = "human",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub message_format: MessageFormat,
    /// Coloring: auto, always, never
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        env = "CARGO_TERM_COLOR",
        hide_env = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub color: Option<When>,
    /// Which results to print as tests finish: none, fail, retry, slow, leak, pass, skip, all
    #[arg(
        long,
        value_name = "LEVEL",
        global = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub status_level: Option<StatusLevel>,
    /// When to print failed tests with their output: immediate, final, immediate-final, never
    /// [default: final]
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub failure_output: Option<OutputWhen>,
    /// When to print passed tests with their output: immediate, final, immediate-final, never
    /// [default: never]
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub success_output: Option<OutputWhen>,
    /// Do not capture the output of tests, as `-- --nocapture`
    #[arg(long, global = true, hide_short_help = true)]
    pub no_capture: bool,
    /// List the N slowest tests; 0 lists all
    #[arg(
        long,
        value_name = "N",
        global = true,
        hide_short_help = true,
        value_parser = super::number::parse::<usize>
    )]
    pub durations: Option<usize>,
    /// Print results in a stable order instead of as tests finish
    #[arg(long, global = true, hide_short_help = true)]
    pub ordered: bool,
    /// Print every test as it finishes (-vv: also cargo's command lines)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print only failures and the summary
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    Human,
    Json,
    /// As libtest's own, by binary.
    LibtestJson,
    /// With the names of binaries, as nextest has it.
    LibtestJsonPlus,
}

impl MessageFormat {
    /// Whether only runs have it.
    pub fn is_of_runs(self) -> bool {
        matches!(self, MessageFormat::LibtestJson | MessageFormat::LibtestJsonPlus)
    }
}

/// When to print a test with its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputWhen {
    Immediate,
    Final,
    ImmediateFinal,
    Never,
}

impl OutputWhen {
    pub fn is_immediate(self) -> bool {
        matches!(self, OutputWhen::Immediate | OutputWhen::ImmediateFinal)
    }

    pub fn is_final(self) -> bool {
        matches!(self, OutputWhen::Final | OutputWhen::ImmediateFinal)
    }
}

/// Which results to print as tests finish. Each level has those before it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum StatusLevel {
    None,
    Fail,
    Retry,
    Slow,
    Leak,
    Pass,
    Skip,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

impl When {
    pub fn as_str(self) -> &'static str {
        match self {
            When::Auto => "auto",
            When::Always => "always",
            When::Never => "never",
        }
    }
}
