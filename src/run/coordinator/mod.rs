//! The coordinator owns the plan and the ledger: it starts batches, takes reports of workers, and
//! decides what becomes of tests whose worker died. Everything reaches it as a message.

pub mod batch_end;
mod elastic;
pub mod fixtures;
pub mod follow;
mod interference;
mod phase;
pub mod requests;
mod retries;
mod slot_usage;
mod slow_tests;
pub mod state;
mod stopping;
mod suspects;
pub mod timers;
pub mod typed;
pub mod verdicts;
