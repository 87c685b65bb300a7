//! How the verdicts of a worker are learnt.

/// The ways to learn verdicts, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From inside the worker.
    Agent,
    /// From libtest's `--logfile`.
    LedgerFile,
    /// From the exit code of a process for each test.
    ExitCode,
}

impl Way {
    /// What serves where this one does not.
    pub fn next(self) -> Way {
        match self {
            Way::Agent => Way::LedgerFile,
            Way::LedgerFile | Way::ExitCode => Way::ExitCode,
        }
    }
}
