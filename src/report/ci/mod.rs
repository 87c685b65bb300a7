//! What a CI system reads in the log of a run besides its text: annotations at lines of the source,
//! groups that fold, and the summary of a job.

pub mod annotation;
pub mod job_summary;
pub mod log;
pub mod log_group;
pub mod repository;
pub mod stopped_commands;
pub mod teamcity;
