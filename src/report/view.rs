//! The context of a report.

use std::cmp::Ordering;
use std::path::Path;

use crate::cli::settings::Settings;
use crate::discovery::inventory::Inventory;
use crate::model::interference::{Interference, ThingUser};
use crate::model::printable::printable_name;
use crate::model::test::TestId;
use crate::report::text::Paint;

/// The names and settings that a report needs besides the events.
#[derive(Clone, Copy)]
pub struct View<'r> {
    pub inventory: &'r Inventory,
    pub settings: &'r Settings,
    /// The directory of the workspace, to which the paths of panics are relative.
    pub root: &'r Path,
}

impl View<'_> {
    pub fn id(&self, test: TestId) -> String {
        let listing = &self.inventory.listings[test.listing];
        listing.binary.id(&listing.tests[test.test].name)
    }

    /// The id as it may stand in a line of a terminal: custom harnesses name tests as they like.
    pub fn shown_id(&self, test: TestId) -> String {
        printable_name(&self.id(test))
    }

    /// The test that interfered with another one, or its binary if it is not known which of its
    /// tests it was.
    pub fn interferer(&self, found: &Interference) -> String {
        let binary = || self.inventory.listings[found.process_of.listing].binary.prefix.clone();
        found.other.map_or_else(binary, |other| self.id(other))
    }

    /// A test that uses a thing, or its binary if it is not known which of its tests it was.
    pub fn user(&self, user: &ThingUser) -> String {
        match user.is_process {
            true => self.inventory.listings[user.test.listing].binary.prefix.clone(),
            false => self.id(user.test),
        }
    }

    /// Its name bold, and the path to it dimmed.
    pub fn painted_id(&self, test: TestId, paint: Paint) -> String {
        let id = self.shown_id(test);
        let listing = &self.inventory.listings[test.listing];
        let name = match listing.is_doctests() {
            true => listing.binary.prefix.len() + 2,
            false => id.rfind("::").map_or(0, |at| at + 2),
        };
        let (path, name) = id.split_at(name);
        format!("{}{}", paint.faint(path), paint.strong(name))
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
