//! Whether a binary with `harness = false` answers libtest's `--list`, from the binary itself.
//!
//! It must not be run to find out: one that ignores its arguments would run its tests.

use std::path::Path;

use object::SectionKind;
use object::read::{Object, ObjectSection, ReadRef};

use super::file_parts::FileParts;
use super::statics;

/// The last word of `--list --format terse`, which a binary that reads those arguments contains.
const WORD: &[u8] = b"terse";

/// Before the word, it is a part of `intersect`, which every binary with Unicode tables contains.
const OTHER_BEGINNING: &[u8] = b"in";

/// Whether the binary seems to support `--list --format terse`.
pub fn answers_list(executable: &Path) -> bool {
    let Ok(executable) = FileParts::open(executable) else { return false };
    has_constant(&executable) && statics::reads_arguments(&executable)
}

/// Whether the word is among the constants; of a file whose format is not known, anywhere.
fn has_constant(executable: &FileParts) -> bool {
    let Ok(object) = object::File::parse(executable) else {
        let all = executable.len().and_then(|length| executable.read_bytes_at(0, length));
        return all.is_ok_and(has_word);
    };
    let is_constant =
        |kind| matches!(kind, SectionKind::ReadOnlyData | SectionKind::ReadOnlyString);
    let constants = object.sections().filter(|section| is_constant(section.kind()));
    constants.filter_map(|section| section.data().ok()).any(has_word)
}

fn has_word(bytes: &[u8]) -> bool {
    let mut found = memchr::memmem::find_iter(bytes, WORD);
    found.any(|at| !bytes[..at].ends_with(OTHER_BEGINNING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_no_part_of_another() {
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
            assert_eq!(has_word(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_file_of_an_unknown_format_is_searched_as_a_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, expected) in [("MZ ... terse ...", true), ("MZ ... intersect", false)] {
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(answers_list(file.path()), expected, "{content}");
        }
    }

    #[test]
    fn what_cannot_be_read_answers_nothing() {
        assert!(!answers_list(Path::new("/nowhere")));
        assert!(!answers_list(Path::new("/")));
    }
}
