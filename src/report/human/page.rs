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
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A line behind a margin, which its continuations have too.
    pub fn behind(&mut self, margin: &str, line: &str) {
        /// A terminal that is narrower than this wraps better by itself.
        const LEAST: usize = 20;
        let margin_width = console::measure_text_width(margin);
        let room = self.columns.map(|columns| columns.saturating_sub(margin_width));
        match room.filter(|room| *room >= LEAST) {
            Some(room) => {
                for part in wrapped(line, room) {
                    self.line(&format!("{margin}{part}"));
                }
            }
            None => self.line(&format!("{margin}{line}")),
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

    pub fn into_text(self) -> String {
        self.text
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
                if !style.is_empty() {
                    push(&mut parts, "\x1b[0m");
                }
                parts.push(style.clone());
                width = 0;
            }
            push(&mut parts, character);
            width += wide;
        }
    }
    parts
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
        assert_eq!(page.into_text(), "  | 0123456789 0123456789 012345\n  | 6789\n");
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
