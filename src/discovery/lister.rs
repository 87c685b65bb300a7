//! Lists the tests of a binary by calling it.
//!
//! libtest's own arguments are tried first. A custom harness that rejects them is called with
//! simpler ones. A binary that cannot list its tests, or cannot run each of them by its name, runs
//! as one test.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use super::list_protocol::{self, ListSupport};
use super::test_list::{Dispatch, HarnessList, KnownDispatch, Test};
use crate::cargo::binary::{Binary, Harness};
use crate::libtest::{self, mimic};
use crate::model::listing::{
    ListAttempt, ListEnd, ListFailure, UnlistableCause, UnlistableHarness,
};
use crate::process::event::Role;
use crate::process::passed_file::PassedFile;
use crate::process::platform::Supervised;
use crate::process::process_groups::ProcessGroups;
use crate::process::{clock, command, exit_status};

/// What a custom harness is asked with for its tests, in the order in which that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// As `libtest-mimic` is asked.
    Mimic,
    Libtest,
    /// In `libtest2`, `--format` is unstable.
    Unstable,
    /// divan accepts `--format` from nextest only.
    Plain,
}

impl Attempt {
    const ANY: [Attempt; 3] = [Attempt::Libtest, Attempt::Unstable, Attempt::Plain];

    fn words(self) -> &'static [&'static str] {
        match self {
            Attempt::Mimic => {
                const { &["--list", "--format", "terse", mimic::COLOR[0], mimic::COLOR[1]] }
            }
            Attempt::Libtest => &["--list", "--format", "terse"],
            Attempt::Unstable => &["--list", "--format", "terse", "-Zunstable-options"],
            Attempt::Plain => &["--list"],
        }
    }

    /// How a harness that answers it runs many tests in a process, if it can do that.
    fn batches(self) -> Option<(Dispatch, KnownDispatch)> {
        match self {
            Attempt::Mimic => Some((Dispatch::MimicBatches, KnownDispatch::MimicBatches)),
            Attempt::Libtest => Some((Dispatch::LoggedBatches, KnownDispatch::LoggedBatches)),
            Attempt::Unstable | Attempt::Plain => None,
        }
    }
}

/// The arguments by which libtest says in one list which tests are ignored; they are unstable. No test
/// runs in that process, so that no other sees the variable that allows them.
const AT_ONCE: [&str; 4] = ["--list", "--format", "json", "-Zunstable-options"];

/// The name of the only test of a binary that runs as one test.
const WHOLE: &str = "main";

/// A binary to list, and how long each call may take.
pub struct Lister<'l> {
    pub binary: &'l Binary,
    pub limit: Duration,
    pub groups: &'l ProcessGroups,
    /// How a custom harness ran its tests in earlier runs.
    pub known: KnownDispatch,
}

/// The tests of a binary, and how to run them.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub dispatch: Dispatch,
    pub tests: Vec<Test>,
    /// Why one that seems to runs as one test.
    pub remark: Option<UnlistableHarness>,
    /// Of a custom harness that runs many tests in a process.
    pub harness: Option<HarnessList>,
}

impl Found {
    fn listed(dispatch: Dispatch, tests: Vec<Test>) -> Found {
        Found { dispatch, tests, remark: None, harness: None }
    }

    /// `took` is how long the harness took to list them.
    fn logged(dispatch: Dispatch, tests: Vec<Test>, took: Duration) -> Found {
        // Such as files in no order. Batches of those that begin alike have shorter command lines.
        let mut tests: Vec<(usize, Test)> = tests.into_iter().enumerate().collect();
        tests.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let (places, tests) = tests.into_iter().unzip();
        Found { harness: Some(HarnessList { took, places }), ..Found::listed(dispatch, tests) }
    }

    fn whole(dispatch: Dispatch, remark: Option<UnlistableHarness>) -> Found {
        let main = Test { name: WHOLE.into(), is_ignored: false };
        Found { dispatch, tests: vec![main], remark, harness: None }
    }
}

/// Why there is no list, with the output of the binary.
enum Refusal {
    /// It failed, and may accept other arguments.
    Answered(ListAttempt),
    /// It timed out or was killed by a signal. Another call would do no better, and after an
    /// interrupt nothing more may start.
    Silent(ListAttempt),
    NotStarted(ListAttempt),
}

/// A call of the binary that has been started.
struct Call<'l> {
    /// The command as people would type it.
    command: String,
    until: Instant,
    process: io::Result<Supervised<'l>>,
}

/// The calls that list all tests, and the ignored ones.
struct ListCalls<'l> {
    attempt: Attempt,
    began: Instant,
    all: Call<'l>,
    /// None if it is to start when the first one has ended.
    ignored: Option<Call<'l>>,
}

/// What both calls have printed.
struct Lists {
    all: Vec<String>,
    ignored: Vec<String>,
    /// How long the binary took for the first one.
    took: Duration,
}

impl<'l> Lister<'l> {
    /// Lists the tests, and does something else meanwhile unless there is nothing to ask for. Fails if
    /// the binary cannot be started; for libtest also if it does not list its tests.
    pub fn list<T>(
        &self,
        meanwhile: impl FnOnce() -> T,
    ) -> (Result<Found, ListFailure>, Option<T>) {
        match self.binary.harness {
            Harness::Libtest => {
                // A runner may be anything, and may pass on variables or not.
                let at_once = self.binary.runner.is_empty();
                let at_once = at_once.then(|| self.start(&AT_ONCE, &[("RUSTC_BOOTSTRAP", "1")]));
                let done = meanwhile();
                (self.list_libtest(at_once), Some(done))
            }
            Harness::Custom => match self.list_support() {
                // It would run all of its tests instead.
                ListSupport::None => (Ok(Found::whole(Dispatch::Whole, None)), None),
                support => {
                    let mut calls = attempts(support).map(|attempt| self.start_both(attempt));
                    let first = calls.next();
                    let done = meanwhile();
                    (self.list_custom(first.into_iter().chain(calls)), Some(done))
                }
            },
        }
    }

    fn list_support(&self) -> ListSupport {
        match self.known {
            KnownDispatch::Unknown => list_protocol::list_support(&self.binary.executable),
            KnownDispatch::Whole => ListSupport::None,
            KnownDispatch::MimicBatches => ListSupport::Mimic,
            KnownDispatch::Listed | KnownDispatch::OneByOne | KnownDispatch::LoggedBatches => {
                ListSupport::Arguments
            }
        }
    }

    /// The tests by the list that has been asked for, if there is one and it says all; otherwise by
    /// two.
    fn list_libtest(&self, at_once: Option<Call<'_>>) -> Result<Found, ListFailure> {
        match at_once.map(|call| self.finish(call)) {
            None | Some(Err(Refusal::Answered(_))) => {}
            Some(Ok(text)) => {
                if let Some(tests) = libtest::list::parse_json_list(&text) {
                    let test = |(name, is_ignored)| Test { name, is_ignored };
                    let tests = tests.into_iter().map(test).collect();
                    return Ok(Found::listed(Dispatch::Batches, tests));
                }
            }
            Some(Err(Refusal::Silent(answer) | Refusal::NotStarted(answer))) => {
                return Err(self.failure(answer));
            }
        }
        match self.finish_both(self.start_both(Attempt::Libtest)) {
            Ok(Lists { all, ignored, .. }) => {
                let tests = merge(all, ignored);
                Ok(Found::listed(Dispatch::Batches, tests))
            }
            Err(
                Refusal::Answered(answer) | Refusal::Silent(answer) | Refusal::NotStarted(answer),
            ) => Err(self.failure(answer)),
        }
    }

    /// The tests by the first of these attempts that gives a list.
    fn list_custom<'c>(
        &self,
        attempts: impl Iterator<Item = ListCalls<'c>>,
    ) -> Result<Found, ListFailure> {
        // The output for libtest's own arguments explains most.
        let mut cause: Option<UnlistableCause> = None;
        for calls in attempts {
            let attempt = calls.attempt;
            match self.finish_both(calls) {
                Ok(lists) => match self.listed(attempt, lists) {
                    Ok(found) => return Ok(found),
                    // It may be another one that looks like it, or two calls were in each other's way.
                    Err(_) if attempt == Attempt::Mimic => {}
                    Err(other) => {
                        cause = other.or(cause);
                        break;
                    }
                },
                Err(Refusal::Answered(_)) if attempt == Attempt::Mimic => {}
                Err(Refusal::Answered(answer)) => {
                    cause.get_or_insert(UnlistableCause::NoList(answer));
                }
                Err(Refusal::Silent(answer)) => {
                    cause.get_or_insert(UnlistableCause::NoList(answer));
                    break;
                }
                Err(Refusal::NotStarted(answer)) => return Err(self.failure(answer)),
            }
        }
        let binary = self.binary.full_name();
        let remark = cause.map(|cause| UnlistableHarness { binary, cause });
        Ok(Found::whole(Dispatch::Unlisted, remark))
    }

    fn failure(&self, answer: ListAttempt) -> ListFailure {
        ListFailure {
            binary: self.binary.full_name(),
            answer: Box::new(answer),
            is_doctests: false,
        }
    }

    /// Starts to list all tests, and the ignored ones: at the same time only if the harness is known,
    /// since another one may write files.
    fn start_both(&self, attempt: Attempt) -> ListCalls<'l> {
        let began = clock::now();
        let all = self.start(attempt.words(), &[]);
        let ignored = (attempt == Attempt::Mimic).then(|| self.start_ignored(attempt));
        ListCalls { attempt, began, all, ignored }
    }

    fn start_ignored(&self, attempt: Attempt) -> Call<'l> {
        self.start(&[attempt.words(), &["--ignored"]].concat(), &[])
    }

    fn finish_both(&self, calls: ListCalls<'l>) -> Result<Lists, Refusal> {
        let ListCalls { attempt, began, all, ignored } = calls;
        let all = self.finish_list(all)?;
        let took = clock::since(began);
        let ignored = ignored.unwrap_or_else(|| self.start_ignored(attempt));
        Ok(Lists { all, ignored: self.finish_list(ignored)?, took })
    }

    /// The listed tests if each of them can be run by its name, or else why not, if that is worth
    /// reporting.
    fn listed(&self, attempt: Attempt, lists: Lists) -> Result<Found, Option<UnlistableCause>> {
        let Lists { all, ignored, took } = lists;
        let is_same = is_same(&all, &ignored);
        let tests = merge(all.clone(), ignored);
        // A harness that lists nothing may still do something when it is run.
        let first = tests.first().ok_or(None)?;
        // Taking all of them for ignored would run none.
        if is_same {
            return Err(Some(UnlistableCause::IgnoresIgnored));
        }
        if attempt == Attempt::Mimic && all.iter().any(|name| name.contains('\x1b')) {
            return Err(None);
        }
        let batches = attempt.batches().filter(|_| self.may_run_batches(&all));
        // What is built on `libtest-mimic` is known to have the arguments. If another one only looks
        // like it, its log will not add up.
        let is_known = |known| attempt == Attempt::Mimic || self.known == known;
        if let Some((dispatch, _)) = batches.filter(|(_, known)| is_known(*known)) {
            return Ok(Found::logged(dispatch, tests, took));
        }
        if !self.lists_one(self.start_one(attempt, first), first) {
            return Err(Some(UnlistableCause::UnknownName(first.name.clone())));
        }
        match batches.filter(|_| self.runs_batches(attempt, &all)) {
            Some((dispatch, _)) => Ok(Found::logged(dispatch, tests, took)),
            None => Ok(Found::listed(Dispatch::OneByOne, tests)),
        }
    }

    /// Whether many tests of a custom harness could run in one process, if it has the arguments
    /// for that.
    fn may_run_batches(&self, all: &[String]) -> bool {
        cfg!(unix)
            && self.known != KnownDispatch::OneByOne
            && self.binary.runner.is_empty()
            && all.len() > 1
            && are_distinct(all)
    }

    /// Whether a custom harness leaves out tests by `--skip` and writes a log, one test at a time:
    /// it is asked to write its list that way. Of many tests it writes only a few, since it may take
    /// its time for each.
    fn runs_batches(&self, attempt: Attempt, all: &[String]) -> bool {
        const LISTED: usize = 8;
        /// More of them might fit on no command line.
        const MOST_WORDS: usize = 1000;
        let mut names: Vec<&str> = all.iter().map(String::as_str).collect();
        names.sort_unstable();
        let few = names.split_at(names.len().saturating_sub(LISTED).max(1));
        let Ok(mut log) = PassedFile::new("partest-list") else { return false };
        let Some(path) = log.path().to_str().map(str::to_owned) else { return false };
        let log_words = ["--test-threads", "1", "--logfile", &path];
        let mut skip = libtest::select::skip(few.1, few.0);
        let mut chosen = few.1;
        if skip.len() > MOST_WORDS {
            skip = libtest::select::skip(&names[1..], &names[..1]);
            chosen = &names[1..];
        }
        let skip: Vec<&str> = skip.iter().map(String::as_str).collect();
        let words = [attempt.words(), &log_words, &skip].concat();
        let listed = self.finish_list(self.start(&words, &[])).ok();
        let listed = listed.and_then(|_| log.read().ok());
        let mut listed = libtest::list::parse_list(&listed.unwrap_or_default());
        listed.sort_unstable();
        listed == chosen
    }

    /// Whether the binary can list this test alone, with any of the arguments, and so would run it.
    pub fn knows(&self, test: &Test) -> bool {
        let mut attempts = Attempt::ANY.into_iter();
        attempts.any(|attempt| self.lists_one(self.start_one(attempt, test), test))
    }

    fn start_one(&self, attempt: Attempt, test: &Test) -> Call<'l> {
        let choice = libtest::select::select_one(&test.name, test.is_ignored);
        let choice: Vec<&str> = choice.iter().map(String::as_str).collect();
        self.start(&[attempt.words(), &choice].concat(), &[])
    }

    fn lists_one(&self, call: Call<'_>, test: &Test) -> bool {
        self.finish_list(call).is_ok_and(|listed| listed.contains(&test.name))
    }

    fn finish_list(&self, call: Call<'_>) -> Result<Vec<String>, Refusal> {
        self.finish(call).map(|text| libtest::list::parse_list(&text))
    }

    fn start(&self, words: &[&str], variables: &[(&str, &str)]) -> Call<'l> {
        let mut command = self.binary.command();
        command.args(words).envs(variables.iter().copied());
        let program = self.binary.short_path().display().to_string();
        let runner = self.binary.runner.iter().map(|word| word.to_string_lossy().into_owned());
        let program = runner.chain([program]).collect::<Vec<_>>().join(" ");
        let until = clock::within(self.limit);
        let process = Supervised::spawn(command, None, self.groups, Role::Lister);
        Call { command: format!("{program} {}", words.join(" ")), until, process }
    }

    /// What the binary prints, if it succeeds.
    fn finish(&self, call: Call<'_>) -> Result<String, Refusal> {
        let Call { command, until, process } = call;
        let answer = |end: ListEnd, printed: &[u8]| ListAttempt {
            end,
            command: command.clone(),
            printed: String::from_utf8_lossy(printed).into_owned(),
        };
        let printed = process.and_then(|process| command::finish(process, until));
        let printed = printed.map_err(|error| {
            let why = match self.binary.runner.first() {
                Some(runner) => format!("target runner `{}`: {error}", runner.to_string_lossy()),
                None => error.to_string(),
            };
            Refusal::NotStarted(answer(ListEnd::NotStarted(why), b""))
        })?;
        let said = [printed.stderr.as_slice(), printed.stdout.as_slice()].concat();
        let Some(status) = printed.status else {
            return Err(Refusal::Silent(answer(ListEnd::TimedOut(self.limit), &said)));
        };
        let ended = || answer(ListEnd::Exited(exit_status::describe(status)), &said);
        match status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&printed.stdout).into_owned()),
            Some(_) => Err(Refusal::Answered(ended())),
            None => Err(Refusal::Silent(ended())),
        }
    }
}

/// What a custom harness is called with until it lists its tests.
fn attempts(support: ListSupport) -> impl Iterator<Item = Attempt> {
    let of_mimic = (support == ListSupport::Mimic).then_some(Attempt::Mimic);
    of_mimic.into_iter().chain(Attempt::ANY)
}

/// Whether no two tests have the same name, with or without their kind.
fn are_distinct(names: &[String]) -> bool {
    let mut seen = HashSet::new();
    names.iter().all(|name| seen.insert(libtest::list::without_kind(name).unwrap_or(name)))
}

/// Whether the list with `--ignored` is the same as the one without: all tests are ignored, or the
/// harness ignores the flag.
fn is_same(all: &[String], ignored: &[String]) -> bool {
    let names = |list: &[String]| list.iter().cloned().collect::<HashSet<String>>();
    !all.is_empty() && names(all) == names(ignored)
}

/// All tests without duplicates. Some custom harnesses omit ignored tests from the first list.
fn merge(all: Vec<String>, ignored: Vec<String>) -> Vec<Test> {
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
    fn lists_are_merged_whether_they_overlap_or_not() {
        let table: [(&[&str], &[&str]); 4] = [
            (&["a", "b"], &["b"]),
            (&["a"], &["b"]),
            (&["a", "b", "a"], &["b", "b"]),
            (&["a"], &[]),
        ];
        for (all, ignored) in table {
            let tests = merge(names(all), names(ignored));
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
