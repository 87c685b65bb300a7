//! Locks that keep tests apart because of what they did in earlier runs, in a file of the state
//! directory.

use std::collections::BTreeMap;
use std::path::Path;

use super::counted;
use super::lock::{Lock, LockUser, User};
use crate::config::keys::Locks;
use crate::model::interference::InterferenceKind;
use crate::model::thing::Thing;
use crate::model::warning::Warning;
use crate::state::{self, Stored};

/// The name of the file in the state directory.
const FILE: &str = "locks.json";

/// The version of the file's format.
const FORMAT: u32 = 1;

/// The locks that have been learnt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LearntLocks {
    locks: Vec<Lock>,
    /// Which of them each user takes.
    by_user: BTreeMap<User, Locks>,
}

impl LearntLocks {
    fn new(locks: Vec<Lock>) -> LearntLocks {
        let mut by_user: BTreeMap<User, Locks> = BTreeMap::new();
        for lock in &locks {
            for LockUser { user, only_reads } in &lock.users {
                let own = by_user.entry(user.clone()).or_default();
                let side = if *only_reads { &mut own.read } else { &mut own.write };
                side.push(lock.name());
            }
        }
        LearntLocks { locks, by_user }
    }

    /// Reads the file from the state directory.
    pub fn load(state_dir: &Path, warnings: &mut Vec<Warning>) -> LearntLocks {
        let path = state_dir.join(FILE);
        match state::read(&path, FORMAT) {
            Stored::Found(locks) => LearntLocks::new(locks),
            Stored::Absent => LearntLocks::default(),
            Stored::Damaged(why) => {
                warnings.push(Warning::DamagedStateFile { path, why });
                LearntLocks::default()
            }
        }
    }

    /// Writes the file if it would change.
    pub fn save(&self, before: &LearntLocks, state_dir: &Path) -> Option<Warning> {
        if self == before {
            return None;
        }
        let path = state_dir.join(FILE);
        let error = state::write(&path, FORMAT, &self.locks).err()?;
        Some(Warning::StateFileNotWritten { path, why: error.to_string() })
    }

    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// The locks that the tests of a binary take in addition to those that are declared, and those
    /// that all of them take.
    pub fn of_binary(&self, binary: &str) -> BTreeMap<Option<String>, Locks> {
        let users = self.by_user.iter().filter(|(user, _)| user.binary == binary);
        users.map(|(user, locks)| (user.test.clone(), locks.clone())).collect()
    }

    /// The locks that a test of this binary takes because of what it or another test has done.
    pub fn used_by(&self, binary: &str, test: &str) -> impl Iterator<Item = &Lock> {
        let is_it = move |user: &User| {
            user.binary == binary && user.test.as_deref().is_none_or(|own| own == test)
        };
        self.locks.iter().filter(move |lock| lock.users.iter().any(|user| is_it(&user.user)))
    }

    /// How a thing has made a test fail, if it is known that it has.
    pub fn is_proven(&self, thing: &Thing) -> Option<InterferenceKind> {
        let proven = self.locks.iter().find(|lock| lock.is_proven && lock.thing == *thing);
        proven.map(|lock| lock.kind)
    }

    /// The locks that are known after a run, in which these were found. Those whose users have all
    /// run, or are gone, and do nothing of that kind any more are forgotten. `has_run` tells of a
    /// user whether that is so, and `has_met_itself` whether so many processes of a binary have run
    /// that their tests could have met.
    pub fn after(
        &self,
        found: Vec<Lock>,
        has_run: &dyn Fn(&User) -> bool,
        has_met_itself: &dyn Fn(&User) -> bool,
    ) -> LearntLocks {
        let mut locks: Vec<Lock> = Vec::new();
        for mut lock in counted::unite(found) {
            if let Some(known) = self.locks.iter().find(|known| known.thing == lock.thing) {
                lock.is_proven |= known.is_proven;
                if known.only_user().is_some_and(|user| lock.is_of(&user.binary)) {
                    lock.users.clone_from(&known.users);
                }
                let is_missing = |user: &&LockUser| {
                    !has_run(&user.user) && !lock.users.iter().any(|own| own.user == user.user)
                };
                let missing: Vec<LockUser> =
                    known.users.iter().filter(is_missing).cloned().collect();
                lock.users.extend(missing);
            }
            lock.users.sort_by(|one, other| one.user.cmp(&other.user));
            locks.push(lock);
        }
        let is_new = |lock: &&Lock| !locks.iter().any(|found| found.thing == lock.thing);
        let is_open = |lock: &&Lock| match lock.only_user() {
            Some(binary) => !has_run(binary) || !has_met_itself(binary),
            None => lock.users.iter().any(|user| !has_run(&user.user)),
        };
        let kept: Vec<Lock> = self.locks.iter().filter(is_new).filter(is_open).cloned().collect();
        locks.extend(kept);
        locks.sort_by(|one, other| one.thing.cmp(&other.thing));
        LearntLocks::new(locks)
    }

    /// Those that were not known before.
    pub fn new_since(&self, before: &LearntLocks) -> impl Iterator<Item = &Lock> {
        let was_known = |lock: &Lock| before.locks.iter().any(|known| known.thing == lock.thing);
        self.locks.iter().filter(move |lock| !was_known(lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(binary: &str, test: Option<&str>) -> User {
        User { binary: binary.into(), test: test.map(str::to_owned) }
    }

    fn lock(path: &str, users: &[(&str, Option<&str>, bool)]) -> Lock {
        let users = users.iter().map(|(binary, test, only_reads)| LockUser {
            user: user(binary, *test),
            only_reads: *only_reads,
        });
        Lock {
            thing: Thing::path(path),
            kind: InterferenceKind::Removed,
            is_proven: false,
            users: users.collect(),
        }
    }

    fn names(locks: &LearntLocks) -> Vec<String> {
        locks.locks.iter().map(|lock| lock.thing.to_string()).collect()
    }

    #[test]
    fn tests_and_binaries_have_the_locks_of_the_things_they_use() {
        let locks = LearntLocks::new(vec![
            lock("/a", &[("x", Some("one"), false), ("y", None, false)]),
            lock("/b", &[("x", None, true)]),
        ]);
        let names = |binary: &str, test: Option<&str>| {
            let of_binary = locks.of_binary(binary);
            let found = of_binary.get(&test.map(str::to_owned)).cloned().unwrap_or_default();
            (found.read.join(","), found.write.join(","))
        };
        assert_eq!(names("x", Some("one")), (String::new(), "learnt: /a".into()));
        assert_eq!(names("x", None), ("learnt: /b".into(), String::new()));
        assert_eq!(names("y", None), (String::new(), "learnt: /a".into()));
        assert_eq!(names("z", None), (String::new(), String::new()));
    }

    #[test]
    fn a_lock_is_forgotten_once_its_users_have_run_without_what_it_is_for() {
        let known = LearntLocks::new(vec![
            lock("/done", &[("x", Some("one"), false), ("y", Some("two"), false)]),
            lock("/half", &[("x", Some("one"), false), ("z", Some("two"), false)]),
            lock("/still", &[("x", Some("one"), false), ("z", Some("two"), false)]),
        ]);
        let has_run = |user: &User| user.binary != "z";
        let found = vec![
            lock("/new", &[("x", Some("one"), false), ("y", Some("two"), false)]),
            lock("/still", &[("x", Some("one"), false), ("y", Some("two"), false)]),
        ];
        let after = known.after(found, &has_run, &|_| true);
        assert_eq!(names(&after), ["/half", "/new", "/still"]);
        let of_other = after.of_binary("z");
        assert_eq!(of_other[&Some("two".into())].write, ["learnt: /half", "learnt: /still"]);
        let new: Vec<String> = after.new_since(&known).map(|lock| lock.thing.to_string()).collect();
        assert_eq!(new, ["/new"]);
    }

    /// Its tests have other numbers in every run, and none that two have if all are in one process.
    #[test]
    fn a_binary_that_counts_stays_apart_from_itself_until_its_processes_meet_without_harm() {
        let counts: Vec<Lock> = (0..4)
            .map(|at| {
                let tests = [format!("a{at}"), format!("b{at}")];
                lock(&format!("/{at}"), &tests.each_ref().map(|test| ("x", Some(&**test), false)))
            })
            .collect();
        let known = LearntLocks::default().after(counts.clone(), &|_| true, &|_| true);
        assert_eq!(known.locks, [lock("/0", &[("x", None, false)])]);
        let fewer = counts[..1].to_vec();
        assert_eq!(known.after(fewer, &|_| true, &|_| true), known);
        assert_eq!(known.after(Vec::new(), &|_| true, &|_| false), known);
        assert!(known.after(Vec::new(), &|_| true, &|_| true).is_empty());
    }

    #[test]
    fn it_comes_back_from_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut warnings, none) = (Vec::new(), LearntLocks::default());
        assert_eq!(LearntLocks::load(dir.path(), &mut warnings), none);
        let mut port = lock("/a", &[("x", None, false)]);
        let address = [127, 0, 0, 1].into();
        let protocol = crate::model::thing::Protocol::Tcp;
        port.thing = Thing::Port(crate::model::thing::Port { protocol, number: 80, address });
        let locks = LearntLocks::new(vec![lock("/b", &[("x", Some("t"), true)]), port]);
        assert_eq!(locks.save(&none, dir.path()), None);
        assert_eq!(LearntLocks::load(dir.path(), &mut warnings), locks);
        assert!(warnings.is_empty());
        std::fs::write(dir.path().join(FILE), "{\"format\":1,\"kept\":[{}]}").unwrap();
        assert_eq!(LearntLocks::load(dir.path(), &mut warnings), none);
        assert_eq!(warnings.len(), 1);
    }
}
