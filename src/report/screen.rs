//! Lines at the bottom of a terminal that are drawn again and again, below everything else.
//!
//! Between two draws the cursor rests at the start of the first of them: whatever becomes of the
//! others, as when a smaller window wraps them, is below the cursor and is overwritten or cleared. So
//! nothing has to be known of what the terminal has made of the last draw.

use std::io::{self, Write};

use console::Term;

/// Clears everything below the cursor.
const CLEAR: &str = "\r\u{1b}[J";

pub struct Screen {
    terminal: Term,
    /// What was drawn last, and into how large a window; nothing where the lines are cleared.
    drawn: Option<(Vec<String>, Size)>,
    /// Whether somebody else's line has no end yet: nothing is drawn into it.
    is_mid_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

impl Screen {
    pub fn stderr() -> Screen {
        Screen { terminal: Term::stderr(), drawn: None, is_mid_line: false }
    }

    pub fn size(&self) -> Size {
        let (rows, columns) = self.terminal.size();
        Size { rows: rows.into(), columns: columns.into() }
    }

    /// Draws the lines that `lines` makes for the window, if they or the window have changed.
    pub fn draw(&mut self, lines: impl FnOnce(Size) -> Vec<String>) {
        let size = self.size();
        let mut lines = lines(size);
        lines.truncate(size.rows.max(1));
        // A full last column would let some terminals wrap.
        let room = size.columns.saturating_sub(1);
        for line in &mut lines {
            *line = console::truncate_str(line, room, "…").into_owned();
        }
        let drawn = Some((lines, size));
        if self.is_mid_line || drawn == self.drawn {
            return;
        }
        if let Some((lines, _)) = &drawn {
            write(&frame(lines));
        }
        self.drawn = drawn;
    }

    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            write(CLEAR);
        }
    }

    /// Notes what somebody else has written to the terminal.
    pub fn note_written(&mut self, bytes: &[u8]) {
        self.is_mid_line = bytes.last().map_or(self.is_mid_line, |last| *last != b'\n');
    }
}

/// The lines over those that are there, without a moment in which there are none.
fn frame(lines: &[String]) -> String {
    let mut frame = String::from("\r");
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            frame.push_str("\r\n");
        }
        frame.push_str(line);
        frame.push_str("\u{1b}[K");
    }
    frame.push_str("\u{1b}[J\r");
    if lines.len() > 1 {
        frame.push_str(&format!("\u{1b}[{}A", lines.len() - 1));
    }
    frame
}

fn write(text: &str) {
    // A closed stderr does not stop the run.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A name that is cut at its left, where it says least, to this width.
pub fn cut_left(name: &str, width: usize) -> String {
    if console::measure_text_width(name) <= width {
        return name.to_owned();
    }
    let mut kept: Vec<char> = Vec::new();
    let mut room = width.saturating_sub(1);
    for character in name.chars().rev() {
        let taken = console::measure_text_width(character.encode_utf8(&mut [0; 4]));
        if taken > room {
            break;
        }
        room -= taken;
        kept.push(character);
    }
    std::iter::once('…').chain(kept.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_their_left() {
        let table = [
            ("api::auth::rejects", 18, "api::auth::rejects"),
            ("api::auth::rejects", 17, "…i::auth::rejects"),
            ("größe::漢字", 7, "…::漢字"),
            ("größe::漢字", 5, "…漢字"),
            ("größe::漢字", 4, "…字"),
            ("abc", 1, "…"),
        ];
        for (name, width, expected) in table {
            assert_eq!(cut_left(name, width), expected, "{name} in {width}");
            assert!(console::measure_text_width(&cut_left(name, width)) <= width);
        }
    }
}
