//! `doctor`: which tests depend on others, and settings that are suggested for them.

pub mod command;
mod dependences;
mod leaks;
mod manifest;
mod naming;
mod phases;
mod setup_costs;
mod shared_fixtures;
mod suggestions;
