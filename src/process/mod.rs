//! Child processes under supervision: how they are started, what they do, how they end.
//!
//! The one place where platforms differ: `platform` is the face that they have in common. On Unix
//! `supervised` waits for all streams and the end of a process in one `poll`; `portable` does the
//! same with a thread for each stream, and is what every other platform uses. All `unsafe` of the
//! command is in here.

#[cfg(target_os = "linux")]
pub mod build_process;
#[cfg(unix)]
pub mod channel_pipe;
#[cfg(unix)]
pub mod child;
pub mod clock;
pub mod command;
pub mod event;
pub mod exit_status;
#[cfg(target_os = "linux")]
pub mod fork_server;
#[cfg(target_os = "linux")]
pub mod guard;
pub mod inspector;
pub mod io_priority;
#[cfg(unix)]
pub mod kill;
#[cfg(unix)]
pub mod log_path;
#[cfg(not(target_os = "linux"))]
pub mod no_build_process;
#[cfg(not(target_os = "linux"))]
pub mod no_fork_server;
#[cfg(not(target_os = "linux"))]
pub mod no_guard;
pub mod platform;
#[cfg(any(not(unix), test))]
pub mod portable;
pub mod process_groups;
pub mod procfs;
#[cfg(unix)]
pub mod reap;
#[cfg(unix)]
pub mod signal_request;
#[cfg(unix)]
pub mod spawn;
pub mod stderr;
#[cfg(unix)]
pub mod stdin_wait;
#[cfg(unix)]
pub mod supervised;
#[cfg(unix)]
pub mod supervised_spawn;
#[cfg(target_os = "linux")]
pub mod syscalls;
#[cfg(target_os = "linux")]
pub mod terminal_input;
