//! With which other tests a test fails, and how it runs with them.

use super::test::TestId;

/// How a test runs with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// It is alone in its process.
    Alone,
    /// In one process, one after another in the order of the list, the test itself last.
    After,
    /// The same in another order than that of the list.
    Reordered,
    /// In one process, several at a time.
    Beside,
    /// As the policies say, in as many processes as there are slots.
    Declared,
}

impl Company {
    pub fn as_str(self) -> &'static str {
        match self {
            Company::Alone => "alone",
            Company::After => "after",
            Company::Reordered => "reordered",
            Company::Beside => "beside",
            Company::Declared => "declared",
        }
    }

    /// Whether the others have ended when the test begins, in its process.
    pub fn is_one_after_another(self) -> bool {
        matches!(self, Company::After | Company::Reordered)
    }
}

/// A run of the test with a set of others, once or several times.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub company: Company,
    pub others: usize,
    pub failed: bool,
}

/// What was found out about a test.
#[derive(Debug, Clone)]
pub struct Bisection {
    pub test: TestId,
    pub finding: Finding,
    /// How many runs that took.
    pub runs: usize,
    /// Whether the user has ended it.
    pub is_interrupted: bool,
}

#[derive(Debug, Clone)]
pub enum Finding {
    /// Nothing, as far as it got.
    Unknown,
    /// It passed in all runs: those are the numbers of others in each company.
    Passed(Vec<(Company, usize)>),
    /// It fails alone. The set of those after which it passes, if there is one.
    Alone { reason: Option<String>, passes_with: Option<TestSet> },
    /// It passes alone, and fails with these.
    With(TestSet),
}

/// A set of others with which a test fails, or passes.
#[derive(Debug, Clone)]
pub struct TestSet {
    pub company: Company,
    /// The seed with which libtest runs the test after the others, if it is not the last of them.
    pub seed: Option<u64>,
    pub others: Vec<Other>,
    /// Whether the outcome is another one without any of them.
    pub is_smallest: bool,
    /// Why the test failed with them.
    pub reason: Option<String>,
    /// How often it failed in how many runs with exactly this set.
    pub failed: (usize, usize),
    /// How often it failed in how many runs by itself.
    pub failed_alone: (usize, usize),
}

/// A test without which another one has another outcome.
#[derive(Debug, Clone)]
pub struct Other {
    pub test: TestId,
    /// What links the two, by name: a path, a port.
    pub thing: Option<String>,
}

impl TestSet {
    /// Tests of which nothing is known but that the outcome is another one with them.
    pub fn new(company: Company, others: &[TestId]) -> TestSet {
        let other = |test: &TestId| Other { test: *test, thing: None };
        TestSet {
            company,
            seed: None,
            others: others.iter().map(other).collect(),
            is_smallest: false,
            reason: None,
            failed: (0, 0),
            failed_alone: (0, 0),
        }
    }

    /// Whether the test, which passed by itself at first, fails by itself since these have run.
    pub fn fails_since(&self) -> bool {
        self.failed_alone.0 > 0
    }
}
