//! What the agent told about threads, panics and processes of one worker, by test. Pure: facts
//! in, findings out; names of functions and rules come later.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use crate::channel::frames::{Address, Frame};
use crate::clock;
use crate::numbers::NumberMap;

/// Something that a test may have left behind, as far as the worker's own facts go.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub what: Left,
    /// Where it was started, innermost first.
    pub stack: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Left {
    Thread {
        name: String,
        tid: u32,
        /// How long it lived on behind its test; none where its process ended it.
        lived_on: Option<Duration>,
        /// Whether it was seen to wait for something when its linger had passed.
        was_waiting: bool,
    },
    /// A thread panicked, ended, and nobody joined it.
    Panic {
        thread: String,
        /// What it says, if it carries a text.
        message: String,
        /// The table of methods of what it carries, and the one that tells the type.
        methods: [Address; 2],
        raised: Vec<Address>,
    },
    Process {
        pid: u32,
        command: String,
        age: Duration,
    },
}

#[derive(Debug, Default)]
pub struct Traces {
    threads: BTreeMap<u32, Thread>,
    processes: BTreeMap<u32, Process>,
    /// Every process that a test started, also those that are gone.
    started: BTreeMap<u32, Process>,
    /// When each test ended.
    ended: NumberMap<usize, Instant>,
    /// What came about threads before the news of their start: two threads may tell of one,
    /// each on its own way. A test's own thread is never told of, so the oldest are dropped.
    early: BTreeMap<u32, Vec<Frame>>,
    /// How many frames that are.
    early_frames: usize,
    /// Threads and processes that were seen idle when their linger had passed.
    lingered: HashSet<Subject>,
}

/// A thread or process of the worker, as the system knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The agent's number of the thread, and the system's.
    Thread {
        number: u32,
        tid: u32,
    },
    Process {
        pid: u32,
    },
}

#[derive(Debug)]
struct Thread {
    test: usize,
    tid: u32,
    name: String,
    stack: Vec<Address>,
    ended: Option<Instant>,
    /// Told by the process at its own end.
    was_alive_at_end: bool,
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

#[derive(Debug, Clone)]
struct Process {
    test: usize,
    stack: Vec<Address>,
    began: Instant,
}

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
                let is_released = detached;
                let was_alive_at_end = false;
                let started =
                    Thread { test, tid, name, stack, ended, was_alive_at_end, is_released, panics };
                self.threads.insert(thread, started);
                let early = self.early.remove(&thread).unwrap_or_default();
                self.early_frames -= early.len();
                early.into_iter().for_each(|frame| self.take(frame, test_of, now));
            }
            Frame::ThreadEnded { thread, name, .. } => self.thread_ended(thread, &name, now),
            Frame::ThreadAlive { thread, name, .. } => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    thread.name = text(&name);
                    thread.was_alive_at_end = true;
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
            Frame::ProcessStarted { process, test, stack, .. } => {
                if let Some(test) = test_of(test) {
                    let started = Process { test, stack, began: now };
                    // A child of it that came home before this news waits for its place.
                    let waits = |p: &&mut Process| p.test == test && p.stack.is_empty();
                    for process in self.processes.values_mut().filter(waits) {
                        process.stack = started.stack.clone();
                    }
                    self.started.insert(process, started.clone());
                    self.processes.insert(process, started);
                }
            }
            Frame::ProcessReaped { process } => drop(self.processes.remove(&process)),
            _ => {}
        }
    }

    fn keep_for_later(&mut self, thread: u32, frame: Frame) {
        if self.early_frames == MOST_EARLY {
            let oldest = self.early.pop_first().map(|(_, frames)| frames.len());
            self.early_frames -= oldest.unwrap_or_default();
        }
        self.early.entry(thread).or_default().push(frame);
        self.early_frames += 1;
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

    /// A thread that has ended, was not seen idle after its linger, and carries no panic has
    /// left nothing.
    fn forget_if_settled(&mut self, number: u32) {
        let is_settled = self.threads.get(&number).is_some_and(|thread| {
            let subject = Subject::Thread { number, tid: thread.tid };
            thread.ended.is_some() && thread.panics.is_empty() && !self.lingered.contains(&subject)
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
        threads.all(|thread| thread.ended.is_some() && thread.is_released)
            && !self.processes.values().any(|process| process.test == test)
    }

    /// What is alive although its test has ended and its linger has passed, and was not seen
    /// idle yet.
    pub fn overdue(&self, linger: impl Fn(usize) -> Duration, now: Instant) -> Vec<Subject> {
        let is_late = |test: usize| {
            self.ended.get(&test).is_some_and(|ended| clock::after(*ended, linger(test)) <= now)
        };
        let threads = self.threads.iter().filter(|(_, t)| t.ended.is_none() && is_late(t.test));
        let threads =
            threads.map(|(number, thread)| Subject::Thread { number: *number, tid: thread.tid });
        let processes = self.processes.iter().filter(|(_, process)| is_late(process.test));
        let processes = processes.map(|(pid, _)| Subject::Process { pid: *pid });
        threads.chain(processes).filter(|subject| !self.lingered.contains(subject)).collect()
    }

    /// When the next linger passes.
    pub fn due(&self, linger: impl Fn(usize) -> Duration) -> Option<Instant> {
        let of_test =
            |test: usize| self.ended.get(&test).map(|ended| clock::after(*ended, linger(test)));
        let threads = self.threads.iter().filter(|(_, thread)| thread.ended.is_none());
        let threads = threads
            .filter(|(number, thread)| {
                !self.lingered.contains(&Subject::Thread { number: **number, tid: thread.tid })
            })
            .filter_map(|(_, thread)| of_test(thread.test));
        let processes = self
            .processes
            .iter()
            .filter(|(pid, _)| !self.lingered.contains(&Subject::Process { pid: **pid }))
            .filter_map(|(_, process)| of_test(process.test));
        threads.chain(processes).min()
    }

    /// It was looked at after its linger, and was neither gone nor about to go.
    pub fn note_lingering(&mut self, subject: Subject) {
        self.lingered.insert(subject);
    }

    /// The process is gone although nobody waited for it: nothing was left behind.
    pub fn forget_process(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }

    pub fn has_started_processes(&self, test: usize) -> bool {
        self.started.values().any(|process| process.test == test)
    }

    pub fn when_ended(&self, test: usize) -> Option<Instant> {
        self.ended.get(&test).copied()
    }

    /// Processes that nobody has waited for, with their tests.
    pub fn processes(&self) -> Vec<(u32, usize)> {
        self.processes.iter().map(|(pid, process)| (*pid, process.test)).collect()
    }

    /// The test of a process that nobody has waited for.
    pub fn test_of(&self, pid: u32) -> Option<usize> {
        Some(self.processes.get(&pid)?.test)
    }

    /// The test of the process that began one of these groups or sessions.
    pub fn test_of_kin(&self, kin: [u32; 2]) -> Option<usize> {
        Some(self.kin(kin)?.test)
    }

    fn kin(&self, kin: [u32; 2]) -> Option<&Process> {
        kin.iter().find_map(|number| self.started.get(number))
    }

    /// The test that has started processes, if no other has.
    pub fn only_starter(&self) -> Option<usize> {
        let mut starters = self.started.values().map(|process| process.test);
        let first = starters.next()?;
        starters.all(|test| test == first).then_some(first)
    }

    /// A process of this test that lost its parent. It was started where the one was to whose
    /// group or session it belongs, or else where its test has started one last.
    pub fn take_home(&mut self, pid: u32, test: usize, kin: [u32; 2], now: Instant) {
        let of_test = |process: &&Process| process.test == test;
        let last = || self.started.values().filter(of_test).max_by_key(|process| process.began);
        let parent = self.kin(kin).filter(of_test).or_else(last).cloned();
        let unknown = Process { test, stack: Vec::new(), began: now };
        self.processes.entry(pid).or_insert(parent.unwrap_or(unknown));
    }

    /// What a test has left, as things are now.
    ///
    /// `alive` tells the command line of a process that is still there.
    pub fn findings(
        &self,
        test: usize,
        now: Instant,
        alive: impl Fn(u32) -> Option<String>,
    ) -> Vec<Finding> {
        let threads = self.threads.iter().filter(|(_, thread)| thread.test == test);
        let threads = threads.flat_map(|(number, thread)| self.of_thread(*number, thread));
        let processes = self.processes.iter().filter(|(_, process)| process.test == test);
        let processes = processes.filter_map(|(pid, process)| {
            let age = now.saturating_duration_since(process.began);
            let what = Left::Process { pid: *pid, command: alive(*pid)?, age };
            Some(Finding { what, stack: process.stack.clone() })
        });
        threads.chain(processes).collect()
    }

    /// The panic that has ended a thread, observed or not, or else the thread itself.
    fn of_thread(&self, number: u32, thread: &Thread) -> Vec<Finding> {
        if thread.ended.is_some() && !thread.panics.is_empty() {
            return thread.panics.iter().map(|panic| of_panic(thread, panic)).collect();
        }
        let lived_on = match (thread.ended, self.ended.get(&thread.test)) {
            (Some(ended), Some(test)) => Some(ended.saturating_duration_since(*test)),
            _ => None,
        };
        let subject = Subject::Thread { number, tid: thread.tid };
        // One that a dying or ended worker took with it had no time to end by itself.
        let has_left = thread.was_alive_at_end || self.lingered.contains(&subject);
        let (name, stack) = (thread.name.clone(), thread.stack.clone());
        let was_waiting = self.lingered.contains(&subject);
        let what = Left::Thread { name, tid: thread.tid, lived_on, was_waiting };
        has_left.then_some(Finding { what, stack }).into_iter().collect()
    }
}

fn of_panic(thread: &Thread, panic: &Panic) -> Finding {
    let (name, stack) = (thread.name.clone(), thread.stack.clone());
    let (message, raised) = (panic.message.clone(), panic.raised.clone());
    let what = Left::Panic { thread: name, message, methods: panic.methods, raised };
    Finding { what, stack }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_of(number: u32) -> Option<usize> {
        number.checked_sub(1).map(|test| test as usize)
    }

    struct Play {
        traces: Traces,
        now: Instant,
    }

    impl Play {
        fn new() -> Play {
            Play { traces: Traces::default(), now: Instant::now() }
        }

        fn after(mut self, ms: u64) -> Play {
            self.now += Duration::from_millis(ms);
            self
        }

        fn frame(mut self, frame: Frame) -> Play {
            self.traces.take(frame, &test_of, self.now);
            self
        }

        fn starts(self, thread: u32, test: u32) -> Play {
            let (tid, creator, stack) = (thread + 100, 0, vec![1]);
            self.frame(Frame::ThreadStarted { thread, tid, creator, test, detached: false, stack })
        }

        fn ends(self, thread: u32) -> Play {
            let name = format!("t{thread}").into_bytes();
            self.frame(Frame::ThreadEnded { thread, processor_nanoseconds: 0, name })
        }

        fn raises(self, thread: u32, panic: u32) -> Play {
            let (stack, message, methods) = (vec![2], b"boom".to_vec(), [3, 4]);
            self.frame(Frame::PanicRaised { thread, test: 1, panic, methods, stack, message })
        }

        fn catches(self, thread: u32, panic: u32, by_std: bool) -> Play {
            self.frame(Frame::PanicCaught { thread, panic, by_std })
        }

        /// Up to the start of the thread.
        fn panics(self, thread: u32) -> Play {
            self.raises(thread, 9).catches(thread, 9, true)
        }

        fn test_ends(mut self, test: usize) -> Play {
            self.traces.test_ended(test, self.now);
            self
        }

        fn found(&self, test: usize) -> Vec<&'static str> {
            let kind = |finding: Finding| match finding.what {
                Left::Thread { lived_on: None, .. } => "alive",
                Left::Thread { .. } => "lingered",
                Left::Panic { .. } => "panic",
                Left::Process { .. } => "process",
            };
            let alive = |_| Some("sleep".to_owned());
            self.traces.findings(test, self.now, alive).into_iter().map(kind).collect()
        }
    }

    const LINGER: fn(usize) -> Duration = |_| Duration::from_millis(100);

    #[test]
    fn a_thread_that_ends_before_anybody_looked_left_nothing() {
        let play = Play::new().starts(1, 1).test_ends(0);
        assert!(!play.traces.is_clean(0) && play.traces.due(LINGER).is_some());
        let play = play.after(500).ends(1);
        assert!(play.traces.is_clean(0));
        assert_eq!(play.found(0), [""; 0]);
    }

    #[test]
    fn a_thread_that_was_seen_idle_after_its_linger_is_left_even_if_it_ends() {
        let mut play = Play::new().starts(1, 1).test_ends(0).after(100);
        let overdue = play.traces.overdue(LINGER, play.now);
        assert_eq!(overdue, [Subject::Thread { number: 1, tid: 101 }]);
        play.traces.note_lingering(overdue[0]);
        assert_eq!(play.found(0), ["alive"]);
        assert_eq!(play.traces.due(LINGER), None);
        assert_eq!(play.after(50).ends(1).found(0), ["lingered"]);
    }

    #[test]
    fn a_thread_that_is_alive_at_the_end_of_its_process_is_left() {
        let play = Play::new().starts(1, 1).test_ends(0);
        assert_eq!(play.found(0), [""; 0], "its process may have been killed");
        let (name, tid) = (b"t".to_vec(), 101);
        let play = play.frame(Frame::ThreadAlive { thread: 1, tid, test: 1, name });
        assert_eq!(play.found(0), ["alive"]);
    }

    #[test]
    fn a_joined_thread_left_nothing_whatever_it_did() {
        let joined = |play: Play| play.frame(Frame::ThreadJoined { thread: 1, joiner: 2 });
        let play = joined(Play::new().starts(1, 1).panics(1).ends(1)).test_ends(0);
        assert!(play.traces.is_clean(0));
    }

    #[test]
    fn a_panic_is_unobserved_once_its_thread_has_ended_detached() {
        let play = Play::new().starts(1, 1).panics(1).test_ends(0);
        assert_eq!(play.found(0), [""; 0]);
        let play = play.ends(1);
        assert!(!play.traces.is_final(0), "somebody may still join it");
        let play = play.frame(Frame::ThreadDetached { thread: 1 });
        assert!(play.traces.is_final(0));
        assert_eq!(play.found(0), ["panic"]);
    }

    #[test]
    fn news_of_a_thread_may_come_before_its_start() {
        let play = Play::new().panics(1).ends(1);
        let play = play.frame(Frame::ThreadDetached { thread: 1 }).starts(1, 1).test_ends(0);
        assert_eq!(play.found(0), ["panic"]);
    }

    #[test]
    fn a_panic_that_is_caught_on_its_way_left_nothing() {
        let ends = |play: Play| play.ends(1).frame(Frame::ThreadDetached { thread: 1 });
        let caught = ends(Play::new().starts(1, 1).raises(1, 7).catches(1, 7, false));
        assert!(caught.traces.is_clean(0));
        // More were under way than the agent has room for.
        let not_told = ends(Play::new().starts(1, 1).raises(1, 7));
        assert!(not_told.traces.is_clean(0));
    }

    #[test]
    fn a_catch_is_about_the_panic_that_it_names() {
        let ends = |play: Play| play.ends(1).frame(Frame::ThreadDetached { thread: 1 });
        let play = || Play::new().starts(1, 1).raises(1, 7).raises(1, 8);
        let one = ends(play().catches(1, 8, false).catches(1, 7, true));
        assert_eq!(one.found(0), ["panic"]);
        let none = ends(play().catches(1, 7, false).catches(1, 8, false));
        assert!(none.traces.is_clean(0));
    }

    /// As by every level of nested calls of `rayon::join`.
    #[test]
    fn one_that_is_raised_again_and_again_is_one() {
        let mut play = Play::new().starts(1, 1);
        for panic in 1..1_000 {
            play = play.raises(1, panic).catches(1, panic, false);
            assert_eq!(play.traces.threads[&1].panics.len(), 0);
        }
        let play = play.raises(1, 1_000).catches(1, 1_000, true).ends(1);
        assert_eq!(play.frame(Frame::ThreadDetached { thread: 1 }).found(0), ["panic"]);
    }

    /// The threads of many tests, which are never told of, push nothing out that is new.
    #[test]
    fn early_news_is_kept_for_the_newest_threads() {
        let mut play = Play::new();
        for thread in 1..5_000 {
            play = play.ends(thread);
        }
        assert!(play.traces.early_frames <= MOST_EARLY);
        let kept: usize = play.traces.early.values().map(Vec::len).sum();
        assert_eq!(play.traces.early_frames, kept);
        let play = play.panics(5_000).ends(5_000).starts(5_000, 1).test_ends(0);
        assert_eq!(play.found(0), ["panic"]);
    }

    fn process(process: u32, test: u32) -> Frame {
        Frame::ProcessStarted { process, thread: 1, test, stack: vec![u64::from(process)] }
    }

    #[test]
    fn a_stray_was_started_where_its_session_began() {
        let mut play = Play::new().frame(process(9, 1)).frame(process(10, 1)).frame(process(11, 2));
        assert_eq!(play.traces.test_of_kin([1, 9]), Some(0));
        assert_eq!(play.traces.test_of_kin([11, 1]), Some(1));
        assert_eq!(play.traces.test_of_kin([1, 2]), None);
        play.traces.take_home(90, 0, [1, 9], play.now);
        assert_eq!(play.traces.processes[&90].stack, [9]);
        play.traces.take_home(91, 1, [1, 9], play.now);
        assert_eq!(play.traces.processes[&91].stack, [11], "the session is another test's");
    }

    #[test]
    fn only_one_that_started_any_can_have_left_one() {
        let play = Play::new();
        assert_eq!(play.traces.only_starter(), None);
        let play = play.frame(process(9, 1)).frame(process(10, 1));
        assert_eq!(play.traces.only_starter(), Some(0));
        assert_eq!(play.frame(process(11, 2)).traces.only_starter(), None);
    }

    #[test]
    fn a_process_is_left_until_somebody_waits_for_it() {
        let started = Frame::ProcessStarted { process: 9, thread: 1, test: 1, stack: vec![] };
        let play = Play::new().frame(started).test_ends(0);
        assert_eq!(play.found(0), ["process"]);
        assert!(play.frame(Frame::ProcessReaped { process: 9 }).traces.is_clean(0));
    }
}
