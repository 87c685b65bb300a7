//! The subcommands, and the preparation that they share.

pub mod archive;
pub mod bisect;
mod build_record;
pub mod changed;
pub mod check;
mod ci_annotation;
pub mod debug;
pub mod defaults;
pub mod doctor;
pub mod early_tests;
pub mod exit;
pub mod fixtures;
pub mod from_archive;
pub mod leftovers;
pub mod merge;
pub mod metadata;
pub mod overview;
pub mod prepare;
pub mod project;
pub mod recorder;
pub mod run;
pub mod setup;
pub mod shard;
mod stage_times;
pub mod stall_watch;
pub mod test_name;
pub mod trials;
