//! The block of what a worker has printed that belongs to one of its tests, and it is not known
//! which.

use crate::model::output::Output;
use crate::model::printable::printable;
use crate::model::test::TestId;
use crate::report::human::failure::BAR;
use crate::report::human::failure_output::lines;
use crate::report::human::page::Page;
use crate::report::messages;
use crate::report::view::View;

pub struct WorkerOutput {
    pub worker: u64,
    pub tests: Vec<TestId>,
    pub output: Output,
}

impl WorkerOutput {
    /// Adds the block. The tests that failed are named first.
    pub fn show(&self, page: &mut Page, view: &View<'_>, has_failed: impl Fn(TestId) -> bool) {
        let mut tests = self.tests.clone();
        tests.sort_by(|a, b| has_failed(*b).cmp(&has_failed(*a)).then(view.compare(*a, *b)));
        let ids: Vec<String> = tests.iter().map(|test| view.shown_id(*test)).collect();
        page.gap();
        page.line(&messages::worker_output(self.worker, &ids));
        let bar = page.paint.faint(BAR);
        page.all_behind(&bar, lines(&printable(&self.output)));
        page.gap();
    }
}
