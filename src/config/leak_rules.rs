//! What the `leaks` and `linger` keys mean for one test.

use std::time::Duration;

use wildmatch::WildMatch;

use crate::config::keys::Keys;
use crate::model::leak::{LEAK_KINDS, LeakAction, LeakKind};

/// How long a thread or process may outlive its test by default: one that was asked to stop needs
/// a moment to do so.
const LINGER: Duration = Duration::from_millis(100);

/// The action for each kind of leak, and the key that sets it.
#[derive(Debug, Clone, PartialEq)]
pub struct LeakRules {
    actions: Vec<(LeakKind, LeakAction, String)>,
    ignored: Vec<(LeakKind, String, String)>,
    pub linger: Duration,
}

impl LeakRules {
    /// From the keys that cover a test, highest precedence first. `command_line` overrides them.
    pub fn new(chain: &[&Keys], command_line: Option<LeakAction>) -> LeakRules {
        let actions = LEAK_KINDS.iter().map(|(_, kind)| {
            let (action, rule) = action(chain, command_line, *kind);
            (*kind, action, rule)
        });
        let ignored = chain.iter().filter_map(|keys| keys.leaks.as_ref()).flat_map(|leaks| {
            let rule = leaks.place.to_string();
            leaks.value.ignore.iter().map(move |(kind, what)| (*kind, what.clone(), rule.clone()))
        });
        let linger = chain.iter().find_map(|keys| keys.linger.as_ref());
        LeakRules {
            actions: actions.collect(),
            ignored: ignored.collect(),
            linger: linger.map_or(LINGER, |at| at.value),
        }
    }

    /// The action for each kind of leak, and the rule that decides it.
    pub fn actions(&self) -> &[(LeakKind, LeakAction, String)] {
        &self.actions
    }

    /// What is allowed by name: kind, pattern, and the rule.
    pub fn ignored(&self) -> &[(LeakKind, String, String)] {
        &self.ignored
    }

    /// The action for a leak, and the rule that decided it.
    pub fn decide(&self, kind: LeakKind, what: &str) -> (LeakAction, String) {
        let ignores = |(ignored, pattern, _): &&(LeakKind, String, String)| {
            *ignored == kind && WildMatch::new(pattern).matches(what)
        };
        if let Some((_, pattern, rule)) = self.ignored.iter().find(ignores) {
            return (LeakAction::Allow, format!("{rule}: ignore \"{pattern}\""));
        }
        let found = self.actions.iter().find(|(known, _, _)| *known == kind);
        found
            .map_or((LeakAction::Warn, DEFAULT.into()), |(_, action, rule)| (*action, rule.clone()))
    }
}

const DEFAULT: &str = "default";

fn action(
    chain: &[&Keys],
    command_line: Option<LeakAction>,
    kind: LeakKind,
) -> (LeakAction, String) {
    // A pool lives as long as its process by design: only a rule for `pool` denies it.
    let is_general = kind != LeakKind::Pool;
    if let Some(action) = command_line.filter(|action| is_general || *action != LeakAction::Deny) {
        return (action, "--leaks".to_owned());
    }
    let named = chain.iter().filter_map(|keys| keys.leaks.as_ref()).find_map(|leaks| {
        let action = leaks.value.by_kind.get(&kind).copied();
        let general = leaks.value.all.filter(|all| is_general || *all == LeakAction::Allow);
        Some((action.or(general)?, leaks.place.to_string()))
    });
    named.unwrap_or((LeakAction::Warn, DEFAULT.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Source;
    use crate::config::flags::Flags;
    use crate::config::schema::{Table, read};
    use std::sync::Arc;

    fn rules(lines: &[&str], command_line: Option<LeakAction>) -> LeakRules {
        let keys: Vec<Keys> = lines
            .iter()
            .map(|line| {
                let text = format!("[package.metadata.partest]\n{line}\n");
                let source = Arc::new(Source { path: "Cargo.toml".into(), text });
                let mut diagnostics = Vec::new();
                let keys = read(&source, Table::Package, Flags::none(), &mut diagnostics).keys;
                assert!(diagnostics.is_empty(), "{diagnostics:?}");
                keys
            })
            .collect();
        LeakRules::new(&keys.iter().collect::<Vec<_>>(), command_line)
    }

    #[test]
    fn the_nearest_rule_decides_kind_by_kind() {
        let rules = rules(
            &[
                r#"leaks = { thread = "deny", ignore = [{ thread = "tokio-*" }] }"#,
                r#"leaks = { all = "allow", ignore = [{ process = "postgres*" }] }"#,
            ],
            None,
        );
        let table = [
            (LeakKind::Thread, "reaper", LeakAction::Deny, "Cargo.toml:2"),
            (LeakKind::Thread, "tokio-rt", LeakAction::Allow, "Cargo.toml:2: ignore \"tokio-*\""),
            (LeakKind::Process, "sleep 9", LeakAction::Allow, "Cargo.toml:2"),
            (
                LeakKind::Process,
                "postgres -D x",
                LeakAction::Allow,
                "Cargo.toml:2: ignore \"postgres*\"",
            ),
        ];
        for (kind, what, action, rule) in table {
            assert_eq!(rules.decide(kind, what), (action, rule.to_owned()), "{what}");
        }
        assert_eq!(rules.linger, LINGER);
    }

    #[test]
    fn only_a_rule_for_pools_denies_a_pool() {
        let decide =
            |line, command_line| rules(&[line], command_line).decide(LeakKind::Pool, "rayon").0;
        assert_eq!(decide("leaks = \"deny\"", None), LeakAction::Warn);
        assert_eq!(decide("leaks = { pool = \"deny\" }", None), LeakAction::Deny);
        assert_eq!(decide("", Some(LeakAction::Deny)), LeakAction::Warn);
        assert_eq!(decide("leaks = \"allow\"", None), LeakAction::Allow);
    }
}
