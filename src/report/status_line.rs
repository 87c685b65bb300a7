//! The line of a test that has finished, among the progress on stderr.

use crate::cli::output_args::StatusLevel;
use crate::model::outcome::Outcome;
use crate::model::verdict::Verdict;
use crate::report::messages;
use crate::report::text::Paint;

/// The line, if the level asks for it: `     FAILED shop::opens (1.25 s)`.
pub fn status_line(
    paint: Paint,
    id: &str,
    verdict: &Verdict,
    level: StatusLevel,
) -> Option<String> {
    if level < level_of(verdict) {
        return None;
    }
    let word = format!("{:>12}", messages::verdict_word(verdict.outcome));
    let word = match verdict.outcome {
        Outcome::Passed => paint.good(&word),
        Outcome::Ignored => paint.warn(&word),
        _ => paint.bad(&word),
    };
    let took = verdict.took.map(messages::in_brackets).unwrap_or_default();
    let leaks = match verdict.leaks.len() {
        0 => String::new(),
        leaks => format!(", {}", paint.warn(&messages::count(leaks, "leak"))),
    };
    Some(format!("{word} {id}{took}{leaks}"))
}

/// The first level with this verdict.
fn level_of(verdict: &Verdict) -> StatusLevel {
    match verdict.outcome {
        Outcome::Ignored => StatusLevel::Skip,
        Outcome::Passed if verdict.flakiness().is_some() || verdict.interference.is_some() => {
            StatusLevel::Retry
        }
        Outcome::Passed if !verdict.leaks.is_empty() => StatusLevel::Leak,
        Outcome::Passed => StatusLevel::Pass,
        _ => StatusLevel::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::leak::{Leak, LeakAction, LeakKind};

    fn shown(verdict: &Verdict) -> Vec<StatusLevel> {
        let levels = [StatusLevel::None, StatusLevel::Fail, StatusLevel::Retry, StatusLevel::Slow];
        let more = [StatusLevel::Leak, StatusLevel::Pass, StatusLevel::Skip, StatusLevel::All];
        let is_shown = |level: &StatusLevel| {
            status_line(Paint(false), "shop::opens", verdict, *level).is_some()
        };
        levels.into_iter().chain(more).filter(is_shown).collect()
    }

    fn leak() -> Leak {
        Leak {
            kind: LeakKind::Thread,
            what: "guard".to_owned(),
            place: None,
            detail: String::new(),
            lived_on: None,
            stack: Vec::new(),
            action: LeakAction::Warn,
            rule: String::new(),
        }
    }

    #[test]
    fn each_level_has_those_before_it() {
        let verdict = |outcome| Verdict::without_run(outcome, None);
        assert_eq!(shown(&verdict(Outcome::Failed)).len(), 7);
        assert_eq!(shown(&verdict(Outcome::Blocked)).len(), 7);
        let leaks = Verdict { leaks: vec![leak()], ..verdict(Outcome::Passed) };
        assert_eq!(shown(&leaks)[0], StatusLevel::Leak);
        assert_eq!(shown(&verdict(Outcome::Passed))[0], StatusLevel::Pass);
        assert_eq!(shown(&verdict(Outcome::Ignored)), [StatusLevel::Skip, StatusLevel::All]);
    }

    #[test]
    fn a_passed_test_that_leaks_is_marked() {
        let verdict =
            Verdict { leaks: vec![leak()], ..Verdict::without_run(Outcome::Passed, None) };
        let line = status_line(Paint(false), "shop::opens", &verdict, StatusLevel::All);
        assert_eq!(line.unwrap(), "      PASSED shop::opens, 1 leak");
    }
}
