//! libtest's text, both ways: its lists, its log, its report, and the arguments that choose
//! tests. Pure: no file and no process is touched here.

pub mod doctest;
pub mod list;
pub mod logfile;
pub mod mimic;
pub mod report;
pub mod select;
pub mod shuffle;
mod skip_patterns;
#[cfg(test)]
pub mod tests;
