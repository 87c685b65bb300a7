//! The final report for people, on stdout.

pub mod assertion;
pub mod backtrace;
pub mod changed_state;
pub mod debug_value;
pub mod diff;
pub mod failure;
pub mod failure_output;
pub mod leak_list;
pub mod page;
pub mod panic_message;
pub mod report;
pub mod shared_things;
pub mod source;
pub mod stacks;
pub mod totals;
pub mod worker_output;
