//! The last line of the report.

use crate::model::duration::brief;
use crate::model::outcome::Outcome;
use crate::model::summary::Summary;
use crate::report::messages::count;
use crate::report::text::Paint;

/// How a number is colored.
#[derive(Clone, Copy)]
enum Mood {
    Good,
    Bad,
    Warn,
}

/// `7 failed, 135 passed, 2 ignored, 3 leaks in 2.18 s`: what did not happen is left out.
pub fn line(summary: &Summary, (leaks, denied): (usize, usize), paint: Paint) -> String {
    let shown = |(number, text): (usize, String), mood: Mood| {
        let painted = match mood {
            Mood::Good => paint.good(&text),
            Mood::Bad => paint.bad(&text),
            Mood::Warn => paint.warn(&text),
        };
        (number > 0).then_some(painted)
    };
    let parts = outcomes(summary).into_iter().chain(others(summary, leaks, denied));
    let parts: Vec<String> = parts.filter_map(|(part, mood)| shown(part, mood)).collect();
    let ended = match () {
        // Tests that were interrupted say so.
        () if summary.interrupted && summary.count(Outcome::Interrupted) == 0 => {
            paint.bad("interrupted") + ": "
        }
        () if summary.internal_error => paint.bad("stopped by an internal error") + ": ",
        () if summary.timed_out => paint.bad("the run timed out") + ": ",
        () => String::new(),
    };
    let parts = match () {
        () if parts.is_empty() && summary.in_other_shards == 0 => "no tests ran".to_owned(),
        () if parts.is_empty() => "no test is in this shard".to_owned(),
        () => parts.join(", "),
    };
    let elsewhere = match summary.in_other_shards {
        0 => String::new(),
        number => format!(", {number} in other shards"),
    };
    let filtered_out = match summary.filtered_out {
        0 => String::new(),
        number => format!(", {}", paint.faint(&format!("{number} filtered out"))),
    };
    format!("{ended}{parts}{elsewhere}{filtered_out} in {}", brief(summary.took))
}

type Part = (usize, String);

fn outcomes(summary: &Summary) -> Vec<(Part, Mood)> {
    let named = [
        (Outcome::Failed, "failed", Mood::Bad),
        (Outcome::TimedOut, "timed out", Mood::Bad),
        (Outcome::Aborted, "aborted", Mood::Bad),
        (Outcome::Interrupted, "interrupted", Mood::Bad),
        (Outcome::Missing, "missing", Mood::Bad),
        (Outcome::Blocked, "blocked", Mood::Bad),
        (Outcome::Passed, "passed", Mood::Good),
        (Outcome::Ignored, "ignored", Mood::Warn),
    ];
    let part = |(outcome, word, mood): (Outcome, &str, Mood)| {
        let number = summary.count(outcome);
        ((number, format!("{number} {word}")), mood)
    };
    named.into_iter().map(part).collect()
}

fn others(summary: &Summary, leaks: usize, denied: usize) -> Vec<(Part, Mood)> {
    let denied_leaks = match denied {
        0 => count(leaks, "leak"),
        denied => format!("{} ({denied} denied)", count(leaks, "leak")),
    };
    let leaks_mood = if denied > 0 { Mood::Bad } else { Mood::Warn };
    let Summary { not_run, interfered, doctest_failures, failed_fixtures, .. } = summary;
    let unlisted = summary.list_failures - doctest_failures;
    // Those that the policy counts as failed are among the failed ones.
    let [failed, failed_beside] = summary.flaky_failures;
    let (flaky, order_dependent) =
        (summary.flaky - failed, summary.order_dependent - failed_beside);
    vec![
        ((flaky, format!("{flaky} flaky")), Mood::Warn),
        ((order_dependent, format!("{order_dependent} order dependent")), Mood::Warn),
        ((*interfered, format!("{interfered} interfered with")), Mood::Warn),
        ((leaks, denied_leaks), leaks_mood),
        ((*not_run, format!("{not_run} not run")), Mood::Warn),
        ((unlisted, format!("{} not listed", count(unlisted, "binary"))), Mood::Bad),
        (
            (
                *doctest_failures,
                format!("doctests of {} not built", count(*doctest_failures, "package")),
            ),
            Mood::Bad,
        ),
        ((*failed_fixtures, format!("{} failed", count(*failed_fixtures, "fixture"))), Mood::Bad),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn summary(counts: [(Outcome, usize); 3]) -> Summary {
        let mut summary = Summary { took: Duration::from_millis(2180), ..Summary::default() };
        counts.iter().for_each(|(outcome, number)| summary.counts[*outcome as usize] = *number);
        summary
    }

    const COUNTS: [(Outcome, usize); 3] =
        [(Outcome::Failed, 7), (Outcome::Passed, 135), (Outcome::Ignored, 2)];

    #[test]
    fn failures_come_first_and_what_did_not_happen_is_left_out() {
        let text = line(&summary(COUNTS), (3, 0), Paint(false));
        assert_eq!(text, "7 failed, 135 passed, 2 ignored, 3 leaks in 2.18 s");
    }

    #[test]
    fn whatever_fails_a_run_is_in_its_last_line() {
        let summary = Summary { failed_fixtures: 1, list_failures: 2, ..summary(COUNTS) };
        let text = line(&summary, (1, 1), Paint(false));
        assert!(text.contains("1 leak (1 denied), 2 binaries not listed, 1 fixture failed in"));
        let interrupted = Summary { interrupted: true, took: summary.took, ..Summary::default() };
        let text = line(&interrupted, (0, 0), Paint(false));
        assert_eq!(text, "interrupted: no tests ran in 2.18 s");
    }

    #[test]
    fn what_other_machines_run_is_counted() {
        let elsewhere = Summary { in_other_shards: 1600, ..summary(COUNTS) };
        let text = line(&elsewhere, (0, 0), Paint(false));
        assert_eq!(text, "7 failed, 135 passed, 2 ignored, 1600 in other shards in 2.18 s");
        let empty = Summary { in_other_shards: 3, took: elsewhere.took, ..Summary::default() };
        let text = line(&empty, (0, 0), Paint(false));
        assert_eq!(text, "no test is in this shard, 3 in other shards in 2.18 s");
    }

    #[test]
    fn what_was_filtered_out_comes_last_and_is_no_test_that_ran() {
        let filtered = Summary { filtered_out: 30, ..summary(COUNTS) };
        let text = line(&filtered, (3, 0), Paint(false));
        assert_eq!(text, "7 failed, 135 passed, 2 ignored, 3 leaks, 30 filtered out in 2.18 s");
        let stopped = Summary { counts: Summary::default().counts, interrupted: true, ..filtered };
        let text = line(&stopped, (0, 0), Paint(false));
        assert_eq!(text, "interrupted: no tests ran, 30 filtered out in 2.18 s");
    }

    #[test]
    fn each_number_has_its_color() {
        let text = line(&summary(COUNTS), (3, 0), Paint(true));
        let (red, green, yellow) = ("\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m");
        for part in [
            format!("{red}\u{1b}[1m7 failed"),
            format!("{green}\u{1b}[1m135 passed"),
            format!("{yellow}\u{1b}[1m3 leaks"),
        ] {
            assert!(text.contains(&part), "{text:?}");
        }
    }
}
