//! rustdoc's doctests, which it runs by libtest: their names, the arguments that choose them, and
//! what libtest prints about them.

use std::collections::BTreeSet;

use super::logfile::LogfileVerdict;
use super::select::{Listed, divided};

/// What follows the name of the second and later doctests of one name.
const NUMBER: &str = " #";

/// The name of a doctest that is the N-th of its name.
pub fn numbered(name: &str, number: usize) -> String {
    match number {
        0 | 1 => name.to_owned(),
        number => format!("{name}{NUMBER}{number}"),
    }
}

/// The name as rustdoc has it.
pub fn bare_name(name: &str) -> &str {
    match name.rsplit_once(NUMBER) {
        Some((bare, number)) if number.parse::<usize>().is_ok() && bare.ends_with(')') => bare,
        _ => name,
    }
}

/// Where a doctest is: `src/lib.rs:12` for `src/lib.rs - name (line 12)`.
pub fn place(name: &str) -> Option<String> {
    let (rest, line) = bare_name(name).strip_suffix(')')?.rsplit_once("(line ")?;
    let (file, _) = rest.split_once(" - ")?;
    line.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("{file}:{line}"))
}

/// The arguments that make rustdoc's libtest run exactly the chosen doctests; none if there are no
/// such arguments.
///
/// rustdoc splits the arguments for libtest at white space, and every name of a doctest has some. So
/// what can be said is which words a name has to contain, and which it must not.
pub fn select(tests: &[Listed<'_>]) -> Option<Vec<String>> {
    let (mut args, chosen, others) = named(tests);
    args.extend(select_words(&chosen, &others)?);
    Some(args)
}

/// Arguments with which the chosen doctests run, and perhaps others.
pub fn select_roughly(tests: &[Listed<'_>]) -> Vec<String> {
    let (mut args, chosen, others) = named(tests);
    let hits = |word: &&str| others.iter().filter(|other| other.contains(*word)).count();
    let rarest = chosen.iter().filter_map(|name| words(name).min_by_key(hits));
    args.extend(rarest.map(str::to_owned));
    args
}

/// The arguments that say which doctests there are, and the names of the chosen ones and of the
/// others.
fn named<'n>(tests: &[Listed<'n>]) -> (Vec<String>, Vec<&'n str>, Vec<&'n str>) {
    let (args, chosen, others) = divided(tests);
    let names = |tests: Vec<&Listed<'n>>| tests.iter().map(|test| bare_name(test.name)).collect();
    let chosen: Vec<&str> = names(chosen);
    let is_copy: BTreeSet<&str> = chosen.iter().copied().collect();
    let mut others: Vec<&str> = names(others);
    others.retain(|name| !is_copy.contains(name));
    (args, chosen, others)
}

fn select_words(chosen: &[&str], others: &[&str]) -> Option<Vec<String>> {
    let no_chosen_has = |word: &&str| !chosen.iter().any(|name| name.contains(*word));
    // Words that can be skipped, each for the others that have it.
    let skip = |name| words(name).filter(no_chosen_has).max_by_key(|word| word.len());
    let skips = others.iter().map(|other| (*other, skip(other)));
    let (skipped, kept): (Vec<_>, Vec<_>) = skips.partition(|(_, word)| word.is_some());
    let all: BTreeSet<&str> = skipped.iter().filter_map(|(_, word)| *word).collect();
    if kept.is_empty() && all.len() <= chosen.len() {
        return Some(skip_all(all).collect());
    }
    let no_kept_has = |word: &&str| !kept.iter().any(|(name, _)| name.contains(*word));
    let hits = |word: &&str| others.iter().filter(|other| other.contains(*word)).count();
    let filters = chosen.iter().map(|name| words(name).filter(no_kept_has).min_by_key(hits));
    let filters: BTreeSet<&str> = filters.collect::<Option<_>>()?;
    let is_hit = |name: &str| filters.iter().any(|filter| name.contains(filter));
    let hit = skipped.iter().filter(|(name, _)| is_hit(name)).filter_map(|(_, word)| *word);
    let skips = skip_all(hit.collect());
    Some(filters.iter().map(|filter| (*filter).to_owned()).chain(skips).collect())
}

fn skip_all(words: BTreeSet<&str>) -> impl Iterator<Item = String> {
    words.into_iter().flat_map(|word| ["--skip".to_owned(), word.to_owned()])
}

/// The words of a name that may stand in an argument.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split_whitespace().filter(|word| !word.starts_with('-'))
}

/// How many tests libtest says it begins with: `running 3 tests`.
pub fn announced(line: &str) -> Option<usize> {
    let number = line.strip_prefix("running ")?.strip_suffix(" tests");
    let number = number.or_else(|| line.strip_prefix("running ")?.strip_suffix(" test"))?;
    number.parse().ok()
}

/// What a line says of a test: `test src/lib.rs - name (line 12) - compile fail ... ok`. The first
/// name is the one with what libtest adds to it.
pub fn verdict(line: &str) -> Option<([&str; 2], LogfileVerdict)> {
    let (name, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let verdict = match word.split(',').next() {
        Some("ok") => LogfileVerdict::Ok,
        Some("FAILED") => LogfileVerdict::Failed,
        Some("ignored") => LogfileVerdict::Ignored,
        _ => return None,
    };
    let bare = name.rsplit_once(" - ").map_or(name, |(bare, _)| bare);
    Some(([name, bare], verdict))
}

/// Why a doctest failed, and where it is. The places that its own output names are those of a file
/// that rustdoc has written for it.
pub fn failure_reason(output: &str, name: &str) -> Option<String> {
    let place = place(name)?;
    let starts = |text: &str| output.lines().any(|line| line.starts_with(text));
    let what = if starts("Couldn't compile the test.") {
        "does not compile"
    } else if starts("Test executable succeeded, but it's marked `should_panic`")
        || starts("note: test did not panic as expected")
    {
        "did not panic as expected"
    } else if starts("Test compiled successfully, but it's marked `compile_fail`") {
        "compiles, but is marked `compile_fail`"
    } else if starts("Some expected error codes were not found") {
        "fails to compile with other errors than expected"
    } else if output.contains(" panicked at ") {
        "panicked"
    } else {
        let end = output.lines().find_map(|line| line.strip_prefix("Test executable failed ("));
        let end = end.and_then(|end| end.strip_suffix(").")).unwrap_or("failed");
        return Some(format!("{end} in the doctest at {place}"));
    };
    Some(format!("{what}: the doctest at {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "src/lib.rs - (line 3)",
        "src/lib.rs - f (line 13)",
        "src/lib.rs - f (line 3)",
        "src/lib.rs - fo (line 13)",
        "src/a.rs - f (line 3)",
        "src/a.rs - S<T>::f (line 113)",
    ];

    /// The names that libtest would run with these arguments.
    fn ran<'n>(names: &[&'n str], args: &[String]) -> Vec<&'n str> {
        let (mut filters, mut skips, mut args) = (Vec::new(), Vec::new(), args.iter());
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--skip" => skips.push(args.next().unwrap()),
                _ => filters.push(arg),
            }
        }
        let has = |name: &str, words: &[&String]| words.iter().any(|word| name.contains(*word));
        let runs = |name: &&&str| (filters.is_empty() || has(name, &filters)) && !has(name, &skips);
        names.iter().filter(runs).copied().collect()
    }

    fn listed<'n>(names: &[&'n str], is_chosen: impl Fn(usize) -> bool) -> Vec<Listed<'n>> {
        let test = |(at, name): (usize, &&'n str)| Listed {
            name,
            is_ignored: false,
            is_chosen: is_chosen(at),
        };
        names.iter().enumerate().map(test).collect()
    }

    #[test]
    fn arguments_without_spaces_choose_exactly_what_they_should_or_there_are_none() {
        let mut exact = 0;
        for chosen in 1_usize..1 << NAMES.len() {
            let is_chosen = |at: usize| chosen & (1 << at) != 0;
            let Some(args) = select(&listed(&NAMES, is_chosen)) else {
                let alone = chosen.count_ones() == 1;
                assert!(!alone, "each of them can be told from all others: {chosen:b}");
                continue;
            };
            assert!(args.iter().all(|arg| !arg.contains(' ')), "{args:?}");
            let expected = NAMES.iter().enumerate().filter(|(at, _)| is_chosen(*at));
            let expected: Vec<&str> = expected.map(|(_, name)| *name).collect();
            assert_eq!(ran(&NAMES, &args), expected, "{args:?}");
            exact += 1;
        }
        assert!(exact > 30, "{exact}");
    }

    #[test]
    fn what_cannot_be_told_apart_runs_with_others() {
        // Every word of the first is in the second one.
        let names = ["a.rs - f (line 1)", "a.rs - ff (line 11)"];
        let first = listed(&names, |at| at == 0);
        assert_eq!(select(&first), Some(vec!["--skip".to_owned(), "11)".to_owned()]));
        let names = ["a.rs - f (line 1)", "a.rs - f (line 1) #2", "b.rs - g (line 7)"];
        let args = select(&listed(&names, |at| at == 1)).unwrap();
        assert_eq!(ran(&names, &args), names[..2], "copies run together: {args:?}");
        let names = ["a.rs - f (line 11)", "aa.rs - f (line 1)", "a.rs - ff (line 1)"];
        let chosen = listed(&names, |at| at != 0);
        let roughly = select_roughly(&chosen);
        let ran = ran(&names, &roughly);
        assert!(names[1..].iter().all(|name| ran.contains(name)), "{roughly:?}");
    }

    #[test]
    fn verdicts_are_read_with_what_libtest_adds_to_a_name() {
        let line = "test src/lib.rs - f (line 3) - compile fail ... ok";
        let (names, verdict) = super::verdict(line).unwrap();
        assert_eq!(names[1], "src/lib.rs - f (line 3)");
        assert_eq!(verdict, LogfileVerdict::Ok);
        let (names, verdict) = super::verdict("test src/lib.rs - (line 3) ... FAILED").unwrap();
        assert_eq!((names[0], verdict), ("src/lib.rs - (line 3)", LogfileVerdict::Failed));
        assert_eq!(announced("running 1 test"), Some(1));
        assert_eq!(announced("running 12 tests"), Some(12));
        assert_eq!(announced("running"), None);
    }

    #[test]
    fn a_doctest_has_its_place_in_its_name() {
        let table = [
            ("src/lib.rs - f (line 12)", Some("src/lib.rs:12")),
            ("src/lib.rs - (line 3)", Some("src/lib.rs:3")),
            ("src/lib.rs - f (line 12) #2", Some("src/lib.rs:12")),
            ("auth::rejects", None),
        ];
        for (name, expected) in table {
            assert_eq!(place(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_failure_names_the_place_of_the_doctest() {
        let name = "src/lib.rs - f (line 9)";
        let table = [
            (
                "Test executable failed (exit status: 3).\n",
                "exit status: 3 in the doctest at src/lib.rs:9",
            ),
            (
                "thread 'main' (1) panicked at /tmp/x/bundle.rs:5:1:\nno\n",
                "panicked: the doctest at src/lib.rs:9",
            ),
            (
                "error: no\nCouldn't compile the test.",
                "does not compile: the doctest at src/lib.rs:9",
            ),
        ];
        for (output, expected) in table {
            assert_eq!(failure_reason(output, name).as_deref(), Some(expected));
        }
    }
}
