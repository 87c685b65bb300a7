//! What tests depend on, and the settings that `doctor` suggests for them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::bisection::TestSet;
use super::interference::{Interference, SharedThing};
use super::test::TestId;
use super::toml_string::toml_string;

/// A way to run the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// As the policies say.
    Declared,
    /// Each test in a process of its own.
    Alone,
    /// All tests of a binary in one process, in the order of the list, one at a time.
    Together,
    /// Each group of tests in one process, several at a time.
    Beside,
    /// All tests of a binary in one process, in a random order, one at a time.
    Shuffled(u64),
    /// As the policies say, with the suggestions.
    Proof,
}

impl Phase {
    /// In this order: what is told first helps most. The seeds are the same in every run, and the
    /// proof comes later, if there is something to prove.
    pub const ALL: [Phase; 6] = [
        Phase::Declared,
        Phase::Alone,
        Phase::Together,
        Phase::Beside,
        Phase::Shuffled(1),
        Phase::Shuffled(2),
    ];

    /// Whether all tests of a binary run in one process, one at a time.
    pub fn is_one_process(self) -> bool {
        matches!(self, Phase::Together | Phase::Shuffled(_))
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Declared => "declared",
            Phase::Alone => "alone",
            Phase::Together => "together",
            Phase::Beside => "beside",
            Phase::Shuffled(_) => "shuffled",
            Phase::Proof => "proof",
        }
    }
}

/// A phase that has run.
#[derive(Debug, Clone)]
pub struct PhaseResult {
    pub phase: Phase,
    pub tests: usize,
    pub failed: usize,
    /// Whether all of it has run, within the budget.
    pub is_complete: bool,
}

/// How a test depends on others.
#[derive(Debug, Clone)]
pub enum Dependence {
    /// It fails however it is run.
    Broken { reason: Option<String> },
    /// It fails alone, and passes with others: those on which it relies, if they were found.
    Brittle { reason: Option<String>, relies_on: Option<TestSet> },
    /// It passes alone, and fails after others: those, if they were found, and whether its policy
    /// keeps it apart from them.
    Victim { reason: Option<String>, after: Option<TestSet>, is_kept_apart: bool },
    /// It passes alone and after others, and fails while others run: a test of another process that
    /// it met, or those of its own process, if they were found.
    Race { reason: Option<String>, met: Option<Interference>, beside: Option<TestSet> },
    /// It fails, and passes when it runs again in the same company.
    Flaky { reason: Option<String> },
    /// It fails, and the budget was over before it had run alone.
    Unknown { reason: Option<String> },
}

impl Dependence {
    pub fn as_str(&self) -> &'static str {
        match self {
            Dependence::Broken { .. } => "broken",
            Dependence::Brittle { .. } => "brittle",
            Dependence::Victim { .. } => "victim",
            Dependence::Race { .. } => "race",
            Dependence::Flaky { .. } => "flaky",
            Dependence::Unknown { .. } => "unknown",
        }
    }

    /// Why it failed, in one line.
    pub fn reason(&self) -> Option<&str> {
        let (Dependence::Broken { reason }
        | Dependence::Brittle { reason, .. }
        | Dependence::Victim { reason, .. }
        | Dependence::Race { reason, .. }
        | Dependence::Flaky { reason }
        | Dependence::Unknown { reason }) = self;
        reason.as_deref()
    }

    /// The others, if they were found by trying.
    pub fn others(&self) -> Option<&TestSet> {
        match self {
            Dependence::Brittle { relies_on: set, .. }
            | Dependence::Victim { after: set, .. }
            | Dependence::Race { beside: set, .. } => set.as_ref(),
            Dependence::Broken { .. } | Dependence::Flaky { .. } | Dependence::Unknown { .. } => {
                None
            }
        }
    }

    /// The test of another process that it met.
    pub fn met(&self) -> Option<&Interference> {
        match self {
            Dependence::Race { met, .. } => met.as_ref(),
            _ => None,
        }
    }

    /// Whether the policies see to it that it does not fail.
    pub fn is_kept_apart(&self) -> bool {
        matches!(self, Dependence::Victim { is_kept_apart: true, .. })
    }
}

/// A line for Cargo.toml.
#[derive(Debug, Clone)]
pub struct Suggestion {
    pub manifest: PathBuf,
    /// The node of the module tree, as it stands in the manifest.
    pub node: String,
    pub line: PolicyLine,
    /// In how many runs its tests passed with it.
    pub proven: usize,
    /// How long the tests take as declared and with this line, by the plan.
    pub gain: Option<(Duration, Duration)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyLine {
    Split,
    /// One process for what only its state keeps apart.
    Unit,
    /// One process, and the order of the list.
    UnitInOrder,
    /// A process of its own.
    Isolate,
    OneThread,
    Lock(String),
    /// The same for several tests that one process may run: a lock keeps only processes apart.
    LockAndOneThread(String),
    /// Nothing else runs meanwhile.
    Exclusive,
    /// Several for one node.
    All(Vec<PolicyLine>),
}

impl PolicyLine {
    /// The keys and their values, as TOML.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        match self {
            PolicyLine::Split => vec![("policy", "\"split\"".to_owned())],
            PolicyLine::Unit => vec![("policy", "\"unit\"".to_owned())],
            PolicyLine::UnitInOrder => {
                vec![("policy", "\"unit\"".to_owned()), ("threads", "1".to_owned())]
            }
            PolicyLine::Isolate => {
                vec![("policy", "\"split\"".to_owned()), ("isolate", "true".to_owned())]
            }
            PolicyLine::OneThread => vec![("threads", "1".to_owned())],
            PolicyLine::Lock(name) => vec![("locks", format!("[{}]", toml_string(name)))],
            PolicyLine::LockAndOneThread(name) => {
                vec![("locks", format!("[{}]", toml_string(name))), ("threads", "1".to_owned())]
            }
            PolicyLine::Exclusive => vec![("exclusive", "true".to_owned())],
            PolicyLine::All(lines) => PolicyLine::keys_of_all(lines),
        }
    }

    /// Each key once, with the locks of all.
    fn keys_of_all(lines: &[PolicyLine]) -> Vec<(&'static str, String)> {
        let mut keys: Vec<(&'static str, String)> = Vec::new();
        for (key, value) in lines.iter().flat_map(PolicyLine::keys) {
            match keys.iter_mut().find(|(known, _)| *known == key) {
                None => keys.push((key, value)),
                Some((_, known)) if key == "locks" && *known != value => {
                    let (known_names, names) = (known.trim_end_matches(']'), &value[1..]);
                    *known = format!("{known_names}, {names}");
                }
                Some(_) => {}
            }
        }
        keys
    }

    /// Whether it is to keep tests of several processes from meeting.
    pub fn keeps_processes_apart(&self) -> bool {
        match self {
            PolicyLine::Unit
            | PolicyLine::Lock(_)
            | PolicyLine::LockAndOneThread(_)
            | PolicyLine::Exclusive => true,
            PolicyLine::All(lines) => lines.iter().any(PolicyLine::keeps_processes_apart),
            PolicyLine::Split
            | PolicyLine::UnitInOrder
            | PolicyLine::Isolate
            | PolicyLine::OneThread => false,
        }
    }
}

impl fmt::Display for PolicyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [("policy", policy)] = &*self.keys() {
            return f.write_str(policy);
        }
        let keys: Vec<String> =
            self.keys().iter().map(|(key, value)| format!("{key} = {value}")).collect();
        write!(f, "{{ {} }}", keys.join(", "))
    }
}

/// A module whose tests set something up in a static, once in each process.
#[derive(Debug, Clone)]
pub struct SharedFixture {
    pub node: String,
    /// Those in which it may be kept.
    pub statics: Vec<String>,
    /// How long it takes to set it up.
    pub cost: Duration,
    /// How long the tests take as declared, and if they were split, with one fixture for all
    /// processes, by the plan.
    pub gain: (Duration, Duration),
}

/// What the tests of a module have left behind.
#[derive(Debug, Clone)]
pub struct ModuleLeaks {
    pub module: String,
    /// How many of its tests have left something.
    pub tests: usize,
    pub threads: usize,
    pub processes: usize,
    pub panics: usize,
}

impl ModuleLeaks {
    pub fn new(module: &str) -> ModuleLeaks {
        ModuleLeaks { module: module.to_owned(), tests: 0, threads: 0, processes: 0, panics: 0 }
    }
}

/// All that was found out about a suite.
#[derive(Debug, Default)]
pub struct Diagnosis {
    pub tests: usize,
    pub budget: Duration,
    /// What the budget was not enough for.
    pub not_run: Vec<Phase>,
    pub dependences: Vec<(TestId, Dependence)>,
    /// Things by which tests of several processes would break if they met.
    pub shared: Vec<SharedThing>,
    pub leaks: Vec<ModuleLeaks>,
    pub suggestions: Vec<Suggestion>,
    pub shared_fixtures: Vec<SharedFixture>,
    /// Units of which every test passed alone and in other orders, and that would gain nothing.
    pub splittable: Vec<String>,
    pub runs: usize,
    pub took: Duration,
    /// Whether the budget was not enough for all of it.
    pub is_cut_short: bool,
    pub is_interrupted: bool,
    /// The manifests that were changed.
    pub written: Vec<PathBuf>,
}
