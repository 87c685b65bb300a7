//! Whether two tests that use one thing get into each other's way. Pure.

use crate::frames::kinds::action::{BIND, CREATE, CREATE_NEW, LOCK, READ, REMOVE, TRUNCATE, WRITE};
use crate::model::interference::InterferenceKind;
use crate::model::thing::{Actions, Thing};

/// How much is known about two uses of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing has failed. Only what breaks one of two tests that meet counts: one removes or
    /// truncates what the other uses, or both bind it.
    None,
    /// One of them has failed beside the other, or passes by itself.
    Failure,
    /// It has failed because something was there already.
    Existed,
}

/// How one thing is related to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Same,
    /// The first is a directory that contains the second.
    Above,
    Below,
}

/// How two things are related; none if they have nothing to do with each other.
pub fn relation(one: &Thing, other: &Thing) -> Option<Relation> {
    let is_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    match (one, other) {
        (one, other) if one == other => Some(Relation::Same),
        (Thing::Port(one), Thing::Port(other)) => one.overlaps(other).then_some(Relation::Same),
        (Thing::Path(one), Thing::Path(other)) if is_in(other, one) => Some(Relation::Above),
        (Thing::Path(one), Thing::Path(other)) if is_in(one, other) => Some(Relation::Below),
        _ => None,
    }
}

/// What a test that used a thing in one way may suffer from one that used a related thing in
/// another way, or the other way around.
pub fn conflict(
    one: Actions,
    other: Actions,
    relation: Relation,
    evidence: Evidence,
) -> Option<InterferenceKind> {
    use InterferenceKind::{Bound, Created, Removed, Truncated, Written};
    let has_failed = evidence != Evidence::None;
    // Whether it removes what the other does more with than to remove it.
    let removes = |one: Actions, other: Actions| one.has(REMOVE) && !other.are_only(REMOVE);
    let either =
        |did: u8, used: u8| (one.has(did) && other.has(used)) || (other.has(did) && one.has(used));
    match relation {
        // Locks are there to be waited for.
        _ if one.has(LOCK) && other.has(LOCK) => None,
        Relation::Above => one.has(REMOVE).then_some(Removed),
        Relation::Below => other.has(REMOVE).then_some(Removed),
        Relation::Same if either(BIND, BIND) => Some(Bound),
        Relation::Same if removes(one, other) || removes(other, one) => Some(Removed),
        Relation::Same if either(TRUNCATE, READ | CREATE | WRITE | TRUNCATE | LOCK) => {
            Some(Truncated)
        }
        Relation::Same if !has_failed => None,
        Relation::Same if either(CREATE_NEW, CREATE_NEW | CREATE | WRITE | TRUNCATE | BIND) => {
            Some(Created)
        }
        Relation::Same if either(WRITE, READ | WRITE) => Some(Written),
        Relation::Same if evidence == Evidence::Existed && either(CREATE, CREATE) => Some(Created),
        Relation::Same => None,
    }
}

/// The evidence of a failure with this text.
pub fn evidence_of(text: &str) -> Evidence {
    const WORDS: [&str; 3] = ["AlreadyExists", "File exists", "os error 17"];
    match WORDS.iter().any(|words| text.contains(words)) {
        true => Evidence::Existed,
        false => Evidence::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::InterferenceKind::{Bound, Created, Removed, Truncated, Written};
    use super::*;

    fn both(one: u8, other: u8, evidence: Evidence) -> Option<InterferenceKind> {
        let found = conflict(Actions(one), Actions(other), Relation::Same, evidence);
        let turned = conflict(Actions(other), Actions(one), Relation::Same, evidence);
        assert_eq!(found, turned, "{one} {other}");
        found
    }

    #[test]
    fn what_breaks_a_test_that_meets_another_is_known_without_a_failure() {
        let table = [
            (BIND, BIND, Some(Bound)),
            (REMOVE | CREATE, CREATE, Some(Removed)),
            (REMOVE, READ, Some(Removed)),
            (TRUNCATE, TRUNCATE, Some(Truncated)),
            (TRUNCATE, READ, Some(Truncated)),
            (TRUNCATE, CREATE, Some(Truncated)),
            // Both only want it to be gone.
            (REMOVE, REMOVE, None),
            (CREATE, CREATE, None),
            (CREATE_NEW, CREATE_NEW, None),
            (WRITE, WRITE, None),
            (READ, READ, None),
            (BIND, READ, None),
            (LOCK | TRUNCATE, LOCK | TRUNCATE, None),
        ];
        for (one, other, expected) in table {
            assert_eq!(both(one, other, Evidence::None), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_failure_makes_weaker_conflicts_likely() {
        let table = [
            (REMOVE, REMOVE, None),
            (CREATE_NEW, CREATE_NEW, Some(Created)),
            (WRITE, READ, Some(Written)),
            (CREATE, CREATE, None),
            (CREATE, READ, None),
            (READ, READ, None),
        ];
        for (one, other, expected) in table {
            assert_eq!(both(one, other, Evidence::Failure), expected, "{one} {other}");
        }
        assert_eq!(both(CREATE, CREATE, Evidence::Existed), Some(Created));
        assert_eq!(evidence_of("Os { code: 17, kind: AlreadyExists }"), Evidence::Existed);
        assert_eq!(evidence_of("No such file or directory"), Evidence::Failure);
    }

    #[test]
    fn who_removes_a_directory_removes_what_is_in_it() {
        let (dir, file) = (Thing::path("/tmp/d"), Thing::path("/tmp/d/f"));
        assert_eq!(relation(&dir, &file), Some(Relation::Above));
        assert_eq!(relation(&file, &dir), Some(Relation::Below));
        assert_eq!(relation(&dir, &Thing::path("/tmp/dd")), None);
        let found = |dir: u8, file: u8| {
            conflict(Actions(dir), Actions(file), Relation::Above, Evidence::None)
        };
        assert_eq!(found(REMOVE | CREATE, TRUNCATE), Some(Removed));
        assert_eq!(found(CREATE, TRUNCATE | REMOVE), None);
    }
}
