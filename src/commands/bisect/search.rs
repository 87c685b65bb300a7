//! The search for the smallest set of tests that changes the outcome of another one. Pure.

use crate::error::Result;

/// What a search has found.
#[derive(Debug)]
pub struct Found<T> {
    /// The smallest set so far that changes the outcome.
    pub set: Vec<T>,
    /// Whether no test can be left out of it; an error if the search could not go on.
    pub end: Result<()>,
}

/// Finds the smallest set. All `candidates` together change the outcome, and none of them does not.
///
/// Each test that is needed costs a binary search: it is the first of the shortest end of the
/// candidates that changes the outcome, together with those that were found before. That holds at
/// every step whatever other tests undo, so a set that is found has been tried.
pub fn smallest<T: Copy + PartialEq>(
    candidates: &[T],
    changes: &mut dyn FnMut(&[T]) -> Result<bool>,
) -> Found<T> {
    let mut set = candidates.to_vec();
    let end = shrink(&mut set, changes);
    Found { set, end }
}

/// Shrinks a set that changes the outcome, and keeps it one at every step.
fn shrink<T: Copy + PartialEq>(
    set: &mut Vec<T>,
    changes: &mut dyn FnMut(&[T]) -> Result<bool>,
) -> Result<()> {
    let mut needed: Vec<T> = Vec::new();
    let mut rest = set.clone();
    while !rest.is_empty() {
        if !needed.is_empty() && changes(&needed)? {
            break;
        }
        let (mut with, mut without) = (0, rest.len());
        while without - with > 1 {
            let middle = with.midpoint(without);
            let tried = [&needed, &rest[middle..]].concat();
            match changes(&tried)? {
                true => (with, *set) = (middle, tried),
                false => without = middle,
            }
        }
        needed.push(rest[with]);
        rest.drain(..=with);
    }
    set.clone_from(&needed);
    if needed.len() < 2 {
        return Ok(());
    }
    // One that was found before others may be needed only together with tests that are left out now.
    for test in needed {
        let others: Vec<T> = set.iter().copied().filter(|other| *other != test).collect();
        if changes(&others)? {
            *set = others;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// The set that is found among so many, and in how many runs.
    fn search(count: usize, mut fails: impl FnMut(&[usize]) -> bool) -> (Vec<usize>, usize) {
        let mut runs = 0;
        let mut changes = |set: &[usize]| {
            runs += 1;
            Ok(fails(set))
        };
        let Found { mut set, end } = smallest(&(0..count).collect::<Vec<_>>(), &mut changes);
        end.unwrap();
        set.sort_unstable();
        (set, runs)
    }

    #[test]
    fn one_of_many_costs_a_logarithm() {
        for polluter in [0, 1, 249, 250, 498, 499] {
            let (found, runs) = search(500, |set| set.contains(&polluter));
            assert_eq!(found, [polluter]);
            assert!(runs <= 10, "{runs} runs for {polluter}");
        }
        assert_eq!(search(1, |set| set.contains(&0)), (vec![0], 0));
    }

    #[test]
    fn several_that_are_needed_together_are_all_found() {
        for needed in [&[0, 1][..], &[3, 499], &[7, 8, 9], &[0, 250, 499], &[1, 2, 3, 400]] {
            let all = |set: &[usize]| needed.iter().all(|test| set.contains(test));
            let (found, runs) = search(500, all);
            assert_eq!(found, needed);
            assert!(runs <= needed.len() * 12, "{runs} runs for {needed:?}");
        }
    }

    #[test]
    fn either_of_two_is_enough() {
        let (found, _) = search(100, |set| set.contains(&20) || set.contains(&70));
        assert_eq!(found, [70]);
    }

    #[test]
    fn what_other_tests_undo_is_found_nevertheless() {
        // 30 pollutes, 60 cleans up unless 80 has run.
        let fails = |set: &[usize]| set.contains(&30) && (!set.contains(&60) || set.contains(&80));
        let (found, _) = search(100, fails);
        assert_eq!(found, [30]);
        assert!(fails(&found));
    }

    #[test]
    fn an_interrupted_search_has_a_set_that_was_tried() {
        let mut runs = 0;
        let mut changes = |set: &[usize]| {
            runs += 1;
            if runs > 4 { Err(Error::Interrupted) } else { Ok(set.contains(&90)) }
        };
        let found = smallest(&(0..100).collect::<Vec<_>>(), &mut changes);
        assert!(matches!(found.end, Err(Error::Interrupted)));
        assert!(found.set.contains(&90) && found.set.len() < 20, "{found:?}");
    }
}
