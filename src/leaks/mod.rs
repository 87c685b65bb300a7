//! What tests leave behind, and what the policy makes of it.

pub mod baseline;
mod classify;
mod orphans;
mod symbols;
mod traces;
mod vtables;
mod watch;

pub use classify::{Names, essential, is_pool, judge, of_run};
pub use orphans::Orphans;
pub use symbols::{Module, Symbols};
pub use traces::{Finding, Left, Subject, Traces};
pub use watch::{Fate, Watches};
