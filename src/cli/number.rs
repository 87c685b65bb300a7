//! Numbers on the command line.

use std::str::FromStr;

/// A number of a flag, with an error that says so.
pub fn parse<N: FromStr>(text: &str) -> Result<N, String> {
    text.trim().parse().map_err(|_| "expected a number".to_owned())
}

/// A value for a flag that counts something.
pub fn at_least_one(text: &str) -> Result<std::num::NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a number, 1 or more".to_owned())
}
