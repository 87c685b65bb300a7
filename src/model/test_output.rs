//! What the tests of a process printed that ended under them.

use super::lost_output::LostOutput;
use super::output::Output;
use super::test::TestId;

/// What a test printed, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct TestOutput {
    pub output: Output,
    /// Why there may be more of it.
    pub lost: Option<LostOutput>,
}

/// What a process printed that ended under its tests.
#[derive(Debug, Clone, Default)]
pub struct ProcessOutput {
    pub of_tests: Vec<(TestId, TestOutput)>,
    /// What belongs to no test in particular: whatever came through its pipes, and backtraces.
    pub rest: Output,
}

impl ProcessOutput {
    /// What one of the tests printed, followed by what may be any test's.
    pub fn of(&self, test: TestId) -> TestOutput {
        let own = self.of_tests.iter().find(|(of, _)| *of == test);
        let mut own = own.map(|(_, own)| own.clone()).unwrap_or_default();
        own.output.append_lines(self.rest.clone());
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(test: usize) -> TestId {
        TestId { listing: 0, test }
    }

    #[test]
    fn a_partial_line_stays_apart_from_the_rest() {
        let own = |text: &str| TestOutput { output: text.as_bytes().to_vec().into(), lost: None };
        let printed = ProcessOutput {
            of_tests: vec![(test(0), own("half")), (test(1), own("whole\n"))],
            rest: b"rest\n".to_vec().into(),
        };
        assert_eq!(&*printed.of(test(0)).output, b"half\nrest\n");
        assert_eq!(&*printed.of(test(1)).output, b"whole\nrest\n");
        assert_eq!(&*printed.of(test(2)).output, b"rest\n");
    }
}
