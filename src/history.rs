//! How long each test took in earlier runs. A file in the target directory: losing it costs
//! nothing but a worse order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Note;
use crate::inventory::Inventory;
use crate::store::{self, Stored};

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// By binary (`web/test/api`), then by the test's name: seconds.
    binaries: BTreeMap<String, BTreeMap<String, f64>>,
}

/// No test takes longer, in seconds: what says so is damaged.
const LONGEST: f64 = 30.0 * 24.0 * 3600.0;

/// How much of a duration the newest run decides: an outlier fades within a few runs.
const WEIGHT_OF_NEWEST: f64 = 0.5;

impl History {
    pub fn load(path: &Path, notes: &mut Vec<Note>) -> History {
        match store::read::<History>(path) {
            Stored::Found(history) => history.plausible(),
            Stored::Absent => History::default(),
            Stored::Damaged(why) => {
                notes.push(Note::DamagedState { path: path.to_owned(), why });
                History::default()
            }
        }
    }

    fn plausible(mut self) -> History {
        for tests in self.binaries.values_mut() {
            tests.retain(|_, seconds| (0.0..=LONGEST).contains(seconds));
        }
        self
    }

    pub fn expected(&self, binary: &str, test: &str) -> Option<Duration> {
        let seconds = *self.binaries.get(binary)?.get(test)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    pub fn record(&mut self, binary: &str, test: &str, took: Duration) {
        let tests = match self.binaries.get_mut(binary) {
            Some(tests) => tests,
            None => self.binaries.entry(binary.to_owned()).or_default(),
        };
        let took = took.as_secs_f64().min(LONGEST);
        match tests.get_mut(test) {
            Some(known) => *known += (took - *known) * WEIGHT_OF_NEWEST,
            None => drop(tests.insert(test.to_owned(), took)),
        }
    }

    /// Forgets the tests that the listed binaries no longer have.
    pub fn forget_gone(&mut self, inventory: &Inventory) {
        for listing in &inventory.listings {
            let by_name = listing.by_name();
            self.forget_others(&listing.binary.key(), |test| by_name.contains_key(test));
        }
    }

    fn forget_others(&mut self, binary: &str, exists: impl Fn(&str) -> bool) {
        if let Some(tests) = self.binaries.get_mut(binary) {
            tests.retain(|test, _| exists(test));
        }
    }

    /// Writes the file; what went wrong comes back as a note, since no verdict hangs on it.
    pub fn save(&self, path: &Path) -> Option<Note> {
        let error = store::write(path, self).err()?;
        Some(Note::StateNotWritten { path: path.to_owned(), why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_come_back_and_outliers_fade() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        let mut history = History::default();
        history.record("web/lib/web", "a", Duration::from_secs(4));
        history.record("web/lib/web", "a", Duration::from_secs(2));
        history.record("web/lib/web", "gone", Duration::from_secs(2));
        history.forget_others("web/lib/web", |test| test != "gone");
        assert_eq!(history.save(&path), None);
        let mut notes = Vec::new();
        let read = History::load(&path, &mut notes);
        assert_eq!(read, history);
        assert_eq!(read.expected("web/lib/web", "a"), Some(Duration::from_secs(3)));
        assert_eq!(read.expected("web/lib/web", "gone"), None);
        std::fs::write(&path, "{\"binaries\":{\"x\":{\"y\":-1.0}}}").unwrap();
        assert_eq!(History::load(&path, &mut notes).expected("x", "y"), None);
        assert!(notes.is_empty());
        std::fs::write(&path, "junk").unwrap();
        assert_eq!(History::load(&path, &mut notes), History::default());
        assert_eq!(notes.len(), 1);
    }
    /// A file that is cut or changed anywhere costs a note or an order, and nothing else.
    #[test]
    fn a_damaged_file_gives_no_impossible_duration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        let whole = r#"{"binaries":{"x":{"a":0.25,"b":1e2}}}"#;
        let load = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            let mut notes = Vec::new();
            let history = History::load(&path, &mut notes);
            let tests = history.binaries.values().flatten();
            let found = tests.map(|(test, _)| history.expected("x", test).unwrap_or_default());
            let sum: Duration = found.chain([Duration::ZERO]).sum();
            assert!(sum <= Duration::from_secs(90 * 24 * 3600));
        };
        for at in 0..whole.len() {
            load(&whole.as_bytes()[..at]);
            for byte in [0, b'9', b'e', b'-', b'"', b'}', b',', b'\\', 0xff] {
                let mut text = whole.as_bytes().to_vec();
                text[at] = byte;
                load(&text);
            }
        }
        load(br#"{"binaries":{"x":{"a":1.7e19,"b":1.7e19,"c":1e308}}}"#);
    }
}
