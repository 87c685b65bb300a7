//! Things that each process of a binary names by counting: `/tmp/case-0`, `/tmp/case-1`.
//!
//! In one process no two tests have the same number, in two processes they do, and in the next run
//! others than in this one: locks of the tests that had it would come too late.

use std::collections::{BTreeMap, BTreeSet};

use super::lock::{Lock, LockUser, User};

/// As many things whose names differ in their numbers only are not taken for a coincidence.
const FEWEST: usize = 3;

/// Leaves of the locks on things that one binary counts the first, which all of its tests take.
pub fn unite(locks: Vec<Lock>) -> Vec<Lock> {
    let mut families: BTreeMap<(String, String), Vec<Lock>> = BTreeMap::new();
    let mut others = Vec::new();
    for lock in locks {
        match binary_of_tests(&lock).map(str::to_owned) {
            Some(binary) => {
                let family = without_numbers(&lock.thing.to_string());
                families.entry((binary, family)).or_default().push(lock);
            }
            None => others.push(lock),
        }
    }
    for ((binary, _), family) in families {
        match is_counted(&family) {
            true => others.extend(for_all_tests(binary, family)),
            false => others.extend(family),
        }
    }
    others
}

/// The binary to which all users of a lock belong, if they are tests.
fn binary_of_tests(lock: &Lock) -> Option<&str> {
    let binary = &lock.users.first()?.user.binary;
    let is_its = |LockUser { user, .. }: &LockUser| user.binary == *binary && user.test.is_some();
    lock.users.iter().all(is_its).then_some(binary)
}

/// Whether other tests have used other ones of these things. The same tests would use the same
/// things again.
fn is_counted(family: &[Lock]) -> bool {
    let users = |lock: &Lock| lock.users.iter().map(|user| user.user.clone()).collect();
    let by_lock: Vec<BTreeSet<User>> = family.iter().map(users).collect();
    let all: BTreeSet<&User> = by_lock.iter().flatten().collect();
    family.len() >= FEWEST && by_lock.iter().all(|users| users.len() < all.len())
}

fn for_all_tests(binary: String, family: Vec<Lock>) -> Option<Lock> {
    let is_proven = family.iter().any(|lock| lock.is_proven);
    let first = family.into_iter().min_by(|one, other| one.thing.cmp(&other.thing))?;
    let users = vec![LockUser { user: User { binary, test: None }, only_reads: false }];
    Some(Lock { is_proven, users, ..first })
}

/// `/tmp/case-#` for `/tmp/case-10`
fn without_numbers(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        match char.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(char),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::interference::InterferenceKind;
    use crate::model::thing::Thing;

    fn lock(path: &str, users: &[(&str, Option<&str>)]) -> Lock {
        let user = |(binary, test): &(&str, Option<&str>)| LockUser {
            user: User { binary: (*binary).into(), test: test.map(str::to_owned) },
            only_reads: false,
        };
        Lock {
            thing: Thing::path(path),
            kind: InterferenceKind::Removed,
            is_proven: path.ends_with('1'),
            users: users.iter().map(user).collect(),
        }
    }

    fn pair(path: &str, one: &str, other: &str) -> Lock {
        lock(path, &[("x", Some(one)), ("x", Some(other))])
    }

    #[test]
    fn one_lock_of_all_tests_stands_for_what_their_binary_counts() {
        let other = lock("/tmp/case-3", &[("x", Some("a")), ("y", Some("b"))]);
        let locks = vec![
            pair("/tmp/case-10", "a", "b"),
            pair("/tmp/case-2", "c", "d"),
            other.clone(),
            pair("/tmp/case-11", "e", "a"),
            pair("/tmp/report-1", "a", "b"),
        ];
        let all = Lock { is_proven: true, ..lock("/tmp/case-10", &[("x", None)]) };
        let expected = [other, all, pair("/tmp/report-1", "a", "b")];
        assert_eq!(unite(locks), expected);
    }

    #[test]
    fn what_the_same_tests_use_is_not_counted() {
        let same = ["/tmp/1", "/tmp/2", "/tmp/3"].map(|path| pair(path, "a", "b"));
        assert_eq!(unite(same.to_vec()), same);
        let two = [pair("/tmp/1", "a", "b"), pair("/tmp/2", "c", "d")];
        assert_eq!(unite(two.to_vec()), two);
        let of_processes = ["/tmp/1", "/tmp/2", "/tmp/3"].map(|path| lock(path, &[("x", None)]));
        assert_eq!(unite(of_processes.to_vec()), of_processes);
    }
}
