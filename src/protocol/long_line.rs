//! A line of libtest's JSON that comes in pieces. It carries all that a test has printed, and
//! may be longer than anybody wants to keep: then its middle is left out, and the text that
//! stands in it goes to a file, letter by letter as it was printed.

use std::sync::Arc;

use crate::model::output_file::{OutputFileWriter, OutputFiles};

/// What is kept of each end of a line.
pub const LONGEST: usize = 512 * 1024;

/// Where the text begins that a test has printed. In no name does it occur: quotes are escaped
/// there.
const TEXT: &[u8] = b"\"stdout\": \"";

/// The beginning of a line.
#[derive(Debug, Default)]
pub struct LongLine {
    pub bytes: Vec<u8>,
    /// What the bytes do not have, once that is something.
    pub shortened: Shortened,
    reader: Option<TextReader>,
    /// How long it was when it was shortened, doubled.
    shortened_at: usize,
}

/// What was left out of a line.
#[derive(Debug, Default)]
pub struct Shortened {
    pub left_out: usize,
    /// All of the text, where there is a place for it.
    pub file: Option<OutputFileWriter>,
}

impl LongLine {
    pub fn push(&mut self, bytes: &[u8], output_files: Option<&Arc<OutputFiles>>) {
        self.bytes.extend_from_slice(bytes);
        if let Some(reader) = &mut self.reader {
            reader.read(bytes, &mut self.shortened.file);
        }
        if self.bytes.len() > self.shortened_at.max(4 * LONGEST) {
            self.begin_file(output_files);
            self.shortened.left_out += shorten(&mut self.bytes);
            // Where nothing can be cut, it is not tried again for each piece.
            self.shortened_at = 2 * self.bytes.len();
        }
    }

    fn begin_file(&mut self, output_files: Option<&Arc<OutputFiles>>) {
        let begin = self.bytes.windows(TEXT.len()).position(|window| window == TEXT);
        if let (None, Some(begin)) = (&self.reader, begin) {
            self.shortened.file = output_files.and_then(OutputFiles::begin);
            let mut reader = TextReader::default();
            reader.read(&self.bytes[begin + TEXT.len()..], &mut self.shortened.file);
            self.reader = Some(reader);
        }
    }
}

/// Leaves out the middle of a line of JSON. Only a text can be so long, and the cuts are where
/// no escape and no letter of several bytes is torn. Returns how much it was.
fn shorten(line: &mut Vec<u8>) -> usize {
    // The longest escape is `\u001b`.
    let is_whole = |at: &usize| {
        let (before, next) = (&line[at - 6..*at], line[*at]);
        let is_within_letter = next & 0xc0 == 0x80;
        let begins_escape = next == b'\\' && before[5] != b'\\';
        !is_within_letter && (begins_escape || !before.contains(&b'\\'))
    };
    let middle = LONGEST..line.len() - LONGEST;
    let (Some(from), Some(to)) =
        (middle.clone().find(is_whole), middle.clone().rev().find(is_whole))
    else {
        return 0;
    };
    // What an escape stands for is one byte, as a rule of two.
    let left_out = line.drain(from..to.max(from)).filter(|byte| *byte != b'\\');
    left_out.count()
}

/// Reads a text of JSON in pieces.
#[derive(Debug, Default)]
struct TextReader {
    /// An escape that is not whole yet.
    escape: Vec<u8>,
    has_ended: bool,
}

impl TextReader {
    fn read(&mut self, mut bytes: &[u8], to: &mut Option<OutputFileWriter>) {
        let Some(to) = to else { return };
        while let (false, [first, rest @ ..]) = (self.has_ended, bytes) {
            if !self.escape.is_empty() || *first == b'\\' {
                self.escape.push(*first);
                self.end_escape(to);
                bytes = rest;
                continue;
            }
            let plain = memchr::memchr2(b'\\', b'"', bytes).unwrap_or(bytes.len());
            to.write(&bytes[..plain]);
            bytes = &bytes[plain..];
            self.has_ended = bytes.first() == Some(&b'"');
        }
    }

    fn end_escape(&mut self, to: &mut OutputFileWriter) {
        let letter = match &*self.escape {
            [_] | [_, b'u'] => return,
            [_, b'u', digits @ ..] if digits.len() < 4 => return,
            [_, b'u', digits @ ..] => {
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                let number = u32::from_str_radix(digits, 16).unwrap_or(u32::MAX);
                // libtest writes control characters so, and nothing else.
                char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            [_, b'n', ..] => '\n',
            [_, b't', ..] => '\t',
            [_, b'r', ..] => '\r',
            [_, b'b', ..] => '\u{8}',
            [_, b'f', ..] => '\u{c}',
            [_, other, ..] => char::from(*other),
            [] => return,
        };
        to.write(letter.encode_utf8(&mut [0; 4]).as_bytes());
        self.escape.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::libtest::tests::in_chunks;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
        #[test]
        fn the_text_of_a_line_is_in_the_file_as_it_was_printed(
            piece in "(?s:.{1,40})[a-zé\"\\\\\u{1b}\n\r\t ]{1,40}",
            cuts in prop::collection::vec(0_usize..6 * LONGEST, 0..40),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let output_files = OutputFiles::new(dir.path()).unwrap();
            let printed = piece.repeat(5 * LONGEST / piece.len());
            let text = serde_json::to_string(&printed).unwrap();
            let name = serde_json::to_string("a\"stdout\": \"b").unwrap();
            let line = format!("{{ \"name\": {name}, \"stdout\": {text}, \"more\": \"x\" }}");
            let mut long = LongLine::default();
            for chunk in in_chunks(line.as_bytes(), cuts) {
                chunk.chunks(60_000).for_each(|chunk| long.push(chunk, Some(&output_files)));
            }
            let file = long.shortened.file.unwrap().finish().unwrap();
            file.keep("all");
            let found = std::fs::read_to_string(file.path().unwrap()).unwrap();
            prop_assert!(found == printed);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&long.bytes).is_ok());
        }
    }

    /// Nowhere are many letters together of which each is one byte.
    #[test]
    fn short_lines_and_other_alphabets_are_shortened_too() {
        for piece in ["    255,\n", "\u{1b}", "жук", "\"\\\"", "\n"] {
            let printed = piece.repeat(6 * LONGEST / piece.len());
            let line = format!("{{ \"stdout\": {}", serde_json::to_string(&printed).unwrap());
            let mut long = LongLine::default();
            for chunk in line.as_bytes().chunks(60_000) {
                long.push(chunk, None);
                assert!(long.bytes.len() < 5 * LONGEST, "{piece:?}");
            }
            assert!(long.shortened.left_out > 0, "{piece:?}");
            let whole = [&*long.bytes, b"}"].concat();
            assert!(serde_json::from_slice::<serde_json::Value>(&whole).is_ok(), "{piece:?}");
        }
    }
}
