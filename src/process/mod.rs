//! Processes of the run: how they are spawned, supervised, inspected, killed and reaped.
//!
//! Platforms differ only in here, and `platform` re-exports what all of them have. On Unix
//! `supervised` waits for all streams and the exit of a process in one `poll`; `portable` does the
//! same with a thread for each stream, on every other platform. All `unsafe` code of the command is
//! in this folder.

#[cfg(unix)]
pub mod adopted;
#[cfg(target_os = "linux")]
pub mod build_process;
#[cfg(unix)]
pub mod channel_pipe;
#[cfg(unix)]
pub mod child;
pub mod clock;
pub mod command;
pub mod draft;
pub mod event;
pub mod exec;
pub mod exit_status;
#[cfg(target_os = "linux")]
pub mod fork_server;
#[cfg(target_os = "linux")]
pub mod guard;
#[cfg(unix)]
pub mod held_log;
pub mod inspector;
pub mod io_priority;
#[cfg(target_os = "linux")]
pub mod key_mode;
#[cfg(unix)]
pub mod kill;
#[cfg(target_os = "linux")]
pub mod line_mode;
#[cfg(unix)]
pub mod log_path;
#[cfg(not(target_os = "linux"))]
pub mod no_build_process;
#[cfg(not(target_os = "linux"))]
pub mod no_fork_server;
#[cfg(not(target_os = "linux"))]
pub mod no_guard;
#[cfg(not(target_os = "linux"))]
pub mod no_key_mode;
#[cfg(not(target_os = "linux"))]
pub mod no_permits;
#[cfg(not(target_os = "linux"))]
pub mod no_use_log;
#[cfg(not(target_os = "linux"))]
pub mod no_watch_list;
#[cfg(target_os = "linux")]
pub mod open_watch;
pub mod passed_file;
#[cfg(target_os = "linux")]
pub mod permits;
pub mod platform;
#[cfg(any(not(unix), test))]
pub mod portable;
pub mod process_groups;
pub mod procfs;
#[cfg(unix)]
pub mod reap;
pub mod scheduling;
#[cfg(unix)]
pub mod signal_disposition;
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
pub mod supervised_read;
#[cfg(unix)]
pub mod supervised_spawn;
#[cfg(target_os = "linux")]
pub mod syscalls;
#[cfg(target_os = "linux")]
pub mod terminal_input;
#[cfg(target_os = "linux")]
pub mod terminal_lease;
#[cfg(target_os = "linux")]
pub mod typed_keys;
#[cfg(target_os = "linux")]
pub mod use_log;
#[cfg(target_os = "linux")]
pub mod watch_list;
