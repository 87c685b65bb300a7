//! Which modules leave threads, processes and panics behind. Pure.

use std::collections::BTreeMap;

use super::phases::PhaseVerdicts;
use crate::model::diagnosis::{ModuleLeaks, Phase};
use crate::model::leak::LeakKind;
use crate::plan::group::Group;

/// What the tests of each module have left when they ran as declared. Pools that live as long as
/// their process by design do not count.
pub fn by_module(groups: &[Group], phases: &[PhaseVerdicts]) -> Vec<ModuleLeaks> {
    let mut modules: BTreeMap<&str, ModuleLeaks> = BTreeMap::new();
    let Some(declared) = phases.iter().find(|of| of.phase == Phase::Declared) else {
        return Vec::new();
    };
    for group in groups {
        for verdict in group.tests.iter().filter_map(|test| declared.verdicts.get(&test.id)) {
            let kinds: Vec<LeakKind> = verdict.leaks.iter().map(|leak| leak.kind).collect();
            if kinds.iter().all(|kind| *kind == LeakKind::Pool) {
                continue;
            }
            let count = |kind: LeakKind| kinds.iter().filter(|own| **own == kind).count();
            let of = modules.entry(&group.node).or_insert_with(|| ModuleLeaks::new(&group.node));
            of.tests += 1;
            of.threads += count(LeakKind::Thread);
            of.processes += count(LeakKind::Process);
            of.panics += count(LeakKind::Panic);
        }
    }
    modules.into_values().collect()
}
