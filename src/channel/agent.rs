//! The agent's channel: libtest's own events, what tests write past the capture, and what
//! they leave behind, each marked with its test.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::frames::{self, Decoder, Frame, VERSION};
use super::{Channel, Ended, Heard, Left, Settled};
use crate::leaks::{Finding, Module, Subject, Traces};
use crate::libtest::Bounded;
use crate::outcome::Outcome;
use crate::process::{Look, Stray, Stream};

pub struct Agent {
    /// The worker's number, which is part of its tests' marks.
    worker: u32,
    /// The place of each test among those that were handed out.
    by_name: HashMap<String, usize>,
    decoder: Decoder,
    /// The agent's numbers of the tests.
    tests: HashMap<u32, usize>,
    /// The same, the other way round.
    numbers: HashMap<usize, u32>,
    /// The threads that run tests, by the agent's numbers of both.
    runs_test: HashMap<u32, u32>,
    /// Processor time of the threads of a test that have ended.
    processor_time: HashMap<u32, Duration>,
    line: Vec<u8>,
    /// How many bytes of the line are not kept.
    left_out: usize,
    /// The tests that libtest's events said had begun, and had ended: each does so once.
    begun: HashSet<usize>,
    over: HashSet<usize>,
    /// The last test that libtest's events said had begun.
    last_begun: Option<usize>,
    written: HashMap<usize, Bounded>,
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

/// One line of libtest's JSON; fields that its kind does not have are empty.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    exec_time: Option<f64>,
    #[serde(default)]
    stdout: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// What is kept of each end of one of libtest's lines, which carries all that a test printed.
const LONGEST_LINE: usize = 512 * 1024;

/// Leaves out the middle of a line of JSON. Only a text can be so long, and the cuts are where
/// no escape and no letter of several bytes is torn. Returns how much it was.
fn shorten(line: &mut Vec<u8>) -> usize {
    // The longest escape is `\u001b`.
    let is_whole = |at: &usize| line[at - 6..at + 6].iter().all(|b| b.is_ascii() && *b != b'\\');
    let middle = LONGEST_LINE..line.len() - LONGEST_LINE;
    let (Some(from), Some(to)) =
        (middle.clone().find(is_whole), middle.clone().rev().find(is_whole))
    else {
        return 0;
    };
    // What an escape stands for is one byte, as a rule of two.
    let left_out = line.drain(from..to.max(from)).filter(|byte| *byte != b'\\');
    left_out.count()
}

impl Agent {
    /// `lingers` are those of the tests that were handed out.
    pub fn new(worker: u64, names: &[&str], lingers: Vec<Duration>, captures: bool) -> Agent {
        let by_name = names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at));
        Agent {
            // Only its last digits count.
            worker: worker as u32,
            by_name: by_name.collect(),
            decoder: Decoder::default(),
            tests: HashMap::new(),
            numbers: HashMap::new(),
            runs_test: HashMap::new(),
            processor_time: HashMap::new(),
            line: Vec::new(),
            left_out: 0,
            begun: HashSet::new(),
            over: HashSet::new(),
            last_begun: None,
            written: HashMap::new(),
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
                self.libtest(&line, heard);
                self.tests.extend(self.last_begun.map(|ours| (test, ours)));
                self.numbers.extend(self.last_begun.map(|ours| (ours, test)));
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
                if let Some(test) = self.runs_test.remove(&thread) {
                    let took = Duration::from_nanos(processor_nanoseconds);
                    *self.processor_time.entry(test).or_default() += took;
                }
                self.trace(frame, heard);
            }
            frame => self.trace(frame, heard),
        }
    }

    fn trace(&mut self, frame: Frame, heard: &mut Vec<Heard>) {
        let tests = &self.tests;
        self.traces.take(frame, &|test| tests.get(&test).copied(), Instant::now());
        self.settle(heard);
    }

    fn libtest(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.line.extend_from_slice(line);
            let line = std::mem::take(&mut self.line);
            let left_out = std::mem::take(&mut self.left_out);
            // Whatever else a main thread prints is nobody's verdict.
            match serde_json::from_slice::<Line>(&line) {
                Ok(event) => self.event(event, left_out, heard),
                Err(_) => self.rest.push(&[&line[..], b"\n"].concat()),
            }
        }
        self.line.extend_from_slice(last);
        if self.line.len() > 4 * LONGEST_LINE {
            self.left_out += shorten(&mut self.line);
        }
    }

    fn event(&mut self, line: Line, left_out: usize, heard: &mut Vec<Heard>) {
        if line.kind == "suite" {
            self.began |= line.event == "started";
            self.ended |= matches!(line.event.as_str(), "ok" | "failed");
        }
        let Some(&test) = self.by_name.get(&line.name).filter(|_| line.kind == "test") else {
            return;
        };
        let outcome = match line.event.as_str() {
            "started" => {
                self.last_begun = Some(test);
                if self.begun.insert(test) && !self.over.contains(&test) {
                    heard.push(Heard::Began(test));
                }
                return;
            }
            "ok" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "ignored" => Outcome::Ignored,
            _ => return,
        };
        // What a main thread prints on its way out may look like one more event.
        if !self.over.insert(test) {
            return;
        }
        let mut output = Bounded::default();
        output.push(line.stdout.unwrap_or_default().as_bytes());
        output.leave_out(left_out);
        output.push(&self.written.remove(&test).unwrap_or_default().into_bytes());
        if let (Outcome::Failed, Some(message)) = (outcome, &line.message) {
            output.push(format!("note: {message}\n").as_bytes());
        }
        let took = line.exec_time.and_then(|took| Duration::try_from_secs_f64(took).ok());
        self.traces.test_ended(test, Instant::now());
        let has_started = self.traces.has_started_processes(test);
        if has_started {
            self.awaits_strays.get_or_insert_with(Instant::now);
        }
        let settled = match self.traces.is_clean(test) && !has_started {
            true => Settled::Now,
            false => Settled::Later,
        };
        let reason = line.message;
        let output = Some(output.into_bytes());
        let number = self.numbers.get(&test);
        let processor = number.and_then(|number| self.processor_time.remove(number));
        heard.push(Heard::Ended(Ended { test, outcome, took, processor, reason, output, settled }));
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
            let findings = self.traces.findings(test, Instant::now(), |_| None);
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
                self.traces.take_home(stray.pid, test, Instant::now());
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

impl Channel for Agent {
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
        self.awaits_strays.or_else(|| self.traces.due(self.linger()))
    }

    fn look(&mut self, look: &dyn Look) -> Vec<Heard> {
        if self.awaits_strays.take().is_some() {
            self.take_home(&look.strays(), Glance::Again);
        }
        for subject in self.traces.overdue(self.linger(), Instant::now()) {
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
        let now = Instant::now();
        let strays = self.take_home(strays, Glance::Last);
        let alive = |pid| look.command_of(pid);
        let mut findings: HashMap<usize, Vec<Finding>> = HashMap::new();
        for test in self.by_name.values() {
            let found = self.traces.findings(*test, now, alive);
            if !found.is_empty() {
                findings.insert(*test, found);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channel::frames::kinds;
    use crate::libtest::tests::in_chunks;

    /// Nothing lives, and nothing has come home.
    struct Nobody;

    impl Look for Nobody {
        fn thread_rests(&self, _tid: u32) -> bool {
            true
        }
        fn process_lives(&self, _pid: u32) -> bool {
            false
        }
        fn command_of(&self, _pid: u32) -> Option<String> {
            None
        }
        fn strays(&self) -> Vec<Stray> {
            Vec::new()
        }
    }

    const NAMES: [&str; 3] = ["a", "b c", "größe"];

    fn agent() -> Agent {
        Agent::new(7, &NAMES, vec![Duration::ZERO; 3], true)
    }

    fn frame(kind: u8, fields: &[u8]) -> Vec<u8> {
        let length = (fields.len() as u32 + 1).to_ne_bytes();
        [&length[..], &[kind], fields].concat()
    }

    fn libtest(text: &str) -> Vec<u8> {
        frame(kinds::LIBTEST, text.as_bytes())
    }

    fn event(event: &str, name: &str) -> String {
        format!(
            "{{\"type\":\"test\",\"event\":\"{event}\",\"name\":\"{name}\",\"exec_time\":1e-3}}\n"
        )
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
        let left = agent.finish(&Nobody, &[]);
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
                Heard::Wrote(_) => {}
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
            let printed = piece.repeat((5 * LONGEST_LINE + more) / piece.len());
            let text = serde_json::to_string(&printed).unwrap();
            let line = format!("{{\"type\":\"test\",\"event\":\"failed\",\"name\":\"a\",\"stdout\":{text}}}\n");
            let mut agent = agent();
            let mut heard = Vec::new();
            for chunk in line.as_bytes().chunks(60_000) {
                agent.libtest(chunk, &mut heard);
                prop_assert!(agent.line.len() <= 4 * LONGEST_LINE);
            }
            let Some(Heard::Ended(ended)) = heard.first() else { panic!("no verdict") };
            prop_assert_eq!(ended.outcome, Outcome::Failed);
            let output = String::from_utf8_lossy(ended.output.as_ref().unwrap());
            prop_assert!(output.contains("bytes left out"));
            prop_assert!(output.as_bytes().starts_with(&printed.as_bytes()[..1000]));
            prop_assert!(output.as_bytes().ends_with(&printed.as_bytes()[printed.len() - 1000..]));
        }
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
