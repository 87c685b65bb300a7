//! Which tests did not pass when they ran last, and which did not get to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::discovery::filter::Choice;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::model::outcome::Outcome;
use crate::model::test::TestId;
use crate::model::warning::Warning;
use crate::state::{self, Stored};

/// What earlier runs have left to do.
#[derive(Debug, Default)]
pub struct LastRun {
    /// By binary: `web/test/api`.
    binaries: BTreeMap<String, Unfinished>,
}

/// The names of tests of one binary.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Unfinished {
    failed: BTreeSet<String>,
    /// Selected, and not run: the run ended before them.
    not_run: BTreeSet<String>,
}

/// The name of the file in the state directory.
const FILE: &str = "last-run.json";

/// The version of the file's format.
const FORMAT: u32 = 1;

impl LastRun {
    /// Reads the file from the state directory.
    pub fn load(state_dir: &Path, warnings: &mut Vec<Warning>) -> LastRun {
        let path = state_dir.join(FILE);
        match state::read(&path, FORMAT) {
            Stored::Found(binaries) => LastRun { binaries },
            Stored::Absent => LastRun::default(),
            Stored::Damaged(why) => {
                warnings.push(Warning::DamagedStateFile { path, why });
                LastRun::default()
            }
        }
    }

    pub fn has_failed(&self, binary: &str, test: &str) -> bool {
        self.binaries.get(binary).is_some_and(|unfinished| unfinished.failed.contains(test))
    }

    pub fn has_failures(&self, binary: &str) -> bool {
        self.binaries.get(binary).is_some_and(|unfinished| !unfinished.failed.is_empty())
    }

    /// Whether it failed, or did not run although it was selected.
    pub fn is_unfinished(&self, binary: &str, test: &str) -> bool {
        let is_it = |unfinished: &Unfinished| {
            unfinished.failed.contains(test) || unfinished.not_run.contains(test)
        };
        self.binaries.get(binary).is_some_and(is_it)
    }

    /// Writes the file if this run has changed anything. Tests that were not selected stay as they
    /// were; those that no longer exist are forgotten. A failure is returned as a note.
    pub fn save(
        &mut self,
        inventory: &Inventory,
        choices: &[Vec<Choice>],
        verdicts: &mut [(TestId, Outcome)],
        state_dir: &Path,
    ) -> Option<Warning> {
        verdicts.sort_unstable_by_key(|(test, _)| *test);
        let mut updated: BTreeMap<String, Unfinished> = BTreeMap::new();
        for ((index, listing), choices) in inventory.listings.iter().enumerate().zip(choices) {
            let key = listing.binary.key();
            let from = verdicts.partition_point(|(test, _)| test.listing < index);
            let to = verdicts.partition_point(|(test, _)| test.listing <= index);
            let old = self.binaries.get(&key);
            let unfinished = Unfinished::after(old, listing, choices, &verdicts[from..to]);
            // A target that is built for two platforms has two binaries.
            let of_target = updated.entry(key).or_default();
            of_target.failed.extend(unfinished.failed);
            of_target.not_run.extend(unfinished.not_run);
        }
        let is_changed = updated.iter().any(|(key, unfinished)| match self.binaries.get(key) {
            Some(old) => old != unfinished,
            None => *unfinished != Unfinished::default(),
        });
        self.binaries.extend(updated);
        self.binaries.retain(|_, unfinished| *unfinished != Unfinished::default());
        if !is_changed {
            return None;
        }
        let path = state_dir.join(FILE);
        let error = state::write(&path, FORMAT, &self.binaries).err()?;
        Some(Warning::StateFileNotWritten { path, why: error.to_string() })
    }
}

impl Unfinished {
    /// What is left of a binary after a run with these verdicts, sorted by test.
    fn after(
        old: Option<&Unfinished>,
        listing: &Listing,
        choices: &[Choice],
        verdicts: &[(TestId, Outcome)],
    ) -> Unfinished {
        let mut left = Unfinished::default();
        let mut verdicts = verdicts.iter().peekable();
        for (at, test) in listing.tests.iter().enumerate() {
            let verdict = verdicts.next_if(|(id, _)| id.test == at).map(|(_, outcome)| *outcome);
            let had_failed = old.is_some_and(|old| old.failed.contains(&test.name));
            let was_not_run = old.is_some_and(|old| old.not_run.contains(&test.name));
            let (failed, not_run) = match (choices.get(at), verdict) {
                (_, Some(Outcome::Passed | Outcome::Ignored)) => (false, false),
                // It is not known how it would have ended.
                (_, Some(Outcome::Interrupted)) | (Some(Choice::Run), None) => {
                    (had_failed, !had_failed)
                }
                (_, Some(_)) => (true, false),
                (_, None) => (had_failed, was_not_run),
            };
            left.failed.extend(failed.then(|| test.name.clone()));
            left.not_run.extend(not_run.then(|| test.name.clone()));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::binary::Binary;
    use crate::discovery::statics::Statics;
    use crate::discovery::test_list::{Dispatch, Test};

    fn inventory(names: &str) -> Inventory {
        let test = |name: &str| Test { name: name.into(), is_ignored: false };
        let tests = names.split(' ').map(test).collect();
        let statics = Statics::Unreadable(String::new());
        let listing = Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics);
        Inventory { listings: [listing].into_iter().collect(), ..Inventory::default() }
    }

    /// After runs of `a b c d`, each with what was chosen and what came out.
    #[test]
    fn what_failed_or_did_not_run_is_left_until_it_passes() {
        use Choice::{LeaveOut, Run};
        let dir = tempfile::tempdir().unwrap();
        let binary = "web/lib/web";
        let run = |names: &str, choices: &[Choice], outcomes: &[Option<Outcome>]| {
            let mut last = LastRun::load(dir.path(), &mut Vec::new());
            let id = |test| TestId { listing: 0, test };
            let verdicts = outcomes.iter().enumerate();
            let mut verdicts: Vec<_> = verdicts
                .filter_map(|(test, outcome)| Some((id(test), (*outcome)?)))
                .rev()
                .collect();
            let saved =
                last.save(&inventory(names), &[choices.to_vec()], &mut verdicts, dir.path());
            assert_eq!(saved, None);
            let read = LastRun::load(dir.path(), &mut Vec::new());
            let of = |is: &dyn Fn(&str) -> bool| {
                names.split(' ').filter(|name| is(name)).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(
                read.has_failures(binary),
                read.binaries.values().any(|b| !b.failed.is_empty())
            );
            (
                of(&|name| read.has_failed(binary, name)),
                of(&|name| read.is_unfinished(binary, name)),
            )
        };
        let (passed, failed) = (Some(Outcome::Passed), Some(Outcome::Failed));
        let all = [Run; 4];
        let left = |failed: &str, unfinished: &str| (failed.to_owned(), unfinished.to_owned());
        assert_eq!(run("a b c d", &all, &[passed; 4]), left("", ""));
        assert!(!dir.path().join(FILE).exists(), "nothing to remember, no file");
        assert_eq!(run("a b c d", &all, &[passed, failed, None, None]), left("b", "b c d"));
        // `c` alone.
        let only = [LeaveOut, LeaveOut, Run, LeaveOut];
        assert_eq!(run("a b c d", &only, &[None, None, passed, None]), left("b", "b d"));
        let outcomes = [Some(Outcome::Aborted), None, Some(Outcome::Interrupted), passed];
        assert_eq!(run("a b c d", &all, &outcomes), left("a b", "a b c"));
        // `a` is gone.
        assert_eq!(run("b c d", &[LeaveOut; 3], &[]), left("b", "b c"));
        assert_eq!(run("b c d", &[Run; 3], &[passed; 3]), left("", ""));
    }

    #[test]
    fn a_damaged_file_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"format\":1,\"kept\":[1]}").unwrap();
        let mut warnings = Vec::new();
        assert!(!LastRun::load(dir.path(), &mut warnings).has_failures("web/lib/web"));
        assert!(matches!(&*warnings, [Warning::DamagedStateFile { .. }]), "{warnings:?}");
    }
}
