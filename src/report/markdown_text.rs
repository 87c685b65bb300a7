//! Markdown as GitHub reads it, with text in it that nobody has checked, up to a limit of bytes.

/// Text as code within a line.
pub fn code(text: &str) -> String {
    let text = text.trim().replace(['\n', '\r'], " ");
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    // A space keeps backticks of the text apart from ours, and is not shown.
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Text as a block of code. In the middle of a very long one, something is left out.
pub fn block(text: &str) -> String {
    const LINES: usize = 100;
    const BYTES: usize = 8 * 1024;
    let text = abridged(text.trim_end().trim_start_matches('\n'), LINES, BYTES);
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("{fence}text\n{text}\n{fence}\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// The first and the last lines of a text, and of these the first and the last bytes.
pub fn abridged(text: &str, most_lines: usize, most_bytes: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let text = match lines.len().checked_sub(most_lines) {
        None | Some(0) => text.to_owned(),
        Some(surplus) => {
            let (first, rest) = lines.split_at(most_lines / 2);
            let left_out = format!("… {surplus} more lines …");
            [first, &[&*left_out], &rest[surplus..]].concat().join("\n")
        }
    };
    if text.len() <= most_bytes {
        return text;
    }
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let first = (0..=most_bytes / 2).rev().find(is_boundary).unwrap_or_default();
    let last = (text.len() - most_bytes / 2..).find(is_boundary).unwrap_or(text.len());
    format!("{} … {} more bytes … {}", &text[..first], last - first, &text[last..])
}

/// A text that grows by whole blocks as long as they fit.
pub struct BoundedText {
    text: String,
    limit: usize,
}

impl BoundedText {
    pub fn new(limit: usize) -> BoundedText {
        BoundedText { text: String::new(), limit }
    }

    /// Adds a block, unless the text would get longer than its limit.
    pub fn add(&mut self, block: &str) -> bool {
        self.add_within(self.limit, block)
    }

    /// Adds an empty line, unless there is one.
    pub fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.add("\n");
        }
    }

    /// Adds blocks until one does not fit into this share of the limit; returns how many were added.
    pub fn add_all(&mut self, share: f64, blocks: impl IntoIterator<Item = String>) -> usize {
        let share = (self.limit as f64 * share) as usize;
        let limit = self.limit.min(self.text.len() + share);
        blocks.into_iter().take_while(|block| self.add_within(limit, block)).count()
    }

    fn add_within(&mut self, limit: usize, block: &str) -> bool {
        let fits = self.text.len() + block.len() <= limit;
        if fits {
            self.text.push_str(block);
        }
        fits
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_where_it_should() {
        let table = [
            ("shop::a", "`shop::a`"),
            ("a`b", "``a`b``"),
            ("`a``", "``` `a`` ```"),
            ("a\nb", "`a b`"),
            ("*a* <b> | [c](d)", "`*a* <b> | [c](d)`"),
            (" ", "(empty)"),
        ];
        for (text, expected) in table {
            assert_eq!(code(text), expected);
        }
    }

    #[test]
    fn no_text_ends_its_block() {
        assert_eq!(block("\na\n```\nb\n"), "````text\na\n```\nb\n````\n");
        assert_eq!(block("a"), "```text\na\n```\n");
    }

    #[test]
    fn the_middle_of_a_long_text_is_left_out() {
        assert_eq!(abridged("1\n2\n3\n4\n5", 4, 100), "1\n2\n… 1 more lines …\n4\n5");
        assert_eq!(abridged("1\n2\n3\n4", 4, 100), "1\n2\n3\n4");
        assert_eq!(abridged("ääääää", 4, 7), "ä … 8 more bytes … ä");
    }

    #[test]
    fn a_text_keeps_to_its_limit() {
        let mut text = BoundedText::new(10);
        assert!(text.add("1234"));
        assert_eq!(text.add_all(0.4, ["56", "78", "9"].map(str::to_owned)), 2);
        assert!(!text.add("abc") && text.add("ab"));
        assert_eq!(text.into_text(), "12345678ab");
    }
}
