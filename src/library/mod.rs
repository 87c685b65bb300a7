//! The files of the library `partest`, whose front page is `lib.rs`. None of this is part of the
//! program, and all of it depends on the standard library only.

pub mod active;
pub mod agent;
pub mod fixture;
pub mod harness;
pub mod joiner;
pub mod lock;
pub mod run;
pub mod scratch_dir;
pub mod spawn;
pub mod task;
pub mod test;
pub mod threads;
pub mod watch;
