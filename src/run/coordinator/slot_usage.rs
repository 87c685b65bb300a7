//! How well a run has used its slots.

use std::time::{Duration, Instant};

use crate::model::bottleneck::Bottleneck;
use crate::plan::group::Group;
use crate::plan::occupancy::Occupancy;
use crate::process::clock;

/// The slots that a running batch holds.
#[derive(Debug)]
pub(super) struct HeldSlots {
    slots: usize,
    since: Instant,
    /// The time of slots until then.
    before: Duration,
}

impl HeldSlots {
    pub(super) fn new(slots: usize, since: Instant) -> HeldSlots {
        HeldSlots { slots, since, before: Duration::ZERO }
    }

    pub(super) fn resize(&mut self, slots: usize) {
        *self = HeldSlots { slots, since: clock::now(), before: self.time() };
    }

    /// The time of all slots together.
    pub(super) fn time(&self) -> Duration {
        let slots = u32::try_from(self.slots).unwrap_or(1);
        self.before + clock::since(self.since) * slots
    }
}

#[derive(Debug, Default)]
pub(super) struct SlotUsage {
    /// The time for which slots were held.
    busy: Duration,
    occupancy: Occupancy,
}

impl SlotUsage {
    /// Notes a batch that has run so long, and held slots for so long.
    pub(super) fn note(&mut self, group: &Group, took: Duration, held: Duration) {
        self.busy += held;
        self.occupancy.note_batch(group, took);
    }

    pub(super) fn note_test(&mut self, took: Duration, what: impl FnOnce() -> String) {
        self.occupancy.note_test(took, what);
    }

    /// The part of the time of all slots that was used, from 0 to 1.
    pub(super) fn fill(&self, took: Duration, slots: usize) -> f64 {
        let offered = took.as_secs_f64() * slots as f64;
        let fill = if offered > 0.0 { self.busy.as_secs_f64() / offered } else { 0.0 };
        fill.min(1.0)
    }

    /// What held up the run, if slots were idle meanwhile.
    pub(super) fn bottleneck(self, took: Duration, fill: f64) -> Option<Bottleneck> {
        const WORTH_REPORTING: Duration = Duration::from_secs(2);
        const MOST: f64 = 0.7;
        let is_worth_it = took >= WORTH_REPORTING && fill < MOST;
        is_worth_it.then(|| self.occupancy.bottleneck(took)).flatten()
    }
}
