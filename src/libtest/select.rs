//! The arguments that choose tests.

use super::skip_patterns;

/// How a batch is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub args: Vec<String>,
}

/// Which of a binary's tests there are, seen from one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Universe {
    /// No flag: ignored tests are not run.
    NotIgnored,
    /// `--ignored`
    Ignored,
    /// `--include-ignored`
    All,
}

/// One test of a binary, as the choice of a batch sees it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    pub name: &'a str,
    pub is_ignored: bool,
    pub is_chosen: bool,
}

/// The arguments that make libtest run exactly the chosen tests, in the form that costs it
/// least: every name costs it time in proportion to the number of tests in the binary.
pub fn select(tests: &[Listed<'_>]) -> Selection {
    let (mut args, chosen, others) = divided(tests);
    if others.is_empty() {
        return Selection { args };
    }
    if let Some(filter) = module_filter(&chosen, &others) {
        args.push(filter);
    } else if others.len() < chosen.len() {
        args.extend(without(others.iter().map(|test| test.name)));
    } else {
        args.push("--exact".into());
        args.extend(chosen.iter().map(|test| test.name.to_owned()));
    }
    Selection { args }
}

/// The same for a harness that knows one filter only: several tests are chosen by leaving out the
/// others.
pub fn select_by_skipping<'a>(tests: &[Listed<'a>]) -> Selection {
    let (mut args, chosen, others) = divided(tests);
    if let [one] = &*chosen {
        return Selection { args: select_one(one.name, one.is_ignored) };
    }
    match module_filter(&chosen, &others) {
        _ if others.is_empty() => {}
        Some(filter) => args.push(filter),
        None => {
            let names = |tests: &[&Listed<'a>]| tests.iter().map(|test| test.name).collect();
            let (chosen, others): (Vec<&str>, Vec<&str>) = (names(&chosen), names(&others));
            args.extend(skip(&chosen, &others));
        }
    }
    Selection { args }
}

/// The arguments by which a harness leaves out the `others`, in the form that costs it least.
pub fn skip(chosen: &[&str], others: &[&str]) -> Vec<String> {
    match skip_patterns::find(chosen, others) {
        Some(patterns) => patterns.iter().flat_map(|word| skip_word(word)).collect(),
        None => without(others.iter().copied()).collect(),
    }
}

/// The names of all tests that libtest has before it with the arguments of `select`, in its order:
/// the chosen ones, and ignored ones that no filter has left out, which it does not run.
pub fn left_by_filters<'a>(tests: &[Listed<'a>]) -> Vec<&'a str> {
    let (_, chosen, others) = divided(tests);
    let (universe, filter) = (universe(tests), module_filter(&chosen, &others));
    let is_left = |test: &&Listed<'_>| match &filter {
        _ if others.is_empty() => true,
        Some(filter) => test.name.contains(&**filter),
        None if others.len() < chosen.len() => !others.iter().any(|other| other.name == test.name),
        None => test.is_chosen,
    };
    let is_in = |test: &&Listed<'_>| universe != Universe::Ignored || test.is_ignored;
    tests.iter().filter(is_in).filter(is_left).map(|test| test.name).collect()
}

/// Leaves out tests by their whole names.
fn without<'n>(names: impl Iterator<Item = &'n str>) -> impl Iterator<Item = String> {
    ["--exact".to_owned()].into_iter().chain(names.flat_map(skip_word))
}

fn skip_word(word: &str) -> [String; 2] {
    ["--skip".to_owned(), word.to_owned()]
}

/// The arguments that say which tests there are, the chosen ones, and the others.
pub(super) fn divided<'l, 'a>(
    tests: &'l [Listed<'a>],
) -> (Vec<String>, Vec<&'l Listed<'a>>, Vec<&'l Listed<'a>>) {
    let universe = universe(tests);
    let is_in = |test: &&Listed<'_>| match universe {
        Universe::NotIgnored => !test.is_ignored,
        Universe::Ignored => test.is_ignored,
        Universe::All => true,
    };
    let args = match universe {
        Universe::NotIgnored => vec![],
        Universe::Ignored => vec!["--ignored".into()],
        Universe::All => vec!["--include-ignored".into()],
    };
    let (chosen, others) = tests.iter().filter(is_in).partition(|test| test.is_chosen);
    (args, chosen, others)
}

/// The arguments that make any harness run one test and nothing else.
pub fn select_one(name: &str, is_ignored: bool) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    args.extend(is_ignored.then(|| "--ignored".into()));
    args.push("--exact".into());
    // A name that looks like a flag.
    args.extend(name.starts_with('-').then(|| "--".into()));
    args.push(name.to_owned());
    args
}

fn universe(tests: &[Listed<'_>]) -> Universe {
    let mut chosen = tests.iter().filter(|test| test.is_chosen);
    let ignored = tests.iter().filter(|test| test.is_chosen && test.is_ignored).count();
    match ignored {
        0 => Universe::NotIgnored,
        _ if chosen.all(|test| test.is_ignored) => Universe::Ignored,
        _ => Universe::All,
    }
}

/// One substring that stands in every chosen name and in no other: the path of the module
/// that holds them all.
fn module_filter(chosen: &[&Listed<'_>], others: &[&Listed<'_>]) -> Option<String> {
    // One name needs no substring.
    let (first, rest) = chosen.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let mut common = first.name;
    for test in rest {
        let same = common.bytes().zip(test.name.bytes()).take_while(|(a, b)| a == b).count();
        common = common.get(..same).or_else(|| common.get(..same - 1))?;
    }
    let filter = &common[..common.rfind("::")? + 2];
    let unambiguous = !others.iter().any(|test| test.name.contains(filter));
    (unambiguous && !filter.starts_with('-')).then(|| filter.to_owned())
}
