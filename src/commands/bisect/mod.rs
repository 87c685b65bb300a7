//! `bisect`: with which other tests a test fails.

mod candidates;
pub mod command;
mod links;
mod search;
