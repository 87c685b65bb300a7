//! Custom harnesses whose log did not add up in an earlier run. Their tests run one by one, until
//! they are built again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::listing::Listing;
use crate::model::warning::Warning;
use crate::state::{self, Stored};

/// The name of the file in the state directory.
const FILE: &str = "one-by-one.json";

/// The version of the file's format.
const FORMAT: u32 = 1;

/// The identity of each executable.
#[derive(Debug, Default)]
pub struct OneByOne(BTreeMap<PathBuf, String>);

impl OneByOne {
    pub fn load(state_dir: &Path, warnings: &mut Vec<Warning>) -> OneByOne {
        let path = state_dir.join(FILE);
        match state::read(&path, FORMAT) {
            Stored::Found(kept) => OneByOne(kept),
            Stored::Absent => OneByOne::default(),
            Stored::Damaged(why) => {
                warnings.push(Warning::DamagedStateFile { path, why });
                OneByOne::default()
            }
        }
    }

    /// Whether the tests of this executable are to run one by one.
    pub fn has(&self, executable: &Path, identity: Option<&str>) -> bool {
        identity.is_some() && self.0.get(executable).map(String::as_str) == identity
    }

    /// Adds these harnesses to the file, and drops those that are gone.
    pub fn remember<'l>(
        state_dir: &Path,
        listings: impl IntoIterator<Item = &'l Listing>,
    ) -> Option<Warning> {
        let identity = |listing: &Listing| {
            Some((listing.binary.executable.clone(), listing.identity.clone()?))
        };
        let new: BTreeMap<PathBuf, String> = listings.into_iter().filter_map(identity).collect();
        if new.is_empty() {
            return None;
        }
        let OneByOne(mut all) = OneByOne::load(state_dir, &mut Vec::new());
        all.retain(|executable, _| executable.exists());
        all.extend(new);
        let path = state_dir.join(FILE);
        let written = state::write(&path, FORMAT, all);
        written.err().map(|error| Warning::StateFileNotWritten { path, why: error.to_string() })
    }
}
