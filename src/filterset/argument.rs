//! The arguments of predicates: matchers, paths, durations.

use std::ops::Range;

use winnow::Parser;
use winnow::combinator::{alt, opt, peek, preceded, repeat, terminated};
use winnow::token::{any, one_of, take_till, take_while};

use super::expression::{Comparison, Module, Platform, Predicate, Slow};
use super::matcher::{Glob, Matcher};
use super::syntax::{Input, Parsed, here, mistake, unclosed, usage};
use super::text::ESCAPES;
use crate::config::diagnostic::suggestion;
use crate::model::duration;

/// The argument of a predicate.
pub(super) struct Argument<'a> {
    pub(super) name: &'a str,
    /// The place of its parenthesis.
    pub(super) open: usize,
    pub(super) start: usize,
}

/// The matcher of a name without a prefix.
#[derive(Clone, Copy)]
enum DefaultMatcher {
    Equal,
    Contains,
    Glob,
}

impl Argument<'_> {
    pub(super) fn predicate(&self, input: &mut Input<'_>) -> Parsed<Predicate> {
        use DefaultMatcher::{Contains, Equal, Glob};
        Ok(match self.name {
            "all" => self.nothing(input, Predicate::All)?,
            "none" => self.nothing(input, Predicate::None)?,
            "default" => self.nothing(input, Predicate::Default)?,
            "failed" => self.nothing(input, Predicate::Failed)?,
            "package" => Predicate::Package(self.matcher(input, Glob)?),
            "deps" => Predicate::Deps(self.matcher(input, Glob)?),
            "rdeps" => Predicate::Rdeps(self.matcher(input, Glob)?),
            "binary" => Predicate::Binary(self.matcher(input, Glob)?),
            "binary_id" => Predicate::BinaryId(self.matcher(input, Glob)?),
            "kind" => Predicate::Kind(self.matcher(input, Equal)?),
            "policy" => Predicate::Policy(self.matcher(input, Equal)?),
            "fixture" => Predicate::Fixture(self.matcher(input, Glob)?),
            "platform" => Predicate::Platform(self.platform(input)?),
            "module" => Predicate::Module(self.module(input)?),
            "slow" => Predicate::Slow(self.slow(input)?),
            _ => Predicate::Test(self.matcher(input, Contains)?),
        })
    }

    fn nothing(&self, input: &mut Input<'_>, predicate: Predicate) -> Parsed<Predicate> {
        let text: &str = take_till(0.., ')').parse_next(input)?;
        match text.trim_end() {
            "" => Ok(predicate),
            _ if input.is_empty() => Err(unclosed(self.open)),
            text => {
                let title = format!("`{}` has no argument", self.name);
                let help = format!("write `{}`", usage(self.name));
                Err(mistake(self.start..self.start + text.len(), title, help))
            }
        }
    }

    fn matcher(&self, input: &mut Input<'_>, default: DefaultMatcher) -> Parsed<Matcher> {
        match opt(one_of(('/', '=', '~', '#'))).parse_next(input)? {
            Some('/') => self.regex(input),
            Some('=') => self.text(input).map(Matcher::Equal),
            Some('~') => self.text(input).map(Matcher::Contains),
            Some(_) => self.glob(input),
            None => match default {
                DefaultMatcher::Equal => self.text(input).map(Matcher::Equal),
                DefaultMatcher::Contains => self.text(input).map(Matcher::Contains),
                DefaultMatcher::Glob => self.glob(input),
            },
        }
    }

    /// Text up to the end of the argument. Blanks at its end belong to it if they are escaped.
    fn text(&self, input: &mut Input<'_>) -> Parsed<String> {
        let start = here(input);
        let literal = take_till(1.., (',', ')', '\\')).map(|text: &str| (text.to_owned(), true));
        let escaped = escape.map(|character| (character.to_string(), false));
        let mut parts: Vec<(String, bool)> =
            repeat(0.., alt((literal, escaped))).parse_next(input)?;
        if let Some((last, true)) = parts.last_mut() {
            last.truncate(last.trim_end().len());
        }
        let text: String = parts.into_iter().map(|(text, _)| text).collect();
        if text.is_empty() {
            let title = format!("`{}` needs an argument", self.name);
            let help = format!("write `{}`", usage(self.name));
            return Err(mistake(self.open..start.max(self.open + 1), title, help));
        }
        Ok(text)
    }

    fn glob(&self, input: &mut Input<'_>) -> Parsed<Matcher> {
        let start = here(input);
        let text = self.text(input)?;
        Glob::new(&text).map(Matcher::Glob).map_err(|why| {
            let help = "in a glob, `[*]` stands for `*`; `=NAME` matches a name as it is";
            mistake(start..here(input), format!("invalid glob: {why}"), help)
        })
    }

    fn regex(&self, input: &mut Input<'_>) -> Parsed<Matcher> {
        let start = here(input);
        let slash = "\\/".value("/");
        let backslash = "\\".value("\\");
        let literal = take_till(1.., ('\\', '/'));
        let parts = repeat(0.., alt((slash, backslash, literal)));
        let (parts, body): (Vec<&str>, &str) = parts.with_taken().parse_next(input)?;
        let pattern = parts.concat();
        if opt('/').parse_next(input)?.is_none() {
            let help = "a regular expression ends with `/`";
            return Err(mistake(start - 1..start, "missing `/`", help));
        }
        regex::Regex::new(&pattern).map(Matcher::Regex).map_err(|error| {
            let (why, span) = regex_error(&pattern, &error);
            let [from, to] = [span.start, span.end].map(|at| start + place_in(body, at));
            let help = "the syntax is that of the crate `regex`";
            mistake(from..to, format!("invalid regular expression: {why}"), help)
        })
    }

    fn platform(&self, input: &mut Input<'_>) -> Parsed<Platform> {
        let text = self.text(input)?;
        match text.as_str() {
            "host" => Ok(Platform::Host),
            "target" => Ok(Platform::Target),
            word => {
                let title = format!("unknown platform `{word}`");
                let help = suggestion(word, &["host", "target"]);
                Err(mistake(self.start..here(input), title, help))
            }
        }
    }

    fn module(&self, input: &mut Input<'_>) -> Parsed<Module> {
        match opt(peek(one_of(('/', '=', '~', '#')))).parse_next(input)? {
            Some(_) => self.matcher(input, DefaultMatcher::Equal).map(Module::Matching),
            None => self.text(input).map(Module::Below),
        }
    }

    fn slow(&self, input: &mut Input<'_>) -> Parsed<Slow> {
        let text = self.text(input)?;
        let (comparison, limit) = Comparison::SIGNS
            .iter()
            .find_map(|(sign, comparison)| Some((*comparison, text.strip_prefix(sign)?)))
            .unwrap_or((Comparison::More, &text));
        let limit = duration::parse(limit).map_err(|why| {
            let title = format!("`{}` is no duration", limit.trim());
            mistake(self.start..here(input), title, format!("{why}: `slow(>1s)`"))
        })?;
        Ok(Slow { comparison, limit })
    }
}

fn escape(input: &mut Input<'_>) -> Parsed<char> {
    let start = here(input);
    '\\'.parse_next(input)?;
    let digits = take_while(1..=6, |c: char| c.is_ascii_hexdigit());
    let code = terminated(preceded("u{", digits), '}');
    let code =
        code.verify_map(|digits: &str| char::from_u32(u32::from_str_radix(digits, 16).ok()?));
    let letter = any.verify_map(|letter| {
        ESCAPES.iter().find(|(known, _)| *known == letter).map(|(_, meaning)| *meaning)
    });
    if let Some(character) = opt(alt((code, letter))).parse_next(input)? {
        return Ok(character);
    }
    let letter: &str = opt(any.take()).parse_next(input)?.unwrap_or_default();
    let title = format!("unknown escape `\\{letter}`");
    let help = "write `\\\\` for a backslash; the escapes are `\\n`, `\\r`, `\\t`, `\\\\`, `\\/`, `\\)`, `\\,` and `\\u{7FFF}`";
    Err(mistake(start..here(input), title, help))
}

/// What is wrong with a pattern, and where.
fn regex_error(pattern: &str, error: &regex::Error) -> (String, Range<usize>) {
    let (why, span) = match regex_syntax::parse(pattern) {
        Err(regex_syntax::Error::Parse(error)) => (error.kind().to_string(), *error.span()),
        Err(regex_syntax::Error::Translate(error)) => (error.kind().to_string(), *error.span()),
        // It is valid, and too large.
        _ => return (error.to_string(), 0..pattern.len()),
    };
    (why, span.start.offset..span.end.offset)
}

/// The place in the text of what stands at this place of the pattern, where `\/` is one letter.
fn place_in(body: &str, at: usize) -> usize {
    let mut in_pattern = 0;
    let mut in_body = 0;
    while in_pattern < at && in_body < body.len() {
        in_body += if body[in_body..].starts_with("\\/") { 2 } else { 1 };
        in_pattern += 1;
        while !body.is_char_boundary(in_body) {
            in_body += 1;
            in_pattern += 1;
        }
    }
    in_body
}
