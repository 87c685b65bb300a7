//! Processes that certainly belong to a worker and outlive it, where nothing reports which of its
//! tests started them, nor when those ended: without the agent that is all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::observations::{Conclusion, Observations};
use crate::leaks::finding::{Finding, Leftover, Subject};
use crate::process::clock;
use crate::process::inspector::{Inspector, Orphan};

#[derive(Debug)]
pub struct Orphans {
    linger: Duration,
    /// Their linger begins when the worker ends, and they are looked at first.
    since: Option<Instant>,
    observations: Observations,
    open: Vec<u32>,
    left: BTreeMap<u32, Finding>,
}

impl Orphans {
    pub fn new(linger: Duration) -> Orphans {
        let (observations, open, left) = (Observations::default(), Vec::new(), BTreeMap::new());
        Orphans { linger, since: None, observations, open, left }
    }

    /// Looks at all that is the worker's own.
    pub fn look_for_own(&mut self, look: &dyn Inspector, now: Instant) {
        let own: Vec<Orphan> =
            look.orphans().into_iter().filter(|orphan| orphan.is_from_worker).collect();
        self.look(&own, look, now);
    }

    /// Looks that follow each other have to be some time apart.
    pub fn look(&mut self, orphans: &[Orphan], look: &dyn Inspector, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let is_over = clock::after(since, self.linger) <= now;
        self.open.clear();
        for orphan in orphans {
            let seen = look.process(orphan.pid);
            let fate = match is_over {
                true => self.observations.look(Subject::Process { pid: orphan.pid }, seen, now),
                false if seen.is_none() => Conclusion::Gone,
                false => Conclusion::Undecided,
            };
            match fate {
                Conclusion::Stays { .. } => self.stays(orphan, look),
                Conclusion::Undecided => self.open.push(orphan.pid),
                Conclusion::Gone => {}
            }
        }
    }

    fn stays(&mut self, orphan: &Orphan, look: &dyn Inspector) {
        if let Some(command) = look.command_line(orphan.pid) {
            let (pid, age) = (orphan.pid, orphan.age);
            let what = Leftover::Process { pid, command, age, lived_on: None };
            self.left.entry(pid).or_insert(Finding { what, stack: Vec::new() });
        }
    }

    /// Whether some of them may still end within their linger.
    pub fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What was left, by the numbers of the processes, which have to be ended.
    pub fn into_findings(self) -> BTreeMap<u32, Finding> {
        self.left
    }
}
