//! The text of matchers, with its escapes.

use std::fmt::Write;

/// Escapes of one letter. nextest knows the last two, and does not document them.
pub const ESCAPES: [(char, char); 9] = [
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('\\', '\\'),
    ('/', '/'),
    (')', ')'),
    (',', ','),
    ('b', '\u{8}'),
    ('f', '\u{c}'),
];

/// The text as it is written in an expression. Blanks at its ends would be skipped.
pub fn escaped(text: &str) -> String {
    let (first, last) = (0, text.char_indices().next_back().map_or(0, |(at, _)| at));
    let mut written = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let is_at_an_end = at == first || at == last;
        let letter = ESCAPES.iter().find(|(_, meaning)| *meaning == character);
        if let Some((letter, _)) = letter {
            written.extend(['\\', *letter]);
        } else if character.is_control() || (is_at_an_end && character.is_whitespace()) {
            // Writing to a string does not fail.
            let _ = write!(written, "\\u{{{:x}}}", u32::from(character));
        } else if at == first && matches!(character, '=' | '~' | '#') {
            let _ = write!(written, "\\u{{{:x}}}", u32::from(character));
        } else {
            written.push(character);
        }
    }
    written
}
