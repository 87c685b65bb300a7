//! One batch, supervised: starts the worker, follows what it reports, and turns that into
//! verdicts. What it cannot decide alone (who killed the worker, what becomes of the rest)
//! goes to the coordinator.

pub mod active;
pub mod agent_file;
pub mod arguments;
pub mod batch;
pub mod context;
pub mod cpu_demand;
pub mod exit_code;
pub mod finishing;
pub mod fork_server;
pub mod inbox;
pub mod job;
pub mod run_config;
pub mod run_state;
pub mod services;
pub mod spawn_retry;
pub mod supervise;
pub mod watching;
