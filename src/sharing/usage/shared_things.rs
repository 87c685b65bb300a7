//! Things by which tests of different processes would break if they met.

use std::sync::Arc;

use super::{Table, User};
use crate::frames::kinds::action::REMOVE;
use crate::model::interference::{InterferenceKind, SharedThing, ThingUser};
use crate::model::test::TestId;
use crate::model::thing::{Actions, Thing};
use crate::sharing::conflict::{Evidence, Relation, conflict, relation};

impl Table {
    pub(super) fn shared_things(
        &mut self,
        may_meet: &dyn Fn(TestId, TestId) -> bool,
        is_proven: &dyn Fn(&Thing) -> Option<InterferenceKind>,
    ) -> Vec<SharedThing> {
        let mut found: Vec<SharedThing> = Vec::new();
        if self.processes.len() < 2 {
            return found;
        }
        self.sort();
        let may_be = |index: usize| {
            let used = &self.things[index];
            used.is_shared || used.is_removed || matches!(*used.thing, Thing::Port(_))
        };
        // Directories come before what is in them.
        for (thing, index) in self.sorted.iter().filter(|(_, index)| may_be(**index)) {
            let evidence = match is_proven(thing) {
                None => Evidence::None,
                Some(InterferenceKind::Created) => Evidence::Existed,
                Some(_) => Evidence::Failure,
            };
            let Some(shared) = self.shared_thing(thing, *index, evidence, may_meet) else {
                continue;
            };
            let is_above =
                |one: &&SharedThing| relation(&one.thing, thing) == Some(Relation::Above);
            if !found.iter().filter(is_above).any(|above| above.covers(&shared)) {
                found.push(shared);
            }
        }
        found
    }

    fn shared_thing(
        &self,
        thing: &Arc<Thing>,
        index: usize,
        evidence: Evidence,
        may_meet: &dyn Fn(TestId, TestId) -> bool,
    ) -> Option<SharedThing> {
        // Of two ports that overlap, the first one stands for both.
        let same =
            self.same(thing).filter(|other| *other == index || self.things[*other].thing > *thing);
        let of = |index: usize, is_inner: bool| {
            self.things[index]
                .users
                .iter()
                .map(move |user| (*user, self.actions(*user, index), is_inner))
        };
        let mut all: Vec<(User, Actions, bool)> = same.flat_map(|other| of(other, false)).collect();
        if all.iter().all(|(_, actions, _)| actions.only_read()) {
            return None;
        }
        if all.iter().any(|(_, actions, _)| actions.has(REMOVE)) {
            all.extend(self.below(thing).flat_map(|inner| of(inner, true)));
        }
        let is_alone = all.windows(2).all(|two| two[0].0.process == two[1].0.process);
        let mut shared: Option<SharedThing> = None;
        for one in all.iter().filter(|_| !is_alone) {
            let kinds = all.iter().filter_map(|other| self.pair(one, other, evidence, may_meet));
            let Some(kind) = kinds.min() else { continue };
            let (user, actions, is_inner) = *one;
            let (test, is_process) = self.test_of(user)?;
            let only_reads = is_inner || actions.only_read();
            let new = || SharedThing { thing: (**thing).clone(), kind, users: Vec::new() };
            let shared = shared.get_or_insert_with(new);
            shared.kind = shared.kind.min(kind);
            shared.add(ThingUser { test, is_process, only_reads });
        }
        shared
    }

    /// What two users of related things do to each other, if they may meet.
    fn pair(
        &self,
        (one, does, is_inner): &(User, Actions, bool),
        (other, others, other_is_inner): &(User, Actions, bool),
        evidence: Evidence,
        may_meet: &dyn Fn(TestId, TestId) -> bool,
    ) -> Option<InterferenceKind> {
        let relation = match (is_inner, other_is_inner) {
            (false, false) => Relation::Same,
            (false, true) => Relation::Above,
            (true, false) => Relation::Below,
            // What is in the directory is looked at by itself.
            (true, true) => return None,
        };
        if one.process == other.process {
            return None;
        }
        let kind = conflict(*does, *others, relation, evidence)?;
        let ((test, _), (with, _)) = (self.test_of(*one)?, self.test_of(*other)?);
        (test != with && may_meet(test, with) && !self.share_lock(*one, *other)).then_some(kind)
    }
}
