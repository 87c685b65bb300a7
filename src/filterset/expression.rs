//! What an expression says.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::matcher::Matcher;
use super::text::escaped;

/// Predicates joined by operators. A difference (`a - b`) is an intersection with a complement.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr<L> {
    Leaf(L),
    Not(Box<Expr<L>>),
    And(Vec<Expr<L>>),
    Or(Vec<Expr<L>>),
}

/// A predicate, and the place of its argument in the text.
#[derive(Debug, Clone)]
pub struct Written {
    pub predicate: Predicate,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    All,
    None,
    /// The tests that `default-filter` leaves.
    Default,
    /// Did not pass when it ran last.
    Failed,
    Test(Matcher),
    Package(Matcher),
    /// These packages and their dependencies.
    Deps(Matcher),
    /// These packages and those that depend on them.
    Rdeps(Matcher),
    Binary(Matcher),
    BinaryId(Matcher),
    Kind(Matcher),
    Platform(Platform),
    Module(Module),
    Policy(Matcher),
    Fixture(Matcher),
    Slow(Slow),
}

/// What a binary was built for, as `platform()` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Host,
    Target,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Module {
    /// This node and everything below it.
    Below(String),
    /// Those whose own path matches.
    Matching(Matcher),
}

/// A comparison with how long a test took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slow {
    pub comparison: Comparison,
    pub limit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
}

impl Comparison {
    /// The longer signs first, as one has to look for them.
    pub const SIGNS: [(&str, Comparison); 4] = [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::More),
        ("<", Comparison::Less),
    ];

    fn sign(self) -> &'static str {
        Self::SIGNS.iter().find(|(_, comparison)| *comparison == self).map_or(">", |(sign, _)| sign)
    }
}

impl Slow {
    pub fn matches(self, took: Duration) -> bool {
        match self.comparison {
            Comparison::More => took > self.limit,
            Comparison::AtLeast => took >= self.limit,
            Comparison::Less => took < self.limit,
            Comparison::AtMost => took <= self.limit,
        }
    }
}

impl<L> Expr<L> {
    /// Whether this holds for one of the leaves.
    pub fn has(&self, is_wanted: &impl Fn(&L) -> bool) -> bool {
        match self {
            Expr::Leaf(leaf) => is_wanted(leaf),
            Expr::Not(operand) => operand.has(is_wanted),
            Expr::And(operands) | Expr::Or(operands) => {
                operands.iter().any(|operand| operand.has(is_wanted))
            }
        }
    }

    /// Replaces every leaf.
    pub fn map<M>(self, to: &mut impl FnMut(L) -> M) -> Expr<M> {
        let all = |operands: Vec<Expr<L>>, to: &mut _| {
            operands.into_iter().map(|operand| operand.map(to)).collect()
        };
        match self {
            Expr::Leaf(leaf) => Expr::Leaf(to(leaf)),
            Expr::Not(operand) => Expr::Not(Box::new(operand.map(to))),
            Expr::And(operands) => Expr::And(all(operands, to)),
            Expr::Or(operands) => Expr::Or(all(operands, to)),
        }
    }
}

/// Two are the same if they say the same, wherever they stand.
impl PartialEq for Written {
    fn eq(&self, other: &Written) -> bool {
        self.predicate == other.predicate
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.predicate.fmt(f)
    }
}

impl<L: fmt::Display> fmt::Display for Expr<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |operands: &[Expr<L>], operator: &str, f: &mut fmt::Formatter<'_>| {
            for (at, operand) in operands.iter().enumerate() {
                f.write_str(if at > 0 { operator } else { "" })?;
                match operand {
                    Expr::And(_) | Expr::Or(_) => write!(f, "({operand})")?,
                    Expr::Leaf(_) | Expr::Not(_) => write!(f, "{operand}")?,
                }
            }
            Ok(())
        };
        match self {
            Expr::Leaf(leaf) => leaf.fmt(f),
            Expr::Not(operand) => match **operand {
                Expr::And(_) | Expr::Or(_) => write!(f, "not ({operand})"),
                Expr::Leaf(_) | Expr::Not(_) => write!(f, "not {operand}"),
            },
            Expr::And(operands) => join(operands, " and ", f),
            Expr::Or(operands) => join(operands, " or ", f),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predicate::All => write!(f, "all()"),
            Predicate::None => write!(f, "none()"),
            Predicate::Default => write!(f, "default()"),
            Predicate::Failed => write!(f, "failed()"),
            Predicate::Test(matcher) => write!(f, "test({matcher})"),
            Predicate::Package(matcher) => write!(f, "package({matcher})"),
            Predicate::Deps(matcher) => write!(f, "deps({matcher})"),
            Predicate::Rdeps(matcher) => write!(f, "rdeps({matcher})"),
            Predicate::Binary(matcher) => write!(f, "binary({matcher})"),
            Predicate::BinaryId(matcher) => write!(f, "binary_id({matcher})"),
            Predicate::Kind(matcher) => write!(f, "kind({matcher})"),
            Predicate::Platform(Platform::Host) => write!(f, "platform(host)"),
            Predicate::Platform(Platform::Target) => write!(f, "platform(target)"),
            Predicate::Module(Module::Below(path)) => write!(f, "module({})", escaped(path)),
            Predicate::Module(Module::Matching(matcher)) => write!(f, "module({matcher})"),
            Predicate::Policy(matcher) => write!(f, "policy({matcher})"),
            Predicate::Fixture(matcher) => write!(f, "fixture({matcher})"),
            Predicate::Slow(Slow { comparison, limit }) => {
                write!(f, "slow({}{}s)", comparison.sign(), limit.as_secs_f64())
            }
        }
    }
}
