//! The Markdown of doc comments, read line by line as far as it takes to know whether there is an
//! example. It follows the CommonMark specification where that is a matter of one line, and in doubt
//! a line is one.

/// What the lines that were read say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// Prose, or a block of something else.
    Nothing,
    /// Code if a line of the same docs has no space before its text, from which indentation counts.
    CodeIfFlush,
    /// What may be code.
    Code,
}

/// Where the lines of a doc comment have led.
#[derive(Default)]
pub struct DocText {
    /// Whether the last line is part of a paragraph, which an indented line continues.
    is_prose: bool,
    html: Html,
    /// The block of another language that the last line is in.
    block: Option<Block>,
}

impl DocText {
    /// Takes the next line, without its slashes.
    pub fn read(&mut self, line: &str) -> Found {
        if self.block.as_ref().is_some_and(|block| !block.holds(line)) {
            *self = DocText::default();
        }
        let marked = Marked::of(line);
        let Some(language) = language(marked.text) else {
            return if self.block.is_some() { Found::Nothing } else { self.read_text(&marked) };
        };
        if is_rust(language) {
            // Only the beginning of a block has a language.
            let closes = language.is_empty() && self.block.take().is_some();
            self.is_prose = false;
            return if closes { Found::Nothing } else { Found::Code };
        }
        if self.block.is_some() {
            return Found::Nothing;
        }
        // Within HTML or deep inside of lists, what looks like a fence may be none.
        self.block = Block::behind(&marked).filter(|_| self.html == Html::None);
        self.is_prose = false;
        if self.block.is_none() { Found::Code } else { marked.code() }
    }

    fn read_text(&mut self, line: &Marked<'_>) -> Found {
        let is_empty = line.text.is_empty() && line.marks.trim().is_empty();
        let found = if self.is_prose || is_empty { Found::Nothing } else { line.code() };
        self.html = self.html.then(line.text);
        self.is_prose = self.html == Html::None && is_prose(line.text);
        if line.is_code { Found::Code } else { found }
    }
}

/// What a line is in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Html {
    #[default]
    None,
    UntilEmptyLine,
    /// Until something that may also stand within a line, which is not looked for.
    Comment,
}

impl Html {
    /// Where the next line leads.
    fn then(self, text: &str) -> Html {
        const LONG: [&str; 6] = ["<!", "<?", "<pre", "<script", "<style", "<textarea"];
        let is_long = |start: &str| {
            text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
        };
        match self {
            Html::Comment => Html::Comment,
            _ if LONG.iter().any(|start| is_long(start)) => Html::Comment,
            _ if text.starts_with('<') => Html::UntilEmptyLine,
            Html::UntilEmptyLine if !text.is_empty() => Html::UntilEmptyLine,
            _ => Html::None,
        }
    }
}

/// A fenced block, which also ends where the quote or the item of a list that it is in ends.
struct Block {
    is_quoted: bool,
    /// How many spaces stand before the mark of the quote, or what is in the item.
    width: usize,
}

impl Block {
    /// Of the simple kinds only.
    fn behind(line: &Marked<'_>) -> Option<Block> {
        let is_simple = line.count < 2 && !line.marks.contains(['[', '\t']);
        let quote = line.marks.find('>');
        let width = quote.unwrap_or(line.marks.len());
        is_simple.then_some(Block { is_quoted: quote.is_some(), width })
    }

    /// Whether a line is sure to be inside.
    fn holds(&self, line: &str) -> bool {
        let text = line.trim_start_matches(' ');
        let width = line.len() - text.len();
        match self.is_quoted {
            true => text.starts_with('>') && width == self.width,
            // The mark of an item takes two characters, and it does not end at empty lines.
            false => self.width < 2 || width >= self.width || text.is_empty(),
        }
    }
}

/// A line that may begin with the marks of quotes, lists, tasks and footnotes.
struct Marked<'l> {
    /// The width of the space that it begins with.
    indent: usize,
    marks: &'l str,
    count: usize,
    /// Whether there is so much space behind one of the marks that code follows.
    is_code: bool,
    text: &'l str,
}

impl Marked<'_> {
    fn of(line: &str) -> Marked<'_> {
        let (indent, mut text) = without_space(line);
        let (mut is_code, mut count) = (false, 0);
        while let Some(rest) = without_mark(text) {
            let (space, behind) = without_space(rest);
            // One space belongs to a mark, except to that of a task.
            let least = if text.starts_with('[') { 4 } else { 5 };
            is_code |= space >= least && !behind.is_empty();
            count += 1;
            text = behind;
        }
        let marks = &line[..line.len() - text.len()];
        Marked { indent, marks, count, is_code, text }
    }

    /// What it is where no paragraph goes on.
    fn code(&self) -> Found {
        match self.indent {
            _ if self.is_code => Found::Code,
            5.. => Found::Code,
            4 => Found::CodeIfFlush,
            _ => Found::Nothing,
        }
    }
}

/// The width of the space that a text begins with, and the rest.
fn without_space(text: &str) -> (usize, &str) {
    let rest = text.trim_start_matches([' ', '\t']);
    let space = &text[..text.len() - rest.len()];
    (space.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum(), rest)
}

/// The rest of a text that begins with a mark.
fn without_mark(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('>') {
        return Some(rest);
    }
    let footnote = || text.strip_prefix("[^")?.split_once("]:").map(|(_, rest)| rest);
    let task = || ["[ ]", "[x]", "[X]"].iter().find_map(|mark| text.strip_prefix(mark));
    let numbered = || {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then(|| rest.strip_prefix(['.', ')']))?
    };
    let listed = || text.strip_prefix(['-', '*', '+']);
    let rest = footnote().or_else(task).or_else(numbered).or_else(listed)?;
    // Else it is a word of the text.
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
}

/// What is written behind the fence of a block, if this is one.
fn language(text: &str) -> Option<&str> {
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let behind = text.trim_start_matches(mark);
    let is_fence = text.len() - behind.len() >= 3 && !(mark == '`' && behind.contains('`'));
    is_fence.then(|| behind.trim())
}

/// Whether a text that is no HTML is sure to be part of a paragraph: no heading or rule.
fn is_prose(text: &str) -> bool {
    !text.starts_with('#') && text.contains(char::is_alphanumeric)
}

/// Whether a block with these words is a test. One with any word of rustdoc's may be.
fn is_rust(words: &str) -> bool {
    const WORDS: [&str; 5] = ["rust", "should_panic", "no_run", "test_harness", "compile_fail"];
    let is_rusts = |word: &str| {
        WORDS.contains(&word)
            || ["ignore", "edition", "standalone", "E0"].iter().any(|start| word.starts_with(start))
    };
    let mut all = words.split([',', ' ', '\t']).filter(|word| !word.is_empty()).peekable();
    // rustdoc reads attributes, comments and quoted words, Markdown reads entities.
    all.peek().is_none() || words.contains(['{', '(', '"', '&']) || all.any(is_rusts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Found {
        let mut docs = DocText::default();
        text.lines().map(|line| docs.read(line)).max().unwrap_or(Found::Nothing)
    }

    /// As rustdoc says.
    #[test]
    fn each_line_where_code_may_begin_is_found() {
        let texts = [
            " # Heading\n     let x = 1;",
            " Heading\n ===\n     let x = 1;",
            " Heading\n -\n     let x = 1;",
            " Text\n\n ---\n     let x = 1;",
            " Text\n * * *\n     let x = 1;",
            " > ---\n     let x = 1;",
            " <div>\n </div>\n\n     let x = 1;",
            " <!-- a comment -->\n     let x = 1;",
            " <!--\n a comment -->\n     let x = 1;",
            " <!--\n a\n\n comment -->\n     let x = 1;",
            " <pre>a\n </pre> b\n     let x = 1;",
            " |a|\n |-|\n |b|\n\n     let x = 1;",
            " ```text\n a\n ```\n     let x = 1;",
            " -     let x = 1;",
            " Text\n -     let x = 1;",
            " -\t\tlet x = 1;",
            " -\n       let x = 1;",
            " - # Heading\n       let x = 1;",
            " - [ ]    let x = 1;",
            " - - -     let x = 1;",
            " 1.     let x = 1;",
            " 1)     let x = 1;",
            " >     let x = 1;",
            " Text\n >     let x = 1;",
            " >\t\tlet x = 1;",
            " >>     let x = 1;",
            " - [ ] ```\n   let x = 1;\n   ```",
            " - 1. ```\n      let x = 1;\n      ```",
            " [^1]: ```\n     let x = 1;\n     ```",
            " [^a note]: Text\n\n     ```\n     let x = 1;",
            " : ~~~text\n ```\n let x = 1;",
            " Text\n\n     ```text\n     let x = 1;",
            " Text\n     ```text\n\n     let x = 1;",
            " ```text`\n\n     let x = 1;",
            " - ```text\n   a\n b\n   ```\n let x = 1;",
            " - ```text\n   a\n\n b\n\n     let x = 1;",
            " > ```text\n > a\n\n     let x = 1;",
            " > ```text\n      > let x = 1;",
            " - > ```text\n     a",
            " -\t```text\n     a",
            " <br>\n ```text\n\n     let x = 1;",
            " <!--\n ~~~text\n a -->\n     let x = 1;",
            " > ```text\n > a\n ```\n let x = 1;",
            " ```(a comment)\n let x = 1;",
            " ```\"rust\"\n let x = 1;",
            " ```&#114;ust\n let x = 1;",
            " ```,\n let x = 1;",
        ];
        for text in texts {
            assert_eq!(read(text), Found::Code, "{text}");
        }
    }

    #[test]
    fn what_is_no_code_is_not() {
        let texts = [
            " Text,\n     which goes on.",
            " Text of `Vec<u8>`,\n     which goes on.",
            " ```abnf\n;; a\n\n     b\n ```",
            " - a list\n   - in a list\n     - in a list\n       goes on\n 10. ten\n     goes on",
            " *    wide\n\n -\tlist\n\n 1.  one\n\n   goes on",
            " > a quote\n >  goes on\n     and on",
            " [^1]: A note\n     that goes on.",
            " | a | b |\n |---|---|\n | c | d |",
            " - ```text\n   ~a\n\n   ```\n 1. ~~~ toml\n        a = 1\n    ~~~",
            " > ```text\n >     a\n >\n > b\n > ```",
            " ```text\n\n         a\n ```\n ```custom,no-rust\n ```",
            " `a` ```b``` ***c*** - d\n # e\n f",
        ];
        for text in texts {
            assert_eq!(read(text), Found::Nothing, "{text}");
        }
    }

    #[test]
    fn four_spaces_are_code_where_another_line_has_none() {
        for text in ["a\n\n    let x = 1;", "a\n\n\tlet x = 1;", " # a\n    ```text"] {
            assert_eq!(read(text), Found::CodeIfFlush, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            lines in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(
                vec![" ", "\t", "é", "\u{2003}", ">", "-", "1.", "[^", "]:", "[x]", "```", "~~~", "a"],
            ), 0..8), 0..8),
        ) {
            read(&lines.iter().map(|words| words.concat() + "\n").collect::<String>());
        }
    }
}
