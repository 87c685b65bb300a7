//! How a test depends on others, from what became of it in each phase. Pure.

use super::phases::PhaseVerdicts;
use crate::model::diagnosis::{Dependence, Phase};
use crate::model::interference::SharedThing;
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::thing::Thing;
use crate::model::verdict::Verdict;

/// How a test depends on others. None if it does not, as far as is known.
pub fn dependence(test: TestId, keeps_order: bool, phases: &[PhaseVerdicts]) -> Option<Dependence> {
    let failed = |is_meant: &dyn Fn(Phase) -> bool| {
        let of = phases.iter().filter(|of| is_meant(of.phase)).filter_map(|of| of.failed(test));
        of.reduce(|one, other| one || other)
    };
    let at_once = failed(&|phase| matches!(phase, Phase::Declared | Phase::Beside));
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
    match alone {
        Some(true) if has_passed_with_others => {
            Some(Dependence::Brittle { reason, relies_on: None })
        }
        Some(true) => Some(Dependence::Broken { reason }),
        Some(false) if in_process == Some(true) => {
            Some(Dependence::Victim { reason, after: None, is_kept_apart: false })
        }
        Some(false) if at_once == Some(true) => {
            Some(Dependence::Race { reason, met: met.next(), beside: None })
        }
        None if [in_process, at_once].contains(&Some(true)) => Some(Dependence::Unknown { reason }),
        _ => met.next().map(|met| Dependence::Race { reason, met: Some(met), beside: None }),
    }
}

/// Whether a test passed in all phases, and these were all that tell whether it may be split off.
/// `has_met` is whether it is one of those that run several at a time.
pub fn is_independent(test: TestId, has_met: bool, phases: &[PhaseVerdicts]) -> bool {
    let has_passed = |is_meant: fn(Phase) -> bool| {
        phases.iter().any(|of| is_meant(of.phase) && of.failed(test) == Some(false))
    };
    let has_failed =
        |of: &PhaseVerdicts| of.verdicts.get(&test).is_some_and(Verdict::has_failed_once);
    !phases.iter().any(has_failed)
        && has_passed(|phase| phase == Phase::Declared)
        && has_passed(|phase| phase == Phase::Alone)
        && (!has_met || has_passed(|phase| phase == Phase::Beside))
        && has_passed(|phase| matches!(phase, Phase::Shuffled(_)))
}

/// Things by which tests would break if they met, but those by which one is known to have failed.
pub fn shared_things(
    phases: &[PhaseVerdicts],
    dependences: &[(TestId, Dependence)],
) -> Vec<SharedThing> {
    let mut found: Vec<SharedThing> = Vec::new();
    let has_met = |thing: &Thing| {
        let mut met = dependences.iter().filter_map(|(_, dependence)| dependence.met());
        met.any(|met| met.thing == *thing)
    };
    // Where each test has a process of its own it is certain who it was.
    let exactly = phases.iter().filter(|of| of.phase == Phase::Alone);
    let as_declared = phases.iter().filter(|of| of.phase == Phase::Declared);
    for shared in exactly.chain(as_declared).flat_map(|of| &of.shared) {
        if !has_met(&shared.thing) && found.iter().all(|known| known.thing != shared.thing) {
            found.push(shared.clone());
        }
    }
    found
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
    use crate::sharing::usage::Usage;

    const TEST: TestId = TestId { listing: 0, test: 0 };

    /// What is said of a test that passed or failed in these phases.
    fn of(outcomes: &[(Phase, bool)], keeps_order: bool) -> &'static str {
        let verdicts = |(phase, passed): &(Phase, bool)| {
            let outcome = if *passed { Outcome::Passed } else { Outcome::Failed };
            let verdicts = [(TEST, Verdict::without_run(outcome, None))].into();
            let (shared, usage) = (Vec::new(), Usage::default());
            PhaseVerdicts { phase: *phase, verdicts, is_complete: true, shared, usage }
        };
        let phases: Vec<PhaseVerdicts> = outcomes.iter().map(verdicts).collect();
        match dependence(TEST, keeps_order, &phases) {
            None if is_independent(TEST, true, &phases) => "independent",
            None => "nothing",
            Some(Dependence::Broken { .. }) => "broken",
            Some(Dependence::Brittle { .. }) => "brittle",
            Some(Dependence::Victim { .. }) => "victim",
            Some(Dependence::Race { .. }) => "race",
            Some(Dependence::Flaky { .. }) => "flaky",
            Some(Dependence::Unknown { .. }) => "unknown",
        }
    }

    #[test]
    fn where_a_test_fails_tells_how_it_depends_on_others() {
        use Phase::{Alone, Beside, Declared, Shuffled, Together};
        let five = |declared, alone, together, beside, shuffled| {
            [
                (Declared, declared),
                (Alone, alone),
                (Together, together),
                (Beside, beside),
                (Shuffled(1), shuffled),
            ]
        };
        let four = |declared, alone, together, shuffled| {
            five(declared, alone, together, declared, shuffled)
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
            (five(false, true, true, true, true), "race"),
            (five(true, true, true, false, true), "race"),
            (five(false, false, false, true, false), "brittle"),
        ];
        for (outcomes, expected) in table {
            assert_eq!(of(&outcomes, false), expected, "{outcomes:?}");
        }
        // It may rely on the order, but may not be split off.
        assert_eq!(of(&four(true, true, true, false), true), "nothing");
        assert_eq!(of(&[(Declared, true), (Alone, true)], false), "nothing");
        assert_eq!(of(&[(Declared, true), (Alone, true), (Together, true)], false), "nothing");
        assert_eq!(of(&[(Declared, false)], false), "unknown");
    }
}
