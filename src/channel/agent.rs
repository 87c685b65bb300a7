//! The agent's channel: libtest's own events, what tests write past the capture, and what
//! they leave behind, each marked with its test.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::frames::{self, Decoder, Frame, VERSION};
use super::line::Line;
use super::places::Places;
use super::{Channel, Ended, Heard, Left, Settled};
use crate::clock;
use crate::leaks::{Finding, Module, Subject, Traces};
use crate::libtest::Bounded;
use crate::numbers::{NumberMap, NumberSet};
use crate::outcome::Outcome;
use crate::process::{Look, Stray, Stream};

pub struct Agent<'n> {
    /// The worker's number, which is part of its tests' marks.
    worker: u32,
    /// The place of each test among those that were handed out.
    places: Places<'n>,
    decoder: Decoder,
    /// The agent's numbers of the tests.
    tests: NumberMap<u32, usize>,
    /// The threads that belong to tests, by the agent's numbers of both.
    runs_test: NumberMap<u32, u32>,
    /// Those of them that are the tests themselves: nothing that a test could leave behind.
    are_tests: NumberSet<u32>,
    /// Processor time of the threads of a test that have ended.
    processor_time: NumberMap<usize, Duration>,
    line: Vec<u8>,
    /// The last test that libtest's events said had begun.
    last_begun: Option<usize>,
    written: NumberMap<usize, Bounded>,
    rest: Bounded,
    traces: Traces,
    modules: Vec<Module>,
    lingers: Vec<Duration>,
    /// Tests that have ended, and whose threads and processes have not.
    unsettled: Vec<usize>,
    /// Whether a test has ended that had started processes: some of theirs may have come home.
    awaits_strays: Option<Instant>,
    captures: bool,
    began: bool,
    ended: bool,
    /// The agent's own end: without it something broke the channel.
    is_broken: bool,
    /// The signal that asks for stacks.
    asks_for_stacks: Option<i32>,
    stacks_awaited: Option<u32>,
    stacks: Vec<ThreadStack>,
    culprit: Option<usize>,
    said_goodbye: bool,
}

/// Where one thread of the worker was when it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadStack {
    pub test: Option<usize>,
    pub name: String,
    pub stack: Vec<u64>,
}

/// Whether a stray without a known test has to be given to one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glance {
    Again,
    Last,
}

impl<'n> Agent<'n> {
    /// `lingers` are those of the tests that were handed out.
    pub fn new(worker: u64, names: Vec<&'n str>, lingers: Vec<Duration>, captures: bool) -> Self {
        Agent {
            // Only its last digits count.
            worker: worker as u32,
            places: Places::new(names),
            decoder: Decoder::default(),
            tests: NumberMap::default(),
            runs_test: NumberMap::default(),
            are_tests: NumberSet::default(),
            processor_time: NumberMap::default(),
            line: Vec::new(),
            last_begun: None,
            written: NumberMap::default(),
            rest: Bounded::default(),
            traces: Traces::default(),
            modules: Vec::new(),
            lingers,
            unsettled: Vec::new(),
            awaits_strays: None,
            captures,
            began: false,
            ended: false,
            is_broken: false,
            asks_for_stacks: None,
            stacks_awaited: None,
            stacks: Vec::new(),
            culprit: None,
            said_goodbye: false,
        }
    }

    fn take(&mut self, frame: Frame, heard: &mut Vec<Heard>) {
        match frame {
            Frame::Hello { version, asks_for_stacks, .. } => {
                self.is_broken = version != VERSION;
                self.asks_for_stacks = Some(asks_for_stacks);
            }
            Frame::Module { base, start, end, path } => {
                self.modules.push(Module { base, start, end, path });
            }
            Frame::Libtest { bytes } => self.libtest(&bytes, heard),
            Frame::TestStarted { test, thread, line, .. } => {
                self.runs_test.insert(thread, test);
                self.are_tests.insert(thread);
                self.libtest(&line, heard);
                self.tests.extend(self.last_begun.map(|ours| (test, ours)));
            }
            Frame::Output { test, bytes, .. } => self.wrote(test, bytes, heard),
            Frame::Exiting { test, .. } if test != 0 => {
                self.culprit = self.tests.get(&test).copied();
            }
            Frame::Goodbye => self.said_goodbye = true,
            Frame::Crashing { test, .. } => self.culprit = self.tests.get(&test).copied(),
            Frame::StacksAsked { threads } => self.stacks_awaited = Some(threads),
            Frame::Stack { test, stack, name, .. } => {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.stacks.push(ThreadStack { test: self.tests.get(&test).copied(), name, stack });
            }
            Frame::ThreadStarted { thread, test, .. } if !self.runs_test.contains_key(&thread) => {
                self.runs_test.insert(thread, test);
                self.trace(frame, heard);
            }
            Frame::ThreadEnded { thread, processor_nanoseconds, .. } => {
                let test = self.runs_test.remove(&thread);
                if let Some(test) = test.and_then(|test| self.tests.get(&test)) {
                    let took = Duration::from_nanos(processor_nanoseconds);
                    *self.processor_time.entry(*test).or_default() += took;
                }
                if !self.are_tests.remove(&thread) {
                    self.trace(frame, heard);
                }
            }
            frame => self.trace(frame, heard),
        }
    }

    fn trace(&mut self, frame: Frame, heard: &mut Vec<Heard>) {
        let tests = &self.tests;
        self.traces.take(frame, &|test| tests.get(&test).copied(), clock::now());
        self.settle(heard);
    }

    fn libtest(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            // Nearly always the line came as a whole.
            if self.line.is_empty() {
                self.line(line, heard);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.line(&whole, heard);
            }
        }
        self.line.extend_from_slice(last);
    }

    fn line(&mut self, line: &[u8], heard: &mut Vec<Heard>) {
        // Whatever else a main thread prints is nobody's verdict.
        match Line::read(line) {
            Some(event) => self.event(event, heard),
            None => self.rest.push(&[line, b"\n"].concat()),
        }
    }

    fn event(&mut self, line: Line<'_>, heard: &mut Vec<Heard>) {
        if line.kind == "suite" {
            self.began |= line.event == "started";
            self.ended |= matches!(&*line.event, "ok" | "failed");
        }
        if line.kind != "test" {
            return;
        }
        let outcome = match &*line.event {
            "started" => {
                if let Some(test) = self.places.begins(&line.name) {
                    self.last_begun = Some(test);
                    heard.push(Heard::Began(test));
                }
                return;
            }
            "ok" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "ignored" => Outcome::Ignored,
            _ => return,
        };
        let Some(test) = self.places.ends(&line.name) else { return };
        let mut output = Bounded::default();
        output.push(line.stdout.as_deref().unwrap_or_default().as_bytes());
        output.push(&self.written.remove(&test).unwrap_or_default().into_bytes());
        if let (Outcome::Failed, Some(message)) = (outcome, &line.message) {
            output.push(format!("note: {message}\n").as_bytes());
        }
        let took = line.took();
        self.traces.test_ended(test, clock::now());
        let has_started = self.traces.has_started_processes(test);
        if has_started {
            self.awaits_strays.get_or_insert_with(clock::now);
        }
        let settled = match self.traces.is_clean(test) && !has_started {
            true => Settled::Now,
            false => Settled::Later,
        };
        let reason = line.message;
        let output = Some(output.into_bytes());
        let processor = self.processor_time.remove(&test);
        heard.push(Heard::Ended(Ended {
            test,
            outcome,
            took,
            processor,
            has_started_processes: has_started,
            reason,
            output,
            settled,
        }));
        if settled == Settled::Later {
            self.unsettled.push(test);
            self.settle(heard);
        }
    }

    /// Tells of the tests of which nothing more is to come.
    fn settle(&mut self, heard: &mut Vec<Heard>) {
        if self.awaits_strays.is_some() {
            return;
        }
        let traces = &self.traces;
        let (settled, unsettled) = std::mem::take(&mut self.unsettled)
            .into_iter()
            .partition::<Vec<usize>, _>(|test| traces.is_final(*test));
        self.unsettled = unsettled;
        for test in settled {
            let findings = self.traces.findings(test, clock::now(), |_| None);
            heard.push(Heard::Settled { test, findings });
        }
    }

    fn wrote(&mut self, test: u32, bytes: Vec<u8>, heard: &mut Vec<Heard>) {
        match self.tests.get(&test) {
            Some(test) => self.written.entry(*test).or_default().push(&bytes),
            None => self.rest.push(&bytes),
        }
        if !self.captures {
            heard.push(Heard::Wrote(bytes));
        }
    }

    /// Strays become their tests'; gives those that are this worker's beyond doubt.
    fn take_home(&mut self, strays: &[Stray], look: Glance) -> Vec<u32> {
        let mut own = Vec::new();
        for stray in strays {
            let test = stray.mark.and_then(|mark| self.test_with(mark, stray.is_ours));
            // One whose test is not known yet is looked at again.
            let is_guessed = stray.mark.is_none() || look == Glance::Last;
            if test.is_some() || (stray.is_ours && is_guessed) {
                self.traces.take_home(stray.pid, test, clock::now());
                own.push(stray.pid);
            }
        }
        own
    }

    /// The newest test with this mark. Unless the process is this worker's beyond doubt, only
    /// a test that has started processes will do.
    fn test_with(&self, marked: u32, is_ours: bool) -> Option<usize> {
        let fits = |number: u32| frames::mark(self.worker, number) == marked;
        let tests = self.tests.iter().filter(|(number, _)| fits(**number));
        let tests = tests.filter(|(_, test)| is_ours || self.traces.has_started_processes(**test));
        tests.max_by_key(|(number, _)| **number).map(|(_, test)| *test)
    }

    fn linger(&self) -> impl Fn(usize) -> Duration + '_ {
        |test| self.lingers.get(test).copied().unwrap_or_default()
    }
}

impl Channel for Agent<'_> {
    fn hear(&mut self, stream: Stream, bytes: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        if stream != Stream::Channel {
            self.rest.push(bytes);
            if !self.captures && !bytes.is_empty() {
                heard.push(Heard::Wrote(bytes.to_vec()));
            }
            return heard;
        }
        self.decoder.add(bytes);
        while !self.is_broken {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.take(frame, &mut heard),
                Ok(None) => break,
                Err(_) => self.is_broken = true,
            }
        }
        heard
    }

    fn due(&self) -> Option<Instant> {
        self.awaits_strays.or_else(|| self.traces.due(self.linger()))
    }

    fn look(&mut self, look: &dyn Look) -> Vec<Heard> {
        if self.awaits_strays.take().is_some() {
            self.take_home(&look.strays(), Glance::Again);
        }
        for subject in self.traces.overdue(self.linger(), clock::now()) {
            match subject {
                Subject::Thread { tid, .. } if look.thread_rests(tid) => {
                    self.traces.note_lingering(subject);
                }
                Subject::Process { pid } if !look.process_lives(pid) => {
                    self.traces.forget_process(pid);
                }
                Subject::Process { .. } => self.traces.note_lingering(subject),
                Subject::Thread { .. } => {}
            }
        }
        let mut heard = Vec::new();
        self.settle(&mut heard);
        heard
    }

    fn stacks_signal(&self) -> Option<i32> {
        self.asks_for_stacks
    }

    fn has_stacks(&self) -> bool {
        self.stacks_awaited.is_some_and(|awaited| self.stacks.len() >= awaited as usize)
    }

    fn modules(&self) -> &[Module] {
        &self.modules
    }

    fn started_processes(&self) -> Vec<u32> {
        self.traces.processes()
    }

    fn finish(mut self: Box<Self>, look: &dyn Look, strays: &[Stray]) -> Left {
        let now = clock::now();
        let strays = self.take_home(strays, Glance::Last);
        let alive = |pid| look.command_of(pid);
        let mut findings: HashMap<usize, Vec<Finding>> = HashMap::new();
        for test in 0..self.places.count() {
            let found = self.traces.findings(test, now, alive);
            if !found.is_empty() {
                findings.insert(test, found);
            }
        }
        let outputs = self.written.into_iter().map(|(test, kept)| (test, kept.into_bytes()));
        Left {
            began: self.began && !self.is_broken,
            ended: self.ended,
            outputs: outputs.collect(),
            rest: self.rest.into_bytes(),
            was_lost: self.is_broken || (!self.said_goodbye && self.culprit.is_none()),
            findings,
            modules: self.modules,
            stacks: self.stacks,
            left_behind: Vec::new(),
            strays,
            culprit: self.culprit,
        }
    }
}
