//! Which test of another process may have made a test fail.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{Suspect, Table, UsedThing, User};
use crate::model::interference::InterferenceKind;
use crate::model::test::TestId;
use crate::model::thing::{Actions, Thing};
use crate::sharing::conflict::{Evidence, Relation, conflict, evidence_of};

/// The most uses that are compared to explain failures: in a run in which nearly everything fails,
/// they are not explained by what others do.
const MOST_COMPARED: usize = 1_000_000;

/// A suspect, and how likely it is: the greatest is.
struct Candidate {
    suspect: Suspect,
    rank: (bool, bool, Reverse<InterferenceKind>, Instant),
}

/// How late the runner may hear of the start of a test, compared with the end of another one, on a
/// busy machine. A suspect too many is found innocent by the test that runs by itself.
const LATE: Duration = Duration::from_secs(1);

/// A test that has failed. All that has been used until now may have made it fail.
struct Victim<'v> {
    user: User,
    began: Instant,
    text: &'v str,
    may_meet: &'v dyn Fn(TestId) -> bool,
    evidence: Evidence,
}

impl Table {
    pub(super) fn suspect(
        &mut self,
        process: u64,
        test: TestId,
        text: &str,
        may_meet: &dyn Fn(TestId) -> bool,
    ) -> Option<Suspect> {
        self.sort();
        let own = self.processes.get(&process)?;
        let (number, span) = own.tests.iter().find(|(_, span)| span.test == test)?;
        let victim = Victim {
            user: User { process, test: *number },
            began: span.began,
            text,
            may_meet,
            evidence: evidence_of(text),
        };
        let room = MOST_COMPARED.saturating_sub(self.compared);
        let mut found = Vec::new();
        // What the process does outside of its tests is done for all of them.
        let is_for_it =
            |test: u32, actions: Actions| test == *number || (test == 0 && !actions.only_read());
        let used = own.used.iter().filter(|((test, _), actions)| is_for_it(*test, **actions));
        let mut compared = 0;
        for ((test, thing), actions) in used.take(room) {
            self.candidates(&victim, (*thing, *actions, test == number), &mut found);
            compared += 1;
        }
        self.compared += compared;
        found.into_iter().max_by_key(|one| one.rank).map(|one| one.suspect)
    }

    fn candidates(
        &self,
        victim: &Victim<'_>,
        (index, actions, is_own): (usize, Actions, bool),
        found: &mut Vec<Candidate>,
    ) {
        let thing = &self.things[index].thing;
        for (other, relation) in self.related(thing) {
            let UsedThing { thing: other_thing, users, .. } = &self.things[other];
            for user in users.iter().filter(|user| !self.is_same(victim, **user)) {
                let theirs = self.actions(*user, other);
                let kind = conflict(actions, theirs, relation, victim.evidence);
                let meets = || self.meets(victim, *user, [index, other]);
                let Some(kind) = kind.filter(|_| meets()) else {
                    continue;
                };
                // What has happened has happened to the directory.
                let shown = if relation == Relation::Below { other_thing } else { thing };
                let began = self.span(*user).map_or(victim.began, |(began, _)| began);
                let rank = (is_own, is_named(thing, victim.text), Reverse(kind), began);
                let suspect = Suspect { user: *user, thing: (**shown).clone(), kind };
                found.push(Candidate { suspect, rank });
            }
        }
    }

    /// Whether a user is the victim's own process, or an earlier attempt of the same test.
    fn is_same(&self, victim: &Victim<'_>, user: User) -> bool {
        let test = |user: User| self.test_of(user).filter(|(_, is_process)| !is_process);
        user.process == victim.user.process
            || test(user).is_some_and(|of| test(victim.user) == Some(of))
    }

    /// Whether a user was active while the victim, or an earlier test of its process, used one of
    /// these things: what one test has set up is used by the next one.
    fn meets(&self, victim: &Victim<'_>, user: User, things: [usize; 2]) -> bool {
        let users = things.iter().flat_map(|thing| &self.things[*thing].users);
        let own = users.filter(|own| own.process == victim.user.process);
        let since = own.filter_map(|own| self.span(*own)).map(|(began, _)| began).min();
        let since = since.map_or(victim.began, |since| since.min(victim.began));
        let Some((_, ended)) = self.span(user) else { return false };
        if !self.test_of(user).is_some_and(|(test, _)| (victim.may_meet)(test)) {
            return false;
        }
        ended.is_none_or(|ended| ended + LATE >= since) && !self.share_lock(victim.user, user)
    }
}

/// Whether a text speaks of a thing.
fn is_named(thing: &Thing, text: &str) -> bool {
    match thing {
        Thing::Path(path) => text.contains(path.as_str()) || text.contains(&thing.lock_name()),
        Thing::Port(port) => text.contains(&port.number.to_string()) || text.contains("in use"),
        Thing::AbstractSocket(name) | Thing::SharedMemory(name) | Thing::Semaphore(name) => {
            text.contains(name.as_str())
        }
    }
}
