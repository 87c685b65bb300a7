//! Untrusted text for a terminal.

/// Removes escape sequences that could move the cursor, set the title or hide a line.
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = console::strip_ansi_codes(&text);
    let show = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => '\n',
        c if c.is_control() || changes_direction(c) => '\u{fffd}',
        c => c,
    };
    plain.replace("\r\n", "\n").chars().map(show).collect()
}

/// Bidirectional control characters, which reorder the text that a terminal shows.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_a_test_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{202e}b\u{2066}".as_bytes()), "a\u{fffd}b\u{fffd}");
        let shown = printable(b"\x1b[31mred\x1b[0m\x1b]0;title\x07 a\x08b \xff\r\nnext\rlast");
        assert!(!shown.contains('\x1b') && !shown.contains('\x07') && !shown.contains('\x08'));
        assert!(shown.contains("red") && shown.ends_with("\nnext\nlast"), "{shown:?}");
    }
}
