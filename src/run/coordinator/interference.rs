//! Tests that fail because a test of another process used the same thing at the same time: they run
//! again by themselves, and the locks that keep the two apart are learnt.

use std::cell::RefCell;
use std::collections::HashMap;

use super::state::Run;
use crate::discovery::test_list::Test;
use crate::model::event::Event;
use crate::model::interference::{Interference, LearntLock, SharedThing, ThingUser};
use crate::model::outcome::Outcome;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::test::TestId;
use crate::model::thing::Thing;
use crate::model::verdict::Verdict;
use crate::plan::meeting::may_meet;
use crate::sharing::lock::{Lock, LockUser, User};
use crate::sharing::usage::Suspect;

impl Run<'_> {
    /// Lets a test that has failed run again by itself, if a test of another process may have made
    /// it fail. Otherwise, and the second time, returns the verdict.
    pub(super) fn rerun_or_return(&mut self, test: TestId, verdict: Verdict) -> Option<Verdict> {
        if verdict.outcome.is_failure() && self.suspects.is_one(test) {
            // It fails by itself, too. A later attempt that passes proves nothing.
            self.suspects.acquit(test);
        }
        if !verdict.outcome.is_failure() || self.phase.is_stopped() || self.suspects.is_one(test) {
            return Some(verdict);
        }
        let suspect = self.suspect_for(test, &verdict);
        let Some((suspect, group)) = suspect.zip(self.group_of(test)) else { return Some(verdict) };
        if self.lost_fixture_of(self.plan.group(group)).is_some() {
            return Some(verdict);
        }
        let (outcome, attempt) = (verdict.outcome, self.attempt(test, &verdict));
        let Some(failures) = self.ledger.note_failure(test, attempt, usize::MAX) else {
            return Some(verdict);
        };
        self.suspects.add(test, suspect);
        self.plan.run_by_itself(group, test);
        let (attempt, attempts) = (failures + 1, failures + 1);
        self.emit(Event::Retrying { test, outcome, attempt, attempts });
        None
    }

    /// What may have made this test fail.
    fn suspect_for(&self, test: TestId, verdict: &Verdict) -> Option<Suspect> {
        let reason = verdict.reason.as_ref().map(Reason::to_string).unwrap_or_default();
        let text = format!("{reason}\n{}", String::from_utf8_lossy(verdict.output.printed()));
        let may_meet = self.may_meet();
        let may_meet = |other| self.context.config.slots > 1 && may_meet(test, other);
        self.context.state.usage.suspect(verdict.worker?, test, &text, &may_meet)
    }

    /// Adds why a test failed at first that has passed by itself.
    pub(super) fn with_interference(&mut self, test: TestId, verdict: Verdict) -> Verdict {
        let suspect = self.suspects.of(test);
        let Some(suspect) = suspect.filter(|_| verdict.outcome == Outcome::Passed) else {
            return verdict;
        };
        let interference = self.context.state.usage.name(suspect);
        if let Some(Interference { thing, kind, .. }) = &interference {
            self.suspects.prove(thing.clone(), *kind);
        }
        Verdict { interference, ..verdict }
    }

    /// Learns from the run which tests have to be kept apart in the next one.
    pub(super) fn learn_locks(&mut self) {
        let Some(known) = &self.context.config.learnt else { return };
        let is_proven =
            |thing: &Thing| self.suspects.proven(thing).or_else(|| known.is_proven(thing));
        let found = self.context.state.usage.shared_things(&self.may_meet(), &is_proven);
        let lock = |shared: SharedThing| Lock {
            is_proven: is_proven(&shared.thing).is_some(),
            users: shared.users.iter().map(|user| self.lock_user(user)).collect(),
            thing: shared.thing,
            kind: shared.kind,
        };
        let found = found.into_iter().map(lock).collect();
        let after =
            known.after(found, &|user| self.has_run(user), &|user| self.has_met_itself(user));
        let learnt: Vec<LearntLock> = after.new_since(known).map(|lock| self.shown(lock)).collect();
        let _ = self.context.state.learnt.set(after);
        if !learnt.is_empty() {
            self.emit(Event::LocksLearnt(learnt));
        }
    }

    /// Tells whether two tests could run at the same time in different processes, but for learnt
    /// locks and the number of slots. Remembers the tests' groups.
    fn may_meet(&self) -> impl Fn(TestId, TestId) -> bool {
        let groups = RefCell::new(HashMap::new());
        move |one: TestId, other: TestId| {
            let group_of = |test: TestId| {
                *groups.borrow_mut().entry(test).or_insert_with(|| self.group_of(test))
            };
            let groups = group_of(one).zip(group_of(other));
            groups
                .is_some_and(|(one, other)| may_meet(self.plan.group(one), self.plan.group(other)))
        }
    }

    fn lock_user(&self, user: &ThingUser) -> LockUser {
        let listing = &self.context.inventory.listings[user.test.listing];
        let test = (!user.is_process).then(|| listing.tests[user.test.test].name.clone());
        let user_of_lock = User { binary: listing.binary.key(), test };
        LockUser { user: user_of_lock, only_reads: user.only_reads }
    }

    /// Whether all is known about what a user of a lock does now: it has run and was watched, or it
    /// is no more.
    fn has_run(&self, user: &User) -> bool {
        let listings = self.context.inventory.listings.iter().enumerate();
        let found = listings.filter(|(_, listing)| listing.binary.key() == user.binary);
        let mut found = found.peekable();
        if found.peek().is_none() {
            // It may only not have been selected.
            return false;
        }
        let mut found = found.filter(|(at, _)| self.protocols[*at] == Protocol::Agent).peekable();
        // Nobody watches without the agent.
        found.peek().is_some()
            && found.all(|(listing, of)| match &user.test {
                Some(name) => {
                    let test = of.tests.iter().position(|test| test.name == *name);
                    test.is_none_or(|test| self.ledger.has_run(TestId { listing, test }))
                }
                None => of.tests.iter().enumerate().all(|(test, Test { is_ignored, .. })| {
                    *is_ignored || self.ledger.has_run(TestId { listing, test })
                }),
            })
    }

    /// Whether tests of a binary would have met, if they used anything: not if all that used
    /// something were in one process.
    fn has_met_itself(&self, user: &User) -> bool {
        let listings = self.context.inventory.listings.iter().enumerate();
        let mut found = listings.filter(|(_, listing)| listing.binary.key() == user.binary);
        found.all(|(listing, _)| self.context.state.usage.processes_of(listing) != 1)
    }

    fn shown(&self, lock: &Lock) -> LearntLock {
        let id = |user: &LockUser| {
            let listings = &self.context.inventory.listings;
            let found = listings.iter().find(|of| of.binary.key() == user.user.binary);
            found.map(|of| match &user.user.test {
                Some(test) => of.binary.id(test),
                None => of.binary.prefix.clone(),
            })
        };
        let users = lock.users.iter().filter_map(id).collect();
        LearntLock { thing: lock.thing.clone(), kind: lock.kind, users }
    }
}
