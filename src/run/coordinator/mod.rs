//! The one owner of plan and ledger: it hands out batches, takes what the workers report, and
//! decides what becomes of tests that lost their worker. Everything reaches it as a message.

pub mod batch_end;
pub mod cpu_learning;
pub mod fixtures;
pub mod follow;
pub mod state;
pub mod stopping;
pub mod timers;
pub mod verdicts;
