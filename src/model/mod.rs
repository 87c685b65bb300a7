//! Plain data that all stages share: tests, verdicts, leaks, output, events.

pub mod ci_system;
pub mod duration;
pub mod event;
pub mod fixture;
pub mod interference;
pub mod leak;
pub mod listing;
pub mod lost_output;
pub mod outcome;
pub mod output;
pub mod output_file;
pub mod printable;
pub mod protocol;
pub mod reason;
pub mod report_kind;
pub mod shard;
pub mod shell;
pub mod size;
pub mod stream_end;
pub mod summary;
pub mod test;
pub mod test_output;
pub mod thing;
pub mod verdict;
pub mod warning;
pub mod worker_span;
