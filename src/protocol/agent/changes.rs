//! What tests have changed of their process, and which changes are still in force.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;

use crate::frames::{ABSENT, UNKNOWN, state_of};
use crate::model::state_change::{StateChange, StateKind, StateThing};

/// What the process starts with.
#[derive(Debug, Clone, Copy)]
pub struct InitialState<'n> {
    pub directory: &'n Path,
    pub of_binary: &'n BTreeMap<OsString, OsString>,
    pub of_group: &'n BTreeMap<String, String>,
}

impl InitialState<'_> {
    fn of(&self, thing: &StateThing) -> State {
        match thing.kind {
            StateKind::Directory => match std::fs::canonicalize(self.directory) {
                Ok(path) => State {
                    hash: state_of(path.as_os_str().as_encoded_bytes()),
                    text: Some(path.display().to_string()),
                },
                Err(_) => State::UNKNOWN,
            },
            StateKind::Variable => {
                let name = &thing.name;
                let of_group = self.of_group.get(name).map(OsString::from);
                let of_binary = || self.of_binary.get(&OsString::from(name)).cloned();
                let value = of_group.or_else(of_binary).or_else(|| std::env::var_os(name));
                match value {
                    // What the user has set may be a secret.
                    Some(value) => State { hash: state_of(value.as_encoded_bytes()), text: None },
                    None => State::not_set(),
                }
            }
            // Their changes tell what was before.
            _ => State::UNKNOWN,
        }
    }
}

/// A state that something was in.
#[derive(Debug, Clone)]
pub struct State {
    /// Two are equal if nothing is left of the changes between them.
    pub hash: u64,
    /// For people, if it can be shown.
    pub text: Option<String>,
}

impl State {
    const UNKNOWN: State = State { hash: UNKNOWN, text: None };

    /// Of a variable.
    pub fn not_set() -> State {
        State { hash: ABSENT, text: Some("not set".to_owned()) }
    }

    fn is(&self, other: &State) -> bool {
        self.hash == other.hash && self.hash != UNKNOWN
    }
}

/// A change that is in force.
#[derive(Debug)]
struct Change {
    test: usize,
    state: State,
    is_poisoned: bool,
    /// Changes are numbered in their order.
    number: usize,
}

/// The changes of one thing.
#[derive(Debug)]
struct Changed {
    thing: StateThing,
    /// The crate of a static.
    owner: Option<String>,
    initial: State,
    /// Each on top of the one before.
    in_force: Vec<Change>,
}

/// A change as it is noted.
#[derive(Debug)]
pub struct NewChange {
    pub thing: StateThing,
    pub owner: Option<String>,
    /// None where that is known, or found out, otherwise.
    pub before: Option<State>,
    pub after: State,
    pub is_poisoned: bool,
}

impl NewChange {
    /// A test has set or unset a variable, or changed the directory.
    pub fn of(variable: Option<Vec<u8>>, hash: u64, value: Option<Vec<u8>>) -> NewChange {
        let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
        let (kind, text) = match variable {
            Some(_) if hash == ABSENT => (StateKind::Variable, State::not_set().text),
            Some(_) => (StateKind::Variable, value.map(|value| format!("{value:?}"))),
            None => (StateKind::Directory, value),
        };
        let name = String::from_utf8_lossy(&variable.unwrap_or_default()).into_owned();
        let (thing, after) = (StateThing { kind, name }, State { hash, text });
        NewChange { thing, owner: None, before: None, after, is_poisoned: false }
    }

    /// As it is told.
    pub fn to_state_change(&self) -> StateChange {
        StateChange {
            thing: self.thing.clone(),
            owner: self.owner.clone(),
            before: self.before.as_ref().and_then(|state| state.text.clone()),
            after: self.after.text.clone(),
            poisoned: self.is_poisoned,
        }
    }
}

/// What one test has changed, all in all.
#[derive(Debug)]
struct NetChange {
    /// The thing's place among all that have been changed.
    at: usize,
    before: State,
    after: State,
    is_poisoned: bool,
}

/// All changes that are in force.
#[derive(Debug, Default)]
pub struct Changes<'n> {
    initial: Option<InitialState<'n>>,
    all: Vec<Changed>,
    count: usize,
    /// What every test has changed, in a run that watches that.
    by_test: Option<HashMap<usize, Vec<NetChange>>>,
}

impl<'n> Changes<'n> {
    pub fn since(initial: InitialState<'n>) -> Changes<'n> {
        Changes { initial: Some(initial), ..Changes::default() }
    }

    /// From now on what each test changes is kept, so that `of` can tell.
    pub fn keep_by_test(&mut self) {
        self.by_test = Some(HashMap::new());
    }

    /// A test has changed something. If it is in an earlier state now, the changes since then are
    /// undone.
    pub fn note(&mut self, test: usize, change: NewChange) {
        let NewChange { thing, owner, before, after, is_poisoned } = change;
        self.count += 1;
        let at = self.all.iter().position(|changed| changed.thing == thing);
        let at = at.unwrap_or_else(|| {
            let none = State { hash: ABSENT, text: None };
            let initial = before.or_else(|| Some(self.initial?.of(&thing))).unwrap_or(none);
            self.all.push(Changed { thing, owner, initial, in_force: Vec::new() });
            self.all.len() - 1
        });
        let Changed { initial, in_force, .. } = &mut self.all[at];
        if let Some(by_test) = &mut self.by_test {
            let of_test = by_test.entry(test).or_default();
            match of_test.iter_mut().find(|net| net.at == at) {
                Some(net) => (net.after, net.is_poisoned) = (after.clone(), is_poisoned),
                None => {
                    let before = in_force.last().map_or(&*initial, |change| &change.state).clone();
                    let after = after.clone();
                    of_test.push(NetChange { at, before, after, is_poisoned });
                }
            }
        }
        if let Some(former) = in_force.iter().position(|change| change.state.is(&after)) {
            in_force.truncate(former + 1);
        } else if after.is(initial) {
            in_force.clear();
        } else if let Some(last) = in_force.last_mut().filter(|last| last.test == test) {
            // What it was in between matters to nobody, and a loop may change it a million times.
            *last = Change { test, state: after, is_poisoned, number: self.count };
        } else {
            in_force.push(Change { test, state: after, is_poisoned, number: self.count });
        }
    }

    /// What other tests have changed and is in force: what this test has changed as well, then what
    /// the failure's text names, then the newest first.
    pub fn of_others(&self, test: usize, text: &str) -> Vec<(usize, StateChange)> {
        let newest = |changed: &'_ Changed| {
            let others = changed.in_force.iter().rev().find(|change| change.test != test);
            others.map(|change| (change.number, change.test))
        };
        let mut found: Vec<_> = self
            .all
            .iter()
            .filter_map(|changed| newest(changed).map(|newest| (newest, changed)))
            .collect();
        found.sort_by_key(|((number, _), changed)| {
            let is_touched = changed.in_force.iter().any(|change| change.test == test);
            let is_likely = is_touched || is_named(&changed.thing, text);
            (std::cmp::Reverse(is_likely), std::cmp::Reverse(*number))
        });
        let change = |((_, by), changed): ((usize, usize), &Changed)| {
            changed.by(by).map(|change| (by, change))
        };
        found.into_iter().filter_map(change).collect()
    }

    /// What a test has found and left changed, if that is kept.
    pub fn of(&self, test: usize) -> Vec<StateChange> {
        let all = self.by_test.iter().filter_map(|by_test| by_test.get(&test)).flatten();
        let left = all.filter(|net| !net.after.is(&net.before));
        let told = |net: &NetChange| StateChange {
            thing: self.all[net.at].thing.clone(),
            owner: self.all[net.at].owner.clone(),
            before: net.before.text.clone(),
            after: net.after.text.clone(),
            poisoned: net.is_poisoned,
        };
        left.map(told).collect()
    }
}

impl Changed {
    /// What a test has changed it from and to.
    fn by(&self, test: usize) -> Option<StateChange> {
        let is_its = |change: &Change| change.test == test;
        let first = self.in_force.iter().position(is_its)?;
        let last = self.in_force.iter().rfind(|change| is_its(change))?;
        let before = first.checked_sub(1).map_or(&self.initial, |at| &self.in_force[at].state);
        Some(StateChange {
            thing: self.thing.clone(),
            owner: self.owner.clone(),
            before: before.text.clone(),
            after: last.state.text.clone(),
            poisoned: last.is_poisoned,
        })
    }
}

/// Whether a text is about the thing: it has the name as a word, or speaks of files.
fn is_named(thing: &StateThing, text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let has_word = |name: &str| text.split(|c| !is_part(c)).any(|word| word == name);
    match thing.kind {
        StateKind::Directory => {
            ["No such file", "not found", "director"].iter().any(|word| text.contains(word))
        }
        StateKind::Variable
        | StateKind::SignalHandler
        | StateKind::ResourceLimit
        | StateKind::Timer => has_word(&thing.name),
        StateKind::Descriptor => {
            ["Bad file descriptor", "Too many open files"].iter().any(|words| text.contains(words))
        }
        StateKind::Umask => text.contains("Permission denied"),
        StateKind::Locale | StateKind::PanicHook => false,
        StateKind::Static => has_word(thing.name.rsplit("::").next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> StateThing {
        StateThing { kind: StateKind::Variable, name: name.into() }
    }

    fn directory() -> StateThing {
        StateThing { kind: StateKind::Directory, name: String::new() }
    }

    fn note(changes: &mut Changes<'_>, test: usize, thing: StateThing, hash: u64) {
        let after = State { hash, text: Some(hash.to_string()) };
        let change = NewChange { thing, owner: None, before: None, after, is_poisoned: false };
        changes.note(test, change);
    }

    fn shown(changes: &Changes<'_>, test: usize, text: &str) -> Vec<(usize, StateThing)> {
        let of_others = changes.of_others(test, text).into_iter();
        of_others.map(|(by, change)| (by, change.thing)).collect()
    }

    #[test]
    fn what_is_undone_is_not_told() {
        let mut changes = Changes::default();
        note(&mut changes, 0, variable("A"), 7);
        note(&mut changes, 0, variable("A"), ABSENT);
        note(&mut changes, 1, variable("B"), 7);
        note(&mut changes, 2, variable("B"), 8);
        note(&mut changes, 2, variable("B"), 7);
        note(&mut changes, 3, variable("C"), UNKNOWN);
        note(&mut changes, 3, variable("C"), UNKNOWN);
        assert_eq!(shown(&changes, 9, ""), [(3, variable("C")), (1, variable("B"))]);
    }

    #[test]
    fn a_test_that_changes_one_thing_again_and_again_has_one_change() {
        let mut changes = Changes::default();
        (0..1000).for_each(|value| note(&mut changes, 0, variable("A"), 10 + value));
        assert_eq!(changes.all[0].in_force.len(), 1);
        note(&mut changes, 1, variable("A"), 7);
        assert_eq!(shown(&changes, 1, ""), [(0, variable("A"))]);
    }

    #[test]
    fn what_a_test_has_changed_itself_is_not_told_but_what_was_there_before() {
        let mut changes = Changes::default();
        note(&mut changes, 0, variable("A"), 7);
        note(&mut changes, 1, variable("A"), 8);
        assert_eq!(shown(&changes, 1, ""), [(0, variable("A"))]);
        assert_eq!(shown(&changes, 0, ""), [(1, variable("A"))]);
    }

    #[test]
    fn what_the_text_names_comes_first_then_what_is_newest() {
        let mut changes = Changes::default();
        note(&mut changes, 0, directory(), 5);
        note(&mut changes, 1, variable("SHOP"), 5);
        note(&mut changes, 2, variable("TILL"), 5);
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
        let here = std::env::current_dir().unwrap();
        let initial = InitialState { directory: &here, of_binary: &of_binary, of_group: &of_group };
        let mut changes = Changes::since(initial);
        for (name, value) in [("A", "1"), ("B", "2")] {
            note(&mut changes, 0, variable(name), state_of(b"changed"));
            note(&mut changes, 1, variable(name), state_of(value.as_bytes()));
        }
        note(&mut changes, 0, directory(), state_of(b"/"));
        let path = std::fs::canonicalize(&here).unwrap();
        note(&mut changes, 1, directory(), state_of(path.as_os_str().as_encoded_bytes()));
        assert_eq!(shown(&changes, 9, ""), []);
    }

    #[test]
    fn what_a_test_has_left_begins_where_it_found_it() {
        let mut changes = Changes::default();
        changes.keep_by_test();
        note(&mut changes, 0, variable("A"), 7);
        note(&mut changes, 1, variable("A"), 8);
        note(&mut changes, 1, variable("A"), 9);
        note(&mut changes, 1, variable("B"), 7);
        note(&mut changes, 1, variable("B"), ABSENT);
        note(&mut changes, 2, variable("A"), ABSENT);
        let texts =
            |test| -> Vec<String> { changes.of(test).iter().map(StateChange::to_string).collect() };
        assert_eq!(texts(1), ["the variable A (7 → 9)"]);
        // The next test may have needed what is gone now.
        assert_eq!(texts(2), ["the variable A (9 → 0)"]);
    }

    #[test]
    fn what_both_have_changed_comes_before_what_is_newer() {
        let mut changes = Changes::default();
        note(&mut changes, 0, variable("A"), 7);
        note(&mut changes, 1, variable("B"), 7);
        note(&mut changes, 2, variable("A"), 8);
        assert_eq!(shown(&changes, 2, ""), [(0, variable("A")), (1, variable("B"))]);
    }
}
