//! What libtest writes to its `--logfile`.

use std::collections::HashMap;

/// One line of the ledger: what became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogfileEntry {
    /// The place of the test in the list of those that were handed out.
    pub test: usize,
    pub verdict: LogfileVerdict,
    /// What libtest said besides, such as `test did not panic as expected`.
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogfileVerdict {
    Ok,
    Failed,
    Ignored,
}

/// Reads what libtest writes to `--logfile`: `ok NAME`, `failed NAME`, `failed: MESSAGE NAME`,
/// `ignored NAME`. The message may hold anything, line ends too, so an entry is matched
/// from its end, against the names that the binary has.
#[derive(Debug)]
pub struct LogfileReader<'n> {
    /// Every test of the binary with its place in the listing: ignored ones have lines too.
    names: &'n HashMap<String, usize>,
    /// From the place in the listing to the place among those that were handed out. An
    /// entry is taken out when it has been read.
    open: HashMap<usize, usize>,
    /// How many tests it has had lines of, handed out or not.
    pub seen: usize,
    /// How long the longest of the names is.
    longest: usize,
    /// Whole lines that are the beginning of a longer record.
    record: String,
    /// The beginning of a line.
    line: Vec<u8>,
}

/// What is kept of the beginning of a message in the ledger: it may be a panic's, of any length.
pub(super) const LONGEST_MESSAGE: usize = 64 * 1024;

impl<'n> LogfileReader<'n> {
    pub fn new(
        names: &'n HashMap<String, usize>,
        handed_out: impl IntoIterator<Item = usize>,
    ) -> Self {
        let open = handed_out.into_iter().enumerate().map(|(index, test)| (test, index));
        let longest = names.keys().map(String::len).max().unwrap_or(0);
        let (open, record, line) = (open.collect(), String::new(), Vec::new());
        LogfileReader { names, open, seen: 0, longest, record, line }
    }

    /// Takes the next bytes of the stream and gives the entries that they complete.
    /// Lines about tests that were not handed out are dropped.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<LogfileEntry> {
        let mut entries = Vec::new();
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.line.extend_from_slice(line);
            let line = std::mem::take(&mut self.line);
            entries.extend(self.take_line(&String::from_utf8_lossy(&line)));
        }
        self.line.extend_from_slice(last);
        let most = LONGEST_MESSAGE + 2 * self.longest + 64;
        if self.line.len() > 2 * most {
            self.line.drain(LONGEST_MESSAGE..self.line.len() - most);
        }
        entries
    }

    fn take_line(&mut self, line: &str) -> Option<LogfileEntry> {
        self.record.push_str(line);
        match self.entry(&self.record) {
            Some((test, verdict, message)) => {
                self.record.clear();
                self.seen += 1;
                let test = self.open.remove(&test)?;
                Some(LogfileEntry { test, verdict, message })
            }
            None => {
                match may_go_on(&self.record) {
                    true if self.record.len() > LONGEST_MESSAGE => {
                        let keep = boundary(&self.record, LONGEST_MESSAGE);
                        self.record.truncate(keep);
                        self.record.push('\n');
                    }
                    true => self.record.push('\n'),
                    false => self.record.clear(),
                }
                None
            }
        }
    }

    fn entry(&self, record: &str) -> Option<(usize, LogfileVerdict, Option<String>)> {
        let words = [
            ("ok", LogfileVerdict::Ok),
            ("failed", LogfileVerdict::Failed),
            ("ignored", LogfileVerdict::Ignored),
        ];
        let (verdict, rest) = words
            .iter()
            .find_map(|(word, verdict)| record.strip_prefix(word).map(|rest| (*verdict, rest)))?;
        let (message, test) = self.split_name(rest)?;
        let message = message.trim_start_matches(':').trim();
        Some((test, verdict, (!message.is_empty()).then(|| message.to_owned())))
    }

    /// The longest known name at the end, behind a space. Only so much of the end is looked at
    /// as a name may take: a message may be long, and full of spaces.
    fn split_name<'t>(&self, rest: &'t str) -> Option<(&'t str, usize)> {
        let from = boundary(rest, rest.len().saturating_sub(self.longest + 1));
        rest[from..].match_indices(' ').find_map(|(at, _)| {
            let at = from + at;
            Some((&rest[..at], *self.names.get(&rest[at + 1..])?))
        })
    }
}

/// The last place up to here that tears no letter.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Whether a record that ends in no known name is the first part of a longer one.
fn may_go_on(record: &str) -> bool {
    record.starts_with("failed: ") || record.starts_with("ignored: ")
}
