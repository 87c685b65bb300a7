//! The grammar, which is nextest's: text in, an expression or the first mistake out.
//!
//! ```text
//! or     = and (("or" | "|" | "+") and)*
//! and    = basic (("and" | "&" | "-") basic)*
//! basic  = ("not" | "!") basic | "(" or ")" | NAME "(" argument ")"
//! ```

use std::ops::Range;

use winnow::Parser;
use winnow::combinator::{alt, fail, opt, peek};
use winnow::error::{ErrMode, ParserError};
use winnow::stream::Stream;
use winnow::token::one_of;

use super::argument::Argument;
use super::expression::{Expr, Written};
use super::syntax::{
    Input, PREDICATES, Parsed, SyntaxError, blanks, here, mistake, name, next_word, unclosed, usage,
};
use crate::config::diagnostic::suggestion;

/// How deep expressions may be nested: far deeper than anybody writes, and shallow enough for the
/// stack.
const DEEPEST: usize = 200;

/// Reads an expression.
pub fn parse(text: &str) -> Result<Expr<Written>, SyntaxError> {
    if text.trim().is_empty() {
        return Err(SyntaxError {
            span: 0..text.len(),
            title: "empty expression".to_owned(),
            help: Some("`all()` chooses every test".to_owned()),
        });
    }
    let mut input = Input::new(text);
    let whole = |input: &mut Input<'_>| {
        let expr = disjunction(input, 0)?;
        blanks(input)?;
        if input.is_empty() { Ok(expr) } else { Err(unexpected(input)) }
    };
    let parsed: Parsed<Expr<Written>> = whole(&mut input);
    parsed.map_err(|error| match error {
        ErrMode::Backtrack(error) | ErrMode::Cut(error) => error,
        // All of the text is there.
        ErrMode::Incomplete(_) => SyntaxError::from_input(&input),
    })
}

/// What stands where an operator or the end is expected.
fn unexpected(input: &mut Input<'_>) -> ErrMode<SyntaxError> {
    let (word, span) = next_word(input);
    if word == ")" {
        return mistake(
            span,
            "`)` without `(`",
            "remove it, or write `\\)` if it is part of a name",
        );
    }
    let title = format!("expected an operator, found `{word}`");
    mistake(span, title, "join expressions with `and`, `or` or `-`")
}

/// A word that is not the beginning of a longer one.
fn word<'i>(mut word: &'static str) -> impl Parser<Input<'i>, &'i str, ErrMode<SyntaxError>> {
    move |input: &mut Input<'i>| {
        let start = input.checkpoint();
        let found = word.parse_next(input)?;
        let mut goes_on = opt(peek(one_of(|c: char| c.is_alphanumeric() || c == '_')));
        if goes_on.parse_next(input)?.is_some() {
            input.reset(&start);
            return fail.parse_next(input);
        }
        Ok(found)
    }
}

/// One of these operators, or one that means the same in other languages, which is a mistake.
fn operator<'i>(
    input: &mut Input<'i>,
    own: impl Parser<Input<'i>, &'i str, ErrMode<SyntaxError>>,
    others: impl Parser<Input<'i>, &'i str, ErrMode<SyntaxError>>,
    instead: &str,
) -> Parsed<Option<&'i str>> {
    let before = input.checkpoint();
    blanks(input)?;
    let start = here(input);
    if let Some(other) = opt(others).parse_next(input)? {
        let title = format!("unknown operator `{other}`");
        return Err(mistake(start..here(input), title, format!("use {instead}")));
    }
    let found = opt(own).parse_next(input)?;
    if found.is_none() {
        input.reset(&before);
    }
    Ok(found)
}

fn disjunction(input: &mut Input<'_>, depth: usize) -> Parsed<Expr<Written>> {
    let mut operands = vec![conjunction(input, depth, None)?];
    loop {
        let own = alt((word("or"), "|", "+"));
        let others = alt(("||", word("OR")));
        match operator(input, own, others, "`or` or `|`")? {
            Some(operator) => operands.push(conjunction(input, depth, Some(operator))?),
            None => return Ok(joined(operands, Expr::Or)),
        }
    }
}

/// `after` is the operator before it.
fn conjunction(input: &mut Input<'_>, depth: usize, after: Option<&str>) -> Parsed<Expr<Written>> {
    let mut operands = vec![basic(input, depth, after)?];
    loop {
        let own = alt((word("and"), "&", "-"));
        let others = alt(("&&", word("AND")));
        match operator(input, own, others, "`and` or `&`")? {
            Some("-") => {
                let removed = basic(input, depth, Some("-"))?;
                operands.push(Expr::Not(Box::new(removed)));
            }
            Some(operator) => operands.push(basic(input, depth, Some(operator))?),
            None => return Ok(joined(operands, Expr::And)),
        }
    }
}

fn joined(
    mut operands: Vec<Expr<Written>>,
    join: fn(Vec<Expr<Written>>) -> Expr<Written>,
) -> Expr<Written> {
    match operands.len() {
        1 => operands.swap_remove(0),
        _ => join(operands),
    }
}

fn basic(input: &mut Input<'_>, depth: usize, after: Option<&str>) -> Parsed<Expr<Written>> {
    blanks(input)?;
    let start = here(input);
    if depth > DEEPEST {
        let title = format!("more than {DEEPEST} levels of parentheses and `not`");
        return Err(mistake(start..start, title, "remove some of them"));
    }
    if let Some(not) = opt(alt((word("not"), "!"))).parse_next(input)? {
        return Ok(Expr::Not(Box::new(basic(input, depth + 1, Some(not))?)));
    }
    if opt('(').parse_next(input)?.is_some() {
        let inner = disjunction(input, depth + 1)?;
        blanks(input)?;
        return match opt(')').parse_next(input)? {
            Some(_) => Ok(inner),
            None if input.is_empty() => Err(unclosed(start)),
            None => Err(unexpected(input)),
        };
    }
    match opt(name).parse_next(input)? {
        Some(word) => predicate(input, word, start),
        None => Err(no_expression(input, after)),
    }
}

fn no_expression(input: &mut Input<'_>, after: Option<&str>) -> ErrMode<SyntaxError> {
    let (word, span) = next_word(input);
    let help = "such as `test(NAME)`: `cargo partest help filters` shows all of them";
    match (after, word) {
        (Some(after), "") => mistake(span, format!("expected an expression after `{after}`"), help),
        (None, "") => mistake(span, "expected an expression", help),
        (_, "&" | "|" | "+" | "-") => {
            let title = format!("expected an expression before `{word}`");
            mistake(span, title, "this operator stands between two expressions")
        }
        (_, word) => mistake(span, format!("expected an expression, found `{word}`"), help),
    }
}

/// What follows a name: its argument in parentheses.
fn predicate(input: &mut Input<'_>, name: &str, begin: usize) -> Parsed<Expr<Written>> {
    let span = begin..here(input);
    blanks(input)?;
    let open = here(input);
    let has_argument = opt('(').parse_next(input)?.is_some();
    if !PREDICATES.contains(&name) {
        return Err(unknown_name(name, span, has_argument));
    }
    if !has_argument {
        let help = format!("write `{}`", usage(name));
        return Err(mistake(span, format!("missing `(` after `{name}`"), help));
    }
    blanks(input)?;
    let start = here(input);
    let argument = Argument { name, open, start };
    let predicate = argument.predicate(input)?;
    let end = here(input);
    blanks(input)?;
    match opt(one_of((',', ')'))).parse_next(input)? {
        Some(')') => {
            // Where there is no argument, it is about all of it.
            let span = if start == end { begin..here(input) } else { start..end };
            Ok(Expr::Leaf(Written { predicate, span }))
        }
        Some(_) => {
            let at = here(input);
            let title = format!("`{name}` has one argument");
            let help = "write `\\,` for a comma, or join expressions with `or`";
            Err(mistake(at - 1..at, title, help))
        }
        None if input.is_empty() => Err(unclosed(open)),
        None => {
            let (word, span) = next_word(input);
            let title = format!("expected `)`, found `{word}`");
            Err(mistake(span, title, format!("write `{}`", usage(name))))
        }
    }
}

fn unknown_name(name: &str, span: Range<usize>, has_argument: bool) -> ErrMode<SyntaxError> {
    match name {
        "and" | "or" | "AND" | "OR" => {
            let title = format!("expected an expression, found `{name}`");
            mistake(span, title, "this operator stands between two expressions")
        }
        "NOT" => mistake(span, "unknown operator `NOT`", "use `not` or `!`"),
        "group" => mistake(
            span,
            "unknown predicate `group`",
            "there are no test groups: `policy(NAME)` and `fixture(NAME)` choose tests by their configuration",
        ),
        _ if has_argument => {
            mistake(span, format!("unknown predicate `{name}`"), suggestion(name, &PREDICATES))
        }
        _ => {
            let help = match suggestion(name, &PREDICATES) {
                near if near.starts_with("did") => near,
                _ => format!("to choose tests by name, write `test({name})`"),
            };
            mistake(span, format!("expected an expression, found `{name}`"), help)
        }
    }
}
