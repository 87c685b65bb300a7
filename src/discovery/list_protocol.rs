//! Whether a binary with `harness = false` answers libtest's `--list`, from the binary itself.
//!
//! It must not be run to find out: one that ignores its arguments would run its tests.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::statics;

/// The last word of `--list --format terse`, which a binary that reads those arguments contains.
const WORD: &[u8] = b"terse";

/// Before the word, it is a part of `intersect`, which every binary with Unicode tables contains.
const OTHER_BEGINNING: &[u8] = b"in";

/// How much is read at once: an executable as a whole takes more time to make room for than to search.
const PART: usize = 256 * 1024;

/// Whether the binary seems to support `--list --format terse`.
pub fn answers_list(executable: &Path) -> bool {
    let has_word = File::open(executable).and_then(|file| has_word(file, PART));
    has_word.unwrap_or(false) && statics::reads_arguments(executable)
}

/// Searches parts of this size, each with the end of the one before it.
fn has_word(mut file: impl Read, part: usize) -> io::Result<bool> {
    const KEPT: usize = OTHER_BEGINNING.len() + WORD.len() - 1;
    let mut buffer = vec![0; KEPT + part];
    let mut kept = 0;
    loop {
        let read = match file.read(&mut buffer[kept..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = kept + read;
        let bytes = &buffer[..end];
        // What is kept has no whole word that was not found before.
        let mut new = memchr::memmem::find_iter(bytes, WORD).filter(|at| at + WORD.len() > kept);
        if new.any(|at| !bytes[..at].ends_with(OTHER_BEGINNING)) {
            return Ok(true);
        }
        kept = end.min(KEPT);
        buffer.copy_within(end - kept..end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_wherever_parts_are_cut() {
        let table: [(&[u8], bool); 9] = [
            (b"terse", true),
            (b"...terse...", true),
            (b"interse", false),
            (b"...intersect...", false),
            (b"..intersect.intersect..", false),
            (b"..intersect..terse..", true),
            (b"nterse", true),
            (b"ters", false),
            (b"", false),
        ];
        for (bytes, expected) in table {
            for part in 1..=bytes.len() + 1 {
                let found = has_word(bytes, part).unwrap();
                assert_eq!(found, expected, "{} in parts of {part}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_cannot_be_read_answers_nothing() {
        assert!(!answers_list(Path::new("/nowhere")));
        assert!(!answers_list(Path::new("/")));
    }
}
