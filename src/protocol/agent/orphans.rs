//! Processes that nobody has told of: whose they are, and when they end.

use std::time::{Duration, Instant};

use super::{Agent, Homes};
use crate::frames;
use crate::leaks::finding::Subject;
use crate::leaks::watch::Fate;
use crate::process::clock;
use crate::process::look::{Look, Stray};
use crate::process::procfs::Seen;

impl Agent<'_> {
    /// Strays become their tests'. One whose test is not known yet is looked at again; in the
    /// end it is nobody's.
    pub(super) fn take_home(&mut self, strays: Vec<Stray>) -> Homes {
        let (now, mut homes) = (clock::now(), Homes::default());
        for stray in strays {
            if let Some(test) = self.home_of(&stray) {
                let began = now.checked_sub(stray.age).unwrap_or(now);
                self.traces.take_home(stray.pid, test, stray.kin, began);
                homes.found.push(stray.pid);
            } else if stray.is_ours {
                homes.missing.push(stray);
            }
        }
        homes
    }

    /// Looks for processes that nobody has told of.
    pub(super) fn gather(&mut self, look: &dyn Look) {
        let children = self.take_home(look.children(&|pid| self.traces.has_process(pid)));
        let strays = self.take_home(look.strays());
        if self.departs.is_some() {
            let missing = [children.missing, strays.missing].concat();
            self.orphans.look(&missing, look, clock::now());
            let missing = missing.iter().map(|stray| stray.pid);
            self.strays = strays.found.into_iter().chain(missing).collect();
        }
    }

    /// Nobody tells of the end of a process that its test does not wait for. Where that is all
    /// that keeps a worker from its end, somebody has to look.
    pub(super) fn look_for_ends(&mut self, look: &dyn Look, now: Instant) {
        let is_there = |pid: u32| look.process(pid).is_some_and(|seen| self.is_it(pid, &seen, now));
        let open = self.traces.open_processes();
        let gone: Vec<u32> = open.filter(|pid| !is_there(*pid)).collect();
        gone.into_iter().for_each(|pid| self.traces.is_gone(Subject::Process { pid }, now));
    }

    pub(super) fn see(&self, subject: Subject, look: &dyn Look, now: Instant) -> Option<Seen> {
        match subject {
            // Told of before its first turn, which it waits for.
            Subject::Thread { tid: 0, .. } => {
                Some(Seen { rests: false, worked: Duration::ZERO, age: Duration::ZERO })
            }
            Subject::Thread { tid, .. } => look.thread(tid),
            Subject::Process { pid } => look.process(pid).filter(|seen| self.is_it(pid, seen, now)),
        }
    }

    /// Looks at what is there although its linger has passed.
    pub(super) fn look_at(&mut self, overdue: &[Subject], look: &dyn Look, now: Instant) {
        let seen = overdue.iter().map(|subject| (*subject, self.see(*subject, look, now)));
        let seen: Vec<_> = seen.collect();
        // One that works on its way to its end may hold the lock that another one waits for.
        let is_busy = |(subject, seen): &(Subject, Option<Seen>)| {
            matches!(subject, Subject::Thread { .. })
                && !self.traces.has_lingered(*subject)
                && seen.is_some_and(|seen| !seen.rests)
        };
        let may_rest = !seen.iter().any(is_busy);
        for (subject, seen) in seen {
            let counts = may_rest || !matches!(subject, Subject::Thread { .. });
            let seen = seen.map(|seen| Seen { rests: seen.rests && counts, ..seen });
            self.note(subject, seen, look, now);
        }
    }

    pub(super) fn note(
        &mut self,
        subject: Subject,
        seen: Option<Seen>,
        look: &dyn Look,
        now: Instant,
    ) {
        match self.watches.look(subject, seen, now) {
            Fate::Gone => self.traces.is_gone(subject, now),
            Fate::Stays { was_waiting } => {
                let name = match subject {
                    Subject::Thread { tid, .. } => look.name_of(tid),
                    Subject::Process { pid } => look.command_of(pid),
                };
                self.traces.note_lingering(subject, was_waiting, name, now);
            }
            Fate::Unsure => {}
        }
    }

    /// Whether it is the process that was started then: another one that has got its number since
    /// is younger.
    pub(super) fn is_it(&self, pid: u32, seen: &Seen, now: Instant) -> bool {
        /// The kernel tells ages in hundredths of a second.
        const TOLERANCE: Duration = Duration::from_millis(50);
        let known = self.traces.began(pid).map(|began| now.saturating_duration_since(began));
        known.is_none_or(|known| seen.age + TOLERANCE >= known)
    }

    /// The test of a stray beyond doubt: it started the process itself, or the one that began
    /// its group or session, or is the only one that may have left its mark, or that started any.
    pub(super) fn home_of(&self, stray: &Stray) -> Option<usize> {
        let own = self.traces.test_of(stray.pid);
        // The number of one that has ended may be another's by now, whose mark is another too.
        let by_kin = || self.traces.test_of_kin(stray.kin).filter(|test| self.fits(stray, *test));
        let mark = stray.mark.filter(|_| stray.is_ours || self.marks_tell);
        let by_mark = || self.only_one_with(mark?, stray.is_ours);
        let is_unmarked = stray.is_ours && stray.mark.is_none();
        let by_itself = || self.traces.only_starter().filter(|_| is_unmarked);
        own.or_else(by_kin).or_else(by_mark).or_else(by_itself)
    }

    pub(super) fn fits(&self, stray: &Stray, test: usize) -> bool {
        stray.mark.is_none_or(|mark| self.with_mark(mark).any(|marked| marked == test))
    }

    pub(super) fn with_mark(&self, marked: u32) -> impl Iterator<Item = usize> {
        let fits = move |number: u32| frames::mark(self.slot, number) == marked;
        self.tests.numbers().filter(move |(number, _)| fits(*number)).map(|(_, test)| test)
    }

    /// The only test with this mark that has started processes. Where none of them has told of
    /// any, the only test with it at all, if the process is this worker's beyond doubt. A mark
    /// says nothing where it may be of two: which of them came last makes no difference.
    pub(super) fn only_one_with(&self, mark: u32, is_ours: bool) -> Option<usize> {
        let only = |tests: &[usize]| match tests {
            [test] => Some(*test),
            _ => None,
        };
        let tests: Vec<usize> = self.with_mark(mark).collect();
        let has_started = |test: &usize| self.traces.has_started_processes(*test);
        let starters: Vec<usize> = tests.iter().copied().filter(has_started).collect();
        match starters.is_empty() {
            true => only(&tests).filter(|_| is_ours),
            false => only(&starters),
        }
    }
}
