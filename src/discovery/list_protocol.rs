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

/// In the paths of source files that panics of `libtest-mimic` would print, before its version.
const MIMIC: &[u8] = b"libtest-mimic-";

/// The first version that can log as JSON: major and minor.
const FIRST_MIMIC: (u32, u32) = (0, 7);

/// What a custom harness seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSupport {
    /// It does not read `--list --format terse`.
    None,
    /// It reads these arguments.
    Arguments,
    /// It is built on a `libtest-mimic` that runs many tests in a process and logs them.
    Mimic,
}

/// Whether the binary seems to support `--list --format terse`, and whose arguments it reads.
pub fn list_support(executable: &Path) -> ListSupport {
    let Ok(executable) = FileParts::open(executable) else { return ListSupport::None };
    match support_by_constants(&executable) {
        ListSupport::Arguments | ListSupport::Mimic if !statics::reads_arguments(&executable) => {
            ListSupport::None
        }
        support => support,
    }
}

/// Looks among the constants; in a file whose format is not known, anywhere.
fn support_by_constants(executable: &FileParts) -> ListSupport {
    let Ok(object) = object::File::parse(executable) else {
        let all = executable.len().and_then(|length| executable.read_bytes_at(0, length));
        return support_by(all.ok());
    };
    let is_constant =
        |kind| matches!(kind, SectionKind::ReadOnlyData | SectionKind::ReadOnlyString);
    let constants = object.sections().filter(|section| is_constant(section.kind()));
    support_by(constants.filter_map(|section| section.data().ok()))
}

fn support_by<'c>(constants: impl IntoIterator<Item = &'c [u8]>) -> ListSupport {
    let (mut has_word, mut is_mimic) = (false, false);
    for bytes in constants {
        has_word = has_word || contains_word(bytes);
        is_mimic = is_mimic || contains_mimic(bytes);
    }
    match (has_word, is_mimic) {
        (false, _) => ListSupport::None,
        (true, false) => ListSupport::Arguments,
        (true, true) => ListSupport::Mimic,
    }
}

fn contains_word(bytes: &[u8]) -> bool {
    let mut found = memchr::memmem::find_iter(bytes, WORD);
    found.any(|at| !bytes[..at].ends_with(OTHER_BEGINNING))
}

fn contains_mimic(bytes: &[u8]) -> bool {
    let mut found = memchr::memmem::find_iter(bytes, MIMIC);
    found.any(|at| version(&bytes[at + MIMIC.len()..]).is_some_and(|it| it >= FIRST_MIMIC))
}

/// Major and minor of a version that the bytes begin with, such as `0.8.2/src/lib.rs`.
fn version(bytes: &[u8]) -> Option<(u32, u32)> {
    const LONGEST: usize = 16;
    let beginning = &bytes[..bytes.len().min(LONGEST)];
    let mut numbers = beginning.utf8_chunks().next()?.valid().split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
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
            assert_eq!(contains_word(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_file_of_an_unknown_format_is_searched_as_a_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let table = [
            ("MZ ... terse ...", ListSupport::Arguments),
            ("MZ ... libtest-mimic-0.8.2/src/lib.rs ... terse ...", ListSupport::Mimic),
            ("MZ ... libtest-mimic-0.7.0-x/src/lib.rs ... terse ...", ListSupport::Mimic),
            ("MZ ... libtest-mimic-1.0.0/src/lib.rs ... terse ...", ListSupport::Mimic),
            ("MZ ... libtest-mimic-0.6.1/src/lib.rs ... terse ...", ListSupport::Arguments),
            ("MZ ... libtest-mimic-17b0/ab3/src/lib.rs ... terse ...", ListSupport::Arguments),
            ("MZ ... libtest-mimic-0.8.2/src/lib.rs ... intersect", ListSupport::None),
            ("MZ ... intersect", ListSupport::None),
        ];
        for (content, expected) in table {
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(list_support(file.path()), expected, "{content}");
        }
    }

    #[test]
    fn what_cannot_be_read_answers_nothing() {
        assert_eq!(list_support(Path::new("/nowhere")), ListSupport::None);
        assert_eq!(list_support(Path::new("/")), ListSupport::None);
    }
}
