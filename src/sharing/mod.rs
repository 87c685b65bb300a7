//! What tests share with tests of other processes, known by watching: which of them interfere, and
//! what has been learnt from that.

pub mod conflict;
mod counted;
pub mod learnt;
pub mod lock;
pub mod usage;
