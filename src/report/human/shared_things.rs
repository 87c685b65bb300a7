//! What tests of different processes share: which failed because of that, and which are kept apart
//! from the next run on.

use crate::model::interference::{Interference, LearntLock};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::report::human::page::Page;
use crate::report::sharing_messages as messages;
use crate::report::view::View;

/// Adds the tests that passed by themselves, after others had made them fail.
pub fn interfered(page: &mut Page, view: &View<'_>, verdicts: &[(TestId, Verdict)]) {
    let found = verdicts.iter().filter_map(|(test, verdict)| {
        verdict.interference.as_ref().map(|interference| (*test, interference))
    });
    let found: Vec<(TestId, &Interference)> = found.collect();
    if found.is_empty() {
        return;
    }
    page.line(&page.paint.strong("interfered with:"));
    for (test, interference) in found {
        let [why, lock] = messages::interfered(view, test, interference);
        page.behind("  ", &format!("{}: {why}", view.painted_id(test, page.paint)));
        page.behind("    ", &page.paint.faint(&lock));
    }
    page.gap();
}

/// Adds the locks that were learnt.
pub fn learnt(page: &mut Page, locks: &[LearntLock]) {
    if locks.is_empty() {
        return;
    }
    page.line(&page.paint.strong("kept apart from the next run on:"));
    for lock in locks {
        page.behind("  ", &messages::learnt(lock));
    }
    page.gap();
}
