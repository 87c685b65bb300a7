//! `init` and `explain`: commands about the metadata in Cargo.toml, which list the tests and do not
//! run them.

pub mod command;
pub mod explain;
pub mod init;
pub mod template;
