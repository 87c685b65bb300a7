//! The block of a test that failed: what happened, where, what it printed, and how to run it again.

use crate::cli::settings::Verbosity;
use crate::model::interference::Interference;
use crate::model::lost_output::LostOutput;
use crate::model::outcome::{Flakiness, Outcome};
use crate::model::output::Output;
use crate::model::printable::{printable, printable_in_color};
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::report::human::assertion::Assertion;
use crate::report::human::failure_output::{FailureOutput, lines};
use crate::report::human::page::Page;
use crate::report::human::panic_message::PanicMessage;
use crate::report::human::source::{self, Excerpt, Place};
use crate::report::human::{backtrace, diff, stacks};
use crate::report::view::View;
use crate::report::{messages, rerun, sharing_messages};

/// In front of what a test has printed, so that it cannot imitate the report.
pub const BAR: &str = "  | ";
/// In front of messages.
const INDENT: &str = "    ";

/// Adds the block of a test with this verdict, which is no flaky one.
pub fn show(page: &mut Page, view: &View<'_>, test: TestId, verdict: &Verdict) {
    let word = messages::verdict_word(verdict.outcome);
    let word = match verdict.outcome.is_success() {
        true => page.paint.good(word),
        false => page.paint.bad(word),
    };
    let id = view.painted_id(test, page.paint);
    // Why it was blocked is told with its fixture.
    if let (Outcome::Blocked, Some(Reason::FixtureFailed { instance, .. })) =
        (verdict.outcome, &verdict.reason)
    {
        return page.line(&format!("{word} {id} by fixture {instance}"));
    }
    page.gap();
    // A time limit is told with what was exceeded.
    let took = verdict.took.filter(|_| verdict.outcome != Outcome::TimedOut);
    let took = took.map(messages::in_brackets).unwrap_or_default();
    page.line(&format!("{word} {id}{took}"));
    // The word says it.
    let reason = verdict.reason.as_ref().filter(|reason| **reason != Reason::Interrupted);
    explain(page, view, test, (verdict.outcome, reason), &verdict.output);
    show_lost(page, verdict.output_lost.as_ref());
    if !verdict.outcome.is_success() {
        rerun(page, view, test);
        rerun_with_neighbors(page, view, test, &verdict.neighbors);
    }
    page.gap();
}

/// Adds the block of a test that failed first and passed later, with its first failure.
pub fn show_flaky(
    page: &mut Page,
    view: &View<'_>,
    test: TestId,
    verdict: &Verdict,
    flakiness: Flakiness,
) {
    let word = match flakiness {
        Flakiness::Flaky => "FLAKY",
        Flakiness::OrderDependent => "ORDER DEPENDENT",
    };
    let word = match verdict.outcome.is_success() {
        true => page.paint.warn(word),
        false => page.paint.bad(word),
    };
    let id = view.painted_id(test, page.paint);
    page.line(&format!("{word} {id}: {}", messages::flakiness(flakiness, verdict)));
    explain_first(page, view, test, verdict);
    rerun(page, view, test);
    if flakiness == Flakiness::OrderDependent {
        let binary = &view.inventory.listings[test.listing].binary;
        command(page, "rerun with others", &rerun::whole_binary(view.settings, binary));
    }
    page.gap();
}

/// Adds the block of a test that passed by itself, after another one had made it fail.
pub fn show_interfered(
    page: &mut Page,
    view: &View<'_>,
    test: TestId,
    verdict: &Verdict,
    found: &Interference,
) {
    let word = page.paint.warn("INTERFERED WITH");
    page.line(&format!("{word} {}", view.painted_id(test, page.paint)));
    let [why, lock] = sharing_messages::interfered(view, test, found);
    page.behind("  ", &why);
    page.behind("  ", &page.paint.faint(&lock));
    explain_first(page, view, test, verdict);
    page.gap();
}

/// The first failure of a test that passed later.
fn explain_first(page: &mut Page, view: &View<'_>, test: TestId, verdict: &Verdict) {
    let Some(first) = verdict.failed_before.first() else { return };
    explain(page, view, test, (first.outcome, first.reason.as_ref()), &first.output);
    show_lost(page, first.output_lost.as_ref());
}

/// What happened, and what was printed.
fn explain(
    page: &mut Page,
    view: &View<'_>,
    test: TestId,
    (outcome, reason): (Outcome, Option<&Reason>),
    output: &Output,
) {
    let name = &view.inventory.listings[test.listing].tests[test.test].name;
    let printed = match page.paint.0 {
        true => printable_in_color(output.printed()),
        false => printable(output.printed()),
    };
    let parts = match outcome {
        // It panics in a file that rustdoc has written for it.
        _ if is_doctest(view, test) => FailureOutput::whole(&printed),
        Outcome::Failed => FailureOutput::of(&printed, name, reason.and_then(place_of_panic)),
        Outcome::Aborted => FailureOutput::of(&printed, name, None),
        // What it has caught is only part of its output.
        _ => FailureOutput::whole(&printed),
    };
    let reason = reason.filter(|reason| !is_told_by(reason, &parts)).map(messages::reason);
    let reason = printable(reason.unwrap_or_default().as_bytes());
    let notes = printable(output.notes());
    show_reason(page, &reason);
    if let Some(panic) = &parts.panic {
        show_panic(page, panic, &parts, name);
    }
    if let Some(returned) = parts.returned {
        show_returned(page, view, returned);
    }
    show_place(page, view, test, &parts, (&reason, &notes));
    if let Some(panic) = &parts.panic {
        show_frames(page, view, panic);
    }
    if let Some(cause) = &parts.cause {
        show_cause(page, view, test, cause);
    }
    // What is not captured has been printed already.
    if !view.settings.nocapture || is_doctest(view, test) {
        let bar = page.paint.faint(BAR);
        page.all_behind(&bar, parts.printed.iter().copied());
        show_files(page, output);
    }
    let is_new = |note: &&str| !is_reason(note, &reason);
    page.all_behind(INDENT, parts.notes.iter().copied().chain(lines(&notes)).filter(is_new));
}

/// The lines of the source where it panicked, or else where it hangs or died.
fn show_place(
    page: &mut Page,
    view: &View<'_>,
    test: TestId,
    parts: &FailureOutput<'_>,
    (reason, notes): (&str, &str),
) {
    let excerpt = |place| excerpt(view, test, place);
    let of_doctest = view.inventory.listings[test.listing].place(test.test);
    if let Some(place) = of_doctest.as_deref().and_then(Place::of_line) {
        return excerpt(place).iter().for_each(|excerpt| source::show(page, excerpt));
    }
    let place = parts.panic.as_ref().map(|panic| panic.place);
    let place = place.or(reason.rsplit_once(" at ").map(|(_, place)| place));
    if let Some(place) = place.and_then(Place::parse) {
        excerpt(place).iter().for_each(|excerpt| source::show(page, excerpt));
    } else if let Some(excerpt) = stacks::places(notes, &view.id(test)).find_map(excerpt) {
        page.line(&format!("  at {}", page.paint.place(&excerpt.line())));
        source::show(page, &excerpt);
    }
}

fn show_cause(page: &mut Page, view: &View<'_>, test: TestId, cause: &PanicMessage<'_>) {
    let place = page.paint.place(cause.place);
    page.line(&format!("  caused by a panic at {place} in thread `{}`", cause.thread));
    page.all_behind(INDENT, cause.message.lines());
    let excerpt = Place::parse(cause.place).and_then(|place| excerpt(view, test, place));
    excerpt.iter().for_each(|excerpt| source::show(page, excerpt));
    show_frames(page, view, cause);
}

fn excerpt<'p>(view: &View<'_>, test: TestId, place: Place<'p>) -> Option<Excerpt<'p>> {
    let executable = &view.inventory.listings[test.listing].binary.executable;
    let built = match is_doctest(view, test) {
        // Built in this run.
        true => Ok(std::time::SystemTime::now()),
        false => executable.metadata().and_then(|metadata| metadata.modified()),
    };
    Excerpt::read(place, view.root, built.ok())
}

fn is_doctest(view: &View<'_>, test: TestId) -> bool {
    view.inventory.listings[test.listing].is_doctests()
}

fn show_frames(page: &mut Page, view: &View<'_>, panic: &PanicMessage<'_>) {
    let is_verbose = view.settings.verbosity == Verbosity::Verbose;
    backtrace::show(page, panic.backtrace, is_verbose);
}

fn place_of_panic(reason: &Reason) -> Option<&str> {
    let Reason::Reported(reason) = reason else { return None };
    reason.strip_prefix("panicked at ")
}

/// Whether a reason says what the output says as well.
fn is_told_by(reason: &Reason, parts: &FailureOutput<'_>) -> bool {
    let Reason::Reported(reason) = reason else { return false };
    let is_panic = parts.panic.is_some() && reason.starts_with("panicked at ");
    is_panic || (parts.returned.is_some() && reason.starts_with("returned "))
}

/// Whether a note says what the reason says.
fn is_reason(note: &str, reason: &str) -> bool {
    note.strip_prefix("note: ").is_some_and(|note| note == reason)
}

/// In one line, with the place that may be at its end.
fn show_reason(page: &mut Page, reason: &str) {
    let (text, place) = match reason.rsplit_once(" at ") {
        Some((text, place)) if Place::parse(place).is_some() => {
            (text, format!(" at {}", page.paint.place(place)))
        }
        _ => (reason, String::new()),
    };
    if !reason.is_empty() {
        page.behind("  ", &format!("{}{place}", text.replace('\n', " ")));
    }
}

fn show_panic(page: &mut Page, panic: &PanicMessage<'_>, parts: &FailureOutput<'_>, test: &str) {
    let thread = match panic.thread == test {
        true => String::new(),
        false => format!(" in thread `{}`", panic.thread),
    };
    page.line(&format!("  panicked at {}{thread}", page.paint.place(panic.place)));
    match &parts.assertion {
        Some(Assertion { title, left, right, tail, .. }) => {
            page.all_behind(INDENT, title.lines());
            diff::show(page, INDENT, left, right);
            page.all_behind(INDENT, tail.lines());
        }
        None => page.all_behind(INDENT, panic.message.lines()),
    }
}

/// An error, and the backtrace that it may carry.
fn show_returned(page: &mut Page, view: &View<'_>, returned: &str) {
    // As anyhow and eyre have it.
    let (error, frames) = returned.split_once("\nStack backtrace:\n").unwrap_or((returned, ""));
    page.all_behind("  ", format!("returned {}", error.trim_end()).lines());
    backtrace::show(page, frames, view.settings.verbosity == Verbosity::Verbose);
}

fn show_files(page: &mut Page, output: &Output) {
    for (file, path) in output.kept() {
        let whole = printable(messages::whole(file, path).as_bytes());
        page.line(&page.paint.faint(&format!("  {whole}")));
    }
}

fn show_lost(page: &mut Page, lost: Option<&LostOutput>) {
    if let Some(lost) = lost {
        page.line(&page.paint.faint(&format!("  {}", messages::output_lost(lost))));
    }
}

fn rerun(page: &mut Page, view: &View<'_>, test: TestId) {
    let listing = &view.inventory.listings[test.listing];
    let listed = &listing.tests[test.test];
    let again = rerun::alone(view.settings, &listing.binary, &listed.name, listed.is_ignored);
    command(page, "rerun", &again);
}

/// Alone, a test passes that fails because of what others have done to its process.
fn rerun_with_neighbors(page: &mut Page, view: &View<'_>, test: TestId, neighbors: &[TestId]) {
    // More of them make no command that anybody would read.
    const MOST: usize = 10;
    if neighbors.is_empty() || neighbors.len() > MOST {
        return;
    }
    let listing = &view.inventory.listings[test.listing];
    let mut together: Vec<usize> = neighbors.iter().map(|neighbor| neighbor.test).collect();
    together.push(test.test);
    together.sort_unstable();
    let is_ignored = together.iter().any(|test| listing.tests[*test].is_ignored);
    let names: Vec<&str> = together.iter().map(|test| listing.tests[*test].name.as_str()).collect();
    let again = rerun::with_others(view.settings, &listing.binary, &names, is_ignored);
    command(page, "rerun with what ran before it", &again);
}

/// A command stays in one line, to be copied.
fn command(page: &mut Page, word: &str, command: &str) {
    page.line(&format!("  {} {command}", page.paint.faint(&format!("{word}:"))));
}
