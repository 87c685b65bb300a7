//! Which fixtures are up, which have to be, and which may go. As pure as the plan it is a part
//! of: it says what to start and to stop, and is told what came of it.
//!
//! A fixture starts when the first of its tests is next, and those of one level side by side.
//! It stops when nothing that uses it runs or waits; of those with a user in common, the last
//! one that was started goes first.

use std::collections::BTreeSet;

use super::group::{Instance, Need};
use super::group_state::GroupState;
use crate::config::fixtures::Scope;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixtureStep {
    Start(Instance),
    Stop(Instance),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Up,
    Stopping,
}

/// Whether a group may start on one of the free slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// On this slot, where it matters.
    Ready(Option<usize>),
    /// What it needs is about to be up, or has to be started first.
    Waits(Vec<Instance>),
}

#[derive(Debug, Default)]
pub struct FixtureStates {
    /// Those that are there, in the order of starting.
    started: Vec<(Instance, State)>,
    /// Asked for, and not yet handed out to be started.
    wanted: BTreeSet<Instance>,
}

impl FixtureStates {
    /// Nothing is up, and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.started.is_empty() && self.wanted.is_empty()
    }

    /// Whether the next batch of a group can run on one of these slots.
    pub(super) fn readiness(&self, group: &GroupState, free: &BTreeSet<usize>) -> Readiness {
        let levels = &group.group.fixtures;
        let is_by_slot = levels.iter().flatten().any(|need| need.scope == Scope::Slot);
        if let Some(slot) = free.iter().find(|slot| self.missing(levels, **slot).is_empty()) {
            return Readiness::Ready(is_by_slot.then_some(*slot));
        }
        // A slot of its own for every test that waits is enough; the ones that have most of what
        // it takes come first, since halves on several slots would serve nobody.
        let is_new = |instance: &Instance| !self.started.iter().any(|(there, _)| there == instance);
        let lacks = |slot: &usize| {
            levels.iter().flatten().filter(|need| is_new(&need.instance(*slot))).count()
        };
        let (mut others, complete): (Vec<usize>, Vec<usize>) =
            free.iter().partition(|slot| lacks(slot) > 0);
        others.sort_by_key(lacks);
        let waiting = group.pending.len() + group.alone.len();
        let others = others.into_iter().take(waiting.saturating_sub(complete.len()));
        let of_slot = |slot| -> Vec<Instance> {
            self.missing(levels, slot).into_iter().filter(is_new).collect()
        };
        let found = others.map(of_slot).find(|instances| !instances.is_empty());
        Readiness::Waits(found.unwrap_or_default())
    }

    /// What is not up of the first level that is not.
    fn missing(&self, levels: &[Vec<Need>], slot: usize) -> Vec<Instance> {
        let missing_of = |level: &Vec<Need>| -> Vec<Instance> {
            let instances = level.iter().map(|need| need.instance(slot));
            instances.filter(|instance| !self.is_up(*instance)).collect()
        };
        levels.iter().map(missing_of).find(|missing| !missing.is_empty()).unwrap_or_default()
    }

    fn is_up(&self, instance: Instance) -> bool {
        self.started.contains(&(instance, State::Up))
    }

    pub fn want(&mut self, instances: Vec<Instance>) {
        self.wanted.extend(instances);
    }

    /// What is to be started or stopped now.
    pub(super) fn next(&mut self, groups: &[GroupState]) -> Option<FixtureStep> {
        if let Some(instance) = self.wanted.pop_first() {
            self.started.push((instance, State::Starting));
            return Some(FixtureStep::Start(instance));
        }
        let may_stop = |at: &usize| self.may_stop(*at, groups);
        let at = (0..self.started.len()).rev().find(may_stop)?;
        self.started[at].1 = State::Stopping;
        Some(FixtureStep::Stop(self.started[at].0))
    }

    fn may_stop(&self, at: usize, groups: &[GroupState]) -> bool {
        let (instance, state) = self.started[at];
        let users = || groups.iter().filter(|group| group.needs(instance.fixture));
        let is_used = users().any(|group| !group.is_over());
        let is_beside = |later: &Instance| {
            later.fixture != instance.fixture && users().any(|group| group.needs(later.fixture))
        };
        let later_ones = self.started[at + 1..].iter().any(|(later, _)| is_beside(later));
        state != State::Stopping && !is_used && !later_ones
    }

    pub fn is_ready(&mut self, instance: Instance) {
        for (there, state) in &mut self.started {
            if *there == instance && *state == State::Starting {
                *state = State::Up;
            }
        }
    }

    pub fn is_gone(&mut self, instance: Instance) {
        self.started.retain(|(there, _)| *there != instance);
    }

    /// It failed, or it died: it is not tried again.
    pub fn is_lost(&mut self, instance: Instance) {
        self.is_gone(instance);
        self.wanted.retain(|wanted| wanted.fixture != instance.fixture);
    }

    pub fn forget_wanted(&mut self) {
        self.wanted.clear();
    }
}
