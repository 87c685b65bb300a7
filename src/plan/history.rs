//! What earlier runs have learnt of the tests: how long each took, in a file of the target directory,
//! and which locks they need. Without it, only the order of the tests is worse.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::last_run::LastRun;
use crate::discovery::inventory::Inventory;
use crate::discovery::selection::Past;
use crate::model::test::TestId;
use crate::model::warning::Warning;
use crate::sharing::learnt::LearntLocks;
use crate::state::{self, Stored};

#[derive(Debug, Default)]
pub struct History {
    /// By binary: `web/test/api`.
    binaries: BTreeMap<String, Durations>,
    pub last_run: LastRun,
    pub learnt: LearntLocks,
}

/// The measurements of this run.
#[derive(Debug, Default)]
pub struct Measurements(Vec<(TestId, Measurement)>);

impl Measurements {
    pub fn record(&mut self, test: TestId, took: Duration, load: Option<f64>, failed: bool) {
        self.0.push((test, Measurement { took, load, failed }));
    }
}

/// The history of a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    pub took: Duration,
    /// How much of a core it uses while it runs, from 0 to 1. None if it was never measured.
    pub load: Option<f64>,
    /// Whether it failed when it ran last.
    pub failed: bool,
}

/// A measurement of a test; the load is not always known.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    took: Duration,
    load: Option<f64>,
    failed: bool,
}

/// The tests of one binary, sorted by name.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
struct Durations {
    tests: Vec<(String, Record)>,
    /// Where the next lookup is expected, since tests are looked up in their order.
    next: Cell<usize>,
}

/// The name of the file in the state directory.
const FILE: &str = "history.json";

/// No test takes longer: a file that says so is damaged.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The weight of the newest run, with which an outlier fades within a few runs.
const WEIGHT_OF_NEWEST: f64 = 0.5;

/// The version of the file's format.
const FORMAT: u32 = 4;

/// The serialized form: a few long values are read faster than many short ones.
#[derive(Serialize, Deserialize)]
struct Columns {
    /// The names, one per line.
    tests: String,
    nanoseconds: Vec<u64>,
    /// In hundredths of a core; more than 100 if not measured.
    loads: Vec<u8>,
    /// The indices of tests that failed when they ran last.
    failed: Vec<usize>,
}

impl History {
    /// Reads the file from the state directory.
    pub fn load(state_dir: &Path, warnings: &mut Vec<Warning>) -> History {
        let learnt = LearntLocks::load(state_dir, warnings);
        let path = state_dir.join(FILE);
        let binaries = match state::read(&path, FORMAT) {
            Stored::Found(binaries) => binaries,
            Stored::Absent => BTreeMap::new(),
            Stored::Damaged(why) => {
                warnings.push(Warning::DamagedStateFile { path, why });
                BTreeMap::new()
            }
        };
        History { binaries, last_run: LastRun::load(state_dir, warnings), learnt }
    }

    /// One that knows no measurement.
    pub fn of_locks(learnt: LearntLocks) -> History {
        History { learnt, ..History::default() }
    }

    pub fn past(&self, binary: &str, test: &str) -> Option<Record> {
        self.binaries.get(binary)?.find(test)
    }

    /// Merges the measurements, and forgets tests that the listed binaries no longer have.
    fn settle(&mut self, news: &[(TestId, Measurement)], inventory: &Inventory) {
        let mut settled: BTreeMap<String, Durations> = BTreeMap::new();
        let mut from = 0;
        for (index, listing) in inventory.listings.iter().enumerate() {
            let count = news[from..].iter().take_while(|(test, _)| test.listing == index).count();
            let names: Vec<&str> = listing.tests.iter().map(|test| test.name.as_str()).collect();
            let measured = news[from..from + count].iter().map(|(id, news)| (id.test, *news));
            from += count;
            let key = listing.binary.key();
            let old = self.binaries.get(&key);
            let durations = Durations::settled(old, &names, &measured.collect::<Vec<_>>());
            // A target that is built for two platforms has two binaries.
            settled.entry(key).or_default().add(durations);
        }
        self.binaries.extend(settled);
    }

    /// Whether a measurement could change a plan.
    fn is_changed_by(&self, news: &[(TestId, Measurement)], inventory: &Inventory) -> bool {
        let keys: Vec<String> = inventory.listings.iter().map(|l| l.binary.key()).collect();
        let past = |test: &TestId| {
            let name = &inventory.listings[test.listing].tests[test.test].name;
            self.past(&keys[test.listing], name)
        };
        news.iter().any(|(test, news)| past(test).is_none_or(|past| news.differs_from(&past)))
    }

    /// Writes the file if it would change. A failure is returned as a note, since no verdict
    /// depends on it.
    pub fn save(
        mut self,
        measured: Measurements,
        state_dir: &Path,
        inventory: &Inventory,
    ) -> Option<Warning> {
        let Measurements(mut news) = measured;
        news.sort_by_key(|(test, _)| *test);
        if !self.is_changed_by(&news, inventory) {
            return None;
        }
        self.settle(&news, inventory);
        let path = state_dir.join(FILE);
        let error = state::write(&path, FORMAT, self.binaries).err()?;
        Some(Warning::StateFileNotWritten { path, why: error.to_string() })
    }
}

impl Past for History {
    fn took(&self, binary: &str, test: &str) -> Option<Duration> {
        self.past(binary, test).map(|past| past.took)
    }

    fn has_failed(&self, binary: &str, test: &str) -> bool {
        self.last_run.has_failed(binary, test)
    }

    fn has_failures(&self, binary: &str) -> bool {
        self.last_run.has_failures(binary)
    }

    fn is_unfinished(&self, binary: &str, test: &str) -> bool {
        self.last_run.is_unfinished(binary, test)
    }
}

impl TryFrom<Columns> for Durations {
    type Error = &'static str;

    fn try_from(kept: Columns) -> Result<Durations, &'static str> {
        let names: Vec<&str> = kept.tests.lines().collect();
        if [kept.nanoseconds.len(), kept.loads.len()] != [names.len(); 2] {
            return Err("it has not one duration and load for each test");
        }
        if kept.nanoseconds.iter().any(|took| Duration::from_nanos(*took) > LONGEST) {
            return Err("it has a duration that no test has");
        }
        let past = kept.nanoseconds.iter().zip(&kept.loads).map(|(took, load)| Record {
            took: Duration::from_nanos(*took),
            load: (*load <= 100).then(|| f64::from(*load) / 100.0),
            failed: false,
        });
        let mut tests: Vec<(String, Record)> =
            names.into_iter().map(str::to_owned).zip(past).collect();
        for at in kept.failed {
            tests.get_mut(at).ok_or("it names a failure of no test")?.1.failed = true;
        }
        Ok(Durations::new(tests))
    }
}

impl From<Durations> for Columns {
    fn from(durations: Durations) -> Columns {
        let nanoseconds =
            |past: &Record| u64::try_from(past.took.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        let names: Vec<&str> = durations.tests.iter().map(|(name, _)| name.as_str()).collect();
        Columns {
            tests: names.join("\n"),
            nanoseconds: durations.tests.iter().map(|(_, past)| nanoseconds(past)).collect(),
            loads: durations.tests.iter().map(|(_, past)| hundredths(past.load)).collect(),
            failed: (0..durations.tests.len()).filter(|at| durations.tests[*at].1.failed).collect(),
        }
    }
}

impl Durations {
    fn new(mut tests: Vec<(String, Record)>) -> Durations {
        // libtest lists tests in this order; other harnesses may not.
        if !tests.is_sorted_by(|(a, _), (b, _)| a < b) {
            tests.sort_by(|(a, _), (b, _)| a.cmp(b));
            tests.dedup_by(|(a, _), (b, _)| a == b);
        }
        Durations { tests, next: Cell::new(0) }
    }

    fn find(&self, test: &str) -> Option<Record> {
        let expected = self.next.get();
        let at = match self.tests.get(expected) {
            Some((name, _)) if name == test => expected,
            _ => self.tests.binary_search_by(|(name, _)| name.as_str().cmp(test)).ok()?,
        };
        self.next.set(at + 1);
        Some(self.tests[at].1)
    }

    /// The old history of these tests, updated with what was measured now.
    fn settled(old: Option<&Durations>, names: &[&str], measured: &[(usize, Measurement)]) -> Self {
        let mut measured = measured.iter().peekable();
        let mut tests = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let mut past = old.and_then(|old| old.find(name));
            while let Some((_, newest)) = measured.next_if(|(test, _)| *test == at) {
                past = Some(newest.after(past));
            }
            tests.extend(past.map(|past| ((*name).to_owned(), past)));
        }
        Durations::new(tests)
    }

    fn add(&mut self, others: Durations) {
        if self.tests.is_empty() {
            *self = others;
        } else {
            self.tests.extend(others.tests);
            *self = Durations::new(std::mem::take(&mut self.tests));
        }
    }
}

impl Measurement {
    /// Whether the measurement could change a plan. The stored value stays until then, so that many
    /// small changes add up.
    fn differs_from(&self, past: &Record) -> bool {
        const SHORT: Duration = Duration::from_millis(1);
        const SHARE: f64 = 0.1;
        let is_other_load = match (self.load, past.load) {
            (Some(newest), Some(known)) => (newest - known).abs() > SHARE,
            (newest, known) => newest.is_some() && known.is_none(),
        };
        let step = SHORT.max(past.took.mul_f64(SHARE));
        self.failed != past.failed || is_other_load || self.took.abs_diff(past.took) > step
    }

    /// The updated history of a test.
    fn after(self, past: Option<Record>) -> Record {
        let Some(past) = past else {
            return Record { took: self.took, load: self.load, failed: self.failed };
        };
        let mean = |known: f64, newest: f64| known + (newest - known) * WEIGHT_OF_NEWEST;
        Record {
            took: past.took.mul_f64(1.0 - WEIGHT_OF_NEWEST) + self.took.mul_f64(WEIGHT_OF_NEWEST),
            load: match (past.load, self.load) {
                (Some(known), Some(newest)) => Some(mean(known, newest)),
                (known, newest) => known.or(newest),
            },
            failed: self.failed,
        }
    }
}

fn hundredths(load: Option<f64>) -> u8 {
    load.map_or(u8::MAX, |load| (load.clamp(0.0, 1.0) * 100.0).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::binary::Binary;
    use crate::discovery::listing::Listing;
    use crate::discovery::statics::Statics;
    use crate::discovery::test_list::{Dispatch, Test};

    fn inventory(names: &[&str]) -> Inventory {
        let tests = names.iter().map(|n| Test { name: (*n).into(), is_ignored: false }).collect();
        let statics = Statics::Unreadable(String::new());
        let listing = Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics);
        Inventory { listings: [listing].into_iter().collect(), ..Inventory::default() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn durations_come_back_outliers_fade_and_what_is_gone_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let mut warnings = Vec::new();
        let mut run = |names: &[&str], measured: &[(usize, u64)]| {
            let history = History::load(path, &mut warnings);
            let mut news = Measurements::default();
            for (test, took) in measured {
                let id = TestId { listing: 0, test: *test };
                news.record(id, seconds(*took), (*test == 1).then_some(0.1), *test == 0);
            }
            assert_eq!(history.save(news, path, &inventory(names)), None);
        };
        // Not in the order of their names, as other harnesses may list them.
        run(&["b", "a", "gone"], &[(2, 2), (1, 4), (0, 8)]);
        run(&["b", "a", "new"], &[(1, 2)]);
        let read = History::load(path, &mut warnings);
        let past = |took, load, failed| Some(Record { took: seconds(took), load, failed });
        assert_eq!(
            ["a", "b", "gone", "new"].map(|test| read.past("web/lib/web", test)),
            [past(3, Some(0.1), false), past(8, None, true), None, None]
        );
        assert_eq!(read.past("other", "a"), None);
        assert!(warnings.is_empty());
    }

    #[test]
    fn the_file_is_written_only_for_what_could_change_a_plan() {
        let dir = tempfile::tempdir().unwrap();
        let names = inventory(&["a"]);
        let save = |took: u64, load: Option<f64>, failed: bool| {
            let history = History::load(dir.path(), &mut Vec::new());
            let mut measured = Measurements::default();
            let took = Duration::from_micros(took);
            measured.record(TestId { listing: 0, test: 0 }, took, load, failed);
            assert_eq!(history.save(measured, dir.path(), &names), None);
        };
        let path = dir.path().join(FILE);
        let is_written = |took, load, failed| {
            let _ = std::fs::remove_file(&path);
            save(100_000, Some(0.5), false);
            let before = std::fs::read(&path).unwrap();
            save(took, load, failed);
            std::fs::read(&path).unwrap() != before
        };
        assert!(!is_written(100_000, Some(0.5), false));
        assert!(!is_written(109_000, Some(0.45), false));
        assert!(!is_written(91_000, None, false));
        assert!(is_written(120_000, Some(0.5), false));
        assert!(is_written(80_000, None, false));
        assert!(is_written(100_000, Some(0.3), false));
        assert!(is_written(100_000, Some(0.5), true));
    }

    #[test]
    fn a_damaged_file_is_told_and_one_of_another_version_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        let table = [
            ("junk", 1),
            ("{\"format\":1,\"kept\":{\"x\":{\"y\":-1.0}}}", 0),
            (
                "{\"format\":4,\"kept\":{\"x\":{\"tests\":\"a\\nb\",\"nanoseconds\":[1],\"loads\":[1],\"failed\":[]}}}",
                1,
            ),
            (
                "{\"format\":4,\"kept\":{\"x\":{\"tests\":\"a\",\"nanoseconds\":[-1],\"loads\":[1],\"failed\":[]}}}",
                1,
            ),
            (
                "{\"format\":4,\"kept\":{\"x\":{\"tests\":\"a\",\"nanoseconds\":[1],\"loads\":[],\"failed\":[]}}}",
                1,
            ),
        ];
        for (text, expected) in table {
            std::fs::write(&path, text).unwrap();
            let mut warnings = Vec::new();
            assert_eq!(History::load(dir.path(), &mut warnings).past("x", "a"), None, "{text}");
            assert_eq!(warnings.len(), expected, "{text}: {warnings:?}");
        }
    }
    /// A file that is cut or changed anywhere costs a note or an order, and nothing else.
    #[test]
    fn a_damaged_file_gives_no_impossible_duration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        let whole = r#"{"format":4,"kept":{"x":{"tests":"a\nb","nanoseconds":[250,100],"loads":[1,2],"failed":[0]}}}"#;
        let load = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            let history = History::load(dir.path(), &mut Vec::new());
            let tests = history.binaries.values().flat_map(|durations| &durations.tests);
            let sum: Duration = tests.map(|(_, past)| past.took).sum();
            assert!(sum <= 2 * LONGEST);
        };
        for at in 0..whole.len() {
            load(&whole.as_bytes()[..at]);
            for byte in [0, b'9', b'e', b'-', b'"', b'}', b',', b'\\', 0xff] {
                let mut text = whole.as_bytes().to_vec();
                text[at] = byte;
                load(&text);
            }
        }
        load(&whole.replace("250", "18446744073709551615").into_bytes());
    }
}
