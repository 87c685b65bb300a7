//! Asks a binary for its tests, in words that its harness knows.
//!
//! libtest's own words come first. A harness of one's own that refuses them is asked in simpler
//! ones; what cannot be listed in any way, or not so that each test could be run by its name, is
//! one test: the binary as a whole.

use std::collections::HashSet;
use std::time::Duration;

use super::statics;
use super::test_list::{Dispatch, Test};
use crate::cargo::binary::{Binary, Harness};
use crate::libtest;
use crate::model::listing::{ListAnswer, ListEnd, ListFailure, WholeBinary, WholeCause};
use crate::process::event::Role;
use crate::process::groups::Groups;
use crate::process::{clock, command, status};

/// What asks for a list, in the order in which it is tried.
const WORDS: [&[&str]; 3] = [
    &["--list", "--format", "terse"],
    // `libtest2` has `--format` for those only who ask for what is unstable.
    &["--list", "--format", "terse", "-Zunstable-options"],
    // divan has it for nextest only.
    &["--list"],
];

/// The name of the one test that a binary is which is run as a whole.
const WHOLE: &str = "main";

/// One binary, and how long it may take for each answer.
pub struct Lister<'l> {
    pub binary: &'l Binary,
    pub limit: Duration,
    pub groups: &'l Groups,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub dispatch: Dispatch,
    pub tests: Vec<Test>,
    /// Why a harness that seems to know lists runs as a whole.
    pub remark: Option<WholeBinary>,
}

impl Found {
    fn whole(remark: Option<WholeBinary>) -> Found {
        let main = Test { name: WHOLE.into(), is_ignored: false };
        Found { dispatch: Dispatch::Whole, tests: vec![main], remark }
    }
}

/// Why there is no list, with what the binary said.
enum Refusal {
    /// Its answer is an error; it may like other words better.
    Answered(ListAnswer),
    /// It was ended, or ended itself by a signal. Asked again it would do no better, and where
    /// the user has ended it, nothing more may start.
    Silent(ListAnswer),
    NotStarted(ListAnswer),
}

impl Lister<'_> {
    /// An error where the binary cannot be run at all; for libtest also where it does not list.
    pub fn list(&self) -> Result<Found, ListFailure> {
        match self.binary.harness {
            Harness::Libtest => self.list_libtest(),
            // One that ignores its arguments would run all its tests when asked for a list.
            Harness::Custom if !statics::speaks_protocol(&self.binary.executable) => {
                Ok(Found::whole(None))
            }
            Harness::Custom => self.list_custom(),
        }
    }

    fn list_libtest(&self) -> Result<Found, ListFailure> {
        match self.both(WORDS[0]) {
            Ok((all, ignored)) => {
                let tests = put_together(all, ignored);
                Ok(Found { dispatch: Dispatch::Batches, tests, remark: None })
            }
            Err(
                Refusal::Answered(answer) | Refusal::Silent(answer) | Refusal::NotStarted(answer),
            ) => Err(self.failure(answer)),
        }
    }

    fn list_custom(&self) -> Result<Found, ListFailure> {
        // What it says to libtest's own words explains most.
        let mut cause: Option<WholeCause> = None;
        for words in WORDS {
            match self.both(words) {
                Ok((all, ignored)) => match self.listed(words, all, ignored) {
                    Ok(found) => return Ok(found),
                    Err(other) => {
                        cause = other.or(cause);
                        break;
                    }
                },
                Err(Refusal::Answered(answer)) => {
                    cause.get_or_insert(WholeCause::NoList(answer));
                }
                Err(Refusal::Silent(answer)) => {
                    cause.get_or_insert(WholeCause::NoList(answer));
                    break;
                }
                Err(Refusal::NotStarted(answer)) => return Err(self.failure(answer)),
            }
        }
        let binary = self.binary.full_name();
        Ok(Found::whole(cause.map(|cause| WholeBinary { binary, cause })))
    }

    fn failure(&self, answer: ListAnswer) -> ListFailure {
        ListFailure { binary: self.binary.full_name(), answer: Box::new(answer) }
    }

    /// All tests, and the ignored ones: one after the other, for they may write files.
    fn both(&self, words: &[&str]) -> Result<(Vec<String>, Vec<String>), Refusal> {
        let all = self.ask(words)?;
        let ignored = self.ask(&[words, &["--ignored"]].concat())?;
        Ok((all, ignored))
    }

    /// The tests of a list, if each of them can be run by its name; or else why not, where that
    /// is worth a word.
    fn listed(
        &self,
        words: &[&str],
        all: Vec<String>,
        ignored: Vec<String>,
    ) -> Result<Found, Option<WholeCause>> {
        let is_same = is_same(&all, &ignored);
        let tests = put_together(all, ignored);
        // It knows the words and lists nothing: it may still do something when it is run.
        let first = tests.first().ok_or(None)?;
        // Were all of them taken to be ignored, none would run.
        if is_same {
            return Err(Some(WholeCause::IgnoresIgnored));
        }
        match self.is_listed(words, first) {
            true => Ok(Found { dispatch: Dispatch::OneByOne, tests, remark: None }),
            false => Err(Some(WholeCause::UnknownName(first.name.clone()))),
        }
    }

    /// Whether the binary lists a test when it is asked for that one alone, in whichever words:
    /// it would run it then.
    pub fn knows(&self, test: &Test) -> bool {
        WORDS.iter().any(|words| self.is_listed(words, test))
    }

    fn is_listed(&self, words: &[&str], test: &Test) -> bool {
        let choice = libtest::select::select_one(&test.name, test.is_ignored);
        let choice: Vec<&str> = choice.iter().map(String::as_str).collect();
        self.ask(&[words, &choice].concat()).is_ok_and(|listed| listed.contains(&test.name))
    }

    fn ask(&self, words: &[&str]) -> Result<Vec<String>, Refusal> {
        let mut command = self.binary.command();
        command.args(words);
        let program = self.binary.short_path().display();
        let answer = |end: ListEnd, printed: &[u8]| ListAnswer {
            end,
            command: format!("{program} {}", words.join(" ")),
            printed: String::from_utf8_lossy(printed).into_owned(),
        };
        let printed = command::run(command, self.groups, Role::Lister, clock::within(self.limit));
        let printed = printed.map_err(|error| {
            Refusal::NotStarted(answer(ListEnd::NotStarted(error.to_string()), b""))
        })?;
        let said = [printed.stderr.as_slice(), printed.stdout.as_slice()].concat();
        let Some(status) = printed.status else {
            return Err(Refusal::Silent(answer(ListEnd::TimedOut(self.limit), &said)));
        };
        let ended = || answer(ListEnd::Exited(status::describe(status)), &said);
        match status.code() {
            Some(0) => Ok(libtest::list::parse_list(&String::from_utf8_lossy(&printed.stdout))),
            Some(_) => Err(Refusal::Answered(ended())),
            None => Err(Refusal::Silent(ended())),
        }
    }
}

/// Whether a list with `--ignored` says nothing new: all tests are ignored, or the harness does
/// not know the word.
fn is_same(all: &[String], ignored: &[String]) -> bool {
    let names = |list: &[String]| list.iter().cloned().collect::<HashSet<String>>();
    !all.is_empty() && names(all) == names(ignored)
}

/// All tests, each once. Some custom harnesses leave ignored tests out of the first list.
fn put_together(all: Vec<String>, ignored: Vec<String>) -> Vec<Test> {
    let is_ignored: HashSet<String> = ignored.iter().cloned().collect();
    let mut seen = HashSet::new();
    let names = all.into_iter().chain(ignored).filter(|name| seen.insert(name.clone()));
    names.map(|name| Test { is_ignored: is_ignored.contains(&name), name }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn lists_are_put_together_whether_they_overlap_or_not() {
        let table: [(&[&str], &[&str]); 4] = [
            (&["a", "b"], &["b"]),
            (&["a"], &["b"]),
            (&["a", "b", "a"], &["b", "b"]),
            (&["a"], &[]),
        ];
        for (all, ignored) in table {
            let tests = put_together(names(all), names(ignored));
            let found: Vec<_> =
                tests.iter().map(|test| (test.name.as_str(), test.is_ignored)).collect();
            let expected = [("a", false), ("b", true)];
            assert_eq!(found, expected[..found.len()], "{all:?} {ignored:?}");
        }
    }

    #[test]
    fn two_lists_are_the_same_in_any_order() {
        let table: [(&[&str], &[&str], bool); 5] = [
            (&["a", "b"], &["b", "a"], true),
            (&["a"], &["a"], true),
            (&["a", "b"], &["a"], false),
            (&["a"], &["b"], false),
            (&[], &[], false),
        ];
        for (all, ignored, expected) in table {
            assert_eq!(is_same(&names(all), &names(ignored)), expected, "{all:?} {ignored:?}");
        }
    }
}
