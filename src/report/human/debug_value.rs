//! Values as `Debug` prints them in one line, broken up into lines for people.

/// A group without groups in it stays in one line up to this length.
const SHORT: usize = 60;
const INDENT: &str = "    ";

/// The lines of a text that is quoted, or those that `{:#?}` would print. None where the value is
/// neither, or has one line only.
pub fn lines(value: &str) -> Option<Vec<String>> {
    if let Some(text) = unquoted(value) {
        return text.contains('\n').then(|| text.split('\n').map(str::to_owned).collect());
    }
    if value.contains('\n') {
        return Some(value.lines().map(str::to_owned).collect());
    }
    let mut layout = Layout::default();
    let end = layout.group(value, 0)?;
    layout.finish_line();
    (end == value.len() && layout.lines.len() > 1).then_some(layout.lines)
}

/// The text of a string literal that is all of the value; only what can be shown is taken out of
/// its escapes.
fn unquoted(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if end_of_literal(value, 0)? != value.len() {
        return None;
    }
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next()? {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            quoted @ ('"' | '\'' | '\\') => text.push(quoted),
            other => text.extend(['\\', other]),
        }
    }
    Some(text)
}

/// Lines under construction.
#[derive(Default)]
struct Layout {
    lines: Vec<String>,
    line: String,
    depth: usize,
}

impl Layout {
    /// Takes what is inside of a bracket, or all of a value; returns where it ends.
    fn group(&mut self, value: &str, start: usize) -> Option<usize> {
        let mut at = start;
        while let Some(character) = value[at..].chars().next() {
            match character {
                '{' | '[' | '(' => {
                    let end = end_of_group(value, at)?;
                    let is_leaf = !value[at + 1..end].contains(['{', '[', '(']);
                    if is_leaf && end - at <= SHORT {
                        self.line.push_str(&value[at..=end]);
                    } else {
                        self.line.push(character);
                        self.begin_line(1);
                        let inner_end = self.group(value, at + 1)?;
                        self.end_group(value[inner_end..].chars().next()?);
                    }
                    at = end + 1;
                }
                '}' | ']' | ')' => return (self.depth > 0).then_some(at),
                ',' if self.depth > 0 => {
                    self.line.push(',');
                    self.begin_line(0);
                    at += 1;
                }
                ' ' if self.line.trim().is_empty() => at += 1,
                '"' | '\'' => {
                    let end = end_of_literal(value, at).unwrap_or(at + 1);
                    self.line.push_str(&value[at..end]);
                    at = end;
                }
                _ => {
                    self.line.push(character);
                    at += character.len_utf8();
                }
            }
        }
        Some(at)
    }

    fn begin_line(&mut self, deeper: usize) {
        self.finish_line();
        self.depth += deeper;
        self.line = INDENT.repeat(self.depth);
    }

    fn end_group(&mut self, bracket: char) {
        // As `{:#?}` does; so a value that is added at the end does not change the line before it.
        if !self.line.trim().is_empty() {
            self.line = format!("{},", self.line.trim_end());
        }
        self.depth -= 1;
        self.finish_line();
        self.line = INDENT.repeat(self.depth);
        self.line.push(bracket);
    }

    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.trim().is_empty() {
            self.lines.push(line.trim_end().to_owned());
        }
    }
}

/// Where the bracket at `start` is closed. None if brackets do not match, as a `Debug` of one's own
/// may have it.
fn end_of_group(value: &str, start: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut at = start;
    while let Some(character) = value[at..].chars().next() {
        match character {
            '{' => open.push('}'),
            '[' => open.push(']'),
            '(' => open.push(')'),
            '}' | ']' | ')' => {
                if open.pop() != Some(character) {
                    return None;
                }
                if open.is_empty() {
                    return Some(at);
                }
            }
            '"' | '\'' => {
                at = end_of_literal(value, at).unwrap_or(at + 1);
                continue;
            }
            _ => {}
        }
        at += character.len_utf8();
    }
    None
}

/// Behind the string or character literal at `start`. A single quote may as well be an apostrophe.
fn end_of_literal(value: &str, start: usize) -> Option<usize> {
    let mut characters = value[start..].char_indices();
    let (_, quote) = characters.next()?;
    let mut is_escaped = false;
    let mut length = 0;
    for (at, character) in characters {
        if !is_escaped && character == quote {
            return (quote == '"' || length > 0).then_some(start + at + 1);
        }
        is_escaped = !is_escaped && character == '\\';
        length += usize::from(!is_escaped);
        // `'\u{10ffff}'` is the longest one.
        if quote == '\'' && (length > 10 || (length > 1 && !value[start + 1..].starts_with('\\'))) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "printed by Debug")]
    struct Order {
        name: &'static str,
        lines: Vec<(u32, char)>,
        note: Option<&'static str>,
    }

    fn broken_up(value: &impl std::fmt::Debug) -> Vec<String> {
        lines(&format!("{value:?}")).unwrap()
    }

    #[test]
    fn a_structure_is_broken_up_like_the_alternate_format() {
        let order = Order { name: "a, {b}", lines: vec![(1, ','), (2, '\'')], note: None };
        let expected = "\
Order {
    name: \"a, {b}\",
    lines: [
        (1, ','),
        (2, '\\''),
    ],
    note: None,
}";
        assert_eq!(broken_up(&order), expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn a_value_that_is_added_changes_one_line() {
        let (two, three) = (broken_up(&[[1], [2]]), broken_up(&[[1], [2], [3]]));
        assert_eq!(two.len() + 1, three.len());
        assert!(two.iter().all(|line| three.contains(line)), "{two:?} {three:?}");
    }

    #[test]
    fn a_text_has_its_own_lines() {
        assert_eq!(lines(r#""one\n\ttwo \"three\"\n""#).unwrap(), ["one", "\ttwo \"three\"", ""]);
        assert_eq!(lines(r#""one \u{1b}""#), None);
        assert_eq!(lines(r#""one" and "two\n""#), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_as_it_is() {
        for value in ["it's (odd]", "(", "5", "Some(3)", "}{", "'", "\"", "a) b", "((1, 2)"] {
            assert_eq!(lines(value), None, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_read(value in "[\\PC\"'\\\\{}()\\[\\], ]*") {
            let read = lines(&value);
            // Broken up, nothing of it is lost but spaces, and nothing is added but commas.
            if let Some(read) = read.filter(|_| !value.starts_with('"')) {
                let bare = |text: &str| text.replace([' ', ','], "");
                proptest::prop_assert_eq!(bare(&read.concat()), bare(&value));
            }
        }
    }
}
