//! What the tests of a run use outside of their processes, and when.
//!
//! Workers and the coordinator share one table, which is filled from the logs of the workers: by
//! each worker when one of its tests has ended, and by the coordinator when it wants to know.

mod links;
mod shared_things;
mod suspects;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::conflict::{Relation, relation};
use crate::frames::kinds::action::{LOCK, REMOVE};
use crate::model::interference::{Interference, InterferenceKind, SharedThing};
use crate::model::test::TestId;
use crate::model::thing::{Actions, Port, Thing, Use};
use crate::process::clock;
use crate::process::platform::UseLog;

/// The most uses that are kept: some hundred megabytes.
const MOST_USES: usize = 2_000_000;

#[derive(Debug, Default)]
pub struct Usage(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    things: Vec<UsedThing>,
    /// All things, with their indices.
    indices: FxHashMap<Arc<Thing>, usize>,
    /// The same in order, as far as they have been sorted.
    sorted: BTreeMap<Arc<Thing>, usize>,
    uses: usize,
    /// How many uses have been compared to explain failures.
    compared: usize,
    processes: BTreeMap<u64, Process>,
    /// Logs that no worker has.
    idle: Vec<Arc<UseLog>>,
}

#[derive(Debug)]
struct UsedThing {
    thing: Arc<Thing>,
    users: Vec<User>,
    /// Whether its users are in several processes.
    is_shared: bool,
    is_removed: bool,
}

/// A test of a process, by the agent's number; 0 for what the process does outside of its tests, or
/// if the test is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct User {
    process: u64,
    test: u32,
}

#[derive(Debug)]
struct Process {
    log: Option<Arc<UseLog>>,
    /// Set before anything is taken from its log, by whomever.
    has_used: Arc<AtomicBool>,
    /// One of its tests.
    first: TestId,
    began: Instant,
    ended: Option<Instant>,
    tests: HashMap<u32, Span>,
    /// By test and thing.
    used: BTreeMap<(u32, usize), Actions>,
}

/// When a test ran.
#[derive(Debug, Clone, Copy)]
struct Span {
    test: TestId,
    began: Instant,
    ended: Instant,
}

/// What may have made a test fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    user: User,
    pub thing: Thing,
    pub kind: InterferenceKind,
}

/// A worker's part of the table, as long as its process lives.
pub struct ProcessUsage<'u> {
    usage: &'u Usage,
    process: u64,
    log: Arc<UseLog>,
    has_used: Arc<AtomicBool>,
}

impl Usage {
    /// Adds a process that is about to be started, with one of its tests. None if its uses cannot
    /// be known.
    pub fn enter(&self, process: u64, first: TestId) -> Option<ProcessUsage<'_>> {
        let mut table = self.lock();
        let log = table.idle.pop().or_else(|| UseLog::new().ok().map(Arc::new))?;
        let has_used = Arc::new(AtomicBool::new(false));
        let entry = Process {
            log: Some(log.clone()),
            has_used: has_used.clone(),
            first,
            began: clock::now(),
            ended: None,
            tests: HashMap::new(),
            used: BTreeMap::new(),
        };
        table.processes.insert(process, entry);
        Some(ProcessUsage { usage: self, process, log, has_used })
    }

    /// What may have made this test fail with this text: something that a test of another process
    /// used at the same time, where one of them changed it. `may_meet` tells whether another test can
    /// run at the same time in a different process.
    pub fn suspect(
        &self,
        process: u64,
        test: TestId,
        text: &str,
        may_meet: &dyn Fn(TestId) -> bool,
    ) -> Option<Suspect> {
        let mut table = self.lock();
        table.take_all();
        table.suspect(process, test, text, may_meet)
    }

    /// Names the other test, which is known for certain once it has ended.
    pub fn name(&self, suspect: &Suspect) -> Option<Interference> {
        let table = self.lock();
        let process = table.processes.get(&suspect.user.process)?;
        Some(Interference {
            other: process.tests.get(&suspect.user.test).map(|span| span.test),
            process_of: process.first,
            thing: suspect.thing.clone(),
            kind: suspect.kind,
        })
    }

    /// All things by which tests would break if they met, and those for which `is_proven` that some
    /// have. `may_meet` tells whether two tests can run at the same time in different processes.
    pub fn shared_things(
        &self,
        may_meet: &dyn Fn(TestId, TestId) -> bool,
        is_proven: &dyn Fn(&Thing) -> Option<InterferenceKind>,
    ) -> Vec<SharedThing> {
        let mut table = self.lock();
        table.take_all();
        table.shared_things(may_meet, is_proven)
    }

    /// The tests that have used a thing, or something in it; none if it is not known of all.
    pub fn users_of(&self, thing: &Thing) -> Option<BTreeSet<TestId>> {
        let mut table = self.lock();
        table.take_all();
        table.sort();
        let is_in = |relation: Relation| matches!(relation, Relation::Same | Relation::Above);
        let related = table.related(thing).into_iter().filter(|(_, relation)| is_in(*relation));
        let users = related.flat_map(|(index, _)| &table.things[index].users);
        let tests = users.map(|user| table.test_of(*user).filter(|(_, is_process)| !is_process));
        tests.map(|test| test.map(|(test, _)| test)).collect()
    }

    /// How many processes of a listing have used anything.
    pub fn processes_of(&self, listing: usize) -> usize {
        let table = self.lock();
        table.processes.values().filter(|process| process.first.listing == listing).count()
    }

    /// A thing by which one test may have made another one fail with this text, in the same process
    /// or in another one, at the same time or later.
    pub fn link(&self, other: TestId, test: TestId, text: &str) -> Option<Thing> {
        let mut table = self.lock();
        table.take_all();
        table.link(other, test, text)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessUsage<'_> {
    /// Passes the log to the process that is about to be started.
    pub fn pass_to(&self, command: &mut std::process::Command) {
        self.log.pass_to(command);
    }

    /// A test of this number has ended. Costs nothing if the process has used nothing.
    pub fn test_ended(&self, test: TestId, number: Option<u32>, began: Option<Instant>) {
        // In this order: what has just left the log was marked before.
        if !self.log.has_more() && !self.has_used.load(SeqCst) {
            return;
        }
        let mut table = self.usage.lock();
        table.take(self.process);
        let Some(process) = table.processes.get_mut(&self.process) else { return };
        if let Some(number) = number.filter(|number| *number != 0) {
            let began = began.unwrap_or(process.began);
            process.tests.insert(number, Span { test, began, ended: clock::now() });
        }
    }
}

impl Drop for ProcessUsage<'_> {
    /// The process is gone.
    fn drop(&mut self) {
        let mut table = self.usage.lock();
        table.take(self.process);
        let Some(process) = table.processes.get_mut(&self.process) else { return };
        process.ended = Some(clock::now());
        let log = process.log.take();
        if process.used.is_empty() {
            table.processes.remove(&self.process);
        }
        table.idle.extend(log);
    }
}

impl Table {
    fn take_all(&mut self) {
        let running = self.processes.iter().filter(|(_, process)| process.log.is_some());
        let running: Vec<u64> = running.map(|(number, _)| *number).collect();
        running.into_iter().for_each(|process| self.take(process));
    }

    fn take(&mut self, process: u64) {
        let Some(entry) = self.processes.get(&process) else { return };
        if let Some(log) = entry.log.clone().filter(|log| log.has_more()) {
            entry.has_used.store(true, SeqCst);
            log.take(|used| self.add(process, used));
        }
    }

    fn add(&mut self, process: u64, used: Use) {
        let Use { test, actions, thing } = used;
        if self.uses >= MOST_USES || is_of_coverage(&thing) {
            return;
        }
        let index = match self.indices.get(&thing) {
            Some(index) => *index,
            None => {
                let (thing, users) = (Arc::new(thing), Vec::new());
                self.indices.insert(thing.clone(), self.things.len());
                self.things.push(UsedThing { thing, users, is_shared: false, is_removed: false });
                self.things.len() - 1
            }
        };
        let Some(entry) = self.processes.get_mut(&process) else { return };
        let known = entry.used.entry((test, index)).or_default();
        if *known == Actions::default() {
            self.uses += 1;
            let used = &mut self.things[index];
            used.is_shared |= used.users.first().is_some_and(|user| user.process != process);
            used.users.push(User { process, test });
        }
        known.add(actions);
        self.things[index].is_removed |= actions.has(REMOVE);
    }

    fn actions(&self, user: User, thing: usize) -> Actions {
        let process = self.processes.get(&user.process);
        process
            .and_then(|process| process.used.get(&(user.test, thing)))
            .copied()
            .unwrap_or_default()
    }

    /// When a user was active, as far as is known: all the time that its process lived at the most.
    fn span(&self, user: User) -> Option<(Instant, Option<Instant>)> {
        let process = self.processes.get(&user.process)?;
        Some(match process.tests.get(&user.test) {
            Some(span) => (span.began, Some(span.ended)),
            None => (process.began, process.ended),
        })
    }

    /// Sorts what has been added.
    fn sort(&mut self) {
        let new = self.things.iter().enumerate().skip(self.sorted.len());
        self.sorted.extend(new.map(|(index, used)| (used.thing.clone(), index)));
    }

    /// All things that are related to this one, with the relation of this one to them.
    fn related(&self, thing: &Thing) -> Vec<(usize, Relation)> {
        let found = |thing: &Thing| self.indices.get(thing).copied();
        let same = self.same(thing).map(|index| (index, Relation::Same));
        let above = thing.ancestors().filter_map(|thing| found(&thing));
        let above = above.map(|index| (index, Relation::Below));
        let below = self.below(thing).map(|index| (index, Relation::Above));
        same.chain(above).chain(below).collect()
    }

    /// This thing, and ports that it overlaps.
    fn same(&self, thing: &Thing) -> impl Iterator<Item = usize> {
        let [from, to] = match thing {
            Thing::Port(port) => {
                let port = |address| Arc::new(Thing::Port(Port { address, ..*port }));
                [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::from_bits(u128::MAX).into()].map(port)
            }
            thing => [(); 2].map(|()| Arc::new(thing.clone())),
        };
        let is_same = move |other: &Thing| relation(thing, other) == Some(Relation::Same);
        let found = self.sorted.range(from..=to);
        found.filter(move |(other, _)| is_same(other)).map(|(_, index)| *index)
    }

    /// The paths in this directory.
    fn below(&self, thing: &Thing) -> impl Iterator<Item = usize> {
        let root = match thing {
            Thing::Path(path) => Some(format!("{path}/")),
            _ => None,
        };
        let from = root.clone().map(|root| Arc::new(Thing::Path(root)));
        let is_below = move |thing: &Thing| match (thing, &root) {
            (Thing::Path(path), Some(root)) => path.starts_with(root),
            _ => false,
        };
        let found = from.map(|from| self.sorted.range(from..)).into_iter().flatten();
        found.take_while(move |(thing, _)| is_below(thing)).map(|(_, index)| *index)
    }

    /// Whether both users have taken a lock in common, and so keep apart by themselves.
    fn share_lock(&self, one: User, other: User) -> bool {
        let locks = |user: User| {
            let used = self.processes.get(&user.process).map(|process| &process.used);
            let of_test = move |used: &BTreeMap<(u32, usize), Actions>| {
                let of_test = used.range((user.test, 0)..=(user.test, usize::MAX));
                let locks = of_test.filter(|(_, actions)| actions.has(LOCK));
                locks.map(|((_, thing), _)| *thing).collect::<Vec<_>>()
            };
            used.map(of_test).unwrap_or_default()
        };
        let others = locks(other);
        !others.is_empty() && locks(one).iter().any(|lock| others.contains(lock))
    }
}

impl Table {
    /// The test, and whether only its process is known.
    fn test_of(&self, user: User) -> Option<(TestId, bool)> {
        let process = self.processes.get(&user.process)?;
        let named = process.tests.get(&user.test).map(|span| (span.test, false));
        Some(named.unwrap_or((process.first, true)))
    }
}

/// Files in which a program that is built for coverage counts what it runs. Every process writes them
/// when it exits, and LLVM's and GCC's runtimes take care that they can.
fn is_of_coverage(thing: &Thing) -> bool {
    matches!(thing, Thing::Path(path) if path.ends_with(".profraw") || path.ends_with(".gcda"))
}

#[cfg(test)]
mod tests;
