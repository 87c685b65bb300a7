//! Whether an expression matches a binary, or a test.

use std::time::Duration;

use super::compile::Leaf;
use super::expression::{Expr, Module, Platform, Predicate};
use super::matcher::Matcher;
use crate::config::policy::covers;

/// What is known about a binary before its tests are.
#[derive(Debug, Clone)]
pub struct BinaryFacts<'b> {
    /// The index of its package.
    pub package: usize,
    pub target: &'b str,
    pub crate_name: &'b str,
    /// What the ids of its tests begin with, in all spellings.
    pub prefixes: Vec<&'b str>,
    pub kind: &'b str,
    pub id: String,
    pub platform: Platform,
    /// Whether any of its tests is known to have failed.
    pub has_failures: bool,
    /// Whether `default-filter` leaves all of its tests, or none, if that is known.
    pub default: Option<bool>,
}

/// What is known about a test. Some of it takes time to find out.
pub trait TestFacts {
    fn name(&self) -> &str;
    /// Whether `default-filter` leaves it.
    fn is_default(&self) -> bool;
    fn has_failed(&self) -> bool;
    /// How long it took, if it has been measured.
    fn took(&self) -> Option<Duration>;
    fn has_policy(&self, matcher: &Matcher) -> bool;
    fn has_fixture(&self, matcher: &Matcher) -> bool;
}

/// Whether the expression matches all tests of a binary, or none of them. None if it depends on the
/// test.
pub fn decide(expr: &Expr<Leaf>, binary: &BinaryFacts<'_>) -> Option<bool> {
    match expr {
        Expr::Leaf(leaf) => leaf.decide(binary),
        Expr::Not(operand) => decide(operand, binary).map(|matches| !matches),
        Expr::And(operands) => until(operands, false, binary),
        Expr::Or(operands) => until(operands, true, binary),
    }
}

/// `decisive` if any operand is, its opposite if all operands are that.
fn until(operands: &[Expr<Leaf>], decisive: bool, binary: &BinaryFacts<'_>) -> Option<bool> {
    let mut found = Some(!decisive);
    for operand in operands {
        match decide(operand, binary) {
            Some(decision) if decision == decisive => return Some(decisive),
            Some(_) => {}
            None => found = None,
        }
    }
    found
}

/// Whether the expression matches a test of a binary.
pub fn matches(expr: &Expr<Leaf>, binary: &BinaryFacts<'_>, test: &dyn TestFacts) -> bool {
    match expr {
        Expr::Leaf(leaf) => leaf.matches(binary, test),
        Expr::Not(operand) => !matches(operand, binary, test),
        Expr::And(operands) => operands.iter().all(|operand| matches(operand, binary, test)),
        Expr::Or(operands) => operands.iter().any(|operand| matches(operand, binary, test)),
    }
}

impl Leaf {
    fn decide(&self, binary: &BinaryFacts<'_>) -> Option<bool> {
        let predicate = match self {
            Leaf::Packages(packages) => return Some(packages.contains(&binary.package)),
            Leaf::Predicate(predicate) => predicate,
        };
        match predicate {
            Predicate::All => Some(true),
            Predicate::None => Some(false),
            Predicate::Default => binary.default,
            Predicate::Failed => (!binary.has_failures).then_some(false),
            Predicate::Binary(matcher) => {
                Some(matcher.matches(binary.target) || matcher.matches(binary.crate_name))
            }
            Predicate::BinaryId(matcher) => Some(matcher.matches(&binary.id)),
            Predicate::Kind(matcher) => Some(matcher.matches(binary.kind)),
            Predicate::Platform(platform) => Some(binary.platform == *platform),
            // The others are about single tests.
            _ => None,
        }
    }

    fn matches(&self, binary: &BinaryFacts<'_>, test: &dyn TestFacts) -> bool {
        let Leaf::Predicate(predicate) = self else {
            return self.decide(binary) == Some(true);
        };
        match predicate {
            Predicate::Test(matcher) => matcher.matches(test.name()),
            Predicate::Default => test.is_default(),
            Predicate::Failed => test.has_failed(),
            Predicate::Module(module) => is_in(module, binary, test.name()),
            Predicate::Policy(matcher) => test.has_policy(matcher),
            Predicate::Fixture(matcher) => test.has_fixture(matcher),
            Predicate::Slow(slow) => test.took().is_some_and(|took| slow.matches(took)),
            _ => self.decide(binary) == Some(true),
        }
    }
}

/// Paths begin with the binary, as in ids, or within it, as in names.
fn is_in(module: &Module, binary: &BinaryFacts<'_>, name: &str) -> bool {
    let ids = binary.prefixes.iter().map(|prefix| format!("{prefix}::{name}"));
    let mut paths = ids.chain([name.to_owned()]);
    match module {
        Module::Below(node) => paths.any(|path| covers(node, &path)),
        Module::Matching(matcher) => paths
            .any(|path| path.rsplit_once("::").is_some_and(|(module, _)| matcher.matches(module))),
    }
}
