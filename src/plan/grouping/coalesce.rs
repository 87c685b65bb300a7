//! Groups of one binary that are merged, and what groups are named.

use std::time::Duration;

use super::kept_together::module_of;
use crate::config::keys::Locks;
use crate::config::policy::covers;
use crate::discovery::listing::Listing;
use crate::plan::group::{Group, Isolation, SHORT};

/// Why groups share a process that their own rules would keep apart.
const TOGETHER: &str = "auto: less than 0.1 s in all, so they share a process";

/// Merges the groups of a binary, from `first` on, that have no explicit policy, while all of their
/// tests together are short: they share a process as under `cargo test`.
pub(super) fn coalesce(groups: &mut Vec<Group>, first: usize) {
    let mut own = groups.split_off(first);
    let is_joined = |group: &Group| {
        let Group { locks, exclusive, .. } = group;
        !group.has_explicit_policy && *locks == Locks::default() && !exclusive
    };
    let work: Option<Duration> =
        own.iter().filter(|group| is_joined(group)).map(Group::known_work).sum();
    if work.is_none_or(|work| work >= SHORT) {
        return groups.append(&mut own);
    }
    for mut group in own {
        let like = |other: &&mut Group| is_joined(other) && have_equal_needs(other, &group);
        let other = groups[first..].iter_mut().find(like).filter(|_| is_joined(&group));
        let Some(other) = other else {
            groups.push(group);
            continue;
        };
        if group.isolation == Isolation::Unit {
            (other.isolation, other.threading) = (Isolation::Unit, group.threading);
        }
        other.why = TOGETHER.to_owned();
        other.node = common(&other.node, &group.node);
        other.tests.append(&mut group.tests);
        other.tests.sort_by_key(|test| test.id);
    }
}

/// Whether one process can run both.
fn have_equal_needs(one: &Group, other: &Group) -> bool {
    let needs = |g: &Group| (g.threads, g.least_threads, g.slots, g.memory, g.recycling);
    needs(one) == needs(other) && one.env == other.env && one.fixtures == other.fixtures
}

/// The innermost node that contains both.
fn common(one: &str, other: &str) -> String {
    let both = one.split("::").zip(other.split("::")).take_while(|(one, other)| one == other);
    both.map(|(segment, _)| segment).collect::<Vec<_>>().join("::")
}

/// Names groups of one binary that would have one name by the node that their tests are below.
pub(super) fn tell_apart(listing: &Listing, groups: &mut [Group]) {
    let nodes: Vec<String> = groups.iter().map(|group| group.node.clone()).collect();
    for group in groups.iter_mut().filter(|group| group.isolation != Isolation::Unit) {
        if nodes.iter().filter(|node| **node == group.node).count() > 1 {
            group.node = common_node(listing, group);
        }
    }
}

/// The node that all tests of a group are below, or its only test.
fn common_node(listing: &Listing, group: &Group) -> String {
    if let [only] = &*group.tests {
        return listing.binary.id(&listing.tests[only.id.test].name);
    }
    let modules = group.tests.iter().map(|test| module_of(&listing.tests[test.id.test].name));
    let mut node: Option<String> = None;
    for module in modules.map(Option::unwrap_or_default) {
        node = match node {
            None => Some(module.to_owned()),
            Some(node) if covers(&node, module) => Some(node),
            Some(node) => Some(common(&node, module)),
        };
    }
    match node.unwrap_or_default().as_str() {
        "" => listing.binary.prefix.clone(),
        module => listing.binary.id(module),
    }
}
