//! Processes that no frame has reported: which test they belong to, and when they end.

use std::time::{Duration, Instant};

use super::{Adoption, AgentChannel};
use crate::frames;
use crate::leaks::finding::Subject;
use crate::leaks::observations::Conclusion;
use crate::process::clock;
use crate::process::inspector::{Inspector, Orphan};
use crate::process::procfs::TaskStatus;

impl AgentChannel<'_> {
    /// Strays become their tests'. One whose test is not known yet is looked at again; in the
    /// end it is nobody's.
    pub(super) fn adopt(&mut self, orphans: Vec<Orphan>) -> Adoption {
        let (now, mut adoption) = (clock::now(), Adoption::default());
        for orphan in orphans {
            if let Some(test) = self.owner_of(&orphan).filter(|_| !orphan.is_fixture) {
                let began = now.checked_sub(orphan.age).unwrap_or(now);
                self.traces.adopt(orphan.pid, test, orphan.leaders, began);
                adoption.found.push(orphan.pid);
            } else if orphan.is_from_worker {
                adoption.missing.push(orphan);
            }
        }
        adoption
    }

    /// Looks for processes that nobody has told of.
    pub(super) fn gather(&mut self, look: &dyn Inspector) {
        let children = self.adopt(look.unknown_children(&|pid| self.traces.has_process(pid)));
        let orphans = self.adopt(look.orphans());
        if self.departs.is_some() {
            let missing = [children.missing, orphans.missing].concat();
            self.orphans.look(&missing, look, clock::now());
            let missing = missing.iter().map(|orphan| orphan.pid);
            self.orphan_pids = orphans.found.into_iter().chain(missing).collect();
        }
    }

    /// Nobody tells of the end of a process that its test does not wait for. Where that is all
    /// that keeps a worker from its end, somebody has to look.
    pub(super) fn look_for_ends(&mut self, look: &dyn Inspector, now: Instant) {
        let is_there = |pid: u32| look.process(pid).is_some_and(|seen| self.is_it(pid, &seen, now));
        let open = self.traces.pending_processes();
        let is_over = |pid: &u32| !is_there(*pid) || look.is_fixture(*pid);
        let gone: Vec<u32> = open.filter(is_over).collect();
        gone.into_iter().for_each(|pid| self.traces.is_gone(Subject::Process { pid }, now));
    }

    pub(super) fn see(
        &self,
        subject: Subject,
        look: &dyn Inspector,
        now: Instant,
    ) -> Option<TaskStatus> {
        match subject {
            // Told of before its first turn, which it waits for.
            Subject::Thread { tid: 0, .. } => {
                Some(TaskStatus { is_idle: false, cpu_time: Duration::ZERO, age: Duration::ZERO })
            }
            Subject::Thread { tid, .. } => look.thread(tid),
            Subject::Process { pid } => look.process(pid).filter(|seen| self.is_it(pid, seen, now)),
        }
    }

    /// Looks at what is there although its linger has passed.
    pub(super) fn look_at(&mut self, overdue: &[Subject], look: &dyn Inspector, now: Instant) {
        let seen = overdue.iter().map(|subject| (*subject, self.see(*subject, look, now)));
        let seen: Vec<_> = seen.collect();
        // One that works on its way to its end may hold the lock that another one waits for.
        let is_busy = |(subject, seen): &(Subject, Option<TaskStatus>)| {
            matches!(subject, Subject::Thread { .. })
                && !self.traces.has_lingered(*subject)
                && seen.is_some_and(|seen| !seen.is_idle)
        };
        let may_rest = !seen.iter().any(is_busy);
        for (subject, seen) in seen {
            let counts = may_rest || !matches!(subject, Subject::Thread { .. });
            let seen = seen.map(|seen| TaskStatus { is_idle: seen.is_idle && counts, ..seen });
            self.note(subject, seen, look, now);
        }
    }

    pub(super) fn note(
        &mut self,
        subject: Subject,
        seen: Option<TaskStatus>,
        look: &dyn Inspector,
        now: Instant,
    ) {
        match self.observations.look(subject, seen, now) {
            Conclusion::Gone => self.traces.is_gone(subject, now),
            Conclusion::Stays { .. } if is_fixture(subject, look) => {
                self.traces.is_gone(subject, now);
            }
            Conclusion::Stays { was_waiting } => {
                let name = match subject {
                    Subject::Thread { tid, .. } => look.thread_name(tid),
                    Subject::Process { pid } => look.command_line(pid),
                };
                if name.is_none() && matches!(subject, Subject::Thread { tid: 1.., .. }) {
                    // It has ended since, as when its process is killed.
                    return;
                }
                self.traces.note_lingering(subject, was_waiting, name, now);
            }
            Conclusion::Undecided => {}
        }
    }

    /// Whether it is the process that was started then: another one that has got its number since
    /// is younger.
    pub(super) fn is_it(&self, pid: u32, seen: &TaskStatus, now: Instant) -> bool {
        /// The kernel tells ages in hundredths of a second.
        const TOLERANCE: Duration = Duration::from_millis(50);
        let known = self.traces.began(pid).map(|began| now.saturating_duration_since(began));
        known.is_none_or(|known| seen.age + TOLERANCE >= known)
    }

    /// The test of an orphan beyond doubt: it started the process itself, or the one that began
    /// its group or session, or is the only one that may have left its mark, or that started any.
    pub(super) fn owner_of(&self, orphan: &Orphan) -> Option<usize> {
        let own = self.traces.test_of(orphan.pid);
        // The number of one that has ended may be another's by now, whose mark is another too.
        let by_kin =
            || self.traces.test_of_kin(orphan.leaders).filter(|test| self.fits(orphan, *test));
        let mark = orphan.mark.filter(|_| orphan.is_from_worker || self.marks_tell);
        let by_mark = || self.only_one_with(mark?, orphan.is_from_worker);
        let is_unmarked = orphan.is_from_worker && orphan.mark.is_none();
        let by_itself = || self.traces.only_starter().filter(|_| is_unmarked);
        own.or_else(by_kin).or_else(by_mark).or_else(by_itself)
    }

    pub(super) fn fits(&self, orphan: &Orphan, test: usize) -> bool {
        orphan.mark.is_none_or(|mark| self.with_mark(mark).any(|marked| marked == test))
    }

    pub(super) fn with_mark(&self, marked: u32) -> impl Iterator<Item = usize> {
        let fits = move |number: u32| frames::mark(self.slot, number) == marked;
        self.tests.numbers().filter(move |(number, _)| fits(*number)).map(|(_, test)| test)
    }

    /// The only test with this mark that has started processes. Where none of them has told of
    /// any, the only test with it at all, if the process is this worker's beyond doubt. A mark
    /// says nothing where it may be of two: which of them came last makes no difference.
    pub(super) fn only_one_with(&self, mark: u32, is_from_worker: bool) -> Option<usize> {
        let only = |tests: &[usize]| match tests {
            [test] => Some(*test),
            _ => None,
        };
        let tests: Vec<usize> = self.with_mark(mark).collect();
        let has_started = |test: &usize| self.traces.has_started_processes(*test);
        let starters: Vec<usize> = tests.iter().copied().filter(has_started).collect();
        match starters.is_empty() {
            true => only(&tests).filter(|_| is_from_worker),
            false => only(&starters),
        }
    }
}

/// A fixture is to outlive its test. What it has not ended itself when its process has is looked at
/// like any other orphan.
fn is_fixture(subject: Subject, look: &dyn Inspector) -> bool {
    matches!(subject, Subject::Process { pid } if look.is_fixture(pid))
}
