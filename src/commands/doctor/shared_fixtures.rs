//! Modules whose statics are set up in each process at a cost, so that one fixture for all processes
//! would be cheaper.

use super::setup_costs::{SetupCost, setup_cost};
use super::suggestions::{Examined, is_gain};
use crate::config::policy::covers;
use crate::discovery::statics::Statics;
use crate::model::diagnosis::SharedFixture;
use crate::plan::group::{Group, Isolation};

impl Examined<'_> {
    /// Modules that would be faster with one fixture for all processes.
    pub fn shared_fixtures(&self) -> Vec<SharedFixture> {
        let now = self.makespan_now();
        let fixture = |group: &Group| {
            let SetupCost { cost, tests } = setup_cost(group, self.phases)?;
            let statics = self.statics(group);
            let mut groups: Vec<Group> = self.groups.iter().map(|of| self.measured(of)).collect();
            let split = groups.iter_mut().find(|of| of.has(tests[0].0))?;
            (split.isolation, split.has_explicit_policy) = (Isolation::Split, true);
            for (test, (_, took)) in split.tests.iter_mut().zip(&tests) {
                test.expected = Some(*took);
            }
            // The fixture is up before the first of its tests.
            let then = self.makespan(&groups) + cost;
            let is_worth_it = !statics.is_empty() && is_gain(now, then);
            let node = group.node.clone();
            is_worth_it.then_some(SharedFixture { node, statics, cost, gain: (now, then) })
        };
        self.splittable_groups().filter_map(fixture).collect()
    }

    /// The statics in which the tests of a group can keep what they set up.
    fn statics(&self, group: &Group) -> Vec<String> {
        let listing = &self.project.inventory.listings[group.listing];
        let Statics::Known { statics, .. } = &listing.statics else { return Vec::new() };
        let node = self.node(group).replace('-', "_");
        let is_near = |module: &str| covers(&node, module) || covers(module, &node);
        let own = statics.iter().filter(|of| is_near(&of.module));
        own.map(|of| of.path.clone()).collect()
    }
}
