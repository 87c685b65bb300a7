//! What the user asks for: the command line and cargo's configuration, as typed and as meant.

pub mod args;
pub mod cargo_config;
pub mod libtest_args;
pub mod settings;
