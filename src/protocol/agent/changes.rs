//! What tests have changed of their process, and which changes are still in force.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::frames::{ABSENT, UNKNOWN, state_of};

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Directory,
    Variable(Vec<u8>),
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Resource::Directory => write!(f, "the current directory"),
            Resource::Variable(name) => {
                write!(f, "the variable {}", String::from_utf8_lossy(name))
            }
        }
    }
}

/// What the process starts with.
#[derive(Debug, Clone, Copy)]
pub struct InitialState<'n> {
    pub directory: &'n Path,
    pub of_binary: &'n BTreeMap<OsString, OsString>,
    pub of_group: &'n BTreeMap<String, String>,
}

impl InitialState<'_> {
    fn of(&self, resource: &Resource) -> u64 {
        match resource {
            Resource::Directory => std::fs::canonicalize(self.directory)
                .map_or(UNKNOWN, |path| state_of(path.as_os_str().as_encoded_bytes())),
            Resource::Variable(name) => {
                let name = String::from_utf8_lossy(name).into_owned();
                let of_group = self.of_group.get(&name).map(OsString::from);
                let of_binary = || self.of_binary.get(&OsString::from(&name)).cloned();
                let value = of_group.or_else(of_binary).or_else(|| std::env::var_os(&name));
                value.map_or(ABSENT, |value| state_of(value.as_encoded_bytes()))
            }
        }
    }
}

/// A change that is in force.
#[derive(Debug)]
struct Change {
    test: usize,
    state: u64,
    /// Changes are numbered in their order.
    number: usize,
}

/// The changes of one resource.
#[derive(Debug)]
struct Changed {
    resource: Resource,
    initial: u64,
    /// Each on top of the one before.
    in_force: Vec<Change>,
}

/// All changes that are in force.
#[derive(Debug, Default)]
pub struct Changes<'n> {
    initial: Option<InitialState<'n>>,
    all: Vec<Changed>,
    count: usize,
}

impl<'n> Changes<'n> {
    pub fn since(initial: InitialState<'n>) -> Changes<'n> {
        Changes { initial: Some(initial), ..Changes::default() }
    }

    /// A test has changed the resource to this state. If that is an earlier one, the changes since
    /// then are undone.
    pub fn note(&mut self, test: usize, resource: Resource, state: u64) {
        self.count += 1;
        let at = self.all.iter().position(|changed| changed.resource == resource);
        let at = at.unwrap_or_else(|| {
            let initial = self.initial.map_or(ABSENT, |initial| initial.of(&resource));
            self.all.push(Changed { resource, initial, in_force: Vec::new() });
            self.all.len() - 1
        });
        let Changed { initial, in_force, .. } = &mut self.all[at];
        let is_state = |change: &Change| change.state == state && state != UNKNOWN;
        if let Some(former) = in_force.iter().position(is_state) {
            in_force.truncate(former + 1);
        } else if state == *initial && state != UNKNOWN {
            in_force.clear();
        } else {
            in_force.push(Change { test, state, number: self.count });
        }
    }

    /// What other tests have changed and is in force: those that the failure's text names first,
    /// then the newest first.
    pub fn of_others(&self, test: usize, text: &str) -> Vec<(usize, &Resource)> {
        let newest = |changed: &'_ Changed| {
            let others = changed.in_force.iter().rev().find(|change| change.test != test);
            others.map(|change| (change.number, change.test))
        };
        let mut found: Vec<_> = self
            .all
            .iter()
            .filter_map(|changed| newest(changed).map(|newest| (newest, &changed.resource)))
            .collect();
        found.sort_by_key(|((number, _), resource)| {
            (std::cmp::Reverse(is_named(resource, text)), std::cmp::Reverse(*number))
        });
        found.into_iter().map(|((_, by), resource)| (by, resource)).collect()
    }
}

/// Whether a text is about the resource: it has the variable's name as a word, or speaks of files.
fn is_named(resource: &Resource, text: &str) -> bool {
    match resource {
        Resource::Directory => {
            ["No such file", "not found", "director"].iter().any(|word| text.contains(word))
        }
        Resource::Variable(name) => {
            let name = String::from_utf8_lossy(name);
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            text.split(|c| !is_part(c)).any(|word| word == name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Resource {
        Resource::Variable(name.into())
    }

    fn shown(changes: &Changes<'_>, test: usize, text: &str) -> Vec<(usize, Resource)> {
        let of_others = changes.of_others(test, text).into_iter();
        of_others.map(|(by, resource)| (by, resource.clone())).collect()
    }

    #[test]
    fn what_is_undone_is_not_told() {
        let mut changes = Changes::default();
        changes.note(0, variable("A"), 7);
        changes.note(0, variable("A"), ABSENT);
        changes.note(1, variable("B"), 7);
        changes.note(2, variable("B"), 8);
        changes.note(2, variable("B"), 7);
        changes.note(3, variable("C"), UNKNOWN);
        changes.note(3, variable("C"), UNKNOWN);
        assert_eq!(shown(&changes, 9, ""), [(3, variable("C")), (1, variable("B"))]);
    }

    #[test]
    fn what_a_test_has_changed_itself_is_not_told_but_what_was_there_before() {
        let mut changes = Changes::default();
        changes.note(0, variable("A"), 7);
        changes.note(1, variable("A"), 8);
        assert_eq!(shown(&changes, 1, ""), [(0, variable("A"))]);
        assert_eq!(shown(&changes, 0, ""), [(1, variable("A"))]);
    }

    #[test]
    fn what_the_text_names_comes_first_then_what_is_newest() {
        let mut changes = Changes::default();
        changes.note(0, Resource::Directory, 5);
        changes.note(1, variable("SHOP"), 5);
        changes.note(2, variable("TILL"), 5);
        let order = |text: &str| -> Vec<usize> {
            shown(&changes, 9, text).into_iter().map(|(by, _)| by).collect()
        };
        assert_eq!(order(""), [2, 1, 0]);
        assert_eq!(order("SHOP is closed"), [1, 2, 0]);
        assert_eq!(order("SHOPS are closed: No such file or directory"), [0, 2, 1]);
    }

    #[test]
    fn the_initial_state_is_that_of_the_group_the_binary_or_the_runner() {
        let of_binary = BTreeMap::from([("A".into(), "1".into()), ("B".into(), "1".into())]);
        let of_group = BTreeMap::from([("B".to_owned(), "2".to_owned())]);
        let directory = std::env::current_dir().unwrap();
        let initial =
            InitialState { directory: &directory, of_binary: &of_binary, of_group: &of_group };
        let mut changes = Changes::since(initial);
        for (name, value) in [("A", "1"), ("B", "2")] {
            changes.note(0, variable(name), state_of(b"changed"));
            changes.note(1, variable(name), state_of(value.as_bytes()));
        }
        changes.note(0, Resource::Directory, state_of(b"/"));
        let path = std::fs::canonicalize(&directory).unwrap();
        changes.note(1, Resource::Directory, state_of(path.as_os_str().as_encoded_bytes()));
        assert_eq!(shown(&changes, 9, ""), []);
    }
}
