//! The context of a report.

use std::cmp::Ordering;

use crate::cli::settings::Settings;
use crate::discovery::inventory::Inventory;
use crate::model::test::TestId;

/// The names and settings that a report needs besides the events.
#[derive(Clone, Copy)]
pub struct View<'r> {
    pub inventory: &'r Inventory,
    pub settings: &'r Settings,
}

impl View<'_> {
    pub fn id(&self, test: TestId) -> String {
        let listing = &self.inventory.listings[test.listing];
        listing.binary.id(&listing.tests[test.test].name)
    }

    /// The order of tests in every report. Test ids do not serve, as they depend on the build order.
    pub fn compare(&self, one: TestId, other: TestId) -> Ordering {
        let listings = &self.inventory.listings;
        let binaries = match one.listing == other.listing {
            true => Ordering::Equal,
            false => listings[one.listing].binary.compare(&listings[other.listing].binary),
        };
        binaries.then(one.cmp(&other))
    }
}
