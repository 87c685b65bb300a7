//! The agent's channel: libtest's own events, what tests write past the capture, and what
//! they leave behind, each marked with its test.

pub mod changes;
mod events;
mod left_changed;
mod orphans;
mod process_change;
pub mod state_watch;
mod test_outputs;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::changes::{Changes, InitialState};
use self::state_watch::StaticWatch;
use self::test_outputs::TestOutputs;
use rustc_hash::{FxHashMap, FxHashSet};

use super::libtest_event::Counts;
use super::long_line::{LongLine, Shortened};
use super::test_index::TestIndex;
use crate::frames::{self, Address, Decoder, Frame, VERSION};
use crate::leaks::finding::{Finding, Subject};
use crate::leaks::observations::Observations;
use crate::leaks::orphans::Orphans;
use crate::leaks::symbols::Module;
use crate::leaks::traces::Traces;
use crate::model::output::TruncatedOutput;
use crate::model::output_file::OutputFiles;
use crate::model::state_change::{StateChange, StateKind};
use crate::process::clock;
use crate::process::event::Stream;
use crate::process::inspector::{Inspector, Orphan};
use crate::protocol::channel::{
    Channel, ChannelEvent, ChannelSummary, FatalCause, FatalEvent, ThreadStack,
};

pub struct AgentChannel<'n> {
    /// The worker's place, which is part of its tests' marks.
    slot: u32,
    /// Whether a mark is of one worker only.
    marks_tell: bool,
    tests: TestIndex<'n>,
    decoder: Decoder,
    /// The threads that belong to tests, by the agent's numbers of both.
    runs_test: FxHashMap<u32, u32>,
    /// Those of them that are the tests themselves: nothing that a test could leave behind.
    are_tests: FxHashSet<u32>,
    /// Processor time of the threads of a test that have ended.
    processor_time: FxHashMap<usize, Duration>,
    /// What the main thread writes in pieces, and the test whose verdict that is.
    line: LongLine,
    line_is_of: u32,
    /// How many lines came in pieces, and which test began on which.
    lines: u32,
    begun_on: FxHashMap<u32, usize>,
    /// Events that threads of tests wrote out: their own words, or libtest's, which waited in the
    /// same buffer.
    written_by_others: VecDeque<Vec<u8>>,
    /// What was heard of tests, and what libtest said at its end.
    heard: Counts,
    counted: Option<Counts>,
    /// Tests whose verdicts did not stand on lines of their own. They count once libtest's own
    /// count agrees.
    recovered: FxHashSet<usize>,
    outputs: TestOutputs,
    rest: TruncatedOutput,
    traces: Traces,
    modules: Vec<Module>,
    lingers: Vec<Duration>,
    /// Tests that have ended, and whose threads and processes have not.
    unsettled: Vec<usize>,
    /// Whether a test has ended that had started processes: some of theirs may have come home.
    awaits_orphans: Option<Instant>,
    captures: bool,
    began: bool,
    ended: bool,
    /// The agent's own end: without it something broke the channel.
    is_broken: bool,
    /// The signal that asks for stacks.
    asks_for_stacks: Option<i32>,
    stacks_awaited: Option<u32>,
    stacks: Vec<ThreadStack>,
    /// Who has done what ends a process, if it did.
    fatal_events: Vec<FatalEvent>,
    /// Things that were there after their linger.
    observations: Observations,
    /// The process is about to end, or has done so: since when that is known.
    departs: Option<Instant>,
    /// Strays of this worker that are there now.
    orphan_pids: Vec<u32>,
    /// What nobody knows the test of.
    orphans: Orphans,
    /// What tests have changed of their process.
    changes: Changes<'n>,
    /// The statics that are compared from test to test, in a run that watches.
    statics: Option<StaticWatch>,
    /// What tests have left changed of their process, in a run that watches.
    left_changed: Vec<(usize, StateChange)>,
    said_goodbye: bool,
    output_files: Option<Arc<OutputFiles>>,
}

/// What is kept of others' events: those that wait in a buffer now are among the newest.
const MOST_BY_OTHERS: usize = 64;

const STDOUT: u8 = 1;

/// Whether an event is libtest's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// It stood alone on a line of the main thread's.
    Alone,
    /// It was found among other things.
    Recovered,
}

/// The place of the one that is wanted; none where there are several.
fn only_place<T>(all: &VecDeque<T>, mut is_wanted: impl FnMut(&T) -> bool) -> Option<usize> {
    let mut wanted = all.iter().enumerate().filter(|(_, one)| is_wanted(one)).map(|(at, _)| at);
    let first = wanted.next()?;
    wanted.next().is_none().then_some(first)
}

/// Strays whose tests are known, and others of this worker.
#[derive(Debug, Default)]
struct Adoption {
    found: Vec<u32>,
    missing: Vec<Orphan>,
}

impl<'n> AgentChannel<'n> {
    /// `lingers` are those of the tests that were handed out.
    pub fn new(slot: usize, names: Vec<&'n str>, lingers: Vec<Duration>, captures: bool) -> Self {
        let longest = lingers.iter().max().copied().unwrap_or_default();
        AgentChannel {
            slot: slot as u32,
            marks_tell: true,
            tests: TestIndex::new(names),
            decoder: Decoder::default(),
            runs_test: FxHashMap::default(),
            are_tests: FxHashSet::default(),
            processor_time: FxHashMap::default(),
            line: LongLine::default(),
            line_is_of: 0,
            lines: 0,
            begun_on: FxHashMap::default(),
            written_by_others: VecDeque::new(),
            heard: Counts::default(),
            counted: None,
            recovered: FxHashSet::default(),
            outputs: TestOutputs::default(),
            rest: TruncatedOutput::default(),
            traces: Traces::default(),
            modules: Vec::new(),
            lingers,
            unsettled: Vec::new(),
            awaits_orphans: None,
            captures,
            began: false,
            ended: false,
            is_broken: false,
            asks_for_stacks: None,
            stacks_awaited: None,
            stacks: Vec::new(),
            fatal_events: Vec::new(),
            observations: Observations::default(),
            departs: None,
            orphan_pids: Vec::new(),
            orphans: Orphans::new(longest),
            changes: Changes::default(),
            statics: None,
            left_changed: Vec::new(),
            said_goodbye: false,
            output_files: None,
        }
    }

    /// Changes are compared with what the process starts with.
    pub fn with_initial_state(mut self, initial: InitialState<'n>) -> Self {
        self.changes = Changes::since(initial);
        self
    }

    /// So many workers there may be at once.
    pub fn among(mut self, slots: usize) -> Self {
        self.marks_tell = slots <= frames::SLOTS as usize;
        self
    }

    /// What is too much to be kept goes there.
    pub fn with_output_files(mut self, output_files: Option<Arc<OutputFiles>>) -> Self {
        self.rest = TruncatedOutput::new(output_files.as_ref());
        self.outputs = TestOutputs::new(output_files.clone());
        self.output_files = output_files;
        self
    }

    fn take(&mut self, frame: Frame, heard: &mut Vec<ChannelEvent>) {
        match frame {
            Frame::Hello { version, asks_for_stacks, .. } => {
                self.is_broken = version != VERSION;
                self.asks_for_stacks = Some(asks_for_stacks);
            }
            Frame::Module { base, start, end, path } => {
                self.modules.push(Module { base, start, end, path });
            }
            Frame::Libtest { test, bytes } => self.pieces(test, &bytes, heard),
            Frame::LibtestLine { test, bytes } => {
                let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                self.line(line, Shortened::default(), test, heard);
            }
            Frame::TestStarted { test, thread, tid, line, event } => {
                let place = self.place_of_started(&event, line, heard);
                self.test_started(test, thread, place);
                // Its thread waits at the gate.
                heard.extend(place.filter(|_| test != 0 && tid == 0).map(ChannelEvent::TestWaits));
            }
            Frame::TestRuns { test, .. } => {
                heard.extend(self.tests.of_number(test).map(ChannelEvent::TestStarted));
            }
            Frame::Output { test, descriptor, place, bytes, .. } => {
                if descriptor == STDOUT {
                    self.keep_events(&bytes);
                }
                self.wrote(test, place, bytes, heard);
            }
            Frame::Changed { test, .. }
            | Frame::StateChanged { test, .. }
            | Frame::StaticChanged { test, .. } => {
                if let Some(test) = self.tests.of_number(test) {
                    self.changed(test, frame);
                }
            }
            Frame::Exiting { test, code, .. } => self.ends_process(test, FatalCause::Exit(code)),
            Frame::Crashing { test, signal, .. } => {
                self.ends_process(test, FatalCause::Signal(signal));
            }
            Frame::Goodbye => self.said_goodbye = true,
            Frame::Leaving { descriptor } => {
                self.departs.get_or_insert_with(clock::now);
                heard.push(ChannelEvent::AwaitsExit { descriptor });
            }
            Frame::StacksAsked { threads } => {
                self.stacks.clear();
                self.stacks_awaited = Some(threads);
            }
            Frame::Captured { test, from, bytes } => {
                if let Some(test) = self.tests.of_number(test) {
                    self.outputs.capture(test, from, &bytes);
                }
            }
            Frame::CaptureLost { test, why } => {
                if let Some(test) = self.tests.of_number(test) {
                    self.outputs.lose(test, why);
                }
            }
            Frame::Stack { test, stack, name, .. } => {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.stacks.push(ThreadStack { test: self.tests.of_number(test), name, stack });
            }
            Frame::ThreadStarted { thread, test, .. } => {
                self.runs_test.entry(thread).or_insert(test);
                self.trace(frame, heard);
            }
            Frame::ThreadEnded { thread, processor_nanoseconds, .. } => {
                self.add_processor_time(thread, processor_nanoseconds);
                // The threads of the tests themselves are not traced.
                if !self.are_tests.remove(&thread) {
                    self.trace(frame, heard);
                }
            }
            frame => self.trace(frame, heard),
        }
    }

    /// A thread has ended, which counts for the test that created it.
    fn add_processor_time(&mut self, thread: u32, nanoseconds: u64) {
        let test = self.runs_test.remove(&thread).and_then(|test| self.tests.of_number(test));
        if let Some(test) = test {
            *self.processor_time.entry(test).or_default() += Duration::from_nanos(nanoseconds);
        }
    }

    fn trace(&mut self, frame: Frame, heard: &mut Vec<ChannelEvent>) {
        let tests = &self.tests;
        self.traces.take(frame, &|test| tests.of_number(test), clock::now());
        self.settle(heard);
    }

    fn ends_process(&mut self, test: u32, cause: FatalCause) {
        let Some(test) = self.tests.of_number(test) else { return };
        let event = FatalEvent { test, cause };
        // A process may handle a signal as often as it likes: the last one comes last.
        if matches!(cause, FatalCause::Signal(_)) {
            self.fatal_events.retain(|earlier| *earlier != event);
        }
        self.fatal_events.push(event);
    }

    /// Notes on what other tests have done to the process, which may be why this one failed with
    /// this text, and those tests.
    fn what_others_changed(&self, test: usize, text: &str) -> (String, Vec<usize>) {
        const SHOWN: usize = 10;
        let (others, watches) = (self.changes.of_others(test, text), self.watches());
        let note = |(by, change): &(usize, StateChange)| {
            let by = self.tests.name(*by);
            // A handler is known by its address only.
            let has_texts = watches && change.thing.kind != StateKind::SignalHandler;
            let change = if has_texts { change.to_string() } else { change.thing.to_string() };
            format!("note: in the same process, `{by}` had changed {change}\n")
        };
        let mut notes: String = others.iter().take(SHOWN).map(note).collect();
        if let more @ 1.. = others.len().saturating_sub(SHOWN) {
            notes.push_str(&format!("note: and {more} more such changes\n"));
        }
        let mut neighbors: Vec<usize> = others.into_iter().map(|(by, _)| by).collect();
        neighbors.sort_unstable();
        neighbors.dedup();
        (notes, neighbors)
    }

    /// Tells of the tests of which nothing more is to come.
    fn settle(&mut self, heard: &mut Vec<ChannelEvent>) {
        if self.awaits_orphans.is_some() {
            return;
        }
        let (traces, recovered) = (&self.traces, &self.recovered);
        let (settled, unsettled) = std::mem::take(&mut self.unsettled)
            .into_iter()
            .partition::<Vec<usize>, _>(|test| traces.is_final(*test) && !recovered.contains(test));
        self.unsettled = unsettled;
        for test in settled {
            let findings = self.traces.findings(test, clock::now(), |_| None);
            self.traces.forget(test);
            heard.push(ChannelEvent::ResultFinal { test, findings });
        }
    }

    fn wrote(
        &mut self,
        test: u32,
        place: Option<u64>,
        bytes: Vec<u8>,
        heard: &mut Vec<ChannelEvent>,
    ) {
        match self.tests.of_number(test) {
            Some(test) => self.outputs.write(test, place, &bytes),
            None => self.rest.push(&bytes),
        }
        if !self.captures {
            heard.push(ChannelEvent::Output(bytes));
        }
    }

    fn linger(&self) -> impl Fn(usize) -> Duration + '_ {
        |test| self.lingers.get(test).copied().unwrap_or_default()
    }
}

impl Channel for AgentChannel<'_> {
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Vec<ChannelEvent> {
        let mut heard = Vec::new();
        if stream != Stream::Channel {
            self.rest.push(bytes);
            if !self.captures && !bytes.is_empty() {
                heard.push(ChannelEvent::Output(bytes.to_vec()));
            }
            return heard;
        }
        if self.is_broken {
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
        let ends = || self.traces.pending_processes().next().is_some();
        let has_to_look = self.departs.filter(|_| self.orphans.are_open() || ends());
        let looks = has_to_look.or(self.awaits_orphans);
        looks.or_else(|| self.traces.due(self.linger()))
    }

    fn look(&mut self, look: &dyn Inspector) -> Vec<ChannelEvent> {
        if self.awaits_orphans.take().is_some() || self.departs.is_some() {
            self.gather(look);
        }
        let now = clock::now();
        let overdue = self.traces.overdue(self.linger(), now);
        if self.departs.is_some() {
            self.look_for_ends(look, now);
        }
        self.look_at(&overdue, look, now);
        let mut heard = Vec::new();
        self.settle(&mut heard);
        heard
    }

    fn lasting(&self, test: usize, look: &dyn Inspector) -> Vec<Finding> {
        let has_lingered = |pid: &u32| self.traces.has_lingered(Subject::Process { pid: *pid });
        let alive = |pid| Some(pid).filter(has_lingered).and_then(|pid| look.command_line(pid));
        self.traces.lasting(test, clock::now(), alive)
    }

    fn stacks_signal(&self) -> Option<i32> {
        self.asks_for_stacks
    }

    fn has_stacks(&self) -> bool {
        self.stacks_awaited.is_some_and(|awaited| self.stacks.len() >= awaited as usize)
    }

    fn take_stacks(&mut self) -> Vec<ThreadStack> {
        self.stacks_awaited = None;
        std::mem::take(&mut self.stacks)
    }

    fn modules(&self) -> &[Module] {
        &self.modules
    }

    fn number_of(&self, test: usize) -> Option<u32> {
        self.tests.number_of(test)
    }

    fn has_pending(&self) -> bool {
        self.awaits_orphans.is_some() || self.traces.has_pending() || self.orphans.are_open()
    }

    fn pending_threads(&self) -> Vec<(u32, Vec<Address>)> {
        self.traces.pending_threads().map(|(number, stack)| (number, stack.to_vec())).collect()
    }

    fn ignore_threads(&mut self, threads: &[u32]) {
        let now = clock::now();
        for number in threads {
            let thread = Subject::Thread { number: *number, tid: 0 };
            self.traces.note_lingering(thread, true, None, now);
        }
    }

    fn process_exited(&mut self) {
        self.traces.worker_ended();
        self.departs.get_or_insert_with(clock::now);
    }

    fn finish(self: Box<Self>, look: &dyn Inspector) -> ChannelSummary {
        let now = clock::now();
        let alive = |pid| look.command_line(pid);
        let mut findings: HashMap<usize, Vec<Finding>> = HashMap::new();
        for test in 0..self.tests.count() {
            let found = self.traces.findings(test, now, alive);
            if !found.is_empty() {
                findings.insert(test, found);
            }
        }
        // A signal may have been handled.
        let is_exit = |event: &FatalEvent| matches!(event.cause, FatalCause::Exit(_));
        let has_exited = self.fatal_events.iter().any(is_exit);
        let mut left = ChannelSummary {
            began: self.began && !self.is_broken,
            ended: self.ended,
            rest: self.rest.into_output(),
            was_lost: self.is_broken || (!self.said_goodbye && !has_exited),
            findings,
            modules: self.modules,
            stacks: self.stacks,
            unattributed: self.orphans.into_findings().into_values().collect(),
            orphan_pids: self.orphan_pids,
            said_goodbye: self.said_goodbye,
            counted: self.counted.map(Counts::all),
            heard: self.heard.all(),
            retracted: self.recovered.into_iter().collect(),
            fatal_events: self.fatal_events,
            left_changed: self.left_changed,
            ..ChannelSummary::default()
        };
        self.outputs.finish(&mut left);
        left
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
