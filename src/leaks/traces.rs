//! What the agent reported about threads, panics and processes of one worker, by test. Pure: facts
//! in, findings out; names of functions and rules come later.

mod findings;
mod place;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::frames::{Address, Frame};
use crate::leaks::finding::Subject;
use crate::leaks::traces::place::Place;
use crate::process::clock;

#[derive(Debug, Default)]
pub struct Traces {
    threads: BTreeMap<u32, Thread>,
    processes: BTreeMap<u32, Process>,
    /// The newest process of each number that a test started, also those that are gone.
    started: BTreeMap<u32, Started>,
    /// Where each test has started processes.
    starts: FxHashMap<usize, Place>,
    /// Whether processes were started while no test ran, or by none.
    starts_outside_tests: bool,
    /// When each test ended.
    ended: FxHashMap<usize, Instant>,
    /// What came about threads before the news of their start: two threads may tell of one,
    /// each on its own way. A test's own thread is never told of, so the oldest are dropped.
    early: BTreeMap<u32, Vec<Frame>>,
    /// How many frames that are.
    early_frames: usize,
}

#[derive(Debug)]
struct Thread {
    test: usize,
    tid: u32,
    name: String,
    stack: Vec<Address>,
    ended: Option<Instant>,
    lingered: Option<Lingered>,
    is_released: bool,
    /// Those that are under way, and the one that has ended it. What somebody catches on the way is
    /// heard of, and is forgotten.
    panics: Vec<Panic>,
}

#[derive(Debug)]
struct Panic {
    number: u32,
    message: String,
    methods: [Address; 2],
    raised: Vec<Address>,
    /// It has come to the start of its thread: who joins that hears of it.
    has_ended_thread: bool,
}

/// It was seen alive when its linger had passed, and not about to end.
#[derive(Debug, Clone, Copy)]
struct Lingered {
    was_waiting: bool,
    /// When it was seen last.
    seen: Instant,
}

#[derive(Debug)]
struct Process {
    test: usize,
    /// None where it is not known which of its test's calls started it.
    stack: Option<Vec<Address>>,
    /// It was there at that time.
    began: Instant,
    ended: Option<Instant>,
    lingered: Option<Lingered>,
    command: String,
}

#[derive(Debug)]
struct Started {
    test: usize,
    stack: Vec<Address>,
}

/// In news of a process whose number libc keeps to itself.
const UNTOLD: u32 = 0;

/// How soon a process that has outlived its linger is looked at again.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// Frames about unknown threads that are kept at the most: as many as can be on their way.
const MOST_EARLY: usize = 1024;

/// The thread that a frame adds something to.
fn thread_of(frame: &Frame) -> Option<u32> {
    match frame {
        Frame::ThreadEnded { thread, .. }
        | Frame::ThreadAlive { thread, .. }
        | Frame::ThreadRuns { thread, .. }
        | Frame::ThreadJoined { thread, .. }
        | Frame::ThreadDetached { thread }
        | Frame::PanicRaised { thread, .. }
        | Frame::PanicCaught { thread, .. } => Some(*thread),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Traces {
    /// Takes a frame; `test_of` turns the agent's number of a test into ours.
    pub fn take(&mut self, frame: Frame, test_of: &dyn Fn(u32) -> Option<usize>, now: Instant) {
        let about = thread_of(&frame).filter(|thread| !self.threads.contains_key(thread));
        if let Some(thread) = about {
            return self.keep_for_later(thread, frame);
        }
        match frame {
            Frame::ThreadStarted { thread, tid, test, detached, stack, .. } => {
                let Some(test) = test_of(test) else { return };
                let (name, ended, panics) = (String::new(), None, Vec::new());
                let (lingered, is_released) = (None, detached);
                let started =
                    Thread { test, tid, name, stack, ended, lingered, is_released, panics };
                self.threads.insert(thread, started);
                let early = self.early_frames_of(thread);
                early.into_iter().for_each(|frame| self.take(frame, test_of, now));
            }
            Frame::ThreadEnded { thread, name, .. } => self.thread_ended(thread, &name, now),
            Frame::ThreadAlive { thread, name, .. } => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    thread.name = text(&name);
                }
            }
            Frame::ThreadRuns { thread, tid } => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    thread.tid = tid;
                }
            }
            Frame::ThreadJoined { thread, .. } => drop(self.threads.remove(&thread)),
            Frame::ThreadDetached { thread } => {
                if let Some(detached) = self.threads.get_mut(&thread) {
                    detached.is_released = true;
                    self.forget_if_settled(thread);
                }
            }
            Frame::PanicRaised { thread, panic, methods, stack, message, .. } => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    let (number, raised, has_ended_thread) = (panic, stack, false);
                    let message = text(&message);
                    let panic = Panic { number, message, methods, raised, has_ended_thread };
                    thread.panics.push(panic);
                }
            }
            Frame::PanicCaught { thread, panic: number, by_std } => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    let of_number = |panic: &&mut Panic| panic.number == number;
                    if let Some(panic) = thread.panics.iter_mut().find(of_number) {
                        panic.has_ended_thread = by_std;
                    }
                    thread.panics.retain(|panic| panic.number != number || by_std);
                }
            }
            Frame::ProcessStarted { process, test, stack, .. } => match test_of(test) {
                Some(test) => self.process_started(process, test, stack, now),
                None => self.starts_outside_tests = true,
            },
            Frame::ProcessReaped { process } => self.process_ended(process, now),
            _ => {}
        }
    }

    fn early_frames_of(&mut self, thread: u32) -> Vec<Frame> {
        let early = self.early.remove(&thread).unwrap_or_default();
        self.early_frames -= early.len();
        early
    }

    fn keep_for_later(&mut self, thread: u32, frame: Frame) {
        if self.early_frames == MOST_EARLY {
            let oldest = self.early.pop_first().map(|(_, frames)| frames.len());
            self.early_frames -= oldest.unwrap_or_default();
        }
        self.early.entry(thread).or_default().push(frame);
        self.early_frames += 1;
    }

    fn process_started(&mut self, pid: u32, test: usize, stack: Vec<Address>, now: Instant) {
        self.starts.entry(test).or_insert_with(|| Place::One(stack.clone())).add(&stack);
        // libc keeps some numbers to itself: such a process is found by its mark.
        if pid != UNTOLD {
            let (ended, lingered, command) = (None, None, String::new());
            let own = Some(stack.clone());
            let started = Process { test, stack: own, began: now, ended, lingered, command };
            self.processes.insert(pid, started);
            self.started.insert(pid, Started { test, stack });
        }
    }

    fn thread_ended(&mut self, number: u32, name: &[u8], now: Instant) {
        let Some(thread) = self.threads.get_mut(&number) else { return };
        thread.ended = Some(now);
        // Without a catch a panic ends the process: one that is not told was somebody's.
        thread.panics.retain(|panic| panic.has_ended_thread);
        if !name.is_empty() {
            thread.name = text(name);
        }
        self.forget_if_settled(number);
    }

    /// A thread that has ended, was not seen alive after its linger, and carries no panic has
    /// left nothing.
    fn forget_if_settled(&mut self, number: u32) {
        let is_settled = self.threads.get(&number).is_some_and(|thread| {
            thread.ended.is_some() && thread.panics.is_empty() && thread.lingered.is_none()
        });
        if is_settled {
            self.threads.remove(&number);
        }
    }

    pub fn test_ended(&mut self, test: usize, now: Instant) {
        self.ended.insert(test, now);
    }

    /// Whether all that the test started has come to a clean end.
    pub fn is_clean(&self, test: usize) -> bool {
        !self.threads.values().any(|thread| thread.test == test)
            && !self.processes.values().any(|process| process.test == test)
    }

    /// Whether nothing of the test can change any more before its process ends.
    pub fn is_final(&self, test: usize) -> bool {
        let mut threads = self.threads.values().filter(|thread| thread.test == test);
        let mut processes = self.processes.values().filter(|process| process.test == test);
        threads.all(|thread| thread.ended.is_some() && thread.is_released)
            && processes.all(|process| process.ended.is_some())
    }

    /// What is alive as far as is known, and what its test's end and linger have to say to it.
    fn living(&self) -> impl Iterator<Item = (Subject, usize, Option<Lingered>)> + '_ {
        let threads = self.threads.iter().filter(|(_, thread)| thread.ended.is_none());
        let threads = threads.map(|(number, thread)| {
            (Subject::Thread { number: *number, tid: thread.tid }, thread.test, thread.lingered)
        });
        let processes = self.processes.iter().filter(|(_, process)| process.ended.is_none());
        let processes = processes
            .map(|(pid, process)| (Subject::Process { pid: *pid }, process.test, process.lingered));
        threads.chain(processes)
    }

    /// What is alive although its test has ended and its linger has passed.
    pub fn overdue(&self, linger: impl Fn(usize) -> Duration, now: Instant) -> Vec<Subject> {
        let living = self.living().filter_map(|(subject, test, lingered)| {
            let due = self.due_for(subject, test, lingered, &linger)?;
            (due <= now).then_some(subject)
        });
        living.collect()
    }

    /// When something has to be looked at next.
    pub fn due(&self, linger: impl Fn(usize) -> Duration) -> Option<Instant> {
        let due = |(subject, test, lingered)| self.due_for(subject, test, lingered, &linger);
        self.living().filter_map(due).min()
    }

    /// None where it need not be looked at (any more).
    fn due_for(
        &self,
        subject: Subject,
        test: usize,
        lingered: Option<Lingered>,
        linger: impl Fn(usize) -> Duration,
    ) -> Option<Instant> {
        let ended = *self.ended.get(&test)?;
        match (lingered, subject) {
            (None, _) => Some(clock::after(ended, linger(test))),
            // Its own process tells when it ends.
            (Some(_), Subject::Thread { .. }) => None,
            // Nobody may ever wait for it: how long it lived on is known to a tenth.
            (Some(Lingered { seen, .. }), Subject::Process { .. }) => {
                let soon = (seen - ended) / 10;
                Some(clock::after(seen, soon.max(LEAST_PAUSE)))
            }
        }
    }

    /// Whether something is within its linger, or may be about to end.
    pub fn has_pending(&self) -> bool {
        self.open().next().is_some()
    }

    /// What may still end within its linger.
    fn open(&self) -> impl Iterator<Item = Subject> + '_ {
        let is_open =
            |test, lingered: Option<Lingered>| lingered.is_none() && self.ended.contains_key(&test);
        let open = self.living().filter(move |(_, test, lingered)| is_open(*test, *lingered));
        open.map(|(subject, ..)| subject)
    }

    /// The threads among that, and where they were started.
    pub fn pending_threads(&self) -> impl Iterator<Item = (u32, &[Address])> {
        self.open().filter_map(|subject| match subject {
            Subject::Thread { number, .. } => Some((number, &*self.threads.get(&number)?.stack)),
            Subject::Process { .. } => None,
        })
    }

    /// The processes among that.
    pub fn pending_processes(&self) -> impl Iterator<Item = u32> + '_ {
        self.open().filter_map(|subject| match subject {
            Subject::Process { pid } => Some(pid),
            Subject::Thread { .. } => None,
        })
    }

    /// It was looked at after its linger, and was neither gone nor about to go. What it is called
    /// is known from now on, however it ends.
    pub fn note_lingering(
        &mut self,
        subject: Subject,
        was_waiting: bool,
        name: Option<String>,
        now: Instant,
    ) {
        let (lingered, named) = match subject {
            Subject::Thread { number, .. } => match self.threads.get_mut(&number) {
                Some(thread) => (&mut thread.lingered, &mut thread.name),
                None => return,
            },
            Subject::Process { pid } => match self.processes.get_mut(&pid) {
                Some(process) => (&mut process.lingered, &mut process.command),
                None => return,
            },
        };
        lingered.get_or_insert(Lingered { was_waiting, seen: now }).seen = now;
        if let Some(name) = name {
            *named = name;
        }
    }

    pub fn has_lingered(&self, subject: Subject) -> bool {
        self.living().any(|(living, _, lingered)| living == subject && lingered.is_some())
    }

    /// It is not there any more, whoever may have told.
    pub fn is_gone(&mut self, subject: Subject, now: Instant) {
        match subject {
            Subject::Thread { number, .. } => self.thread_ended(number, b"", now),
            Subject::Process { pid } => self.process_ended(pid, now),
        }
    }

    /// One that has not outlived its linger has left nothing.
    fn process_ended(&mut self, pid: u32, now: Instant) {
        match self.processes.get_mut(&pid) {
            Some(process) if process.lingered.is_some() => {
                process.ended.get_or_insert(now);
            }
            _ => drop(self.processes.remove(&pid)),
        }
    }

    /// The worker has ended, and with it its threads: what they might have done is not known.
    pub fn worker_ended(&mut self) {
        self.threads.retain(|_, thread| thread.ended.is_some() || thread.lingered.is_some());
    }

    pub fn has_started_processes(&self, test: usize) -> bool {
        self.starts.contains_key(&test)
    }

    /// The test of a process that nobody has waited for.
    pub fn test_of(&self, pid: u32) -> Option<usize> {
        Some(self.processes.get(&pid)?.test)
    }

    /// When a process that is not known to have ended was there at the latest.
    pub fn began(&self, pid: u32) -> Option<Instant> {
        Some(self.processes.get(&pid)?.began)
    }

    pub fn has_process(&self, pid: u32) -> bool {
        self.processes.contains_key(&pid)
    }

    /// The test of the process that began one of these groups or sessions.
    pub fn test_of_kin(&self, kin: [u32; 2]) -> Option<usize> {
        Some(self.kin(kin)?.test)
    }

    fn kin(&self, kin: [u32; 2]) -> Option<&Started> {
        kin.iter().find_map(|number| self.started.get(number))
    }

    /// The test that has started processes, if nothing else has: a constructor may, too.
    pub fn only_starter(&self) -> Option<usize> {
        if self.starts_outside_tests {
            return None;
        }
        let mut starters = self.starts.keys();
        let first = starters.next()?;
        starters.next().is_none().then_some(*first)
    }

    /// A process of this test that nobody has told of, or that lost its parent. It was started
    /// where the one was to whose group or session it belongs, or else where its test starts
    /// all of its own, if that is one place.
    pub fn adopt(&mut self, pid: u32, test: usize, kin: [u32; 2], began: Instant) {
        let of_kin = self.kin(kin).filter(|started| started.test == test);
        let stack = of_kin.map(|started| started.stack.clone());
        let (ended, lingered, command) = (None, None, String::new());
        let found = Process { test, stack, began, ended, lingered, command };
        self.processes.entry(pid).or_insert(found);
    }

    /// What this test has left has been told.
    pub fn forget(&mut self, test: usize) {
        self.threads.retain(|_, thread| thread.test != test);
        self.processes.retain(|_, process| process.test != test);
    }
}

#[cfg(test)]
mod tests;
