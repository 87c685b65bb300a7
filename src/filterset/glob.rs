//! Globs of names. `*` crosses `::` and `/`: names are no paths.

use std::fmt;

/// Why a glob is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobError {
    UnclosedClass,
    InvalidRange(char, char),
    UnclosedAlternates,
    UnopenedAlternates,
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GlobError::UnclosedClass => write!(f, "missing `]`"),
            GlobError::InvalidRange(from, to) => write!(f, "empty range `{from}-{to}`"),
            GlobError::UnclosedAlternates => write!(f, "missing `}}`"),
            GlobError::UnopenedAlternates => write!(f, "`}}` without `{{`"),
        }
    }
}

/// The regular expression that matches the same names as a whole.
///
/// `?` is any character, `*` any text, `[ab]`, `[a-z]` and `[!ab]` are classes, `{a,b}` is one of
/// the alternatives. There are no escapes: a class stands for a literal `*`, as in `[*]`.
pub fn to_regex(glob: &str) -> Result<String, GlobError> {
    let mut regex = String::from("^(?s:");
    let mut depth = 0;
    let mut rest = glob.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '?' => regex.push('.'),
            '*' => {
                while rest.next_if_eq(&'*').is_some() {}
                regex.push_str(".*");
            }
            '[' => push_class(&mut rest, &mut regex)?,
            '{' => {
                depth += 1;
                regex.push_str("(?:");
            }
            ',' if depth > 0 => regex.push('|'),
            '}' if depth == 0 => return Err(GlobError::UnopenedAlternates),
            '}' => {
                depth -= 1;
                regex.push(')');
            }
            literal => push_literal(literal, &mut regex),
        }
    }
    if depth > 0 {
        return Err(GlobError::UnclosedAlternates);
    }
    regex.push_str(")$");
    Ok(regex)
}

fn push_literal(character: char, regex: &mut String) {
    let mut buffer = [0; 4];
    regex.push_str(&regex_syntax::escape(character.encode_utf8(&mut buffer)));
}

/// What follows `[`, up to its `]`. One that comes first is a member.
fn push_class(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    regex: &mut String,
) -> Result<(), GlobError> {
    regex.push('[');
    if rest.next_if(|first| matches!(first, '!' | '^')).is_some() {
        regex.push('^');
    }
    let mut is_first = true;
    loop {
        let from = match rest.next().ok_or(GlobError::UnclosedClass)? {
            ']' if !is_first => break,
            member => member,
        };
        is_first = false;
        push_literal(from, regex);
        let mut ahead = rest.clone();
        if ahead.next() == Some('-')
            && let Some(to) = ahead.next().filter(|to| *to != ']')
        {
            if to < from {
                return Err(GlobError::InvalidRange(from, to));
            }
            *rest = ahead;
            regex.push('-');
            push_literal(to, regex);
        }
    }
    regex.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_whole_names() {
        let table = [
            ("web", "web", true),
            ("web", "webs", false),
            ("web*", "web-client", true),
            ("*::db", "web::db", true),
            ("w?b", "wéb", true),
            ("w?b", "wb", false),
            ("a**b", "a::/b", true),
            ("[wv]eb", "veb", true),
            ("[!w]eb", "web", false),
            ("[a-c]1", "b1", true),
            ("[a-c]1", "d1", false),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[*]", "*", true),
            ("[*]", "x", false),
            ("[\\^]", "^", true),
            ("web.{exe,}", "web.", true),
            ("web{,-{a,b}}", "web-b", true),
            ("a,b", "a,b", true),
            ("a+(b)", "a+(b)", true),
            ("*", "two\nlines", true),
        ];
        for (glob, name, expected) in table {
            let regex = regex::Regex::new(&to_regex(glob).unwrap()).unwrap();
            assert_eq!(regex.is_match(name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn invalid_globs_say_what_is_missing() {
        let table = [
            ("web[", "missing `]`"),
            ("[]", "missing `]`"),
            ("[b-a]", "empty range `b-a`"),
            ("{a,b", "missing `}`"),
            ("a}", "`}` without `{`"),
        ];
        for (glob, expected) in table {
            assert_eq!(to_regex(glob).unwrap_err().to_string(), expected, "{glob}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_valid_glob_is_a_valid_regex(glob in "[\\PC\\[\\]{},*?!^&~-]{0,12}") {
            if let Ok(regex) = to_regex(&glob) {
                assert!(regex::Regex::new(&regex).is_ok(), "{glob} {regex}");
            }
        }
    }
}
