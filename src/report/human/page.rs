//! The lines of the report. In a terminal, a line that is too long is continued behind its margin.

use console::AnsiCodeIterator;

use crate::report::text::Paint;

/// The most lines of one text to show; the output file and JSON have all of them.
pub const LINES: usize = 200;

/// A text under construction.
#[derive(Debug)]
pub struct Page {
    text: String,
    pub paint: Paint,
    /// The columns of the terminal; none outside of one, where lines stay whole.
    pub columns: Option<usize>,
}

impl Page {
    pub fn new(paint: Paint, columns: Option<usize>) -> Page {
        Page { text: String::new(), paint, columns }
    }

    pub fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// An empty line, unless there is one already.
    pub fn gap(&mut self) {
        let has_one = self.text.ends_with("\n\n") || self.text == "\n";
        if !self.text.is_empty() && !has_one {
            self.text.push('\n');
        }
    }

    /// How many columns there are behind a margin; none where lines stay whole.
    pub fn room(&self, margin: &str) -> Option<usize> {
        /// A terminal that is narrower than this wraps better by itself.
        const LEAST: usize = 20;
        let margin = console::measure_text_width(margin);
        let room = self.columns.map(|columns| columns.saturating_sub(margin));
        room.filter(|room| *room >= LEAST)
    }

    /// A line behind a margin, whose bar its continuations have too.
    pub fn behind(&mut self, margin: &str, line: &str) {
        let Some(room) = self.room(margin) else {
            return self.line(&format!("{margin}{line}"));
        };
        let continued = console::strip_ansi_codes(margin).replace(|c: char| c != '|', " ");
        let continued = self.paint.faint(&continued);
        for (at, part) in wrapped(line, room).iter().enumerate() {
            let margin = if at == 0 { margin } else { &continued };
            self.line(&format!("{margin}{part}"));
        }
    }

    /// Lines behind a margin. In the middle of a very long text, lines are left out.
    pub fn all_behind<'l>(&mut self, margin: &str, lines: impl IntoIterator<Item = &'l str>) {
        let lines: Vec<&str> = lines.into_iter().collect();
        let surplus = lines.len().saturating_sub(LINES);
        for (at, line) in lines.iter().enumerate() {
            if surplus > 0 && at == LINES / 2 {
                let left_out = self.paint.faint(&format!("… {surplus} more lines …"));
                self.line(&format!("{margin}{left_out}"));
            }
            let is_cut = surplus > 0 && (LINES / 2..LINES / 2 + surplus).contains(&at);
            if !is_cut {
                self.behind(margin, line);
            }
        }
    }

    /// Names of units, fixtures and threads are in it as they were given.
    pub fn into_text(self) -> String {
        self.paint.printable(&self.text)
    }
}

/// The parts of a line that each fit into so many columns; a style that is set continues.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    if line.len() <= columns || console::measure_text_width(line) <= columns {
        return vec![line.to_owned()];
    }
    let mut parts = vec![String::new()];
    let (mut width, mut style) = (0, String::new());
    for (piece, is_escape) in AnsiCodeIterator::new(line) {
        if is_escape {
            match piece {
                "\x1b[0m" => style.clear(),
                set => style.push_str(set),
            }
            push(&mut parts, piece);
            continue;
        }
        for character in piece.chars() {
            let mut buffer = [0; 4];
            let character: &str = character.encode_utf8(&mut buffer);
            let wide = console::measure_text_width(character);
            if width + wide > columns {
                let word = parts.last_mut().map(take_word).unwrap_or_default();
                if !style.is_empty() {
                    push(&mut parts, "\x1b[0m");
                }
                width = console::measure_text_width(&word);
                parts.push(format!("{style}{word}"));
            }
            push(&mut parts, character);
            width += wide;
        }
    }
    parts
}

/// Takes the word off that the next part begins with; empty where it would be a long one.
fn take_word(part: &mut String) -> String {
    const LONG: usize = 20;
    match part.rfind(' ') {
        Some(space) if part.len() - space <= LONG && !part[space..].contains('\x1b') => {
            part.split_off(space + 1)
        }
        _ => String::new(),
    }
}

fn push(parts: &mut [String], text: &str) {
    if let Some(last) = parts.last_mut() {
        last.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_continued_behind_its_margin() {
        let mut page = Page::new(Paint(false), Some(32));
        page.behind("  | ", "0123456789 0123456789 0123456789");
        page.behind("  | ", &"0123456789".repeat(3));
        let expected =
            "  | 0123456789 0123456789\n  | 0123456789\n  | 0123456789012345678901234567\n  | 89\n";
        assert_eq!(page.into_text(), expected);
        let mut page = Page::new(Paint(false), Some(32));
        page.behind("  > 7 | ", &"x".repeat(30));
        page.behind(" left: ", &"x".repeat(30));
        let expected =
            format!("  > 7 | {0}\n      | xxxxxx\n left: {0}x\n       xxxxx\n", "x".repeat(24));
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn a_style_ends_with_the_line_and_begins_again_with_the_next() {
        let parts = wrapped("ab\x1b[31mcdef\x1b[0mg", 4);
        assert_eq!(parts, ["ab\x1b[31mcd\x1b[0m", "\x1b[31mef\x1b[0mg"]);
    }

    #[test]
    fn outside_of_a_terminal_lines_stay_whole() {
        let mut page = Page::new(Paint(false), None);
        page.behind("  | ", &"x".repeat(300));
        assert_eq!(page.into_text().lines().count(), 1);
    }

    #[test]
    fn wide_characters_count_as_what_they_take() {
        assert_eq!(wrapped("日本語", 4), ["日本", "語"]);
    }
}
