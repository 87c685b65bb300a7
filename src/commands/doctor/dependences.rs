//! How a test depends on others, from what became of it in each phase. Pure.

use super::phases::PhaseVerdicts;
use crate::model::diagnosis::{Dependence, Phase};
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;

/// How a test depends on others. None if it does not, as far as is known.
pub fn dependence(test: TestId, keeps_order: bool, phases: &[PhaseVerdicts]) -> Option<Dependence> {
    let failed = |is_meant: &dyn Fn(Phase) -> bool| {
        let of = phases.iter().filter(|of| is_meant(of.phase)).filter_map(|of| of.failed(test));
        of.reduce(|one, other| one || other)
    };
    let declared = failed(&|phase| phase == Phase::Declared);
    let alone = failed(&|phase| phase == Phase::Alone);
    let in_process = failed(&|phase| match phase {
        Phase::Together => true,
        // What comes in a certain order by its policy may rely on that.
        Phase::Shuffled(_) => !keeps_order,
        _ => false,
    });
    let reason = reason(test, phases);
    // A test of another process that it met, in any phase.
    let mut met = phases.iter().filter_map(|of| of.verdicts.get(&test)?.interference.clone());
    let has_passed_with_others =
        phases.iter().any(|of| of.phase != Phase::Alone && of.failed(test) == Some(false));
    match (alone, declared, in_process) {
        (Some(true), ..) if has_passed_with_others => {
            Some(Dependence::Brittle { reason, relies_on: None })
        }
        (Some(true), ..) => Some(Dependence::Broken { reason }),
        (_, _, Some(true)) => Some(Dependence::Victim { reason, after: None }),
        (_, Some(true), _) => Some(Dependence::Race { reason, interference: met.next() }),
        _ => met.next().map(|met| Dependence::Race { reason, interference: Some(met) }),
    }
}

/// Whether a test passed in all phases, and these were all that tell whether it may be split off.
pub fn is_independent(test: TestId, phases: &[PhaseVerdicts]) -> bool {
    let has_passed = |is_meant: fn(Phase) -> bool| {
        phases.iter().any(|of| is_meant(of.phase) && of.failed(test) == Some(false))
    };
    let has_failed =
        |of: &PhaseVerdicts| of.verdicts.get(&test).is_some_and(Verdict::has_failed_once);
    !phases.iter().any(has_failed)
        && has_passed(|phase| phase == Phase::Declared)
        && has_passed(|phase| phase == Phase::Alone)
        && has_passed(|phase| matches!(phase, Phase::Shuffled(_)))
}

/// Why it failed at first.
fn reason(test: TestId, phases: &[PhaseVerdicts]) -> Option<String> {
    let mut failed = phases.iter().filter_map(|of| of.verdicts.get(&test)?.first_failure());
    failed.next().map(Reason::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Outcome;

    const TEST: TestId = TestId { listing: 0, test: 0 };

    /// What is said of a test that passed or failed in these phases.
    fn of(outcomes: &[(Phase, bool)], keeps_order: bool) -> &'static str {
        let verdicts = |(phase, passed): &(Phase, bool)| {
            let outcome = if *passed { Outcome::Passed } else { Outcome::Failed };
            let verdicts = [(TEST, Verdict::without_run(outcome, None))].into();
            PhaseVerdicts { phase: *phase, verdicts, is_complete: true }
        };
        let phases: Vec<PhaseVerdicts> = outcomes.iter().map(verdicts).collect();
        match dependence(TEST, keeps_order, &phases) {
            None if is_independent(TEST, &phases) => "independent",
            None => "nothing",
            Some(Dependence::Broken { .. }) => "broken",
            Some(Dependence::Brittle { .. }) => "brittle",
            Some(Dependence::Victim { .. }) => "victim",
            Some(Dependence::Race { .. }) => "race",
        }
    }

    #[test]
    fn where_a_test_fails_tells_how_it_depends_on_others() {
        use Phase::{Alone, Declared, Shuffled, Together};
        let four = |declared, alone, together, shuffled| {
            [(Declared, declared), (Alone, alone), (Together, together), (Shuffled(1), shuffled)]
        };
        let table = [
            (four(true, true, true, true), "independent"),
            (four(false, false, false, false), "broken"),
            (four(true, false, true, false), "brittle"),
            (four(false, false, true, true), "brittle"),
            (four(false, false, true, false), "brittle"),
            (four(false, false, false, true), "brittle"),
            (four(false, true, false, true), "victim"),
            (four(true, true, true, false), "victim"),
            (four(false, true, true, true), "race"),
        ];
        for (outcomes, expected) in table {
            assert_eq!(of(&outcomes, false), expected, "{outcomes:?}");
        }
        // It may rely on the order, but may not be split off.
        assert_eq!(of(&four(true, true, true, false), true), "nothing");
        assert_eq!(of(&[(Declared, true), (Alone, true)], false), "nothing");
        assert_eq!(of(&[(Declared, false)], false), "race");
    }
}
