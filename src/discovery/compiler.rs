//! The version of Rust that a test binary was built with, from the binary itself.

use object::read::{Object, ObjectSection};

use super::file_parts::FileParts;

/// The oldest Rust that the agent supports. Before 1.85 it misses panics that nothing observes (seen
/// with 1.80); before 1.73 a binary does not record its compiler; before 1.68 the standard library
/// reads past the end of hidden arguments; and older libtests write `exec_time` as a string.
const OLDEST_FOR_AGENT: (u32, u32) = (1, 85);

/// Whether the agent supports this binary: all of it, including the standard library, was compiled
/// by a new enough Rust.
pub fn suits_agent(executable: &FileParts) -> bool {
    comment(executable).is_some_and(is_new_enough)
}

/// The `.comment` section, which `strip` keeps.
fn comment(executable: &FileParts) -> Option<&[u8]> {
    let object = object::File::parse(executable).ok()?;
    object.section_by_name(".comment")?.data().ok()
}

/// A zero-terminated line for each compiler: `rustc version 1.95.0 (59807616e 2026-04-14)`.
fn is_new_enough(comment: &[u8]) -> bool {
    let mut versions = comment.split(|byte| *byte == 0).filter_map(version).peekable();
    versions.peek().is_some() && versions.all(|version| version >= OLDEST_FOR_AGENT)
}

fn version(line: &[u8]) -> Option<(u32, u32)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut numbers = line.strip_prefix("rustc version ")?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    // A version that cannot be parsed is older than all others.
    Some(number().zip(number()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recorded_compilers_must_be_new_enough() {
        let table = [
            ("rustc version 1.85.0 (4d91de4e4 2025-02-17)\0", true),
            ("GCC: (Debian 12.2.0) 12.2.0\0rustc version 1.95.0 (59807616e 2026-04-14)\0", true),
            ("rustc version 1.97.0-nightly (0123456 2026-05-01)\0", true),
            ("rustc version 2.0.0 (0123456 2030-01-01)", true),
            ("rustc version 1.84.1 (e71f9a9a9 2025-01-27)\0", false),
            ("rustc version 1.95.0 (a)\0rustc version 1.80.1 (b)\0", false),
            ("rustc version new\0", false),
            ("GCC: (Debian 12.2.0) 12.2.0\0", false),
            ("", false),
        ];
        for (comment, expected) in table {
            assert_eq!(is_new_enough(comment.as_bytes()), expected, "{comment:?}");
        }
    }

    /// If compilers stopped recording their version, the agent would be disabled everywhere.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn this_binary_records_its_compiler() {
        let executable = std::env::current_exe().unwrap();
        assert!(suits_agent(&FileParts::open(&executable).unwrap()));
    }

    #[test]
    fn files_that_are_no_executables_record_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in ["", "no executable"] {
            std::fs::write(file.path(), content).unwrap();
            assert!(!suits_agent(&FileParts::open(file.path()).unwrap()));
        }
    }
}
