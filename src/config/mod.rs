//! The configuration in Cargo.toml: the metadata as written, and the policies that it sets.

mod archive_keys;
pub mod diagnostic;
pub mod fixtures;
pub mod flag_defaults;
pub mod flags;
pub mod hints;
pub mod keys;
pub mod leak_rules;
pub mod leaks;
mod node_keys;
pub mod policy;
pub mod schema;
pub mod value;
