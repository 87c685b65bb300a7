//! What the user asks for: the command line, cargo's configuration, and the resulting settings.

pub mod archive_args;
pub mod args;
pub mod bisect_args;
pub mod cargo_config;
pub mod changed_args;
pub mod command_line;
pub mod debug_args;
pub mod doctest_args;
pub mod doctor_args;
pub mod examples;
pub mod filter_args;
pub mod flag_defaults;
mod hints;
pub mod libtest_args;
pub mod metadata_args;
pub mod number;
pub mod output_args;
pub mod profile_args;
pub mod report_args;
pub mod settings;
pub mod setup_args;
pub mod shard_args;
pub mod shard_variables;
pub mod task;
pub mod watch_args;
