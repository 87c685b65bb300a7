//! The portable channel: libtest's `--logfile` on a pipe for the verdicts, its report on
//! stdout for the output of failed tests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::leaks::orphans::Orphans;
use crate::libtest::logfile::{LogfileEntry, LogfileReader, LogfileVerdict};
use crate::libtest::report::ReportReader;
use crate::model::outcome::Outcome;
use crate::model::output::TruncatedOutput;
use crate::model::output_file::OutputFiles;
use crate::process::clock;
use crate::process::event::Stream;
use crate::process::inspector::Inspector;
use crate::protocol::channel::{Channel, ChannelEvent, ChannelSummary, FinishedTest, ResultStatus};
use crate::protocol::flight::Flight;

pub struct LogfileChannel<'n> {
    ledger: LogfileReader<'n>,
    report: ReportReader,
    stderr: TruncatedOutput,
    stderr_has_begun: bool,
    flight: Flight,
    /// What was written since the last test ended, where tests write past the capture and
    /// run one after another.
    since: Option<TruncatedOutput>,
    captures: bool,
    heard_any: bool,
    is_new: bool,
    orphans: Orphans,
    output_files: Option<Arc<OutputFiles>>,
}

impl<'n> LogfileChannel<'n> {
    /// `names` are the names of the tests that were handed out, `by_name` those of the whole
    /// binary; `threads` is how many of them libtest runs at once.
    pub fn new(
        by_name: &'n HashMap<String, usize>,
        names: &[&str],
        threads: usize,
        captures: bool,
    ) -> Self {
        let handed_out = names.iter().filter_map(|name| by_name.get(*name).copied());
        LogfileChannel {
            ledger: LogfileReader::new(by_name, handed_out),
            report: ReportReader::new(names.iter().copied()),
            stderr: TruncatedOutput::default(),
            stderr_has_begun: false,
            flight: Flight::new(names.len(), threads),
            since: (!captures && threads == 1).then(TruncatedOutput::default),
            captures,
            heard_any: false,
            is_new: true,
            orphans: Orphans::new(Duration::ZERO),
            output_files: None,
        }
    }

    /// What it has started may outlive the worker for so long.
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.orphans = Orphans::new(linger);
        self
    }

    /// What is too much to be kept goes there.
    pub fn with_output_files(mut self, output_files: Option<Arc<OutputFiles>>) -> Self {
        self.report = self.report.with_output_files(output_files.clone());
        self.stderr = TruncatedOutput::new(output_files.as_ref());
        self.since = self.since.map(|_| TruncatedOutput::new(output_files.as_ref()));
        self.output_files = output_files;
        self
    }

    fn ended(&mut self, entry: LogfileEntry, heard: &mut Vec<ChannelEvent>) {
        self.heard_any = true;
        let outcome = match entry.verdict {
            LogfileVerdict::Ok => Outcome::Passed,
            LogfileVerdict::Failed => Outcome::Failed,
            LogfileVerdict::Ignored => Outcome::Ignored,
        };
        let next = || TruncatedOutput::new(self.output_files.as_ref());
        let output =
            self.since.as_mut().map(|since| std::mem::replace(since, next()).into_output());
        let test = entry.test;
        let (reason, status) = (entry.message, ResultStatus::Final);
        heard.push(ChannelEvent::TestFinished(FinishedTest {
            test,
            outcome,
            took: None,
            processor: None,
            has_started_processes: false,
            reason,
            output,
            status,
            neighbors: Vec::new(),
        }));
        heard.extend(self.flight.end(test).into_iter().map(ChannelEvent::TestStarted));
    }

    fn wrote(&mut self, bytes: &[u8], heard: &mut Vec<ChannelEvent>) {
        if let Some(since) = &mut self.since {
            since.push(bytes);
        }
        if !self.captures && !bytes.is_empty() {
            heard.push(ChannelEvent::Output(bytes.to_vec()));
        }
    }
}

impl Channel for LogfileChannel<'_> {
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Vec<ChannelEvent> {
        let mut heard = Vec::new();
        if std::mem::take(&mut self.is_new) {
            heard.extend(self.flight.fill().into_iter().map(ChannelEvent::TestStarted));
        }
        match stream {
            Stream::Channel => {
                for entry in self.ledger.read(bytes) {
                    self.ended(entry, &mut heard);
                }
            }
            Stream::Stdout => {
                self.report.read(bytes);
                self.wrote(bytes, &mut heard);
            }
            Stream::Stderr => {
                let bytes = if self.stderr_has_begun { bytes } else { without_deprecation(bytes) };
                self.stderr_has_begun = true;
                self.stderr.push(bytes);
                self.wrote(bytes, &mut heard);
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

    fn finish(self: Box<Self>, _look: &dyn Inspector) -> ChannelSummary {
        let began = self.report.began() || self.heard_any;
        // A test may print such a line and end the process: libtest's own agrees with its log.
        let ended = self.report.counted == Some(self.ledger.seen);
        // It came to its end and told of other tests than it has had lines of, or of none: a test
        // has closed the ledger, and may have opened something else in its place.
        let was_lost = self.report.ended() && !ended;
        let (outputs, mut rest) = self.report.finish();
        rest.append(self.stderr.into_output());
        let (orphan_pids, unattributed) = self.orphans.into_findings().into_iter().unzip();
        ChannelSummary {
            began,
            ended,
            outputs,
            rest,
            was_lost,
            unattributed,
            orphan_pids,
            ..ChannelSummary::default()
        }
    }
}

/// libtest warns about `--logfile` in its very first write to stderr, with or without a
/// line end (Rust 1.95).
fn without_deprecation(bytes: &[u8]) -> &[u8] {
    let rest = bytes.strip_prefix(b"warning: `--logfile` is deprecated").unwrap_or(bytes);
    if rest.len() < bytes.len() { rest.strip_prefix(b"\n").unwrap_or(rest) } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deprecation_of_the_ledger_is_not_the_tests_output() {
        assert_eq!(without_deprecation(b"warning: `--logfile` is deprecatedx"), b"x");
        assert_eq!(without_deprecation(b"warning: `--logfile` is deprecated\nx"), b"x");
        assert_eq!(without_deprecation(b"\nx"), b"\nx");
    }

    #[test]
    fn what_passes_the_capture_belongs_to_the_test_that_ends_next() {
        let by_name = HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]);
        let mut channel = LogfileChannel::new(&by_name, &["a", "b"], 1, false);
        assert_eq!(
            channel.feed(Stream::Stdout, b"hello"),
            [ChannelEvent::TestStarted(0), ChannelEvent::Output(b"hello".to_vec())]
        );
        let heard = channel.feed(Stream::Channel, b"failed a\n");
        let ended = FinishedTest {
            test: 0,
            outcome: Outcome::Failed,
            took: None,
            processor: None,
            has_started_processes: false,
            reason: None,
            output: Some(b"hello".to_vec().into()),
            status: ResultStatus::Final,
            neighbors: Vec::new(),
        };
        assert_eq!(heard, [ChannelEvent::TestFinished(ended), ChannelEvent::TestStarted(1)]);
    }
}
