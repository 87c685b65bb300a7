//! libtest's events, found in what its main thread writes.

use super::{AgentChannel, Certainty, MOST_BY_OTHERS, only_place};
use crate::model::outcome::Outcome;
use crate::model::output::{Output, TruncatedOutput};
use crate::process::clock;
use crate::protocol::channel::{ChannelEvent, FinishedTest, ResultStatus};
use crate::protocol::libtest_event::{Counts, Line, events_in};
use crate::protocol::long_line::Shortened;
use crate::protocol::test_index::Occurrence;

impl AgentChannel<'_> {
    /// libtest has created a thread for a test, or none for one that it ignores.
    pub(super) fn test_started(&mut self, test: u32, thread: u32, place: Option<usize>) {
        if test == 0 {
            return;
        }
        self.runs_test.insert(thread, test);
        self.are_tests.insert(thread);
        if let Some(place) = place {
            self.tests.bind(test, place);
        }
    }

    /// The place of a test that has started: by the event, or by the line where libtest's own
    /// event stood.
    pub(super) fn place_of_started(
        &mut self,
        event: &[u8],
        line: u32,
        heard: &mut Vec<ChannelEvent>,
    ) -> Option<usize> {
        match event.is_empty() {
            true => self.begun_on.get(&line).copied(),
            false => self.begin(event, heard),
        }
    }

    fn begin(&mut self, event: &[u8], heard: &mut Vec<ChannelEvent>) -> Option<usize> {
        let event = Line::read(event.strip_suffix(b"\n").unwrap_or(event))?;
        let turn = self.tests.begin(&event.name)?;
        let (Occurrence::First(place) | Occurrence::Repeated(place)) = turn;
        if turn == Occurrence::First(place) {
            heard.push(ChannelEvent::TestStarted(place));
        }
        Some(place)
    }

    /// What the main thread wrote, as it came.
    pub(super) fn pieces(&mut self, test: u32, bytes: &[u8], heard: &mut Vec<ChannelEvent>) {
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
                whole.push(line, self.output_files.as_ref());
                self.line(&whole.bytes, whole.shortened, test, heard);
            }
        }
        if !last.is_empty() {
            self.line.push(last, self.output_files.as_ref());
            self.line_is_of = self.line_is_of.max(test);
        }
    }

    pub(super) fn line(
        &mut self,
        line: &[u8],
        shortened: Shortened,
        test: u32,
        heard: &mut Vec<ChannelEvent>,
    ) {
        match Line::read(line).filter(|event| self.is_certain(event, test)) {
            Some(event) => self.event(event, shortened, Certainty::Alone, heard),
            None => self.recover(line, shortened, test, heard),
        }
    }

    /// Whether an event that is alone on its line is libtest's own beyond doubt. A test may have
    /// left such a line in the buffer when another thread wrote out what libtest had said.
    pub(super) fn is_certain(&mut self, event: &Line<'_>, test: u32) -> bool {
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
    pub(super) fn recover(
        &mut self,
        line: &[u8],
        shortened: Shortened,
        test: u32,
        heard: &mut Vec<ChannelEvent>,
    ) {
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

    pub(super) fn recover_from_others(&mut self, test: u32, heard: &mut Vec<ChannelEvent>) {
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
    pub(super) fn is_plausible(&mut self, event: &Line<'_>, test: u32) -> bool {
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
    pub(super) fn contradicts(&mut self, event: &Line<'_>, other: &Line<'_>, test: u32) -> bool {
        let differs = event.name != other.name || event.event != other.event;
        differs && event.kind == other.kind && self.is_plausible(event, test)
    }

    /// Whatever else a main thread prints is nobody's verdict.
    pub(super) fn print(&mut self, line: &[u8], heard: &mut Vec<ChannelEvent>) {
        if line.is_empty() {
            return;
        }
        let line = [line, b"\n"].concat();
        self.rest.push(&line);
        if !self.captures {
            heard.push(ChannelEvent::Output(line));
        }
    }

    /// Keeps what looks like events in what a thread of a test has written.
    pub(super) fn keep_events(&mut self, bytes: &[u8]) {
        for (range, _) in events_in(bytes) {
            if self.written_by_others.len() == MOST_BY_OTHERS {
                self.written_by_others.pop_front();
            }
            self.written_by_others.push_back(bytes[range].to_vec());
        }
    }

    pub(super) fn event(
        &mut self,
        line: Line<'_>,
        shortened: Shortened,
        certainty: Certainty,
        heard: &mut Vec<ChannelEvent>,
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
                if let Some(Occurrence::First(test)) = self.tests.begin(&line.name) {
                    self.begun_on.insert(self.lines, test);
                    heard.push(ChannelEvent::TestStarted(test));
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
            (_, Some(Occurrence::Repeated(_))) => {}
            (Outcome::Passed, _) => self.heard.passed += 1,
            (Outcome::Failed, _) => self.heard.failed += 1,
            // Where all of a binary runs, those count too that nobody has asked for.
            _ => self.heard.ignored += 1,
        }
        let Some(Occurrence::First(test)) = turn else { return };
        let finished = self.finished(test, outcome, line, shortened);
        if certainty == Certainty::Recovered {
            self.recovered.insert(test);
        }
        let is_settled = self.traces.is_clean(test) && !finished.has_started_processes;
        let status = match is_settled && certainty == Certainty::Alone {
            true => ResultStatus::Final,
            false => ResultStatus::Provisional,
        };
        heard.push(ChannelEvent::TestFinished(FinishedTest { status, ..finished }));
        if status == ResultStatus::Provisional {
            self.unsettled.push(test);
            self.settle(heard);
        }
    }

    /// The result of a test, whose status the caller knows.
    fn finished(
        &mut self,
        test: usize,
        outcome: Outcome,
        line: Line<'_>,
        shortened: Shortened,
    ) -> FinishedTest {
        let captured =
            self.captured(line.stdout.as_deref().unwrap_or_default().as_bytes(), shortened);
        let mut output = self.outputs.end(test, captured);
        if let (Outcome::Failed, Some(message)) = (outcome, &line.message) {
            output.append(Output::of_notes(format!("note: {message}\n")));
        }
        self.note_left_changed(test);
        let mut neighbors = Vec::new();
        if outcome == Outcome::Failed {
            let printed = line.stdout.as_deref().unwrap_or_default();
            let text = format!("{printed}\n{}", line.message.as_deref().unwrap_or_default());
            let notes;
            (notes, neighbors) = self.what_others_changed(test, &text);
            output.append(Output::of_notes(notes));
        }
        let took = line.took();
        self.traces.test_ended(test, clock::now());
        let has_started = self.traces.has_started_processes(test);
        if has_started {
            self.awaits_orphans.get_or_insert_with(clock::now);
        }
        FinishedTest {
            test,
            outcome,
            took,
            processor: self.processor_time.remove(&test),
            has_started_processes: has_started,
            reason: line.message,
            output: Some(output),
            status: ResultStatus::Provisional,
            neighbors,
        }
    }

    pub(super) fn suite_ended(&mut self, counted: Counts, heard: &mut Vec<ChannelEvent>) {
        self.ended = true;
        self.counted = Some(counted);
        if counted == self.heard {
            self.recovered.clear();
            self.settle(heard);
        }
    }

    pub(super) fn captured(&self, text: &[u8], shortened: Shortened) -> TruncatedOutput {
        let Shortened { left_out, file } = shortened;
        if left_out > 0 {
            return TruncatedOutput::shortened(text, left_out, file);
        }
        let mut kept = TruncatedOutput::new(self.output_files.as_ref());
        kept.push(text);
        kept
    }
}
