//! What a prepared process is asked and answers, read by both ends: the agent and the runner.
//!
//! ```text
//! request = u32 count of arguments, u32 count of variables, u32 length of all arguments,
//!           arguments, variables: each a text with a zero byte at its end;
//!           with it the descriptors of the channel, of stdout and of stderr
//! answer  = u32 error, u32 process
//! ```
//!
//! Requests go through a socket that keeps messages apart; the answer of the worker that a
//! request made comes through its channel, before all else. The prepared process itself answers
//! through the socket: once when it is ready, and at its end for each fork that was not used.

/// The runner names the socket's descriptor here.
pub const REQUESTS: &str = "PARTEST_REQUESTS_FD";

/// The length of a request before its first text.
pub const HEADER: usize = 12;

/// What a prepared process holds beside its three streams: the socket, and both ends of a pipe
/// between it and its forks.
#[allow(dead_code)]
pub const DESCRIPTORS: usize = 3;

/// Below what a socket takes at once where nobody has changed that.
pub const LONGEST_REQUEST: usize = 128 * 1024;

/// The forked process could not be made what was asked for.
#[allow(dead_code)]
pub const REFUSED: u32 = 1;
