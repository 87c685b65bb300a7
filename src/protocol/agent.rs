//! The agent's channel: libtest's own events, what tests write past the capture, and what
//! they leave behind, each marked with its test.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::libtest_event::{Counts, Line, events_in};
use super::long_line::{LongLine, Shortened};
use super::test_index::{Identities, Turn};
use super::{Channel, Culprit, Ended, Fatal, Heard, Left, Settled};
use crate::frames::{self, Address, Decoder, Frame, VERSION};
use crate::leaks::{Fate, Finding, Module, Orphans, Subject, Traces, Watches};
use crate::model::numbers::{NumberMap, NumberSet};
use crate::model::outcome::Outcome;
use crate::model::output::Bounded;
use crate::model::output_file::Floods;
use crate::process::clock;
use crate::process::event::Stream;
use crate::process::look::{Look, Stray};
use crate::process::procfs::Seen;

pub struct Agent<'n> {
    /// The worker's place, which is part of its tests' marks.
    slot: u32,
    /// Whether a mark is of one worker only.
    marks_tell: bool,
    tests: Identities<'n>,
    decoder: Decoder,
    /// The threads that belong to tests, by the agent's numbers of both.
    runs_test: NumberMap<u32, u32>,
    /// Those of them that are the tests themselves: nothing that a test could leave behind.
    are_tests: NumberSet<u32>,
    /// Processor time of the threads of a test that have ended.
    processor_time: NumberMap<usize, Duration>,
    /// What the main thread writes in pieces, and the test whose verdict that is.
    line: LongLine,
    line_is_of: u32,
    /// How many lines came in pieces, and which test began on which.
    lines: u32,
    begun_on: NumberMap<u32, usize>,
    /// Events that threads of tests wrote out: their own words, or libtest's, which waited in the
    /// same buffer.
    written_by_others: VecDeque<Vec<u8>>,
    /// What was heard of tests, and what libtest said at its end.
    heard: Counts,
    counted: Option<Counts>,
    /// Tests whose verdicts did not stand on lines of their own. They count once libtest's own
    /// count agrees.
    recovered: NumberSet<usize>,
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
    /// Who has done what ends a process, if it did.
    culprits: Vec<Culprit>,
    /// Things that were there after their linger.
    watches: Watches,
    /// The process is about to end, or has done so: since when that is known.
    departs: Option<Instant>,
    /// Strays of this worker that are there now.
    strays: Vec<u32>,
    /// What nobody knows the test of.
    orphans: Orphans,
    /// What tests have changed of their process.
    changes: Vec<(usize, String)>,
    said_goodbye: bool,
    floods: Option<Arc<Floods>>,
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

/// Where one thread of the worker was when it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadStack {
    pub test: Option<usize>,
    pub name: String,
    pub stack: Vec<u64>,
}

/// Strays whose tests are known, and others of this worker.
#[derive(Debug, Default)]
struct Homes {
    found: Vec<u32>,
    missing: Vec<Stray>,
}

impl<'n> Agent<'n> {
    /// `lingers` are those of the tests that were handed out.
    pub fn new(slot: usize, names: Vec<&'n str>, lingers: Vec<Duration>, captures: bool) -> Self {
        let longest = lingers.iter().max().copied().unwrap_or_default();
        Agent {
            slot: slot as u32,
            marks_tell: true,
            tests: Identities::new(names),
            decoder: Decoder::default(),
            runs_test: NumberMap::default(),
            are_tests: NumberSet::default(),
            processor_time: NumberMap::default(),
            line: LongLine::default(),
            line_is_of: 0,
            lines: 0,
            begun_on: NumberMap::default(),
            written_by_others: VecDeque::new(),
            heard: Counts::default(),
            counted: None,
            recovered: NumberSet::default(),
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
            culprits: Vec::new(),
            watches: Watches::default(),
            departs: None,
            strays: Vec::new(),
            orphans: Orphans::new(longest),
            changes: Vec::new(),
            said_goodbye: false,
            floods: None,
        }
    }

    /// So many workers there may be at once.
    pub fn among(mut self, slots: usize) -> Self {
        self.marks_tell = slots <= frames::SLOTS as usize;
        self
    }

    /// What is too much to be kept goes there.
    pub fn with_floods(mut self, floods: Option<Arc<Floods>>) -> Self {
        self.rest = Bounded::new(floods.as_ref());
        self.floods = floods;
        self
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
            Frame::Libtest { test, bytes } => self.pieces(test, &bytes, heard),
            Frame::LibtestLine { test, bytes } => {
                let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                self.line(line, Shortened::default(), test, heard);
            }
            Frame::TestStarted { test, thread, line, event, .. } => {
                let place = match event.is_empty() {
                    true => self.begun_on.get(&line).copied(),
                    false => self.begin(&event, heard),
                };
                self.test_started(test, thread, place);
            }
            Frame::Output { test, descriptor, bytes, .. } => {
                if descriptor == STDOUT {
                    self.keep_events(&bytes);
                }
                self.wrote(test, bytes, heard);
            }
            Frame::Changed { test, variable } => self.changed(test, variable),
            Frame::Exiting { test, code, .. } => self.ends_process(test, Fatal::Exit(code)),
            Frame::Crashing { test, signal, .. } => {
                self.ends_process(test, Fatal::Signal(signal));
            }
            Frame::Goodbye => self.said_goodbye = true,
            Frame::Leaving { descriptor } => {
                self.departs.get_or_insert_with(clock::now);
                heard.push(Heard::Leaving { descriptor });
            }
            Frame::StacksAsked { threads } => self.stacks_awaited = Some(threads),
            Frame::Stack { test, stack, name, .. } => {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.stacks.push(ThreadStack { test: self.tests.of_number(test), name, stack });
            }
            Frame::ThreadStarted { thread, test, .. } if !self.runs_test.contains_key(&thread) => {
                self.runs_test.insert(thread, test);
                self.trace(frame, heard);
            }
            Frame::ThreadEnded { thread, processor_nanoseconds, .. } => {
                let test = self.runs_test.remove(&thread);
                if let Some(test) = test.and_then(|test| self.tests.of_number(test)) {
                    let took = Duration::from_nanos(processor_nanoseconds);
                    *self.processor_time.entry(test).or_default() += took;
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
        self.traces.take(frame, &|test| tests.of_number(test), clock::now());
        self.settle(heard);
    }

    fn ends_process(&mut self, test: u32, by: Fatal) {
        let test = self.tests.of_number(test);
        self.culprits.extend(test.map(|test| Culprit { test, by }));
    }

    /// libtest has created a thread for a test, or none for one that it ignores.
    fn test_started(&mut self, test: u32, thread: u32, place: Option<usize>) {
        if test == 0 {
            return;
        }
        self.runs_test.insert(thread, test);
        self.are_tests.insert(thread);
        if let Some(place) = place {
            self.tests.bind(test, place);
        }
    }

    fn begin(&mut self, event: &[u8], heard: &mut Vec<Heard>) -> Option<usize> {
        let event = Line::read(event.strip_suffix(b"\n").unwrap_or(event))?;
        let turn = self.tests.begin(&event.name)?;
        let (Turn::First(place) | Turn::Again(place)) = turn;
        if turn == Turn::First(place) {
            heard.push(Heard::Began(place));
        }
        Some(place)
    }

    /// What the main thread wrote, as it came.
    fn pieces(&mut self, test: u32, bytes: &[u8], heard: &mut Vec<Heard>) {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.lines += 1;
            let test = test.max(std::mem::take(&mut self.line_is_of));
            // Nearly always the line came as a whole.
            if self.line.bytes.is_empty() {
                self.line(line, Shortened::default(), test, heard);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.push(line, self.floods.as_ref());
                self.line(&whole.bytes, whole.shortened, test, heard);
            }
        }
        if !last.is_empty() {
            self.line.push(last, self.floods.as_ref());
            self.line_is_of = self.line_is_of.max(test);
        }
    }

    fn line(&mut self, line: &[u8], shortened: Shortened, test: u32, heard: &mut Vec<Heard>) {
        match Line::read(line).filter(|event| self.is_certain(event, test)) {
            Some(event) => self.event(event, shortened, Certainty::Alone, heard),
            None => self.recover(line, shortened, test, heard),
        }
    }

    /// Whether an event that is alone on its line is libtest's own beyond doubt. A test may have
    /// left such a line in the buffer when another thread wrote out what libtest had said.
    fn is_certain(&mut self, event: &Line<'_>, test: u32) -> bool {
        match (&*event.kind, &*event.event) {
            ("test", "ok" | "failed") => {
                let name = self.tests.of_number(test).map(|place| self.tests.name(place));
                name == Some(&*event.name)
            }
            ("test", "ignored") => self.tests.may_be_ignored(&event.name),
            _ => true,
        }
    }

    /// The event of a line that holds something else too, or of which another thread has written
    /// out all but the end.
    fn recover(&mut self, line: &[u8], shortened: Shortened, test: u32, heard: &mut Vec<Heard>) {
        let mut found = events_in(line);
        // What stood in the buffer when libtest wrote comes before it.
        let mut plausible = (0..found.len()).filter(|at| self.is_plausible(&found[*at].1, test));
        let first = plausible.next();
        let at = plausible.last().or(first);
        let is_contradicted = first.is_some_and(|first| {
            (first..found.len()).any(|at| self.contradicts(&found[at].1, &found[first].1, test))
        });
        match at {
            Some(_) if is_contradicted => self.print(line, heard),
            Some(at) => {
                let (range, event) = found.swap_remove(at);
                let beside = [&line[..range.start], &line[range.end..]].concat();
                self.print(&beside, heard);
                self.event(event, shortened, Certainty::Recovered, heard);
            }
            None => {
                self.print(line, heard);
                self.recover_from_others(test, heard);
            }
        }
    }

    fn recover_from_others(&mut self, test: u32, heard: &mut Vec<Heard>) {
        let others = std::mem::take(&mut self.written_by_others);
        let at = only_place(&others, |text| {
            Line::read(text).is_some_and(|event| self.is_plausible(&event, test))
        });
        self.written_by_others = others;
        let text = at.and_then(|at| self.written_by_others.remove(at));
        let event = text.as_deref().and_then(Line::read);
        if let Some(event) = event {
            self.event(event, Shortened::default(), Certainty::Recovered, heard);
        }
    }

    /// Whether libtest may say this now; `test` is the one whose verdict it has to be.
    fn is_plausible(&mut self, event: &Line<'_>, test: u32) -> bool {
        match (&*event.kind, &*event.event) {
            ("suite", "started") => !self.began,
            ("suite", "ok" | "failed") => self.began && !self.ended,
            ("test", "started") => test == 0 && self.tests.may_begin(&event.name),
            ("test", "ignored") => test == 0 && self.tests.may_be_ignored(&event.name),
            ("test", "ok" | "failed") => self.tests.may_end(&event.name, test),
            _ => false,
        }
    }

    /// Whether libtest may say either, and not both: then neither is believed.
    fn contradicts(&mut self, event: &Line<'_>, other: &Line<'_>, test: u32) -> bool {
        let differs = event.name != other.name || event.event != other.event;
        differs && event.kind == other.kind && self.is_plausible(event, test)
    }

    /// Whatever else a main thread prints is nobody's verdict.
    fn print(&mut self, line: &[u8], heard: &mut Vec<Heard>) {
        if line.is_empty() {
            return;
        }
        let line = [line, b"\n"].concat();
        self.rest.push(&line);
        if !self.captures {
            heard.push(Heard::Wrote(line));
        }
    }

    /// Keeps what looks like events in what a thread of a test has written.
    fn keep_events(&mut self, bytes: &[u8]) {
        for (range, _) in events_in(bytes) {
            if self.written_by_others.len() == MOST_BY_OTHERS {
                self.written_by_others.pop_front();
            }
            self.written_by_others.push_back(bytes[range].to_vec());
        }
    }

    fn event(
        &mut self,
        line: Line<'_>,
        shortened: Shortened,
        certainty: Certainty,
        heard: &mut Vec<Heard>,
    ) {
        if line.kind == "suite" {
            self.began |= line.event == "started";
            if matches!(&*line.event, "ok" | "failed") {
                self.suite_ended(line.counts(), heard);
            }
        }
        if line.kind != "test" {
            return;
        }
        let outcome = match &*line.event {
            "started" => {
                if let Some(Turn::First(test)) = self.tests.begin(&line.name) {
                    self.begun_on.insert(self.lines, test);
                    heard.push(Heard::Began(test));
                }
                return;
            }
            "ok" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "ignored" => Outcome::Ignored,
            _ => return,
        };
        let turn = self.tests.end(&line.name);
        match (outcome, turn) {
            (_, Some(Turn::Again(_))) => {}
            (Outcome::Passed, _) => self.heard.passed += 1,
            (Outcome::Failed, _) => self.heard.failed += 1,
            // Where all of a binary runs, those count too that nobody has asked for.
            _ => self.heard.ignored += 1,
        }
        let Some(Turn::First(test)) = turn else { return };
        let mut output =
            self.captured(line.stdout.as_deref().unwrap_or_default().as_bytes(), shortened);
        output.append(self.written.remove(&test).unwrap_or_default());
        if let (Outcome::Failed, Some(message)) = (outcome, &line.message) {
            output.push(format!("note: {message}\n").as_bytes());
        }
        if outcome == Outcome::Failed {
            output.push(self.what_others_changed(test).as_bytes());
        }
        let took = line.took();
        self.traces.test_ended(test, clock::now());
        let has_started = self.traces.has_started_processes(test);
        if has_started {
            self.awaits_strays.get_or_insert_with(clock::now);
        }
        if certainty == Certainty::Recovered {
            self.recovered.insert(test);
        }
        let is_certain = certainty == Certainty::Alone;
        let settled = match self.traces.is_clean(test) && !has_started && is_certain {
            true => Settled::Now,
            false => Settled::Later,
        };
        let reason = line.message;
        let output = Some(output.into_output());
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

    fn suite_ended(&mut self, counted: Counts, heard: &mut Vec<Heard>) {
        self.ended = true;
        self.counted = Some(counted);
        if counted == self.heard {
            self.recovered.clear();
            self.settle(heard);
        }
    }

    fn captured(&self, text: &[u8], shortened: Shortened) -> Bounded {
        let Shortened { left_out, flood } = shortened;
        if left_out > 0 {
            return Bounded::shortened(text, left_out, flood);
        }
        let mut kept = Bounded::new(self.floods.as_ref());
        kept.push(text);
        kept
    }

    fn changed(&mut self, test: u32, variable: Option<Vec<u8>>) {
        let Some(test) = self.tests.of_number(test) else { return };
        let what = match variable {
            Some(name) => format!("the variable {}", String::from_utf8_lossy(&name)),
            None => "the current directory".to_owned(),
        };
        if !self.changes.contains(&(test, what.clone())) {
            self.changes.push((test, what));
        }
    }

    /// What tests before this one have done to its process: it may be why this one failed.
    fn what_others_changed(&self, test: usize) -> String {
        const SHOWN: usize = 3;
        let others: Vec<_> = self.changes.iter().filter(|(by, _)| *by != test).collect();
        let shown = others.iter().take(SHOWN).map(|(by, what)| {
            format!("note: in the same process, `{}` had changed {what}\n", self.tests.name(*by))
        });
        let more = match others.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("note: and {more} more such changes\n"),
        };
        shown.collect::<String>() + &more
    }

    /// Tells of the tests of which nothing more is to come.
    fn settle(&mut self, heard: &mut Vec<Heard>) {
        if self.awaits_strays.is_some() {
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
            heard.push(Heard::Settled { test, findings });
        }
    }

    fn wrote(&mut self, test: u32, bytes: Vec<u8>, heard: &mut Vec<Heard>) {
        match self.tests.of_number(test) {
            Some(test) => {
                let floods = self.floods.as_ref();
                let written = self.written.entry(test);
                written.or_insert_with(|| Bounded::new(floods)).push(&bytes);
            }
            None => self.rest.push(&bytes),
        }
        if !self.captures {
            heard.push(Heard::Wrote(bytes));
        }
    }

    /// Strays become their tests'. One whose test is not known yet is looked at again; in the
    /// end it is nobody's.
    fn take_home(&mut self, strays: Vec<Stray>) -> Homes {
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
    fn gather(&mut self, look: &dyn Look) {
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
    fn look_for_ends(&mut self, look: &dyn Look, now: Instant) {
        let is_there = |pid: u32| look.process(pid).is_some_and(|seen| self.is_it(pid, &seen, now));
        let open = self.traces.open_processes();
        let gone: Vec<u32> = open.filter(|pid| !is_there(*pid)).collect();
        gone.into_iter().for_each(|pid| self.traces.is_gone(Subject::Process { pid }, now));
    }

    fn see(&self, subject: Subject, look: &dyn Look, now: Instant) -> Option<Seen> {
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
    fn look_at(&mut self, overdue: &[Subject], look: &dyn Look, now: Instant) {
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

    fn note(&mut self, subject: Subject, seen: Option<Seen>, look: &dyn Look, now: Instant) {
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
    fn is_it(&self, pid: u32, seen: &Seen, now: Instant) -> bool {
        /// The kernel tells ages in hundredths of a second.
        const TOLERANCE: Duration = Duration::from_millis(50);
        let known = self.traces.began(pid).map(|began| now.saturating_duration_since(began));
        known.is_none_or(|known| seen.age + TOLERANCE >= known)
    }

    /// The test of a stray beyond doubt: it started the process itself, or the one that began
    /// its group or session, or is the only one that may have left its mark, or that started any.
    fn home_of(&self, stray: &Stray) -> Option<usize> {
        let own = self.traces.test_of(stray.pid);
        // The number of one that has ended may be another's by now, whose mark is another too.
        let by_kin = || self.traces.test_of_kin(stray.kin).filter(|test| self.fits(stray, *test));
        let mark = stray.mark.filter(|_| stray.is_ours || self.marks_tell);
        let by_mark = || self.only_one_with(mark?, stray.is_ours);
        let is_unmarked = stray.is_ours && stray.mark.is_none();
        let by_itself = || self.traces.only_starter().filter(|_| is_unmarked);
        own.or_else(by_kin).or_else(by_mark).or_else(by_itself)
    }

    fn fits(&self, stray: &Stray, test: usize) -> bool {
        stray.mark.is_none_or(|mark| self.with_mark(mark).any(|marked| marked == test))
    }

    fn with_mark(&self, marked: u32) -> impl Iterator<Item = usize> {
        let fits = move |number: u32| frames::mark(self.slot, number) == marked;
        self.tests.numbers().filter(move |(number, _)| fits(*number)).map(|(_, test)| test)
    }

    /// The only test with this mark that has started processes. Where none of them has told of
    /// any, the only test with it at all, if the process is this worker's beyond doubt. A mark
    /// says nothing where it may be of two: which of them came last makes no difference.
    fn only_one_with(&self, mark: u32, is_ours: bool) -> Option<usize> {
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
        let ends = || self.traces.open_processes().next().is_some();
        let has_to_look = self.departs.filter(|_| self.orphans.are_open() || ends());
        let looks = has_to_look.or(self.awaits_strays);
        looks.or_else(|| self.traces.due(self.linger()))
    }

    fn look(&mut self, look: &dyn Look) -> Vec<Heard> {
        if self.awaits_strays.take().is_some() || self.departs.is_some() {
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

    fn stacks_signal(&self) -> Option<i32> {
        self.asks_for_stacks
    }

    fn has_stacks(&self) -> bool {
        self.stacks_awaited.is_some_and(|awaited| self.stacks.len() >= awaited as usize)
    }

    fn modules(&self) -> &[Module] {
        &self.modules
    }

    fn has_open(&self) -> bool {
        self.awaits_strays.is_some() || self.traces.has_open() || self.orphans.are_open()
    }

    fn open_threads(&self) -> Vec<(u32, Vec<Address>)> {
        self.traces.open_threads().map(|(number, stack)| (number, stack.to_vec())).collect()
    }

    fn stay(&mut self, threads: &[u32]) {
        let now = clock::now();
        for number in threads {
            let thread = Subject::Thread { number: *number, tid: 0 };
            self.traces.note_lingering(thread, true, None, now);
        }
    }

    fn exited(&mut self) {
        self.traces.worker_ended();
        self.departs.get_or_insert_with(clock::now);
    }

    fn finish(self: Box<Self>, look: &dyn Look) -> Left {
        let now = clock::now();
        let alive = |pid| look.command_of(pid);
        let mut findings: HashMap<usize, Vec<Finding>> = HashMap::new();
        for test in 0..self.tests.count() {
            let found = self.traces.findings(test, now, alive);
            if !found.is_empty() {
                findings.insert(test, found);
            }
        }
        let outputs = self.written.into_iter().map(|(test, kept)| (test, kept.into_output()));
        Left {
            began: self.began && !self.is_broken,
            ended: self.ended,
            outputs: outputs.collect(),
            rest: self.rest.into_output(),
            was_lost: self.is_broken || (!self.said_goodbye && self.culprits.is_empty()),
            findings,
            modules: self.modules,
            stacks: self.stacks,
            nobodys: self.orphans.into_left().into_values().collect(),
            strays: self.strays,
            said_goodbye: self.said_goodbye,
            counted: self.counted.map(Counts::all),
            heard: self.heard.all(),
            retracted: self.recovered.into_iter().collect(),
            culprits: self.culprits,
        }
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frames::kinds;
    use crate::libtest::tests::in_chunks;
    use crate::protocol::long_line::LONGEST;

    /// Nothing lives, and nothing has come home.
    pub struct Nobody;

    impl Look for Nobody {
        fn thread(&self, _tid: u32) -> Option<Seen> {
            Some(Seen { rests: true, worked: Duration::ZERO, age: Duration::ZERO })
        }
        fn process(&self, _pid: u32) -> Option<Seen> {
            None
        }
        fn name_of(&self, _tid: u32) -> Option<String> {
            None
        }
        fn command_of(&self, _pid: u32) -> Option<String> {
            None
        }
        fn strays(&self) -> Vec<Stray> {
            Vec::new()
        }
        fn children(&self, _is_known: &dyn Fn(u32) -> bool) -> Vec<Stray> {
            Vec::new()
        }
    }

    const NAMES: [&str; 3] = ["a", "b c", "größe"];

    fn agent() -> Agent<'static> {
        Agent::new(7, NAMES.to_vec(), vec![Duration::ZERO; 3], true)
    }

    fn frame(kind: u8, fields: &[u8]) -> Vec<u8> {
        let length = (fields.len() as u32 + 1).to_ne_bytes();
        [&length[..], &[kind], fields].concat()
    }

    fn libtest(text: &str) -> Vec<u8> {
        frame(kinds::LIBTEST, &[&0_u32.to_ne_bytes(), text.as_bytes()].concat())
    }

    fn event(event: &str, name: &str) -> String {
        format!(
            "{{\"type\":\"test\",\"event\":\"{event}\",\"name\":\"{name}\",\"exec_time\":1e-3}}\n"
        )
    }

    fn started(test: u32, name: &str) -> Frame {
        let event = event("started", name).into_bytes();
        Frame::TestStarted { test, thread: 5, tid: 100, line: 0, event }
    }

    /// All that an agent may say, in any order, and what no agent says.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let word = prop::sample::select(vec!["started", "ok", "failed", "ignored", "timeout", "x"]);
        let name = prop::sample::select(vec!["a", "b c", "größe", "nobody"]);
        let line = (word, name).prop_map(|(word, name)| libtest(&event(word, name)));
        let torn = ("\\PC{0,20}").prop_map(|text| libtest(&text));
        let suite = prop::sample::select(vec!["started", "ok", "failed"]);
        let suite =
            suite.prop_map(|e| libtest(&format!("{{\"type\":\"suite\",\"event\":\"{e}\"}}\n")));
        let noise = (0_u8..30, prop::collection::vec(0_u8..4, 0..60));
        let noise = noise.prop_map(|(kind, fields)| frame(kind, &fields));
        let numbers = (0_u8..30, prop::collection::vec(0_u32..4, 0..8));
        let numbers = numbers.prop_map(|(kind, numbers)| {
            frame(kind, &numbers.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<_>>())
        });
        let raw = prop::collection::vec(any::<u8>(), 0..12);
        prop_oneof![8 => line, 2 => torn, 2 => suite, 2 => noise, 4 => numbers, 1 => raw]
    }

    /// What was heard, without the times; and what is left.
    fn hear(chunks: &[&[u8]]) -> (Vec<String>, bool, bool) {
        let mut agent = Box::new(agent());
        let mut heard = Vec::new();
        for chunk in chunks {
            heard.extend(agent.hear(Stream::Channel, chunk));
        }
        let _ = (agent.due(), agent.has_stacks());
        heard.extend(agent.look(&Nobody));
        check(&heard);
        let left = agent.finish(&Nobody);
        let shown = heard.iter().map(|heard| match heard {
            Heard::Settled { test, .. } => format!("settled {test}"),
            heard => format!("{heard:?}"),
        });
        (shown.collect(), left.began, left.was_lost)
    }

    /// A test begins once, ends once, and settles after its end.
    fn check(heard: &[Heard]) {
        let (mut begun, mut ended, mut settled) = ([0; 3], [0; 3], [0; 3]);
        for heard in heard {
            match heard {
                Heard::Began(test) => begun[*test] += 1,
                Heard::Ended(end) => ended[end.test] += 1,
                Heard::Settled { test, .. } => {
                    settled[*test] += 1;
                    assert_eq!(ended[*test], 1, "settled before its end");
                }
                Heard::Wrote(_) | Heard::Leaving { .. } => {}
            }
        }
        let all = [begun, ended, settled].concat();
        assert!(all.iter().all(|times| *times <= 1), "{all:?}");
    }

    proptest! {
        #[test]
        fn whatever_comes_a_test_ends_once_and_chunks_make_no_difference(
            frames in prop::collection::vec(any_bytes(), 0..40),
            cuts in prop::collection::vec(0_usize..2000, 0..12),
            cut_off in 0_usize..20,
        ) {
            let mut bytes = frames.concat();
            bytes.truncate(bytes.len().saturating_sub(cut_off));
            let whole = hear(&[&bytes]);
            prop_assert_eq!(&hear(&in_chunks(&bytes, cuts)), &whole);
            prop_assert_eq!(&hear(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
        }

    }

    proptest! {
        // Each is a few MiB.
        #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
        #[test]
        fn a_line_that_is_too_long_is_still_json(
            piece in "[a-zé\"\\\\\u{1b}\n ]{1,40}[a-z ]{16}",
            more in 0_usize..100_000,
        ) {
            let printed = piece.repeat((5 * LONGEST + more) / piece.len());
            let text = serde_json::to_string(&printed).unwrap();
            let line = format!("{{\"type\":\"test\",\"event\":\"failed\",\"name\":\"a\",\"stdout\":{text}}}\n");
            let mut agent = agent();
            agent.take(started(1, "a"), &mut Vec::new());
            let mut heard = Vec::new();
            for chunk in line.as_bytes().chunks(60_000) {
                agent.pieces(1, chunk, &mut heard);
                prop_assert!(agent.line.bytes.len() <= 4 * LONGEST);
            }
            let Some(Heard::Ended(ended)) = heard.first() else { panic!("no verdict") };
            prop_assert_eq!(ended.outcome, Outcome::Failed);
            let output = String::from_utf8_lossy(ended.output.as_ref().unwrap());
            prop_assert!(output.contains("bytes left out"));
            prop_assert!(output.as_bytes().starts_with(&printed.as_bytes()[..1000]));
            prop_assert!(output.as_bytes().ends_with(&printed.as_bytes()[printed.len() - 1000..]));
        }
    }

    /// On a busy machine the news of a thread may come long before its first turn. Until then it
    /// has no number, by which it could be looked at.
    #[test]
    fn a_thread_that_waits_for_its_first_turn_is_not_gone() {
        let mut agent = agent();
        let mut heard = Vec::new();
        agent.take(started(1, "a"), &mut heard);
        let (thread, creator, stack) = (6, 5, vec![]);
        let detached = false;
        let told = Frame::ThreadStarted { thread, tid: 0, creator, test: 1, detached, stack };
        agent.take(told, &mut heard);
        agent.pieces(1, event("ok", "a").as_bytes(), &mut heard);
        let nobody = Strays(Vec::new());
        (0..3).for_each(|_| drop(agent.look(&nobody)));
        assert!(agent.has_open());
        agent.take(Frame::ThreadRuns { thread, tid: 101 }, &mut heard);
        (0..2).for_each(|_| drop(agent.look(&Nobody)));
        assert!(!agent.has_open());
        assert_eq!(Box::new(agent).finish(&Nobody).findings[&0].len(), 1);
    }

    /// These have come home, and live.
    struct Strays(Vec<Stray>);

    impl Look for Strays {
        fn thread(&self, _tid: u32) -> Option<Seen> {
            None
        }
        fn process(&self, pid: u32) -> Option<Seen> {
            let is_there = self.0.iter().any(|stray| stray.pid == pid);
            is_there.then_some(Seen {
                rests: true,
                worked: Duration::ZERO,
                age: Duration::from_secs(3_600),
            })
        }
        fn name_of(&self, _tid: u32) -> Option<String> {
            None
        }
        fn command_of(&self, pid: u32) -> Option<String> {
            Some(format!("number {pid}"))
        }
        fn strays(&self) -> Vec<Stray> {
            self.0.clone()
        }
        fn children(&self, _is_known: &dyn Fn(u32) -> bool) -> Vec<Stray> {
            Vec::new()
        }
    }

    fn stray(pid: u32, kin: u32, mark: Option<u32>) -> Stray {
        Stray { pid, born: 0, age: Duration::ZERO, kin: [kin; 2], mark, is_ours: true }
    }

    const MANY: usize = 300;

    /// Of many tests that have all run, these have started a process each, of their own numbers.
    fn ran(starters: &[u32], names: &'static [String]) -> Box<Agent<'static>> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut agent = Agent::new(7, names.clone(), vec![Duration::ZERO; MANY], true);
        let mut heard = Vec::new();
        for (test, name) in (1..).zip(names) {
            let event_of = event("started", name).into_bytes();
            let started =
                Frame::TestStarted { test, thread: test, tid: 100, line: 0, event: event_of };
            agent.take(started, &mut heard);
            if starters.contains(&test) {
                let (process, thread, stack) = (1_000 + test, test, vec![]);
                agent.take(Frame::ProcessStarted { process, thread, test, stack }, &mut heard);
                agent.take(Frame::ProcessReaped { process }, &mut heard);
            }
            agent.pieces(test, event("ok", name).as_bytes(), &mut heard);
        }
        Box::new(agent)
    }

    fn many_names() -> &'static [String] {
        static NAMES: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| (0..MANY).map(|test| format!("t{test}")).collect());
        &NAMES
    }

    /// Whose these strays are, by their numbers: their test's number, or 0.
    fn owners(starters: &[u32], strays: &[Stray]) -> Vec<(u32, usize)> {
        let (mut agent, look) = (ran(starters, many_names()), Strays(strays.to_vec()));
        agent.exited();
        agent.look(&look);
        while agent.has_open() {
            agent.look(&look);
        }
        let mut left = agent.finish(&look);
        left.findings.insert(usize::MAX, left.nobodys);
        let pid = |finding: &Finding| match finding.what {
            crate::leaks::Left::Process { pid, .. } => pid,
            _ => 0,
        };
        let of_test = |(test, findings): (&usize, &Vec<Finding>)| {
            let number = test.wrapping_add(1);
            findings.iter().map(|finding| (pid(finding), number)).collect::<Vec<_>>()
        };
        let mut owners: Vec<_> = left.findings.iter().flat_map(of_test).collect();
        owners.sort_unstable();
        owners
    }

    /// Where there are more workers than marks, one that has left its environment may be another's.
    #[test]
    fn a_mark_that_two_workers_may_have_says_nothing_of_a_stranger() {
        let stranger = Stray { is_ours: false, ..stray(9, 1, Some(frames::mark(7, 5))) };
        let whose = |slots: usize| ran(&[5], many_names()).among(slots).home_of(&stranger);
        assert_eq!((whose(8), whose(9)), (Some(4), None));
    }

    /// The marks of tests 5 and 132 are the same.
    #[test]
    fn a_late_stray_is_laid_at_nobodys_door_where_it_may_be_anothers() {
        let mark = Some(frames::mark(7, 5));
        assert_eq!(mark, Some(frames::mark(7, 132)));
        let late = stray(9, 1, mark);
        assert_eq!(owners(&[5, 132], &[late]), [(9, 0)], "of one of the two");
        assert_eq!(owners(&[5], &[late]), [(9, 5)], "the other has started nothing");
        assert_eq!(owners(&[], &[late]), [(9, 0)]);
        assert_eq!(owners(&[], &[stray(9, 1, Some(frames::mark(7, 130)))]), [(9, 0)], "130 and 3");
        assert_eq!(owners(&[], &[stray(9, 1, Some(frames::mark(7, 100)))]), [(9, 0)], "and 227");
    }

    #[test]
    fn a_session_tells_whose_a_stray_is_unless_its_mark_says_otherwise() {
        let of = |test| Some(frames::mark(7, test));
        let strays = [stray(9, 1_005, of(5)), stray(10, 1_132, of(132)), stray(11, 1_005, None)];
        assert_eq!(owners(&[5, 132], &strays), [(9, 5), (10, 132), (11, 5)]);
        // The number of the session was test 5's, and is given out again.
        assert_eq!(owners(&[5, 6], &[stray(9, 1_005, of(6))]), [(9, 6)]);
    }

    #[test]
    fn nothing_is_kept_of_a_broken_channel() {
        let mut agent = agent();
        for _ in 0..100 {
            agent.hear(Stream::Channel, &[0; 64 * 1024]);
        }
        assert!(agent.is_broken && agent.decoder.kept() <= 64 * 1024);
    }
}
