//! Which tests must share a process, and why.

use crate::cargo::binary::Binary;
use crate::config::keys::Kind;
use crate::config::policy::{Rules, Why, covers};
use crate::discovery::listing::Listing;
use crate::discovery::statics::{Static, Statics};

/// The node whose tests must share a process, and why; no node for tests that may be spread.
pub(super) fn kept_together(
    rules: &Rules,
    id: &str,
    bound: &[BoundNode],
    binary: &Binary,
) -> (Option<String>, String) {
    let module = id.rsplit_once("::").map_or(id, |(module, _)| module);
    match rules.kind {
        Kind::Unit => {
            let node = match rules.node.as_deref() {
                Some("") => binary.name.clone(),
                Some(node) => node.to_owned(),
                None => module.to_owned(),
            };
            (Some(node), format!("unit: {}", rules.why))
        }
        Kind::Auto => match bound.iter().find(|bound| covers(&bound.node, id)) {
            Some(bound) => (Some(bound.node.clone()), format!("auto: {}", bound.why)),
            None => (None, "auto: no writable static".to_owned()),
        },
        Kind::Split | Kind::Shared => (None, split_why(rules)),
    }
}

fn split_why(rules: &Rules) -> String {
    let kind = match rules.kind {
        Kind::Shared => "shared",
        _ => "split",
    };
    match (&rules.why, &rules.isolated_at) {
        (Why::Default, Some(place)) => format!("{kind}, isolated: {place}"),
        (Why::Key(policy), Some(place)) if policy != place => {
            // On one line as a rule.
            match (policy.to_string(), place.to_string()) {
                (policy, place) if policy == place => format!("{kind}, isolated: {place}"),
                (policy, place) => format!("{kind}: {policy}, isolated: {place}"),
            }
        }
        (why, Some(_)) => format!("{kind}, isolated: {why}"),
        (why, None) => format!("{kind}: {why}"),
    }
}

/// A node that `auto` keeps together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BoundNode {
    pub(super) node: String,
    pub(super) why: String,
}

/// The nodes that writable statics keep together, outermost first.
///
/// A static in a module with tests binds that module, and one in an ancestor of such modules binds
/// the ancestor's subtree. One in a module without tests, or in another crate of the workspace, may
/// be reached by every test and binds the whole binary.
pub(super) fn bound_nodes(listing: &Listing) -> Vec<BoundNode> {
    let root = &listing.binary.name;
    let statics = match &listing.statics {
        // A binary that cannot list its tests cannot be split anyway.
        _ if listing.dispatch.is_whole() => return Vec::new(),
        Statics::Known { statics, .. } => statics,
        Statics::Unreadable(why) => {
            let why = format!("its statics cannot be read ({why})");
            return vec![BoundNode { node: root.clone(), why }];
        }
    };
    let modules: Vec<String> = modules_of_tests(listing);
    let bind = |found: &Static| {
        let holds_tests = modules.iter().any(|module| covers(&found.module, module));
        let node = if holds_tests { found.module.clone() } else { root.clone() };
        BoundNode { node, why: format!("static {}", found.path) }
    };
    let mut bound: Vec<BoundNode> = statics.iter().map(bind).collect();
    bound.sort_by_key(|bound| bound.node.len());
    bound
}

fn modules_of_tests(listing: &Listing) -> Vec<String> {
    let binary = &listing.binary;
    let mut modules: Vec<Option<&str>> =
        listing.tests.iter().map(|test| module_of(&test.name)).collect();
    modules.dedup();
    let node = |module: Option<&str>| match module {
        Some(module) => format!("{}::{module}", binary.name),
        None => binary.name.clone(),
    };
    modules.into_iter().map(node).collect()
}

/// All but the last segment of a test's name.
pub(super) fn module_of(name: &str) -> Option<&str> {
    let at = name.as_bytes().windows(2).rposition(|pair| pair == b"::")?;
    Some(&name[..at])
}
