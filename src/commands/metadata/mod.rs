//! Commands about the metadata in Cargo.toml, for which the tests are listed and not run.

pub mod command;
pub mod explain;
pub mod init;
pub mod template;
