//! What tests print: its beginning and end in bounded memory, and all of it in a file.

use std::borrow::Cow;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::output_file::{OutputFile, OutputFileWriter, OutputFiles};

/// What a test has printed, as far as it is kept in memory, and where the rest is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    bytes: Vec<u8>,
    /// How many of the last bytes are notes of the runner, and not the test's.
    notes: usize,
    output_files: Vec<Arc<OutputFile>>,
}

impl Output {
    /// A text of the runner's own.
    pub fn of_notes(notes: impl Into<Vec<u8>>) -> Output {
        let bytes = notes.into();
        Output { notes: bytes.len(), bytes, output_files: Vec::new() }
    }

    /// Adds another one, whose notes come after all that was printed.
    pub fn append(&mut self, mut other: Output) {
        let mut notes = self.bytes.split_off(self.bytes.len() - self.notes);
        notes.extend(other.bytes.split_off(other.bytes.len() - other.notes));
        self.bytes.append(&mut other.bytes);
        self.notes = notes.len();
        self.bytes.append(&mut notes);
        self.output_files.append(&mut other.output_files);
    }

    /// Adds what does not continue the last line.
    pub fn append_lines(&mut self, other: Output) {
        let is_partial = self.printed().last().is_some_and(|last| *last != b'\n');
        if is_partial && !other.bytes.is_empty() {
            self.append(b"\n".to_vec().into());
        }
        self.append(other);
    }

    /// What the test has printed.
    pub fn printed(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.notes]
    }

    /// What the runner has to say beside it.
    pub fn notes(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - self.notes..]
    }

    /// Takes off the end what is not the test's.
    pub fn truncate(&mut self, length: usize) {
        let surplus = self.bytes.len().saturating_sub(length);
        self.bytes.truncate(length);
        self.notes = self.notes.saturating_sub(surplus);
        // The last one ends as this does; nobody else knows of it yet.
        if let Some(file) = self.output_files.last_mut().and_then(Arc::get_mut) {
            file.cut(surplus as u64);
        }
    }

    /// Writes all of it to a file too, for whom it is too long to be shown.
    pub fn write_to_file(&mut self, output_files: &Arc<OutputFiles>) {
        if !self.output_files.is_empty() {
            return;
        }
        let writer = output_files.begin().and_then(|mut writer| {
            writer.write(&self.bytes);
            writer.finish()
        });
        self.output_files.extend(writer.map(Arc::new));
    }

    /// Its files stay, for it is reported.
    pub fn keep(&self, name: &str) {
        self.output_files.iter().for_each(|file| file.keep(name));
    }

    /// Files that stay.
    pub fn kept(&self) -> impl Iterator<Item = (&OutputFile, &Path)> {
        self.output_files.iter().filter_map(|file| Some((&**file, file.path()?)))
    }
}

impl Deref for Output {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Output {
        Output { bytes, notes: 0, output_files: Vec::new() }
    }
}

/// Bytes with a bound: the beginning and the end are kept, the middle is counted, and all of it
/// goes to a file where there is a place for it.
#[derive(Debug, Default)]
pub struct TruncatedOutput {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
    output_files: Option<Arc<OutputFiles>>,
    file: Option<OutputFileWriter>,
}

impl TruncatedOutput {
    /// What is kept of each of the two ends, in bytes: more than anybody scrolls through,
    /// and 1,000 failures still fit into memory.
    pub const PART: usize = 128 * 1024;

    /// One whose output_files go there.
    pub fn new(output_files: Option<&Arc<OutputFiles>>) -> TruncatedOutput {
        TruncatedOutput { output_files: output_files.cloned(), ..TruncatedOutput::default() }
    }

    /// A text of which so many bytes were left out before it came here, and all went there.
    pub fn shortened(
        text: &[u8],
        left_out: usize,
        file: Option<OutputFileWriter>,
    ) -> TruncatedOutput {
        let mut kept = TruncatedOutput { dropped: left_out, ..TruncatedOutput::default() };
        kept.keep(text);
        TruncatedOutput { file, ..kept }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            file.write(bytes);
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = Self::PART.saturating_sub(self.head.len());
        let (head, tail) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        // Cutting at twice the bound keeps the moving of bytes rare.
        if self.tail.len() > 2 * Self::PART {
            self.begin_file();
            let surplus = self.tail.len() - Self::PART;
            self.tail.drain(..surplus);
            self.dropped += surplus;
        }
    }

    pub fn is_whole(&self) -> bool {
        self.dropped == 0
    }

    /// All that there was; none if something is left out.
    pub fn whole(&self) -> Option<Cow<'_, [u8]>> {
        match (self.dropped, self.tail.is_empty()) {
            (0, true) => Some(Cow::Borrowed(&self.head)),
            (0, false) => Some(Cow::Owned([&*self.head, &*self.tail].concat())),
            _ => None,
        }
    }

    /// Another one with the same place for its files.
    pub fn emptied(&self) -> TruncatedOutput {
        TruncatedOutput::new(self.output_files.as_ref())
    }

    /// Begins the file, with all that there was so far, if there is none and nothing is missing.
    fn begin_file(&mut self) {
        if self.file.is_none() && self.dropped == 0 {
            self.file = self.output_files.as_ref().and_then(OutputFiles::begin);
            for part in [&self.head, &self.tail] {
                self.file.iter_mut().for_each(|file| file.write(part));
            }
        }
    }

    /// What comes behind it, and may be a file itself.
    pub fn append(&mut self, other: TruncatedOutput) {
        if other.dropped == 0 {
            self.push(&other.head);
            return self.push(&other.tail);
        }
        self.begin_file();
        match (&mut self.file, other.file) {
            (Some(file), Some(others)) => file.append(others),
            // Half of it would be called the whole.
            _ => self.file = None,
        }
        self.output_files = None;
        self.keep(&other.head);
        self.keep(&other.tail);
        self.dropped += other.dropped;
    }

    pub fn into_output(mut self) -> Output {
        let output_files = self.file.take().and_then(OutputFileWriter::finish).map(Arc::new);
        let output_files = output_files.into_iter().collect();
        Output { bytes: self.into_bytes(), notes: 0, output_files }
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!("\n[… {} bytes left out …]\n", self.dropped);
            self.head.extend_from_slice(note.as_bytes());
        }
        self.head.append(&mut self.tail);
        self.head
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_has_a_bound(
            pieces in prop::collection::vec((any::<u8>(), 0_usize..300_000), 0..12),
        ) {
            let mut kept = TruncatedOutput::default();
            let mut all = Vec::new();
            for (byte, length) in pieces {
                kept.push(&vec![byte; length]);
                all.extend(vec![byte; length]);
            }
            let kept = kept.into_bytes();
            prop_assert!(kept.len() <= 4 * TruncatedOutput::PART);
            let ends = all.len().min(TruncatedOutput::PART);
            prop_assert_eq!(&kept[..ends], &all[..ends]);
            prop_assert_eq!(&kept[kept.len() - ends..], &all[all.len() - ends..]);
        }
    }

    #[test]
    fn notes_come_after_all_that_was_printed() {
        let mut output = Output::from(b"one\n".to_vec());
        output.append(Output::of_notes("first\n"));
        output.append(Output::from(b"two\n".to_vec()));
        output.append(Output::of_notes("second\n"));
        assert_eq!(output.printed(), b"one\ntwo\n");
        assert_eq!(output.notes(), b"first\nsecond\n");
        assert_eq!(&*output, b"one\ntwo\nfirst\nsecond\n");
    }

    #[test]
    fn a_flood_keeps_its_two_ends() {
        let mut kept = TruncatedOutput::default();
        kept.push(b"begin");
        for _ in 0..100 {
            kept.push(&[b'x'; 64 * 1024]);
        }
        kept.push(b"end");
        let bytes = kept.into_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(bytes.len() < 4 * TruncatedOutput::PART && text.contains("bytes left out"));
    }
}
