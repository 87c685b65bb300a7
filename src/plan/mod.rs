//! Plans which tests run together, and which batch may start now. Starts no process, and reads no
//! file but the history and that of durations.

pub mod batch_progress;
pub mod batch_size;
pub mod candidate;
pub mod cpu_load;
pub mod durations;
pub mod elastic;
pub mod fixtures;
pub mod group;
pub mod group_state;
pub mod grouping;
pub mod history;
pub mod last_run;
pub mod locks;
pub mod meeting;
pub mod occupancy;
pub mod schedule;
pub mod shards;
mod shuffle;
pub mod simulate;
pub mod stable_hash;
