//! What Cargo.toml says: the metadata as typed, and the policies it means.

pub mod diagnostic;
pub mod fixtures;
pub mod leak_rules;
pub mod policy;
pub mod schema;
