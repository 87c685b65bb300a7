//! The places of tests in a worker's list, by their names.

use std::collections::HashMap;

/// libtest runs tests nearly in the order of the list, and few at a time, so that mostly no map
/// of all their names is needed.
pub struct Places<'n> {
    names: Vec<&'n str>,
    /// Made when a name is not where it was expected.
    by_name: Option<HashMap<&'n str, usize>>,
    has_begun: Vec<bool>,
    /// The first that has not begun.
    next: usize,
    running: Vec<usize>,
}

/// So many tests may overtake each other: each thread tells of its own start.
const LOOKED_AT: usize = 16;

impl<'n> Places<'n> {
    pub fn new(names: Vec<&'n str>) -> Places<'n> {
        let has_begun = vec![false; names.len()];
        Places { names, by_name: None, has_begun, next: 0, running: Vec::new() }
    }

    pub fn count(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, place: usize) -> &'n str {
        self.names[place]
    }

    /// Of a test that begins.
    pub fn begins(&mut self, name: &str) -> Option<usize> {
        let end = self.names.len().min(self.next + LOOKED_AT);
        let is_it = |place: &usize| !self.has_begun[*place] && self.names[*place] == name;
        let place = (self.next..end).find(is_it).or_else(|| self.find(name))?;
        self.has_begun[place] = true;
        while self.has_begun.get(self.next) == Some(&true) {
            self.next += 1;
        }
        self.running.push(place);
        Some(place)
    }

    /// Of a test that has ended.
    pub fn ends(&mut self, name: &str) -> Option<usize> {
        match self.running.iter().position(|place| self.names[*place] == name) {
            Some(at) => Some(self.running.swap_remove(at)),
            None => self.find(name),
        }
    }

    fn find(&mut self, name: &str) -> Option<usize> {
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
        let mut places = Places::new(vec!["a", "b", "c", "d"]);
        let begun = ["a", "b", "d", "c", "x", "d"].map(|name| places.begins(name));
        assert_eq!(begun, [Some(0), Some(1), Some(3), Some(2), None, Some(3)]);
        let ended = ["c", "a", "x", "b", "d", "d", "d"].map(|name| places.ends(name));
        assert_eq!(ended, [Some(2), Some(0), None, Some(1), Some(3), Some(3), Some(3)]);
    }

    #[test]
    fn nearly_in_the_order_of_the_list_no_map_is_made() {
        let mut places = Places::new(vec!["a", "b", "c", "d"]);
        let begun = ["b", "a", "d", "c"].map(|name| places.begins(name));
        assert_eq!(begun, [Some(1), Some(0), Some(3), Some(2)]);
        let ended = ["a", "b", "c", "d"].map(|name| places.ends(name));
        assert_eq!(ended, [Some(0), Some(1), Some(2), Some(3)]);
        assert!(places.by_name.is_none() && places.running.is_empty());
    }
}
