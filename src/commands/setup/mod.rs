//! Commands that set up a shell or a project.

pub mod command;
pub mod git_hook;
pub mod metadata_schema;
pub mod nextest_config;
pub mod nextest_filter;
pub mod self_check;
