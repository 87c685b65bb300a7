//! The wording of what `bisect` has found, and the command that shows it.

use super::messages::count;
use super::rerun;
use super::text::Paint;
use super::view::View;
use crate::cargo::command;
use crate::model::bisection::{Bisection, Company, Finding, Other, TestSet};
use crate::model::test::TestId;

/// `after 31 tests in its process`
pub fn company(company: Company, others: usize) -> String {
    let tests = count(others, "test");
    match company {
        Company::Alone => "by itself".to_owned(),
        Company::After => format!("after {tests} in one process"),
        Company::Reordered => format!("after {tests} in one process, in another order"),
        Company::Beside => format!("beside {tests} in one process"),
        Company::Declared => format!("with {tests}, as declared"),
    }
}

/// All that was found, some lines.
pub fn bisection(bisection: &Bisection, view: &View<'_>, paint: Paint) -> String {
    let id = view.painted_id(bisection.test, paint);
    let mut lines = Vec::new();
    if bisection.is_interrupted {
        lines.push(format!(
            "interrupted after {}: what is known so far",
            count(bisection.runs, "run")
        ));
    }
    match &bisection.finding {
        Finding::Unknown => lines.push(format!("{id}: nothing is known yet")),
        Finding::Passed(companies) => {
            lines.push(format!("{id} passed in all of {}:", count(bisection.runs, "run")));
            lines.extend(
                companies.iter().map(|(of, others)| format!("    {}", company(*of, *others))),
            );
            lines.push("  --repeat N runs each of them more often".to_owned());
        }
        Finding::Alone { reason, passes_with } => {
            lines.push(format!("{id} fails by itself: it needs no other test to fail"));
            lines.extend(reason.iter().map(|reason| format!("  {reason}")));
            if let Some(set) = passes_with {
                lines.push(format!(
                    "  it passes {}, on which it relies:",
                    company(set.company, set.others.len())
                ));
                lines.extend(others(set, view));
            }
        }
        Finding::With(set) => with(set, &id, view, &mut lines),
    }
    if let Some(command) = command(bisection, view) {
        let what = match &bisection.finding {
            Finding::Alone { passes_with: Some(_), .. } => "to see it pass",
            _ => "to see it fail",
        };
        lines.push(format!("  {what}: {command}"));
    }
    if !matches!(bisection.finding, Finding::Passed(_)) {
        lines.push(format!("  found in {}", count(bisection.runs, "run")));
    }
    paint.printable(&lines.join("\n")) + "\n"
}

/// A test that passes alone, and fails with others.
fn with(set: &TestSet, id: &str, view: &View<'_>, lines: &mut Vec<String>) {
    let is_left = set.fails_since();
    if is_left {
        lines.push(format!(
            "{id} now fails by itself, too: tests that ran before it have left something behind, \
             outside of their process"
        ));
        if set.others.is_empty() {
            lines.push("  none of them is known to have changed what it uses".to_owned());
        } else {
            lines.push("  these have changed what it uses:".to_owned());
        }
    } else {
        lines.push(format!("{id} fails {}:", company(set.company, set.others.len())));
    }
    lines.extend(others(set, view));
    lines.extend(set.reason.iter().map(|reason| format!("  {reason}")));
    if !set.is_smallest && !is_left {
        lines.push("  fewer of them may be enough: this was not tried to the end".to_owned());
    }
    lines.extend(confidence(set).map(|words| format!("  {words}")));
}

fn others<'s>(set: &'s TestSet, view: &'s View<'_>) -> impl Iterator<Item = String> + 's {
    set.others.iter().map(|Other { test, thing }| match thing {
        Some(thing) => format!("    {} (through {thing})", view.shown_id(*test)),
        None => format!("    {}", view.shown_id(*test)),
    })
}

/// How sure it is, in words. Nothing if the set was not repeated.
fn confidence(set: &TestSet) -> Option<String> {
    let ((failed, runs), (failed_alone, runs_alone)) = (set.failed, set.failed_alone);
    if runs == 0 {
        return None;
    }
    let counts = format!(
        "failed in {failed} of {} with exactly these, and in {failed_alone} of {runs_alone} by itself",
        count(runs, "run")
    );
    if failed == 0 {
        return Some(format!(
            "{counts}: it takes more than them; --repeat N runs each set more often"
        ));
    }
    if failed == runs {
        return Some(counts);
    }
    let passes = (1.0 - failed as f64 / runs as f64).powi(i32::try_from(runs).unwrap_or(i32::MAX));
    Some(format!(
        "{counts}: a set that makes it fail as often passes {} in {:.0} % of cases, so that a smaller \
         one may have been missed; --repeat N makes that less likely",
        count(runs, "run"),
        (passes * 100.0).ceil()
    ))
}

/// The command that shows what was found.
pub fn command(bisection: &Bisection, view: &View<'_>) -> Option<String> {
    let test = bisection.test;
    let alone = TestSet::new(Company::Alone, &[]);
    let TestSet { company, others, seed, .. } = match &bisection.finding {
        Finding::Unknown | Finding::Passed(_) => return None,
        Finding::Alone { passes_with: Some(set), .. } => set,
        Finding::Alone { .. } => &alone,
        Finding::With(set) if set.fails_since() => &alone,
        Finding::With(set) => set,
    };
    let company = *company;
    let mut tests: Vec<TestId> = others.iter().map(|other| other.test).collect();
    tests.push(test);
    tests.sort_unstable();
    let settings = view.settings;
    let binary = &view.inventory.listings[test.listing].binary;
    let mut flags = match company {
        Company::Alone | Company::After | Company::Reordered => vec!["-j0".to_owned()],
        Company::Beside => {
            vec!["--no-partition".to_owned(), format!("-j{}", tests.len().max(settings.slots))]
        }
        Company::Declared => vec![format!("-j{}", settings.slots)],
    };
    flags.extend(seed.map(|seed| format!("--shuffle={seed}")));
    flags.extend(["--retries", "0"].map(str::to_owned));
    let listed = |test: &TestId| &view.inventory.listings[test.listing].tests[test.test];
    let is_any_ignored = tests.iter().any(|test| listed(test).is_ignored);
    let of_libtest = [
        is_any_ignored.then_some("--include-ignored"),
        company.is_one_after_another().then_some("--test-threads=1"),
    ];
    let (selected, names): (_, Vec<String>) = match company {
        Company::Declared => (
            command::flags_to_select(&settings.cargo),
            tests.iter().map(|test| view.id(*test)).collect(),
        ),
        _ => (
            rerun::flags_to_select(settings, binary),
            tests.iter().map(|test| listed(test).name.clone()).collect(),
        ),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Some(rerun::line(settings, flags, selected, &rerun::chosen(&names, &of_libtest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_told_in_words_where_a_failure_is_not_certain() {
        let test = TestId { listing: 0, test: 0 };
        let set = |failed, failed_alone| TestSet {
            failed,
            failed_alone,
            ..TestSet::new(Company::After, &[test])
        };
        assert_eq!(confidence(&set((0, 0), (0, 0))), None);
        assert_eq!(
            confidence(&set((1, 1), (0, 1))).unwrap(),
            "failed in 1 of 1 run with exactly these, and in 0 of 1 by itself"
        );
        let flaky = confidence(&set((5, 10), (0, 10))).unwrap();
        assert!(flaky.contains("passes 10 runs in 1 % of cases"), "{flaky}");
        let lost = confidence(&set((0, 3), (0, 3))).unwrap();
        assert!(lost.contains("it takes more than them"), "{lost}");
    }
}
