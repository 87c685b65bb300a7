//! What a failed test has printed, taken apart, so that the report says nothing twice.

use crate::libtest::mimic;
use crate::model::printable::printable;
use crate::report::human::assertion::Assertion;
use crate::report::human::panic_message::{self, PanicMessage};

/// The parts of an output.
#[derive(Debug, Default, PartialEq)]
pub struct FailureOutput<'o> {
    pub panic: Option<PanicMessage<'o>>,
    /// The panic of another thread that this one is about.
    pub cause: Option<PanicMessage<'o>>,
    /// The panic's message, if it is that of an assertion on two values.
    pub assertion: Option<Assertion<'o>>,
    /// The error that the test's function returned, with its causes.
    pub returned: Option<&'o str>,
    /// What the test has printed besides.
    pub printed: Vec<&'o str>,
    /// What libtest has to say.
    pub notes: Vec<&'o str>,
}

/// The first line of an error that a test returns, as libtest prints it.
const RETURNED: &str = "Error: ";

/// The first lines of what libtest says of `#[should_panic]`.
pub const LIBTESTS_NOTES: [&str; 2] =
    ["note: test did not panic", "note: panic did not contain expected string"];

impl<'o> FailureOutput<'o> {
    /// All of it is what the test has printed.
    pub fn whole(output: &'o str) -> FailureOutput<'o> {
        FailureOutput { printed: lines(output).collect(), ..FailureOutput::default() }
    }

    /// Takes apart what the test of this name has printed, with the place of its panic, if it is
    /// known.
    pub fn of(output: &'o str, test: &str, place: Option<&str>) -> FailureOutput<'o> {
        let (output, notes) = split_before(output, is_libtests_note);
        let panic = panic_message::find(output, test, place);
        let rest = panic.as_ref().map_or(output, |panic| panic.after);
        // An error that was returned came after every panic that the test had caught.
        if let (rest, Some(returned)) = split_returned(rest) {
            if mimic::panic_message(returned).is_some() {
                let before = &output[..output.len() - returned.len()];
                return FailureOutput::of(before, test, place);
            }
            let before = &output[..output.len() - returned.len()];
            let before = if panic.is_some() { before } else { rest };
            let printed = lines(before).collect();
            return FailureOutput {
                returned: Some(returned.trim_end()),
                printed,
                notes: notes.lines().collect(),
                ..FailureOutput::default()
            };
        }
        let before = panic.as_ref().map_or(output, |panic| panic.before);
        let after = panic.as_ref().map_or("", |panic| panic.after);
        let assertion =
            panic.as_ref().and_then(|panic| Assertion::read(panic.message, panic.is_whole));
        let unwound = assertion.as_ref().map_or("", |assertion| assertion.rest);
        let cause = panic.as_ref().filter(|panic| panic.is_of_another_thread());
        let cause = cause.and_then(|panic| panic_message::find_last(panic.before));
        let (first, before) =
            cause.as_ref().map_or(("", before), |cause| (cause.before, cause.after));
        let printed = [first, before, unwound, after].into_iter().flat_map(lines).collect();
        let notes = notes.lines().collect();
        FailureOutput { panic, cause, assertion, returned: None, printed, notes }
    }
}

/// The lines of a text without those at its ends that are empty.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().trim_start_matches('\n').lines()
}

/// Whether the report shows only a part of this output.
pub fn is_cut(output: &[u8], most: usize) -> bool {
    // A quick check that is enough for most outputs.
    output.len() > most && lines(&printable(output)).count() > most
}

fn is_libtests_note(line: &str) -> bool {
    LIBTESTS_NOTES.iter().any(|note| line.starts_with(note))
}

/// What comes before the last line like this, and the rest.
fn split_before(text: &str, is_it: impl Fn(&str) -> bool) -> (&str, &str) {
    let mut start = text.len();
    for line in text.split_inclusive('\n').rev() {
        start -= line.len();
        if is_it(line) {
            return text.split_at(start);
        }
    }
    (text, "")
}

fn split_returned(text: &str) -> (&str, Option<&str>) {
    match split_before(text, |line| line.starts_with(RETURNED)) {
        (text, "") => (text, None),
        (text, returned) => (text, Some(returned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_message_is_not_among_what_was_printed() {
        let output = "one\n\nthread 't' panicked at a.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1`\ntwo\n";
        let parts = FailureOutput::of(output, "t", None);
        assert_eq!(parts.panic.unwrap().message, "boom");
        assert_eq!(parts.printed, ["one", "two"]);
    }

    #[test]
    fn what_is_printed_while_the_stack_is_unwound_is_no_part_of_a_value() {
        let output = "thread 't' panicked at a.rs:1:2:\nassertion `left == right` failed\n  left: 1\n right: 2\nclosed\n";
        let parts = FailureOutput::of(output, "t", None);
        assert_eq!(parts.assertion.unwrap().right, "2");
        assert_eq!(parts.printed, ["closed"]);
    }

    #[test]
    fn the_panic_of_a_thread_is_the_cause_of_the_one_that_joined_it() {
        let output = "one\nthread '<unnamed>' panicked at a.rs:3:4:\ninner\ntwo\nthread 't' panicked at a.rs:1:2:\n\
            called `Result::unwrap()` on an `Err` value: Any { .. }\n";
        let parts = FailureOutput::of(output, "t", None);
        assert_eq!(parts.cause.unwrap().place, "a.rs:3:4");
        assert_eq!((parts.panic.unwrap().place, parts.printed), ("a.rs:1:2", vec!["one"]));
        let other = output.replace("Any { .. }", "5");
        assert_eq!(FailureOutput::of(&other, "t", None).cause, None);
    }

    #[test]
    fn an_error_is_returned_with_its_causes() {
        let output = "one\nError: cannot open\n\nCaused by:\n    no disk\n";
        let parts = FailureOutput::of(output, "t", None);
        assert_eq!(parts.returned, Some("Error: cannot open\n\nCaused by:\n    no disk"));
        assert_eq!(parts.printed, ["one"]);
    }

    #[test]
    fn an_error_comes_after_the_panics_that_were_caught() {
        let output = "thread 't' panicked at a.rs:1:2:\ncaught\nnote: run with `RUST_BACKTRACE=1`\nError: no\n";
        let parts = FailureOutput::of(output, "t", None);
        assert_eq!((parts.panic, parts.returned), (None, Some("Error: no")));
        assert_eq!(parts.printed.len(), 3);
    }

    /// The reason of the verdict says so too.
    #[test]
    fn what_libtest_mimic_says_of_a_panic_is_no_error_that_was_returned() {
        let panic =
            "one\nthread 'main' panicked at a.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1`\n";
        let output = format!("{panic}Error: \"test panicked: boom\"\n");
        let parts = FailureOutput::of(&output, "t", Some("a.rs:1:2"));
        assert_eq!((parts.panic.unwrap().message, parts.returned), ("boom", None));
        assert_eq!(parts.printed, ["one"]);
        let parts = FailureOutput::of("Error: \"test panicked: boom\"\n", "t", None);
        assert_eq!(parts, FailureOutput::default());
    }

    #[test]
    fn what_libtest_says_of_should_panic_is_a_note() {
        let output = "one\nnote: panic did not contain expected string\n      panic message: \"a\"\n expected substring: \"b\"\n";
        let parts = FailureOutput::of(output, "t", None);
        assert_eq!((parts.printed, parts.notes.len()), (vec!["one"], 3));
    }
}
