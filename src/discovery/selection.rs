//! Which tests of each binary run.

use std::cell::OnceCell;
use std::ops::Range;
use std::time::Duration;

use super::binary_facts::facts;
use super::filter::{Choice, choose_one};
use super::inventory::Inventory;
use super::listing::Listing;
use super::test_list::Test;
use crate::cargo::binary::Binary;
use crate::cli::settings::TestFilter;
use crate::config::policy::Policy;
use crate::config::policy::by_module::RulesByModule;
use crate::filterset::compile::ISOLATED;
use crate::filterset::evaluate::{BinaryFacts, TestFacts};
use crate::filterset::filters::Filtersets;
use crate::filterset::matcher::Matcher;
use crate::model::warning::Warning;

/// What earlier runs have shown. Binaries are named by their keys.
pub trait Past {
    fn took(&self, binary: &str, test: &str) -> Option<Duration>;
    /// Whether the test did not pass when it ran last.
    fn has_failed(&self, binary: &str, test: &str) -> bool;
    /// Whether any test of the binary has not.
    fn has_failures(&self, binary: &str) -> bool;
    /// Whether the test failed, or did not get to run although it was selected.
    fn is_unfinished(&self, binary: &str, test: &str) -> bool;
}

/// All that decides about a test.
#[derive(Clone, Copy)]
pub struct Selection<'s> {
    pub filter: &'s TestFilter,
    pub filtersets: &'s Filtersets,
    pub policy: &'s Policy,
    pub past: &'s dyn Past,
}

impl Selection<'_> {
    /// The choice for each test of all binaries. Where only unfinished tests are wanted and there
    /// are none, all are run, with a warning.
    pub fn choose_all(
        &self,
        inventory: &Inventory,
        warnings: &mut Vec<Warning>,
    ) -> Vec<Vec<Choice>> {
        let all = self.choose(inventory, 0..inventory.listings.len());
        if !self.filter.last_failed {
            return all;
        }
        let is_unfinished = |listing: &Listing, choices: &[Choice]| -> Vec<Choice> {
            let key = listing.binary.key();
            let tests = listing.tests.iter().zip(choices);
            let left = tests.map(|(test, choice)| match choice {
                Choice::Run if self.past.is_unfinished(&key, &test.name) => Choice::Run,
                _ => Choice::LeaveOut,
            });
            left.collect()
        };
        let listings = inventory.listings.iter().zip(&all);
        let left: Vec<Vec<Choice>> =
            listings.map(|(listing, choices)| is_unfinished(listing, choices)).collect();
        if left.iter().flatten().any(|choice| *choice == Choice::Run) {
            return left;
        }
        if all.iter().flatten().any(|choice| *choice == Choice::Run) {
            warnings.push(Warning::NothingUnfinished);
        }
        all
    }

    /// The choice for each test of these listings.
    ///
    /// A test that serves as a fixture is never run as a test, whatever the flags say.
    pub fn choose(&self, inventory: &Inventory, listings: Range<usize>) -> Vec<Vec<Choice>> {
        listings.map(|place| self.choose_listing(&inventory.listings[place])).collect()
    }

    fn choose_listing(&self, listing: &Listing) -> Vec<Choice> {
        let binary = &listing.binary;
        let fixtures: Vec<(Option<usize>, &str)> = self
            .policy
            .fixture_tests()
            .map(|(package, test)| (package, test.value.as_str()))
            .collect();
        let is_fixture = |test: &Test| {
            let is_it = |(package, id): &(Option<usize>, &str)| {
                package.is_none_or(|package| package == binary.package)
                    && binary.test_name(id) == Some(&test.name)
            };
            fixtures.iter().any(is_it)
        };
        let asked = Asked::new(*self, listing);
        let decision = self.filtersets.decide(&asked.facts);
        let is_matched = |test: &Test| {
            decision.unwrap_or_else(|| {
                self.filtersets.matches(&asked.facts, &Candidate { asked: &asked, test })
            })
        };
        let choice = |test: &Test| match choose_one(self.filter, binary, test) {
            Choice::LeaveOut => Choice::LeaveOut,
            _ if !is_matched(test) => Choice::LeaveOut,
            Choice::Run if !fixtures.is_empty() && is_fixture(test) => Choice::Ignore,
            choice => choice,
        };
        listing.tests.iter().map(choice).collect()
    }
}

/// A binary that expressions are asked about.
struct Asked<'s> {
    selection: Selection<'s>,
    binary: &'s Binary,
    key: String,
    facts: BinaryFacts<'s>,
    rules: OnceCell<RulesByModule<'s>>,
}

impl<'s> Asked<'s> {
    fn new(selection: Selection<'s>, listing: &'s Listing) -> Asked<'s> {
        let binary = &listing.binary;
        let key = binary.key();
        let mut facts = facts(binary, selection.filtersets);
        facts.has_failures = selection.past.has_failures(&key);
        // The default filter may ask for failures.
        facts.default = selection.filtersets.decide_default(&facts);
        Asked { selection, binary, key, facts, rules: OnceCell::new() }
    }

    fn rules(&self) -> &RulesByModule<'s> {
        let new = || RulesByModule::new(self.selection.policy, self.binary.package);
        self.rules.get_or_init(new)
    }
}

/// A test that expressions are asked about.
struct Candidate<'a, 's> {
    asked: &'a Asked<'s>,
    test: &'a Test,
}

impl Candidate<'_, '_> {
    /// With the crate's name, by which rules are found.
    fn id(&self) -> String {
        format!("{}::{}", self.asked.binary.name, self.test.name)
    }
}

impl TestFacts for Candidate<'_, '_> {
    fn name(&self) -> &str {
        &self.test.name
    }

    fn is_default(&self) -> bool {
        let Asked { selection, facts, .. } = self.asked;
        facts.default.unwrap_or_else(|| selection.filtersets.is_default(facts, self))
    }

    fn has_failed(&self) -> bool {
        self.asked.selection.past.has_failed(&self.asked.key, &self.test.name)
    }

    fn took(&self) -> Option<Duration> {
        self.asked.selection.past.took(&self.asked.key, &self.test.name)
    }

    fn has_policy(&self, matcher: &Matcher) -> bool {
        let rules = self.asked.rules().get(&self.id());
        matcher.matches(rules.kind.as_str()) || (rules.isolate && matcher.matches(ISOLATED))
    }

    fn has_fixture(&self, matcher: &Matcher) -> bool {
        let rules = self.asked.rules().get(&self.id());
        let policy = self.asked.selection.policy;
        rules.fixtures.iter().flatten().any(|fixture| {
            matcher.matches(&fixture.name) || matcher.matches(&policy.key_of(fixture))
        })
    }
}
