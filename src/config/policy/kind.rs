//! The policy of a test, and what sets it.

use super::{Policy, PolicyOverride, Why};
use crate::config::diagnostic::Place;
use crate::config::keys::{Keys, Kind};

impl Policy {
    /// The policy, the node that sets it, why, and how many entries of the chain have at least the
    /// precedence of that node.
    pub(super) fn kind(
        &self,
        package: usize,
        chain: &[(Option<&str>, &Keys)],
    ) -> (Kind, Option<String>, Why, usize) {
        let named = named_kind(chain);
        let is_shared = named.is_some_and(|(_, _, kind, _)| kind == Kind::Shared);
        let uses_serial_test = self.packages.get(package).is_some_and(|p| p.uses_serial_test);
        match self.command_line {
            // No flag takes fixtures away from tests that need them.
            _ if is_shared => {}
            PolicyOverride::None => {}
            PolicyOverride::Kind(Kind::Unit | Kind::Auto) if uses_serial_test => {
                return (Kind::Unit, Some(String::new()), Why::SerialTest, 0);
            }
            PolicyOverride::Kind(kind) => return (kind, None, Why::CommandLine("--policy"), 0),
            PolicyOverride::Isolate => {
                return (Kind::Split, None, Why::CommandLine("--isolate"), 0);
            }
            PolicyOverride::NoPartition(flag) => {
                return (Kind::Unit, Some(String::new()), Why::CommandLine(flag), 0);
            }
        }
        // `auto` decides by symbols, which do not show these locks.
        match named.filter(|(_, _, kind, _)| !(uses_serial_test && *kind == Kind::Auto)) {
            Some((index, node, kind, place)) => {
                (kind, node.map(str::to_owned), Why::Key(place.clone()), index + 1)
            }
            None if uses_serial_test => {
                (Kind::Unit, Some(String::new()), Why::SerialTest, chain.len())
            }
            None => (Kind::Auto, None, Why::Default, chain.len()),
        }
    }
}

/// The policy that the keys name: its index in the chain, its node, and its place. A node with a
/// fixture and without a policy is `shared`; where several inherit from each other, it is the
/// outermost of them.
fn named_kind<'c>(
    chain: &[(Option<&'c str>, &'c Keys)],
) -> Option<(usize, Option<&'c str>, Kind, &'c Place)> {
    let named = chain.iter().enumerate().find_map(|(index, (node, keys))| {
        keys.policy.as_ref().map(|policy| (index, *node, policy.value, &policy.place))
    });
    if named.is_some_and(|(_, _, kind, _)| kind == Kind::Shared) {
        return named;
    }
    let nearer = named.map_or(chain, |(index, ..)| &chain[..index]);
    let implied = nearer.iter().enumerate().rev().find_map(|(index, (node, keys))| {
        keys.fixture.as_ref().map(|fixture| (index, *node, Kind::Shared, &fixture.place))
    });
    implied.or(named)
}
