//! A run: the coordinator decides, and everything reaches it as a message.

pub mod coordinator;
pub mod interrupt;
pub mod ledger;
