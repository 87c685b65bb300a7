//! Child processes under supervision: how they are started, what they do, how they end.
//!
//! The one place where platforms differ: `platform` is the face that they have in common. On Unix
//! `supervised` waits for all streams and the end of a process in one `poll`; `portable` does the
//! same with a thread for each stream, and is what every other platform uses. All `unsafe` of the
//! command is in here.

#[cfg(unix)]
pub mod awaited_input;
#[cfg(unix)]
pub mod channel_pipe;
#[cfg(unix)]
pub mod child;
pub mod clock;
pub mod command;
pub mod event;
#[cfg(target_os = "linux")]
pub mod fork_server;
#[cfg(target_os = "linux")]
pub mod foster;
pub mod groups;
#[cfg(target_os = "linux")]
pub mod guard;
pub mod io_priority;
#[cfg(unix)]
pub mod log_path;
pub mod look;
#[cfg(not(target_os = "linux"))]
pub mod no_fork_server;
#[cfg(not(target_os = "linux"))]
pub mod no_foster;
#[cfg(not(target_os = "linux"))]
pub mod no_guard;
pub mod platform;
#[cfg(any(not(unix), test))]
pub mod portable;
pub mod procfs;
#[cfg(unix)]
pub mod reap;
#[cfg(unix)]
pub mod signal;
#[cfg(unix)]
pub mod signals;
#[cfg(unix)]
pub mod spawn;
#[cfg(unix)]
pub mod start;
pub mod status;
pub mod stderr;
#[cfg(unix)]
pub mod supervised;
#[cfg(target_os = "linux")]
pub mod syscalls;
#[cfg(target_os = "linux")]
pub mod terminal;
