//! Which statics tests have left changed, in a run that watches, and which of them are reported.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::changes::{NewChange, State};
use crate::discovery::watched_statics::{PANIC_HOOK, WatchedStatic};
use crate::leaks::static_types::StaticTypes;
use crate::model::state_change::{StateKind, StateThing};

/// What the agent says of a static that has changed.
#[derive(Debug)]
pub struct StaticChange {
    pub index: u32,
    pub states: [u64; 2],
    /// Its bytes in both, without the middle if they are many.
    pub bytes: [Vec<u8>; 2],
}

/// The statics of a binary that are compared from test to test.
#[derive(Debug)]
pub struct StaticWatch {
    statics: Arc<[WatchedStatic]>,
    types: Arc<StaticTypes>,
    /// Those that are set once by design, and have been.
    initialised: HashSet<u32>,
    /// Statics of dependencies that have changed, with their first changes as long as these are the
    /// only ones.
    of_dependencies: HashMap<u32, Option<(usize, NewChange)>>,
}

impl StaticWatch {
    pub fn new(statics: Arc<[WatchedStatic]>, types: Arc<StaticTypes>) -> StaticWatch {
        let (initialised, of_dependencies) = (HashSet::new(), HashMap::new());
        StaticWatch { statics, types, initialised, of_dependencies }
    }

    /// A test has left a static changed. Returns the changes that are to be told now, with their
    /// tests: none of what is set once by design. What a dependency sets once is told together with
    /// its second change.
    pub fn note(&mut self, test: usize, change: StaticChange) -> Vec<(usize, NewChange)> {
        let Some(of) = self.statics.get(change.index as usize) else { return Vec::new() };
        let [before, after] = [0, 1].map(|at| Bytes(&change.bytes[at]));
        // What dependencies set once is told apart without its type.
        let of_type = self.types.of(of.address).filter(|_| of.is_own);
        let is_initialised = match of_type {
            Some(name) => SET_ONCE.contains(&name) && self.initialised.insert(change.index),
            None => is_initialised(before, after),
        };
        if is_initialised || is_only_reserve(before, after) {
            return Vec::new();
        }
        let is_poisoned = is_poisoned(before, after, of_type);
        let [old, new] = change.states;
        let [old_text, new_text] = values(before, after, of.length, of_type);
        let (kind, name, owner) = match &*of.path {
            PANIC_HOOK => (StateKind::PanicHook, String::new(), None),
            path => (StateKind::Static, path.to_owned(), of.owner.clone()),
        };
        let noted = NewChange {
            thing: StateThing { kind, name },
            owner,
            before: Some(State { hash: old, text: old_text }),
            after: State { hash: new, text: new_text },
            is_poisoned,
        };
        if of.is_own || is_poisoned {
            return vec![(test, noted)];
        }
        match self.of_dependencies.get_mut(&change.index) {
            None => {
                self.of_dependencies.insert(change.index, Some((test, noted)));
                Vec::new()
            }
            Some(first) => first.take().into_iter().chain([(test, noted)]).collect(),
        }
    }
}

/// The bytes of a static.
#[derive(Debug, Clone, Copy)]
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn halves(self) -> impl Iterator<Item = u32> {
        self.0.as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    fn words(self) -> Vec<u64> {
        self.0.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect()
    }

    /// As a number, if it is as long as one.
    fn number(self) -> Option<u64> {
        let mut word = [0; 8];
        matches!(self.0.len(), 1 | 2 | 4 | 8).then_some(())?;
        let place = match cfg!(target_endian = "little") {
            true => word.get_mut(..self.0.len())?,
            false => word.get_mut(8 - self.0.len()..)?,
        };
        place.copy_from_slice(self.0);
        Some(u64::from_ne_bytes(word))
    }
}

/// Types that are set once by design, of the standard library, `once_cell`, `lazy_static`, `spin` and
/// `parking_lot`.
const SET_ONCE: [&str; 8] =
    ["Once", "OnceLock", "LazyLock", "OnceCell", "Lazy", "OnceBox", "OnceBool", "OnceNonZeroUsize"];

/// Whether a `Once` in a static of an unknown type, such as that of a `OnceLock` or a `LazyLock`, was
/// completed: from the number that the standard library has for "incomplete" to the one for
/// "complete".
fn is_initialised(before: Bytes<'_>, after: Bytes<'_>) -> bool {
    const INCOMPLETE: u32 = 3;
    const COMPLETE: u32 = 0;
    before.halves().zip(after.halves()).any(|change| change == (INCOMPLETE, COMPLETE))
}

/// Whether nothing but the memory of an empty collection has changed, as when a test has filled and
/// cleared it: a `Vec` is its capacity, a pointer and its length, and a `HashMap` is a pointer, its
/// mask, what is left of its capacity, and its length.
fn is_only_reserve(before: Bytes<'_>, after: Bytes<'_>) -> bool {
    let (before, after) = (before.words(), after.words());
    let mut changed = (0..before.len()).filter(|at| before[*at] != after[*at]);
    let (Some(first), count) = (changed.next(), 1 + changed.count()) else { return false };
    let (Some(old), Some(new)) = (before.get(first..), after.get(first..)) else { return false };
    let is_pointer = |word: u64| word > 1 << 16;
    let is_rest_the_same = old.get(count..) == new.get(count..);
    is_rest_the_same
        && match (count, old, new) {
            (2, [old, _, 0, ..], [new, pointer, 0, ..]) if is_pointer(*pointer) => old < new,
            (2, [_, old, 0, ..], [pointer, new, 0, ..]) => is_pointer(*pointer) && old < new,
            (3, [_, old, _, 0, ..], [pointer, mask, left, 0, ..]) => {
                let capacity = if *mask < 8 { *mask } else { (mask + 1) / 8 * 7 };
                is_pointer(*pointer)
                    && old < mask
                    && (mask + 1).is_power_of_two()
                    && *left == capacity
            }
            _ => false,
        }
}

/// Whether a panic has poisoned a `Mutex`, which begins with a word of 4 bytes, or a `RwLock`, which
/// begins with 8. The flag comes next.
fn is_poisoned(before: Bytes<'_>, after: Bytes<'_>, of_type: Option<&str>) -> bool {
    let unlocked: &[u8] = match of_type {
        None | Some("Mutex") => &[0; 4],
        Some("RwLock") => &[0; 8],
        // It may hold a `Mutex`.
        Some(name) if SET_ONCE.contains(&name) => &[0; 4],
        Some(_) => return false,
    };
    let flag = |bytes: Bytes<'_>| bytes.0.strip_prefix(unlocked)?.first().copied();
    flag(before) == Some(0) && flag(after) == Some(1)
}

/// Both values for people, if the static is a number, or a `Mutex` of one.
fn values(
    before: Bytes<'_>,
    after: Bytes<'_>,
    length: u64,
    of_type: Option<&str>,
) -> [Option<String>; 2] {
    const FREE: &[u8] = &[0; 8];
    let number = |bytes: Bytes<'_>| {
        (bytes.0.len() as u64 == length).then_some(())?;
        bytes.number().or_else(|| Bytes(bytes.0.strip_prefix(FREE)?).number())
    };
    let (Some(old), Some(new)) = (number(before), number(after)) else { return [None, None] };
    if let Some("bool" | "AtomicBool") = of_type {
        return [old, new].map(|value| Some((value != 0).to_string()));
    }
    let size = before.0.len().min(8) as u32;
    let sign = 1 << (8 * size - 1);
    let is_signed = (old | new) & sign != 0;
    let signed = |number: u64| (number as i64) << (64 - 8 * size) >> (64 - 8 * size);
    let (old_signed, new_signed) = (signed(old), signed(new));
    // What is larger is a pointer, or the bits of something else.
    const LARGEST: u64 = 1 << 40;
    match is_signed {
        true if old_signed.unsigned_abs().max(new_signed.unsigned_abs()) < LARGEST => {
            [old_signed, new_signed].map(|number| Some(number.to_string()))
        }
        false if old.max(new) < LARGEST => [old, new].map(|number| Some(number.to_string())),
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn watch_typed(is_own: bool, types: &[(u64, &str)]) -> StaticWatch {
        let of_length = |length| WatchedStatic {
            path: "shop::COUNT".into(),
            owner: Some("shop".into()),
            is_own,
            address: length,
            length,
        };
        let statics = [0, 1, 2, 3, 4].map(|words| of_length(8 * words)).into();
        StaticWatch::new(statics, StaticTypes::known(types).into())
    }

    fn watch(is_own: bool) -> StaticWatch {
        watch_typed(is_own, &[])
    }

    /// What is told of a change in a static of so many words.
    fn told(watch: &mut StaticWatch, test: usize, old: &[u64], new: &[u64]) -> Vec<String> {
        let states = [old, new].map(|words| crate::frames::state_of(&bytes(words)));
        let change =
            StaticChange { index: old.len() as u32, states, bytes: [bytes(old), bytes(new)] };
        let text = |(test, change): (usize, NewChange)| {
            let poisoned = if change.is_poisoned { " poisoned" } else { "" };
            let [old, new] = [change.before.and_then(|state| state.text), change.after.text]
                .map(|text| text.unwrap_or("?".into()));
            format!("{test}: {old} to {new}{poisoned}")
        };
        watch.note(test, change).into_iter().map(text).collect()
    }

    #[test]
    fn values_of_numbers_are_told_and_others_are_not() {
        let mut watch = watch(true);
        let mut told = |old: &[u64], new: &[u64]| told(&mut watch, 0, old, new).concat();
        assert_eq!(told(&[0], &[3]), "0: 0 to 3");
        assert_eq!(told(&[3], &[u64::MAX]), "0: 3 to -1");
        assert_eq!(told(&[0], &[0x7fff_1234_5678]), "0: ? to ?");
        assert_eq!(told(&[0, 4], &[0, 5]), "0: 4 to 5");
        assert_eq!(told(&[1, 4], &[0, 5]), "0: ? to ?");
        assert_eq!(told(&[0, 0, 4], &[0, 0, 5]), "0: ? to ?");
    }

    #[test]
    fn what_is_initialised_once_is_not_told() {
        let mut watch = watch(true);
        assert_eq!(told(&mut watch, 0, &[3, 9], &[0, 1 << 20]), [""; 0]);
        assert_eq!(told(&mut watch, 0, &[9, 3], &[1 << 20, 0]), [""; 0]);
        // Changed again.
        assert_eq!(told(&mut watch, 0, &[0, 1 << 20], &[0, 7]).len(), 1);
    }

    #[test]
    fn a_type_tells_what_is_initialised_once_and_what_only_looks_like_that() {
        let mut watch = watch_typed(true, &[(8, "AtomicU64"), (16, "OnceCell")]);
        assert_eq!(told(&mut watch, 0, &[3], &[0]), ["0: 3 to 0"]);
        assert_eq!(told(&mut watch, 0, &[0, 0], &[2, 7]), [""; 0]);
        assert_eq!(told(&mut watch, 1, &[2, 7], &[2, 8]).len(), 1);
    }

    #[test]
    fn a_type_tells_what_is_poisoned_and_what_only_looks_like_that() {
        let word = |flag: u64| if cfg!(target_endian = "little") { flag } else { flag << 56 };
        let types = [(8, "AtomicU64"), (16, "RwLock"), (24, "Table")];
        let mut watch = watch_typed(true, &types);
        let mut is_poisoned =
            |old: &[u64], new: &[u64]| told(&mut watch, 0, old, new).concat().ends_with("poisoned");
        assert!(is_poisoned(&[0, 0], &[0, word(1)]));
        assert!(!is_poisoned(&[0, 0, 0], &[0, word(1), 0]));
        assert!(!is_poisoned(&[0], &[word(1) << 32]));
    }

    #[test]
    fn a_collection_that_is_empty_again_has_not_changed() {
        const HEAP: u64 = 0x7fff_0000_1000;
        let mut watch = watch(true);
        let mut is_told = |old: &[u64], new: &[u64]| !told(&mut watch, 0, old, new).is_empty();
        assert!(!is_told(&[0, 8, 0], &[4, HEAP, 0]));
        assert!(!is_told(&[0, 0, 8, 0], &[0, 4, HEAP, 0]));
        assert!(!is_told(&[HEAP, 0, 0, 0], &[HEAP + 64, 3, 3, 0]));
        assert!(is_told(&[0, 8, 0], &[4, HEAP, 1]));
        assert!(is_told(&[0, 8, 0, 0], &[4, HEAP, 1, 0]));
        assert!(is_told(&[4, HEAP, 1], &[8, HEAP + 64, 1]));
        assert!(is_told(&[0, 0, 0], &[4, 5, 0]));
    }

    #[test]
    fn a_poisoned_mutex_is_told_as_such() {
        let poisoned = if cfg!(target_endian = "little") { 1 << 32 } else { 1 << 24 };
        let mut watch = watch(true);
        assert_eq!(told(&mut watch, 0, &[0, 4], &[poisoned, 4]), ["0: ? to ? poisoned"]);
        assert_eq!(told(&mut watch, 0, &[poisoned, 4], &[poisoned, 5]).len(), 1);
    }

    #[test]
    fn what_a_dependency_sets_once_is_told_with_the_second_change_only() {
        let mut watch = watch(false);
        assert_eq!(told(&mut watch, 0, &[0], &[1]), [""; 0]);
        assert_eq!(told(&mut watch, 2, &[1], &[2]), ["0: 0 to 1", "2: 1 to 2"]);
        assert_eq!(told(&mut watch, 3, &[2], &[3]), ["3: 2 to 3"]);
    }
}
