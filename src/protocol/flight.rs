//! Which tests of a worker run now, where only their ends are reported.

use std::collections::VecDeque;

/// Which tests run now. libtest starts them in list order, a new one whenever one has ended
/// and a thread is free; so the ledger's ends tell the beginnings too.
#[derive(Debug)]
pub(super) struct Flight {
    waiting: VecDeque<usize>,
    running: Vec<usize>,
    threads: usize,
}

impl Flight {
    pub(super) fn new(tests: usize, threads: usize) -> Flight {
        Flight::in_order(0..tests, threads)
    }

    pub(super) fn in_order(tests: impl IntoIterator<Item = usize>, threads: usize) -> Flight {
        let waiting = tests.into_iter().collect();
        Flight { waiting, running: Vec::new(), threads: threads.max(1) }
    }

    pub(super) fn runs(&self, test: usize) -> bool {
        self.running.contains(&test)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = usize> {
        self.running.iter().copied()
    }

    /// Notes an end; returns the tests that begin with it.
    pub(super) fn end(&mut self, test: usize) -> Vec<usize> {
        match self.running.iter().position(|running| *running == test) {
            Some(at) => drop(self.running.remove(at)),
            // It ended before we knew that it had begun: an order we did not foresee.
            None => self.waiting.retain(|waiting| *waiting != test),
        }
        self.fill()
    }

    pub(super) fn fill(&mut self) -> Vec<usize> {
        let free = self.threads.saturating_sub(self.running.len()).min(self.waiting.len());
        let begun: Vec<usize> = self.waiting.drain(..free).collect();
        self.running.extend(&begun);
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_tell_the_beginnings_too() {
        let mut flight = Flight::new(4, 2);
        assert_eq!(flight.fill(), [0, 1]);
        assert_eq!(flight.end(1), [2]);
        assert_eq!(flight.end(3), [0; 0], "it had not been seen to begin");
        assert_eq!(flight.end(2), [0; 0]);
        assert_eq!(flight.running, [0]);
    }
}
