//! The tests of one executable.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::statics::Statics;

/// How the tests of a binary can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dispatch {
    /// libtest: many tests in a process, each with its own verdict.
    Batches,
    /// A custom harness that leaves out tests by `--skip`, and writes a `--logfile`: many tests in
    /// a process, one after another.
    LoggedBatches,
    /// The same, of a harness that is built on `libtest-mimic`.
    MimicBatches,
    /// A process for each test, whose exit code is its verdict.
    OneByOne,
    /// The binary is one test, run without arguments: by its executable, it does not answer
    /// `--list`.
    Whole,
    /// The binary is one test as well: it does not list and choose tests as libtest does.
    Unlisted,
    /// rustdoc, which compiles the doctests of a package and runs them by a libtest of its own.
    Doctests,
}

impl Dispatch {
    /// Whether the binary is one test, which has no name that the binary would know.
    pub fn is_whole(self) -> bool {
        matches!(self, Dispatch::Whole | Dispatch::Unlisted)
    }
}

/// What earlier runs have found out about how a custom harness runs its tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KnownDispatch {
    #[default]
    Unknown,
    /// Does not answer `--list`: it runs as one test.
    Whole,
    /// Answers `--list`; the rest may depend on more than its executable.
    Listed,
    /// Leaves out tests by `--skip`, and writes a log.
    LoggedBatches,
    /// The same, and is built on `libtest-mimic`.
    MimicBatches,
    /// Did not run all tests of a batch, whatever it has listed.
    OneByOne,
}

/// A test as its harness lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub is_ignored: bool,
}

/// What the list of a custom harness that runs many tests in a process has told besides the tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarnessList {
    /// How long it took: a process that runs some of the tests has to find all of them too.
    pub took: Duration,
    /// The place of each test in the list, in which the harness begins its tests.
    pub places: Vec<usize>,
}

/// What is known about an executable before any of its tests run.
#[derive(Debug, Serialize, Deserialize)]
pub struct TestList {
    pub dispatch: Dispatch,
    /// In the order in which libtest runs them; by name for a harness that logs.
    #[serde(with = "names")]
    pub tests: Vec<Test>,
    pub statics: Statics,
    /// Whether its loader would load the agent, and its Rust is new enough for that.
    pub takes_agent: bool,
}

/// Serializes tests as one string and a list of indices: few long values are read faster than many
/// short ones.
mod names {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Test;

    #[derive(Serialize, Deserialize)]
    struct Names {
        /// One per line.
        names: String,
        /// Indices of the ignored tests.
        ignored: Vec<usize>,
    }

    pub fn serialize<S: Serializer>(tests: &[Test], serializer: S) -> Result<S::Ok, S::Error> {
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        let ignored = (0..tests.len()).filter(|at| tests[*at].is_ignored).collect();
        Names { names: names.join("\n"), ignored }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Test>, D::Error> {
        let Names { names, ignored } = Names::deserialize(from)?;
        let test = |name: &str| Test { name: name.to_owned(), is_ignored: false };
        let mut tests: Vec<Test> = names.lines().map(test).collect();
        for at in ignored {
            let unknown = || D::Error::custom("index of an ignored test out of range");
            tests.get_mut(at).ok_or_else(unknown)?.is_ignored = true;
        }
        Ok(tests)
    }
}
