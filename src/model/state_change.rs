//! What a test has found in its process and left changed, so that later tests of the process find
//! it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What of a process can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKind {
    /// A writable static of the test binary.
    Static,
    Variable,
    Directory,
    Umask,
    SignalHandler,
    ResourceLimit,
    Descriptor,
    Timer,
    Locale,
    PanicHook,
}

/// Something of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateThing {
    pub kind: StateKind,
    /// The path of a static, the name of a variable, a signal, a limit or a timer, the number of a
    /// descriptor; empty if there is only one of the kind.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub name: String,
}

/// A change that was in force when its test had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    #[serde(flatten)]
    pub thing: StateThing,
    /// The crate of a static.
    #[serde(rename = "crate", skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// Texts for people; none where the value cannot be shown.
    pub before: Option<String>,
    pub after: Option<String>,
    /// Whether a panic has poisoned it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub poisoned: bool,
}

impl fmt::Display for StateThing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StateKind::Static => write!(f, "the static {}", self.name),
            StateKind::Variable => write!(f, "the variable {}", self.name),
            StateKind::Directory => f.write_str("the current directory"),
            StateKind::Umask => f.write_str("the umask"),
            StateKind::SignalHandler => write!(f, "the handler of {}", self.name),
            StateKind::ResourceLimit => write!(f, "the limit {}", self.name),
            StateKind::Descriptor => write!(f, "descriptor {}", self.name),
            StateKind::Timer => write!(f, "the timer {}", self.name),
            StateKind::Locale => f.write_str("the locale"),
            StateKind::PanicHook => f.write_str("the panic hook"),
        }
    }
}

/// `the static shop::COUNT (0 → 3)`
impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.thing)?;
        match (&self.before, &self.after) {
            _ if self.poisoned => f.write_str(" (poisoned)"),
            (Some(before), Some(after)) => write!(f, " ({before} → {after})"),
            (None, Some(after)) => write!(f, " (now {after})"),
            _ => Ok(()),
        }
    }
}

/// What one test has changed that may be why another one fails after it: of those, one that the
/// other test has changed as well, as far as that is known, or else the first.
pub fn link<'c>(polluter: &'c [StateChange], victim: &[StateChange]) -> Option<&'c StateChange> {
    let is_touched = |change: &&StateChange| victim.iter().any(|own| own.thing == change.thing);
    polluter.iter().find(is_touched).or(polluter.first())
}

/// What both of two tests that ran at the same time have changed. Not the panic hook, which looks
/// changed while any test panics.
pub fn common<'c>(one: &'c [StateChange], other: &[StateChange]) -> Option<&'c StateChange> {
    let is_common = |change: &&StateChange| {
        change.thing.kind != StateKind::PanicHook
            && other.iter().any(|own| own.thing == change.thing)
    };
    one.iter().find(is_common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: StateKind, name: &str) -> StateChange {
        let thing = StateThing { kind, name: name.into() };
        StateChange { thing, owner: None, before: None, after: None, poisoned: false }
    }

    #[test]
    fn what_both_have_changed_links_them_and_else_what_the_first_has() {
        let polluter = [change(StateKind::Variable, "A"), change(StateKind::Static, "shop::B")];
        assert_eq!(link(&polluter, &[]), Some(&polluter[0]));
        let victim = [change(StateKind::Static, "B"), change(StateKind::Static, "shop::B")];
        assert_eq!(link(&polluter, &victim), Some(&polluter[1]));
        assert_eq!(link(&[], &victim), None);
        assert_eq!(common(&polluter, &victim), Some(&polluter[1]));
        assert_eq!(common(&polluter, &[]), None);
        let hook = [change(StateKind::PanicHook, "")];
        assert_eq!(common(&hook, &hook), None);
    }

    #[test]
    fn values_are_told_where_they_are_known() {
        let mut count = change(StateKind::Static, "shop::COUNT");
        assert_eq!(count.to_string(), "the static shop::COUNT");
        count.after = Some("3".into());
        assert_eq!(count.to_string(), "the static shop::COUNT (now 3)");
        count.before = Some("0".into());
        assert_eq!(count.to_string(), "the static shop::COUNT (0 → 3)");
        count.poisoned = true;
        assert_eq!(count.to_string(), "the static shop::COUNT (poisoned)");
    }
}
