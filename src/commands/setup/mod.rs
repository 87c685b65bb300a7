//! Commands that set up a shell or a project, and need none of its tests: `hook`, `migrate`,
//! `schema`, `self-check`, `completions`, `man`.

pub mod command;
pub mod git_hook;
pub mod metadata_schema;
pub mod nextest_config;
pub mod nextest_filter;
pub mod nextest_time;
pub mod self_check;
