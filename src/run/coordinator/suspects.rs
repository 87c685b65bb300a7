//! What may have made tests fail that run again by themselves.

use std::collections::HashMap;

use crate::model::interference::InterferenceKind;
use crate::model::test::TestId;
use crate::model::thing::Thing;
use crate::sharing::usage::Suspect;

/// Tests that run again by themselves, and what may have made them fail.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// None if the test has failed by itself as well.
    by_test: HashMap<TestId, Option<Suspect>>,
    /// What has made tests fail that passed by themselves.
    proven: Vec<(Thing, InterferenceKind)>,
}

impl Suspects {
    /// A test runs again by itself because of this suspect.
    pub(super) fn add(&mut self, test: TestId, suspect: Suspect) {
        self.by_test.insert(test, Some(suspect));
    }

    pub(super) fn of(&self, test: TestId) -> Option<&Suspect> {
        self.by_test.get(&test)?.as_ref()
    }

    /// A test has failed by itself, too.
    pub(super) fn acquit(&mut self, test: TestId) {
        self.by_test.insert(test, None);
    }

    pub(super) fn is_one(&self, test: TestId) -> bool {
        self.by_test.contains_key(&test)
    }

    /// A test that failed because of this has passed by itself.
    pub(super) fn prove(&mut self, thing: Thing, kind: InterferenceKind) {
        self.proven.push((thing, kind));
    }

    /// How a thing has made a test of this run fail, if it has.
    pub(super) fn proven(&self, thing: &Thing) -> Option<InterferenceKind> {
        self.proven.iter().find(|(proven, _)| proven == thing).map(|(_, kind)| *kind)
    }
}
