//! What a failed test comes down to, for reports that have no room for all of it: a message, a place
//! in the source, and what was printed besides.

use std::fmt;

use super::human::failure_output::FailureOutput;
use super::human::source::Place;
use super::human::stacks;
use super::view::View;
use crate::model::outcome::Outcome;
use crate::model::output::Output;
use crate::model::printable::printable;
use crate::model::reason::Reason;
use crate::model::test::TestId;

/// One attempt of a test that failed.
#[derive(Debug, Default, PartialEq)]
pub struct FailureSummary {
    /// The message of the panic, the error that was returned, or the reason.
    pub message: String,
    pub place: Option<SourcePlace>,
    /// What the test has printed besides, line by line.
    pub printed: String,
    /// What the runner and libtest say beside it.
    pub notes: String,
}

/// A place in a source file, as the compiler names it: most paths are relative to the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePlace {
    pub path: String,
    pub line: usize,
    pub column: Option<usize>,
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))
    }
}

impl SourcePlace {
    /// Of `src/lib.rs:29:9` or `src/lib.rs:29`.
    pub fn parse(text: &str) -> Option<SourcePlace> {
        Place::parse(text).or_else(|| Place::of_line(text)).map(SourcePlace::of)
    }

    fn of(place: Place<'_>) -> SourcePlace {
        SourcePlace { path: place.path.to_owned(), line: place.line, column: place.column }
    }
}

impl FailureSummary {
    pub fn new(
        view: &View<'_>,
        test: TestId,
        (outcome, reason): (Outcome, Option<&Reason>),
        output: &Output,
    ) -> FailureSummary {
        let name = &view.inventory.listings[test.listing].tests[test.test].name;
        let said = printable(output.printed());
        let notes = printable(output.notes());
        let reason = printable(reason.map(Reason::to_string).unwrap_or_default().as_bytes());
        let panicked_at = reason.strip_prefix("panicked at ");
        let parts = match outcome {
            Outcome::Failed => FailureOutput::of(&said, name, panicked_at),
            Outcome::Aborted => FailureOutput::of(&said, name, None),
            // What it has caught is only part of its output.
            _ => FailureOutput::whole(&said),
        };
        let told = parts.panic.as_ref().map(|panic| panic.message).or(parts.returned);
        let message = told.filter(|told| !told.is_empty()).unwrap_or(&reason).to_owned();
        let of_panic = parts.panic.as_ref().map(|panic| panic.place);
        let place = of_panic.or(reason.rsplit_once(" at ").map(|(_, place)| place));
        let place = place.and_then(SourcePlace::parse);
        let in_stacks = || {
            let of_source = |place: &Place<'_>| view.root.join(place.path).is_file();
            stacks::places(&notes, &view.id(test)).find(of_source).map(SourcePlace::of)
        };
        FailureSummary {
            message,
            place: place.or_else(in_stacks),
            printed: parts.printed.join("\n"),
            notes: [&*parts.notes.join("\n"), &*notes].join("\n").trim().to_owned(),
        }
    }
}
