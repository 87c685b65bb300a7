//! Reports for people and for scripts. Every report is a fold over the same stream of events.

pub mod changed_packages;
pub mod ci;
mod document;
pub mod explanation;
mod failure_summary;
pub mod human;
pub mod json;
mod junit;
mod libtest_json;
pub mod live;
mod markdown;
mod markdown_text;
pub mod messages;
mod picture;
pub mod plan;
pub mod progress;
mod report_file;
pub mod reports;
mod rerun;
pub mod screen;
pub mod shard;
pub mod sharing_messages;
pub mod spinner;
pub mod status_line;
pub mod text;
pub mod view;
