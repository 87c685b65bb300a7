//! How a worker that runs many tests reports their verdicts: by the agent inside of it, by the log
//! that libtest writes, or, for doctests, by what rustdoc prints. These protocols differ in what
//! else they report, not in what a verdict is.

pub mod agent;
pub mod channel;
pub mod doctests;
mod flight;
pub mod harness_log;
mod harness_starts;
pub mod libtest_event;
pub mod logfile;
pub mod long_line;
pub mod test_index;
pub mod test_names;
