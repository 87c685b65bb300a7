//! What is left when a worker ends of processes that are its own beyond doubt, where nobody tells
//! which of its tests started them, nor when those ended: without the agent that is all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::watch::{Fate, Watches};
use crate::leaks::finding::{Finding, Left, Subject};
use crate::process::clock;
use crate::process::look::{Look, Stray};

#[derive(Debug)]
pub struct Orphans {
    linger: Duration,
    /// Their linger begins when the worker ends, and they are looked at first.
    since: Option<Instant>,
    watches: Watches,
    open: Vec<u32>,
    left: BTreeMap<u32, Finding>,
}

impl Orphans {
    pub fn new(linger: Duration) -> Orphans {
        let (watches, open, left) = (Watches::default(), Vec::new(), BTreeMap::new());
        Orphans { linger, since: None, watches, open, left }
    }

    /// Looks at all that is the worker's own.
    pub fn look_for_own(&mut self, look: &dyn Look, now: Instant) {
        let own: Vec<Stray> = look.strays().into_iter().filter(|stray| stray.is_ours).collect();
        self.look(&own, look, now);
    }

    /// Looks that follow each other have to be some time apart.
    pub fn look(&mut self, strays: &[Stray], look: &dyn Look, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let is_over = clock::after(since, self.linger) <= now;
        self.open.clear();
        for stray in strays {
            let seen = look.process(stray.pid);
            let fate = match is_over {
                true => self.watches.look(Subject::Process { pid: stray.pid }, seen, now),
                false if seen.is_none() => Fate::Gone,
                false => Fate::Unsure,
            };
            match fate {
                Fate::Stays { .. } => self.stays(stray, look),
                Fate::Unsure => self.open.push(stray.pid),
                Fate::Gone => {}
            }
        }
    }

    fn stays(&mut self, stray: &Stray, look: &dyn Look) {
        if let Some(command) = look.command_of(stray.pid) {
            let (pid, age) = (stray.pid, stray.age);
            let what = Left::Process { pid, command, age, lived_on: None };
            self.left.entry(pid).or_insert(Finding { what, stack: Vec::new() });
        }
    }

    /// Whether some of them may still end within their linger.
    pub fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What was left, by the numbers of the processes, which have to be ended.
    pub fn into_left(self) -> BTreeMap<u32, Finding> {
        self.left
    }
}
