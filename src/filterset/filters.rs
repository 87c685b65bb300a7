//! The expressions of a run.

use super::compile::Leaf;
use super::evaluate::{BinaryFacts, TestFacts, decide, matches};
use super::expression::{Expr, Predicate};

/// Those of the command line, and the default filters.
#[derive(Debug, Default)]
pub struct Filtersets {
    /// A test is chosen if any of these matches it, or if there is none.
    pub chosen: Vec<Expr<Leaf>>,
    /// `default-filter` of the workspace.
    pub default: Option<Expr<Leaf>>,
    /// `default-filter` of each package that has one of its own.
    pub of_packages: Vec<Option<Expr<Leaf>>>,
    pub ignores_default: bool,
}

impl Filtersets {
    /// Whether what earlier runs on this machine have shown decides.
    pub fn go_by_history(&self) -> bool {
        let is_past =
            |leaf: &Leaf| matches!(leaf, Leaf::Predicate(Predicate::Failed | Predicate::Slow(_)));
        let default = self.default.iter().chain(self.of_packages.iter().flatten());
        let default = default.filter(|_| !self.ignores_default);
        self.chosen.iter().chain(default).any(|expr| expr.has(&is_past))
    }

    /// The default filter for tests of this package.
    fn default_of(&self, package: usize) -> Option<&Expr<Leaf>> {
        let own = self.of_packages.get(package).and_then(Option::as_ref);
        own.or(self.default.as_ref())
    }

    /// Whether the default filter leaves all tests of a binary, or none, if that is known.
    pub fn decide_default(&self, binary: &BinaryFacts<'_>) -> Option<bool> {
        self.default_of(binary.package).map_or(Some(true), |filter| decide(filter, binary))
    }

    pub fn is_default(&self, binary: &BinaryFacts<'_>, test: &dyn TestFacts) -> bool {
        self.default_of(binary.package).is_none_or(|filter| matches(filter, binary, test))
    }

    /// Whether the expressions choose all tests of a binary, or none. None if it depends on the test.
    pub fn decide(&self, binary: &BinaryFacts<'_>) -> Option<bool> {
        let default = if self.ignores_default { Some(true) } else { binary.default };
        let decisions: Vec<Option<bool>> =
            self.chosen.iter().map(|expr| decide(expr, binary)).collect();
        let leaves_all = decisions.iter().all(|decision| *decision == Some(false));
        let chosen = match () {
            () if decisions.is_empty() || decisions.contains(&Some(true)) => Some(true),
            () if leaves_all => Some(false),
            () => None,
        };
        match (default, chosen) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    pub fn matches(&self, binary: &BinaryFacts<'_>, test: &dyn TestFacts) -> bool {
        let is_chosen =
            self.chosen.is_empty() || self.chosen.iter().any(|expr| matches(expr, binary, test));
        is_chosen && (self.ignores_default || test.is_default())
    }
}
