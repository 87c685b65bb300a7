//! Which tests may finish when the user wants the run to end with those that run now.
//!
//! The wish and the reports of a process come on different ways. Where a test is known to run when
//! the wish comes, it is that one. Where none is, its start may be on its way: what the process has
//! reported by then is read first.

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Finishing {
    #[default]
    NotAsked,
    /// No test was known to run when the wish came.
    CatchingUp,
    /// The process ends with these tests.
    Only(Vec<usize>),
}

impl Finishing {
    /// The wish is there. `running` are the tests that are known to run.
    pub fn ask(&mut self, running: impl Iterator<Item = usize>) {
        if *self == Finishing::NotAsked {
            let running: Vec<usize> = running.collect();
            *self = match running.is_empty() {
                true => Finishing::CatchingUp,
                false => Finishing::Only(running),
            };
        }
    }

    /// All that the process had reported when the wish came has been read.
    pub fn caught_up(&mut self, running: impl Iterator<Item = usize>) {
        if *self == Finishing::CatchingUp {
            *self = Finishing::Only(running.collect());
        }
    }

    /// Whether none of the tests that may finish is running.
    pub fn is_over(&self, mut running: impl Iterator<Item = usize>) -> bool {
        match self {
            Finishing::Only(tests) => !running.any(|test| tests.contains(&test)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Report {
        Start(usize),
        End(usize),
    }
    use Report::{End, Start};

    /// A worker: what it has read, and what follows from that.
    #[derive(Default)]
    struct Worker {
        running: Vec<usize>,
        finishing: Finishing,
    }

    impl Worker {
        /// Reads some reports together. Returns whether the process is ended now.
        fn reads(&mut self, reports: &[Report], is_asked: bool) -> bool {
            if is_asked {
                self.finishing.ask(self.running.iter().copied());
            }
            for report in reports {
                match report {
                    Start(test) => self.running.push(*test),
                    End(test) => self.running.retain(|running| running != test),
                }
            }
            self.finishing.is_over(self.running.iter().copied())
        }
    }

    /// What was read before the wish, what was on its way then, what comes after that; which tests
    /// may finish, and how many of the reports that come after are read before the end.
    type Row<'r> = (&'r [Report], &'r [Report], &'r [Report], &'r [usize], usize);

    const TABLE: [Row<'_>; 7] = [
        (&[], &[Start(1)], &[End(1), Start(2)], &[1], 1),
        (&[], &[], &[Start(1)], &[], 0),
        (&[], &[Start(1), End(1), Start(2)], &[End(2)], &[2], 1),
        (&[Start(1)], &[], &[End(1), Start(2)], &[1], 1),
        (&[Start(1), End(1)], &[Start(2)], &[End(2)], &[2], 1),
        (&[Start(1), Start(2)], &[End(1), Start(3)], &[End(2)], &[1, 2], 1),
        (&[Start(1)], &[Start(2)], &[End(2), End(1)], &[1], 2),
    ];

    #[test]
    fn tests_that_ran_finish_however_their_reports_come() {
        for (row, (read, on_its_way, later, may_finish, expected)) in TABLE.into_iter().enumerate()
        {
            // Every way to read in several parts what was on its way.
            for cuts in 0..1_usize << on_its_way.len().saturating_sub(1) {
                let mut worker = Worker::default();
                assert!(!worker.reads(read, false));
                let mut part = Vec::new();
                for (at, report) in on_its_way.iter().enumerate() {
                    part.push(*report);
                    if cuts >> at & 1 == 1 || at + 1 == on_its_way.len() {
                        let has_ended = worker.reads(&std::mem::take(&mut part), true);
                        assert!(!has_ended, "row {row}, cuts {cuts:b}");
                    }
                }
                let mut is_over = worker.reads(&[], true);
                worker.finishing.caught_up(worker.running.iter().copied());
                is_over |= worker.finishing.is_over(worker.running.iter().copied());
                assert_eq!(worker.finishing, Finishing::Only(may_finish.to_vec()), "row {row}");
                let mut count = 0;
                for report in later {
                    if is_over {
                        break;
                    }
                    is_over = worker.reads(&[*report], true);
                    count += 1;
                }
                assert_eq!((is_over, count), (true, expected), "row {row}, cuts {cuts:b}");
            }
        }
    }
}
