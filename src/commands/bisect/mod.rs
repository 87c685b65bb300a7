//! `bisect`: the smallest set of other tests with which a test fails.

mod candidates;
pub mod command;
mod links;
mod search;
