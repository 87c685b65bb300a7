//! What Cargo.toml says: the metadata as typed, and the policies it means.

pub mod diagnostic;
pub mod fixtures;
pub mod keys;
pub mod leak_rules;
pub mod leaks;
pub mod policy;
pub mod schema;
pub mod value;
