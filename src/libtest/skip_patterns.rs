//! A few substrings that leave out many tests. A harness compares each of its tests with every name that
//! it is to skip: for half of 1,000 files, that takes longer than many of them. Their names mostly
//! begin alike.

use memchr::memmem;

/// How many names a pattern has to stand for, on average. Searching a name for a pattern takes longer
/// than comparing two names.
const LEAST_SAVING: usize = 4;

/// More patterns than this are not looked for: each of them is searched in all chosen names.
const MOST: usize = 256;

/// Patterns of which every one of `others` has at least one, and none of `chosen` has any; none if
/// there are none or too many.
pub(super) fn find(chosen: &[&str], others: &[&str]) -> Option<Vec<String>> {
    let (mut chosen, mut others) = (chosen.to_vec(), others.to_vec());
    chosen.sort_unstable();
    others.sort_unstable();
    let most = MOST.min(others.len() / LEAST_SAVING);
    let all_chosen = chosen.join("\n");
    let mut patterns: Vec<&str> = Vec::new();
    for other in others {
        // In this order, those with one beginning follow each other.
        if patterns.last().is_some_and(|last| other.starts_with(last)) {
            continue;
        }
        if patterns.len() == most {
            return None;
        }
        patterns.push(shortest_pattern(other, &chosen, &all_chosen)?);
    }
    Some(patterns.into_iter().map(str::to_owned).collect())
}

/// The shortest beginning of a name that stands in none of the `chosen` names, which are sorted. A
/// name has no line end, so all of them are searched at once.
fn shortest_pattern<'n>(name: &'n str, chosen: &[&str], all_chosen: &str) -> Option<&'n str> {
    let at = chosen.partition_point(|one| *one < name);
    let neighbours = chosen[at.saturating_sub(1)..].iter().take(2);
    // What two sorted names have in common, all between them have.
    let shared = neighbours.map(|one| common_bytes(one, name)).max().unwrap_or(0);
    let ends = name.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let mut beginnings = ends.filter(|end| *end > shared).map(|end| &name[..end]);
    let is_chosen = |start: &str| memmem::find(all_chosen.as_bytes(), start.as_bytes()).is_some();
    let found = beginnings.find(|start| !is_chosen(start))?;
    // Taken for a flag otherwise.
    (!found.starts_with('-')).then_some(found)
}

fn common_bytes(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_have_one_pattern() {
        let files: Vec<String> = (0..100).map(|at| format!("files/{at:02}")).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let (first, second) = files.split_at(50);
        let tens = |from: usize| (from..from + 5).map(|ten| format!("files/{ten}")).collect();
        assert_eq!(find(first, second), Some(tens(5)));
        assert_eq!(find(second, first), Some(tens(0)));
        let in_no_order: Vec<&str> = first.iter().rev().copied().collect();
        assert_eq!(find(second, &in_no_order), Some(tens(0)));
        assert_eq!(find(&[], first), Some(vec!["f".to_owned()]));
    }

    #[test]
    fn there_may_be_none_or_too_many() {
        let few = ["a/1", "a/2", "a/3", "a/4"];
        assert_eq!(find(&["b"], &few), Some(vec!["a".to_owned()]));
        assert_eq!(find(&["a/10"], &few), None, "`a/1` stands in a chosen name");
        assert_eq!(find(&["a/"], &few), None, "one for each");
        assert_eq!(find(&["xa", "b"], &few), Some(vec!["a/".to_owned()]));
        assert_eq!(find(&["b"], &["-a", "-b", "-c", "-d"]), None, "they look like flags");
        assert_eq!(find(&["é"], &["è", "è1", "è2", "è3"]), Some(vec!["è".to_owned()]));
    }
}
