//! The message of `assert_eq!` and `assert_ne!`, as the standard library writes it.

/// `assertion `left == right` failed: …`, with both values.
#[derive(Debug, PartialEq)]
pub struct Assertion<'m> {
    /// The first lines, up to the values.
    pub title: &'m str,
    pub left: &'m str,
    pub right: &'m str,
    /// What comes after the values, and is none of the message.
    pub rest: &'m str,
}

impl<'m> Assertion<'m> {
    /// Reads the message of a panic; `is_whole` says whether it ends for certain with the message.
    pub fn read(message: &'m str, is_whole: bool) -> Option<Assertion<'m>> {
        const LEFT: &str = "\n  left: ";
        const RIGHT: &str = "\n right: ";
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
        Some(Assertion { title, left, right, rest })
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
