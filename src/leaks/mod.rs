//! What tests leave behind, and what the policy makes of it.

pub mod baseline;
pub mod classify;
pub mod finding;
pub mod observations;
pub mod orphans;
pub mod static_types;
pub mod symbols;
pub mod traces;
mod variables;
pub mod vtables;
