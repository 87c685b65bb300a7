//! The tests of a workspace, with all that decides how they run.

use crate::cargo::workspace::Workspace;
use crate::cli::settings::Settings;
use crate::config::policy::Policy;
use crate::discovery::inventory::Inventory;
use crate::discovery::selection::{Past, Selection};
use crate::filterset::filters::Filtersets;
use crate::report::view::View;

/// The workspace, its policy, and the inventory of its tests.
#[derive(Clone, Copy)]
pub struct Project<'r> {
    pub settings: &'r Settings,
    pub workspace: &'r Workspace,
    pub policy: &'r Policy,
    pub filtersets: &'r Filtersets,
    pub inventory: &'r Inventory,
}

impl<'r> Project<'r> {
    /// What reports need besides the events.
    pub fn view(&self) -> View<'r> {
        let Project { settings, workspace, inventory, .. } = *self;
        View { inventory, settings, root: workspace.root() }
    }

    /// What decides about each test.
    pub fn selection(&self, past: &'r dyn Past) -> Selection<'r> {
        let Project { settings, policy, filtersets, .. } = *self;
        Selection { filter: &settings.filter, filtersets, policy, past }
    }
}
