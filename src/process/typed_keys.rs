//! Keys, apart from text that is typed ahead for the shell. Pure.

/// What is typed alone, in small letters. Enter is one too.
const KEYS: &[u8] = b"hpqt?";

const ESCAPE: u8 = 0x1b;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
/// Ctrl-U.
const KILL: u8 = 0x15;

/// A line that does not begin with a key is text, up to Enter: `ls -t` is no question.
#[derive(Debug, Default)]
pub struct TypedKeys {
    text: Vec<u8>,
}

impl TypedKeys {
    pub const fn new() -> TypedKeys {
        TypedKeys { text: Vec::new() }
    }

    /// The keys among what was read at once, as one would type them with Enter after each, and lines
    /// of text.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut typed = Vec::new();
        let mut bytes = bytes.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\n' | b'\r' => typed.push(String::from_utf8_lossy(&self.take_text()).into()),
                &ESCAPE => skip_sequence(&mut bytes),
                &KILL => self.text.clear(),
                byte if BACKSPACE.contains(byte) => self.erase(),
                byte if self.text.is_empty() && KEYS.contains(byte) => {
                    typed.push(char::from(*byte).into());
                }
                byte if byte.is_ascii_control() => {}
                byte => self.text.push(*byte),
            }
        }
        typed
    }

    /// The text since the last Enter.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Erases the last character of the text.
    fn erase(&mut self) {
        const CONTINUES: std::ops::RangeInclusive<u8> = 0x80..=0xbf;
        while self.text.pop().is_some_and(|byte| CONTINUES.contains(&byte)) {}
    }
}

/// Skips the rest of what an arrow or a function key sends, which comes at once.
fn skip_sequence(bytes: &mut std::slice::Iter<'_, u8>) {
    const FINAL: std::ops::RangeInclusive<u8> = 0x40..=0x7e;
    if let Some(b'[' | b'O') = bytes.next() {
        bytes.find(|byte| FINAL.contains(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_text() {
        let table: [(&[&str], &[&str], &str); 10] = [
            (&["t"], &["t"], ""),
            (&["\n"], &[""], ""),
            (&["tt\np"], &["t", "t", "", "p"], ""),
            (&["l", "s", " -t"], &[], "ls -t"),
            (&["git", " push\n", "q"], &["git push", "q"], ""),
            (&["\x1b[A", "q", "\x1b[1;5Cp\x1bOPt\x1b", "h"], &["q", "p", "t", "h"], ""),
            (&["g", "\x7f", "q"], &["q"], ""),
            (&["gé\x7f"], &[], "g"),
            (&["make\x15h"], &["h"], ""),
            (&["\x04\x0ct\x7f"], &["t"], ""),
        ];
        for (read, expected, text) in table {
            let mut keys = TypedKeys::new();
            let typed: Vec<String> =
                read.iter().flat_map(|bytes| keys.take(bytes.as_bytes())).collect();
            assert_eq!(typed, expected, "{read:?}");
            assert_eq!(String::from_utf8(keys.take_text()).unwrap(), text, "{read:?}");
        }
    }
}
