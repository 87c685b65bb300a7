//! The channel of doctests: what rustdoc's libtest prints. rustdoc captures what the doctests
//! themselves print, so that nothing else is on its stdout.
//!
//! Since the 2024 edition most doctests of a package are compiled to one program, which has a libtest of
//! its own. So there may be several reports, one after another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::leaks::orphans::Orphans;
use crate::libtest::doctest;
use crate::libtest::logfile::LogfileVerdict;
use crate::libtest::report::ReportReader;
use crate::model::outcome::Outcome;
use crate::model::output::{Output, TruncatedOutput};
use crate::model::output_file::OutputFiles;
use crate::process::clock;
use crate::process::event::Stream;
use crate::process::inspector::Inspector;
use crate::protocol::channel::{Channel, ChannelEvent, ChannelSummary, FinishedTest, ResultStatus};
use crate::protocol::flight::Flight;

pub struct DoctestChannel<'n> {
    /// Of the doctests that were handed out, as rustdoc knows them.
    names: Vec<&'n str>,
    copies: HashMap<&'n str, Copies>,
    flight: Flight,
    line: Vec<u8>,
    /// How many verdicts the current report is still to have.
    to_come: usize,
    reports: usize,
    ends: usize,
    report: ReportReader,
    outputs: HashMap<usize, Output>,
    rest: Output,
    stderr: TruncatedOutput,
    orphans: Orphans,
    output_files: Option<Arc<OutputFiles>>,
}

/// The doctests of one name, which run together.
#[derive(Debug, Default)]
struct Copies {
    /// Those that were handed out, and have no verdict yet.
    open: Vec<usize>,
    /// How many there are that have none, handed out or not.
    awaited: usize,
    /// The worst of the verdicts that cannot be given to one of them yet.
    worst: Option<LogfileVerdict>,
}

impl<'n> DoctestChannel<'n> {
    /// `all` are the names of all doctests of the package, `handed_out` those of the batch; `threads` is
    /// how many of them rustdoc runs at once. What they start may outlive them for `linger`.
    pub fn new(
        all: impl IntoIterator<Item = &'n str>,
        handed_out: impl IntoIterator<Item = &'n str>,
        threads: usize,
        linger: Duration,
        output_files: Option<Arc<OutputFiles>>,
    ) -> Self {
        let names: Vec<&str> = handed_out.into_iter().map(doctest::bare_name).collect();
        let mut copies: HashMap<&str, Copies> = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            copies.entry(*name).or_default().open.push(at);
        }
        for name in all {
            if let Some(copies) = copies.get_mut(doctest::bare_name(name)) {
                copies.awaited += 1;
            }
        }
        DoctestChannel {
            flight: Flight::new(names.len(), threads),
            report: reader(&names, output_files.as_ref()),
            names,
            copies,
            line: Vec::new(),
            to_come: 0,
            reports: 0,
            ends: 0,
            outputs: HashMap::new(),
            rest: Output::default(),
            stderr: TruncatedOutput::new(output_files.as_ref()),
            orphans: Orphans::new(linger),
            output_files,
        }
    }

    fn take_line(&mut self, line: &[u8], heard: &mut Vec<ChannelEvent>) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if self.reports == self.ends {
            match doctest::announced(text) {
                Some(tests) => {
                    self.reports += 1;
                    self.to_come = tests;
                    heard.extend(self.flight.fill().into_iter().map(ChannelEvent::TestStarted));
                }
                None if is_frame(text) => {}
                None => self.rest.append(line.to_vec().into()),
            }
        } else if self.to_come > 0 {
            if let Some((names, verdict)) = doctest::verdict(text) {
                self.to_come -= 1;
                self.ended(names, verdict, heard);
            }
        } else {
            self.report.read(line);
            if self.report.counted.is_some() {
                self.ends += 1;
                let next = reader(&self.names, self.output_files.as_ref());
                let (outputs, rest) = std::mem::replace(&mut self.report, next).finish();
                self.outputs.extend(outputs);
                self.rest.append(rest);
            }
        }
    }

    fn ended(&mut self, names: [&str; 2], verdict: LogfileVerdict, heard: &mut Vec<ChannelEvent>) {
        let known = names.iter().find(|name| self.copies.contains_key(**name));
        let Some(copies) = known.and_then(|name| self.copies.get_mut(*name)) else { return };
        copies.awaited = copies.awaited.saturating_sub(1);
        let now: Vec<_> = if copies.worst.is_some() || copies.awaited >= copies.open.len() {
            // Of more copies than were handed out, it is not known whose verdict this is.
            let worst = copies.worst.into_iter().chain([verdict]).max_by_key(severity);
            copies.worst = worst;
            if copies.awaited > 0 {
                return;
            }
            let verdict = worst.unwrap_or(verdict);
            std::mem::take(&mut copies.open).into_iter().map(|test| (test, verdict)).collect()
        } else {
            vec![(copies.open.remove(0), verdict)]
        };
        for (test, verdict) in now {
            heard.push(ChannelEvent::TestFinished(finished(test, verdict)));
            heard.extend(self.flight.end(test).into_iter().map(ChannelEvent::TestStarted));
        }
    }
}

fn severity(verdict: &LogfileVerdict) -> usize {
    match verdict {
        LogfileVerdict::Ignored => 0,
        LogfileVerdict::Ok => 1,
        LogfileVerdict::Failed => 2,
    }
}

fn finished(test: usize, verdict: LogfileVerdict) -> FinishedTest {
    FinishedTest {
        test,
        outcome: match verdict {
            LogfileVerdict::Ok => Outcome::Passed,
            LogfileVerdict::Failed => Outcome::Failed,
            LogfileVerdict::Ignored => Outcome::Ignored,
        },
        took: None,
        processor: None,
        has_started_processes: false,
        reason: None,
        output: None,
        status: ResultStatus::Final,
        neighbors: Vec::new(),
    }
}

fn reader(names: &[&str], output_files: Option<&Arc<OutputFiles>>) -> ReportReader {
    ReportReader::new(names.iter().copied()).with_output_files(output_files.cloned())
}

/// Whether rustdoc itself says this, and it is nothing new.
fn is_frame(line: &str) -> bool {
    line.is_empty() || line.starts_with("all doctests ran in ")
}

impl Channel for DoctestChannel<'_> {
    fn feed(&mut self, stream: Stream, bytes: &[u8]) -> Vec<ChannelEvent> {
        let mut heard = Vec::new();
        match stream {
            Stream::Stdout => {
                let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
                for part in &mut lines {
                    self.line.extend_from_slice(part);
                    // A doctest may print a flood without line ends, which is shown as it is.
                    if part.ends_with(b"\n") || self.line.len() > TruncatedOutput::PART {
                        let line = std::mem::take(&mut self.line);
                        self.take_line(&line, &mut heard);
                    }
                }
            }
            Stream::Stderr => self.stderr.push(bytes),
            Stream::Channel => {}
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
        let (outputs, rest) = self.report.finish();
        self.outputs.extend(outputs);
        let mut all_rest = self.stderr.into_output();
        all_rest.append_lines(self.rest);
        all_rest.append_lines(rest);
        let (orphan_pids, unattributed) = self.orphans.into_findings().into_iter().unzip();
        ChannelSummary {
            began: self.reports > 0,
            ended: self.reports > 0 && self.reports == self.ends,
            outputs: self.outputs,
            rest: all_rest,
            unattributed,
            orphan_pids,
            ..ChannelSummary::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGED: &str = "\nrunning 3 tests\ntest src/lib.rs - a (line 1) ... ok\n\
        test src/lib.rs - b (line 2) ... FAILED\ntest src/lib.rs - x (line 9) ... ok\n\nfailures:\n\n\
        ---- src/lib.rs - b (line 2) stdout ----\nTest executable failed (exit status: 3).\n\n\
        running 1 test\ntest src/lib.rs - c (line 3) ... ok\n\n\n\
        failures:\n    src/lib.rs - b (line 2)\n\n\
        test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.0s\n\n";
    const ALONE: &str = "\nrunning 1 test\ntest src/lib.rs - c (line 3) - compile fail ... FAILED\n\n\
        failures:\n\n---- src/lib.rs - c (line 3) stdout ----\nTest compiled successfully\n\nfailures:\n\
        \x20   src/lib.rs - c (line 3)\n\n\
        test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.0s\n\n\
        all doctests ran in 3.61s; merged doctests compilation took 0.29s\n";

    fn verdicts(heard: Vec<ChannelEvent>) -> Vec<(usize, Outcome)> {
        let verdict = |event| match event {
            ChannelEvent::TestFinished(ended) => Some((ended.test, ended.outcome)),
            _ => None,
        };
        heard.into_iter().filter_map(verdict).collect()
    }

    fn channel(all: &[&'static str], handed_out: &[&'static str]) -> DoctestChannel<'static> {
        let (all, handed_out) = (all.to_vec(), handed_out.to_vec());
        DoctestChannel::new(all, handed_out, 1, Duration::ZERO, None)
    }

    /// In pieces of any size.
    fn feed(channel: &mut DoctestChannel<'_>, text: &str, size: usize) -> Vec<ChannelEvent> {
        text.as_bytes().chunks(size).flat_map(|part| channel.feed(Stream::Stdout, part)).collect()
    }

    #[test]
    fn several_reports_are_read_and_what_a_doctest_prints_is_none() {
        let names =
            ["src/lib.rs - a (line 1)", "src/lib.rs - b (line 2)", "src/lib.rs - c (line 3)"];
        for size in [1, 7, 10_000] {
            let mut channel = channel(&names, &names);
            let heard = feed(&mut channel, &[MERGED, ALONE].concat(), size);
            let expected = [(0, Outcome::Passed), (1, Outcome::Failed), (2, Outcome::Failed)];
            assert_eq!(verdicts(heard), expected);
            assert_eq!((channel.reports, channel.ends), (2, 2));
            let text = |test| String::from_utf8_lossy(&channel.outputs[&test]).into_owned();
            assert!(text(1).starts_with("Test executable failed"), "{}", text(1));
            assert_eq!(text(2), "Test compiled successfully\n");
        }
    }

    #[test]
    fn copies_of_one_name_have_their_own_verdicts_or_the_worst() {
        let names = ["src/lib.rs - S::add (line 4)", "src/lib.rs - S::add (line 4) #2"];
        let report = |last: &str| {
            let line = "test src/lib.rs - S::add (line 4) ... ";
            format!("running 2 tests\n{line}ok\n{line}{last}\n")
        };
        let both = feed(&mut channel(&names, &names), &report("FAILED"), 100);
        assert_eq!(verdicts(both), [(0, Outcome::Passed), (1, Outcome::Failed)]);
        for (last, expected) in [("FAILED", Outcome::Failed), ("ok", Outcome::Passed)] {
            let one = feed(&mut channel(&names, &names[1..]), &report(last), 100);
            assert_eq!(verdicts(one), [(0, expected)]);
        }
    }
}
