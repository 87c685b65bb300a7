//! What a user has asked of a run that goes on.

use std::collections::BTreeSet;

use crate::model::test::TestId;

/// What the user has asked for.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Tests that were running when the user last asked what runs.
    pub(super) asked_about: BTreeSet<TestId>,
    /// No more tests shall start.
    pub(super) stop_after_running: bool,
}
