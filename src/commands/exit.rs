//! The exit code of a run.

use crate::cli::args::NoTests;
use crate::cli::settings::Settings;
use crate::error::Exit;
use crate::model::outcome::Outcome;
use crate::model::summary::Summary;
use crate::report::{changed_packages, messages, warnings};

/// The exit code (docs/json-and-exit-codes.md) for the most severe problem of the run.
/// `near` is asked for a test with a name that is near what was typed, if none has run.
pub fn exit_code(
    settings: &Settings,
    summary: &Summary,
    near: impl FnOnce() -> Option<String>,
) -> Exit {
    match worst(settings, summary, near) {
        // The verdicts count for more.
        Exit::Success if summary.lacks_report => Exit::Error,
        exit => exit,
    }
}

fn worst(settings: &Settings, summary: &Summary, near: impl FnOnce() -> Option<String>) -> Exit {
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.internal_error {
        Exit::Error
    } else if summary.timed_out || summary.failures() > 0 {
        Exit::TestFailed
    } else if summary.doctest_failures > 0 {
        Exit::BuildFailed
    } else if summary.list_failures > 0 || summary.count(Outcome::Missing) > 0 {
        Exit::Error
    } else if summary.count(Outcome::Blocked) > 0 || summary.failed_fixtures > 0 {
        Exit::FixtureFailed
    } else if summary.denied_leaks > 0 {
        Exit::DeniedLeak
    } else if summary.not_run > 0 {
        // The run was stopped without a failed verdict, but is incomplete.
        Exit::Error
    } else if summary.total() + summary.in_other_shards == 0 {
        no_tests(settings, near)
    } else {
        Exit::Success
    }
}

fn no_tests(settings: &Settings, near: impl FnOnce() -> Option<String>) -> Exit {
    if let Some(rev) = settings.changed.as_ref().filter(|_| is_all_wanted(settings)) {
        if !settings.is_unchanged {
            warnings::print(&changed_packages::no_tests(rev), settings);
        }
        return Exit::Success;
    }
    let what = || messages::no_test_matched(settings, near().as_deref());
    match settings.no_tests {
        NoTests::Pass => Exit::Success,
        NoTests::Warn => {
            warnings::print(&what(), settings);
            Exit::Success
        }
        NoTests::Fail => {
            warnings::print_error(&what(), settings);
            Exit::NoTests
        }
    }
}

/// Whether no test can be missing because a name was mistyped.
fn is_all_wanted(settings: &Settings) -> bool {
    settings.is_unchanged || settings.filter.filters.is_empty()
}
