//! Tracks which fixtures are up, and decides which to start and stop. As pure as the plan that it
//! is part of.
//!
//! A fixture starts when the first of its tests is next; those of one level start side by side. It
//! stops when no test that uses it runs or waits; of fixtures with a group in common, the last one
//! started stops first.

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
    /// On this slot, if its fixtures have the scope of a slot.
    Ready(Option<usize>),
    /// It waits for fixtures; these have to be started.
    Waits(Vec<Instance>),
}

#[derive(Debug, Default)]
pub struct FixtureStates {
    /// Fixtures that have been started, in that order.
    started: Vec<(Instance, State)>,
    /// Fixtures that are to be started.
    wanted: BTreeSet<Instance>,
}

impl FixtureStates {
    /// Whether no fixture is up or wanted.
    pub fn is_empty(&self) -> bool {
        self.started.is_empty() && self.wanted.is_empty()
    }

    /// Whether any is still to be started.
    pub(super) fn are_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether the next batch of a group can run on one of these slots.
    pub(super) fn readiness(&self, group: &GroupState, free: &BTreeSet<usize>) -> Readiness {
        let levels = &group.group.fixtures;
        let is_by_slot = levels.iter().flatten().any(|need| need.scope == Scope::Slot);
        if let Some(slot) = free.iter().find(|slot| self.missing(levels, **slot).is_empty()) {
            return Readiness::Ready(is_by_slot.then_some(*slot));
        }
        // One slot for every waiting test is enough; slots with most of the fixtures come first,
        // since incomplete sets on several slots serve no test.
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

    /// The missing fixtures of the first level that is not complete.
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

    /// The next fixture to start or stop.
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

    /// Removes a fixture that failed or died; it is not started again.
    pub fn is_lost(&mut self, instance: Instance) {
        self.is_gone(instance);
        self.wanted.retain(|wanted| wanted.fixture != instance.fixture);
    }

    pub fn forget_wanted(&mut self) {
        self.wanted.clear();
    }
}
