//! Lists the doctests of a package by calling rustdoc.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::test_list::Test;
use crate::cargo::binary::Binary;
use crate::libtest;
use crate::libtest::doctest;
use crate::model::listing::{ListAttempt, ListEnd};
use crate::process::event::Role;
use crate::process::process_groups::ProcessGroups;
use crate::process::{clock, command, exit_status};

/// The doctests of a package, to be listed by its rustdoc.
pub struct DoctestLister<'l> {
    pub binary: &'l Binary,
    pub limit: Duration,
    pub groups: &'l ProcessGroups,
}

/// What rustdoc prints with `--output-format=doctest`, as far as it is of use here.
#[derive(Deserialize)]
struct Extracted {
    doctests: Vec<ExtractedDoctest>,
}

#[derive(Deserialize)]
struct ExtractedDoctest {
    name: String,
    doctest_attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    ignore: Ignore,
}

#[derive(Deserialize)]
enum Ignore {
    None,
    All,
    /// On some targets.
    Some(#[expect(dead_code, reason = "rustdoc itself compares it with the target")] Vec<String>),
}

impl DoctestLister<'_> {
    /// The doctests by name, as rustdoc runs them; or why there is no list: the package cannot be
    /// documented.
    pub fn list(&self) -> Result<Vec<Test>, ListAttempt> {
        let extracted = self.extract();
        let tests = extracted.map_or_else(|| self.list_by_libtest(), Ok)?;
        Ok(told_apart(tests))
    }

    /// rustdoc's own list, which compiles no test; none where this rustdoc does not have it.
    ///
    /// The format is unstable, so it needs a variable that must not be there when the tests are
    /// compiled.
    fn extract(&self) -> Option<Vec<Test>> {
        let mut command = self.rustdoc(|arg| arg != "--test");
        command.args(["-Zunstable-options", "--output-format=doctest"]);
        command.env("RUSTC_BOOTSTRAP", "1");
        let extracted: Extracted = serde_json::from_slice(&self.run(command).ok()?).ok()?;
        let test = |found: ExtractedDoctest| match found.doctest_attributes.ignore {
            Ignore::None => Some(Test { name: found.name, is_ignored: false }),
            Ignore::All => Some(Test { name: found.name, is_ignored: true }),
            Ignore::Some(_) => None,
        };
        extracted.doctests.into_iter().map(test).collect()
    }

    /// libtest's list. Since the 2024 edition rustdoc has to compile the tests for it.
    fn list_by_libtest(&self) -> Result<Vec<Test>, ListAttempt> {
        let list = |more: &[&str]| -> Result<Vec<String>, ListAttempt> {
            let mut command = self.rustdoc(|_| true);
            for arg in ["--list", "--format=terse"].iter().chain(more) {
                command.args(["--test-args", arg]);
            }
            let text = self.run(command)?;
            Ok(libtest::list::parse_list(&String::from_utf8_lossy(&text)))
        };
        let all = list(&[])?;
        let mut ignored = list(&["--ignored"])?;
        let test = |name: String| {
            let at = ignored.iter().position(|ignored| *ignored == name);
            let is_ignored = at.map(|at| ignored.swap_remove(at)).is_some();
            Test { name, is_ignored }
        };
        Ok(all.into_iter().map(test).collect())
    }

    fn rustdoc(&self, is_wanted: impl Fn(&OsStr) -> bool) -> Command {
        let Binary { executable, args, dir, env, .. } = self.binary;
        let mut command = Command::new(executable);
        command.args(args.iter().filter(|arg| is_wanted(arg))).current_dir(dir).envs(env);
        command
    }

    /// What it prints on stdout, or why it failed.
    fn run(&self, command: Command) -> Result<Vec<u8>, ListAttempt> {
        let attempt = |end: ListEnd, said: &[u8]| ListAttempt {
            end,
            command: self.binary.executable.display().to_string(),
            printed: String::from_utf8_lossy(said).into_owned(),
        };
        let until = clock::within(self.limit);
        let printed = command::run(command, self.groups, Role::Lister, until)
            .map_err(|error| attempt(ListEnd::NotStarted(error.to_string()), b""))?;
        match printed.status {
            Some(status) if status.success() => Ok(printed.stdout),
            Some(status) => {
                let end = ListEnd::Exited(exit_status::describe(status));
                Err(attempt(end, &printed.stderr))
            }
            None => Err(attempt(ListEnd::TimedOut(self.limit), &printed.stderr)),
        }
    }
}

/// In libtest's order. A macro may write the same docs at several items of one name: those are
/// numbered.
fn told_apart(mut tests: Vec<Test>) -> Vec<Test> {
    tests.sort_by(|one, other| one.name.cmp(&other.name));
    let mut seen: HashMap<String, usize> = HashMap::new();
    for test in &mut tests {
        let copies = seen.entry(test.name.clone()).or_default();
        *copies += 1;
        test.name = doctest::numbered(&test.name, *copies);
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctests_of_one_name_are_numbered() {
        let test = |name: &str| Test { name: name.into(), is_ignored: false };
        let names = ["b (line 2)", "a (line 1)", "b (line 2)", "b (line 2)"];
        let told = told_apart(names.map(test).to_vec());
        let told: Vec<&str> = told.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(told, ["a (line 1)", "b (line 2)", "b (line 2) #2", "b (line 2) #3"]);
    }

    #[test]
    fn ignored_doctests_are_told_by_their_attributes() {
        let text = r#"{"format_version":2,"doctests":[
            {"name":"a","line":1,"doctest_attributes":{"ignore":"None","rust":true}},
            {"name":"b","line":2,"doctest_attributes":{"ignore":"All"}},
            {"name":"c","line":3,"doctest_attributes":{"ignore":{"Some":["wasm32"]}}}]}"#;
        let found: Extracted = serde_json::from_str(text).unwrap();
        let ignored = found.doctests.iter().map(|test| match test.doctest_attributes.ignore {
            Ignore::None => 0,
            Ignore::All => 1,
            Ignore::Some(_) => 2,
        });
        assert_eq!(ignored.collect::<Vec<_>>(), [0, 1, 2]);
    }
}
