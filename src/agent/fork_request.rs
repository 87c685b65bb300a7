//! Requests to a fork server and its answers. The agent and the runner both compile this file.
//!
//! ```text
//! request = u32 count of arguments, u32 count of variables, u32 length of all arguments,
//!           u32 length of all variables, arguments, variables, the gate of the tests and the log of
//!           what they use (empty if there is none): each a string with a zero byte at its end;
//!           along with the descriptors of the channel, of stdout and of stderr
//! answer  = u32 error, u32 process
//! ```
//!
//! Requests go through a socket that preserves message boundaries. The fork that takes a request
//! answers through its channel, before it sends anything else. The fork server itself answers
//! through the socket: once when it is ready, and before it exits for each fork that was not used.

/// The environment variable that holds the descriptor of the socket.
pub const REQUESTS: &str = "PARTEST_REQUESTS_FD";

/// The length of a request before its first string.
pub const HEADER: usize = 16;

/// How many descriptors a fork server has besides its standard streams: the socket, and both ends
/// of a pipe between it and its forks.
#[allow(dead_code)]
pub const DESCRIPTORS: usize = 3;

/// Below the default limit for a message on a socket.
pub const LONGEST_REQUEST: usize = 128 * 1024;

/// The fork could not become what was requested.
#[allow(dead_code)]
pub const REFUSED: u32 = 1;
