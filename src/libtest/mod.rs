//! libtest's text, both ways: its lists, its log, its report, and the arguments that choose
//! tests. Pure: no file and no process is touched here.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::output::{Bounded, Output};
use crate::model::output_file::Floods;

/// Reads `--list --format terse`: a line `NAME: test` for each test, or `NAME: benchmark`, which
/// `libtest-mimic` calls `bench`. Whatever else a binary prints before or behind is left aside.
pub fn parse_list(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim_end_matches('\r');
        let name =
            [": test", ": benchmark", ": bench"].iter().find_map(|end| line.strip_suffix(end));
        name.map(str::to_owned)
    };
    text.lines().filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// One line of the ledger: what became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The place of the test in the list of those that were handed out.
    pub test: usize,
    pub verdict: LedgerVerdict,
    /// What libtest said besides, such as `test did not panic as expected`.
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerVerdict {
    Ok,
    Failed,
    Ignored,
}

/// Reads what libtest writes to `--logfile`: `ok NAME`, `failed NAME`, `failed: MESSAGE NAME`,
/// `ignored NAME`. The message may hold anything, line ends too, so an entry is matched
/// from its end, against the names that the binary has.
#[derive(Debug)]
pub struct LedgerReader<'n> {
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
const LONGEST_MESSAGE: usize = 64 * 1024;

impl<'n> LedgerReader<'n> {
    pub fn new(
        names: &'n HashMap<String, usize>,
        handed_out: impl IntoIterator<Item = usize>,
    ) -> Self {
        let open = handed_out.into_iter().enumerate().map(|(index, test)| (test, index));
        let longest = names.keys().map(String::len).max().unwrap_or(0);
        let (open, record, line) = (open.collect(), String::new(), Vec::new());
        LedgerReader { names, open, seen: 0, longest, record, line }
    }

    /// Takes the next bytes of the stream and gives the entries that they complete.
    /// Lines about tests that were not handed out are dropped.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<LedgerEntry> {
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

    fn take_line(&mut self, line: &str) -> Option<LedgerEntry> {
        self.record.push_str(line);
        match self.entry(&self.record) {
            Some((test, verdict, message)) => {
                self.record.clear();
                self.seen += 1;
                let test = self.open.remove(&test)?;
                Some(LedgerEntry { test, verdict, message })
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

    fn entry(&self, record: &str) -> Option<(usize, LedgerVerdict, Option<String>)> {
        let words = [
            ("ok", LedgerVerdict::Ok),
            ("failed", LedgerVerdict::Failed),
            ("ignored", LedgerVerdict::Ignored),
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

/// How a batch is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub args: Vec<String>,
}

/// Which of a binary's tests there are, seen from one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Universe {
    /// No flag: ignored tests are not run.
    NotIgnored,
    /// `--ignored`
    Ignored,
    /// `--include-ignored`
    All,
}

/// One test of a binary, as the choice of a batch sees it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    pub name: &'a str,
    pub is_ignored: bool,
    pub is_chosen: bool,
}

/// The arguments that make libtest run exactly the chosen tests, in the form that costs it
/// least: every name costs it time in proportion to the number of tests in the binary.
pub fn select(tests: &[Listed<'_>]) -> Selection {
    let universe = universe(tests);
    let is_in = |test: &&Listed<'_>| match universe {
        Universe::NotIgnored => !test.is_ignored,
        Universe::Ignored => test.is_ignored,
        Universe::All => true,
    };
    let inside: Vec<&Listed<'_>> = tests.iter().filter(is_in).collect();
    let (chosen, others): (Vec<_>, Vec<_>) = inside.into_iter().partition(|test| test.is_chosen);
    let mut args: Vec<String> = match universe {
        Universe::NotIgnored => vec![],
        Universe::Ignored => vec!["--ignored".into()],
        Universe::All => vec!["--include-ignored".into()],
    };
    if others.is_empty() {
        return Selection { args };
    }
    if let Some(filter) = module_filter(&chosen, &others) {
        args.push(filter);
    } else if others.len() < chosen.len() {
        args.push("--exact".into());
        args.extend(others.iter().flat_map(|test| ["--skip".to_owned(), test.name.to_owned()]));
    } else {
        args.push("--exact".into());
        args.extend(chosen.iter().map(|test| test.name.to_owned()));
    }
    Selection { args }
}

/// The arguments that make any harness run one test and nothing else.
pub fn select_one(name: &str, is_ignored: bool) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    args.extend(is_ignored.then(|| "--ignored".into()));
    args.push("--exact".into());
    // A name that looks like a flag.
    args.extend(name.starts_with('-').then(|| "--".into()));
    args.push(name.to_owned());
    args
}

fn universe(tests: &[Listed<'_>]) -> Universe {
    let mut chosen = tests.iter().filter(|test| test.is_chosen);
    let ignored = tests.iter().filter(|test| test.is_chosen && test.is_ignored).count();
    match ignored {
        0 => Universe::NotIgnored,
        _ if chosen.all(|test| test.is_ignored) => Universe::Ignored,
        _ => Universe::All,
    }
}

/// One substring that stands in every chosen name and in no other: the path of the module
/// that holds them all.
fn module_filter(chosen: &[&Listed<'_>], others: &[&Listed<'_>]) -> Option<String> {
    // One name needs no substring.
    let (first, rest) = chosen.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let mut common = first.name;
    for test in rest {
        let same = common.bytes().zip(test.name.bytes()).take_while(|(a, b)| a == b).count();
        common = common.get(..same).or_else(|| common.get(..same - 1))?;
    }
    let filter = &common[..common.rfind("::")? + 2];
    let unambiguous = !others.iter().any(|test| test.name.contains(filter));
    (unambiguous && !filter.starts_with('-')).then(|| filter.to_owned())
}

/// What one worker printed, taken apart while it comes: the captured output of each failed
/// test, and whatever else there was.
#[derive(Debug)]
pub struct ReportReader {
    names: HashMap<String, usize>,
    sections: HashMap<usize, Bounded>,
    current: Option<usize>,
    line: Vec<u8>,
    /// Whether the beginning of the line has been taken already.
    is_cut: bool,
    rest: Bounded,
    /// How often there was the first line of a report, and the last one. The first of all is
    /// libtest's own; more are what tests print or have others print.
    heads: usize,
    ends: usize,
    /// How many tests the last line says there were.
    pub counted: Option<usize>,
    /// `running 0 tests`: the names that were handed out may not be known to the binary. A test
    /// may print that as well.
    pub may_have_run_nothing: bool,
    floods: Option<Arc<Floods>>,
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
            rest: Bounded::default(),
            heads: 0,
            ends: 0,
            counted: None,
            may_have_run_nothing: false,
            floods: None,
        }
    }

    /// What is too much to be kept goes there.
    pub fn with_floods(self, floods: Option<Arc<Floods>>) -> Self {
        ReportReader { rest: Bounded::new(floods.as_ref()), floods, ..self }
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
        if self.line.len() > Bounded::PART {
            self.take_line();
            self.is_cut = true;
        }
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.is_cut || line.len() > Bounded::PART {
            return self.section().push(&line);
        }
        let text = std::str::from_utf8(&line).unwrap_or_default().trim_end();
        if let Some(test) = self.header(text) {
            self.current = Some(test);
            self.sections.insert(test, Bounded::new(self.floods.as_ref()));
            return;
        }
        self.note_frame(text);
        match self.current.and_then(|test| self.sections.get_mut(&test)) {
            Some(section) => section.push(&line),
            None if is_frame(text) => {}
            None => self.rest.push(&line),
        }
    }

    fn section(&mut self) -> &mut Bounded {
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
pub fn reason(output: &str) -> Option<String> {
    let panicked = output.lines().find_map(|line| {
        let at = line.find("' panicked at ").or_else(|| line.find(") panicked at "))?;
        Some(line[at + 2..].trim_end_matches(':').to_owned())
    });
    let returned = || {
        let line = output.lines().find(|line| line.starts_with("Error: "))?;
        Some(format!("returned {line}"))
    };
    let note = || {
        let line = output.lines().find_map(|line| line.strip_prefix("note: "))?;
        line.starts_with("test did not panic").then(|| line.to_owned())
    };
    panicked.or_else(returned).or_else(note)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_read_around_chatter() {
        let text = "hello\n\na::b: test\nwith: colon: test\nr#fn: test\nbench: benchmark\nb: bench\n: test\nbye\n";
        assert_eq!(parse_list(text), ["a::b", "with: colon", "r#fn", "bench", "b"]);
    }

    fn read_all(names: &[&str], chunks: &[&[u8]]) -> Vec<(String, LedgerVerdict, Option<String>)> {
        let mut all = by_name(names);
        all.insert("not::handed_out".into(), names.len());
        let mut reader = LedgerReader::new(&all, 0..names.len());
        let entries = chunks.iter().flat_map(|chunk| reader.read(chunk));
        entries
            .collect::<Vec<_>>()
            .into_iter()
            .map(|entry| (names[entry.test].to_owned(), entry.verdict, entry.message))
            .collect()
    }

    fn by_name(names: &[&str]) -> HashMap<String, usize> {
        names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect()
    }

    #[test]
    fn the_line_of_an_ignored_test_does_not_swallow_the_next_one() {
        let found = read_all(&["a"], &[&b"ignored: two\nlines not::handed_out\nok a\n"[..]]);
        assert_eq!(found, [("a".into(), LedgerVerdict::Ok, None)]);
    }

    #[test]
    fn a_name_may_be_cut_in_the_middle_of_a_letter() {
        let line = "ok größe\n".as_bytes();
        let found = read_all(&["größe"], &[&line[..6], &line[6..]]);
        assert_eq!(found, [("größe".into(), LedgerVerdict::Ok, None)]);
    }

    #[test]
    fn ledger_lines_are_matched_from_their_end() {
        use LedgerVerdict::*;
        let names = ["a", "b", "c d", "m::e"];
        let found = read_all(
            &names,
            &[
                &b"ok a\nfai"[..],
                b"led: two\nlines of b c\n b\nignored: why not c d\nok z\nfailed m::e\nok a\n",
            ],
        );
        assert_eq!(
            found,
            [
                ("a".into(), Ok, None),
                ("b".into(), Failed, Some("two\nlines of b c".into())),
                ("c d".into(), Ignored, Some("why not".into())),
                ("m::e".into(), Failed, None),
            ]
        );
    }

    fn listed<'a>(tests: &[(&'a str, bool, bool)]) -> Vec<Listed<'a>> {
        let one = |&(name, is_ignored, is_chosen): &(&'a str, bool, bool)| Listed {
            name,
            is_ignored,
            is_chosen,
        };
        tests.iter().map(one).collect()
    }

    fn args(tests: &[(&str, bool, bool)]) -> String {
        select(&listed(tests)).args.join(" ")
    }

    #[test]
    fn tests_are_chosen_in_the_cheapest_form() {
        let (yes, no) = (true, false);
        assert_eq!(args(&[("a", no, yes), ("b", no, yes), ("i", yes, no)]), "");
        assert_eq!(args(&[("a", no, yes), ("i", yes, yes)]), "--include-ignored");
        assert_eq!(args(&[("a", no, no), ("i", yes, yes)]), "--ignored");
        assert_eq!(args(&[("a", no, yes), ("b", no, yes), ("c", no, no)]), "--exact --skip c");
        assert_eq!(args(&[("a", no, yes), ("b", no, no), ("c", no, no)]), "--exact a");
        assert_eq!(args(&[("m::a", no, yes), ("m::b", no, yes), ("n::a", no, no)]), "m::");
        assert_eq!(
            args(&[("m::a", no, yes), ("m::b", no, yes), ("x::m::a", no, no)]),
            "--exact --skip x::m::a"
        );
        assert_eq!(
            args(&[("é::a", no, yes), ("è::b", no, yes), ("c", no, no), ("d", no, no)]),
            "--exact é::a è::b"
        );
    }

    /// What libtest would run, by its own rules.
    fn simulate<'a>(tests: &[Listed<'a>], args: &[String]) -> Vec<&'a str> {
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        let (mut filters, mut skips, mut words) = (Vec::new(), Vec::new(), args.iter());
        while let Some(word) = words.next() {
            match word.as_str() {
                "--skip" => skips.extend(words.next()),
                flag if flag.starts_with("--") => {}
                _ => filters.push(word),
            }
        }
        let matches = |name: &str, filter: &String| match has("--exact") {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        tests
            .iter()
            .filter(|t| filters.is_empty() || filters.iter().any(|f| matches(t.name, f)))
            .filter(|t| !skips.iter().any(|f| matches(t.name, f)))
            .filter(|t| match (has("--ignored"), has("--include-ignored")) {
                (true, _) => t.is_ignored,
                (_, true) => true,
                _ => !t.is_ignored,
            })
            .map(|t| t.name)
            .collect()
    }

    proptest! {
        #[test]
        fn exactly_the_chosen_tests_run(
            names in prop::collection::btree_set("[a-c](::[a-c]){0,2}", 1..20),
            bits in prop::collection::vec((any::<bool>(), any::<bool>()), 20),
        ) {
            let tests: Vec<Listed<'_>> = names
                .iter()
                .zip(&bits)
                .map(|(name, (is_ignored, is_chosen))| Listed { name, is_ignored: *is_ignored, is_chosen: *is_chosen })
                .collect();
            prop_assume!(tests.iter().any(|test| test.is_chosen));
            let chosen: Vec<&str> = tests.iter().filter(|t| t.is_chosen).map(|t| t.name).collect();
            prop_assert_eq!(simulate(&tests, &select(&tests).args), chosen);
        }

        #[test]
        fn a_list_is_read_whatever_stands_around_it(
            names in prop::collection::vec("[a-zé: #]{0,12}[a-zé]", 1..9),
            chatter in prop::collection::vec("\\PC{0,20}", 9),
            has_end in any::<bool>(),
        ) {
            let quiet = |line: &&String| !line.ends_with(": test") && !line.ends_with(": benchmark");
            let mut text = String::new();
            for (name, chatter) in names.iter().zip(&chatter) {
                let chatter = Some(chatter).filter(quiet).map(String::as_str).unwrap_or_default();
                text.push_str(&format!("{chatter}\n{name}: test\n"));
            }
            if !has_end {
                text.pop();
            }
            prop_assert_eq!(parse_list(&text), names);
        }

        /// The same entries and sections, however the bytes arrive.
        #[test]
        fn chunks_make_no_difference(
            lines in prop::collection::vec(any_line(), 0..12),
            cuts in prop::collection::vec(0_usize..400, 0..12),
            end in 0_usize..400,
        ) {
            let mut bytes = lines.concat();
            bytes.truncate(bytes.len().saturating_sub(end / 40));
            let names = by_name(&["a", "b c", "m::größe"]);
            let read = |chunks: &[&[u8]]| {
                let mut ledger = LedgerReader::new(&names, [0, 1]);
                let mut report = ReportReader::new(["a", "b c"]);
                let mut entries = Vec::new();
                for chunk in chunks {
                    entries.extend(ledger.read(chunk));
                    report.read(chunk);
                }
                (entries, report.began(), report.ended(), report.may_have_run_nothing, report.finish())
            };
            let whole = read(&[&bytes]);
            let mut tests: Vec<usize> = whole.0.iter().map(|entry| entry.test).collect();
            let count = tests.len();
            tests.sort_unstable();
            tests.dedup();
            prop_assert!(tests.len() == count && tests.iter().all(|test| *test < 2));
            prop_assert_eq!(&read(&in_chunks(&bytes, cuts)), &whole);
            prop_assert_eq!(&read(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
        }

        #[test]
        fn no_bytes_make_the_readers_panic(chunks in prop::collection::vec("\\PC{0,30}|ok a\n|failed: x", 0..8)) {
            let names = by_name(&["a", "b"]);
            let mut ledger = LedgerReader::new(&names, [0, 1]);
            let mut report = ReportReader::new(["a", "b"]);
            for chunk in &chunks {
                ledger.read(chunk.as_bytes());
                report.read(chunk.as_bytes());
            }
            report.finish();
        }
    }

    /// What libtest writes, what tests forge, and what is neither.
    fn any_line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just("ok a\n"),
            Just("failed b c\n"),
            Just("failed: panic did not contain\n  b c\nexpected string b c\n"),
            Just("ignored m::größe\n"),
            Just("ignored: größe of a\nb c m::größe\n"),
            Just("ok nobody::knows\n"),
            Just("failed: ok a"),
            Just("\nrunning 2 tests\n"),
            Just("running 0 tests\n"),
            Just("---- a stdout ----\n"),
            Just("---- b c stdout ----\r\n"),
            Just("\nfailures:\n    a\n"),
            Just("test result: ok\n"),
            Just("..F"),
            Just("\n"),
        ]
        .prop_map(|line| line.as_bytes().to_vec())
        .boxed()
        .prop_union(prop::collection::vec(any::<u8>(), 0..20).boxed())
    }

    pub fn in_chunks(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    /// A panic's message may be longer than anybody wants to search for names.
    #[test]
    fn a_long_message_costs_no_time_and_hides_no_verdict() {
        for flood in ["word ".repeat(2_000_000), "line of it\n".repeat(300_000)] {
            let names = by_name(&["a", "b"]);
            let mut reader = LedgerReader::new(&names, [0, 1]);
            let text = format!("failed: {flood} a\nok b\n");
            let chunks = text.as_bytes().chunks(64 * 1024);
            let entries: Vec<LedgerEntry> = chunks.flat_map(|chunk| reader.read(chunk)).collect();
            let verdicts: Vec<_> = entries.iter().map(|e| (e.test, e.verdict)).collect();
            assert_eq!(verdicts, [(0, LedgerVerdict::Failed), (1, LedgerVerdict::Ok)]);
            assert!(entries[0].message.as_ref().unwrap().len() < 4 * LONGEST_MESSAGE);
        }
    }

    #[test]
    fn the_rest_of_a_long_line_is_no_header() {
        let mut reader = ReportReader::new(["a"]);
        reader.read(&[b'x'; Bounded::PART + 1]);
        reader.read(b"---- a stdout ----\ntest result: ok");
        let (sections, _) = reader.finish();
        assert!(sections.is_empty());
    }

    #[test]
    fn the_report_is_taken_apart_by_test() {
        let mut reader = ReportReader::new(["a", "b"]);
        let text = "\nrunning 2 tests\nnoise\nFF\nfailures:\n\n---- a stdout ----\none\n---- z stdout ----\n\n\
                    ---- b stdout ----\nfailures:\n\ntwo\n\n\nfailures:\n    a\n    b\n\ntest result: FAILED. 0 passed; 2 failed; \
                    0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n";
        for chunk in text.as_bytes().chunks(7) {
            reader.read(chunk);
        }
        assert!(reader.began() && reader.ended() && !reader.may_have_run_nothing);
        let (sections, rest) = reader.finish();
        assert_eq!(String::from_utf8_lossy(&sections[&0]), "one\n---- z stdout ----\n");
        assert_eq!(String::from_utf8_lossy(&sections[&1]), "failures:\n\ntwo\n");
        assert_eq!(String::from_utf8_lossy(&rest), "noise\n");
    }

    #[test]
    fn the_end_of_a_report_inside_of_another_is_not_its_end() {
        let head = "\nrunning 1 test\n";
        let end = "\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; \
                   finished in 0.00s\n";
        // A test has printed that: libtest says more.
        let other = "\ntest result: ok. 1 passed; 0 failed\n";
        let table = [
            (vec![head, other], false),
            (vec![], false),
            (vec![head], false),
            (vec![end], false),
            (vec![head, end], true),
            (vec![head, head, end], false),
            (vec![head, head, end, end], true),
        ];
        for (lines, expected) in table {
            let mut reader = ReportReader::new([]);
            lines.iter().for_each(|lines| reader.read(lines.as_bytes()));
            assert_eq!(reader.ended(), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_reason_is_the_place_of_the_panic() {
        let table = [
            (
                "x\nthread 'a::b' panicked at tests/api.rs:14:5:\nboom\n",
                Some("panicked at tests/api.rs:14:5"),
            ),
            ("thread 'a' (812) panicked at src/lib.rs:1:2:\n", Some("panicked at src/lib.rs:1:2")),
            ("Error: \"bad\"\n", Some("returned Error: \"bad\"")),
            (
                "note: test did not panic as expected at a.rs:1:1\n",
                Some("test did not panic as expected at a.rs:1:1"),
            ),
            ("nothing\n", None),
        ];
        for (output, expected) in table {
            assert_eq!(reason(output).as_deref(), expected, "{output}");
        }
    }
}
