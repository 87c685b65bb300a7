//! Mistakes in expressions, and the words that they are made of.

use std::ops::Range;

use winnow::combinator::{alt, peek};
use winnow::error::{ErrMode, ModalResult, ParserError};
use winnow::stream::Location;
use winnow::token::{any, take_while};
use winnow::{LocatingSlice, Parser};

/// A mistake in an expression, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub span: Range<usize>,
    /// One lower-case line without full stop.
    pub title: String,
    pub help: Option<String>,
}

pub(super) type Input<'i> = LocatingSlice<&'i str>;
pub(super) type Parsed<T> = ModalResult<T, SyntaxError>;

/// The names of all predicates.
pub const PREDICATES: [&str; 16] = [
    "all",
    "binary",
    "binary_id",
    "default",
    "deps",
    "failed",
    "fixture",
    "kind",
    "module",
    "none",
    "package",
    "platform",
    "policy",
    "rdeps",
    "slow",
    "test",
];

impl<'i> ParserError<Input<'i>> for SyntaxError {
    type Inner = SyntaxError;

    /// Never shown: whoever tries alternatives says what was expected.
    fn from_input(input: &Input<'i>) -> SyntaxError {
        let at = input.current_token_start();
        SyntaxError { span: at..at, title: "invalid expression".to_owned(), help: None }
    }

    fn into_inner(self) -> Result<SyntaxError, SyntaxError> {
        Ok(self)
    }
}

/// A mistake that no alternative can mend.
pub(super) fn mistake(
    span: Range<usize>,
    title: impl Into<String>,
    help: impl Into<String>,
) -> ErrMode<SyntaxError> {
    ErrMode::Cut(SyntaxError { span, title: title.into(), help: Some(help.into()) })
}

pub(super) fn blanks(input: &mut Input<'_>) -> Parsed<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

pub(super) fn here(input: &Input<'_>) -> usize {
    input.current_token_start()
}

/// The next word or sign, for messages.
pub(super) fn next_word<'i>(input: &mut Input<'i>) -> (&'i str, Range<usize>) {
    let start = here(input);
    let word = alt((name, any.take()));
    let word: Parsed<&str> = peek(word).parse_next(input);
    let word = word.unwrap_or_default();
    (word, start..start + word.len())
}

pub(super) fn name<'i>(input: &mut Input<'i>) -> Parsed<&'i str> {
    take_while(1.., |c: char| c.is_alphanumeric() || c == '_').parse_next(input)
}

pub(super) fn unclosed(start: usize) -> ErrMode<SyntaxError> {
    mistake(start..start + 1, "missing `)`", "this parenthesis is never closed")
}

/// How the predicate is written.
pub(super) fn usage(name: &str) -> String {
    let argument = match name {
        "all" | "none" | "default" | "failed" => "",
        "module" => "PATH",
        "platform" => "host",
        "slow" => ">1s",
        _ => "NAME",
    };
    format!("{name}({argument})")
}
