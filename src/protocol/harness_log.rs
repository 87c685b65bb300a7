//! The log of a custom harness: `libtest-mimic` and those that are built on it write every event as
//! a line of JSON to their `--logfile`. With several threads, the beginning of a test stands there
//! when it has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::leaks::orphans::Orphans;
use crate::libtest::list::without_kind;
use crate::model::outcome::Outcome;
use crate::model::output::{Output, TruncatedOutput};
use crate::model::output_file::OutputFiles;
use crate::process::clock;
use crate::process::event::Stream;
use crate::process::inspector::Inspector;
use crate::protocol::channel::{Channel, ChannelEvent, ChannelSummary, FinishedTest, ResultStatus};
use crate::protocol::harness_starts::{AssumedStarts, Starts};
use crate::protocol::libtest_event::Line;

/// What is kept of a line. A longer one makes the log useless.
const LONGEST: usize = 16 * 1024 * 1024;

pub struct HarnessLogChannel<'n> {
    names: Names<'n>,
    /// The beginning of a line.
    line: Vec<u8>,
    starts: Starts,
    /// The test whose beginning was logged last, until its end is.
    running: Option<usize>,
    ended: FxHashSet<usize>,
    began: bool,
    /// Whether the harness came to its own end.
    is_complete: bool,
    /// Whether it has said what cannot be. Nothing of what follows is believed.
    is_wrong: bool,
    /// What was printed since the test that runs has started; if several run at once, since the
    /// process has.
    printed: TruncatedOutput,
    /// What was printed last: if it has ended meanwhile, the next one may have printed that.
    recent: Vec<u8>,
    /// What failed tests have printed. It is told when the process has exited, and is known to
    /// count the failures too.
    outputs: HashMap<usize, Output>,
    captures: bool,
    orphans: Orphans,
    output_files: Option<Arc<OutputFiles>>,
}

/// The tests that a harness may speak of.
struct Names<'n> {
    /// Every test of the binary.
    by_name: &'n HashMap<String, usize>,
    /// The names of tests with a kind, which are listed as `[kind] name`, without it.
    without_kind: HashMap<&'n str, usize>,
    /// From the index in the binary to the index among those that were handed out.
    handed_out: FxHashMap<usize, usize>,
}

impl<'n> HarnessLogChannel<'n> {
    /// `tests` are those that were handed out, `by_name` all of the binary.
    pub fn new(
        by_name: &'n HashMap<String, usize>,
        tests: impl IntoIterator<Item = usize>,
        captures: bool,
        linger: Duration,
    ) -> Self {
        let handed_out = tests.into_iter().enumerate().map(|(index, test)| (test, index));
        let without_kind = by_name.iter().filter_map(|(name, at)| Some((without_kind(name)?, *at)));
        let names = Names {
            by_name,
            without_kind: without_kind.collect(),
            handed_out: handed_out.collect(),
        };
        HarnessLogChannel {
            names,
            line: Vec::new(),
            starts: Starts::Logged,
            running: None,
            ended: FxHashSet::default(),
            began: false,
            is_complete: false,
            is_wrong: false,
            printed: TruncatedOutput::default(),
            recent: Vec::new(),
            outputs: HashMap::new(),
            captures,
            orphans: Orphans::new(linger),
            output_files: None,
        }
    }

    /// It runs so many tests at once. `order` is that of the list, none if it is not known.
    pub fn at_once(mut self, threads: usize, order: Option<Vec<usize>>) -> Self {
        if threads > 1 {
            self.starts = Starts::Assumed(AssumedStarts::new(order, threads));
        }
        self
    }

    /// What is too much to be kept goes there.
    pub fn with_output_files(mut self, output_files: Option<Arc<OutputFiles>>) -> Self {
        self.printed = TruncatedOutput::new(output_files.as_ref());
        self.output_files = output_files;
        self
    }

    fn read_log(&mut self, bytes: &[u8], heard: &mut Vec<ChannelEvent>) {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        let (before, mut failed) = (self.running, Vec::new());
        for rest in lines {
            self.line.extend_from_slice(rest);
            let line = std::mem::take(&mut self.line);
            if let Some(line) = Line::read(&line).filter(|_| !self.is_wrong) {
                self.is_wrong |= self.take(&line, heard, &mut failed).is_none();
            }
        }
        self.line.extend_from_slice(last);
        self.is_wrong |= self.line.len() > LONGEST;
        self.share_output(before, failed);
    }

    /// Takes an event; none if it contradicts those before it.
    fn take(
        &mut self,
        line: &Line<'_>,
        heard: &mut Vec<ChannelEvent>,
        failed: &mut Vec<(usize, String)>,
    ) -> Option<()> {
        match (&*line.kind, &*line.event) {
            ("suite", "started") => {
                let is_first = !std::mem::replace(&mut self.began, true);
                if let Starts::Assumed(starts) = &mut self.starts
                    && is_first
                {
                    starts.begin(heard);
                }
            }
            ("suite", "ok" | "failed") => self.is_complete = true,
            ("test", "started") => {
                let Some(test) = self.names.handed_out(&line.name) else { return Some(()) };
                let is_next = self.running.is_none() && !self.ended.contains(&test);
                self.running = is_next.then_some(test);
                self.running?;
                if let Starts::Logged = self.starts {
                    heard.push(ChannelEvent::TestStarted(test));
                }
            }
            ("test", event) => {
                let outcome = outcome(event)?;
                let Some(test) = self.names.handed_out(&line.name) else {
                    // Others may be ignored, but not run.
                    let is_known = self.names.index(&line.name).is_some();
                    return (!is_known || outcome == Outcome::Ignored).then_some(());
                };
                self.running.take().filter(|running| *running == test)?;
                self.ended.insert(test);
                if outcome == Outcome::Failed {
                    failed.push((test, line.stdout.clone().unwrap_or_default()));
                }
                match &mut self.starts {
                    Starts::Logged => heard.push(ChannelEvent::TestFinished(ended(test, outcome))),
                    Starts::Assumed(starts) => starts.end(ended(test, outcome), heard),
                }
            }
            // Benchmarks are measured without a start.
            ("bench", _) => return None,
            _ => {}
        }
        Some(())
    }

    /// `before` ran before these tests have failed. All of them may have printed what came last. If
    /// several run at once, nobody knows which of them has printed what.
    fn share_output(&mut self, before: Option<usize>, failed: Vec<(usize, String)>) {
        if let Starts::Assumed(_) = self.starts {
            self.printed.push(&std::mem::take(&mut self.recent));
            let message = |(test, message): (usize, String)| (test, message.into_bytes().into());
            return self.outputs.extend(failed.into_iter().map(message));
        }
        let is_taken = !failed.is_empty();
        for (test, message) in failed {
            let mut output = Output::from(self.recent.clone());
            if before == Some(test) {
                output = self.take_printed();
                output.append(self.recent.clone().into());
            }
            output.append_lines(message.into_bytes().into());
            self.outputs.insert(test, output);
        }
        if self.running != before {
            self.take_printed();
        }
        let recent = std::mem::take(&mut self.recent);
        if self.running.is_some() || !is_taken {
            self.printed.push(&recent);
        }
    }

    fn take_printed(&mut self) -> Output {
        let next = TruncatedOutput::new(self.output_files.as_ref());
        std::mem::replace(&mut self.printed, next).into_output()
    }
}

impl Channel for HarnessLogChannel<'_> {
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Vec<ChannelEvent> {
        let mut heard = Vec::new();
        match stream {
            // Nothing was logged since: the test still runs.
            Stream::Channel if bytes.is_empty() => {
                self.printed.push(&std::mem::take(&mut self.recent));
            }
            Stream::Channel => self.read_log(bytes, &mut heard),
            Stream::Stdout | Stream::Stderr => {
                self.recent.extend_from_slice(bytes);
                if !self.captures {
                    heard.push(ChannelEvent::Output(bytes.to_vec()));
                }
            }
        }
        heard
    }

    fn look(&mut self, look: &dyn Inspector) -> Vec<ChannelEvent> {
        self.orphans.look_for_own(look, clock::now());
        Vec::new()
    }

    fn has_pending(&self) -> bool {
        self.orphans.are_open()
    }

    fn finish(mut self: Box<Self>, _look: &dyn Inspector) -> ChannelSummary {
        self.printed.push(&std::mem::take(&mut self.recent));
        let mut rest = self.take_printed();
        let mut outputs = std::mem::take(&mut self.outputs);
        let running = self.running.filter(|_| matches!(self.starts, Starts::Logged));
        if let Some(running) = running {
            outputs.insert(running, std::mem::take(&mut rest));
        }
        let (orphan_pids, unattributed) = self.orphans.into_findings().into_iter().unzip();
        ChannelSummary {
            began: self.began,
            ended: self.is_complete,
            outputs,
            captured: running.into_iter().collect(),
            rest,
            was_lost: self.is_wrong,
            unattributed,
            orphan_pids,
            ..ChannelSummary::default()
        }
    }
}

impl Names<'_> {
    fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).or_else(|| self.without_kind.get(name)).copied()
    }

    fn handed_out(&self, name: &str) -> Option<usize> {
        self.handed_out.get(&self.index(name)?).copied()
    }
}

fn outcome(event: &str) -> Option<Outcome> {
    match event {
        "ok" => Some(Outcome::Passed),
        "failed" => Some(Outcome::Failed),
        "ignored" => Some(Outcome::Ignored),
        _ => None,
    }
}

pub(super) fn ended(test: usize, outcome: Outcome) -> FinishedTest {
    FinishedTest {
        test,
        outcome,
        took: None,
        processor: None,
        has_started_processes: false,
        reason: None,
        output: None,
        status: ResultStatus::Final,
        neighbors: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, event: &str) -> String {
        format!("{{ \"type\": \"test\", \"event\": \"{event}\", \"name\": \"{name}\" }}\n")
    }

    fn by_name() -> HashMap<String, usize> {
        let names = ["a", "b", "[slow] c", "d"].into_iter().zip(0..);
        names.map(|(name, at)| (name.to_owned(), at)).collect()
    }

    /// The channel of a process that is to run all but `d`.
    fn channel(by_name: &HashMap<String, usize>) -> HarnessLogChannel<'_> {
        HarnessLogChannel::new(by_name, 0..3, true, Duration::ZERO)
    }

    /// What comes is the log, or else what is printed.
    fn feed(channel: &mut HarnessLogChannel<'_>, parts: &[&str]) -> Vec<(usize, Option<Outcome>)> {
        let is_log = |part: &str| part.is_empty() || part.contains('{');
        let stream = |part| if is_log(part) { Stream::Channel } else { Stream::Stderr };
        let heard = parts.iter().flat_map(|part| channel.feed(stream(part), part.as_bytes()));
        let heard: Vec<ChannelEvent> = heard.collect();
        let brief = heard.into_iter().filter_map(|heard| match heard {
            ChannelEvent::TestStarted(test) => Some((test, None)),
            ChannelEvent::TestFinished(ended) => Some((ended.test, Some(ended.outcome))),
            _ => None,
        });
        brief.collect()
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let by_name = by_name();
        let log = event("a", "started")
            + &event("a", "ok")
            + &event("d", "ignored")
            + &event("c", "started")
            + &event("c", "ignored");
        let expected =
            [(0, None), (0, Some(Outcome::Passed)), (2, None), (2, Some(Outcome::Ignored))];
        assert_eq!(feed(&mut channel(&by_name), &[&log]), expected);
        for cut in 0..log.len() {
            let mut channel = channel(&by_name);
            let (first, second) = log.split_at(cut);
            let parts = [first, second];
            let heard = parts.map(|part| channel.feed(Stream::Channel, part.as_bytes()).len());
            assert!(heard.iter().sum::<usize>() == 4 && !channel.is_wrong, "{cut}");
        }
    }

    #[test]
    fn what_cannot_be_is_noticed_and_nothing_after_it_is_believed() {
        let (started, ok) = (|name| event(name, "started"), |name| event(name, "ok"));
        let table = [
            // It was not handed out.
            vec![started("d"), ok("d")],
            // It has not started, or has ended.
            vec![ok("a")],
            vec![started("a"), ok("a"), ok("a")],
            vec![started("a"), ok("a"), started("a")],
            // Two at the same time.
            vec![started("a"), started("b")],
            vec![started("a"), ok("b")],
            vec![started("a"), event("a", "exploded")],
        ];
        let by_name = by_name();
        for log in table {
            let mut channel = channel(&by_name);
            feed(&mut channel, &[&log.concat()]);
            assert!(channel.is_wrong, "{log:?}");
            assert_eq!(feed(&mut channel, &[&(started("c") + &ok("c"))]), [], "{log:?}");
        }
        let mut channel = channel(&by_name);
        feed(&mut channel, &[&(started("nobody knows") + &ok("nobody knows"))]);
        assert!(!channel.is_wrong, "it may have been added since the list");
    }

    #[test]
    fn a_failure_has_what_its_test_has_printed() {
        let (start, fail) = (|name| event(name, "started"), |name| event(name, "failed"));
        let pass = |name| event(name, "ok");
        let (start_a, fail_b) = (start("a"), fail("b"));
        let fail_a_start_b = fail("a") + &start("b");
        let pass_a_start_b = pass("a") + &start("b");
        let (both, only_b) = (fail("a") + &start("b") + &fail_b, pass("a") + &start("b") + &fail_b);
        let table: [(&[&str], &str, &str); 4] = [
            // Each in its own time.
            (&[&start_a, "1", "", "2", "", &fail_a_start_b, "3", "", &fail_b], "12", "3"),
            // What is printed before the log is read may be of the next.
            (&[&start_a, "1", "", "2", &pass_a_start_b, "3", "", &fail_b], "", "23"),
            (&[&start_a, "1", &both], "1", "1"),
            (&[&start_a, "1", "", &only_b], "", ""),
        ];
        let by_name = by_name();
        for (parts, of_a, of_b) in table {
            let mut channel = channel(&by_name);
            feed(&mut channel, parts);
            let output = |test| channel.outputs.get(&test).cloned().unwrap_or_default();
            let output = |test| String::from_utf8_lossy(&output(test)).into_owned();
            assert_eq!((&*output(0), &*output(1)), (of_a, of_b), "{parts:?}");
        }
    }

    #[test]
    fn what_a_failure_has_printed_is_not_left_for_others() {
        let by_name = by_name();
        let mut channel = channel(&by_name);
        feed(&mut channel, &[&event("a", "started"), "1", &event("a", "failed"), "2"]);
        assert_eq!(&*channel.outputs[&0], b"1");
        channel.printed.push(&std::mem::take(&mut channel.recent));
        assert_eq!(&*channel.take_printed(), b"2", "such as when its threads are joined");
    }
}
