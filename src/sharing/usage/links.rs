//! By which thing one test may have changed the outcome of another one, of whichever process.

use super::{Process, Table, User};
use crate::model::test::TestId;
use crate::model::thing::{Actions, Thing};
use crate::sharing::conflict::{Relation, conflict, evidence_of};

impl Table {
    /// A thing that both used, where the first may have made the second one fail with this text.
    pub(super) fn link(&mut self, other: TestId, test: TestId, text: &str) -> Option<Thing> {
        self.sort();
        let evidence = evidence_of(text);
        let table = &*self;
        let others = table.users(other);
        let uses = table.users(test).into_iter().flat_map(|user| table.used_by(user));
        let related = uses.flat_map(|(index, does)| {
            let related = table.related(&table.things[index].thing).into_iter();
            related.map(move |(with, relation)| (does, with, relation))
        });
        let conflicts = related.flat_map(|(does, with, relation)| {
            let did = others.iter().map(move |other| table.actions(*other, with));
            let kinds = did
                .filter(|did| !did.only_read())
                .filter_map(move |did| conflict(does, did, relation, evidence));
            kinds.map(move |kind| ((relation != Relation::Same, kind), with))
        });
        let (_, found) = conflicts.min_by_key(|(rank, _)| *rank)?;
        Some((*table.things[found].thing).clone())
    }

    /// A test, in all processes that it ran in.
    fn users(&self, test: TestId) -> Vec<User> {
        let of_process = |(process, entry): (&u64, &Process)| {
            let numbers = entry.tests.iter().filter(|(_, span)| span.test == test);
            let process = *process;
            numbers.map(|(test, _)| User { process, test: *test }).collect::<Vec<_>>()
        };
        self.processes.iter().flat_map(of_process).collect()
    }

    fn used_by(&self, user: User) -> Vec<(usize, Actions)> {
        let Some(process) = self.processes.get(&user.process) else { return Vec::new() };
        let used = process.used.range((user.test, 0)..=(user.test, usize::MAX));
        used.map(|((_, thing), actions)| (*thing, *actions)).collect()
    }
}
