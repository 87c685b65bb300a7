//! Checks the names in an expression against the workspace, and looks its packages up.

use std::collections::BTreeSet;
use std::ops::Range;

use super::expression::{Expr, Predicate, Written};
use super::matcher::Matcher;
use super::parser::parse;
use super::syntax::SyntaxError;
use crate::config::diagnostic::{Diagnostic, Place, nearest};
use crate::config::keys::KINDS;
use crate::config::policy::Policy;

/// A predicate that is ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaf {
    /// The tests of these packages, by their indices.
    Packages(BTreeSet<usize>),
    Predicate(Predicate),
}

/// What names in expressions may stand for.
#[derive(Debug)]
pub struct Names<'p> {
    pub packages: Vec<PackageNames>,
    pub policy: &'p Policy,
}

#[derive(Debug)]
pub struct PackageNames {
    pub name: String,
    pub targets: Vec<TargetNames>,
    /// The packages of the workspace that it depends on directly.
    pub dependencies: Vec<usize>,
}

#[derive(Debug)]
pub struct TargetNames {
    pub name: String,
    pub crate_name: String,
    pub binary_id: String,
}

/// nextest's id of a binary: `web`, `web::api`, `web::bin/server`.
pub fn binary_id(package: &str, kind: &str, target: &str) -> String {
    match kind {
        "test" => format!("{package}::{target}"),
        "bin" | "bench" | "example" => format!("{package}::{kind}/{target}"),
        // A package has one library.
        _ => package.to_owned(),
    }
}

/// The kinds of targets, as nextest names them: every library but a procedural macro is a `lib`. It has
/// no doctests.
const TARGET_KINDS: [&str; 7] = ["lib", "test", "bin", "example", "bench", "proc-macro", "doc"];

/// The policy of tests that are isolated, as `cargo partest plan` shows it.
pub const ISOLATED: &str = "isolated";

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    CommandLine,
    /// `default-filter`, which cannot mean itself.
    DefaultFilter,
}

/// Reads and checks an expression. None if there was a mistake.
///
/// `place` is that of a part of the text.
pub fn compile(
    text: &str,
    origin: Origin,
    names: &Names<'_>,
    place: &dyn Fn(Range<usize>) -> Place,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Expr<Leaf>> {
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(SyntaxError { span, title, help }) => {
            let diagnostic = Diagnostic::error(place(span), title);
            diagnostics.push(Diagnostic { help, ..diagnostic });
            return None;
        }
    };
    let mut mistakes = Vec::new();
    let expr = expr.map(&mut |Written { predicate, span }| {
        if let Some((title, help)) = mistake(&predicate, origin, names) {
            mistakes.push(Diagnostic::error(place(span), title).help(help));
        }
        names.leaf(predicate)
    });
    let is_right = mistakes.is_empty();
    diagnostics.append(&mut mistakes);
    is_right.then_some(expr)
}

/// What is wrong with a predicate, and what to write instead.
fn mistake(predicate: &Predicate, origin: Origin, names: &Names<'_>) -> Option<(String, String)> {
    match predicate {
        Predicate::Default if origin == Origin::DefaultFilter => {
            let help = "it would mean itself".to_owned();
            Some(("`default()` in `default-filter`".to_owned(), help))
        }
        Predicate::Package(matcher) | Predicate::Deps(matcher) | Predicate::Rdeps(matcher) => {
            let known = names.packages.iter().map(|package| package.name.as_str());
            unmatched("package", matcher, &known.collect::<Vec<_>>())
        }
        Predicate::Binary(matcher) => {
            let targets = names.packages.iter().flat_map(|package| &package.targets);
            let both = targets.flat_map(|target| [&*target.name, &*target.crate_name]);
            unmatched("binary", matcher, &both.collect::<Vec<_>>())
        }
        Predicate::BinaryId(matcher) => {
            let targets = names.packages.iter().flat_map(|package| &package.targets);
            let ids = targets.map(|target| target.binary_id.as_str());
            unmatched("binary id", matcher, &ids.collect::<Vec<_>>())
        }
        Predicate::Kind(matcher) => unmatched("kind of target", matcher, &TARGET_KINDS),
        Predicate::Policy(matcher) => {
            let known = KINDS.iter().map(|(name, _)| *name).chain([ISOLATED]);
            unmatched("policy", matcher, &known.collect::<Vec<_>>())
        }
        Predicate::Fixture(matcher) => {
            let fixtures = names.policy.fixtures();
            let keys: Vec<String> = fixtures.iter().map(|name| names.policy.key_of(name)).collect();
            let known = fixtures.iter().map(|fixture| &*fixture.name);
            unmatched(
                "fixture",
                matcher,
                &known.chain(keys.iter().map(|key| &**key)).collect::<Vec<_>>(),
            )
        }
        _ => None,
    }
}

/// A matcher that matches none of the known names is a mistake.
fn unmatched(what: &str, matcher: &Matcher, known: &[&str]) -> Option<(String, String)> {
    if known.iter().any(|name| matcher.matches(name)) {
        return None;
    }
    /// More would not be read.
    const SHOWN: usize = 12;
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    let help = match nearest(matcher.text(), known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("there is no {what}"),
        None if known.len() > SHOWN => {
            format!("there are {}, and {} more", known[..SHOWN].join(", "), known.len() - SHOWN)
        }
        None => format!("there are: {}", known.join(", ")),
    };
    let title = match matcher {
        Matcher::Equal(name) => format!("no {what} is named `{name}`"),
        matcher => format!("no {what} matches `{}`", matcher.text()),
    };
    Some((title, help))
}

impl Names<'_> {
    fn leaf(&self, predicate: Predicate) -> Leaf {
        match &predicate {
            Predicate::Package(matcher) => Leaf::Packages(self.matching(matcher)),
            Predicate::Deps(matcher) => {
                Leaf::Packages(self.closure(matcher, |from, to| self.depends(from, to)))
            }
            Predicate::Rdeps(matcher) => {
                Leaf::Packages(self.closure(matcher, |from, to| self.depends(to, from)))
            }
            _ => Leaf::Predicate(predicate),
        }
    }

    fn matching(&self, matcher: &Matcher) -> BTreeSet<usize> {
        let is_match = |at: &usize| matcher.matches(&self.packages[*at].name);
        (0..self.packages.len()).filter(is_match).collect()
    }

    fn depends(&self, package: usize, on: usize) -> bool {
        self.packages[package].dependencies.contains(&on)
    }

    /// The matching packages, and all that a chain of steps leads to.
    fn closure(&self, matcher: &Matcher, step: impl Fn(usize, usize) -> bool) -> BTreeSet<usize> {
        let mut found = self.matching(matcher);
        let mut todo: Vec<usize> = found.iter().copied().collect();
        while let Some(from) = todo.pop() {
            let next = (0..self.packages.len()).filter(|to| step(from, *to));
            todo.extend(next.filter(|to| found.insert(*to)));
        }
        found
    }
}
