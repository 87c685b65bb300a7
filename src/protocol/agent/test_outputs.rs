//! What tests have written past the capture, and what libtest has captured of those that do not
//! come to their end.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::frames::kinds;
use crate::model::lost_output::LostOutput;
use crate::model::output::{Output, TruncatedOutput};
use crate::model::output_file::OutputFiles;
use crate::protocol::channel::ChannelSummary;

#[derive(Default)]
pub(super) struct CapturedOutput {
    text: TruncatedOutput,
    /// How much has come: threads that end the process at the same time send it more than once.
    length: u64,
}

/// What a test has written past the capture.
pub(super) struct WrittenOutput {
    text: TruncatedOutput,
    /// How much had been captured before each write (unknown: all of it), and how much had been
    /// written after it.
    places: Vec<(u64, usize)>,
    length: usize,
}

impl WrittenOutput {
    pub(super) fn new(output_files: Option<&Arc<OutputFiles>>) -> WrittenOutput {
        WrittenOutput { text: TruncatedOutput::new(output_files), places: Vec::new(), length: 0 }
    }

    pub(super) fn push(&mut self, place: Option<u64>, bytes: &[u8]) {
        self.text.push(bytes);
        self.length += bytes.len();
        let place = place.unwrap_or(u64::MAX);
        match self.places.last_mut() {
            // Writes keep their order, whatever is known of their places.
            Some((last, end)) if place <= *last => *end = self.length,
            _ => self.places.push((place, self.length)),
        }
        if !self.text.is_whole() {
            self.places = Vec::new();
        }
    }

    /// Both in the order in which they were printed, if all of both is there.
    pub(super) fn merge_into(self, mut captured: TruncatedOutput) -> TruncatedOutput {
        let (Some(text), Some(written)) = (captured.whole(), self.text.whole()) else {
            captured.append(self.text);
            return captured;
        };
        let (mut merged, mut from, mut begin) = (captured.emptied(), 0, 0);
        for (place, end) in self.places {
            let place = usize::try_from(place).unwrap_or(usize::MAX).min(text.len());
            merged.push(&text[from..place]);
            merged.push(&written[begin..end]);
            (from, begin) = (place, end);
        }
        merged.push(&text[from..]);
        merged
    }
}

/// What the tests of a worker have printed that have no verdict yet.
#[derive(Default)]
pub(super) struct TestOutputs {
    written: FxHashMap<usize, WrittenOutput>,
    /// What libtest had captured of running tests when their process ended.
    captured: FxHashMap<usize, CapturedOutput>,
    lost: FxHashMap<usize, LostOutput>,
    ended: FxHashSet<usize>,
    output_files: Option<Arc<OutputFiles>>,
}

impl TestOutputs {
    pub(super) fn new(output_files: Option<Arc<OutputFiles>>) -> TestOutputs {
        TestOutputs { output_files, ..TestOutputs::default() }
    }

    /// A test has written past the capture.
    pub(super) fn write(&mut self, test: usize, place: Option<u64>, bytes: &[u8]) {
        let new = || WrittenOutput::new(self.output_files.as_ref());
        self.written.entry(test).or_insert_with(new).push(place, bytes);
    }

    /// What libtest has captured of a running test, from this byte on.
    pub(super) fn capture(&mut self, test: usize, from: u64, bytes: &[u8]) {
        if self.ended.contains(&test) {
            return;
        }
        let output_files = self.output_files.as_ref();
        let new = || CapturedOutput { text: TruncatedOutput::new(output_files), length: 0 };
        let captured = self.captured.entry(test).or_insert_with(new);
        let known = captured.length.checked_sub(from).and_then(|known| usize::try_from(known).ok());
        if let Some(new) = known.and_then(|known| bytes.get(known..)) {
            captured.text.push(new);
            captured.length += new.len() as u64;
        }
    }

    /// The capture of a running test could not be read.
    pub(super) fn lose(&mut self, test: usize, why: u8) {
        let why = match why {
            kinds::NO_SYMBOL => LostOutput::NoSymbols,
            kinds::PRINTING => LostOutput::Printing,
            kinds::UNKNOWN_LAYOUT => LostOutput::UnknownLayout,
            _ => LostOutput::Forbidden,
        };
        self.lost.insert(test, why);
    }

    /// All that a test has printed, together with what came with its verdict.
    pub(super) fn end(&mut self, test: usize, captured: TruncatedOutput) -> Output {
        self.ended.insert(test);
        // The verdict has all of it.
        self.captured.remove(&test);
        self.lost.remove(&test);
        let output = match self.written.remove(&test) {
            Some(written) => written.merge_into(captured),
            None => captured,
        };
        output.into_output()
    }

    /// Adds what the tests without a verdict have printed, and the others after theirs.
    pub(super) fn finish(mut self, left: &mut ChannelSummary) {
        let after_end = self.written.extract_if(|test, _| self.ended.contains(test));
        let after_end = after_end.map(|(test, written)| (test, written.text.into_output()));
        left.outputs_after_end = after_end.collect();
        left.captured = self.captured.keys().copied().collect();
        left.lost = self.lost.into_iter().collect();
        let captured = self.captured.into_iter().map(|(test, captured)| (test, captured.text));
        let mut outputs: HashMap<usize, TruncatedOutput> = captured.collect();
        for (test, written) in self.written {
            let captured = outputs.remove(&test).unwrap_or_default();
            outputs.insert(test, written.merge_into(captured));
        }
        let outputs = outputs.into_iter().map(|(test, output)| (test, output.into_output()));
        left.outputs = outputs.collect();
        let flushed = left.outputs.iter().filter(|(_, output)| is_flushed_by_std(output));
        left.captured.extend(flushed.map(|(test, _)| *test));
    }
}

/// Whether the standard library has written out what was captured itself: it does
/// so before it aborts because of a panic that cannot unwind, and this is what it says last.
fn is_flushed_by_std(output: &[u8]) -> bool {
    output.ends_with(b"thread caused non-unwinding panic. aborting.\n")
}
