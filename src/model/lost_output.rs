//! Why the output of a test is not known.

use thiserror::Error;

/// Why what a test had printed is lost. libtest keeps it in memory until the test has finished.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LostOutput {
    /// Nothing in the process could run any more.
    #[error("{0} ended its process at once")]
    EndedAtOnce(String),
    #[error("its process did not respond")]
    Unresponsive,
    #[error("its test binary has no symbol by which it is found (`strip`, `prefer-dynamic`)")]
    NoSymbols,
    #[error("it was printing when its process ended")]
    Printing,
    #[error("this version of Rust keeps it in memory in an unknown way")]
    UnknownLayout,
    #[error("the system does not allow its process to read its own memory")]
    Forbidden,
    /// Nothing in the process could read it.
    #[error("libtest kept it in memory, and its process ran without the agent")]
    NoAgent,
}

impl LostOutput {
    /// The one that is displayed as this.
    pub fn of_text(text: &str) -> LostOutput {
        use LostOutput::{
            EndedAtOnce, Forbidden, NoAgent, NoSymbols, Printing, UnknownLayout, Unresponsive,
        };
        let known = [Unresponsive, NoSymbols, Printing, UnknownLayout, Forbidden, NoAgent];
        let found = known.into_iter().find(|lost| lost.to_string() == text);
        found.unwrap_or_else(|| {
            let cause = text.strip_suffix(" ended its process at once").unwrap_or(text);
            EndedAtOnce(cause.to_owned())
        })
    }
}
