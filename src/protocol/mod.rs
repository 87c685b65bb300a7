//! How verdicts are learnt from a worker that runs many tests: from the agent inside of it, or from
//! the log that libtest writes, or, for doctests, from what rustdoc prints. The ways differ in how much they hear, not in what a verdict is.

pub mod agent;
pub mod channel;
pub mod doctests;
mod flight;
pub mod harness_log;
pub mod libtest_event;
pub mod logfile;
pub mod long_line;
pub mod test_index;
pub mod test_names;
