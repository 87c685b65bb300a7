//! What tests leave behind, and what the policy makes of it.

pub mod baseline;
mod classify;
mod orphans;
mod symbols;
mod traces;
mod vtables;
mod watch;

use serde::Serialize;

use crate::config::schema::{LeakAction, LeakKind};

pub use crate::config::leak_rules::LeakRules;
pub use classify::{Names, essential, is_pool, judge, of_run};
pub use orphans::Orphans;
pub use symbols::{Module, Symbols};
pub use traces::{Finding, Left, Subject, Traces};
pub use watch::{Fate, Watches};

/// One thing that a test left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    pub kind: LeakKind,
    /// The thread's name, the command line, the panic's message.
    pub what: String,
    /// Where it was started: `src/db.rs:88`.
    pub place: Option<String>,
    /// One line: how long the runner waited, what it did.
    pub detail: String,
    /// The way to the place, innermost first: function and place.
    pub stack: Vec<String>,
    pub action: LeakAction,
    /// What decided: `default`, or the line of a Cargo.toml.
    pub rule: String,
}

/// A leak as scripts see it.
#[derive(Debug, Serialize)]
pub struct LeakLine<'l> {
    kind: &'static str,
    what: &'l str,
    #[serde(rename = "where")]
    place: Option<&'l str>,
    action: &'static str,
    detail: &'l str,
    rule: &'l str,
}

impl Leak {
    pub fn line(&self) -> LeakLine<'_> {
        LeakLine {
            kind: self.kind.as_str(),
            what: &self.what,
            place: self.place.as_deref(),
            action: self.action.as_str(),
            detail: &self.detail,
            rule: &self.rule,
        }
    }
}
