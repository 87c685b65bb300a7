//! Changes how many tests of a running batch run at once, as the plan says.

use std::sync::Arc;

use super::state::Run;
use crate::model::protocol::Protocol;
use crate::plan::elastic::Resize;
use crate::plan::group::Batch;
use crate::process::platform::Permits;

impl Run<'_> {
    /// The permits of a batch that is about to start; none if its threads cannot change.
    pub(super) fn permits(&mut self, batch: &Batch, protocol: Protocol) -> Option<Arc<Permits>> {
        let is_elastic = protocol == Protocol::Agent && batch.most_threads.is_some();
        let permits = is_elastic.then(|| Permits::new(batch.threads)).and_then(Result::ok);
        if permits.is_none() {
            self.plan.fix_threads(batch.id);
        }
        permits.map(Arc::new)
    }

    /// Gives an idle slot to a running batch. Returns whether one got it; others that waited for it
    /// to be served may start now.
    pub(super) fn widen_batch(&mut self) -> bool {
        let resize = if self.phase.is_stopped() { None } else { self.plan.widen() };
        resize.into_iter().for_each(|resize| self.resize(resize));
        resize.is_some()
    }

    /// Takes a slot of a running batch back for others. Returns whether more may start because of
    /// that: a batch in a slot that has become free, or its fixtures.
    pub(super) fn narrow_batch(&mut self) -> bool {
        if self.phase.is_stopped() {
            return false;
        }
        if let Some(resize) = self.plan.narrow() {
            self.resize(resize);
        }
        // Often fewer of its tests run by now.
        self.finish_narrowing() || self.plan.wants_fixtures()
    }

    fn resize(&mut self, resize: Resize) {
        let Resize { batch, threads, slot } = resize;
        let Some(running) = self.running.get_mut(&batch) else { return };
        let Some(permits) = &running.permits else { return };
        permits.set(threads);
        running.held.resize(threads);
        self.summary.slots = self.summary.slots.max(slot + 1);
    }

    /// Frees the slot that a batch was to give up, once as few of its tests run.
    pub(super) fn finish_narrowing(&mut self) -> bool {
        let Some(Resize { batch, threads, .. }) = self.plan.narrowing() else { return false };
        let permits = self.running.get(&batch).and_then(|running| running.permits.as_ref());
        let is_narrow = permits.is_none_or(|permits| permits.running() <= threads);
        if is_narrow {
            self.plan.narrowed(batch);
        }
        is_narrow
    }
}
