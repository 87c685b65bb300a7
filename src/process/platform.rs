//! What every platform has, from the file that implements it on this one.

#[cfg(target_os = "linux")]
pub use super::build_process::BuildProcess;
#[cfg(unix)]
pub use super::channel_pipe::{ChannelPipe, HeldExit, Waker};
#[cfg(target_os = "linux")]
pub use super::fork_server::ForkServer;
#[cfg(target_os = "linux")]
pub use super::guard::{GuardPipe, RunnerPipes, start_guard};
#[cfg(target_os = "linux")]
pub use super::key_mode;
#[cfg(unix)]
pub use super::kill::{continue_tree, stop_tree, terminate, terminate_tree};
#[cfg(not(target_os = "linux"))]
pub use super::no_build_process::BuildProcess;
#[cfg(not(target_os = "linux"))]
pub use super::no_fork_server::ForkServer;
#[cfg(not(target_os = "linux"))]
pub use super::no_guard::{GuardPipe, RunnerPipes, start_guard};
#[cfg(not(target_os = "linux"))]
pub use super::no_key_mode as key_mode;
#[cfg(not(target_os = "linux"))]
pub use super::no_permits::Permits;
#[cfg(not(target_os = "linux"))]
pub use super::no_use_log::UseLog;
#[cfg(not(target_os = "linux"))]
pub use super::no_watch_list::WatchList;
#[cfg(target_os = "linux")]
pub use super::permits::Permits;
#[cfg(not(unix))]
pub use super::portable::{
    ChannelPipe, HeldExit, Supervised, Waker, become_subreaper, has_exited, kill_and_reap,
    kill_orphans, limit_memory, spawn_detached, terminate, terminate_tree,
};
#[cfg(unix)]
pub use super::reap::{become_subreaper, has_exited, kill_and_reap, kill_orphans};
#[cfg(unix)]
pub use super::signal_disposition::survive_file_size_limit;
#[cfg(unix)]
pub use super::signal_request::{SignalRequest, Signals, stop_self};
#[cfg(unix)]
pub use super::spawn::{limit_memory, spawn_detached};
#[cfg(unix)]
pub use super::supervised::Supervised;
#[cfg(target_os = "linux")]
pub use super::terminal_input::TerminalInput;
#[cfg(target_os = "linux")]
pub use super::use_log::UseLog;
#[cfg(target_os = "linux")]
pub use super::watch_list::WatchList;
