//! The tests of a workspace, with all that decides how they run.

use crate::cargo::workspace::Workspace;
use crate::cli::settings::Settings;
use crate::config::policy::Policy;
use crate::discovery::inventory::Inventory;

/// The workspace, its policy, and the inventory of its tests.
#[derive(Clone, Copy)]
pub struct Project<'r> {
    pub settings: &'r Settings,
    pub workspace: &'r Workspace,
    pub policy: &'r Policy,
    pub inventory: &'r Inventory,
}
