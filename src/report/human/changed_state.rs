//! What tests have left changed in their processes, in a run that watches that.

use std::collections::BTreeMap;

use crate::model::state_change::{StateChange, StateThing};
use crate::model::test::TestId;
use crate::report::human::page::Page;
use crate::report::view::View;

/// The most tests to list without `-v`.
const MOST: usize = 20;

/// Something that more tests than this have changed is told once, without its values.
const MANY: usize = 5;

#[derive(Debug, Default)]
pub struct ChangedState(Vec<(TestId, StateChange)>);

impl ChangedState {
    pub fn add(&mut self, test: TestId, changes: &[StateChange]) {
        let known = &mut self.0;
        for change in changes {
            let is_same = |(by, known): &(TestId, StateChange)| *by == test && known == change;
            // It may have run again.
            if !known.iter().any(is_same) {
                known.push((test, change.clone()));
            }
        }
    }

    pub fn show(&mut self, page: &mut Page, view: &View<'_>, is_verbose: bool) {
        if self.0.is_empty() {
            return;
        }
        self.0.sort_by(|(one, a), (other, b)| {
            view.compare(*one, *other).then_with(|| a.thing.cmp(&b.thing))
        });
        page.line(&page.paint.strong("changed state:"));
        let by_thing = self.by_thing();
        let is_by_many = |thing: &StateThing| by_thing.get(thing).is_some_and(|by| by.len() > MANY);
        for (thing, by) in by_thing.iter().filter(|(thing, _)| is_by_many(thing)) {
            let first = view.painted_id(by[0], page.paint);
            page.behind("  ", &format!("{thing}, by {} tests, first by {first}", by.len()));
        }
        let few = self.0.iter().filter(|(_, change)| is_verbose || !is_by_many(&change.thing));
        let (mut last, mut shown, mut left_out) = (None, 0, 0);
        for (test, change) in few {
            if last.replace(*test) != Some(*test) {
                shown += 1;
                match is_verbose || shown <= MOST {
                    true => page.line(&format!("  {}", view.painted_id(*test, page.paint))),
                    false => left_out += 1,
                }
            }
            if left_out == 0 {
                page.behind("    ", &change.to_string());
            }
        }
        if left_out > 0 {
            page.line(&format!("  … and {left_out} more tests (-v shows all)"));
        }
        page.gap();
    }

    fn by_thing(&self) -> BTreeMap<&StateThing, Vec<TestId>> {
        let mut by_thing: BTreeMap<&StateThing, Vec<TestId>> = BTreeMap::new();
        for (test, change) in &self.0 {
            let by = by_thing.entry(&change.thing).or_default();
            if by.last() != Some(test) {
                by.push(*test);
            }
        }
        by_thing
    }
}
