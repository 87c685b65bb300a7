//! The leaks of a run, by the test that they are of.

use std::cmp::{Ordering, Reverse};

use crate::model::event::LeakedBy;
use crate::model::leak::{Leak, LeakAction, LeakKind};
use crate::model::printable::printable;
use crate::model::test::TestId;
use crate::report::human::page::Page;
use crate::report::messages;
use crate::report::view::View;

/// The most leaks to list without `-v`.
const MOST: usize = 20;

/// The origin of a leak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Test(TestId),
    Unit(String),
    Fixture(String),
    Run,
}

impl From<&LeakedBy> for Owner {
    fn from(by: &LeakedBy) -> Owner {
        match by {
            LeakedBy::Test(test) => Owner::Test(*test),
            LeakedBy::Unit(node) => Owner::Unit(node.clone()),
            LeakedBy::Run => Owner::Run,
        }
    }
}

impl Owner {
    /// The order in the report: tests first.
    fn compare(&self, other: &Owner, view: &View<'_>) -> Ordering {
        match (self, other) {
            (Owner::Test(one), Owner::Test(other)) => view.compare(*one, *other),
            (Owner::Unit(one), Owner::Unit(other)) => one.cmp(other),
            (Owner::Fixture(one), Owner::Fixture(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> usize {
        match self {
            Owner::Test(_) => 0,
            Owner::Unit(_) => 1,
            Owner::Fixture(_) => 2,
            Owner::Run => 3,
        }
    }
}

/// The leaks of a run. A pool is one leak, whichever tests use it.
#[derive(Debug, Default)]
pub struct LeakList {
    leaks: Vec<(Owner, Leak)>,
}

impl LeakList {
    pub fn add(&mut self, owner: &Owner, leaks: &[Leak]) {
        self.leaks.extend(leaks.iter().map(|leak| (owner.clone(), leak.clone())));
    }

    /// How many leaks there are, and how many of them are denied.
    pub fn count(&self) -> (usize, usize) {
        let distinct = self.distinct();
        let denied = distinct.iter().filter(|(_, leak, _)| leak.action == LeakAction::Deny);
        (distinct.len(), denied.count())
    }

    /// Puts them in order, the most severe first.
    fn sort(&mut self, view: &View<'_>) {
        let grave = |leak: &Leak| (Reverse(leak.action), leak.kind == LeakKind::Pool);
        self.leaks.sort_by(|(one, a), (other, b)| {
            let owners = || one.compare(other, view).then(a.kind.cmp(&b.kind));
            grave(a).cmp(&grave(b)).then_with(owners)
        });
    }

    /// Each leak with how many tests share it, the most severe first.
    pub fn sorted(&mut self, view: &View<'_>) -> Vec<(&Owner, &Leak, usize)> {
        self.sort(view);
        self.distinct()
    }

    /// Each leak with how many tests share it.
    fn distinct(&self) -> Vec<(&Owner, &Leak, usize)> {
        let mut distinct: Vec<(&Owner, &Leak, usize)> = Vec::new();
        for (owner, leak) in &self.leaks {
            let is_same = |(_, other, _): &&mut (&Owner, &Leak, usize)| {
                let is_pool = leak.kind == LeakKind::Pool && other.kind == LeakKind::Pool;
                is_pool && leak.what == other.what
            };
            match distinct.iter_mut().find(is_same) {
                Some((_, _, sharers)) => *sharers += 1,
                None => distinct.push((owner, leak, 1)),
            }
        }
        distinct
    }

    pub fn show(&mut self, page: &mut Page, view: &View<'_>, is_verbose: bool) {
        let distinct = self.sorted(view);
        let Some((_, first, _)) = distinct.first() else { return };
        page.line(&page.paint.strong("leaks:"));
        let shown = if is_verbose { distinct.len() } else { MOST };
        let mut last = None;
        for (owner, leak, sharers) in distinct.iter().take(shown) {
            if last.replace(owner) != Some(owner) {
                page.line(&format!("  {}", shown_owner(owner, page, view)));
            }
            show_leak(page, leak, *sharers, is_verbose);
        }
        if distinct.len() > shown {
            page.line(&format!("  … and {} more (-v shows all)", distinct.len() - shown));
        }
        let how = page.paint.faint(&messages::how_to_allow(first));
        page.behind("  ", &how);
        page.gap();
    }
}

fn shown_owner(owner: &Owner, page: &Page, view: &View<'_>) -> String {
    match owner {
        Owner::Test(test) => view.painted_id(*test, page.paint),
        Owner::Unit(node) => format!("a test of {node}"),
        Owner::Fixture(name) => format!("fixture {name}"),
        Owner::Run => "a test of this run".to_owned(),
    }
}

fn show_leak(page: &mut Page, leak: &Leak, sharers: usize, with_stack: bool) {
    let paint = page.paint;
    let word = match leak.kind {
        LeakKind::Panic => "unobserved panic",
        kind => kind.as_str(),
    };
    let word = match leak.action {
        LeakAction::Deny => paint.bad(word),
        _ => paint.warn(word),
    };
    let verb = if leak.kind == LeakKind::Panic { "at" } else { "started at" };
    let place = leak.place.as_ref().map(|place| format!(" {verb} {}", paint.place(place)));
    let what = printable(leak.what.as_bytes()).replace('\n', " ");
    let rule = paint.faint(&format!("[{}: {}]", leak.action.as_str(), leak.rule));
    let place = place.unwrap_or_default();
    let shared = match sharers {
        1 => String::new(),
        sharers => format!(", used by {sharers} tests"),
    };
    page.behind("    ", &format!("{word} `{what}`{place}, {}{shared} {rule}", leak.detail));
    for call in leak.stack.iter().filter(|_| with_stack) {
        page.line(&paint.faint(&format!("        {call}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(kind: LeakKind, action: LeakAction) -> Leak {
        let (what, detail) = ("worker".to_owned(), "still alive".to_owned());
        let (place, stack, rule) = (None, Vec::new(), "default".to_owned());
        Leak { kind, what, place, detail, lived_on: None, stack, action, rule }
    }

    #[test]
    fn a_pool_is_one_leak_of_all_tests_that_use_it() {
        let mut list = LeakList::default();
        for test in 0..3 {
            let owner = Owner::Test(TestId { listing: 0, test });
            list.add(&owner, &[leak(LeakKind::Pool, LeakAction::Warn)]);
            list.add(&owner, &[leak(LeakKind::Thread, LeakAction::Deny)]);
        }
        assert_eq!(list.count(), (4, 3));
        assert!(
            list.distinct()
                .iter()
                .any(|(_, leak, shared)| { leak.kind == LeakKind::Pool && *shared == 3 })
        );
    }
}
