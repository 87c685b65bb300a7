//! Expressions that choose tests (`-E`, `default-filter`): nextest's filtersets, and predicates of
//! our own. Pure: text in, an expression out, which is asked about one binary or test at a time.

mod argument;
pub mod compile;
pub mod evaluate;
pub mod expression;
pub mod filters;
mod glob;
pub mod matcher;
mod parser;
pub mod reference;
mod syntax;
mod text;

#[cfg(test)]
mod tests;
