//! One face for what platforms do in ways of their own.

#[cfg(unix)]
pub use super::channel_pipe::{Door, Orders, Wire};
#[cfg(target_os = "linux")]
pub use super::fork_server::Prepared;
#[cfg(target_os = "linux")]
pub use super::foster::Fostered;
#[cfg(target_os = "linux")]
pub use super::guard::{GuardLine, Lines, set_up};
#[cfg(not(target_os = "linux"))]
pub use super::no_fork_server::Prepared;
#[cfg(not(target_os = "linux"))]
pub use super::no_foster::Fostered;
#[cfg(not(target_os = "linux"))]
pub use super::no_guard::{GuardLine, Lines, set_up};
#[cfg(not(unix))]
pub use super::portable::{
    Door, Orders, Supervised, Wire, adopt_strays, ask_to_end, end_all, end_strays, end_tree,
    has_ended, limit_memory, spawn_detached,
};
#[cfg(unix)]
pub use super::reap::{adopt_strays, end_all, end_strays, has_ended};
#[cfg(unix)]
pub use super::signal::{ask_to_end, end_tree, go_on_tree, stop_tree};
#[cfg(unix)]
pub use super::signals::{Signals, Wish, stop_here};
#[cfg(unix)]
pub use super::spawn::{limit_memory, spawn_detached};
#[cfg(unix)]
pub use super::supervised::Supervised;
#[cfg(target_os = "linux")]
pub use super::terminal::Terminal;
