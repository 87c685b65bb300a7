//! Which test is which: libtest's names, the agent's numbers, and the places of the tests in the
//! worker's list. A number means one test for ever, and a test begins and ends once.

use rustc_hash::{FxHashMap, FxHashSet};

use super::test_names::TestNames;

pub struct TestIndex<'n> {
    lookup: TestNames<'n>,
    by_number: FxHashMap<u32, usize>,
    /// Tests that have a number, and so a thread of their own.
    numbered: FxHashMap<usize, u32>,
    begun: FxHashSet<usize>,
    over: FxHashSet<usize>,
}

/// What a name says of a test whose event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    First(usize),
    /// It was heard before.
    Repeated(usize),
}

impl<'n> TestIndex<'n> {
    pub fn new(names: Vec<&'n str>) -> TestIndex<'n> {
        TestIndex {
            lookup: TestNames::new(names),
            by_number: FxHashMap::default(),
            numbered: FxHashMap::default(),
            begun: FxHashSet::default(),
            over: FxHashSet::default(),
        }
    }

    pub fn count(&self) -> usize {
        self.lookup.count()
    }

    pub fn name(&self, place: usize) -> &'n str {
        self.lookup.name(place)
    }

    /// The place of the test with this number.
    pub fn of_number(&self, number: u32) -> Option<usize> {
        self.by_number.get(&number).copied()
    }

    /// The number of the test at this place, if it has one.
    pub fn number_of(&self, place: usize) -> Option<u32> {
        self.numbered.get(&place).copied()
    }

    pub fn numbers(&self) -> impl Iterator<Item = (u32, usize)> {
        self.by_number.iter().map(|(number, place)| (*number, *place))
    }

    /// The thread of this number runs that test. What the number meant first stands.
    pub fn bind(&mut self, number: u32, place: usize) {
        if !self.by_number.contains_key(&number) && !self.numbered.contains_key(&place) {
            self.by_number.insert(number, place);
            self.numbered.insert(place, number);
        }
    }

    pub fn begin(&mut self, name: &str) -> Option<Occurrence> {
        let place = self.lookup.begins(name)?;
        let is_first = self.begun.insert(place) && !self.over.contains(&place);
        Some(if is_first { Occurrence::First(place) } else { Occurrence::Repeated(place) })
    }

    pub fn end(&mut self, name: &str) -> Option<Occurrence> {
        let place = self.lookup.ends(name)?;
        Some(if self.over.insert(place) {
            Occurrence::First(place)
        } else {
            Occurrence::Repeated(place)
        })
    }

    /// Whether a test of this name may begin now.
    pub fn may_begin(&mut self, name: &str) -> bool {
        self.lookup.find(name).is_some_and(|place| !self.begun.contains(&place))
    }

    /// Whether a test of this name may be ignored now: it has begun, and has no thread. One that
    /// was not handed out may always be.
    pub fn may_be_ignored(&mut self, name: &str) -> bool {
        let Some(place) = self.lookup.find(name) else { return true };
        let has_begun = self.begun.contains(&place) && !self.over.contains(&place);
        has_begun && !self.numbered.contains_key(&place)
    }

    /// Whether a verdict for this name may come now, of the test with this number; of one without
    /// a thread where that is 0.
    pub fn may_end(&mut self, name: &str, number: u32) -> bool {
        let Some(place) = self.lookup.find(name) else { return false };
        let is_it = match number {
            0 => self.begun.contains(&place) && !self.numbered.contains_key(&place),
            number => self.of_number(number) == Some(place),
        };
        is_it && !self.over.contains(&place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_first_meaning() {
        let mut index = TestIndex::new(vec!["a", "b"]);
        index.bind(1, 0);
        index.bind(1, 1);
        index.bind(2, 0);
        assert_eq!(index.of_number(1), Some(0));
        assert_eq!(index.of_number(2), None, "`a` has a number already");
    }

    #[test]
    fn a_verdict_is_that_of_the_test_with_its_number() {
        let mut index = TestIndex::new(vec!["a", "b", "c"]);
        for (number, name) in [(1, "a"), (2, "b")] {
            let Some(Occurrence::First(place)) = index.begin(name) else { panic!("{name}") };
            index.bind(number, place);
        }
        assert!(index.may_end("a", 1) && !index.may_end("b", 1));
        assert!(!index.may_end("a", 0), "it has a thread");
        assert!(!index.may_end("c", 0), "it has not begun");
        assert_eq!(index.begin("c"), Some(Occurrence::First(2)));
        assert!(index.may_end("c", 0));
        index.end("c");
        assert!(!index.may_end("c", 0), "it has ended");
    }
}
