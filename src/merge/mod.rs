//! The streams of several runs: read from their files, checked against each other, and replayed as the
//! events of one run.

pub mod join;
mod line;
pub mod replay;
pub mod stream;
pub mod suite;
