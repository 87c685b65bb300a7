//! The ways in which the suite runs, and what became of each test.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::commands::trials::{TrialSetup, Trials};
use crate::config::keys::Threads;
use crate::error::Result;
use crate::model::diagnosis::{Phase, PhaseResult};
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::plan::group::{Group, Isolation};
use crate::process::clock;

/// What became of the tests in one phase. A test that the budget has cut short is not there.
pub struct PhaseVerdicts {
    pub phase: Phase,
    pub verdicts: HashMap<TestId, Verdict>,
    pub is_complete: bool,
}

impl PhaseVerdicts {
    /// Whether a test failed for a reason other than a test of another process that it met; none if
    /// it did not run to its end.
    pub fn failed(&self, test: TestId) -> Option<bool> {
        self.verdicts.get(&test).map(Verdict::has_failed_unexplained)
    }

    pub fn result(&self) -> PhaseResult {
        PhaseResult {
            phase: self.phase,
            tests: self.verdicts.len(),
            failed: self.verdicts.values().filter(|verdict| verdict.has_failed_once()).count(),
            is_complete: self.is_complete,
        }
    }
}

/// The time that is left.
#[derive(Clone, Copy)]
pub struct Budget {
    began: Instant,
    all: Duration,
}

impl Budget {
    pub fn start(all: Duration) -> Budget {
        Budget { began: clock::now(), all }
    }

    pub fn spent(self) -> Duration {
        clock::since(self.began)
    }

    pub fn is_spent(self) -> bool {
        self.spent() >= self.all
    }

    /// None if that is farther away than a clock can tell.
    pub fn ends_at(self) -> Option<Instant> {
        self.began.checked_add(self.all)
    }
}

/// Runs these groups in the way of a phase.
pub fn run(trials: &mut Trials<'_>, phase: Phase, groups: &[Group]) -> Result<PhaseVerdicts> {
    let groups = match phase {
        Phase::Declared | Phase::Proof => groups.to_vec(),
        Phase::Alone => alone(groups),
        Phase::Together => together(groups, None),
        Phase::Shuffled(seed) => together(groups, Some(seed)),
    };
    let one_at_a_time = matches!(phase, Phase::Together | Phase::Shuffled(_));
    let setup = TrialSetup {
        slots: trials.project.settings.slots,
        thread_cap: if one_at_a_time { Some(1) } else { trials.project.settings.thread_cap },
        watches_state: false,
    };
    // A failure is what is looked for.
    let groups = groups.into_iter().map(Group::without_retries).collect();
    let tried = trials.run(groups, setup)?;
    let mut verdicts = tried.verdicts;
    verdicts.retain(|_, verdict| !matches!(verdict.reason, Some(Reason::RunTimedOut(_))));
    Ok(PhaseVerdicts { phase, verdicts, is_complete: tried.is_complete })
}

fn alone(groups: &[Group]) -> Vec<Group> {
    let alone = |group: &Group| Group {
        isolation: Isolation::PerTest,
        has_explicit_policy: true,
        ..group.clone()
    };
    groups.iter().map(alone).collect()
}

/// All tests of a binary in one process, as far as their environments and fixtures are the same.
/// Tests with a process of their own keep it.
fn together(groups: &[Group], shuffle: Option<u64>) -> Vec<Group> {
    let mut joined: BTreeMap<_, Group> = BTreeMap::new();
    let mut others = Vec::new();
    for group in groups {
        let Group { listing, env, fixtures, .. } = group;
        if group.isolation == Isolation::PerTest || !group.can_thread {
            others.push(group.clone());
            continue;
        }
        let fixtures: Vec<Vec<usize>> =
            fixtures.iter().map(|level| level.iter().map(|need| need.fixture).collect()).collect();
        let new = || Group { tests: Vec::new(), ..group.clone() };
        let into = joined.entry((*listing, env.clone(), fixtures)).or_insert_with(new);
        into.tests.extend(group.tests.iter().cloned());
        into.locks.add(&group.locks);
        into.exclusive |= group.exclusive;
    }
    let together = |mut group: Group| {
        group.tests.sort_by_key(|test| test.id);
        Group {
            isolation: Isolation::Unit,
            has_explicit_policy: true,
            threads: Threads::Auto,
            least_threads: 1,
            shuffle,
            ..group
        }
    };
    others.extend(joined.into_values().map(together));
    others
}
