//! A process that runs tests, thread by thread, and every order in which they can come to run:
//! libtest's main thread, the threads of tests, and those that tests leave behind.
//!
//! The agent's own code (`events.rs`) decides what is sent; here stands what libtest, the standard
//! library's stdout and the kernel do around it. Small plans are played through in every schedule
//! that leaves a thread before it has to wait in no more than a few lookup, larger ones by
//! property (`PROPTEST_CASES` says how often).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::AgentChannel;
use super::tests::Nobody;
use crate::frames::kinds;
use crate::model::outcome::Outcome;
use crate::process::event::Stream;
use crate::protocol::channel::{Channel, ChannelEvent, ChannelSummary, FatalCause, FatalEvent};

#[allow(dead_code)]
#[path = "../../agent/events.rs"]
mod events;
#[allow(dead_code)]
#[path = "../../agent/frame.rs"]
mod frame;

use events::{Events, Wire};
use frame::{Frame, Queue};

/// One thing that a test does, at once as far as others can tell.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    /// Writes text without a line's end to std's stdout.
    Word,
    /// Writes a line to it.
    Line,
    /// Writes what libtest says of a test that passes, of the first test, without a line's end.
    Forgery,
    /// More than the buffer of stdout holds.
    Flood,
    /// Starts a thread that lives until the process ends.
    Leave,
    /// Starts a thread that ends the process.
    LeaveExit(i32),
    Exit(i32),
    /// Kills its own process by a call that the agent sees.
    Kill,
    Panic,
}

#[derive(Debug, Clone)]
struct Test {
    is_ignored: bool,
    deeds: Vec<Deed>,
}

fn test(deeds: &[Deed]) -> Test {
    Test { is_ignored: false, deeds: deeds.to_vec() }
}

fn ignored() -> Test {
    Test { is_ignored: true, deeds: Vec::new() }
}

/// Which thread goes on, where several can: 0 is the one that ran last.
#[derive(Debug, Clone, Default)]
struct Schedule {
    given: Vec<usize>,
    asked: Vec<usize>,
}

impl Schedule {
    fn choose(&mut self, of: usize) -> usize {
        let given = self.given.get(self.asked.len()).copied().unwrap_or(0);
        self.asked.push(of);
        given % of
    }

    /// The next schedule with no more than so many switches; none after the last.
    fn next(mut self, most_switches: usize) -> Option<Schedule> {
        self.given.resize(self.asked.len(), 0);
        while let Some(last) = self.given.pop() {
            let switches = self.given.iter().filter(|choice| **choice > 0).count();
            if last + 1 < self.asked[self.given.len()] && switches < most_switches {
                self.given.push(last + 1);
                return Some(Schedule { given: self.given, asked: Vec::new() });
            }
        }
        None
    }
}

/// The pipe to the runner.
#[derive(Default)]
struct Pipe(Vec<u8>);

impl Wire for Pipe {
    fn send(&mut self, waiting: &[u8], head: &[u8], tail: &[u8]) -> bool {
        assert!(head.len() + tail.len() <= kinds::LONGEST && waiting.len() <= kinds::LONGEST);
        [waiting, head, tail].iter().for_each(|piece| self.0.extend_from_slice(piece));
        true
    }
}

impl Pipe {
    fn frame(&mut self, mut frame: Frame, tail: &[u8]) {
        let head = frame.close(tail.len()).to_vec();
        self.send(&[], &head, tail);
    }
}

/// What the agent keeps of a thread.
struct Thread {
    number: u32,
    /// Which of the tests runs in it, or has started it.
    of: usize,
    test: u32,
    birth: Queue,
    missing: Option<usize>,
    is_test: bool,
    is_told: bool,
    is_sent: bool,
    has_ended: bool,
    deeds: VecDeque<Deed>,
    /// The rest of a deed that takes two steps.
    then: Option<FatalCause>,
    result_is_sent: bool,
}

/// What libtest's main thread does next.
#[derive(Debug, Clone, PartialEq)]
enum Next {
    Begin,
    Write(String, Box<Next>),
    EndLine(Box<Next>),
    Create(usize),
    Receive,
    Join(usize),
    Finish,
    Gone,
}

/// The capacity of the standard library's stdout.
const CAPACITY: usize = 1024;

struct World {
    tests: Vec<Test>,
    concurrency: usize,
    events: Events,
    pipe: Pipe,
    /// std's stdout, as far as nobody has written it out.
    stdout: Vec<u8>,
    next: Next,
    remaining: VecDeque<usize>,
    pending: usize,
    results: VecDeque<usize>,
    threads: Vec<Thread>,
    thread_of: BTreeMap<usize, usize>,
    failed: BTreeSet<usize>,
    said: BTreeMap<usize, Outcome>,
    /// How the process ended, and by whom.
    end: Option<(Option<usize>, FatalCause)>,
}

impl World {
    fn new(tests: &[Test], concurrency: usize) -> World {
        let suite = format!(
            "{{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": {} }}",
            tests.len()
        );
        World {
            tests: tests.to_vec(),
            concurrency,
            events: Events::NEW,
            pipe: Pipe::default(),
            stdout: Vec::new(),
            next: Next::Write(suite, Next::Begin.into()),
            remaining: (0..tests.len()).collect(),
            pending: 0,
            results: VecDeque::new(),
            threads: Vec::new(),
            thread_of: BTreeMap::new(),
            failed: BTreeSet::new(),
            said: BTreeMap::new(),
            end: None,
        }
    }

    /// Runs until the process ends; gives what the runner reads.
    fn run(mut self, schedule: &mut Schedule) -> World {
        let mut last = 0;
        while self.end.is_none() {
            let mut able: Vec<usize> =
                (0..=self.threads.len()).filter(|thread| self.can_run(*thread)).collect();
            if let Some(at) = able.iter().position(|thread| *thread == last) {
                able.swap(0, at);
            }
            last = able[schedule.choose(able.len())];
            match last {
                0 => self.main_goes_on(),
                thread => self.thread_goes_on(thread - 1),
            }
        }
        self
    }

    fn can_run(&self, thread: usize) -> bool {
        let Some(thread) = thread.checked_sub(1) else {
            return match &self.next {
                Next::Receive => !self.results.is_empty(),
                Next::Join(test) => self.may_join(*test),
                _ => true,
            };
        };
        let is_waiting = |thread: &Thread| {
            !thread.is_test && thread.is_sent && thread.deeds.is_empty() && thread.then.is_none()
        };
        !self.threads[thread].has_ended && !is_waiting(&self.threads[thread])
    }

    /// Whoever joins a test's thread waits for its end, and for news that are on their way.
    fn may_join(&self, test: usize) -> bool {
        let own = &self.threads[self.thread_of[&test]];
        let is_on_its_way =
            |thread: &Thread| thread.of == test && thread.is_told && !thread.is_sent;
        own.has_ended && !self.threads.iter().any(is_on_its_way)
    }

    fn main_goes_on(&mut self) {
        self.next = match std::mem::replace(&mut self.next, Next::Gone) {
            Next::Write(text, then) => {
                // `LineWriter`: text without a line's end stays in the buffer, if it fits.
                if self.stdout.len() + text.len() > CAPACITY {
                    let buffered = std::mem::take(&mut self.stdout);
                    if !buffered.is_empty() {
                        self.events.write(&buffered, &mut self.pipe);
                    }
                }
                match text.len() < CAPACITY {
                    true => self.stdout.extend_from_slice(text.as_bytes()),
                    false => drop(self.events.write(text.as_bytes(), &mut self.pipe)),
                }
                Next::EndLine(then)
            }
            Next::EndLine(then) => {
                let line = [std::mem::take(&mut self.stdout), b"\n".to_vec()].concat();
                self.events.write(&line, &mut self.pipe);
                *then
            }
            Next::Begin if self.pending < self.concurrency && !self.remaining.is_empty() => {
                let test = self.remaining.pop_front().unwrap();
                self.pending += 1;
                let then = match self.tests[test].is_ignored {
                    true => {
                        self.results.push_back(test);
                        Next::Begin
                    }
                    false => Next::Create(test),
                };
                let text = format!(
                    "{{ \"type\": \"test\", \"event\": \"started\", \"name\": \"{}\" }}",
                    name(test)
                );
                Next::Write(text, then.into())
            }
            Next::Begin if self.pending > 0 => Next::Receive,
            Next::Begin => {
                let count = |outcome| self.said.values().filter(|said| **said == outcome).count();
                let text = format!(
                    "{{ \"type\": \"suite\", \"event\": \"ok\", \"passed\": {}, \"failed\": {}, \
                     \"ignored\": {}, \"measured\": 0 }}",
                    count(Outcome::Passed),
                    count(Outcome::Failed),
                    count(Outcome::Ignored)
                );
                Next::Write(text, Next::Finish.into())
            }
            Next::Create(test) => {
                let number = self.threads.len() as u32 + 1;
                let mut birth = Queue::EMPTY;
                let started = self.events.begin_thread(number, &mut birth, &mut self.pipe);
                let started = started.expect("a thread of libtest's main thread is a test");
                let deeds = self.tests[test].deeds.clone();
                self.thread_of.insert(test, self.threads.len());
                let thread = thread(test, started.test, true, number, birth, deeds);
                self.threads.push(Thread { missing: started.missing, ..thread });
                Next::Begin
            }
            Next::Receive => {
                let test = self.results.pop_front().unwrap();
                self.pending -= 1;
                match self.tests[test].is_ignored {
                    true => self.verdict(test, Outcome::Ignored),
                    false => Next::Join(test),
                }
            }
            Next::Join(test) => {
                let thread = self.thread_of[&test];
                (0..self.threads.len())
                    .filter(|at| self.threads[*at].of == test)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .for_each(|at| self.tell_start(at));
                let Thread { number, test: given, .. } = self.threads[thread];
                let ended = Frame::new(kinds::THREAD_ENDED).u32(number).u64(0);
                self.events.join(given, ended, &mut self.pipe);
                let outcome = match self.failed.contains(&test) {
                    true => Outcome::Failed,
                    false => Outcome::Passed,
                };
                self.verdict(test, outcome)
            }
            Next::Finish => {
                self.die(None, FatalCause::Exit(0));
                Next::Gone
            }
            Next::Gone => unreachable!("the process has ended"),
        };
    }

    fn verdict(&mut self, test: usize, outcome: Outcome) -> Next {
        self.said.insert(test, outcome);
        let (event, more) = match outcome {
            Outcome::Passed => ("ok", ", \"exec_time\": 0.001".to_owned()),
            Outcome::Failed => {
                // More than the buffer holds, and more than a frame.
                ("failed", format!(", \"stdout\": \"{}\"", "a panic\\n".repeat(500)))
            }
            _ => ("ignored", String::new()),
        };
        let text = format!(
            "{{ \"type\": \"test\", \"name\": \"{}\", \"event\": \"{event}\"{more} }}",
            name(test)
        );
        Next::Write(text, Next::Begin.into())
    }

    fn thread_goes_on(&mut self, at: usize) {
        let thread = &mut self.threads[at];
        if !thread.is_told {
            thread.is_told = true;
            return;
        }
        if !thread.is_sent {
            return self.send_start(at);
        }
        if let Some(how) = thread.then {
            let of = thread.of;
            return self.die(Some(of), how);
        }
        if let Some(deed) = thread.deeds.pop_front() {
            return self.does(at, deed);
        }
        if thread.is_test && !thread.result_is_sent {
            thread.result_is_sent = true;
            return self.results.push_back(thread.of);
        }
        thread.has_ended = true;
    }

    fn does(&mut self, at: usize, deed: Deed) {
        let Thread { number, test, of, .. } = self.threads[at];
        match deed {
            Deed::Word => self.print(at, b"word"),
            Deed::Line => self.print(at, b"line\n"),
            Deed::Forgery => {
                let text = format!(
                    "{{ \"type\": \"test\", \"name\": \"{}\", \"event\": \"ok\" }}",
                    name(0)
                );
                self.print(at, text.as_bytes());
            }
            Deed::Flood => self.print(at, &[b'f'; 5000]),
            Deed::Leave | Deed::LeaveExit(_) => {
                let mut birth = Queue::EMPTY;
                let new = self.threads.len() as u32 + 1;
                let started = Frame::new(kinds::THREAD_STARTED).u32(new).u32(0).u32(number);
                let started = started.u32(test).bytes(&[0]).stack(&[1, 2]);
                started.wait_in(&mut birth, &[]).unwrap();
                let deeds = match deed {
                    Deed::LeaveExit(code) => vec![Deed::Exit(code)],
                    _ => Vec::new(),
                };
                self.threads.push(thread(of, test, false, new, birth, deeds));
            }
            Deed::Exit(code) => {
                let frame = Frame::new(kinds::EXITING).u32(code as u32).u32(number).u32(test);
                self.pipe.frame(frame, &[]);
                self.threads[at].then = Some(FatalCause::Exit(code));
            }
            Deed::Kill => {
                let frame = Frame::new(kinds::CRASHING).u32(9).u32(number).u32(test);
                self.pipe.frame(frame.u64(0).u64(0), &[]);
                self.threads[at].then = Some(FatalCause::Signal(9));
            }
            Deed::Panic => {
                self.failed.insert(of);
            }
        }
    }

    /// A thread that is no main thread writes to std's stdout.
    fn print(&mut self, at: usize, text: &[u8]) {
        let Thread { number, test, .. } = self.threads[at];
        self.stdout.extend_from_slice(text);
        if text.ends_with(b"\n") || self.stdout.len() > CAPACITY {
            let bytes = std::mem::take(&mut self.stdout);
            for part in frame::parts(&bytes) {
                let frame = Frame::new(kinds::OUTPUT)
                    .u32(number)
                    .u32(test)
                    .bytes(&[1])
                    .u64(kinds::UNKNOWN_PLACE);
                self.pipe.frame(frame, part);
            }
        }
    }

    fn tell_start(&mut self, at: usize) {
        if !self.threads[at].is_told {
            self.threads[at].is_told = true;
            self.send_start(at);
        }
    }

    fn send_start(&mut self, at: usize) {
        let thread = &mut self.threads[at];
        if let Some(place) = thread.missing {
            thread.birth.fill_in(place, 1000 + thread.number);
        }
        if !thread.birth.waiting().is_empty() {
            self.pipe.send(thread.birth.waiting(), &[], &[]);
        }
        thread.is_sent = true;
    }

    /// `exit` runs the agent's destructor; a signal runs nothing.
    fn die(&mut self, by: Option<usize>, how: FatalCause) {
        self.end = Some((by, how));
        if let FatalCause::Signal(_) = how {
            return;
        }
        if by.is_none() {
            self.events.flush(&mut self.pipe);
        }
        for at in 0..self.threads.len() {
            let Thread { number, test, is_test, has_ended, .. } = self.threads[at];
            if !has_ended && !is_test {
                self.tell_start(at);
                let frame = Frame::new(kinds::THREAD_ALIVE).u32(number).u32(1000 + number);
                self.pipe.frame(frame.u32(test), b"left");
            }
        }
        self.pipe.frame(Frame::new(kinds::GOODBYE), &[]);
    }

    /// Plays what was sent to the runner, and holds what that makes of it against what happened.
    fn check(&self) -> Result<(), TestCaseError> {
        let names: Vec<String> = (0..self.tests.len()).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let lingers = vec![Duration::ZERO; names.len()];
        let mut agent = Box::new(AgentChannel::new(1, names, lingers, true));
        let heard = agent.feed(Stream::Channel, &self.pipe.0);
        prop_assert!(!agent.is_broken);
        for (place, thread) in &self.thread_of {
            let bound = agent.tests.of_number(self.threads[*thread].test);
            prop_assert!(bound.is_none_or(|bound| bound == *place), "a number means another test");
        }
        let left = agent.finish(&Nobody);
        let verdicts = self.verdicts(&heard, &left)?;
        let began: BTreeSet<usize> = heard
            .iter()
            .filter_map(|h| if let ChannelEvent::TestStarted(t) = h { Some(*t) } else { None })
            .collect();
        match self.end {
            Some((None, _)) => {
                let is_whole = verdicts.len() == self.tests.len();
                let is_known = left.counted.is_none() || left.counted != Some(left.heard);
                let is_lost = is_known || !left.retracted.is_empty();
                prop_assert!(is_whole || is_lost, "a verdict is lost, and nobody knows");
                prop_assert!(left.said_goodbye);
            }
            Some((Some(by), how)) => {
                // Who did it is known, unless another thread has written out its name, or a forged
                // event stands on the line with it, and neither is believed.
                let found = left.fatal_events.iter().find(|culprit| culprit.cause == how);
                let names_are_lost = self.tests.iter().any(|test| {
                    test.deeds
                        .iter()
                        .any(|deed| matches!(deed, Deed::Line | Deed::Flood | Deed::Forgery))
                });
                match found {
                    Some(FatalEvent { test, .. }) => {
                        // Of two that do the same at once, the first counts.
                        prop_assert!(*test == by || self.does_too(*test, how), "an innocent");
                        prop_assert!(began.contains(test));
                    }
                    None => prop_assert!(names_are_lost, "nobody did it"),
                }
            }
            None => unreachable!("it ran to its end"),
        }
        let owners: BTreeSet<usize> = left.findings.keys().copied().collect();
        let alive = self.threads.iter().filter(|thread| !thread.is_test && !thread.has_ended);
        let alive: BTreeSet<usize> = alive.map(|thread| thread.of).collect();
        prop_assert!(owners.is_subset(&alive), "left behind by another: {owners:?} {alive:?}");
        Ok(())
    }

    /// Whether a test was about to end the process in the same way.
    fn does_too(&self, test: usize, how: FatalCause) -> bool {
        self.threads.iter().any(|thread| thread.of == test && thread.then == Some(how))
    }

    /// The verdicts that stand; each is right.
    fn verdicts(
        &self,
        heard: &[ChannelEvent],
        left: &ChannelSummary,
    ) -> Result<BTreeMap<usize, Outcome>, TestCaseError> {
        let mut verdicts = BTreeMap::new();
        for heard in heard {
            let ChannelEvent::TestFinished(ended) = heard else { continue };
            if left.retracted.contains(&ended.test) {
                continue;
            }
            let true_one = self.said.get(&ended.test).copied();
            prop_assert_eq!(Some(ended.outcome), true_one, "a wrong verdict of {}", ended.test);
            prop_assert_eq!(verdicts.insert(ended.test, ended.outcome), None, "a second one");
        }
        Ok(verdicts)
    }
}

fn thread(
    of: usize,
    test: u32,
    is_test: bool,
    number: u32,
    birth: Queue,
    deeds: Vec<Deed>,
) -> Thread {
    Thread {
        number,
        of,
        test,
        birth,
        missing: None,
        is_test,
        is_told: false,
        is_sent: false,
        has_ended: false,
        deeds: deeds.into(),
        then: None,
        result_is_sent: false,
    }
}

fn name(test: usize) -> String {
    format!("tests::{}", ["a", "b", "c", "d", "e", "f"][test])
}

/// Every schedule with no more than so many switches; tells how many there were.
fn play(tests: &[Test], concurrency: usize, most_switches: usize) -> usize {
    let (mut schedule, mut played) = (Some(Schedule::default()), 0);
    while let Some(mut now) = schedule.take() {
        let world = World::new(tests, concurrency).run(&mut now);
        if let Err(error) = world.check() {
            let sent = String::from_utf8_lossy(&world.pipe.0).into_owned();
            panic!("{error}\nof {tests:?}\nin {:?}\nsent: {sent:?}", now.given);
        }
        played += 1;
        schedule = now.next(most_switches);
    }
    played
}

/// Whatever two tests do side by side, with an ignored one among them or behind them.
#[test]
fn two_tests_in_every_order() {
    use Deed::*;
    let one_of = [
        vec![],
        vec![Word],
        vec![Line],
        vec![Flood],
        vec![Forgery],
        vec![Forgery, Line],
        vec![Leave],
        vec![LeaveExit(3)],
        vec![Exit(0)],
        vec![Exit(3)],
        vec![Kill],
        vec![Panic],
        vec![Word, Panic],
    ];
    let mut played = 0;
    for first in &one_of {
        for second in &one_of {
            for concurrency in [1, 2] {
                let tests = [test(first), ignored(), test(second)];
                played += play(&tests, concurrency, 2);
                played += play(&[ignored(), test(first), test(second)], concurrency, 1);
                played += play(&[test(first), test(second), ignored()], concurrency, 1);
            }
        }
    }
    assert!(played > 10_000, "only {played}");
}

fn any_deeds() -> impl Strategy<Value = Vec<Deed>> {
    use Deed::*;
    let deed = prop_oneof![
        4 => Just(Word),
        4 => Just(Line),
        1 => Just(Flood),
        2 => Just(Forgery),
        3 => Just(Leave),
        1 => Just(LeaveExit(3)),
        1 => prop::sample::select(vec![Exit(0), Exit(3), Exit(101)]),
        1 => Just(Kill),
        2 => Just(Panic),
    ];
    prop::collection::vec(deed, 0..4)
}

proptest! {
    #[test]
    fn many_tests_in_any_order(
        tests in prop::collection::vec((any_deeds(), prop::bool::weighted(0.2)), 1..6),
        concurrency in 1_usize..4,
        switches in prop::collection::vec(0_usize..6, 0..200),
    ) {
        let tests: Vec<Test> = tests
            .into_iter()
            .map(|(deeds, is_ignored)| if is_ignored { ignored() } else { test(&deeds) })
            .collect();
        let mut schedule = Schedule { given: switches, asked: Vec::new() };
        let world = World::new(&tests, concurrency).run(&mut schedule);
        let sent = String::from_utf8_lossy(&world.pipe.0);
        world.check().map_err(|error| TestCaseError::fail(format!("{error}\nsent: {sent:?}")))?;
    }
}
