//! Untrusted text for a terminal.

/// Removes escape sequences that could move the cursor, set the title or hide a line.
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = console::strip_ansi_codes(&text);
    let show = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => '\n',
        c if is_unprintable(c) => '\u{fffd}',
        c => c,
    };
    plain.replace("\r\n", "\n").chars().map(show).collect()
}

/// The same for a name, which stays in its line.
pub fn printable_name(name: &str) -> String {
    printable(name.as_bytes()).replace('\n', "\u{fffd}")
}

/// The same, but for colors and the like, which stay. Each line ends with the style that it began
/// with.
pub fn printable_in_color(bytes: &[u8]) -> String {
    const RESET: &str = "\x1b[0m";
    let text = String::from_utf8_lossy(bytes);
    let (mut shown, mut style) = (String::new(), String::new());
    for (piece, is_escape) in console::AnsiCodeIterator::new(&text) {
        if is_escape && is_style(piece) {
            match piece {
                RESET | "\x1b[m" => style.clear(),
                set => style.push_str(set),
            }
            shown.push_str(piece);
        } else if !is_escape && style.is_empty() {
            shown.push_str(&printable(piece.as_bytes()));
        } else if !is_escape {
            let begin = format!("{RESET}\n{style}");
            shown.push_str(&printable(piece.as_bytes()).replace('\n', &begin));
        }
    }
    if !style.is_empty() {
        shown.push_str(RESET);
    }
    shown
}

/// Whether this sets a style, and does not hide the text.
fn is_style(escape: &str) -> bool {
    const CONCEAL: &str = "8";
    let codes = escape.strip_prefix("\x1b[").and_then(|codes| codes.strip_suffix('m'));
    codes.is_some_and(|codes| {
        codes.chars().all(|c| c.is_ascii_digit() || c == ';')
            && codes.split(';').all(|code| code != CONCEAL)
    })
}

/// Whether a terminal does something else with it than to show it.
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || changes_direction(c)
}

/// Bidirectional control characters, which reorder the text that a terminal shows.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_of_a_test_may_stay_within_its_lines() {
        let shown =
            printable_in_color(b"a \x1b[31mred\nline\x1b[0m\x1b[2J\x1b[8mb\x1b]0;title\x07c\x08");
        assert_eq!(shown, "a \x1b[31mred\x1b[0m\n\x1b[31mline\x1b[0mbc\u{fffd}");
        assert_eq!(printable_in_color(b"\x1b[1mopen"), "\x1b[1mopen\x1b[0m");
    }

    #[test]
    fn escape_sequences_of_a_test_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{202e}b\u{2066}".as_bytes()), "a\u{fffd}b\u{fffd}");
        let shown = printable(b"\x1b[31mred\x1b[0m\x1b]0;title\x07 a\x08b \xff\r\nnext\rlast");
        assert!(!shown.contains('\x1b') && !shown.contains('\x07') && !shown.contains('\x08'));
        assert!(shown.contains("red") && shown.ends_with("\nnext\nlast"), "{shown:?}");
    }
}
