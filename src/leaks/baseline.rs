//! The leaks that a project already had when it began to deny new ones: a file beside the
//! workspace's Cargo.toml, kept under version control.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::cargo::binary::Binary;
use crate::discovery::inventory::Inventory;
use crate::discovery::listing::Listing;
use crate::error::{Error, Result};
use crate::model::event::LeakedBy;
use crate::model::leak::{Leak, LeakKind};
use crate::model::outcome::Outcome;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::model::warning::Warning;
use crate::state;

/// The name of the file.
pub const FILE: &str = "partest-baseline.toml";

const HEAD: &str = "\
# Leaks that were there when this file was written. `cargo partest --write-baseline` replaces those
# of the tests that it runs. They are allowed, all others follow the policy. `*` in `what` stands
# for any text.

";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `package` and `test` name the owner: ids of two packages may be the same.
    pub package: String,
    pub test: String,
    pub kind: String,
    pub what: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    #[serde(default)]
    leak: Vec<Entry>,
}

#[derive(Debug, Default)]
pub struct Baseline {
    entries: Vec<(Entry, AtomicBool)>,
    /// Whether this run records the leaks of its tests: then it allows none, to see all of them.
    pub is_rewritten: bool,
}

pub fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

impl Baseline {
    /// Reads the file; none is an empty one. One that cannot be read is an error: what it
    /// allows would be denied, or the other way round.
    pub fn load(path: &Path) -> Result<Baseline> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Baseline::default());
            }
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        let entries: Entries = toml::from_str(&text)
            .map_err(|error| Error::usage(format!("cannot read `{}`: {error}", path.display())))?;
        let entries = entries.leak.into_iter().map(|entry| (entry, AtomicBool::new(false)));
        Ok(Baseline { entries: entries.collect(), is_rewritten: false })
    }

    /// Whether this leak was there already; `tests` are the spellings of its owner's id.
    pub fn allows(&self, package: &str, tests: &[String], kind: LeakKind, what: &str) -> bool {
        let is_it = |entry: &Entry| {
            entry.package == package
                && tests.contains(&entry.test)
                && entry.kind == kind.as_str()
                && WildMatch::new(&entry.what).matches(what)
        };
        let mut found = self.entries.iter().filter(|(entry, _)| is_it(entry)).peekable();
        let allows = found.peek().is_some() && !self.is_rewritten;
        found.for_each(|(_, was_seen)| was_seen.store(true, Ordering::Relaxed));
        allows
    }

    /// Entries of tests that ran and did not leave this any more.
    pub fn unused(&self, ran: impl Fn(&str, &str) -> bool) -> Vec<&Entry> {
        let unused = self.entries.iter().filter(|(_, was_seen)| !was_seen.load(Ordering::Relaxed));
        unused.map(|(entry, _)| entry).filter(|entry| ran(&entry.package, &entry.test)).collect()
    }
}

/// Writes the file whole or not at all.
pub fn write(path: &Path, entries: BTreeSet<Entry>) -> std::io::Result<()> {
    let entries = Entries { leak: entries.into_iter().collect() };
    let text = toml::to_string(&entries).map_err(std::io::Error::other)?;
    let text = format!("{HEAD}{text}");
    state::replace_file(path, state::ORDINARY, |file| file.write_all(text.as_bytes()))
}

/// The leaks of this run, to be compared with the baseline.
pub struct Comparison {
    leaks: BTreeSet<Entry>,
    /// Package and id of every test that ran to its end, if there is a baseline.
    ran: BTreeSet<(String, String)>,
    has_baseline: bool,
}

impl Comparison {
    pub fn new(baseline: &Baseline) -> Comparison {
        let has_baseline = !baseline.entries.is_empty();
        Comparison { leaks: BTreeSet::new(), ran: BTreeSet::new(), has_baseline }
    }

    pub fn note(&mut self, inventory: &Inventory, test: TestId, verdict: &Verdict) {
        if !self.has_baseline && verdict.leaks.is_empty() {
            return;
        }
        let listing = &inventory.listings[test.listing];
        let package = &listing.binary.package_name;
        let id = listing.binary.id(&listing.tests[test.test].name);
        self.add(package, &id, &verdict.leaks);
        if verdict.outcome == Outcome::Passed {
            let spellings = listing.binary.spellings(&id).into_iter();
            self.ran.extend(spellings.map(|id| (package.clone(), id)));
        }
    }

    /// Leaks that belong to no verdict. Those of a unit count as its own.
    pub fn note_left_behind(&mut self, inventory: &Inventory, by: &LeakedBy, leaks: &[Leak]) {
        match by {
            LeakedBy::Test(test) => {
                let Listing { binary, tests, .. } = &inventory.listings[test.listing];
                self.add(&binary.package_name, &binary.id(&tests[test.test].name), leaks);
            }
            LeakedBy::Unit(node) => {
                let is_its = |binary: &&Binary| {
                    let rest = node.strip_prefix(&binary.prefix);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                };
                let binaries = inventory.listings.iter().map(|listing| &listing.binary);
                let binary = binaries.filter(is_its).max_by_key(|binary| binary.prefix.len());
                binary.iter().for_each(|binary| self.add(&binary.package_name, node, leaks));
            }
            LeakedBy::Run => {}
        }
    }

    fn add(&mut self, package: &str, owner: &str, leaks: &[Leak]) {
        self.leaks.extend(leaks.iter().map(|leak| Entry {
            package: package.to_owned(),
            test: owner.to_owned(),
            kind: leak.kind.as_str().to_owned(),
            what: leak.what.clone(),
        }));
    }

    /// Writes the leaks of this run to the baseline, in place of those that it had of the same
    /// tests. A test that did not pass may not have come to all of its leaks: it keeps the former
    /// ones too.
    pub fn save(self, root: &Path, former: &Baseline) -> Warning {
        let (path, leaks) = (self::path(root), self.leaks.len());
        let did_run =
            |entry: &Entry| self.ran.contains(&(entry.package.clone(), entry.test.clone()));
        let former = former.entries.iter().map(|(entry, _)| entry);
        let mut all = self.leaks.clone();
        all.extend(former.filter(|entry| !did_run(entry)).cloned());
        let kept = all.len() - leaks;
        match write(&path, all) {
            Ok(()) => Warning::BaselineWritten { path, leaks, kept },
            Err(error) => Warning::StateFileNotWritten { path, why: error.to_string() },
        }
    }

    /// The leaks of the baseline that tests of this run did not leave any more, if there are any.
    pub fn outdated(&self, baseline: &Baseline) -> Option<Warning> {
        let did_run =
            |package: &str, id: &str| self.ran.contains(&(package.to_owned(), id.to_owned()));
        let unused = baseline.unused(did_run).into_iter();
        let leaks: Vec<String> = unused
            .map(|entry| format!("{} `{}` of {}", entry.kind, entry.what, entry.test))
            .collect();
        (!leaks.is_empty()).then_some(Warning::StaleBaseline { leaks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(test: &str, what: &str) -> Entry {
        let (package, test, what) = ("web".to_owned(), test.to_owned(), what.to_owned());
        Entry { package, test, kind: "thread".into(), what }
    }

    #[test]
    fn what_was_written_is_allowed_and_what_is_gone_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let entries = [entry("web::a", "pool-*"), entry("web::b", "x"), entry("web::c", "x")];
        write(&path, entries.into_iter().collect()).unwrap();
        let baseline = Baseline::load(&path).unwrap();
        let a = ["web::a".to_owned()];
        assert!(baseline.allows("web", &a, LeakKind::Thread, "pool-reaper"));
        assert!(!baseline.allows("web", &a, LeakKind::Process, "pool-reaper"));
        assert!(!baseline.allows("other", &a, LeakKind::Thread, "pool-reaper"));
        let unused = baseline.unused(|_, test| test != "web::c");
        assert_eq!(unused, [&entry("web::b", "x")]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_file_is_an_empty_baseline_and_a_wrong_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        assert!(Baseline::load(&path).unwrap().entries.is_empty());
        std::fs::write(&path, "[[leak]]\ntest = 1\n").unwrap();
        let error = Baseline::load(&path).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains("line 2"), "{error}");
    }

    /// A file that was cut must not be read as one with other entries than were written.
    #[test]
    fn a_file_that_is_cut_is_an_error_or_has_the_first_of_its_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let written = [entry("web::a", "pool"), entry("web::b", "x")];
        write(&path, BTreeSet::from(written.clone())).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut lengths = BTreeSet::new();
        for at in 0..=whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            if let Ok(baseline) = Baseline::load(&path) {
                let read: Vec<Entry> =
                    baseline.entries.into_iter().map(|(entry, _)| entry).collect();
                assert_eq!(read, written[..read.len()], "the first {at} bytes");
                lengths.insert(read.len());
            }
        }
        assert_eq!(lengths, BTreeSet::from([0, 1, 2]));
    }

    /// A damaged file is an error that names it, or one with other texts: neither more entries,
    /// nor entries that lack anything.
    #[test]
    fn a_file_with_a_wrong_byte_is_an_error_or_has_no_more_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        write(&path, [entry("web::a", "pool"), entry("web::b", "x")].into()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut read = 0;
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x15;
            std::fs::write(&path, &changed).unwrap();
            match Baseline::load(&path) {
                Ok(baseline) => {
                    assert_eq!(baseline.entries.len(), 2, "byte {at}");
                    read += 1;
                }
                Err(error) => assert!(error.to_string().contains(FILE), "byte {at}: {error}"),
            }
        }
        assert!(0 < read && read < whole.len(), "{read}");
    }
}
