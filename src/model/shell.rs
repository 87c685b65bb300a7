//! Shell quoting.

use super::printable::is_unprintable;

/// Joins the words of a command, quoted so that they can be pasted into a shell from a terminal.
pub fn shell_line(words: &[String]) -> String {
    let word = |word: &String| match word.contains(is_unprintable) {
        true => format!("$'{}'", word.chars().map(escaped).collect::<String>()),
        false => quoted(word),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A word of a script for any shell, quoted if needed.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=/.,:@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// As bash, ksh and zsh read it behind `$'`.
fn escaped(c: char) -> String {
    match c {
        '\'' | '\\' => format!("\\{c}"),
        // Three digits: what follows may be one.
        c if c.is_ascii_control() => format!("\\{:03o}", c as u32),
        c if is_unprintable(c) => format!("\\u{:04x}", c as u32),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("auth::rejects"), "auth::rejects");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
        let line = shell_line(&["a b".into(), "it's\n\\ \u{1b}[2Jä\u{202e}".into()]);
        assert_eq!(line, r"'a b' $'it\'s\012\\ \033[2Jä\u202e'");
    }
}
