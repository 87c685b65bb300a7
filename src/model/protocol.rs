//! How a worker reports the verdicts of its tests.

/// A protocol between a worker and the runner. They are ordered by preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// The agent inside the worker sends frames.
    Agent,
    /// The worker writes libtest's `--logfile`.
    LogFile,
    /// A custom harness runs one test after another, and logs each as JSON.
    HarnessLog,
    /// rustdoc prints what its libtest reports; nothing else is known of its doctests.
    Doctests,
    /// One process per test; its exit code is the verdict.
    ExitCode,
}

impl Protocol {
    /// The protocol to fall back to when this one fails.
    pub fn next(self) -> Protocol {
        match self {
            Protocol::Agent => Protocol::LogFile,
            Protocol::Doctests => Protocol::Doctests,
            Protocol::LogFile | Protocol::HarnessLog | Protocol::ExitCode => Protocol::ExitCode,
        }
    }
}
