//! How two values differ: short ones one above the other with the words that differ, long ones line
//! by line.

use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use crate::report::human::debug_value;
use crate::report::human::page::Page;

/// How many lines are shown around those that differ.
const AROUND: usize = 3;
/// Longer values are broken up into lines.
const SHORT: usize = 60;
/// A comparison that takes longer than this is finished roughly.
const LONGEST: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// Adds both values, each line behind this indent.
pub fn show(page: &mut Page, indent: &str, left: &str, right: &str) {
    if left == right {
        return page.all_behind(&format!("{indent} both: "), [left]);
    }
    let is_short = |value: &str| value.len() <= SHORT && !value.contains('\n');
    let lines = |value: &str| {
        debug_value::lines(value).unwrap_or_else(|| value.lines().map(str::to_owned).collect())
    };
    let (left_lines, right_lines) = (lines(left), lines(right));
    let are_of_one_line = left_lines.len() <= 1 && right_lines.len() <= 1;
    let has_texts = [left, right].iter().any(|value| value.starts_with('"'));
    let are_texts = has_texts && !are_of_one_line;
    if are_of_one_line || (is_short(left) && is_short(right) && !are_texts) {
        return in_two_lines(page, indent, left, right);
    }
    line_by_line(page, indent, &left_lines, &right_lines);
}

fn in_two_lines(page: &mut Page, indent: &str, left: &str, right: &str) {
    let (old, new) = (words(left), words(right));
    let ops = compare(&old, &new);
    let is_marked = !page.paint.0 && (left.len() > SHORT / 2 || right.len() > SHORT / 2);
    for (side, name, words) in [(Side::Left, "left", &old), (Side::Right, "right", &new)] {
        let value = painted(page, side, words, &ops);
        let margin = format!("{indent}{name:>5}: ");
        let width = console::measure_text_width(&value);
        page.behind(&margin, &value);
        if is_marked && page.room(&margin).is_none_or(|room| width <= room) {
            page.line(&format!("{indent}       {}", marks(side, words, &ops)));
        }
    }
}

/// Without colors, carets below the words that differ.
fn marks(side: Side, words: &[&str], ops: &[DiffOp]) -> String {
    let changed = changed(side, words.len(), ops);
    let mark = |(word, is_changed): (&&str, &bool)| {
        let mark = if *is_changed { "^" } else { " " };
        mark.repeat(console::measure_text_width(word))
    };
    words.iter().zip(&changed).map(mark).collect()
}

fn line_by_line(page: &mut Page, indent: &str, left: &[String], right: &[String]) {
    let old: Vec<&str> = left.iter().map(String::as_str).collect();
    let new: Vec<&str> = right.iter().map(String::as_str).collect();
    let mut lines = vec![signed(page, Side::Left, "left"), signed(page, Side::Right, "right")];
    let mut last = 0;
    for group in group_diff_ops(compare(&old, &new), AROUND) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        if start > last {
            lines.push(page.paint.faint(&format!("  … {} equal lines …", start - last)));
        }
        last = group.last().map_or(last, |op| op.old_range().end);
        group.iter().for_each(|op| lines.extend(changed_lines(page, *op, &old, &new)));
    }
    if old.len() > last {
        lines.push(page.paint.faint(&format!("  … {} equal lines …", old.len() - last)));
    }
    page.all_behind(indent, lines.iter().map(String::as_str));
}

fn changed_lines(page: &Page, op: DiffOp, old: &[&str], new: &[&str]) -> Vec<String> {
    let (old, new) = (&old[op.old_range()], &new[op.new_range()]);
    if op.tag() == DiffTag::Equal {
        return old.iter().map(|line| format!("  {line}")).collect();
    }
    // Of as many lines as there were, each has become another one.
    let are_paired = old.len() == new.len();
    let side = |side: Side, lines: &[&str], others: &[&str]| {
        let line = |(at, line): (usize, &&str)| match others.get(at).filter(|_| are_paired) {
            Some(other) => {
                let words_of_line = words(line);
                let ops = match side {
                    Side::Left => compare(&words_of_line, &words(other)),
                    Side::Right => compare(&words(other), &words_of_line),
                };
                let sign = signed(page, side, "");
                format!("{sign}{}", painted(page, side, &words_of_line, &ops))
            }
            None => signed(page, side, &visible(line)),
        };
        lines.iter().enumerate().map(line).collect::<Vec<_>>()
    };
    [side(Side::Left, old, new), side(Side::Right, new, old)].concat()
}

fn signed(page: &Page, side: Side, line: &str) -> String {
    match side {
        Side::Left => page.paint.removed(&format!("- {line}")),
        Side::Right => page.paint.added(&format!("+ {line}")),
    }
}

/// A line in the color of its side, with the words that differ underlined.
fn painted(page: &Page, side: Side, words: &[&str], ops: &[DiffOp]) -> String {
    let changed = changed(side, words.len(), ops);
    let pairs: Vec<(&str, bool)> = words.iter().copied().zip(changed).collect();
    let runs: Vec<&[(&str, bool)]> = pairs.chunk_by(|one, other| one.1 == other.1).collect();
    let count = runs.len();
    let paint = |(at, run): (usize, &[(&str, bool)])| {
        let is_changed = run.first().is_some_and(|(_, is_changed)| *is_changed);
        let text: String = run.iter().map(|(word, _)| *word).collect();
        let text = if at + 1 == count && is_changed { visible(&text) } else { text };
        match (side, is_changed) {
            (Side::Left, true) => page.paint.removed_word(&text),
            (Side::Right, true) => page.paint.added_word(&text),
            (Side::Left, false) => page.paint.removed(&text),
            (Side::Right, false) => page.paint.added(&text),
        }
    };
    runs.into_iter().enumerate().map(paint).collect()
}

/// Spaces at the end of a line can be all that differs.
fn visible(line: &str) -> String {
    let text = line.trim_end_matches([' ', '\t']);
    let spaces = line[text.len()..].replace(' ', "·").replace('\t', "→");
    format!("{text}{spaces}")
}

/// Which words of this side the other one does not have.
fn changed(side: Side, words: usize, ops: &[DiffOp]) -> Vec<bool> {
    let mut changed = vec![false; words];
    for op in ops.iter().filter(|op| op.tag() != DiffTag::Equal) {
        let range = if side == Side::Left { op.old_range() } else { op.new_range() };
        changed[range].fill(true);
    }
    changed
}

fn compare(old: &[&str], new: &[&str]) -> Vec<DiffOp> {
    let deadline = Instant::now() + LONGEST;
    capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(deadline))
}

/// Words, and whatever is between them one by one.
fn words(line: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, others) = rest.split_at(end);
        words.push(word);
        rest = others;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::Paint;

    fn shown(left: &str, right: &str) -> String {
        let mut page = Page::new(Paint(false), None);
        show(&mut page, "", left, right);
        page.into_text()
    }

    #[test]
    fn short_values_stand_one_above_the_other() {
        assert_eq!(shown("Ok(450)", "Ok(451)"), " left: Ok(450)\nright: Ok(451)\n");
        assert_eq!(shown("1", "1"), " both: 1\n");
    }

    #[test]
    fn words_that_differ_are_marked() {
        let text = shown("\"the cat sat on the mat today\"", "\"the dog sat on the mat today!\"");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "            ^^^", "{text}");
        assert_eq!(lines[3], "            ^^^                     ^", "{text}");
    }

    #[test]
    fn texts_of_several_lines_are_compared_line_by_line() {
        let text = shown(r#""one\ntwo \nthree""#, r#""one\ntwo\nthree""#);
        assert_eq!(text, "- left\n+ right\n  one\n- two·\n+ two\n  three\n");
    }

    #[test]
    fn long_values_are_broken_up_and_equal_lines_left_out() {
        let numbers = |changed: &str| {
            let lines = (0..20).map(|at| match at {
                10 => format!("[{changed}]"),
                at => format!("[{at}]"),
            });
            format!("[{}]", lines.collect::<Vec<_>>().join(", "))
        };
        let expected = "\
- left
+ right
  … 8 equal lines …
      [7],
      [8],
      [9],
-     [10],
+     [0],
      [11],
      [12],
      [13],
  … 7 equal lines …
";
        assert_eq!(shown(&numbers("10"), &numbers("0")), expected);
    }

    #[test]
    fn colors_tell_the_sides_apart() {
        let mut page = Page::new(Paint(true), None);
        show(&mut page, "", "Some(1)", "Some(2)");
        let text = page.into_text();
        assert!(text.contains("\u{1b}[31mSome(\u{1b}[0m"), "{text:?}");
        assert!(text.contains("\u{1b}[1m\u{1b}[4m2"), "{text:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_two_values_can_be_shown(left in "(?s).{0,200}", right in "(?s).{0,200}") {
            shown(&left, &right);
        }
    }
}
