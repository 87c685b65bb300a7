//! What libtest prints for people.

use std::collections::HashMap;
use std::sync::Arc;

use super::mimic;
use crate::model::output::{Output, TruncatedOutput};
use crate::model::output_file::OutputFiles;

/// What one worker printed, taken apart while it comes: the captured output of each failed
/// test, and whatever else there was.
#[derive(Debug)]
pub struct ReportReader {
    names: HashMap<String, usize>,
    sections: HashMap<usize, TruncatedOutput>,
    current: Option<usize>,
    line: Vec<u8>,
    /// Whether the beginning of the line has been taken already.
    is_cut: bool,
    rest: TruncatedOutput,
    /// How often there was the first line of a report, and the last one. The first of all is
    /// libtest's own; more are what tests print or have others print.
    heads: usize,
    ends: usize,
    /// How many tests the last line says there were.
    pub counted: Option<usize>,
    /// `running 0 tests`: the names that were handed out may not be known to the binary. A test
    /// may print that as well.
    pub may_have_run_nothing: bool,
    output_files: Option<Arc<OutputFiles>>,
}

impl ReportReader {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().enumerate().map(|(index, name)| (name.to_owned(), index));
        ReportReader {
            names: names.collect(),
            sections: HashMap::new(),
            current: None,
            line: Vec::new(),
            is_cut: false,
            rest: TruncatedOutput::default(),
            heads: 0,
            ends: 0,
            counted: None,
            may_have_run_nothing: false,
            output_files: None,
        }
    }

    /// What is too much to be kept goes there.
    pub fn with_output_files(self, output_files: Option<Arc<OutputFiles>>) -> Self {
        ReportReader { rest: TruncatedOutput::new(output_files.as_ref()), output_files, ..self }
    }

    pub fn read(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..=end]);
            self.take_line();
            self.is_cut = false;
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        // A flood without line ends must not be kept whole.
        if self.line.len() > TruncatedOutput::PART {
            self.take_line();
            self.is_cut = true;
        }
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.is_cut || line.len() > TruncatedOutput::PART {
            return self.section().push(&line);
        }
        let text = std::str::from_utf8(&line).unwrap_or_default().trim_end();
        if let Some(test) = self.header(text) {
            self.current = Some(test);
            self.sections.insert(test, TruncatedOutput::new(self.output_files.as_ref()));
            return;
        }
        self.note_frame(text);
        match self.current.and_then(|test| self.sections.get_mut(&test)) {
            Some(section) => section.push(&line),
            None if is_frame(text) => {}
            None => self.rest.push(&line),
        }
    }

    fn section(&mut self) -> &mut TruncatedOutput {
        let section = self.current.and_then(|test| self.sections.get_mut(&test));
        section.unwrap_or(&mut self.rest)
    }

    fn note_frame(&mut self, text: &str) {
        if let Some(rest) = text.strip_prefix("running ") {
            self.heads += 1;
            self.may_have_run_nothing |= rest.starts_with("0 tests");
        }
        if let Some(counted) = text.strip_prefix("test result: ").and_then(counted) {
            self.ends += 1;
            self.counted = Some(counted);
        }
    }

    pub fn began(&self) -> bool {
        self.heads > 0
    }

    /// Whether libtest came to its own end: each report that was begun has one, its own among
    /// them, so that the end of another test binary's, which a test has started, is not taken
    /// for it.
    pub fn ended(&self) -> bool {
        self.began() && self.ends >= self.heads
    }

    /// `---- NAME stdout ----`, for a test of this batch that had no section yet.
    fn header(&self, text: &str) -> Option<usize> {
        let name = text.strip_prefix("---- ")?.strip_suffix(" stdout ----")?;
        let test = *self.names.get(name)?;
        (!self.sections.contains_key(&test)).then_some(test)
    }

    /// The output of each test that has one, and what belongs to none.
    pub fn finish(mut self) -> (HashMap<usize, Output>, Output) {
        if !self.line.is_empty() {
            self.take_line();
        }
        let last = self.current;
        let sections = self.sections.into_iter().map(|(test, section)| {
            let mut output = section.into_output();
            let mut length = match Some(test) == last {
                true => without_list_of_failures(&output),
                false => output.len(),
            };
            while output[..length].ends_with(b"\n\n") {
                length -= 1;
            }
            output.truncate(length);
            (test, output)
        });
        (sections.collect(), self.rest.into_output())
    }
}

/// `ok. 2 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.01s`. What does not
/// say all of that is no end of libtest's.
fn counted(result: &str) -> Option<usize> {
    let mut parts = result.split(['.', ';']).skip(1);
    let mut count = |what: &str| -> Option<usize> {
        let number = parts.next()?.trim().strip_suffix(what)?;
        number.trim_end().parse().ok()
    };
    let ran = [count("passed")?, count("failed")?, count("ignored")?, count("measured")?];
    count("filtered out")?;
    Some(ran.iter().sum())
}

/// Behind the last section libtest lists the failed names and the result.
fn without_list_of_failures(output: &[u8]) -> usize {
    let lists = [&b"\n\nfailures:\n"[..], b"\nfailures:\n", b"\nsuccesses:\n"];
    let end = |list: &[u8]| output.windows(list.len()).rposition(|window| window == list);
    lists.into_iter().find_map(end).map_or(output.len(), |at| at + 1)
}

/// Lines of libtest's own terse report: they say nothing that the ledger has not said.
fn is_frame(text: &str) -> bool {
    let is_dots = |text: &str| {
        let dots = text.split(' ').next().unwrap_or_default();
        !dots.is_empty() && dots.bytes().all(|byte| matches!(byte, b'.' | b'F' | b'i'))
    };
    text.is_empty()
        || text == "failures:"
        || text == "successes:"
        || (text.starts_with("running ") && text.contains(" test"))
        || text.starts_with("test result: ")
        || is_dots(text)
        || text.ends_with(" --- FAILED")
        || text.starts_with("    ")
}

/// Where a test panicked, from its output: `panicked at tests/api.rs:14:5`.
pub fn failure_reason(output: &str) -> Option<String> {
    let panicked = output.lines().find_map(|line| {
        let at = line.find("' panicked at ").or_else(|| line.find(") panicked at "))?;
        Some(line[at + 2..].trim_end_matches(':').to_owned())
    });
    let returned = || {
        let line = output.lines().find(|line| line.starts_with("Error: "))?;
        Some(match mimic::panic_message(line) {
            Some("") => "panicked".to_owned(),
            Some(message) => format!("panicked: {message}"),
            None => format!("returned {line}"),
        })
    };
    let note = || {
        let line = output.lines().find_map(|line| line.strip_prefix("note: "))?;
        line.starts_with("test did not panic").then(|| line.to_owned())
    };
    panicked.or_else(returned).or_else(note)
}
