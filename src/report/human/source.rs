//! The line of the source where a test failed, with those around it.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::model::printable::printable;
use crate::report::human::page::Page;

/// How many lines are shown before and after it.
const AROUND: usize = 2;
/// A file that is larger than this was not written by hand.
const LARGEST: u64 = 1 << 22;

/// A place as a panic names it: `src/lib.rs:29:9`.
#[derive(Debug, PartialEq)]
pub struct Place<'p> {
    pub path: &'p str,
    pub line: usize,
    pub column: Option<usize>,
}

impl<'p> Place<'p> {
    pub fn parse(text: &'p str) -> Option<Place<'p>> {
        let (rest, column) = text.rsplit_once(':')?;
        let column = Some(column.parse().ok()?);
        Some(Place { column, ..Place::of_line(rest)? })
    }

    /// `src/lib.rs:29`, as a frame of a stack names it.
    pub fn of_line(text: &'p str) -> Option<Place<'p>> {
        let (path, line) = text.rsplit_once(':')?;
        Some(Place { path, line: line.parse().ok()?, column: None })
    }

    /// The file, if it is one of the workspace and has not changed since the test was built.
    fn file(&self, root: &Path, built: Option<SystemTime>) -> Option<PathBuf> {
        let path = Path::new(self.path);
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let (root, path) = (root.canonicalize().ok()?, root.join(path).canonicalize().ok()?);
        let metadata = path.metadata().ok().filter(|metadata| metadata.is_file())?;
        let is_as_built = metadata.modified().ok()? <= built?;
        let is_ours = path.starts_with(root) && metadata.len() <= LARGEST;
        (is_as_built && is_ours).then_some(path)
    }
}

/// A file that can be shown, and the place in it.
pub struct Excerpt<'p> {
    text: String,
    place: Place<'p>,
}

impl<'p> Excerpt<'p> {
    /// None where the file cannot be read, or has no such line.
    pub fn read(place: Place<'p>, root: &Path, built: Option<SystemTime>) -> Option<Excerpt<'p>> {
        let text = printable(&std::fs::read(place.file(root, built)?).ok()?);
        let has_line = (1..=text.split('\n').count()).contains(&place.line);
        has_line.then_some(Excerpt { text, place })
    }

    /// `src/lib.rs:29`
    pub fn line(&self) -> String {
        format!("{}:{}", self.place.path, self.place.line)
    }
}

/// Adds the lines around the place.
pub fn show(page: &mut Page, excerpt: &Excerpt<'_>) {
    let Excerpt { text, place } = excerpt;
    let lines: Vec<&str> = text.split('\n').collect();
    page.gap();
    let first = place.line.saturating_sub(AROUND).max(1);
    let last = (place.line + AROUND).min(lines.len());
    let digits = last.to_string().len();
    for (number, line) in (first..=last).zip(&lines[first - 1..last]) {
        let is_it = number == place.line;
        let mark = if is_it { page.paint.bad(">") } else { " ".to_owned() };
        let margin = page.paint.faint(&format!("{number:>digits$} |"));
        let margin = format!("  {mark} {margin} ");
        let caret = caret(line, place.column).filter(|_| is_it);
        let (line, caret) = fitted(&line.replace('\t', "    "), caret, page.room(&margin));
        let line = if is_it { page.paint.strong(&line) } else { line };
        page.line(&format!("{margin}{line}"));
        if let Some(caret) = caret {
            let margin = page.paint.faint(&format!("{:digits$} |", ""));
            let caret = page.paint.bad(&format!("{}^", " ".repeat(caret)));
            page.line(&format!("    {margin} {caret}"));
        }
    }
    page.gap();
}

/// Where a caret stands below the column, if that is not the line's first word.
fn caret(line: &str, column: Option<usize>) -> Option<usize> {
    let before: String = line.chars().take(column?.checked_sub(1)?).collect();
    let width = console::measure_text_width(&before.replace('\t', "    "));
    (!before.trim().is_empty()).then_some(width)
}

/// The part of a line that fits, with the caret in it.
fn fitted(line: &str, caret: Option<usize>, room: Option<usize>) -> (String, Option<usize>) {
    let Some(room) = room.filter(|room| console::measure_text_width(line) > *room) else {
        return (line.to_owned(), caret);
    };
    let cut = |text: &str| console::truncate_str(text, room, "…").into_owned();
    match caret.filter(|caret| *caret + 1 >= room) {
        None => (cut(line), caret),
        Some(caret) => {
            let left_out = caret - room / 2;
            // Columns and characters are nearly always the same in source code.
            let rest: String = line.chars().skip(left_out).collect();
            (cut(&format!("…{rest}")), Some(caret - left_out + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::Paint;

    fn shown(path: &Path, place: &str, built: Option<SystemTime>) -> String {
        let mut page = Page::new(Paint(false), None);
        let excerpt = Excerpt::read(Place::parse(place).unwrap(), path, built);
        excerpt.iter().for_each(|excerpt| show(&mut page, excerpt));
        page.into_text()
    }

    #[test]
    fn two_lines_are_shown_before_and_after() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.rs"), "1\n2\n3\n\tf(x).unwrap();\n5\n").unwrap();
        let built = Some(SystemTime::now() + std::time::Duration::from_secs(1));
        let expected = "    2 | 2\n    3 | 3\n  > 4 |     f(x).unwrap();\n      |          ^\n    5 | 5\n    6 |\n\n";
        assert_eq!(shown(root.path(), "a.rs:4:7", built), expected);
        let first = shown(root.path(), "a.rs:1:1", built);
        assert!(first.starts_with("  > 1 | 1\n    2 | 2\n"), "{first}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}b.unwrap(){}", "a".repeat(50), "c".repeat(50));
        let (cut, _) = fitted(&line, None, Some(30));
        assert_eq!(cut, format!("{}…", "a".repeat(29)));
        let (cut, caret) = fitted(&line, Some(52), Some(30));
        assert_eq!(cut.chars().nth(caret.unwrap()), Some('u'), "{cut}");
        assert!(cut.starts_with('…') && cut.ends_with('…') && cut.chars().count() == 30, "{cut}");
        assert_eq!(fitted("short", Some(1), Some(30)), ("short".to_owned(), Some(1)));
    }

    #[test]
    fn a_file_that_is_not_what_was_built_is_not_shown() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("package");
        std::fs::create_dir(&package).unwrap();
        for path in [root.path().join("outside.rs"), package.join("a.rs")] {
            std::fs::write(path, "1\n").unwrap();
        }
        let built = Some(SystemTime::now() + std::time::Duration::from_secs(1));
        let outside = format!("{}:1:1", root.path().join("outside.rs").display());
        for place in ["../outside.rs:1:1", &outside, "none.rs:1:1", "a.rs:9:1", "a.rs:0:1", ".:1:1"]
        {
            assert_eq!(shown(&package, place, built), "", "{place}");
        }
        assert_eq!(shown(&package, "a.rs:1:1", Some(SystemTime::UNIX_EPOCH)), "");
        assert_eq!(shown(&package, "a.rs:1:1", None), "");
        assert!(!shown(&package, "a.rs:1:1", built).is_empty());
    }
}
