//! The tests of a workspace, with all that decides how they run.

use crate::cargo::workspace::Workspace;
use crate::cli::settings::Settings;
use crate::config::policy::{FixtureName, Policy};
use crate::discovery::inventory::Inventory;
use crate::discovery::selection::{Past, Selection};
use crate::filterset::filters::Filtersets;
use crate::fixture::definition;
use crate::plan::group::Group;
use crate::report::view::View;
use crate::run::interrupt::Interrupts;
use crate::worker::agent_file::AgentFile;
use crate::worker::context::Context;
use crate::worker::run_config::RunConfig;
use crate::worker::services::Services;

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
    /// What the workers of a run share. Neither are fixtures kept beyond it, nor complete outputs.
    pub fn context(
        &self,
        groups: &[Group],
        fixtures: &[FixtureName],
        config: RunConfig<'r>,
        interrupts: &'r Interrupts,
    ) -> Context<'r> {
        let Project { settings, workspace, policy, inventory, .. } = *self;
        let mut services = Services::new(&interrupts.groups);
        services.agent = settings.agent.then(AgentFile::new).flatten();
        services.fork_servers.expect(groups, inventory.listings.len());
        let fixtures = definition::resolve(fixtures, policy, inventory, workspace.root());
        Context::new(inventory, fixtures, config, services)
    }

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
