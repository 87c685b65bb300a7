//! By which thing one test may have changed the outcome of another one, of whichever process.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Table, User};
use crate::model::test::TestId;
use crate::model::thing::Thing;
use crate::sharing::conflict::{Relation, conflict, evidence_of};

impl Table {
    /// A thing that both used, where the first may have made the second one fail with this text.
    pub(super) fn link(&mut self, other: TestId, test: TestId, text: &str) -> Option<Thing> {
        self.sort();
        let evidence = evidence_of(text);
        let others = self.users(other);
        let mut found: Option<(_, Arc<Thing>)> = None;
        for user in self.users(test) {
            for (index, does) in self.used_by(user) {
                for (with, relation) in self.related(&self.things[index].thing) {
                    for other in &others {
                        let did = self.actions(*other, with);
                        let is_change = !did.only_read();
                        let kind = conflict(does, did, relation, evidence);
                        let Some(kind) = kind.filter(|_| is_change) else { continue };
                        let rank = Reverse((relation != Relation::Same, kind));
                        if found.as_ref().is_none_or(|(best, _)| rank > *best) {
                            found = Some((rank, self.things[with].thing.clone()));
                        }
                    }
                }
            }
        }
        found.map(|(_, thing)| (*thing).clone())
    }

    /// A test, in all processes that it ran in.
    fn users(&self, test: TestId) -> Vec<User> {
        let of_process = |(process, entry): (&u64, &super::Process)| {
            let numbers = entry.tests.iter().filter(|(_, span)| span.test == test);
            let process = *process;
            numbers.map(|(test, _)| User { process, test: *test }).collect::<Vec<_>>()
        };
        self.processes.iter().flat_map(of_process).collect()
    }

    fn used_by(&self, user: User) -> Vec<(usize, crate::model::thing::Actions)> {
        let Some(process) = self.processes.get(&user.process) else { return Vec::new() };
        let used = process.used.range((user.test, 0)..=(user.test, usize::MAX));
        used.map(|((_, thing), actions)| (*thing, *actions)).collect()
    }
}
