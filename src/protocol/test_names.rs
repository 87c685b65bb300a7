//! The places of tests in a worker's list, by their names.

use std::collections::HashMap;

/// libtest runs tests nearly in the order of the list, and few at a time, so that mostly no map
/// of all their names is needed.
pub struct TestNames<'n> {
    names: Vec<&'n str>,
    /// Made when a name is not where it was expected.
    by_name: Option<HashMap<&'n str, usize>>,
    /// The first behind all that have begun.
    next: usize,
    /// Those before it that have not begun.
    late: Vec<usize>,
    running: Vec<usize>,
}

/// How far ahead a test is looked for: each thread tells of its own start.
const LOOKED_AT: usize = 16;

/// So many may be late at once; one that the scheduler has stopped is overtaken by any number.
const MOST_LATE: usize = 64;

impl<'n> TestNames<'n> {
    pub fn new(names: Vec<&'n str>) -> TestNames<'n> {
        TestNames { names, by_name: None, next: 0, late: Vec::new(), running: Vec::new() }
    }

    pub fn count(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, place: usize) -> &'n str {
        self.names[place]
    }

    /// Of a test that begins.
    pub fn begins(&mut self, name: &str) -> Option<usize> {
        let place = self.ahead(name).or_else(|| self.late(name)).or_else(|| self.find(name))?;
        self.running.push(place);
        Some(place)
    }

    fn ahead(&mut self, name: &str) -> Option<usize> {
        let end = self.names.len().min(self.next + LOOKED_AT);
        let place = (self.next..end).find(|place| self.names[*place] == name)?;
        let room = MOST_LATE.saturating_sub(self.late.len());
        self.late.extend((self.next..place).take(room));
        self.next = place + 1;
        Some(place)
    }

    fn late(&mut self, name: &str) -> Option<usize> {
        let at = self.late.iter().position(|place| self.names[*place] == name)?;
        Some(self.late.swap_remove(at))
    }

    /// Of a test that has ended.
    pub fn ends(&mut self, name: &str) -> Option<usize> {
        match self.running.iter().position(|place| self.names[*place] == name) {
            Some(at) => Some(self.running.swap_remove(at)),
            None => self.find(name),
        }
    }

    pub fn find(&mut self, name: &str) -> Option<usize> {
        let by_name = self.by_name.get_or_insert_with(|| {
            self.names.iter().enumerate().map(|(at, name)| (*name, at)).collect()
        });
        by_name.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_order() {
        let mut lookup = TestNames::new(vec!["a", "b", "c", "d"]);
        let begun = ["a", "b", "d", "c", "x", "d"].map(|name| lookup.begins(name));
        assert_eq!(begun, [Some(0), Some(1), Some(3), Some(2), None, Some(3)]);
        let ended = ["c", "a", "x", "b", "d", "d", "d"].map(|name| lookup.ends(name));
        assert_eq!(ended, [Some(2), Some(0), None, Some(1), Some(3), Some(3), Some(3)]);
    }

    #[test]
    fn nearly_in_the_order_of_the_list_no_map_is_made() {
        let mut lookup = TestNames::new(vec!["a", "b", "c", "d"]);
        let begun = ["b", "a", "d", "c"].map(|name| lookup.begins(name));
        assert_eq!(begun, [Some(1), Some(0), Some(3), Some(2)]);
        let ended = ["a", "b", "c", "d"].map(|name| lookup.ends(name));
        assert_eq!(ended, [Some(0), Some(1), Some(2), Some(3)]);
        assert!(lookup.by_name.is_none() && lookup.running.is_empty());
    }

    #[test]
    fn one_that_is_stopped_may_be_overtaken_by_all_others() {
        let names: Vec<String> = (0..1000).map(|number| format!("test_{number}")).collect();
        let mut lookup = TestNames::new(names.iter().map(String::as_str).collect());
        for place in (1..1000).chain([0]) {
            assert_eq!(lookup.begins(&names[place]), Some(place));
        }
        assert!(lookup.by_name.is_none() && lookup.late.is_empty());
    }
}
