//! Numbers on the command line.

use std::str::FromStr;

/// A number of a flag, with an error that says so.
pub fn parse<N: FromStr>(text: &str) -> Result<N, String> {
    text.trim().parse().map_err(|_| "expected a number".to_owned())
}
