//! The message of `assert_eq!` and `assert_ne!`, as the standard library writes it.

/// `assertion `left == right` failed: …`, with both values.
#[derive(Debug, PartialEq)]
pub struct Assertion<'m> {
    /// The first lines, up to the values.
    pub title: &'m str,
    pub left: &'m str,
    pub right: &'m str,
    /// What the message says after the values.
    pub tail: &'m str,
    /// What comes after the values, and is none of the message.
    pub rest: &'m str,
}

impl<'m> Assertion<'m> {
    /// Reads the message of a panic; `is_whole` says whether it ends for certain with the message.
    pub fn read(message: &'m str, is_whole: bool) -> Option<Assertion<'m>> {
        const LEFT: &str = "\n  left: ";
        const RIGHT: &str = "\n right: ";
        if let Some(assertion) = Assertion::read_quoted(message) {
            return Some(assertion);
        }
        if !["==", "!="].iter().any(|operator| {
            message.starts_with(&format!("assertion `left {operator} right` failed"))
        }) {
            return None;
        }
        let (title, values) = message.split_once(LEFT)?;
        let (left, right) = values.split_once(RIGHT)?;
        // A test may print when it is unwound. Values of one line come in pairs.
        let (right, rest) = match is_whole || left.contains('\n') {
            true => (right, ""),
            false => right.split_once('\n').unwrap_or((right, "")),
        };
        Some(Assertion { title, left, right, tail: "", rest })
    }
}

impl<'m> Assertion<'m> {
    /// Reads the message with quoted values, which `prop_assert_eq!` has from an older standard
    /// library: the values are in the middle of what it says.
    fn read_quoted(message: &'m str) -> Option<Assertion<'m>> {
        let (title, values) = message.split_once("\n  left: `")?;
        let is_it = ["(left == right)`", "(left != right)`"];
        if !is_it.iter().any(|operator| title.trim_end().ends_with(operator)) {
            return None;
        }
        let (left, right) = values.split_once("\n right: `")?;
        let left = left.trim_end().strip_suffix("`,")?;
        // What follows is on the same line: the place, or a message of the user's own.
        let line = &right[..right.find('\n').unwrap_or(right.len())];
        let end = ["`: ", "` at "].iter().filter_map(|end| line.find(end)).min();
        let end = end.or_else(|| line.rfind('`'))?;
        let (right, tail) = (&right[..end], right[end + 1..].trim_start_matches([':', ' ']));
        Some(Assertion { title, left, right, tail, rest: "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str =
        "assertion `left == right` failed: the\nclock\n  left: Ok(450)\n right: Ok(451)\nclosing";

    #[test]
    fn the_values_are_found_below_a_message_of_several_lines() {
        let assertion = Assertion::read(MESSAGE, false).unwrap();
        assert_eq!(assertion.title, "assertion `left == right` failed: the\nclock");
        assert_eq!((assertion.left, assertion.right), ("Ok(450)", "Ok(451)"));
        assert_eq!(assertion.rest, "closing");
        assert_eq!(Assertion::read(MESSAGE, true).unwrap().right, "Ok(451)\nclosing");
    }

    #[test]
    fn the_message_of_proptest_goes_on_after_the_values() {
        let message = "Test failed: assertion failed: `(left == right)` \n  left: `Some(`a`)`, \n \
            right: `None` at src/lib.rs:12.\nminimal failing input: x = 1";
        let assertion = Assertion::read(message, false).unwrap();
        assert_eq!((assertion.left, assertion.right), ("Some(`a`)", "None"));
        assert_eq!(assertion.tail, "at src/lib.rs:12.\nminimal failing input: x = 1");
    }

    #[test]
    fn other_messages_are_none() {
        let pretty = "assertion failed: `(left == right)`\n\nDiff < left / right > :\n<1\n>2\n";
        let matches = "assertion `left matches right` failed\n  left: 1\n right: 2 | 3";
        for message in [pretty, matches, "boom", "assertion `left == right` failed"] {
            assert_eq!(Assertion::read(message, true), None, "{message}");
        }
    }

    /// The standard library's own words, of whichever version.
    #[test]
    fn the_message_is_the_standard_librarys() {
        let message = std::panic::catch_unwind(|| assert_eq!(1, 2, "{}", "why")).unwrap_err();
        let message = message.downcast_ref::<String>().unwrap();
        let assertion = Assertion::read(message, true).unwrap();
        assert_eq!((assertion.left, assertion.right), ("1", "2"));
    }
}
