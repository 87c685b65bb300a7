//! `doctor`: which tests depend on others, and what to declare because of that.

pub mod command;
mod dependences;
mod leaks;
mod manifest;
mod phases;
mod suggestions;
