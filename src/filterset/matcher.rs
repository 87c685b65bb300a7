//! How a name is matched.

use std::fmt;

use regex::Regex;

use super::glob::{GlobError, to_regex};
use super::text::escaped;

#[derive(Debug, Clone)]
pub enum Matcher {
    Equal(String),
    Contains(String),
    /// It matches any part of a name.
    Regex(Regex),
    /// It matches whole names.
    Glob(Glob),
}

#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    regex: Regex,
}

impl Glob {
    pub fn new(text: &str) -> Result<Glob, GlobError> {
        let regex = Regex::new(&to_regex(text)?);
        // Every valid glob is a valid regular expression, except if it is a huge one.
        let regex = regex.map_err(|_| GlobError::UnclosedClass)?;
        Ok(Glob { text: text.to_owned(), regex })
    }
}

impl Matcher {
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Matcher::Equal(text) => name == text,
            Matcher::Contains(text) => name.contains(text),
            Matcher::Regex(regex) => regex.is_match(name),
            Matcher::Glob(glob) => glob.regex.is_match(name),
        }
    }

    /// The text that was written, for the search of the nearest name.
    pub fn text(&self) -> &str {
        match self {
            Matcher::Equal(text) | Matcher::Contains(text) => text,
            Matcher::Regex(regex) => regex.as_str(),
            Matcher::Glob(glob) => &glob.text,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.text() == other.text()
    }
}

impl fmt::Display for Matcher {
    /// With a prefix, as it would be written where another matcher is the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Matcher::Equal(text) => write!(f, "={}", escaped(text)),
            Matcher::Contains(text) => write!(f, "~{}", escaped(text)),
            Matcher::Glob(glob) => write!(f, "#{}", escaped(&glob.text)),
            Matcher::Regex(regex) => write!(f, "/{}/", regex.as_str().replace('/', "\\/")),
        }
    }
}
